//! Taking over what a node runs and was not told to run, because an operator says so.
//!
//! Knows what of it is ordered on another node, and how that order becomes this node's. Refuses
//! to call taken over what is not, and to believe a node about secrets: the configuration says
//! which an instance has.

use devnet_schema::{
    instance::InstanceSpec,
    name::{InstanceId, NodeName},
    observed::ObservedInstance,
};

use super::{ControlPlane, MembershipError, adopt::declared, volumes::Word};

impl ControlPlane {
    /// Takes what a node says now that it runs for what it was told, where nobody else was told to:
    /// an operator says so. With `instead`, also what other nodes were told: their copies are then
    /// ones too many, and the next plan removes them; volumes stay where they are.
    ///
    /// # Errors
    /// When there is no such node, what it runs is not known or is ordered on another node, or the
    /// records cannot be written. What is ordered nowhere else is taken over all the same.
    pub fn adopt_node(
        &self,
        name: &NodeName,
        instead: bool,
        by: &str,
    ) -> Result<(), MembershipError> {
        if self.store.node(name)?.is_none() {
            return Err(MembershipError::NoNode(name.to_string()));
        }
        if !self.fleet.is_online(name) {
            return Err(MembershipError::Silent(name.clone()));
        }
        self.store.unread_node(name)?;
        self.orders().lost(name);
        self.journal.node(name, &format!("what {name} runs was adopted by {by}"));
        let (complete, instances) = self.fleet.report_of(name);
        if !complete {
            // The next whole report, which it is asked for, is taken.
            self.wake();
            return Ok(());
        }
        self.take_claims(name, &instances, Word::Operator)?;
        self.prefer(name)?;
        let elsewhere = self.ordered_elsewhere(name, &instances);
        if instead {
            self.take_instead(name, &elsewhere, by)?;
        } else if !elsewhere.is_empty() {
            let told = elsewhere.iter().map(|(seen, other)| {
                let id = seen.instance();
                format!("{id} is ordered on {other}, so that of {name} is not taken over")
            });
            return Err(MembershipError::Ordered(told.collect()));
        }
        self.wake();
        Ok(())
    }

    /// What a node runs that it was not told to and another node was, with that node.
    fn ordered_elsewhere(
        &self,
        name: &NodeName,
        instances: &[ObservedInstance],
    ) -> Vec<(ObservedInstance, NodeName)> {
        let orders = self.orders();
        let here = instances.iter().filter(|it| orders.order(&it.instance(), name).is_none());
        let found = here.filter_map(|it| Some((it.clone(), orders.ordered_on(&it.instance())?)));
        found.collect()
    }

    /// Makes each of these an order of the node, newer than that of the other.
    fn take_instead(
        &self,
        name: &NodeName,
        all: &[(ObservedInstance, NodeName)],
        by: &str,
    ) -> Result<(), MembershipError> {
        for (seen, other) in all {
            let id = seen.instance();
            let spec = self.believed(name, &id, seen)?;
            let issued = self.store.generations()?.get(&id).copied().unwrap_or(0);
            let generation = issued.max(seen.generation).saturating_add(1);
            self.store.issue_generations(&[(id.clone(), generation)].into())?;
            self.assign(&spec, generation)?;
            let text = format!(
                "{id} belongs on {name} from now on and not on {other}: {by} says so; the copy \
                 there is removed with the next plan, and its volumes stay"
            );
            self.journal.write("instance", &id.address(), &text);
        }
        Ok(())
    }

    /// What a node runs as an instance, where that refers to no other secrets than the
    /// configuration gives it.
    fn believed(
        &self,
        name: &NodeName,
        id: &InstanceId,
        seen: &ObservedInstance,
    ) -> Result<InstanceSpec, MembershipError> {
        let refuse = |why: &str| {
            Err(MembershipError::Secrets(format!("{id} on {name} cannot be taken over: {why}")))
        };
        let spec = seen.spec.as_deref();
        let spec = spec.filter(|it| it.id == *id && it.node == *name && it.digest() == seen.digest);
        let Some(spec) = spec else {
            return refuse("its node does not say in full what it is");
        };
        let wanted = spec.secrets();
        if wanted.is_empty() {
            return Ok(spec.clone());
        }
        let current = self.state().current.clone();
        let fleet = self.shown()?;
        let allowed = current.map(|it| declared(&it, &fleet, std::iter::once(spec)));
        let allowed = allowed.and_then(|mut all| all.remove(id)).unwrap_or_default();
        match wanted.iter().all(|secret| allowed.contains(secret)) {
            true => Ok(spec.clone()),
            false => refuse("the configuration does not give it the secrets that it has there"),
        }
    }
}
