//! Which of the declared nodes could hold a service, as far as the file alone says.
//!
//! Knows tags, zones and names of declared nodes. Refuses to count cores and memory: what a node
//! has, only the node says, and the planner compares. Nodes may join that nobody declared, and tags
//! may come from an administrator elsewhere: what rests on those is a warning and no error.

use std::collections::{BTreeMap, BTreeSet};

use super::Check;
use crate::{
    desired::{Form, NodePolicy, Selector, SelectorKey, Service},
    diagnostic::{Diagnostic, Located, Location},
    name::{NodeName, ServiceName},
    replicas::Replicas,
};

type Nodes = BTreeMap<NodeName, NodePolicy>;
type Services = BTreeMap<ServiceName, Service>;

/// Of longer lists of nodes, nothing is said here: the planner tells what fits.
const MOST_NODES: usize = 200;

/// Of many nodes, so many are shown with what speaks against them.
const MOST_SHOWN: usize = 5;

/// A node that may hold a service, and what the file says of it.
type Candidate<'n> = (&'n str, Option<&'n NodePolicy>);

/// The nodes that a service names as the only ones, and where it says so.
struct Named<'a> {
    names: BTreeSet<&'a str>,
    /// Where the last line about names is.
    at: &'a Location,
    /// What each of these lines leaves.
    lines: Vec<(BTreeSet<&'a str>, &'a Location)>,
}

/// Why a node cannot hold a service, and the line that says so where that is not the node's own.
struct Against<'a> {
    why: String,
    line: Option<&'a Location>,
}

