//! Where instances may be.
//!
//! Knows which constraints contradict one another. Refuses to know nodes that exist: a tag that no
//! node has yet is no mistake.

use std::collections::BTreeSet;

use super::Check;
use crate::{
    desired::{Domain, Place, Selector, SelectorKey, Spread},
    diagnostic::{Diagnostic, Located},
    file::written::{Count, PlaceSection, SelectorSection, ServiceSection},
    name::{NodeName, ServiceName},
};

/// How many questions of a service are compared with one another.
const MOST_QUESTIONS: usize = 100;

impl Check<'_> {
    pub(super) fn place(&mut self, service: &ServiceSection) -> Place {
        let Some(section) = &service.place else {
            return Place::default();
        };
        let place = Place {
            require: section.require.iter().map(|s| self.selector(s)).collect(),
            forbid: section.forbid.iter().map(|s| self.selector(s)).collect(),
            prefer: section
                .prefer
                .iter()
                .map(|s| (self.selector(s), s.weight.as_ref().map_or(1, |weight| weight.value)))
                .collect(),
            pin: section.pin.as_ref().and_then(|pin| self.pin(pin)),
            spread: self.spread(section),
            max_per_node: section.max_per_node.clone(),
            apart_from: self.others(service, "apart-from", &section.apart_from),
            near: self.others(service, "near", &section.near),
        };
        self.contradictions(&place);
        self.one_on_each(service, section);
        place
    }

    /// The nodes that a service may leave its data on: what left one does not come back to it.
    pub(super) fn leave_data(&mut self, section: &ServiceSection) -> Vec<Located<NodeName>> {
        let pin = section.place.as_ref().and_then(|place| place.pin.as_ref());
        let mut nodes: Vec<Located<NodeName>> = Vec::new();
        for node in &section.leave_data {
            self.perhaps_node(node);
            let Some(value) = self.name::<NodeName>(node) else { continue };
            if nodes.iter().any(|known| known.value == value) {
                let message = format!("`{value}` is named twice in `leave-data`");
                self.warn("DN-W0406", &node.at, message, "remove one of the two");
                continue;
            }
            if let Some(pin) = pin.filter(|pin| pin.value == node.value) {
                let message =
                    format!("the service is pinned to `{value}` and leaves its data there");
                let error = Diagnostic::error("DN-E0305", Some(node.at.clone()), message)
                    .related(pin.at.clone(), "pinned here")
                    .help(
                        "name in `leave-data` the node that it comes from, or remove one of them",
                    );
                self.found.push(error);
            }
            nodes.push(Located { value, at: node.at.clone() });
        }
        nodes
    }

    fn selector(&mut self, section: &SelectorSection) -> Located<Selector> {
        let any_of = section
            .any_of
            .iter()
            .map(|word| {
                match section.key {
                    SelectorKey::Node => {
                        self.name::<NodeName>(word);
                        self.perhaps_node(word);
                    }
                    SelectorKey::Tag => self.word("tag", word),
                    SelectorKey::Zone => self.word("zone", word),
                    _ => {}
                }
                usual(section.key, &word.value).to_owned()
            })
            .collect();
        Located { value: Selector { key: section.key, any_of }, at: section.at.clone() }
    }

    fn pin(&mut self, pin: &Located<String>) -> Option<Located<NodeName>> {
        self.perhaps_node(pin);
        let value = self.name(pin)?;
        Some(Located { value, at: pin.at.clone() })
    }

    /// The known word that another one is most likely a slip for. Nodes and racks are numbered, so
    /// another number is another one.
    pub(super) fn similar<'w>(
        &self,
        word: &str,
        known: impl Iterator<Item = &'w str> + Clone,
    ) -> Option<&'w str> {
        let letters = |name: &str| name.replace(|c: char| c.is_ascii_digit(), "");
        let near = self.found.nearest(word, known)?;
        (letters(near) != letters(word)).then_some(near)
    }

    /// Nodes need not be declared, so an unknown one is only suspicious next to a similar one.
    fn perhaps_node(&mut self, node: &Located<String>) {
        if self.nodes.contains_key(node.value.as_str()) {
            return;
        }
        if let Some(near) = self.similar(&node.value, self.nodes.keys().copied()) {
            let message = format!("no node `{}` is declared", node.value.escape_debug());
            let help = format!("did you mean `{near}`?");
            self.warn("DN-W0405", &node.at, message, help);
        }
    }

    fn spread(&mut self, section: &PlaceSection) -> Vec<Located<Spread>> {
        let mut seen: Vec<Domain> = Vec::new();
        let mut spreads = Vec::new();
        for spread in &section.spread {
            let Some(by) = &spread.by else { continue };
            if seen.contains(&by.value) {
                let message = "this service is spread twice over the same".to_owned();
                self.error("DN-E0305", &spread.at, message, "keep one of the two lines");
            }
            seen.push(by.value);
            let max_skew = spread.max_skew.as_ref().map_or(1, |skew| skew.value);
            let value = Spread { by: by.value, max_skew };
            spreads.push(Located { value, at: spread.at.clone() });
        }
        spreads
    }

    fn contradictions(&mut self, place: &Place) {
        let apart: BTreeSet<&ServiceName> =
            place.apart_from.iter().map(|apart| &apart.value).collect();
        for near in place.near.iter().filter(|near| apart.contains(&near.value)) {
            let message = format!("`{}` is named in both `near` and `apart-from`", near.value);
            self.error("DN-E0305", &near.at, message, "remove one of the two");
        }
        self.forbidden_too(place);
        for (key, what) in [
            (SelectorKey::Zone, "zone"),
            (SelectorKey::Os, "operating system"),
            (SelectorKey::Arch, "architecture"),
        ] {
            self.one_of_each(place, key, what);
        }
    }

    /// One on each node is neither spread further nor several on one.
    fn one_on_each(&mut self, service: &ServiceSection, section: &PlaceSection) {
        let Some(each) = service.replicas.as_ref().filter(|it| it.value == Count::PerNode) else {
            return;
        };
        let spread = section.spread.iter().map(|spread| (&spread.at, "spread"));
        let most = section.max_per_node.iter().filter(|most| most.value != 1);
        for (at, word) in spread.chain(most.map(|most| (&most.at, "max-per-node"))) {
            let message = format!("`{word}` does not go with one instance on each node");
            let error = Diagnostic::error("DN-E0305", Some(at.clone()), message)
                .related(each.at.clone(), "said here")
                .help("remove it; `require` and `forbid` choose the nodes");
            self.found.push(error);
        }
    }

    /// Lines of which everything that they allow is forbidden.
    fn forbidden_too(&mut self, place: &Place) {
        for require in place.require.iter().take(MOST_QUESTIONS) {
            let Selector { key, any_of } = &require.value;
            let same = place.forbid.iter().take(MOST_QUESTIONS).filter(|f| f.value.key == *key);
            let hits = |forbid: &&Located<Selector>| {
                forbid.value.any_of.iter().any(|word| any_of.contains(word))
            };
            let lines: Vec<&Located<Selector>> = same.filter(hits).collect();
            let words: BTreeSet<&String> = lines.iter().flat_map(|l| &l.value.any_of).collect();
            if let Some(last) = lines.last()
                && any_of.iter().all(|word| words.contains(word))
            {
                let message = "the same is required and forbidden";
                let error = Diagnostic::error("DN-E0305", Some(last.at.clone()), message)
                    .related(require.at.clone(), "required here")
                    .help("remove one of the two lines");
                self.found.push(error);
            }
        }
    }

    /// A node has one zone, system and architecture, so all lines about one must have a word in
    /// common.
    fn one_of_each(&mut self, place: &Place, key: SelectorKey, what: &str) {
        let mut lines = place.require.iter().filter(|require| require.value.key == key);
        let Some(first) = lines.next() else { return };
        let mut left: BTreeSet<&String> = first.value.any_of.iter().collect();
        for line in lines.take(MOST_QUESTIONS) {
            left.retain(|word| line.value.any_of.contains(word));
            if left.is_empty() {
                let message = format!("a node has one {what}, and these lines ask for several");
                let error = Diagnostic::error("DN-E0305", Some(line.at.clone()), message)
                    .related(first.at.clone(), "the first of them")
                    .help("write alternatives on one line, or remove one of the two");
                return self.found.push(error);
            }
        }
    }
}

/// The word that agents report for what people call by several names.
pub(super) fn usual(key: SelectorKey, word: &str) -> &str {
    match (key, word) {
        (SelectorKey::Arch, "amd64" | "x86-64" | "x64") => "x86_64",
        (SelectorKey::Arch, "arm64") => "aarch64",
        (SelectorKey::Os, "darwin" | "mac" | "osx") => "macos",
        _ => word,
    }
}
