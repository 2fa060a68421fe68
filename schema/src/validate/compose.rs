//! Compose files: one service of the cluster file that becomes several.
//!
//! Knows how each service of a Compose file is named, placed and granted what it asks for. Refuses
//! to know Compose's syntax: [`crate::compose`] does.
//!
//! Services that share a network or a volume run on one node: that is where their names and data
//! are.

mod grants;
mod ports;
mod shared;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use self::shared::{joined, together};
use super::Check;
use crate::{
    component::VolumeDeclaration,
    compose::{self, Healthcheck, Loaded},
    container::Namespace,
    desired::{FileContent, Form, Place, Selector, SelectorKey, Service, Update},
    diagnostic::{Diagnostic, Located, Location},
    file::{
        tree::Source,
        written::{ComposeSection, FormSection, ServiceSection},
    },
    instance::{HealthSpec, Probe, Runtime, StopSpec},
    name::{NameError, NodeName, ServiceName, is_label},
    quantity::{Bytes, Cpu, GpuRequest, Period, Resources},
    replicas::{PerNode, Replicas},
};

/// A Compose file as read, and what its services are called in the cluster.
pub(super) struct Expanded {
    /// Services that use one file in the same way have it together.
    loaded: Rc<Loaded>,
    /// Whether the file was read: one that was not may have services of any name.
    read: bool,
    /// Name in the cluster by name in the file.
    names: BTreeMap<String, ServiceName>,
}

/// A way to use a Compose file: its path, the values that are set, and the profiles.
type Use = (String, BTreeMap<String, String>, BTreeSet<String>);

/// What one service of a Compose file is part of.
struct Member<'m, 's> {
    section: &'s ServiceSection,
    project: ServiceName,
    expanded: &'m Expanded,
    /// What the cluster file says of all of them.
    place: Place,
    update: Update,
    leave_data: Vec<Located<NodeName>>,
}

impl<'a> Check<'a> {
    /// Reads every Compose file, so that their services are known before anything names them.
    pub(super) fn expand(&mut self) {
        let sections: Vec<&'a ServiceSection> = self.services.values().copied().collect();
        let mut uses = BTreeMap::new();
        for section in sections {
            let Some(FormSection::Compose(written)) = &section.form else { continue };
            let loaded = self.load(section, written, &mut uses);
            let read = loaded.is_some();
            let loaded = loaded.unwrap_or_default();
            self.found.doubt(&loaded.doubtful);
            let names = self.members(section, &loaded);
            self.projects.insert(&section.name.value, Expanded { loaded, read, names });
        }
    }

    /// A Compose file as one service uses it. Of several that use it in the same way only the first
    /// is told what is wrong with it.
    fn load(
        &mut self,
        section: &ServiceSection,
        written: &ComposeSection,
        uses: &mut BTreeMap<Use, Rc<Loaded>>,
    ) -> Option<Rc<Loaded>> {
        // Reading said why a file is missing; without reading there is none.
        let Some(sources) = &written.sources else {
            if !self.file.broken {
                let message = "the Compose file was not read".to_owned();
                self.error("DN-E0323", &written.file.at, message, "load the file with its root");
            }
            return None;
        };
        let path = root(&written.file.value);
        let set = section.set.iter();
        let set = set.map(|(name, value)| (name.value.clone(), value.value.clone())).collect();
        let profiles = written.profiles.iter().map(|profile| profile.value.clone()).collect();
        let one: Use = (path, set, profiles);
        if let Some(loaded) = uses.get(&one) {
            return Some(Rc::clone(loaded));
        }
        let text = sources.texts.get(&one.0)?;
        let source = Source::new(one.0.clone(), text.clone());
        let inputs = compose::Inputs {
            vars: &self.vars,
            set: &one.1,
            project: &section.name.value,
            profiles: one.2.clone(),
            files: sources,
            limits: &self.file.limits,
        };
        let (loaded, found) = compose::load(&source, &inputs);
        let why = "this service uses the file";
        self.found.extend(found.into_iter().map(|one| one.related(written.file.at.clone(), why)));
        let loaded = Rc::new(loaded);
        if loaded.is_shared() {
            uses.insert(one, Rc::clone(&loaded));
        }
        Some(loaded)
    }

