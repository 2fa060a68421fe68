//! Who runs and is held as it is by its data, whatever placement would say of it: with data in
//! doubt or with another driver, or away from data that cannot be had.
//!
//! Knows which unit goes on, and why nothing else is done about it. What that has of its node
//! counts in the placement problem ([`crate::problem`]), so it is found before anything is placed
//! where it can be. Refuses to hold what does not run: that waits.

use std::collections::BTreeMap;

use devnet_schema::{
    desired::Service,
    fleet::NodeStatus,
    instance::Runtime,
    name::{InstanceId, NodeName},
};

use crate::{
    blocked::Blocked, data::Home, input::PlanInput, observations::Observations, observed::Observed,
    scope::Scope,
};

/// Everything that is held as it is.
pub(crate) type Holds = BTreeMap<InstanceId, Hold>;

/// A unit that goes on as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hold {
    /// Where it is.
    pub node: NodeName,
    /// The name it runs under.
    pub runs_as: InstanceId,
    /// Why.
    pub why: Held,
}

/// Why a unit is held as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Held {
    /// There is other data that may be the newest.
    Doubt(Vec<(NodeName, InstanceId)>),
    /// Its data is with another driver than the one that is declared by now.
    Runtime(Runtime),
    /// Its newest data is on that node, and cannot be had there.
    Away(NodeName),
    /// Only its node itself says that it was told to run it, and these lines or states are against
    /// that.
    Told(Vec<String>),
    /// What is declared has no place where its data is.
    Place,
}

impl Hold {
    /// Of a unit.
    pub(crate) fn of(unit: &Observed<'_>, why: Held) -> Self {
        Self { node: unit.node().clone(), runs_as: unit.runs_as(), why }
    }

    /// Whether nothing at all is done: every copy is left alone, and nothing is told to any.
    pub(crate) fn decides_nothing(&self) -> bool {
        matches!(self.why, Held::Doubt(_) | Held::Away(_) | Held::Told(_))
    }

    /// Whether it is this one.
    pub(crate) fn is(&self, unit: &Observed<'_>) -> bool {
        *unit.node() == self.node && unit.runs_as() == self.runs_as
    }
}

/// What is known to be held before anything is placed.
pub(crate) fn known(
    input: &PlanInput<'_>,
    observations: &Observations<'_>,
    scope: &Scope,
    blocked: &Blocked,
) -> Holds {
    let mut holds = Holds::new();
    if input.options.destroy {
        return holds;
    }
    for (id, home) in &observations.homes {
        let service = input.desired.services.get(&id.service);
        let service = service.filter(|it| it.replicas.wants(id.index) && !it.volumes.is_empty());
        let Some(service) = service.filter(|it| !blocked.contains_key(&it.name)) else { continue };
        let hold = early(observations, service, (id, home));
        holds.extend(hold.filter(|it| scope.holds(id, &[&it.node])).map(|it| (id.clone(), it)));
    }
    holds
}

fn early(
    observations: &Observations<'_>,
    service: &Service,
    (id, home): (&InstanceId, &Home<'_>),
) -> Option<Hold> {
    // Of what cannot be asked nothing is decided anyway.
    observations.best(id).filter(|it| it.is_known() || it.status == NodeStatus::Lost)?;
    let at_home = known_at(observations, id, home.node);
    if home.doubtful {
        let unit = at_home.or_else(|| first_known(observations, id))?;
        return Some(Hold::of(unit, Held::Doubt(in_doubt(home))));
    }
    if home.may_be_left(service) {
        return None;
    }
    match at_home {
        Some(unit) => {
            let other = home.runtime.filter(|of| *of != service.runtime)?;
            Some(Hold::of(unit, Held::Runtime(other)))
        }
        None if observations.status(home.node) != NodeStatus::Online => {
            Some(Hold::of(first_known(observations, id)?, Held::Away(home.node.clone())))
        }
        None => None,
    }
}

/// The unit of an instance that is known to be on a node.
pub(crate) fn known_at<'c, 'a>(
    observations: &'c Observations<'a>,
    id: &InstanceId,
    node: &NodeName,
) -> Option<&'c Observed<'a>> {
    let group = observations.observed.get(id)?;
    group.iter().find(|it| it.is_known() && it.node() == node)
}

/// The unit of an instance that is known and counts first.
pub(crate) fn first_known<'c, 'a>(
    observations: &'c Observations<'a>,
    id: &InstanceId,
) -> Option<&'c Observed<'a>> {
    observations.observed.get(id)?.iter().find(|it| it.is_known())
}

/// All that may be the newest, what counts first before the others.
pub(crate) fn in_doubt(home: &Home<'_>) -> Vec<(NodeName, InstanceId)> {
    let rivals = home.rivals.iter().map(|(node, of)| ((*node).clone(), of.clone()));
    std::iter::once((home.node.clone(), home.of.clone())).chain(rivals).collect()
}
