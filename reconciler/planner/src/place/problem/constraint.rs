//! Which constraint speaks against an instance on a node.
//!
//! Knows every kind and its name in plans. Refuses to know when one is met: `model` and `verify`
//! each know that for themselves.
//!
//! A plan names constraints as text, a contract with programs. Inside they are of a type, so that
//! what finds a violation and what lifts it cannot spell it differently.

use devnet_schema::placement::Violation;

use super::lines::Key;

/// A kind of constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Constraint {
    /// A `require` or a `forbid` of this key; a runtime comes with the service's form.
    Condition(Key),
    /// The service is pinned to another node.
    Pin,
    /// The node has too little cpu.
    Cpu,
    /// It has too little memory.
    Memory,
    /// It has too little disk.
    Disk,
    /// It has too few devices, or too little is left of them.
    Gpu,
    /// None of its devices is large enough.
    GpuMemory,
    /// A port is taken.
    Port,
    /// Enough instances of the service run there already.
    MaxPerNode,
    /// The service and another there must stay apart.
    ApartFrom,
    /// A service that another must run near is not there.
    Near,
    /// The instances would be spread unevenly.
    Spread,
    /// The data of the instance is elsewhere.
    Data,
    /// None of the service may come to the node.
    Closed,
    /// The node is cordoned.
    Cordon,
    /// It is being drained.
    Drain,
    /// It is offline.
    Offline,
    /// It has been offline for too long.
    Lost,
    /// A condition, a pin or a port outside the cluster: `verify` does not tell them apart.
    Filter,
    /// The state of the node, whichever it is.
    State,
    /// The service is in the problem.
    KnownService,
    /// The node is in the problem.
    KnownNode,
    /// What is retained runs where it is said to.
    Retained,
    /// The instance is one of those wanted.
    Replicas,
    /// As many are placed or said to be missing as are wanted.
    Total,
    /// As many are placed of a priority as is said.
    Level,
}

impl Constraint {
    /// All that a plan can name, conditions included.
    pub const ALL: [Self; 32] = [
        Self::Condition(Key::Tag),
        Self::Condition(Key::Zone),
        Self::Condition(Key::Os),
        Self::Condition(Key::Arch),
        Self::Condition(Key::GpuModel),
        Self::Condition(Key::Node),
        Self::Condition(Key::Runtime),
        Self::Pin,
        Self::Cpu,
        Self::Memory,
        Self::Disk,
        Self::Gpu,
        Self::GpuMemory,
        Self::Port,
        Self::MaxPerNode,
        Self::ApartFrom,
        Self::Near,
        Self::Spread,
        Self::Data,
        Self::Closed,
        Self::Cordon,
        Self::Drain,
        Self::Offline,
        Self::Lost,
        Self::Filter,
        Self::State,
        Self::KnownService,
        Self::KnownNode,
        Self::Retained,
        Self::Replicas,
        Self::Total,
        Self::Level,
    ];

    /// Its name in plans: [`Violation::constraint`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Condition(key) => key.word(),
            Self::Pin => "pin",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Gpu => "gpu",
            Self::GpuMemory => "gpu-memory",
            Self::Port => "port",
            Self::MaxPerNode => "max-per-node",
            Self::ApartFrom => "apart-from",
            Self::Near => "near",
            Self::Spread => "spread",
            Self::Data => "data",
            Self::Closed => "closed",
            Self::Cordon => "cordon",
            Self::Drain => "drain",
            Self::Offline => "away",
            Self::Lost => "lost",
            Self::Filter => "filter",
            Self::State => "state",
            Self::KnownService => "known-service",
            Self::KnownNode => "known-node",
            Self::Retained => "retained",
            Self::Replicas => "replicas",
            Self::Total => "total",
            Self::Level => "level",
        }
    }

    /// The constraint of that name; nothing where this planner knows none.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    /// Which one a violation is of; nothing where this planner knows none of that name.
    pub fn of(violation: &Violation) -> Option<Self> {
        Self::named(&violation.constraint)
    }

    /// Whether a change of sizes or of neighbours lifts it, and no line of the service.
    pub fn is_room(self) -> bool {
        let amounts = matches!(self, Self::Cpu | Self::Memory | Self::Disk);
        amounts || matches!(self, Self::Gpu | Self::GpuMemory | Self::Port)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Constraint;

    #[test]
    fn every_constraint_is_read_from_its_own_name() {
        for constraint in Constraint::ALL {
            assert_eq!(Constraint::named(constraint.name()), Some(constraint));
        }
        let names: BTreeSet<&str> = Constraint::ALL.into_iter().map(Constraint::name).collect();
        assert_eq!(names.len(), Constraint::ALL.len(), "no two have one name");
        assert_eq!(Constraint::named("colour"), None);
    }

    #[test]
    fn what_lacks_room_is_told_from_what_a_line_forbids() {
        let room: Vec<&str> =
            Constraint::ALL.into_iter().filter(|it| it.is_room()).map(Constraint::name).collect();
        assert_eq!(room, ["cpu", "memory", "disk", "gpu", "gpu-memory", "port"]);
    }
}
