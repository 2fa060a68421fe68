//! Templates in texts: they read, and what they name exists.
//!
//! Knows the names that a template may use. Refuses to evaluate anything: what depends on values is
//! left to the renderer.

use std::{ops::Range, sync::Arc};

use super::Check;
use crate::{
    diagnostic::{Located, Location},
    file::written::{FormSection, ServiceSection},
    template::{self, Fault, Path, RESERVED},
};

/// What a template may begin a name with.
const ROOTS: [&str; 5] = ["instance", "node", "secret", "service", "var"];

/// A part of a text. Where it is written is found out only when something is said of it.
#[derive(Clone, Copy)]
struct Part<'t> {
    text: &'t Located<String>,
    at: &'t Range<usize>,
}

impl Check<'_> {
    /// Checks a text that may be a template.
    pub(super) fn template(&mut self, text: &Located<String>) {
        if text.value.contains(RESERVED) {
            let message = "this text holds U+10DE70 or U+10DE71, which devnet keeps for itself";
            let help = "leave these characters out";
            return self.error("DN-E0507", &text.at, message.to_owned(), help);
        }
        if !template::is_template(&text.value) {
            return;
        }
        let translated = match template::translate(&text.value) {
            Ok(translated) => translated,
            Err(fault) => return self.fault(fault, text),
        };
        for path in &translated.paths {
            self.path_of(path, Part { text, at: &path.at });
        }
        match self.grammar.names(&translated) {
            Ok(names) => {
                // Known roots are paths, and were looked at above.
                let foreign = |name: &&String| !template::ROOTS.contains(&name.as_str());
                for name in names.iter().filter(foreign) {
                    let at = translated.word(&text.value, name);
                    self.no_root(name, Part { text, at: &at });
                }
            }
            Err(fault) => self.fault(fault, text),
        }
    }

    fn fault(&mut self, fault: Fault, text: &Located<String>) {
        let at = self.place_of(Part { text, at: &fault.at });
        self.error("DN-E0501", &at, fault.message, fault.help);
    }

    /// Where a part of a text is written, or where the text is when that cannot be told: escapes
    /// may stand between the two.
    fn place_of(&mut self, Part { text, at }: Part<'_>) -> Location {
        let whole = &text.at;
        let source = self.file.sources.iter().find(|source| Arc::ptr_eq(&source.file, &whole.file));
        let written = source.and_then(|source| source.text.get(whole.start..whole.end));
        let (Some(source), Some(written)) = (source, written) else {
            return whole.clone();
        };
        // Every part is searched for from the beginning of its text.
        let Some(left) = self.may_search.checked_sub(written.len() + text.value.len()) else {
            return whole.clone();
        };
        self.may_search = left;
        match template::find_part(&text.value, at.clone(), written) {
            Some(part) => source.at(&(whole.start + part.start..whole.start + part.end)),
            None => whole.clone(),
        }
    }

    /// Warns of a template in a field where none is filled in.
    pub(super) fn literal(&mut self, text: &Located<String>, what: &str) {
        let ours = |path: &Path| ROOTS.contains(&path.root.as_str());
        let named = template::is_template(&text.value)
            && template::translate(&text.value).is_ok_and(|text| text.paths.iter().any(ours));
        if named {
            let message = format!("templates are not filled in here: {what} is taken as it is");
            let help = "write the text itself; they are filled in within `env`, `set`, `image`, \
                        `command`, `process` and the `content` of files";
            self.warn("DN-W0414", &text.at, message, help);
        }
    }

    /// Refuses a secret in a text that everyone sees.
    pub(super) fn no_secret(&mut self, text: &Located<String>, what: &str) {
        let Some(Ok(read)) =
            template::is_template(&text.value).then(|| template::translate(&text.value))
        else {
            return;
        };
        if let Some(path) = read.paths.iter().find(|path| path.root == "secret" && path.alone) {
            let message =
                format!("a secret cannot be part of {what}: it would be seen by everyone");
            let at = self.place_of(Part { text, at: &path.at });
            self.error("DN-E0506", &at, message, "put it into `env` or into a file");
        }
    }

    /// A name of a template.
    fn path_of(&mut self, path: &Path, part: Part<'_>) {
        let parts: Vec<&str> = path.rest.iter().map(String::as_str).collect();
        match (path.root.as_str(), parts.as_slice()) {
            ("secret", [name]) => self.secret_of(path, name, part),
            (root, _) if !ROOTS.contains(&root) => self.no_root(root, part),
            // What may be missing is missing only where there are values.
            (root, _) if path.optional && root != "secret" => {}
            ("var", [name]) => {
                if !self.vars.contains_key(*name) && !self.may_be_unread(name) {
                    let help = self.variable_advice(name, &part.text.at);
                    let message = format!("there is no variable `{}`", name.escape_debug());
                    self.no_such(part, &message, help);
                }
            }
            ("service", [name, field]) => self.service_field(part, name, field),
            ("node", [field]) => self.one_of(part, "node", field, &["ip", "name"]),
            ("instance", [field]) => self.one_of(part, "instance", field, &["index"]),
            // A map as a whole: a loop may go through it.
            (root, []) if root != "secret" && !path.alone => {}
            ("service", [name]) if !path.alone => drop(self.service_named(part, name)),
            (root, _) => {
                let help = "write `var.NAME`, `secret.NAME`, `service.NAME.address`, `node.name`, \
                            `node.ip` or `instance.index`";
                let written = [&[root], parts.as_slice()].concat().join(".");
                let message = format!("`{}` is not complete", written.escape_debug());
                self.no_such(part, &message, help.to_owned());
            }
        }
    }

    /// What to do about a variable that is not declared.
    fn variable_advice(&self, name: &str, at: &Location) -> String {
        let known = || self.vars.keys().map(String::as_str);
        if let Some(near) = self.found.nearest(name, known()) {
            return format!("did you mean `{near}`?");
        }
        let kdl = format!("`vars {{ {name} \"…\" }}`");
        let add = Self::written(at, &kdl, &format!("`{name}: …` under `vars`"));
        let declare = format!("declare it in the cluster's section: {add}");
        match self.vars.is_empty() {
            true => declare,
            false => format!("{}; or {declare}", self.advice(name, known())),
        }
    }

    fn secret_of(&mut self, path: &Path, name: &str, part: Part<'_>) {
        match name.parse() {
            Ok(name) => {
                let first = self.secrets.get(&name).is_none_or(|first| part.text.at < *first);
                let at = if first { self.place_of(part) } else { part.text.at.clone() };
                self.uses_secret(name, &at);
            }
            Err(_) => {
                let message = format!("`{}` is not a secret name", name.escape_debug());
                let help = "use lower-case letters, digits and `-`";
                return self.no_such(part, &message, help.to_owned());
            }
        }
        if !path.alone {
            let message =
                format!("`secret.{name}` is used for more than its value, which is not known here");
            let help = format!("write `{{{{ secret.{name} }}}}` and nothing else inside");
            let at = self.place_of(part);
            self.error("DN-E0504", &at, message, help);
        }
    }

    fn no_root(&mut self, root: &str, part: Part<'_>) {
        let help = self.advice(root, ROOTS.into_iter());
        self.no_such(part, &format!("templates know no `{root}`"), help);
    }

    fn no_such(&mut self, part: Part<'_>, message: &str, help: String) {
        let at = self.place_of(part);
        self.error("DN-E0320", &at, message.to_owned(), help);
    }

    fn one_of(&mut self, part: Part<'_>, root: &str, field: &str, known: &[&str]) {
        if !known.contains(&field) {
            let help = self.advice(field, known.iter().copied());
            let message = format!("`{root}` has no `{}`", field.escape_debug());
            self.no_such(part, &message, help);
        }
    }

    /// Whether a name is that of something with fields of its own; else, why not was said.
    fn service_named(&mut self, part: Part<'_>, name: &str) -> bool {
        if let Some(project) = self.projects.get(name) {
            let names: Vec<String> = project.members().map(|one| format!("`{one}`")).collect();
            let message = format!("`{name}` is a Compose file, and has no address of its own");
            self.no_such(part, &message, format!("name one of {}", names.join(", ")));
            return false;
        }
        let there = self.services.contains_key(name) || self.member_at.contains_key(name);
        if !there && !self.may_be_unread(name) {
            let help = self.advice(name, self.service_names());
            let message = format!("there is no service `{}`", name.escape_debug());
            self.no_such(part, &message, help);
        }
        there
    }

    fn service_field(&mut self, part: Part<'_>, name: &str, field: &str) {
        if !self.service_named(part, name) {
            return;
        }
        let mut known = vec!["address", "host", "port"];
        known.extend(self.offered(name));
        if !known.contains(&field) {
            let help = self.advice(field, known.into_iter());
            let message = match field {
                "url" | "key" => format!("service `{name}` offers no `{field}`"),
                _ => format!("a service has no `{}`", field.escape_debug()),
            };
            return self.no_such(part, &message, help);
        }
        let listens = match self.services.get(name).copied() {
            Some(service) => self.listens(service),
            None => self.projects.values().any(|project| project.publishes(name)),
        };
        if field != "host" && !listens {
            let message = format!("service `{name}` has no port");
            self.no_such(part, &message, format!("add a `port` to `{name}`"));
        }
    }

    /// What the component of a service offers beside its address.
    fn offered(&self, name: &str) -> Vec<&'static str> {
        let form = self.services.get(name).and_then(|service| service.form.as_ref());
        let Some(FormSection::Component { name, .. }) = form else { return Vec::new() };
        match self.components.signature(&name.value) {
            // Of an unknown component, nothing is said twice.
            None => vec!["url", "key"],
            Some(signature) => match signature.offers.first() {
                Some(offer) if offer.key.is_some() => vec!["url", "key"],
                Some(_) => vec!["url"],
                None => Vec::new(),
            },
        }
    }

    /// Whether a service has a port. Of an unknown component, nothing is said twice.
    fn listens(&self, service: &ServiceSection) -> bool {
        let own = !service.ports.is_empty();
        match &service.form {
            Some(FormSection::Component { name, .. }) => {
                own || self.components.signature(&name.value).is_none_or(|c| !c.ports.is_empty())
            }
            Some(_) => own,
            None => true,
        }
    }
}
