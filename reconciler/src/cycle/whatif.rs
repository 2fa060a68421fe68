//! Plans of what has not happened, and why a service is where it is.
//!
//! Knows suppositions. Refuses to save what it plans: nobody can apply it.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use devnet_planner::{
    PlanInput, Policy,
    place::{self, Explanation},
    placement_problem,
    suppose::{self, Supposition},
};
use devnet_schema::{
    desired::DesiredState, name::ServiceName, placement::Unplaceable, plan::Plan,
    plan_options::PlanOptions,
};

use super::{
    ControlPlane, RequestError,
    configuration::Configuration,
    gather::{Gathered, Waiting, pace},
};
use crate::{
    api::{
        PlanRequest,
        draft::{Loss, Suppose, SupposedNode, WhatIf, WhatIfRequest},
    },
    clock,
};

/// The longest that a search may take for somebody who waits at a screen.
const LONGEST: Duration = Duration::from_secs(5);

/// Why a service is where it is.
#[derive(Debug)]
pub struct Explained {
    /// Every node.
    pub explanation: Explanation,
    /// What has no node, where that is so.
    pub unplaced: Option<Unplaceable>,
    /// Whether the limit of time ended the search.
    pub cut_short: bool,
    /// The limit.
    pub limit: Duration,
}

impl ControlPlane {
    /// Plans what would follow from something that has not happened.
    ///
    /// # Errors
    /// When the configuration is invalid or not known, or something supposed is about what is not
    /// there, or as many plans are being made as may be at once.
    pub async fn what_if(&self, request: WhatIfRequest, by: &str) -> Result<WhatIf, RequestError> {
        self.is_settled()?;
        let permit = self.plan_permit().ok_or(RequestError::TooMany)?;
        let limit = request.solve_limit_ms.map_or(LONGEST, Duration::from_millis).min(LONGEST);
        let WhatIfRequest { draft, files, root, rev, suppose, survive, solve_limit_ms: _ } =
            request;
        let mut asked = match draft {
            Some(id) => self.draft_request(&id, by)?,
            None => PlanRequest { files, root, rev, ..PlanRequest::default() },
        };
        let edits: Vec<_> = suppose
            .iter()
            .filter_map(|it| match it {
                Suppose::Edit(edit) => Some(edit.clone()),
                _ => None,
            })
            .collect();
        if !edits.is_empty() {
            asked = self.edited_request(asked, &edits).await?;
        }
        let suppositions = suppositions(suppose)?;
        let configuration = self.configuration_of(&asked, &permit).await?;
        let gathered = self.gather(&configuration.desired)?;
        let waiting = Waiting::default();
        let gone = waiting.gone();
        let answer = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let scene = Scene { configuration, gathered, limit, gone };
            scene.answer(&suppositions, survive)
        })
        .await
        .map_err(|error| anyhow::anyhow!(error).context("planning what was supposed"))?;
        drop(waiting);
        answer.map_err(RequestError::Supposed)
    }

    /// Why a service of the configuration in force is where it is, for every node.
    ///
    /// # Errors
    /// When there is no configuration, or no such service, or it cannot be placed.
    pub async fn explain(&self, service: &ServiceName) -> Result<Explained, RequestError> {
        self.is_settled()?;
        let none = || RequestError::NoRevision("no configuration is in force yet".to_owned());
        let configuration = self.state().current.clone().ok_or_else(none)?;
        if !configuration.desired.services.contains_key(service) {
            return Err(RequestError::Supposed(format!("no service is called {service}")));
        }
        let permit = self.plan_permit().ok_or(RequestError::TooMany)?;
        let gathered = self.gather(&configuration.desired)?;
        let (waiting, service) = (Waiting::default(), service.clone());
        let gone = waiting.gone();
        let answer = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let scene = Scene { configuration, gathered, limit: LONGEST, gone };
            scene.explained(&service)
        })
        .await
        .map_err(|error| anyhow::anyhow!(error).context("explaining a placement"))?;
        drop(waiting);
        answer
            .ok_or_else(|| RequestError::Supposed("the configuration cannot be placed".to_owned()))
    }
}

/// What is planned from, on a thread of its own.
struct Scene {
    configuration: Arc<Configuration>,
    gathered: Gathered,
    limit: Duration,
    gone: Arc<AtomicBool>,
}