    /// The names of a project's services: `PROJECT-SERVICE`, as Compose names its containers.
    fn members(
        &mut self,
        section: &'a ServiceSection,
        loaded: &Loaded,
    ) -> BTreeMap<String, ServiceName> {
        let mut names = BTreeMap::new();
        for (service, read) in &loaded.project.services {
            let plain = service.to_ascii_lowercase().replace(['_', '.'], "-");
            let at = read.at.as_ref().unwrap_or(&section.at);
            let name: Result<ServiceName, NameError> =
                format!("{}-{plain}", section.name.value).parse();
            let Ok(name) = name else {
                // A bad name of the whole is told elsewhere.
                if is_label(&section.name.value) {
                    let shown = format!("{}-{plain}", section.name.value);
                    let message = format!("`{}` is not a service's name", shown.escape_debug());
                    let help = "give the services shorter names; together with the `-` between \
                                them they have at most 63 letters";
                    self.error("DN-E0343", at, message, help);
                }
                continue;
            };
            let taken = self.services.get(name.as_str()).map(|other| other.at.clone());
            let taken = taken.or_else(|| self.member_at.get(name.as_str()).cloned());
            if let Some(first) = taken {
                let message = format!("two services are called `{name}`");
                let error = Diagnostic::error("DN-E0343", Some(at.clone()), message)
                    .related(first, "the other one")
                    .help("give one of them another name");
                self.found.push(error);
                continue;
            }
            self.member_at.insert(name.to_string(), at.clone());
            names.insert(service.clone(), name);
        }
        names
    }

    /// The services of a Compose file.
    pub(super) fn project(&mut self, section: &'a ServiceSection) -> Vec<Service> {
        self.only_of_a_file(section);
        section.set.iter().for_each(|(_, value)| self.template(value));
        let project: Option<ServiceName> = self.name(&section.name);
        let mut depends_on = self.others(section, "depends-on", &section.depends_on);
        let grants = self.grants(section);
        let Some(expanded) = self.projects.remove(section.name.value.as_str()) else {
            return Vec::new();
        };
        let asked: BTreeSet<usize> = self.asks(section, &expanded, &grants);
        let unused = grants.iter().enumerate().filter(|(at, line)| {
            let of = &expanded.loaded.project.services;
            // That there is no such service was told.
            let known = line.to.is_empty() || line.to.iter().any(|to| of.contains_key(&to.value));
            known && !asked.contains(at)
        });
        for (_, line) in unused.filter(|_| expanded.is_whole()) {
            let message = format!("nothing in the Compose file asks for `{}`", line.grant);
            self.warn("DN-W0420", line.at, message, "remove the line; grants should be few");
        }
        self.unused(section, &expanded);
        let each = depends_on.len().saturating_mul(expanded.names.len());
        if !self.refers(each, &section.at) {
            depends_on.clear();
        }
        let mut services = Vec::new();
        if let Some(project) = project {
            let (place, update) = (self.place(section), self.update(section));
            let leave_data = self.leave_data(section);
            let expanded = &expanded;
            let member = Member { section, project, expanded, place, update, leave_data };
            for (name, read) in &expanded.loaded.project.services {
                if let Some(own) = expanded.names.get(name) {
                    services.push(self.member(&member, own, read, &depends_on));
                }
            }
            together(&mut services, section);
        }
        let none = expanded.loaded.project.services.is_empty() && expanded.is_whole();
        if none && !self.file.broken {
            let failed = self.found.failed();
            if let Some(FormSection::Compose(written)) = section.form.as_ref().filter(|_| !failed) {
                let message = "the Compose file runs no service".to_owned();
                let help = "declare one, or want one of its profiles";
                self.error("DN-E0343", &written.file.at, message, help);
            }
        }
        self.projects.insert(&section.name.value, expanded);
        services
    }

