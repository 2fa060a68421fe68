//! Templates in texts: they read, and what they name exists.
//!
//! Knows the names that a template may use. Refuses to evaluate anything: what depends on values is
//! left to the renderer.

use super::Check;
use crate::{
    desired::Located,
    file::written::{FormSection, ServiceSection},
    template::{self, Path, RESERVED},
};

/// What a template may begin a name with.
const ROOTS: [&str; 5] = ["instance", "node", "secret", "service", "var"];

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
            Err(fault) => return self.error("DN-E0501", &text.at, fault.message, fault.help),
        };
        translated.paths.iter().for_each(|path| self.path_of(path, text));
        match self.grammar.names(&translated.text) {
            Ok(names) => {
                // Known roots are paths, and were looked at above.
                let foreign = |name: &&String| !template::ROOTS.contains(&name.as_str());
                names.iter().filter(foreign).for_each(|name| self.no_root(name, text));
            }
            Err(problem) => {
                let message = format!("the template cannot be rendered: {problem}");
                let help = "correct the expression, or write the text without it";
                self.error("DN-E0501", &text.at, message, help);
            }
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
        let secret = |path: &Path| path.root == "secret" && path.alone;
        let named = template::is_template(&text.value)
            && template::translate(&text.value).is_ok_and(|text| text.paths.iter().any(secret));
        if named {
            let message =
                format!("a secret cannot be part of {what}: it would be seen by everyone");
            self.error("DN-E0506", &text.at, message, "put it into `env` or into a file");
        }
    }

    /// A name of a template.
    fn path_of(&mut self, path: &Path, text: &Located<String>) {
        let parts: Vec<&str> = path.rest.iter().map(String::as_str).collect();
        match (path.root.as_str(), parts.as_slice()) {
            ("secret", [name]) => self.secret_of(path, name, text),
            (root, _) if !ROOTS.contains(&root) => self.no_root(root, text),
            // What may be missing is missing only where there are values.
            (root, _) if path.optional && root != "secret" => {}
            ("var", [name]) => {
                if !self.vars.contains_key(*name) && !self.may_be_unread(name) {
                    let help = self.advice(name, self.vars.keys().map(String::as_str));
                    let message = format!("there is no variable `{}`", name.escape_debug());
                    self.no_such(text, &message, help);
                }
            }
            ("service", [name, field]) => self.service_field(text, name, field),
            ("node", [field]) => self.one_of(text, "node", field, &["ip", "name"]),
            ("instance", [field]) => self.one_of(text, "instance", field, &["index"]),
            // A map as a whole: a loop may go through it.
            (root, []) if root != "secret" && !path.alone => {}
            ("service", [name]) if !path.alone => drop(self.service_named(text, name)),
            (root, _) => {
                let help = "write `var.NAME`, `secret.NAME`, `service.NAME.address`, `node.name`, \
                            `node.ip` or `instance.index`";
                let written = [&[root], parts.as_slice()].concat().join(".");
                let message = format!("`{}` is not complete", written.escape_debug());
                self.no_such(text, &message, help.to_owned());
            }
        }
    }

    fn secret_of(&mut self, path: &Path, name: &str, text: &Located<String>) {
        match name.parse() {
            Ok(name) => self.uses_secret(name, &text.at),
            Err(_) => {
                let message = format!("`{}` is not a secret name", name.escape_debug());
                let help = "use lower-case letters, digits and `-`";
                return self.no_such(text, &message, help.to_owned());
            }
        }
        if !path.alone {
            let message =
                format!("`secret.{name}` is used for more than its value, which is not known here");
            let help = format!("write `{{{{ secret.{name} }}}}` and nothing else inside");
            self.error("DN-E0504", &text.at, message, help);
        }
    }

    fn no_root(&mut self, root: &str, text: &Located<String>) {
        let help = self.advice(root, ROOTS.into_iter());
        self.no_such(text, &format!("templates know no `{root}`"), help);
    }

    fn no_such(&mut self, text: &Located<String>, message: &str, help: String) {
        self.error("DN-E0320", &text.at, message.to_owned(), help);
    }

    fn one_of(&mut self, text: &Located<String>, root: &str, field: &str, known: &[&str]) {
        if !known.contains(&field) {
            let help = self.advice(field, known.iter().copied());
            let message = format!("`{root}` has no `{}`", field.escape_debug());
            self.no_such(text, &message, help);
        }
    }

    /// Whether a name is that of something with fields of its own; else, why not was said.
    fn service_named(&mut self, text: &Located<String>, name: &str) -> bool {
        if let Some(project) = self.projects.get(name) {
            let names: Vec<String> = project.members().map(|one| format!("`{one}`")).collect();
            let message = format!("`{name}` is a Compose file, and has no address of its own");
            self.no_such(text, &message, format!("name one of {}", names.join(", ")));
            return false;
        }
        let there = self.services.contains_key(name) || self.member_at.contains_key(name);
        if !there && !self.may_be_unread(name) {
            let help = self.advice(name, self.service_names());
            let message = format!("there is no service `{}`", name.escape_debug());
            self.no_such(text, &message, help);
        }
        there
    }

    fn service_field(&mut self, text: &Located<String>, name: &str, field: &str) {
        if !self.service_named(text, name) {
            return;
        }
        let known = ["address", "host", "port"];
        if !known.contains(&field) {
            let help = self.advice(field, known.into_iter());
            let message = format!("a service has no `{}`", field.escape_debug());
            return self.no_such(text, &message, help);
        }
        let listens = match self.services.get(name).copied() {
            Some(service) => self.listens(service),
            None => self.projects.values().any(|project| project.publishes(name)),
        };
        if field != "host" && !listens {
            let message = format!("service `{name}` has no port");
            self.no_such(text, &message, format!("add a `port` to `{name}`"));
        }
    }

    /// Whether a service has a port. Of an unknown component, nothing is said twice.
    fn listens(&self, service: &ServiceSection) -> bool {
        let own = !service.ports.is_empty();
        match &service.form {
            Some(FormSection::Component { name, .. }) => {
                own || self.components.get(&name.value).is_none_or(|c| !c.ports.is_empty())
            }
            Some(_) => own,
            None => true,
        }
    }
}