impl Check<'_> {
    /// Checks every service against the declared nodes.
    pub(super) fn eligible(&mut self, services: &Services, nodes: &Nodes) {
        let tags: BTreeSet<&str> =
            nodes.values().flat_map(|node| &node.tags).map(String::as_str).collect();
        let zones: BTreeSet<&str> =
            nodes.values().filter_map(|node| node.zone.as_deref()).collect();
        let mut only = BTreeMap::new();
        for service in services.values() {
            let unknown = [(SelectorKey::Tag, &tags), (SelectorKey::Zone, &zones)]
                .map(|(key, known)| self.known_words(service, key, known))
                .contains(&true);
            self.similar_words(service, SelectorKey::Tag, &tags);
            self.similar_words(service, SelectorKey::Zone, &zones);
            match named(service) {
                Some(named) if named.names.len() <= MOST_NODES => {
                    self.on_named(service, &named, nodes, unknown);
                    let single = (named.names.len() == 1).then(|| named.names.first().copied());
                    only.extend(single.flatten().map(|one| (&service.name, (one, named.at))));
                }
                None if nodes.len() <= MOST_NODES && !unknown => {
                    self.on_declared(service, nodes);
                }
                _ => {}
            }
        }
        self.together(services, &only);
    }

    /// A service that names the nodes it may be on.
    fn on_named(&mut self, service: &Service, named: &Named<'_>, nodes: &Nodes, unknown: bool) {
        let (mut left, mut against) = (Vec::new(), Vec::new());
        for &name in &named.names {
            let policy = name.parse::<NodeName>().ok().and_then(|name| nodes.get(&name));
            match excluded(service, name, policy) {
                Some(Against { why, line }) => {
                    against.push((why, line.or(policy.map(|policy| &policy.at))));
                }
                None => left.push((name, policy)),
            }
        }
        if left.is_empty() {
            let message = format!("no node can hold service `{}`", service.name);
            let mut error = Diagnostic::error("DN-E0326", Some(named.at.clone()), message)
                .help("change one of the lines under `place`, or the node");
            for (why, at) in against.into_iter().take(MOST_SHOWN) {
                error = error.related(at.unwrap_or(named.at).clone(), why);
            }
            // No node is on all of the lines.
            for (names, at) in named.lines.iter().filter(|_| named.names.is_empty()) {
                error = error.related(Location::clone(at), format!("only {} here", listed(names)));
            }
            self.found.push(error);
            return;
        }
        self.too_many(service, &left.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        let mut fit = left.clone();
        fit.retain(|(name, policy)| policy.is_none_or(|policy| fits(service, name, policy)));
        // Of words that no node has, that is told.
        if fit.is_empty() && unknown {
            return self.closed(service, named.at, &left);
        }
        if fit.is_empty() {
            return self.none_fits(service, named.at, &left);
        }
        if fit.len() < left.len() {
            self.few(service, &fit);
        }
        self.closed(service, named.at, &fit);
    }

    /// More instances than the nodes may have that are left.
    fn too_many(&mut self, service: &Service, nodes: &[&str]) {
        let Replicas::Count(replicas) = service.replicas else { return };
        let replicas = replicas as usize;
        let of = match nodes {
            [one] => format!("node `{one}`"),
            more => format!("{} nodes", more.len()),
        };
        if let Some(most) = &service.place.max_per_node
            && replicas > nodes.len().saturating_mul(most.value as usize)
        {
            let message =
                format!("{replicas} instances may only be on {of}, at most {} on each", most.value);
            let help = "raise `max-per-node`, lower `replicas`, or allow more nodes";
            self.error("DN-E0305", &most.at, message, help);
        }
        for port in service.ports.iter().filter(|_| replicas > nodes.len()) {
            if let Some(host) = port.value.host {
                let message = format!(
                    "{replicas} instances of `{}` on {of} cannot all take port {host} there",
                    service.name
                );
                let help = "remove `host`, allow more nodes, or lower `replicas`";
                self.error("DN-E0314", &port.at, message, help);
            }
        }
    }

    /// All the nodes that a service may be on take nothing new.
    fn closed(&mut self, service: &Service, at: &Location, left: &[Candidate<'_>]) {
        if left.iter().any(|(_, policy)| policy.is_none_or(|policy| !policy.cordon)) {
            return;
        }
        let drained = left.iter().all(|(_, policy)| policy.is_some_and(|policy| policy.drain));
        let places = left.iter().filter_map(|(name, policy)| Some((*name, policy.as_ref()?)));
        let warning = if drained && !service.volumes.is_empty() {
            let message =
                format!("the data of `{}` cannot leave a node that is drained", service.name);
            let warning = Diagnostic::warning("DN-W0410", Some(at.clone()), message);
            warning.help("copy its volumes and name another node, or end the `drain`")
        } else {
            let message = format!("no node that may hold `{}` takes new instances", service.name);
            let warning = Diagnostic::warning("DN-W0409", Some(at.clone()), message);
            warning.help("end the `cordon` or `drain`, or allow other nodes")
        };
        let mut warning = warning;
        for (name, policy) in places {
            let word = if policy.drain { "drained" } else { "cordoned" };
            warning = warning.related(policy.at.clone(), format!("`{name}` is {word} here"));
        }
        self.found.push(warning);
    }

    /// A service that asks for tags and zones: of nodes that nobody declared it may be that they
    /// have them, and all that is said is what the declared ones can hold.
    fn on_declared(&mut self, service: &Service, nodes: &Nodes) {
        let asks = |require: &&Located<Selector>| {
            matches!(require.value.key, SelectorKey::Tag | SelectorKey::Zone)
        };
        let Some(last) = service.place.require.iter().rfind(asks).filter(|_| !nodes.is_empty())
        else {
            return;
        };
        let all: Vec<Candidate<'_>> =
            nodes.iter().map(|(name, policy)| (name.as_str(), Some(policy))).collect();
        let mut fit = all.clone();
        fit.retain(|(name, policy)| policy.is_some_and(|policy| fits(service, name, policy)));
        if fit.is_empty() {
            return self.none_fits(service, &last.at, &all);
        }
        self.few(service, &fit);
        self.closed(service, &last.at, &fit);
    }

    /// Each line is met by some declared node, and all of them by none that the service may be on.
    fn none_fits(&mut self, service: &Service, at: &Location, nodes: &[Candidate<'_>]) {
        let whys: Vec<(String, &Location)> = nodes
            .iter()
            .filter_map(|(name, policy)| {
                let Against { why, line } = against(service, name, (*policy)?)?;
                Some((why, line.unwrap_or(&policy.as_ref()?.at)))
            })
            .collect();
        // Of lines that contradict one another, that is told.
        if self.found.told(at) {
            return;
        }
        let message = format!("no declared node is all that `{}` asks for", service.name);
        let mut warning = Diagnostic::warning("DN-W0412", Some(at.clone()), message)
            .help("change one of the lines under `place`, or what is said of a node");
        for (why, at) in whys.into_iter().take(MOST_SHOWN) {
            warning = warning.related(at.clone(), why);
        }
        self.found.push(warning);
    }

    /// Fewer nodes are declared as a service asks than its instances need.
    fn few(&mut self, service: &Service, fit: &[Candidate<'_>]) {
        let Replicas::Count(replicas) = service.replicas else { return };
        let replicas = replicas as usize;
        let (of, have) = match fit {
            [(name, _)] => (format!("only node `{name}` is"), "has"),
            more => (format!("only {} nodes are", more.len()), "each have"),
        };
        let mut told = Vec::new();
        for port in service.ports.iter().filter(|_| replicas > fit.len()) {
            if let Some(host) = port.value.host {
                let rest = format!("and {have} port {host} once");
                let help = "remove `host`, or give other nodes what it asks for";
                told.push((&port.at, rest, help));
            }
        }
        if let Some(most) = &service.place.max_per_node
            && replicas > fit.len().saturating_mul(most.value as usize)
        {
            let rest = format!("for {replicas} instances, at most {} on each", most.value);
            let help = "raise `max-per-node`, or give other nodes what it asks for";
            told.push((&most.at, rest, help));
        }
        for (at, rest, help) in told {
            let message = format!("{of} declared as `{}` asks, {rest}", service.name);
            let mut warning = Diagnostic::warning("DN-W0411", Some(at.clone()), message);
            for policy in fit.iter().take(MOST_SHOWN).filter_map(|(_, policy)| *policy) {
                warning = warning.related(policy.at.clone(), "declared here");
            }
            self.found.push(warning.help(help));
        }
    }

    /// Tags or zones that no declared node has: told where nodes are declared with any, as it is
    /// most likely a slip there. Whether there are such words.
    fn known_words(&mut self, service: &Service, key: SelectorKey, known: &BTreeSet<&str>) -> bool {
        let mut told = false;
        for require in &service.place.require {
            let Selector { key: asked, any_of } = &require.value;
            // An empty word is told to be none.
            let unknown = |word: &String| !word.is_empty() && !known.contains(word.as_str());
            let unknown = any_of.iter().all(unknown);
            if *asked != key || !unknown {
                continue;
            }
            // Of a node that is in no zone here, it may be that it is in this one.
            told |= key == SelectorKey::Tag || !known.is_empty();
            if !known.is_empty() {
                let message = match key {
                    SelectorKey::Zone => {
                        format!("no declared node is in {}", shown("zone", any_of))
                    }
                    _ => format!("no declared node has the {}", shown("tag", any_of)),
                };
                let help = self.advice(&any_of[0], known.iter().copied());
                self.warn("DN-W0412", &require.at, message, help);
            }
        }
        told
    }

    /// What is forbidden or preferred may be what no declared node has; next to a similar word it
    /// is most likely a slip.
    fn similar_words(&mut self, service: &Service, key: SelectorKey, known: &BTreeSet<&str>) {
        let prefer = service.place.prefer.iter().map(|(selector, _)| selector);
        let lines = service.place.forbid.iter().chain(prefer).filter(|line| line.value.key == key);
        for line in lines {
            for word in line.value.any_of.iter().filter(|word| !known.contains(word.as_str())) {
                if let Some(near) = self.similar(word, known.iter().copied()) {
                    let what = shown(
                        if key == SelectorKey::Zone { "zone" } else { "tag" },
                        std::slice::from_ref(word),
                    );
                    let message = format!("no declared node has the {what}");
                    self.warn("DN-W0412", &line.at, message, format!("did you mean `{near}`?"));
                }
            }
        }
    }

    /// Services that must or must not be together, and those of them that have a single node.
    fn together(&mut self, services: &Services, only: &Only<'_>) {
        let apart: BTreeMap<(&ServiceName, &ServiceName), &Location> = services
            .values()
            .flat_map(|it| it.place.apart_from.iter().map(|o| ((&it.name, &o.value), &o.at)))
            .collect();
        for service in services.values() {
            for near in &service.place.near {
                self.near_each_node(service, services.get(&near.value), &near.at);
                if let Some(at) = apart.get(&(&near.value, &service.name)) {
                    let message = format!("`{}` keeps apart from `{}`", near.value, service.name);
                    let error = Diagnostic::error("DN-E0305", Some(near.at.clone()), message)
                        .related((*at).clone(), "said here")
                        .help("remove one of the two lines");
                    self.found.push(error);
                }
                self.single_nodes(&service.name, near, only, false);
            }
            for apart in &service.place.apart_from {
                self.single_nodes(&service.name, apart, only, true);
            }
        }
    }

    /// One on each node cannot be only where another service is.
    fn near_each_node(&mut self, service: &Service, other: Option<&Service>, at: &Location) {
        let Some(other) = other.filter(|it| !it.replicas.is_per_node()) else { return };
        if service.replicas.is_per_node() {
            let message = format!(
                "`{}` has an instance on each node, and `{}` has not",
                service.name, other.name
            );
            let help = match &service.form {
                Form::Compose { .. } => {
                    "services of a Compose file that share a network or a volume are on one node: \
                     give them networks of their own, or `mode: global` to all of them"
                }
                _ => "remove this line, and choose the nodes with `require`",
            };
            self.error("DN-E0305", at, message, help);
        }
    }

    fn single_nodes(
        &mut self,
        name: &ServiceName,
        line: &Located<ServiceName>,
        only: &Only<'_>,
        apart: bool,
    ) {
        let other = &line.value;
        let (Some((one, here)), Some((two, there))) = (only.get(name), only.get(other)) else {
            return;
        };
        if (one == two) == apart {
            let message = match apart {
                true => format!("`{name}` and `{other}` are both on node `{one}`"),
                false => format!("`{name}` is on node `{one}`, `{other}` on `{two}`"),
            };
            let error = Diagnostic::error("DN-E0305", Some(line.at.clone()), message)
                .related((*here).clone(), format!("`{name}` here"))
                .related((*there).clone(), format!("`{other}` here"))
                .help("remove this line, or let one of them be elsewhere");
            self.found.push(error);
        }
    }
}

/// The services that have a single node, and where each says so.
type Only<'a> = BTreeMap<&'a ServiceName, (&'a str, &'a Location)>;

/// The nodes that all lines about names leave; `None` when no line names any.
fn named(service: &Service) -> Option<Named<'_>> {
    let pin = service.place.pin.iter().map(|pin| (BTreeSet::from([pin.value.as_str()]), &pin.at));
    let by_name =
        service.place.require.iter().filter(|require| require.value.key == SelectorKey::Node);
    let by_name = by_name.map(|require| {
        (require.value.any_of.iter().map(String::as_str).collect::<BTreeSet<_>>(), &require.at)
    });
    let lines: Vec<(BTreeSet<&str>, &Location)> = pin.chain(by_name).collect();
    let mut names = lines.first()?.0.clone();
    for (others, _) in &lines[1..] {
        names.retain(|name| others.contains(name));
    }
    Some(Named { names, at: lines.last()?.1, lines })
}

/// Why a node that was named can never hold the service, when the file says so.
fn excluded<'s>(
    service: &'s Service,
    name: &str,
    policy: Option<&NodePolicy>,
) -> Option<Against<'s>> {
    let zone = policy.and_then(|policy| policy.zone.as_deref());
    for require in &service.place.require {
        if let (Selector { key: SelectorKey::Zone, any_of }, Some(zone)) = (&require.value, zone)
            && !any_of.iter().any(|wanted| wanted == zone)
        {
            let why = format!("`{name}` is in another zone, `{}`", zone.escape_debug());
            return Some(Against { why, line: None });
        }
    }
    let tags = policy.map_or(&[][..], |policy| &policy.tags);
    for forbid in &service.place.forbid {
        let Selector { key, any_of } = &forbid.value;
        let hit = |word: &&String| match key {
            SelectorKey::Node => *word == name,
            SelectorKey::Zone => Some(word.as_str()) == zone,
            SelectorKey::Tag => tags.binary_search(word).is_ok(),
            _ => false,
        };
        if let Some(word) = any_of.iter().find(hit) {
            let why = match key {
                SelectorKey::Node => format!("`{name}` is forbidden here"),
                SelectorKey::Zone => format!("`{name}` is forbidden here, by its zone"),
                _ => format!("`{name}` is forbidden here, by its tag `{}`", word.escape_debug()),
            };
            return Some(Against { why, line: Some(&forbid.at) });
        }
    }
    None
}