    /// Values that are set and that the Compose file never asks for.
    fn unused(&mut self, section: &ServiceSection, expanded: &Expanded) {
        let used = &expanded.loaded.used;
        let set: BTreeSet<&str> = section.set.iter().map(|(name, _)| name.value.as_str()).collect();
        for (name, _) in section.set.iter().filter(|_| expanded.is_whole()) {
            if used.contains(&name.value) {
                continue;
            }
            let shown = name.value.escape_debug();
            let message = format!("nothing in the Compose file refers to `{shown}`");
            let open = used.iter().map(String::as_str).filter(|used| !set.contains(used));
            let help = match self.found.nearest(&name.value, open) {
                Some(near) => format!("did you mean `{}`? Else remove it", near.escape_debug()),
                None => format!("remove it, or write `${{{shown}}}` where it is wanted"),
            };
            self.warn("DN-W0564", &name.at, message, help);
        }
    }

    /// Instances that Compose files ask for are counted here: nobody else has seen them yet.
    pub(super) fn many_instances(&mut self, services: &BTreeMap<ServiceName, Service>) {
        let most = u64::try_from(self.file.limits.instances).unwrap_or(u64::MAX);
        let mut instances = 0;
        for service in services.values() {
            // One on each node counts once: how many nodes there are, the file does not say.
            instances += u64::from(service.replicas.count().max(1));
            if instances > most && matches!(service.form, Form::Compose { .. }) {
                let message = format!("more than {most} instances");
                let help = "ask for less, or raise the limit `instances`";
                return self.error("DN-E0117", &service.at, message, help);
            }
        }
    }

    /// Fields of a service that a Compose file says of each of its own.
    fn only_of_a_file(&mut self, section: &ServiceSection) {
        let first = |pairs: &[(Located<String>, Located<String>)]| {
            pairs.first().map(|(name, _)| name.at.clone())
        };
        let written = [
            ("env", first(&section.env), "write `environment` there, or `set` for its `${…}`"),
            (
                "secret",
                first(&section.secrets),
                &Self::written(
                    &section.at,
                    "write `set NAME=\"{{ secret.NAME }}\"`",
                    "write `NAME: \"{{ secret.NAME }}\"` under `set`",
                ),
            ),
            ("port", section.ports.first().map(|port| port.at.clone()), "write `ports` there"),
            ("volume", first(&section.volumes), "write `volumes` there"),
            ("file", section.files.first().map(|f| f.path.at.clone()), "write `configs` there"),
            ("command", section.command.first().map(|c| c.at.clone()), "write `command` there"),
            (
                "resources",
                section.resources.as_ref().map(|r| r.at.clone()),
                "write `deploy.resources` there",
            ),
            (
                "replicas",
                section.replicas.as_ref().map(|r| r.at.clone()),
                "write `deploy.replicas` there",
            ),
            (
                "run-once",
                section.run_once.as_ref().map(|once| once.at.clone()),
                "write `condition: service_completed_successfully` there",
            ),
            ("schedule", section.schedule.as_ref().map(|s| s.at.clone()), "give it a service"),
            ("health", section.health.as_ref().map(|h| h.at.clone()), "write `healthcheck` there"),
            (
                "stop",
                section.stop.as_ref().map(|s| s.at.clone()),
                "write `stop_signal` and `stop_grace_period` there",
            ),
            ("model", section.models.first().map(|m| m.at.clone()), "use a component"),
            (
                "expose",
                section.exposes.first().map(|line| line.at.clone()),
                "pass requests on with a reverse proxy of its own",
            ),
        ];
        for (field, at, help) in written {
            if let Some(at) = at {
                let several =
                    ["secret", "port", "volume", "file", "model", "expose"].contains(&field);
                let yaml = if several { format!("{field}s") } else { field.to_owned() };
                let field = Self::written(&at, field, &yaml);
                let message = format!("`{field}` is said in the Compose file, of each service");
                self.error("DN-E0312", &at, message, help);
            }
        }
        if let Some(runtime) = section.runtime.as_ref().filter(|r| r.value != Runtime::Docker) {
            let message = format!("`{}` cannot run a Compose file", runtime.value.as_str());
            self.error("DN-E0321", &runtime.at, message, "use docker");
        }
    }

