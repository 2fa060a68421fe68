//! Where instances may be.
//!
//! Knows which constraints contradict one another. Refuses to know nodes that exist: a tag that no
//! node has yet is no mistake.

use std::collections::BTreeSet;

use super::Check;
use crate::{
    desired::{Domain, Located, Place, Selector, SelectorKey, Spread},
    file::written::{PlaceSection, SelectorSection, ServiceSection},
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
        place
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

    /// Nodes need not be declared, so an unknown one is only suspicious next to a similar one.
    fn perhaps_node(&mut self, node: &Located<String>) {
        if self.nodes.contains_key(node.value.as_str()) {
            return;
        }
        if let Some(near) = self.found.nearest(&node.value, self.nodes.keys().copied()) {
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
        for require in place.require.iter().take(MOST_QUESTIONS) {
            if let Some(forbid) =
                place.forbid.iter().take(MOST_QUESTIONS).find(|f| f.value == require.value)
            {
                let message = "the same is required and forbidden".to_owned();
                self.error("DN-E0305", &forbid.at, message, "remove one of the two lines");
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
