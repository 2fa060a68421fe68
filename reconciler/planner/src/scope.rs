//! Which instances a plan may touch: `-target`, `-exclude`, `-replace` and restarts.
//!
//! Knows addresses and dependencies. Refuses to know what would change.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    desired::DesiredState,
    diagnostic::Diagnostic,
    name::{InstanceId, NodeName, ServiceName},
};

use crate::{input::PlanInput, observations::Observations, observed::Observed};

/// What people type to name a part of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Address {
    Service(ServiceName),
    Instance(InstanceId),
    Node(NodeName),
}

/// Which instances a plan may touch.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    /// `None` means everything.
    target: Option<BTreeSet<Address>>,
    exclude: BTreeSet<Address>,
    replace: BTreeSet<Address>,
    restart: BTreeSet<Address>,
}

impl Scope {
    /// Reads the options.
    ///
    /// # Errors
    /// Addresses that are no addresses, or of nothing that is declared or runs.
    pub(crate) fn of(
        input: &PlanInput<'_>,
        observations: &Observations<'_>,
    ) -> Result<Self, Vec<Diagnostic>> {
        let options = &input.options;
        let mut errors = Vec::new();
        let mut read = |flag: &str, texts: &[String]| -> BTreeSet<Address> {
            let known = |text: &String| match address(text, input.desired, observations) {
                Ok(address) => Some(address),
                Err(problem) => {
                    errors.push(bad(flag, &problem));
                    None
                }
            };
            texts.iter().filter_map(known).collect()
        };
        let target = read("-target", &options.target);
        let exclude = read("-exclude", &options.exclude);
        let replace = read("-replace", &options.replace);
        let restart = read("restart", &options.restart);
        if !errors.is_empty() {
            return Err(errors);
        }
        let (down, up) = edges(input.desired);
        let with = if options.destroy { &up } else { &down };
        let before = if options.destroy { &down } else { &up };
        let mut exclude = closed(exclude, before);
        exclude.extend(input.policy.held.iter().cloned().map(Address::Instance));
        Ok(Self {
            target: (!options.target.is_empty()).then(|| closed(target, with)),
            exclude,
            replace,
            restart,
        })
    }

    /// All of the cluster.
    pub(crate) fn whole() -> Self {
        Self {
            target: None,
            exclude: BTreeSet::new(),
            replace: BTreeSet::new(),
            restart: BTreeSet::new(),
        }
    }

    /// Whether everything may be touched.
    pub(crate) fn is_whole(&self) -> bool {
        self.target.is_none() && self.exclude.is_empty()
    }

    /// Whether the plan may touch this instance, which is or will be on these nodes.
    pub(crate) fn holds(&self, id: &InstanceId, nodes: &[&NodeName]) -> bool {
        self.target.as_ref().is_none_or(|target| names(target, id, nodes))
            && !names(&self.exclude, id, nodes)
    }

    /// Whether the plan may touch any instance of this service.
    pub(crate) fn touches(&self, service: &ServiceName) -> bool {
        let chosen = self.target.as_ref().is_none_or(|target| {
            target.iter().any(|address| match address {
                Address::Service(name) => name == service,
                Address::Instance(id) => id.service == *service,
                Address::Node(_) => true,
            })
        });
        chosen && !self.exclude.contains(&Address::Service(service.clone()))
    }

    /// Whether a unit that nobody declares (any more) is removed: it can be reached, the plan may
    /// touch it, and either its service still says how many there are, or pruning is on and it was
    /// not protected.
    pub(crate) fn removes(
        &self,
        input: &PlanInput<'_>,
        observations: &Observations<'_>,
        (id, unit): (&InstanceId, &Observed<'_>),
    ) -> bool {
        let declared = input.desired.services.contains_key(&id.service);
        let pruned = input.policy.prune && !observations.protects(&id.service);
        let wished = declared || pruned || input.options.destroy;
        wished && unit.is_known() && self.holds(id, &[unit.node()])
    }

    /// Whether `-replace` names this instance, which is on this node.
    pub(crate) fn replaces(&self, id: &InstanceId, node: &NodeName) -> bool {
        names(&self.replace, id, &[node])
    }

    /// Whether a restart of this instance, which is on this node, was asked for.
    pub(crate) fn restarts(&self, id: &InstanceId, node: &NodeName) -> bool {
        names(&self.restart, id, &[node])
    }
}

fn names(set: &BTreeSet<Address>, id: &InstanceId, nodes: &[&NodeName]) -> bool {
    set.contains(&Address::Service(id.service.clone()))
        || set.contains(&Address::Instance(id.clone()))
        || nodes.iter().any(|&node| set.contains(&Address::Node(node.clone())))
}

fn bad(flag: &str, problem: &str) -> Diagnostic {
    Diagnostic::error("DN-E0604", None, format!("{flag}: {problem}"))
        .help("write an address like service.db, service.api[2] or node.atlas")
}

fn address(
    text: &str,
    desired: &DesiredState,
    observations: &Observations<'_>,
) -> Result<Address, String> {
    let shown = text.escape_debug();
    let address = if let Some(node) = text.strip_prefix("node.") {
        Address::Node(node.parse().map_err(|error| format!("{error}"))?)
    } else if text.ends_with(']') {
        Address::Instance(text.parse().map_err(|error| format!("{error}"))?)
    } else {
        let name = text.strip_prefix("service.").unwrap_or(text);
        Address::Service(name.parse().map_err(|error| format!("{error}"))?)
    };
    let runs =
        |service: &ServiceName| observations.observed.keys().any(|id| id.service == *service);
    let known = match &address {
        Address::Service(name) => desired.services.contains_key(name) || runs(name),
        Address::Instance(id) => {
            desired
                .services
                .get(&id.service)
                .is_some_and(|service| service.replicas.wants(id.index))
                || observations.observed.contains_key(id)
        }
        Address::Node(name) => observations.nodes.contains_key(name),
    };
    known.then_some(address).ok_or_else(|| format!("there is no {shown}"))
}

type Edges<'a> = BTreeMap<&'a ServiceName, Vec<&'a ServiceName>>;

/// What each service depends on, and what depends on it.
fn edges(desired: &DesiredState) -> (Edges<'_>, Edges<'_>) {
    let (mut down, mut up) = (Edges::new(), Edges::new());
    for service in desired.services.values() {
        for dependency in &service.depends_on {
            down.entry(&service.name).or_default().push(&dependency.value);
            up.entry(&dependency.value).or_default().push(&service.name);
        }
    }
    (down, up)
}

/// The addresses and every service that the edges lead to from them.
fn closed(mut set: BTreeSet<Address>, edges: &Edges<'_>) -> BTreeSet<Address> {
    let services = set.iter().filter_map(|address| match address {
        Address::Service(name) => Some(name.clone()),
        Address::Instance(id) => Some(id.service.clone()),
        Address::Node(_) => None,
    });
    let mut open: Vec<ServiceName> = services.collect();
    let mut seen: BTreeSet<ServiceName> = open.iter().cloned().collect();
    while let Some(service) = open.pop() {
        for &next in edges.get(&service).into_iter().flatten() {
            if seen.insert(next.clone()) {
                set.insert(Address::Service(next.clone()));
                open.push(next.clone());
            }
        }
    }
    set
}