    fn member(
        &mut self,
        member: &Member<'_, 'a>,
        name: &ServiceName,
        read: &compose::Service,
        depends_on: &[Located<ServiceName>],
    ) -> Service {
        let Member { section, project, expanded, .. } = member;
        let mut container = read.clone();
        let networks = joined(&expanded.loaded.project, read);
        let templates = &expanded.loaded.templates;
        let located =
            |text: Located<String>| Located { value: templates.text(&text.value).0, at: text.at };
        let env: BTreeMap<String, Located<String>> = std::mem::take(&mut container.env)
            .into_iter()
            .map(|(name, value)| (name, located(value)))
            .collect();
        self.env_names(&env);
        let files = std::mem::take(&mut container.files);
        let files = files.into_iter().map(|(path, file)| (path, content(templates, file)));
        let files: BTreeMap<String, Located<FileContent>> = files.collect();
        for file in files.values().filter(|file| file.value.template) {
            self.template(&Located { value: file.value.text.clone(), at: file.at.clone() });
        }
        container.each_text(&mut |text| text.value = templates.text(&text.value).0);
        let at = read.at.clone().unwrap_or_else(|| section.at.clone());
        self.image_of(container.image.as_ref(), &at);
        let replicas = replicas_of(&mut container);
        let mut place = member.place.clone();
        place_of_its_own(&mut place, &mut container);
        let needs = depends_on.iter().cloned().chain(expanded.needs(&mut container)).collect();
        let mut update = member.update.clone();
        if let Some(most) = container.max_unavailable.take() {
            update.max_unavailable = most.value;
        }
        let ports = self.compose_ports(&mut container);
        let stop = Self::compose_stop(&mut container);
        let volumes = container.volumes.iter().map(volume_of).collect();
        Service {
            name: name.clone(),
            runtime: Runtime::Docker,
            replicas,
            priority: section.priority.as_ref().map_or(super::service::PRIORITY, |p| p.value),
            env,
            ports,
            volumes,
            files,
            resources: self.compose_resources(&mut container),
            resources_at: None,
            models: Vec::new(),
            exposes: Vec::new(),
            place,
            depends_on: needs,
            health: container.health.take().and_then(|check| health(check.value)),
            stop,
            update,
            run_once: read.run_once,
            schedule: None,
            protect: section.protect.as_ref().filter(|p| p.value).map(|p| p.at.clone()),
            leave_data: member.leave_data.clone(),
            form: {
                let shares = expanded.shares(&mut container);
                let (project, container) = (project.clone(), Box::new(container));
                Form::Compose { project, networks, shares, container }
            },
            at,
        }
    }

    fn image_of(&mut self, image: Option<&Located<String>>, at: &Location) {
        match image {
            // It stays as it is written where a variable has no value, and that was told.
            Some(image) if image.value.contains('$') && self.found.told(&image.at) => {}
            Some(image) => self.image(image),
            None => {
                let message = "this service has no image".to_owned();
                self.error("DN-E0555", at, message, "write `image: …`");
            }
        }
    }

    fn env_names(&mut self, env: &BTreeMap<String, Located<String>>) {
        for (name, value) in env {
            self.no_nul([value], "an environment variable");
            // An engine passes on any name, like `A:B`.
            if name.is_empty() || name.contains(['=', '\0']) {
                let shown = name.escape_debug();
                let message = format!("`{shown}` is not the name of an environment variable");
                let help = "write a name without `=`";
                self.error("DN-E0301", &value.at, message, help);
            }
        }
    }

    fn compose_stop(container: &mut compose::Service) -> StopSpec {
        let mut stop = StopSpec::default();
        if let Some(signal) = container.stop_signal.take() {
            stop.signal = Some(signal.value);
        }
        if let Some(grace) = container.stop_grace_period.take() {
            stop.grace = grace.value;
        }
        stop
    }

    /// What is reserved; where only a limit is written, that; else the cluster's default.
    fn compose_resources(&mut self, container: &mut compose::Service) -> Resources {
        let defaults = self.file.cluster.as_ref().and_then(|cluster| cluster.defaults.as_ref());
        let defaults = defaults.map(super::settings::plain).unwrap_or_default();
        let (asked, most) = (container.reservations, container.limits);
        let first_cpu = [asked.cpu, most.cpu, defaults.cpu].into_iter();
        let first_memory = [asked.memory, most.memory, defaults.memory].into_iter();
        let gpu = container.gpus.take().map(|gpus| GpuRequest::Whole(gpus.value));
        Resources {
            cpu: first_cpu.into_iter().find(|cpu| *cpu > Cpu::ZERO).unwrap_or_default(),
            memory: first_memory.into_iter().find(|m| *m > Bytes::ZERO).unwrap_or_default(),
            disk: defaults.disk,
            gpu: gpu.unwrap_or(defaults.gpu),
        }
    }
}

