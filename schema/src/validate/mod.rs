//! The cluster file as meant: a [`ClusterFile`] and the signatures of components become a
//! [`DesiredState`], or every reason why not.
//!
//! Knows defaults and what contradicts what. Refuses to know nodes that exist and where anything
//! runs. The checks push what they find and go on with a stand-in, so that one run reports all.

mod component;
mod compose;
mod eligible;
mod expose;
mod findings;
mod graph;
mod kubernetes;
mod model;
mod place;
mod ports;
mod service;
mod settings;
mod template;
mod weight;

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use crate::{
    component::Components,
    desired::DesiredState,
    diagnostic::{Diagnostic, Located, Location},
    file::{
        ClusterFile,
        tree::Form,
        written::{NodeSection, ServiceSection},
    },
    name::{ClusterName, NameError, SecretName, ServiceName},
    overrides::{Overrides, Settled},
    template::Grammar,
};

pub use weight::too_large;

use findings::Findings;

/// Checks what a cluster file means. `components` are the signatures of the catalog, `vars` the
/// values that override the file's own variables.
///
/// Returns the desired state when nothing is wrong, and the findings sorted by place: errors, and
/// warnings that stop nothing. Of a file that was not read in full ([`ClusterFile::broken`]) there
/// is never a desired state.
pub fn validate(
    file: &ClusterFile,
    components: &dyn Components,
    vars: &BTreeMap<String, String>,
) -> (Option<DesiredState>, Vec<Diagnostic>) {
    let Judged { desired, found, .. } = judge(file, components, &Overrides::from(vars));
    (desired, found)
}

/// What [`judge`] says of a cluster file.
#[derive(Debug, Clone)]
pub struct Judged {
    /// What it means; `None` when there are errors.
    pub desired: Option<DesiredState>,
    /// Everything that was found, sorted by place.
    pub found: Vec<Diagnostic>,
    /// The secrets that it names and somebody has to set, and where first; also when there are
    /// errors.
    pub secrets: BTreeMap<SecretName, Location>,
    /// The given values that count for its variables.
    pub overrides: BTreeMap<String, String>,
}

/// The same as [`validate`], and the secrets that the file names whether it is valid or not.
pub fn judge(file: &ClusterFile, components: &dyn Components, given: &Overrides) -> Judged {
    let Settled { values: overrides, found } = given.settled(file);
    let mut check = Check::new(file, components, &overrides);
    check.found.extend(found);
    let state = check.state();
    let Check { found, mut secrets, generated, .. } = check;
    secrets.retain(|name, at| !found.doubts(at) && !generated.contains_key(name));
    let failed = file.broken || found.failed();
    let desired = state.filter(|_| !failed);
    Judged { desired, found: found.sorted(), secrets, overrides }
}

/// A warning for each secret that a file names, for where no control plane can be asked whether it
/// is set. With one, planning refuses what is not.
pub fn unchecked_secrets(secrets: &BTreeMap<SecretName, Location>) -> Vec<Diagnostic> {
    let each = secrets.iter().map(|(name, at)| {
        let message = format!("secret `{name}` is not known here");
        Diagnostic::warning("DN-W0413", Some(at.clone()), message)
            .help(format!("see that it is set: `devnet secret set {name}`"))
    });
    let mut found: Vec<Diagnostic> = each.collect();
    found.sort_by(|a, b| a.at.cmp(&b.at));
    found
}

/// What names of Compose files may stand for, over all services that name them: with two files of
/// many services, each of one refers to each of the other.
const MOST_REFERENCES: usize = 500_000;

/// Bytes that are searched for the places of parts of texts: a fraction of a second, however many
/// mistakes there are.
const MAY_SEARCH: usize = 64 << 20;

