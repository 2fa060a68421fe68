//! Settings, variables, nodes and renames.
//!
//! Knows their defaults and how they contradict one another. Refuses to know services.

use std::collections::BTreeMap;

use super::Check;
use crate::{
    desired::{Capacity, NodePolicy, Settings},
    diagnostic::{Diagnostic, Located, Location},
    file::{
        forbidden,
        written::{CapacitySection, Maybe, ResourcesSection},
    },
    name::{NodeName, ServiceName},
    quantity::{Bytes, Cpu, GpuRequest, Period, Resources},
};

/// The shortest time between two looks at a repository.
const SHORTEST_INTERVAL: Period = Period::seconds(1);
/// The shortest absence that may count as a loss: a few heartbeats.
const SHORTEST_LOSS: Period = Period::seconds(10);

impl Check<'_> {
    pub(super) fn settings(&mut self) -> Settings {
        let mut settings = Settings::default();
        let Some(cluster) = &self.file.cluster else {
            return settings;
        };
        if let Some(sync) = &cluster.sync {
            settings.auto = sync.auto.as_ref().map_or(settings.auto, |auto| auto.value);
            settings.prune = sync.prune.as_ref().map_or(settings.prune, |prune| prune.value);
            settings.self_heal =
                sync.self_heal.as_ref().map_or(settings.self_heal, |heal| heal.value);
            settings.interval =
                self.at_least("interval", &sync.interval, SHORTEST_INTERVAL, settings.interval);
        }
        settings.lost_after =
            self.at_least("lost-after", &cluster.lost_after, SHORTEST_LOSS, settings.lost_after);
        settings.objective = cluster.placement.as_ref().map_or(settings.objective, |o| o.value);
        settings.unplaced = cluster.unplaced.as_ref().map_or(settings.unplaced, |u| u.value);
        settings
    }

    /// A period that may not be shorter than `least`.
    pub(super) fn at_least(
        &mut self,
        field: &str,
        written: &Maybe<Period>,
        least: Period,
        default: Period,
    ) -> Period {
        let Some(Located { value, at }) = written else {
            return default;
        };
        if *value < least {
            let message = format!("`{field}` is {value}, which is too short");
            self.error("DN-E0317", at, message, format!("write \"{least}\" or longer"));
        }
        *value
    }

    pub(super) fn variables(&mut self, overrides: &BTreeMap<String, String>) {
        let declared = self.file.cluster.as_ref().map_or(&[][..], |cluster| &cluster.vars);
        for (name, value) in declared {
            if !is_variable(&name.value) {
                let message = format!("`{}` is not a variable's name", name.value.escape_debug());
                let help = "use letters, digits, `_` and `-`, beginning with a letter";
                self.error("DN-E0301", &name.at, message, help);
            }
            self.vars.insert(name.value.clone(), value.value.clone());
        }
        self.vars.extend(overrides.iter().map(|(name, value)| (name.clone(), value.clone())));
    }

    pub(super) fn node_policies(&mut self) -> BTreeMap<NodeName, NodePolicy> {
        let mut policies = BTreeMap::new();
        for section in self.nodes.values().copied().collect::<Vec<_>>() {
            let Some(name) = self.name(&section.name) else {
                continue;
            };
            let drain = section.drain.as_ref().is_some_and(|drain| drain.value);
            let cordon = section.cordon.as_ref().is_some_and(|cordon| cordon.value);
            let mut tags: Vec<String> = Vec::new();
            for tag in &section.tags {
                self.word("tag", tag);
                tags.push(tag.value.clone());
            }
            tags.sort();
            tags.dedup();
            if let Some(zone) = &section.zone {
                self.word("zone", zone);
            }
            let policy = NodePolicy {
                at: section.at.clone(),
                tags,
                zone: section.zone.as_ref().map(|zone| zone.value.clone()),
                reserve: section.reserve.as_ref().map_or_else(Resources::default, plain),
                capacity: section.capacity.as_ref().map_or_else(Capacity::default, most),
                cordon: cordon || drain,
                drain,
            };
            policies.insert(name, policy);
        }
        policies
    }

    /// Tags and zones are compared letter by letter, so blanks at their ends would never be seen;
    /// and they are shown to people, so what they show is what they are.
    pub(super) fn word(&mut self, what: &str, word: &Located<String>) {
        let text = &word.value;
        let hides = text.is_empty() || text.trim() != text || text.chars().any(forbidden);
        if hides || text.starts_with('-') {
            let shown: String = text.chars().take(80).collect();
            let message = format!("`{}` is not a {what}", shown.escape_debug());
            let help =
                "write a word without blanks at its ends, control characters, or a `-` first";
            self.error("DN-E0301", &word.at, message, help);
        }
    }

    /// Where the old names of renames stand.
    pub(super) fn moved_at(&self) -> BTreeMap<ServiceName, Location> {
        let lines = self.file.moved.iter().filter_map(|section| section.from.as_ref());
        let lines = lines.filter_map(|from| Some((from.value.parse().ok()?, from.at.clone())));
        lines.collect()
    }

    /// A new name that is no service's is the old one of a later rename: what has not been renamed
    /// yet, since its node was away, say, is found by following all of them.
    fn later_name(&mut self, to: &Located<String>) {
        let lines = &self.file.moved;
        let mut name = &to.value;
        // As often as there are lines at most, so a circle ends too.
        for _ in lines {
            let next = lines.iter().find(|it| it.from.as_ref().is_some_and(|it| it.value == *name));
            let Some(next) = next.and_then(|it| it.to.as_ref()) else { break };
            let next = &next.value;
            if self.services.contains_key(next.as_str()) || self.member_at.contains_key(next) {
                return;
            }
            name = next;
        }
        self.no_service(to);
    }

    pub(super) fn moved(&mut self) -> Vec<(ServiceName, ServiceName)> {
        let (mut moves, mut sources, mut targets) =
            (Vec::new(), BTreeMap::<_, &Location>::new(), BTreeMap::<_, &Location>::new());
        for section in &self.file.moved {
            let (Some(from), Some(to)) = (&section.from, &section.to) else {
                continue;
            };
            let member = self.member_at.contains_key(&to.value);
            if let Some(project) = self.projects.get(to.value.as_str()) {
                let names: Vec<String> =
                    project.members().map(|name| format!("`{name}`")).collect();
                let message = format!("`{}` is a Compose file, not one service", to.value);
                let help = format!("move each service by itself: {}", names.join(", "));
                self.error("DN-E0319", &to.at, message, help);
            } else if !member && !self.services.contains_key(to.value.as_str()) {
                self.later_name(to);
            }
            let still = self.services.get(from.value.as_str()).map(|still| &still.at);
            if let Some(still) = still.or_else(|| self.member_at.get(&from.value)) {
                let still = still.clone();
                let message = format!("`{}` was moved and is declared too", from.value);
                let error = Diagnostic::error("DN-E0319", Some(from.at.clone()), message)
                    .related(still, "declared here")
                    .help("remove the declaration, or the `moved` line");
                self.found.push(error);
            }
            let source = sources.get(from.value.as_str()).map(|first| {
                (first, from, format!("`{}` is moved twice", from.value.escape_debug()))
            });
            let target = targets.get(to.value.as_str()).map(|first| {
                (first, to, format!("two services are moved to `{}`", to.value.escape_debug()))
            });
            if let Some((first, again, message)) = source.or(target) {
                let error = Diagnostic::error("DN-E0319", Some(again.at.clone()), message)
                    .related(Location::clone(first), "first here")
                    .help("one service can only become one other: remove one of the lines");
                self.found.push(error);
                continue;
            }
            sources.insert(from.value.as_str(), &from.at);
            targets.insert(to.value.as_str(), &to.at);
            if let (Some(from), Some(to)) = (self.name(from), self.name(to)) {
                moves.push((from, to));
            }
        }
        moves
    }
}

