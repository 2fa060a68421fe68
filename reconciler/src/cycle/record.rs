//! The records of one walk: what is ordered before a step is sent, and what follows from its end.
//!
//! Knows that only an agent's own word settles anything: after silence, what was ordered may run,
//! and what it may have written is kept in mind. Refuses to decide which step comes next.

use std::{collections::BTreeMap, sync::Arc};

use devnet_schema::{
    instance::InstanceSpec,
    plan::Plan,
    step::{Act, Step, StepId, StepReport, StepState},
};
use tracing::error;

use super::{ControlPlane, deploy::chain, orders::Entry};
use crate::{
    api::DeploymentLine,
    apply::{Evidence, Progression},
    clock,
    store::{StepRecord, StoreError},
};

/// Keeps the records of one walk.
pub(super) struct Record<'a> {
    plane: &'a Arc<ControlPlane>,
    deployment: &'a str,
    plan: &'a Plan,
    /// What stood where a step was about to order something else.
    before: BTreeMap<StepId, Entry>,
}

impl<'a> Record<'a> {
    /// Of the run of `plan` as `deployment`.
    pub(super) fn new(plane: &'a Arc<ControlPlane>, deployment: &'a str, plan: &'a Plan) -> Self {
        Self { plane, deployment, plan, before: BTreeMap::new() }
    }

    fn spec<'s>(&self, step: &'s Step) -> Option<&'s InstanceSpec> {
        match &step.act {
            Act::Prepare { spec } | Act::Ensure { spec } => Some(spec),
            Act::AwaitHealthy { .. } | Act::Remove => None,
        }
    }

    /// What the agent put back when the new unit did not start is what is assigned again.
    fn restore(&self, step: &Step) -> Result<(), StoreError> {
        let before = self
            .plan
            .changes
            .iter()
            .find(|change| change.instance == step.instance)
            .and_then(|change| change.before.as_deref())
            .filter(|before| before.node == step.node);
        // Only a spec that this control plane had assigned itself is assigned again.
        match before.filter(|before| self.plane.was_assigned(before)) {
            Some(before) => self.plane.assign(before, step.generation),
            None => Ok(()),
        }
    }

    /// Nothing of a step is done: what stood before it was about to be sent stands.
    fn take_back(&mut self, step: &Step) -> Result<(), StoreError> {
        let Some(before) = self.before.remove(&step.id) else {
            return Ok(());
        };
        let Step { instance, node, generation, .. } = step;
        self.plane.store.take_back_data(instance, node, *generation)?;
        self.plane.put_back(instance, node, before)
    }

    /// Only the agent's word settles anything. Where it did not say how the step ended, the order
    /// and the place of its data stand: the node counts as one that may have done it.
    fn settle(
        &mut self,
        step: &Step,
        state: &StepState,
        evidence: Evidence,
    ) -> Result<(), StoreError> {
        let Step { instance, node, generation, act, .. } = step;
        match (state, act, evidence) {
            (StepState::Succeeded { .. }, Act::Ensure { spec }, _) => {
                self.plane.assign(spec, *generation)
            }
            (StepState::Succeeded { .. }, Act::Remove, _) => self.plane.stopped(instance, node),
            (StepState::Failed { .. }, Act::Ensure { .. }, Evidence::Agent) => {
                self.plane.store.take_back_data(instance, node, *generation)?;
                self.restore(step)
            }
            (StepState::Failed { .. }, Act::Ensure { .. }, Evidence::NeverSent) => {
                self.take_back(step)
            }
            (StepState::Failed { .. }, Act::Ensure { spec }, Evidence::Silence) => {
                self.plane.grants().allow(spec);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Progression for Record<'_> {
    fn sending(&mut self, step: &Step) -> Result<(), String> {
        let Some(spec) = self.spec(step) else {
            return Ok(());
        };
        if matches!(step.act, Act::Ensure { .. }) {
            let before = self.plane.orders().entry(&spec.id, &spec.node);
            // On disk before it is sent: after a power cut the node counts as one that may run it.
            self.plane.order(spec, step.generation).map_err(|error| chain(&error))?;
            self.before.insert(step.id.clone(), before);
        }
        self.plane.grants().begin(self.deployment, &step.id, spec);
        Ok(())
    }

    fn reported(&mut self, step: &Step, report: &StepReport, evidence: Evidence) {
        let at = clock::wall();
        let line = DeploymentLine::Step {
            at,
            instance: step.instance.clone(),
            node: step.node.clone(),
            report: report.clone(),
        };
        let record = StepRecord {
            step: step.id.clone(),
            instance: step.instance.clone(),
            node: step.node.clone(),
            generation: step.generation,
            state: report.state.clone(),
            at,
        };
        let kept = self
            .plane
            .store
            .record_step(self.deployment, &record, &line)
            .map(|_| ())
            .and_then(|()| self.settle(step, &report.state, evidence));
        self.plane.lines.send_modify(|count| *count += 1);
        match kept {
            // Nothing is on record of a node that was taken out meanwhile.
            Ok(()) | Err(StoreError::Missing { kind: "node", .. }) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                error!(error, step = step.id, "recording a step");
            }
        }
    }

    fn let_go(&mut self, step: &Step) {
        match self.take_back(step) {
            Ok(()) | Err(StoreError::Missing { kind: "node", .. }) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                error!(error, step = step.id, "taking a step back");
            }
        }
    }
}