/// What the checks look at and what they found.
struct Check<'a> {
    file: &'a ClusterFile,
    components: &'a dyn Components,
    services: BTreeMap<&'a str, &'a ServiceSection>,
    nodes: BTreeMap<&'a str, &'a NodeSection>,
    vars: BTreeMap<String, String>,
    /// Secrets that something names, and where first.
    secrets: BTreeMap<SecretName, Location>,
    /// Secrets that the control plane makes.
    generated: BTreeMap<SecretName, u32>,
    /// Compose files by the service that names them.
    projects: BTreeMap<&'a str, compose::Expanded>,
    /// Where each service of a Compose file is written, by its name in the cluster.
    member_at: BTreeMap<String, Location>,
    /// References to the services of Compose files so far, each of which stands for itself.
    references: usize,
    /// Bytes that may still be searched for the places of parts of texts.
    may_search: usize,
    grammar: Grammar,
    found: Findings<'a>,
}

impl<'a> Check<'a> {
    fn new(
        file: &'a ClusterFile,
        components: &'a dyn Components,
        overrides: &BTreeMap<String, String>,
    ) -> Self {
        let (services, nodes, vars) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (secrets, generated, projects, member_at, grammar) = Default::default();
        let found = Findings::new(&file.doubtful);
        let mut check = Self {
            file,
            components,
            services,
            nodes,
            vars,
            secrets,
            generated,
            projects,
            member_at,
            references: 0,
            may_search: MAY_SEARCH,
            grammar,
            found,
        };
        for service in &file.services {
            if let Some(first) = check.services.get(service.name.value.as_str()) {
                let first = first.at.clone();
                check.twice("service", &service.name, first);
            } else {
                check.services.insert(&service.name.value, service);
            }
        }
        for node in &file.nodes {
            if let Some(first) = check.nodes.get(node.name.value.as_str()) {
                let first = first.at.clone();
                check.twice("node", &node.name, first);
            } else {
                check.nodes.insert(&node.name.value, node);
            }
        }
        check.variables(overrides);
        check.expand();
        check
    }

    fn state(&mut self) -> Option<DesiredState> {
        let cluster = self.cluster();
        let settings = self.settings();
        let nodes = self.node_policies();
        let sections: Vec<&ServiceSection> = self.services.values().copied().collect();
        let mut services = BTreeMap::new();
        for section in sections {
            for service in self.services_of(section) {
                services.insert(service.name.clone(), service);
            }
        }
        self.many_instances(&services);
        services.values().filter_map(weight::finding).for_each(|it| self.found.push(it));
        self.cycles(&services);
        self.pinned_ports(&services);
        self.neighbours(&services);
        self.exposed_twice(&services);
        self.eligible(&services, &nodes);
        let moved = self.moved();
        let moved_at = self.moved_at();
        if self.file.services.is_empty() && !self.file.broken {
            let at = self.file.cluster.as_ref().map(|cluster| cluster.at.clone());
            let error = Diagnostic::error("DN-E0300", at, "this configuration declares no service");
            self.found.push(error.help(
                "declare one; an empty configuration is never taken as the wish to remove all",
            ));
        }
        let (vars, secrets) = (self.vars.clone(), self.secrets.clone());
        let generated = self.generated.clone();
        Some(DesiredState {
            cluster: cluster?,
            settings,
            vars,
            secrets,
            generated,
            nodes,
            services,
            moved,
            moved_at,
            checked: (),
        })
    }

    /// The cluster's name. A file without one was refused when it was read.
    fn cluster(&mut self) -> Option<ClusterName> {
        let file = self.file;
        let name = file.cluster.as_ref()?.name.as_ref()?;
        self.name(name)
    }

    fn error(&mut self, code: &str, at: &Location, message: String, help: impl Into<String>) {
        self.found.push(Diagnostic::error(code, Some(at.clone()), message).help(help));
    }

    fn warn(&mut self, code: &str, at: &Location, message: String, help: impl Into<String>) {
        self.found.push(Diagnostic::warning(code, Some(at.clone()), message).help(help));
    }

    /// Something names a secret. Of several places, the first counts.
    fn uses_secret(&mut self, name: SecretName, at: &Location) {
        let first = self.secrets.entry(name).or_insert_with(|| at.clone());
        if at < first {
            first.clone_from(at);
        }
    }

    fn twice(&mut self, what: &str, name: &Located<String>, first: Location) {
        let message = format!("{what} `{}` is declared twice", name.value.escape_debug());
        let error = Diagnostic::error("DN-E0302", Some(name.at.clone()), message)
            .related(first, "first here")
            .help("give one of them another name, or remove it");
        self.found.push(error);
    }

