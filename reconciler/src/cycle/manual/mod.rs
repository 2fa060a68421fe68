//! Compose files that someone puts on a node by hand: the seed design's deploy call.
//!
//! Knows how such a call becomes a plan, so that it is applied, recorded and reported like any
//! other. What it runs is declared nowhere: with `sync prune=#true` the loop takes it away again.
//! Refuses bind mounts and everything else that the Compose model refuses.

mod compose;

use std::{collections::BTreeMap, sync::Arc};

use devnet_schema::{
    diagnostic::Diagnostic,
    digest::Digest,
    fleet::FleetSnapshot,
    instance::{InstanceSpec, Workload},
    name::{ClusterName, InstanceId, NodeName},
    observed::ObservedInstance,
    plan::{Action, Change, Plan, PlanBasis, Summary},
    quantity::Period,
    step::{Act, Step},
};

use super::{ControlPlane, RequestError, configuration::Rejected};
use crate::{
    api::{DeployAction, DeployRequest, Deployment},
    clock,
    fleet::Purpose,
};

/// How long each instance may take to become healthy.
const HEALTHY: Period = Period::seconds(300);

/// One instance and what is done with it.
struct Wanted {
    instance: InstanceId,
    generation: u64,
    before: Option<Box<InstanceSpec>>,
    after: Option<InstanceSpec>,
}

impl ControlPlane {
    /// Puts the services of a Compose file on a node, or takes them away.
    ///
    /// # Errors
    /// When the file is not usable, the cluster has no name yet, or another deployment runs.
    pub fn deploy_by_hand(
        self: &Arc<Self>,
        node: &NodeName,
        request: &DeployRequest,
        by: &str,
    ) -> Result<Deployment, RequestError> {
        check_id(&request.deployment_id)?;
        self.is_settled()?;
        let cluster = self.fleet.cluster().ok_or(RequestError::Unnamed)?;
        if self.store.deployment(&request.deployment_id)?.is_some() {
            return Err(RequestError::IdTaken(request.deployment_id.clone()));
        }
        self.orders_are_known()?;
        let fleet = self.snapshot(Purpose::Plan, self.lost_after())?;
        let seen: Vec<&ObservedInstance> = {
            let orders = self.orders();
            let here = fleet.instances.iter().filter(|seen| seen.node == *node);
            // What nobody ordered there is nothing that can be taken away.
            here.filter(|seen| orders.knows(&seen.instance(), node)).collect()
        };
        let ip = fleet.nodes.iter().find(|one| one.name == *node);
        let ip = ip.map(|one| one.facts.ip.clone()).unwrap_or_default();
        let specs = compose::specs(request, &cluster, node, &ip)
            .map_err(|found| rejected("the Compose file cannot be used", found))
            .map_err(RequestError::Invalid)?;
        let known = devnet_planner::known_generations(&self.store.generations()?, &fleet);
        let wanted = wanted(request, specs, &seen, &known);
        let harmed = wanted.iter().filter_map(|one| harm(&fleet, node, one)).collect::<Vec<_>>();
        if !harmed.is_empty() {
            return Err(RequestError::Invalid(rejected("this cannot be done by hand", harmed)));
        }
        let plan = plan(&cluster, node, request, wanted);
        let id = request.deployment_id.clone();
        Ok(self.begin_as(id, plan, by, self.config.apply)?)
    }
}

fn check_id(id: &str) -> Result<(), RequestError> {
    let fits = (1..=64).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if fits { Ok(()) } else { Err(RequestError::BadId) }
}

fn rejected(what: &str, diagnostics: Vec<Diagnostic>) -> Rejected {
    let first = diagnostics.iter().find(|f| f.is_error()).map(ToString::to_string);
    let problem = format!("{what}: {}", first.unwrap_or_default());
    Rejected { problem, diagnostics }
}

/// Why one instance may not be changed by hand: what is protected stays as it is, and nothing
/// starts away from its data.
fn harm(fleet: &FleetSnapshot, node: &NodeName, one: &Wanted) -> Option<Diagnostic> {
    let Wanted { instance, after, .. } = one;
    if fleet.protected.iter().any(|id| id.service == instance.service) {
        let message = format!("{instance} is protected");
        let help = format!("commit `{}` without `protect` first", instance.service);
        return Some(Diagnostic::error("DN-E0602", None, message).help(help));
    }
    let own = fleet.data.iter().filter(|place| place.instance == *instance);
    let newest = own.max_by_key(|place| place.generation).filter(|place| place.node != *node)?;
    after.as_ref().filter(|spec| !spec.volumes.is_empty())?;
    let message = format!("{instance} has its data on {}, not on {node}", newest.node);
    let help = format!("put it on {}, or call it otherwise", newest.node);
    Some(Diagnostic::error("DN-E0622", None, message).help(help))
}

