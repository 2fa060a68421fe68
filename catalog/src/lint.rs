//! The rules that a component of the catalog keeps, and what one does not keep.
//!
//! Knows what a careful packager looks at: users, rights, ports, secrets, data and words for
//! people. Refuses to know whether an image is what its name says.
//!
//! A rule with a name may be left out for a reason: `without "user" why="…"`. The others hold
//! always.

use std::collections::BTreeSet;

use devnet_schema::{
    component::{ComponentSignature, ParameterKind},
    diagnostic::Diagnostic,
    file::{
        Files,
        tree::{Entry, Kind, Node, Span},
    },
    instance::{Probe, Scope},
    quantity::{Bytes, Cpu},
};

use crate::component::{self, Component};

/// Names that end so hold what nobody else should know.
const SECRET_ENDS: [&str; 5] = ["PASSWORD", "PASSWD", "SECRET", "TOKEN", "_KEY"];

/// Checks the component in the directory `home` of `files`: that it reads, and that it keeps the
/// rules of the catalog.
pub fn lint(home: &str, files: &dyn Files) -> Vec<Diagnostic> {
    let home = home.trim_end_matches('/');
    let mut missing = Vec::new();
    let mut read = |name: &str, what: &str| {
        let path = if home.is_empty() { name.to_owned() } else { format!("{home}/{name}") };
        match files.read(&path) {
            Ok(Some(bytes)) => Some((path, bytes)),
            Ok(None) => {
                let message = format!("the component has no {name}");
                missing.push(Diagnostic::error("DN-E0520", None, message).help(what));
                None
            }
            Err(problem) => {
                let message = format!("cannot read `{path}`: {problem}");
                let help = "make it a file that can be read";
                missing.push(Diagnostic::error("DN-E0520", None, message).help(help));
                None
            }
        }
    };
    let declaration = read("component.kdl", "write what it takes, offers and needs");
    let template = read("compose.yml.tera", "write its container, as a Compose service");
    let readme = read("README.md", "say to people what it is, with one example");
    let (Some(declaration), Some(template)) = (declaration, template) else {
        return missing;
    };
    let mut found = match component::read(declaration, template) {
        Ok(component) => rules(&component),
        Err(errors) => errors,
    };
    if let Some((path, bytes)) = readme {
        let text = String::from_utf8_lossy(&bytes);
        if !text.contains("```kdl") {
            let message = format!("`{path}` has no example");
            let help = "add one: a service in a block that begins with ```kdl";
            found.push(Diagnostic::error("DN-E0524", None, message).help(help));
        }
    }
    found.extend(missing);
    found
}

/// What a component does not keep, sorted by place.
pub(crate) fn rules(component: &Component) -> Vec<Diagnostic> {
    let mut lint = Lint { component, found: Vec::new(), needed: BTreeSet::new() };
    let services = component.template.get("services").map(Node::entries).unwrap_or_default();
    if let [service] = services {
        lint.image(service);
        lint.walls(service);
        lint.secrets_of(service);
    }
    lint.words();
    lint.numbers();
    lint.reach();
    lint.data();
    lint.unneeded();
    let mut found = lint.found;
    found.sort_by(|a, b| (&a.at, &a.message).cmp(&(&b.at, &b.message)));
    found
}

struct Lint<'a> {
    component: &'a Component,
    found: Vec<Diagnostic>,
    /// Rules that it does not keep and says so.
    needed: BTreeSet<&'static str>,
}