    /// Reads a name.
    fn name<T: FromStr<Err = NameError>>(&mut self, name: &Located<String>) -> Option<T> {
        name.value
            .parse()
            .map_err(|NameError { kind, text }| {
                let shown: String = text.chars().take(80).collect();
                let message = format!("`{shown}` is not a {kind} name");
                let help = "use 1 to 63 lower-case letters, digits and `-`, beginning and ending \
                            with a letter or digit";
                self.error("DN-E0301", &name.at, message, help);
            })
            .ok()
    }

    /// The names of services that must be declared.
    fn others(
        &mut self,
        of: &ServiceSection,
        field: &str,
        names: &[Located<String>],
    ) -> Vec<Located<ServiceName>> {
        let (mut known, mut seen) = (Vec::new(), BTreeSet::new());
        for name in names {
            if name.value == of.name.value {
                let message = format!("service `{}` names itself in `{field}`", name.value);
                self.error("DN-E0305", &name.at, message, "name another service, or remove it");
                continue;
            }
            let project = self.projects.get(name.value.as_str());
            let member = self.member_at.contains_key(&name.value);
            if project.is_none() && !member && !self.services.contains_key(name.value.as_str()) {
                self.no_service(name);
                continue;
            }
            if !seen.insert(name.value.as_str()) {
                let message = format!("`{}` is named twice in `{field}`", name.value);
                self.warn("DN-W0406", &name.at, message, "remove one of the two");
                continue;
            }
            // A Compose file is all of its services.
            if let Some(project) = project {
                let all: Vec<ServiceName> = project.members().cloned().collect();
                if self.refers(all.len(), &name.at) {
                    known.extend(
                        all.into_iter().map(|value| Located { value, at: name.at.clone() }),
                    );
                }
            } else if let Some(value) = self.name(name) {
                known.push(Located { value, at: name.at.clone() });
            }
        }
        known
    }

    /// Counts what a name stands for; false once that is too much, which is said once.
    fn refers(&mut self, more: usize, at: &Location) -> bool {
        let before = self.references;
        self.references = before.saturating_add(more);
        if before <= MOST_REFERENCES && self.references > MOST_REFERENCES {
            let message = format!(
                "names of Compose files stand for more than {MOST_REFERENCES} references to their \
                 services"
            );
            let help = "name the services of the Compose file that are meant";
            self.error("DN-E0117", at, message, help);
        }
        self.references <= MOST_REFERENCES
    }

    /// Every service that can be named, those of Compose files included.
    fn service_names(&self) -> impl Iterator<Item = &str> + Clone {
        self.services.keys().copied().chain(self.member_at.keys().map(String::as_str))
    }

    fn no_service(&mut self, name: &Located<String>) {
        if self.may_be_unread(&name.value) {
            return;
        }
        let help = match crate::template::is_template(&name.value) {
            true => "templates are not filled in here: write the name itself".to_owned(),
            false => self.advice(&name.value, self.service_names()),
        };
        let message = format!("there is no service `{}`", name.value.escape_debug());
        self.error("DN-E0303", &name.at, message, help);
    }

    /// Whether something of that name may well be declared in what could not be read. The services
    /// of a Compose file are named after it.
    fn may_be_unread(&self, name: &str) -> bool {
        let member = |(project, read): (&&str, &compose::Expanded)| {
            !read.is_whole() && name.strip_prefix(*project).is_some_and(|n| n.starts_with('-'))
        };
        self.file.unread.may_declare(name) || self.projects.iter().any(member)
    }

    /// How to write something, in the form of the file that it belongs into.
    fn written(at: &Location, kdl: &str, yaml: &str) -> String {
        match Form::of(&at.file) {
            Some(Form::Yaml) => yaml.to_owned(),
            _ => kdl.to_owned(),
        }
    }

    /// Advice for an unknown word, as long as there are few enough for someone to read.
    fn advice<'w>(&self, word: &str, known: impl Iterator<Item = &'w str> + Clone) -> String {
        self.found.advice(word, known)
    }
}

#[cfg(test)]
mod tests;