fn most(section: &CapacitySection) -> Capacity {
    let CapacitySection { at: _, cpu, memory, disk, gpus } = section;
    Capacity {
        cpu: cpu.as_ref().map(|it| it.value),
        memory: memory.as_ref().map(|it| it.value),
        disk: disk.as_ref().map(|it| it.value),
        gpus: gpus.as_ref().map(|it| it.value),
    }
}

/// What a section says, and nothing where it says nothing.
pub(super) fn plain(section: &ResourcesSection) -> Resources {
    Resources {
        cpu: section.cpu.as_ref().map_or(Cpu::ZERO, |cpu| cpu.value),
        memory: section.memory.as_ref().map_or(Bytes(0), |memory| memory.value),
        disk: section.disk.as_ref().map_or(Bytes(0), |disk| disk.value),
        gpu: gpu(section).unwrap_or_default(),
    }
}

/// What a section asks of GPUs; `None` when it says nothing of them.
pub(super) fn gpu(section: &ResourcesSection) -> Option<GpuRequest> {
    let devices = section.gpu.as_ref().map(|gpu| match gpu.value.milli {
        share @ 1..1000 => GpuRequest::Share(share),
        whole => GpuRequest::Whole(whole / 1000),
    });
    let slice = section.gpu_memory.as_ref().map(|memory| GpuRequest::Memory(memory.value));
    devices.or(slice)
}

fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    name.len() <= 63
        && chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}