impl<'a> Lint<'a> {
    fn signature(&self) -> &'a ComponentSignature {
        &self.component.signature
    }

    /// Something of the template.
    fn template(&mut self, span: &Span, message: impl Into<String>, help: impl Into<String>) {
        let at = Some(self.component.source.at(span));
        self.found.push(Diagnostic::error("DN-E0524", at, message.into()).help(help));
    }

    /// Something of the declaration.
    fn declared(&mut self, message: impl Into<String>, help: impl Into<String>) {
        let at = Some(self.component.declared.at(&(0..0)));
        self.found.push(Diagnostic::error("DN-E0524", at, message.into()).help(help));
    }

    /// Whether the component says why it does not keep a rule that it does not keep.
    fn excused(&mut self, rule: &'static str) -> bool {
        self.needed.insert(rule);
        self.signature().without.contains_key(rule)
    }

    /// A rule that is not kept, in the template.
    fn broken(&mut self, rule: &'static str, span: &Span, message: &str, help: &str) {
        if !self.excused(rule) {
            let help = format!("{help}; or say why not: `without \"{rule}\" why=\"…\"`");
            self.template(span, message, help);
        }
    }

    fn image(&mut self, service: &Entry) {
        let Some(image) = service.value.get("image") else { return };
        let text = image.text().unwrap_or_default();
        let last = text.rsplit('/').next().unwrap_or_default();
        let tag = last.split_once([':', '@']).map(|(_, tag)| tag);
        match tag {
            None => {
                let message = "the image has no tag: it may be another one tomorrow";
                self.template(&image.span, message, "write `IMAGE:{{ version }}`");
            }
            Some("latest") => {
                let message = "`latest` may be another image tomorrow";
                self.template(&image.span, message, "write `IMAGE:{{ version }}`");
            }
            Some(_) => {}
        }
        let floating = ["latest", "stable", "edge", "nightly", "main", "master", "dev"];
        for version in &self.signature().versions {
            if floating.contains(&version.as_str()) {
                let message = format!("`{version}` is no version: it may be another one tomorrow");
                self.declared(message, "name the versions that were tried");
            }
        }
    }

    /// What keeps a container within its bounds.
    fn walls(&mut self, service: &Entry) {
        let (body, at) = (&service.value, &service.key_span);
        let user = body.get("user").and_then(Node::text).unwrap_or_default();
        let name = user.split(':').next().unwrap_or_default().trim();
        if matches!(name, "" | "0" | "root") {
            let message = "the container runs as root, or as whoever its image says";
            self.broken("user", at, message, "write `user` with a number that is not 0");
        }
        if body.get("read_only").and_then(Node::text) != Some("true") {
            let message = "the container may write into its own system";
            let help = "write `read_only: true`, and `tmpfs` for what is scratch";
            self.broken("read-only", at, message, help);
        }
        let dropped = body.get("cap_drop").map(texts).unwrap_or_default();
        if !dropped.contains(&"ALL") {
            let message = "the container keeps capabilities that it may not need";
            let help = "write `cap_drop: [ALL]`, and `cap_add` for those it does need";
            self.broken("capabilities", at, message, help);
        }
        let options = body.get("security_opt").map(texts).unwrap_or_default();
        let kept = |one: &&str| matches!(*one, "no-new-privileges" | "no-new-privileges:true");
        if !options.iter().any(kept) {
            let message = "a program in the container may gain rights that its parent had not";
            let help = "write `security_opt: [\"no-new-privileges:true\"]`";
            self.broken("no-new-privileges", at, message, help);
        }
    }

    /// Secrets are in files and variables, and nowhere where everybody sees them.
    fn secrets_of(&mut self, service: &Entry) {
        for field in ["command", "entrypoint", "labels", "hostname"] {
            let Some(node) = service.value.get(field) else { continue };
            each_scalar(node, &mut |raw, span| {
                if raw.contains("secret.") && raw.contains("{{") && !asks_only(raw) {
                    let message = format!("`{field}` holds a secret, and everybody can list it");
                    self.template(span, message, "put it into a file, or into the environment");
                }
            });
        }
        let environment = service.value.get("environment").map(Node::entries).unwrap_or_default();
        for entry in environment {
            let name = entry.key.to_ascii_uppercase();
            let secret = SECRET_ENDS.iter().any(|end| name.ends_with(end));
            let mut written = false;
            each_scalar(&entry.value, &mut |raw, _| written |= raw.contains("secret."));
            if secret && !written {
                let message = format!("`{}` is no secret of the component", entry.key);
                let help = "declare one with `secret`, and write `{{ secret.NAME }}` here";
                self.template(&entry.value.span, message, help);
            }
        }
    }

    /// What people read.
    fn words(&mut self) {
        let signature = self.signature();
        for (name, parameter) in &signature.parameters {
            if parameter.description.is_empty() {
                let message = format!("the parameter `{name}` is not described");
                self.declared(message, "say in `description` what it is");
            }
            let upper = name.to_ascii_uppercase().replace('-', "_");
            if SECRET_ENDS.iter().any(|end| upper.ends_with(end)) && name != "access-key" {
                let message = format!("the parameter `{name}` should be a secret");
                self.declared(message, "declare it with `secret`: parameters are seen by everyone");
            }
            if let ParameterKind::Integer { min, max } = parameter.kind
                && (min == i64::MIN || max == i64::MAX)
            {
                let message = format!("the parameter `{name}` has no range");
                self.declared(message, "say `min=` and `max=`");
            }
        }
        for (name, secret) in &signature.secrets {
            if secret.description.is_empty() {
                let message = format!("the secret `{name}` is not described");
                self.declared(message, "say in `description` what it is");
            }
        }
        for volume in signature.volumes.iter().filter(|volume| volume.holds.is_empty()) {
            let message = format!("nobody is told what the volume `{}` holds", volume.name);
            self.declared(message, "say it in `holds`");
        }
    }

    fn numbers(&mut self) {
        let signature = self.signature();
        if signature.resources.memory == Bytes::ZERO || signature.resources.cpu == Cpu::ZERO {
            let message = "the component does not say the least it runs with";
            self.declared(message, "write `resources cpu=… memory=…`");
        }
        match &signature.health {
            None if !self.excused("health") => {
                let message = "nothing tells whether it serves";
                let help = "write `health`; or say why not: `without \"health\" why=\"…\"`";
                self.declared(message, help);
            }
            Some(health) => {
                let latest = "a check that may take longer than the time between two of them";
                if health.timeout > health.interval {
                    self.declared(latest, "make `timeout` shorter than `interval`");
                }
                if let Probe::Exec { argv } = &health.probe
                    && argv.iter().any(|word| word.contains("localhost"))
                {
                    let message = "`localhost` may be another address than the one listened on";
                    self.declared(message, "ask 127.0.0.1");
                }
            }
            None => {}
        }
    }

    /// Who reaches it, and what they have to know.
    fn reach(&mut self) {
        let signature = self.signature();
        let public = signature.ports.iter().find(|port| port.scope == Scope::Public);
        if let Some(port) = public
            && !self.excused("internal")
        {
            let message = format!("port `{}` is open to everyone by default", port.name);
            let help = "make it `internal`: who wants more says so; or say why not: \
                        `without \"internal\" why=\"…\"`";
            self.declared(message, help);
        }
        if signature.secrets.is_empty() && !self.excused("password") {
            let message = "whoever reaches it may use it: it has no secret";
            let help = "declare one with `secret \"password\" generate=#true`; or say why not: \
                        `without \"password\" why=\"…\"`";
            self.declared(message, help);
        }
    }

    fn data(&mut self) {
        let signature = self.signature();
        let kept = signature.volumes.iter().find(|volume| !volume.cache);
        match (kept, &signature.data) {
            (Some(volume), None) if !self.excused("backup") => {
                let message = format!("nothing backs up what the volume `{}` holds", volume.name);
                let help = "write `data { backup …; restore …; check … }`, or `cache=#true` where \
                            it can be made again; or say why not: `without \"backup\" why=\"…\"`";
                self.declared(message, help);
            }
            (None, Some(_)) => {
                let message = "there is a backup, and no volume whose data is kept";
                self.declared(message, "declare the volume, or leave `data` out");
            }
            _ => {}
        }
    }

    /// Reasons for what is kept after all: the next reader would believe them.
    fn unneeded(&mut self) {
        let said: Vec<&String> = self.signature().without.keys().collect();
        for rule in said {
            if !self.needed.contains(rule.as_str()) {
                let message = format!("the component says it does without `{rule}`, and does not");
                self.declared(message, "leave that line out");
            }
        }
    }
}

