//! Templates in texts: what they name must exist.
//!
//! Knows the roots that a template may begin with. Refuses to evaluate anything: whatever is more
//! than a name is left to the renderer.

use super::Check;
use crate::{
    desired::Located,
    file::written::{FormSection, ServiceSection},
};

/// What a template may begin with, and where an example of each is.
const ROOTS: [&str; 5] = ["instance", "node", "secret", "service", "var"];

impl Check<'_> {
    /// Checks every `{{ … }}` of a text.
    pub(super) fn template(&mut self, text: &Located<String>) {
        let mut rest = text.value.as_str();
        while let Some(open) = rest.find("{{") {
            rest = &rest[open + 2..];
            let Some(close) = rest.find("}}") else {
                let message = "`{{` is never closed".to_owned();
                self.error("DN-E0320", &text.at, message, "close it with `}}`");
                return;
            };
            self.expression(&rest[..close], text);
            rest = &rest[close + 2..];
        }
    }

    /// The name that an expression begins with. Literals and calculations begin otherwise.
    fn expression(&mut self, expression: &str, text: &Located<String>) {
        let inner = expression.trim_start_matches('-').trim_end_matches('-').trim();
        let name = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let path = inner.split(|c| !name(c)).next().unwrap_or("");
        if !path.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return;
        }
        let parts: Vec<&str> = path.split('.').collect();
        match parts.as_slice() {
            ["var", name] => {
                if !self.vars.contains_key(*name) && !self.file.partial {
                    let help = self.advice(name, self.vars.keys().map(String::as_str));
                    self.no_such(text, &format!("there is no variable `{name}`"), help);
                }
            }
            ["secret", name] => match name.parse() {
                Ok(name) => self.uses_secret(name, &text.at),
                Err(_) => {
                    let help = "use lower-case letters, digits and `-`".to_owned();
                    self.no_such(text, &format!("`{name}` is not a secret name"), help);
                }
            },
            ["service", name, field] => self.service_field(text, name, field),
            ["node", field] => self.one_of(text, "node", field, &["ip", "name"]),
            ["instance", field] => self.one_of(text, "instance", field, &["index"]),
            [root, ..] if ROOTS.contains(root) => {
                let help = "write `var.NAME`, `secret.NAME`, `service.NAME.address`, `node.name`, \
                            `node.ip` or `instance.index`";
                self.no_such(text, &format!("`{path}` is not complete"), help.to_owned());
            }
            _ => {
                let help = self.advice(parts[0], ROOTS.into_iter());
                self.no_such(text, &format!("templates know no `{}`", parts[0]), help);
            }
        }
    }

    fn no_such(&mut self, text: &Located<String>, message: &str, help: String) {
        self.error("DN-E0320", &text.at, message.to_owned(), help);
    }

    fn one_of(&mut self, text: &Located<String>, root: &str, field: &str, known: &[&str]) {
        if !known.contains(&field) {
            let help = self.advice(field, known.iter().copied());
            self.no_such(text, &format!("`{root}` has no `{field}`"), help);
        }
    }

    fn service_field(&mut self, text: &Located<String>, name: &str, field: &str) {
        if let Some(project) = self.projects.get(name) {
            let names: Vec<String> = project.members().map(|one| format!("`{one}`")).collect();
            let message = format!("`{name}` is a Compose file, and has no address of its own");
            return self.no_such(text, &message, format!("name one of {}", names.join(", ")));
        }
        let member = self.member_at.contains_key(name);
        let service = self.services.get(name).copied();
        if service.is_none() && !member {
            if self.file.partial {
                return;
            }
            let help = self.advice(name, self.service_names());
            return self.no_such(text, &format!("there is no service `{name}`"), help);
        }
        let known = ["address", "host", "port"];
        if !known.contains(&field) {
            let help = self.advice(field, known.into_iter());
            return self.no_such(text, &format!("a service has no `{field}`"), help);
        }
        let listens = match service {
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