/// Whether a declared node has the tags and the zone that a service asks for. Of a node without a
/// zone, that is not known.
fn fits(service: &Service, name: &str, policy: &NodePolicy) -> bool {
    against(service, name, policy).is_none()
}

/// What speaks against a declared node, as far as it is declared.
fn against<'s>(service: &'s Service, name: &str, policy: &NodePolicy) -> Option<Against<'s>> {
    let lacks = |require: &Located<Selector>| {
        let Selector { key, any_of } = &require.value;
        let has = |tag: &String| policy.tags.binary_search(tag).is_ok();
        *key == SelectorKey::Tag && !any_of.iter().any(has)
    };
    let lacking = service.place.require.iter().find(|require| lacks(require));
    let tag = lacking.map(|require| {
        let why = format!("`{name}` is not declared with {}", shown("tag", &require.value.any_of));
        Against { why, line: None }
    });
    tag.or_else(|| excluded(service, name, Some(policy)))
}

/// The first of some words.
fn shown(what: &str, words: &[String]) -> String {
    let words = words.iter().take(5).map(|word| format!("`{}`", word.escape_debug()));
    format!("{what} {}", words.collect::<Vec<_>>().join(" or "))
}

/// The first of some nodes.
fn listed(names: &BTreeSet<&str>) -> String {
    let mut shown: Vec<String> =
        names.iter().take(MOST_SHOWN).map(|name| format!("`{}`", name.escape_debug())).collect();
    let more = names.len() - shown.len();
    shown.extend((more > 0).then(|| format!("{more} more")));
    shown.join(", ")
}
