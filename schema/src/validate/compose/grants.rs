//! What a Compose file asks of its nodes, held against the lines of `allow`.
//!
//! Knows which line is for which service. Refuses to know what a grant covers:
//! [`crate::compose::Grant`] does.

use std::collections::BTreeSet;

use super::Expanded;
use crate::{
    compose::{self, Grant},
    diagnostic::{Diagnostic, Located, Location},
    file::written::ServiceSection,
    validate::Check,
};

/// A line of `allow` that reads.
pub(in crate::validate) struct Allowed<'s> {
    pub(in crate::validate) grant: Grant,
    pub(super) to: &'s [Located<String>],
    pub(in crate::validate) at: &'s Location,
}

impl Allowed<'_> {
    fn is_for(&self, service: &str) -> bool {
        self.to.is_empty() || self.to.iter().any(|to| to.value == service)
    }
}

impl<'a> Check<'a> {
    /// The lines of `allow` that read.
    pub(in crate::validate) fn grants<'s>(
        &mut self,
        section: &'s ServiceSection,
    ) -> Vec<Allowed<'s>> {
        let mut all = Vec::new();
        for line in &section.allow {
            let Some(grant) = &line.grant else { continue };
            match grant.value.parse() {
                Ok(parsed) => {
                    if let Some(socket) = Grant::socket_below(&parsed) {
                        let message = format!(
                            "`{parsed}` holds `{socket}`: whoever has the engine's socket has the \
                             whole node"
                        );
                        let help = "grant a path that holds less";
                        self.warn("DN-W0423", &grant.at, message, help);
                    }
                    all.push(Allowed { grant: parsed, to: &line.to, at: &line.at });
                }
                Err(()) => {
                    let shown = grant.value.escape_debug();
                    let message = format!("`{shown}` is nothing that can be granted");
                    let meant = Grant::meant(&grant.value);
                    let begin = match meant {
                        Some(meant) => format!("did you mean `{meant}`? Grants"),
                        None => "grants".to_owned(),
                    };
                    let help = format!("{begin} are {}; paths are clean", compose::GRANTS);
                    self.error("DN-E0341", &grant.at, message, help);
                }
            }
        }
        let known = self.projects.get(section.name.value.as_str());
        let unread = known.map(|known| known.loaded.unread.clone()).unwrap_or_default();
        let known: Vec<String> = known
            .map(|known| known.loaded.project.services.keys().cloned().collect())
            .unwrap_or_default();
        for to in section.allow.iter().flat_map(|line| &line.to) {
            if !known.contains(&to.value) && !known.is_empty() && !unread.may_declare(&to.value) {
                let help = self.advice(&to.value, known.iter().map(String::as_str));
                let shown = to.value.escape_debug();
                let message = format!("the Compose file runs no service `{shown}`");
                self.error("DN-E0342", &to.at, message, help);
            }
        }
        all
    }

    /// Refuses what is asked and not granted; which lines were needed.
    pub(super) fn asks(
        &mut self,
        section: &ServiceSection,
        expanded: &Expanded,
        allowed: &[Allowed<'_>],
    ) -> BTreeSet<usize> {
        let mut needed = BTreeSet::new();
        for (name, service) in &expanded.loaded.project.services {
            let own = || allowed.iter().enumerate().filter(|(_, line)| line.is_for(name));
            let covers = |(at, line): (usize, &Allowed<'_>)| {
                let asked = service.asks.iter().any(|ask| line.grant.covers(&ask.value));
                asked.then_some(at)
            };
            needed.extend(own().filter_map(covers));
            let grants: Vec<Grant> = own().map(|(_, line)| line.grant.clone()).collect();
            let why = format!("as service `{name}` of this file");
            let found = compose::refusals(&service.asks, &grants);
            // Of what has no value, that was told; what would be asked for is not known.
            let unfilled = |one: &Diagnostic| {
                one.message.contains('$') && one.at.as_ref().is_some_and(|at| self.found.told(at))
            };
            let found: Vec<Diagnostic> = found.into_iter().filter(|one| !unfilled(one)).collect();
            let found = found.into_iter().map(|one| {
                let grant = one.message.split('`').nth(1).unwrap_or_default();
                let kdl = format!("`allow \"{grant}\" to=\"{name}\"`");
                let yaml = format!("`allow: [{{grant: \"{grant}\", to: \"{name}\"}}]`");
                let allow = Self::written(&section.at, &kdl, &yaml);
                let help = format!("leave it out; or grant it in the cluster file: {allow}");
                one.related(section.at.clone(), why.as_str()).help(help)
            });
            self.found.extend(found);
        }
        needed
    }
}