/// Whether a unit was made from a template: it has its name, or that of one of its services and its
/// project. A service that is only called alike belongs to somebody else.
fn is_of_template(spec: &InstanceSpec, template: &str) -> bool {
    let name = spec.id.service.as_str();
    let Some(rest) = name.strip_prefix(template) else { return false };
    let volumes = spec.volumes.iter().filter_map(|volume| volume.project.as_ref());
    let networks = match &spec.workload {
        Workload::Container(container) => container.networks.as_slice(),
        Workload::Process { .. } => &[],
    };
    let mut projects = networks.iter().map(|network| &network.project).chain(volumes);
    rest.is_empty() || (rest.starts_with('-') && projects.any(|it| it.as_str() == template))
}

/// What is done with each instance. A removal without a file takes everything of the template.
fn wanted(
    request: &DeployRequest,
    specs: Vec<InstanceSpec>,
    seen: &[&ObservedInstance],
    known: &BTreeMap<InstanceId, u64>,
) -> Vec<Wanted> {
    let find = |id: &InstanceId| seen.iter().find(|one| one.instance() == *id);
    // One that is too high is refused where it is given out.
    let next = |id: &InstanceId| known.get(id).copied().unwrap_or(0).saturating_add(1);
    let before = |id: &InstanceId| find(id).and_then(|one| one.spec.clone());
    let of_template = |seen: &ObservedInstance| {
        seen.spec.as_ref().is_some_and(|spec| is_of_template(spec, &request.template_id))
    };
    match request.action {
        DeployAction::Apply => specs
            .into_iter()
            .map(|spec| Wanted {
                instance: spec.id.clone(),
                generation: next(&spec.id),
                before: before(&spec.id),
                after: Some(spec),
            })
            .collect(),
        DeployAction::Remove => {
            let named: Vec<InstanceId> = specs.into_iter().map(|spec| spec.id).collect();
            let whole = named.is_empty();
            seen.iter()
                .filter(
                    |one| if whole { of_template(one) } else { named.contains(&one.instance()) },
                )
                .map(|one| one.instance())
                .map(|id| Wanted {
                    generation: next(&id),
                    before: before(&id),
                    after: None,
                    instance: id,
                })
                .collect()
        }
    }
}

fn plan(
    cluster: &ClusterName,
    node: &NodeName,
    request: &DeployRequest,
    wanted: Vec<Wanted>,
) -> Plan {
    let mut summary = Summary::default();
    let (mut changes, mut steps) = (Vec::new(), Vec::new());
    for one in wanted {
        steps.extend(steps_of(node, &one));
        let action = match (&one.before, &one.after) {
            (_, None) => Action::Delete,
            (None, Some(_)) => Action::Create,
            (Some(_), Some(_)) => Action::Update,
        };
        match action {
            Action::Delete => summary.destroy += 1,
            Action::Create => summary.add += 1,
            _ => summary.change += 1,
        }
        changes.push(Change {
            instance: one.instance,
            action,
            node: node.clone(),
            from: None,
            reason: format!("asked for by hand from template {}", request.template_id),
            forces_replacement: Vec::new(),
            diff: String::new(),
            before: one.before,
            after: one.after.map(Box::new),
        });
    }
    let revision = Digest::of(&(&request.template_id, &request.rendered_compose)).to_string();
    Plan {
        id: Digest::of(&(&request.deployment_id, &changes, &steps)),
        basis: PlanBasis { revision, ..PlanBasis::default() },
        changes,
        steps,
        summary,
        ..Plan::empty(cluster.clone(), clock::wall().to_string())
    }
}

fn steps_of(node: &NodeName, one: &Wanted) -> Vec<Step> {
    let step = |word: &str, act: Act, after: Vec<String>| Step {
        id: format!("{}/{word}", one.instance),
        instance: one.instance.clone(),
        node: node.clone(),
        generation: one.generation,
        act,
        after,
    };
    let Some(spec) = &one.after else {
        return vec![step("remove", Act::Remove, Vec::new())];
    };
    let prepare = step("prepare", Act::Prepare { spec: Box::new(spec.clone()) }, Vec::new());
    let ensure = Act::Ensure { spec: Box::new(spec.clone()) };
    let start = step("start", ensure, vec![prepare.id.clone()]);
    let wait = Act::AwaitHealthy { timeout: HEALTHY };
    let healthy = step("await-healthy", wait, vec![start.id.clone()]);
    vec![prepare, start, healthy]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(id: &str, networks: &[&str]) -> InstanceSpec {
        let networks: Vec<_> = networks
            .iter()
            .map(|project| serde_json::json!({"project": project, "name": "default"}))
            .collect();
        serde_json::from_value(serde_json::json!({
            "cluster": "lab", "id": id, "node": "n1",
            "workload": {"container": {"image": "a:1", "networks": networks}},
        }))
        .unwrap()
    }

    #[test]
    fn a_template_is_not_every_service_that_begins_with_its_name() {
        assert!(is_of_template(&spec("web[0]", &[]), "web"));
        assert!(is_of_template(&spec("web-db[0]", &["web"]), "web"));
        for (id, networks) in
            [("web-api[0]", &[][..]), ("web-api[0]", &["shop"]), ("webshop[0]", &["web"])]
        {
            assert!(!is_of_template(&spec(id, networks), "web"), "{id} of {networks:?}");
        }
    }
}