impl Scene {
    fn input<'a>(
        &'a self,
        desired: &'a DesiredState,
        gathered: &'a Gathered,
        created_at: &'a str,
    ) -> PlanInput<'a> {
        PlanInput {
            desired,
            catalog: &self.configuration.catalog,
            fleet: &gathered.fleet,
            revision: &self.configuration.revision,
            generations: &gathered.generations,
            // The plan that would follow is shown also where something would not fit.
            options: PlanOptions { allow_unplaced: true, ..PlanOptions::default() },
            policy: Policy::default(),
            limits: place::Limits::default(),
            created_at,
        }
    }

    fn plan(&self, input: &PlanInput<'_>) -> Plan {
        let begun = Instant::now();
        let mut plan = devnet_planner::plan_paced(input, &mut |_| {
            pace(&self.gone, Some(self.limit), begun.elapsed())
        });
        plan.placement.seconds = Some(begun.elapsed().as_secs_f64());
        if plan.placement.cut_short {
            plan.placement.solve_limit = Some(self.limit.as_secs_f64());
        }
        plan
    }

    fn answer(&self, suppositions: &[Supposition], survive: bool) -> Result<WhatIf, String> {
        let (mut desired, mut gathered) =
            (self.configuration.desired.clone(), self.gathered.clone());
        for supposition in suppositions {
            supposition.enter(&mut desired, &mut gathered.fleet)?;
        }
        let now = clock::wall().to_string();
        let input = self.input(&desired, &gathered, &now);
        let mut plan = self.plan(&input);
        let losses = match survive && plan.is_applicable() {
            true => {
                let found = suppose::losses(&input, &plan, &mut |input| self.plan(input))?;
                let loss = |suppose::Loss { node, elsewhere, down, data, cut_short: _ }| Loss {
                    node,
                    down,
                    data,
                    elsewhere,
                };
                Some(found.into_iter().map(loss).collect())
            }
            false => None,
        };
        plan.diagnostics.splice(0..0, self.configuration.diagnostics.iter().cloned());
        Ok(WhatIf { plan, losses })
    }

    fn explained(&self, service: &ServiceName) -> Option<Explained> {
        let now = clock::wall().to_string();
        let input = self.input(&self.configuration.desired, &self.gathered, &now);
        let problem = placement_problem(&input).ok()?;
        let begun = Instant::now();
        let mut watch =
            |_: &place::Progress<'_>| pace(&self.gone, Some(self.limit), begun.elapsed());
        let outcome = place::place_paced(&problem, &mut watch);
        let explanation = place::explain(&problem, &outcome, service)?;
        let unplaced = outcome.unplaced.into_iter().find(|it| it.service == *service);
        let cut_short = outcome.cut_short;
        Some(Explained { explanation, unplaced, cut_short, limit: self.limit })
    }
}

/// What is supposed, as the planner reads it.
fn suppositions(all: Vec<Suppose>) -> Result<Vec<Supposition>, RequestError> {
    let mut read = Vec::new();
    for one in all {
        read.push(match one {
            Suppose::Drain(node) => Supposition::Drain(node),
            Suppose::Without(node) => Supposition::Without(node),
            Suppose::Scale { service, replicas } => Supposition::Scale(service, replicas),
            Suppose::WithNode(node) => {
                let text = new_node(&node).map_err(RequestError::Supposed)?;
                let node = suppose::new_node(&text).map_err(RequestError::Supposed)?;
                Supposition::WithNode(Box::new(node))
            }
            Suppose::Edit(_) => continue,
        });
    }
    Ok(read)
}

/// A node as `devnet whatif --with-node` takes it.
fn new_node(node: &SupposedNode) -> Result<String, String> {
    let SupposedNode { name, cpu, memory, disk, gpus, zone, tags } = node;
    let tags = tags.join(",");
    let cpu = cpu.to_string();
    let all = [
        ("cpu", Some(cpu.as_str())),
        ("memory", Some(memory.as_str())),
        ("disk", disk.as_deref()),
        ("gpu", gpus.as_deref()),
        ("name", name.as_ref().map(|name| name.as_str())),
        ("zone", zone.as_deref()),
        ("tags", Some(tags.as_str())),
    ];
    let said = all.into_iter().filter_map(|(word, value)| Some((word, value?)));
    let said: Vec<_> = said.filter(|(_, value)| !value.is_empty()).collect();
    // A blank would begin another property.
    if let Some((word, _)) = said.iter().find(|(_, value)| value.contains(char::is_whitespace)) {
        return Err(format!("`{word}` of the new node holds a blank: write it without one"));
    }
    let words: Vec<String> = said.iter().map(|(word, value)| format!("{word}={value}")).collect();
    Ok(words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supposed_node_reads_as_the_command_line_reads_it() {
        let node = |json: serde_json::Value| {
            let node: SupposedNode = serde_json::from_value(json).unwrap();
            new_node(&node)
        };
        let whole = serde_json::json!({
            "name": "forge", "cpu": 16, "memory": "64GiB", "gpus": "2x24GiB", "zone": "a",
            "tags": ["ssd", "gpu"],
        });
        assert_eq!(
            node(whole).unwrap(),
            "cpu=16 memory=64GiB gpu=2x24GiB name=forge zone=a tags=ssd,gpu"
        );
        let small = serde_json::json!({"cpu": 4, "memory": "8GiB"});
        assert_eq!(node(small).unwrap(), "cpu=4 memory=8GiB");
        for blank in ["8GiB tags=infra", "8GiB\ttags=infra", "8GiB zone=x"] {
            let trick = serde_json::json!({"cpu": 4, "memory": blank, "tags": []});
            assert!(node(trick).unwrap_err().contains("`memory`"), "{blank}");
        }
    }
}