impl Expanded {
    /// The services of the file that one of them waits for.
    fn needs(&self, container: &mut compose::Service) -> Vec<Located<ServiceName>> {
        let needs = std::mem::take(&mut container.depends_on).into_iter();
        let named = needs.filter_map(|need| {
            let value = self.names.get(&need.value.service)?.clone();
            Some(Located { value, at: need.at })
        });
        named.collect()
    }

    /// The namespaces of other services that one of them lives in.
    fn shares(&self, container: &mut compose::Service) -> Vec<(Namespace, ServiceName)> {
        let shares = std::mem::take(&mut container.shares).into_iter();
        let named = shares.filter_map(|share| {
            Some((share.value.namespace, self.names.get(&share.value.service)?.clone()))
        });
        named.collect()
    }

    /// The names of its services in the cluster.
    pub(super) fn members(&self) -> impl Iterator<Item = &ServiceName> {
        self.names.values()
    }

    /// Whether every service of the file is known.
    pub(super) fn is_whole(&self) -> bool {
        self.read && self.loaded.unread.is_empty()
    }

    /// Whether the service of that name is reached from outside.
    pub(super) fn publishes(&self, name: &str) -> bool {
        let own = self.names.iter().find(|(_, member)| member.as_str() == name);
        let read = own.and_then(|(service, _)| self.loaded.project.services.get(service));
        read.is_some_and(|read| read.ports.iter().any(|port| port.value.published))
    }
}

/// A path from the root of the configuration, as the loader keeps it.
fn root(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    parts.collect::<Vec<_>>().join("/")
}

/// A file of the service: a template where its content has one, else data.
fn content(templates: &compose::Templates, file: Located<compose::File>) -> Located<FileContent> {
    let compose::File { content, mode } = file.value;
    let (text, template) = templates.text(&content);
    let text = if template { text } else { content };
    Located { value: FileContent { text, template, mode }, at: file.at }
}

/// A volume as services of the cluster file declare it.
fn volume_of(volume: &Located<compose::Volume>) -> Located<VolumeDeclaration> {
    let (name, path) = (volume.value.name.clone(), volume.value.path.clone());
    let value = VolumeDeclaration { name, path, holds: String::new(), cache: false };
    Located { value, at: volume.at.clone() }
}

/// How many instances a service of the file has.
fn replicas_of(container: &mut compose::Service) -> Replicas {
    let count = container.replicas.take().map_or(1, |replicas| replicas.value);
    match container.global.take() {
        Some(_) => Replicas::PerNode(PerNode::default()),
        None => Replicas::Count(count),
    }
}

/// What the Compose file says of where a service may be.
fn place_of_its_own(place: &mut Place, container: &mut compose::Service) {
    if let Some(most) = container.max_per_node.take() {
        place.max_per_node = Some(most);
    }
    if let Some(Located { value, at }) = container.platform.take() {
        let mut require = |key, word: &str| {
            let any_of = vec![super::place::usual(key, word).to_owned()];
            place.require.push(Located { value: Selector { key, any_of }, at: at.clone() });
        };
        require(SelectorKey::Os, &value.os);
        if let Some(arch) = &value.arch {
            require(SelectorKey::Arch, arch);
        }
    }
}

/// A check that is not switched off. The defaults are those of Compose.
fn health(check: Healthcheck) -> Option<HealthSpec> {
    let Healthcheck { argv, interval, timeout, retries, start_period } = check;
    (!argv.is_empty()).then(|| HealthSpec {
        probe: Probe::Exec { argv },
        interval: interval.unwrap_or(Period::seconds(30)),
        timeout: timeout.unwrap_or(Period::seconds(30)),
        retries: retries.unwrap_or(3).max(1),
        start_period: start_period.unwrap_or(Period::seconds(0)),
    })
}