/// The items of a list, or one text.
fn texts(node: &Node) -> Vec<&str> {
    match &node.kind {
        Kind::Seq(items) => items.iter().filter_map(Node::text).collect(),
        _ => node.text().into_iter().collect(),
    }
}

/// A condition that only asks whether there is a secret.
fn asks_only(raw: &str) -> bool {
    let raw = raw.trim();
    raw.ends_with("is not none }}") || raw.ends_with("is none }}")
}

fn each_scalar(node: &Node, with: &mut dyn FnMut(&str, &Span)) {
    match &node.kind {
        Kind::Scalar { raw, .. } => with(raw, &node.span),
        Kind::Seq(items) => items.iter().for_each(|item| each_scalar(item, with)),
        Kind::Map(entries) => entries.iter().for_each(|entry| each_scalar(&entry.value, with)),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use super::*;

    fn folder(name: &str) -> BTreeMap<String, String> {
        let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("components").join(name);
        let read = |file: &str| fs::read_to_string(home.join(file)).unwrap();
        ["component.kdl", "compose.yml.tera", "README.md"]
            .map(|file| (format!("{name}/{file}"), read(file)))
            .into()
    }

    #[test]
    fn every_built_in_component_keeps_the_rules_or_says_why_not() {
        let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("components");
        for home in fs::read_dir(components).unwrap() {
            let name = home.unwrap().file_name().into_string().unwrap();
            let found = lint(&name, &folder(&name));
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert!(found.is_empty(), "{name}:\n{}", found.join("\n"));
        }
    }

    /// A file, what stands in it, what is written in its place, and what is then said.
    #[rustfmt::skip]
    const BROKEN: [(&str, &str, &str, &str); 23] = [
        ("compose.yml.tera", "    user: \"999:999\"\n",
         "", "runs as root"),
        ("compose.yml.tera", "user: \"999:999\"",
         "user: root", "runs as root"),
        ("compose.yml.tera", "user: \"999:999\"",
         "user: \"0:0\"", "runs as root"),
        ("compose.yml.tera", "    read_only: true\n",
         "", "into its own system"),
        ("compose.yml.tera", "    cap_drop: [ALL]\n",
         "", "keeps capabilities"),
        ("compose.yml.tera", "cap_drop: [ALL]",
         "cap_drop: [MKNOD]", "keeps capabilities"),
        ("compose.yml.tera", "no-new-privileges:true",
         "no-new-privileges:false", "gain rights"),
        ("compose.yml.tera", ":{{ version }}",
         "", "has no tag"),
        ("compose.yml.tera", ":{{ version }}",
         ":latest", "`latest` may be"),
        ("compose.yml.tera", "      - mariadbd\n",
         "      - \"-p{{ secret.password }}\"\n", "can list it"),
        ("compose.yml.tera", "MARIADB_PASSWORD_FILE: /run/secrets/mariadb-password",
         "MARIADB_PASSWORD: example", "is no secret of"),
        ("component.kdl", "\"11.8.8\"",
         "\"latest\"", "is no version"),
        ("component.kdl", " description=\"Clients at once\"",
         "", "is not described"),
        ("component.kdl", "min=10 max=100000 ",
         "", "has no range"),
        ("component.kdl", "parameter \"db-name\"",
         "parameter \"db-password\"", "should be a secret"),
        ("component.kdl", " holds=\"the databases and their logs\"",
         "", "nobody is told"),
        ("component.kdl", "resources cpu=0.25 memory=\"512MiB\" disk=\"1GiB\"",
         "", "the least it runs with"),
        ("component.kdl", "port \"mysql\" container=3306 scope=\"internal\"",
         "port \"mysql\" container=3306 scope=\"public\"", "open to everyone"),
        ("component.kdl", "timeout \"5s\"",
         "timeout \"50s\"", "may take longer"),
        ("component.kdl", "\"--connect\"",
         "\"--host=localhost\"", "another address"),
        ("component.kdl", "update order",
         "without \"health\" why=\"x\"\n    update order", "and does not"),
        ("component.kdl", "/var/lib/mysql\" holds",
         "/var/lib/mysql\" cache=#true holds", "no volume whose data"),
        ("README.md", "```kdl",
         "```", "has no example"),
    ];

    /// Of a component that keeps every rule, each line is needed.
    #[test]
    fn each_rule_is_missed_when_it_is_broken() {
        for (file, from, to, expected) in BROKEN {
            let mut files = folder("mariadb");
            let text = files.get_mut(&format!("mariadb/{file}")).unwrap();
            assert!(text.contains(from), "{file} has no {from}");
            // The template names its parameters, and one of another name is no concern here.
            *text = text.replacen(from, to, 1);
            if from.contains("db-name") {
                let template = files.get_mut("mariadb/compose.yml.tera").unwrap();
                *template = template.replace("param.db-name", "param.db-password");
                let declared = files.get_mut("mariadb/component.kdl").unwrap();
                *declared = declared.replace("param.db-name", "param.db-password");
            }
            let found = lint("mariadb", &files);
            let all: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert!(all.iter().any(|one| one.contains(expected)), "{from:?} -> {to:?}: {all:?}");
        }
    }

    #[test]
    fn data_without_a_backup_and_a_service_without_a_secret_are_named() {
        let mut files = folder("mariadb");
        let text = files.get_mut("mariadb/component.kdl").unwrap();
        let (start, end) = (text.find("    data {").unwrap(), text.find("    stop").unwrap());
        text.replace_range(start..end, "");
        let found = lint("mariadb", &files);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].message.contains("nothing backs up"), "{found:?}");
        let mut files = folder("nginx");
        let text = files.get_mut("nginx/component.kdl").unwrap();
        *text = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("without"))
            .fold(String::new(), |all, line| all + line + "\n");
        let found = lint("nginx", &files);
        let all: Vec<&str> = found.iter().map(|one| one.message.as_str()).collect();
        assert_eq!(all.len(), 2, "{all:?}");
        assert!(all.iter().any(|one| one.contains("it has no secret")), "{all:?}");
        files.remove("nginx/README.md");
        let found = lint("nginx", &files);
        assert!(found.iter().any(|one| one.code == "DN-E0520"), "{found:?}");
    }
}
