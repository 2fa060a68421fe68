//! One service: its form, and every field that depends on it.
//!
//! Knows which field goes with which form, and defaults. Refuses to know other services but by
//! name.

use std::collections::BTreeMap;

use super::{
    Check, component,
    settings::{gpu, plain},
};
use crate::{
    component::{ComponentSignature, PortDeclaration, VolumeDeclaration},
    desired::{FileContent, Form, Model, Service, Update},
    diagnostic::{self, Diagnostic, Located, Location},
    file::{
        forbidden,
        written::{
            ComposeSection, Count, FormSection, HealthSection, KubernetesSection, Order,
            ScheduleSection, ServiceSection,
        },
    },
    instance::{HealthSpec, Probe, Runtime, StopSpec},
    name::{is_image, is_label},
    quantity::{Period, Resources},
    replicas::{PerNode, Replicas},
    schedule::{self, Timing},
    template::is_template,
};

/// How much a service counts that says nothing.
pub(super) const PRIORITY: u8 = 50;
/// Permission bits of a file that says nothing.
const MODE: u32 = 0o444;
/// Signals that may stop a service.
pub(super) const SIGNALS: [&str; 8] =
    ["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGKILL"];

/// Whether it ends by itself: also what runs at certain times.
fn is_run_once(section: &ServiceSection) -> bool {
    section.run_once.as_ref().is_some_and(|once| once.value) || section.schedule.is_some()
}

impl<'a> Check<'a> {
    /// What a section stands for: one service, or those of its Compose file.
    pub(super) fn services_of(&mut self, section: &'a ServiceSection) -> Vec<Service> {
        match &section.form {
            Some(FormSection::Compose(_)) => self.project(section),
            Some(FormSection::Kubernetes(written)) => {
                self.kubernetes(section, written).into_iter().collect()
            }
            _ => self.service(section).into_iter().collect(),
        }
    }

    /// A service, or nothing when it has no form or no name that could be one; then the findings
    /// say why. Of an unknown component it is assumed that it takes all it is given.
    fn service(&mut self, section: &ServiceSection) -> Option<Service> {
        let name = self.name(&section.name);
        let depends_on = self.others(section, "depends-on", &section.depends_on);
        let replicas = replicas_of(section);
        let place = self.place(section);
        let env = self.env(section);
        let update = self.update(section);
        let written = section.form.as_ref()?;
        let signature = match written {
            FormSection::Component { name, version } => Some(
                self.signature(name).unwrap_or_else(|| component::stand_in(section, name, version)),
            ),
            _ => None,
        };
        let signature = signature.as_ref();
        let runtime = self.runtime(section, written, signature);
        let mut form = self.form(section, written, signature);
        let models = self.models_of(section, signature, &mut form);
        let ports = self.ports(section, signature, runtime);
        let stop = self.stop(section, signature);
        self.shared_data(section, &replicas, signature);
        Some(Service {
            at: section.at.clone(),
            form,
            runtime,
            replicas,
            priority: section.priority.as_ref().map_or(PRIORITY, |priority| priority.value),
            env,
            volumes: self.volumes(section, signature, runtime),
            files: self.files(section, runtime),
            resources: {
                let resources = self.resources(section, signature);
                self.with_models(section, &models, resources)
            },
            models,
            resources_at: section.resources.as_ref().map(|resources| resources.at.clone()),
            place,
            depends_on,
            health: self.health(section, signature, &ports).filter(|_| !is_run_once(section)),
            exposes: self.exposes(section, &ports),
            ports,
            stop,
            update,
            run_once: self.run_once(section),
            schedule: self.schedule(section),
            protect: section.protect.as_ref().filter(|p| p.value).map(|p| p.at.clone()),
            leave_data: self.leave_data(section),
            // Last, so that a bad name does not hide what else is wrong.
            name: name?,
        })
    }

    /// Whether it runs once. Nothing is asked of what ends by itself: its end says how it went.
    fn run_once(&mut self, section: &ServiceSection) -> bool {
        let once = is_run_once(section);
        if once && let Some(health) = &section.health {
            let message = "`health` goes with a service that goes on running".to_owned();
            let help = "remove it: the exit code says how a run went";
            self.error("DN-E0312", &health.at, message, help);
        }
        once
    }

    /// When it runs.
    fn schedule(&mut self, section: &ServiceSection) -> Option<Timing> {
        let ScheduleSection { at: _, cron, timezone } = section.schedule.as_ref()?;
        let zone = timezone.as_ref().map_or(schedule::UTC, |zone| zone.value.as_str());
        if let Some(written) = timezone.as_ref().filter(|zone| !schedule::is_timezone(&zone.value))
        {
            let message = format!("`{}` is not the name of a time zone", zone.escape_debug());
            let help = "write a name like `Europe/Berlin`; without one it is UTC";
            self.error("DN-E0327", &written.at, message, help);
        }
        let cron = cron.as_ref()?;
        match cron.value.parse() {
            Ok(cron) => Some(Timing { cron, timezone: zone.to_owned() }),
            Err(why) => {
                let shown = cron.value.escape_debug();
                let message = format!("`{shown}` is not a schedule: {why}");
                let help = "write minute, hour, day of the month, month and day of the week, like \
                            \"0 3 * * *\" for every day at three";
                self.error("DN-E0327", &cron.at, message, help);
                None
            }
        }
    }

    /// The models of a service, and its component's parameters as they want them.
    fn models_of(
        &mut self,
        section: &ServiceSection,
        signature: Option<&ComponentSignature>,
        form: &mut Form,
    ) -> Vec<Model> {
        let (Form::Component { parameters, .. }, Some(signature)) = (form, signature) else {
            return self.models(section, None, &BTreeMap::new());
        };
        let models = self.models(section, Some(signature), parameters);
        self.tuned(section, signature, &models, parameters);
        models
    }

    fn form(
        &mut self,
        section: &ServiceSection,
        written: &FormSection,
        signature: Option<&ComponentSignature>,
    ) -> Form {
        if signature.is_none() {
            let allow = section.allow.first().map(|line| &line.at);
            self.misplaced("allow", allow, "a component or a Compose file, which may need it");
            self.misplaced("set", section.set.first().map(|(name, _)| &name.at), "a component");
            let secret = section.secrets.first().map(|(name, _)| &name.at);
            let name = Self::written(&section.at, "secret", "secrets");
            self.misplaced(&name, secret, "a component; use `{{ secret.NAME }}` in `env`");
        }
        if !matches!(written, FormSection::Image(_)) {
            let command = section.command.first().map(|word| &word.at);
            self.misplaced("command", command, "an image");
        }
        match (written, signature) {
            (FormSection::Component { name, version }, Some(signature)) => {
                self.component(section, name, version.as_ref(), signature)
            }
            (FormSection::Process(argv), _) => {
                argv.iter().for_each(|word| self.template(word));
                self.one_word(argv);
                self.no_nul(argv, "an argument");
                self.program(&argv[0]);
                Form::Process { argv: argv.clone() }
            }
            (FormSection::Image(image) | FormSection::Component { name: image, .. }, _)
            | (FormSection::Compose(ComposeSection { file: image, .. }), _)
            | (FormSection::Kubernetes(KubernetesSection { path: image, .. }), _) => {
                self.image(image);
                section.command.iter().for_each(|word| self.template(word));
                self.one_word(&section.command);
                self.no_nul(&section.command, "an argument");
                let command = (!section.command.is_empty()).then(|| section.command.clone());
                Form::Image { image: image.clone(), command }
            }
        }
    }

    fn misplaced(&mut self, field: &str, at: Option<&Location>, goes_with: &str) {
        if let Some(at) = at {
            let message = format!("`{field}` goes with {goes_with}");
            self.error("DN-E0312", at, message, "remove it");
        }
    }

    /// A program's name is handed to the system as it is, so it must not pass for an option.
    fn program(&mut self, program: &Located<String>) {
        let text = program.value.as_str();
        if text.is_empty() || text.starts_with('-') || text.chars().any(forbidden) {
            let message = format!("`{}` is not a program", text.escape_debug());
            self.error("DN-E0312", &program.at, message, "write its name or path first");
        }
    }

    pub(super) fn image(&mut self, image: &Located<String>) {
        self.template(image);
        self.no_secret(image, "an image reference");
        let text = image.value.as_str();
        if !is_template(text) && !is_image(text) {
            let message = format!("`{}` is not an image", diagnostic::printable(text));
            let help = match text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
                Some(inside) if is_image(inside) => {
                    format!("write `\"{inside}\"`: single quotes are part of a text")
                }
                _ if is_image(&text.to_ascii_lowercase()) => {
                    "an image's name is in lower case: `registry/name:tag`".to_owned()
                }
                _ => "write `registry/name:tag`".to_owned(),
            };
            return self.error("DN-E0312", &image.at, message, help);
        }
        let last = text.rsplit('/').next().unwrap_or("");
        let floating = !last.contains([':', '@']) || last.ends_with(":latest");
        if floating && !is_template(text) {
            let message = "this image's tag may mean another image tomorrow".to_owned();
            self.warn("DN-W0402", &image.at, message, "name a version or a digest");
        }
    }

    /// The driver: the only one for images and processes, the component's first unless written.
    fn runtime(
        &mut self,
        section: &ServiceSection,
        written: &FormSection,
        signature: Option<&ComponentSignature>,
    ) -> Runtime {
        let able: Vec<Runtime> = match (written, signature) {
            (FormSection::Component { .. }, Some(signature)) => signature.runtimes.clone(),
            (FormSection::Process(_), _) => vec![Runtime::Process],
            _ => vec![Runtime::Docker],
        };
        let usual = able.first().copied().unwrap_or(Runtime::Docker);
        let Some(wanted) = &section.runtime else {
            return usual;
        };
        if wanted.value == Runtime::Kubernetes {
            let message = "this version of devnet does not run services in Kubernetes yet";
            let help = "use `docker` or `process`";
            self.error("DN-E0321", &wanted.at, message.to_owned(), help);
        } else if !able.contains(&wanted.value) {
            let word = wanted.value.as_str();
            let message = format!("`{word}` cannot run this service");
            let names: Vec<&str> = able.iter().map(|runtime| runtime.as_str()).collect();
            self.error("DN-E0321", &wanted.at, message, format!("use {}", names.join(" or ")));
        }
        wanted.value
    }

    fn env(&mut self, section: &ServiceSection) -> BTreeMap<String, Located<String>> {
        for (name, value) in &section.env {
            if !is_variable(&name.value) {
                let shown = name.value.escape_debug();
                let message = format!("`{shown}` is not an environment variable's name");
                let help = "use letters, digits and `_`, not beginning with a digit";
                self.error("DN-E0301", &name.at, message, help);
            }
            self.no_nul([value], "an environment variable");
            self.template(value);
        }
        section.env.iter().map(|(name, value)| (name.value.clone(), value.clone())).collect()
    }

    /// Texts that the system would end at a NUL.
    pub(super) fn no_nul<'t>(
        &mut self,
        texts: impl IntoIterator<Item = &'t Located<String>>,
        what: &str,
    ) {
        for text in texts.into_iter().filter(|text| text.value.contains('\0')) {
            let message = format!("{what} cannot hold the character NUL");
            self.error("DN-E0322", &text.at, message, "remove it");
        }
    }

    fn volumes(
        &mut self,
        section: &ServiceSection,
        signature: Option<&ComponentSignature>,
        runtime: Runtime,
    ) -> Vec<Located<VolumeDeclaration>> {
        let declared = signature.map_or(&[][..], |signature| &signature.volumes);
        let mut volumes: Vec<Located<VolumeDeclaration>> = declared
            .iter()
            .map(|volume| Located { value: volume.clone(), at: section.at.clone() })
            .collect();
        // The first of each name and of each path: one's own has a place.
        let mut names: BTreeMap<&str, Option<&Location>> =
            declared.iter().map(|volume| (volume.name.as_str(), None)).collect();
        let mut paths: BTreeMap<Vec<&str>, Option<&Location>> =
            declared.iter().map(|volume| (steps(&volume.path), None)).collect();
        for (name, path) in &section.volumes {
            if !is_label(&name.value) {
                let message = format!("`{}` is not a volume name", name.value.escape_debug());
                let help = "use lower-case letters, digits and `-`";
                self.error("DN-E0301", &name.at, message, help);
            }
            self.path(path, runtime);
            self.literal(path, "a path");
            let same_name = names.get(name.value.as_str()).map(|first| ("name", *first));
            let same_path = paths.get(&steps(&path.value)).map(|first| ("path", *first));
            if let Some((what, first)) = same_name.or(same_path) {
                let shown = name.value.escape_debug();
                let message = match first {
                    Some(_) => format!("volume `{shown}` has the {what} of another one"),
                    None => format!("the component has a volume of the {what} of `{shown}` itself"),
                };
                let mut error = Diagnostic::error("DN-E0323", Some(name.at.clone()), message)
                    .help("give it a name and a path of its own, or remove it");
                if let Some(first) = first {
                    error = error.related(first.clone(), "first here");
                }
                self.found.push(error);
            }
            names.entry(&name.value).or_insert(Some(&name.at));
            paths.entry(steps(&path.value)).or_insert(Some(&name.at));
            let (name_of, path) = (name.value.clone(), path.value.clone());
            let value =
                VolumeDeclaration { name: name_of, path, holds: String::new(), cache: false };
            volumes.push(Located { value, at: name.at.clone() });
        }
        volumes
    }

    /// A path as the unit sees it: absolute in a container, below its own directory for a process.
    fn path(&mut self, path: &Located<String>, runtime: Runtime) {
        let text = path.value.as_str();
        let parts: Vec<&str> = text.split('/').collect();
        let clean = !parts.contains(&"..")
            && !text.chars().any(|c| c.is_control() || forbidden(c))
            && parts.iter().any(|part| !part.is_empty() && *part != ".");
        let absolute = text.starts_with('/');
        let (good, help) = match runtime {
            Runtime::Process => (
                clean && !absolute && !text.starts_with('-'),
                "write a path below the process's own directory, like `data`",
            ),
            _ => (clean && absolute, "write an absolute path without `..`, like `/var/lib/app`"),
        };
        if !good {
            let message = format!("`{}` is no path for this", text.escape_debug());
            self.error("DN-E0323", &path.at, message, help);
        }
    }

    fn files(
        &mut self,
        section: &ServiceSection,
        runtime: Runtime,
    ) -> BTreeMap<String, Located<FileContent>> {
        let mut files = BTreeMap::new();
        for file in &section.files {
            self.path(&file.path, runtime);
            self.literal(&file.path, "a path");
            let template = file.content.is_some();
            if let Some(content) = &file.content {
                self.template(content);
            }
            let content = file.content.as_ref().map(|content| content.value.clone());
            let Some(text) = content.or_else(|| file.source_text.clone()) else {
                // Reading said why the source is missing; without reading there is no source.
                if !self.file.broken {
                    let message = "the `source` of this file was not read".to_owned();
                    self.error("DN-E0323", &file.path.at, message, "load the file with its root");
                }
                continue;
            };
            let mode = file.mode.as_ref().map_or(MODE, |mode| mode.value);
            let value = FileContent { text, template, mode };
            files.insert(file.path.value.clone(), Located { value, at: file.path.at.clone() });
        }
        files
    }

    /// Each field by itself: the service's, else the component's, else the cluster's default.
    fn resources(
        &mut self,
        section: &ServiceSection,
        signature: Option<&ComponentSignature>,
    ) -> Resources {
        let written = section.resources.as_ref();
        let defaults = self.file.cluster.as_ref().and_then(|cluster| cluster.defaults.as_ref());
        for both in [written, defaults].into_iter().flatten() {
            if let (Some(_), Some(slice)) = (&both.gpu, &both.gpu_memory) {
                let message = "`gpu` and `gpu-memory` are two ways to ask for a GPU".to_owned();
                self.error("DN-E0316", &slice.at, message, "keep one of the two");
            }
        }
        let fallback = defaults.map(plain).unwrap_or_default();
        let least = signature.map(|signature| signature.resources).unwrap_or_default();
        let mut resources = Resources {
            cpu: if least.cpu.milli > 0 { least.cpu } else { fallback.cpu },
            memory: if least.memory.0 > 0 { least.memory } else { fallback.memory },
            disk: if least.disk.0 > 0 { least.disk } else { fallback.disk },
            gpu: if least.gpu == Default::default() { fallback.gpu } else { least.gpu },
        };
        let Some(written) = written else {
            return resources;
        };
        let own = plain(written);
        if written.memory.is_some() {
            resources.memory = own.memory;
        }
        if written.cpu.is_some() {
            resources.cpu = own.cpu;
        }
        if written.disk.is_some() {
            resources.disk = own.disk;
        }
        resources.gpu = gpu(written).unwrap_or(resources.gpu);
        if let Some(memory) = written.memory.as_ref().filter(|m| m.value < least.memory) {
            let message = format!("the component needs at least {} of memory", least.memory);
            self.warn("DN-W0404", &memory.at, message, "give it as much, or more");
        }
        resources
    }

    fn health(
        &mut self,
        section: &ServiceSection,
        signature: Option<&ComponentSignature>,
        ports: &[Located<PortDeclaration>],
    ) -> Option<HealthSpec> {
        let Some(written) = &section.health else {
            return signature?.health.clone();
        };
        let moment = Period { millis: 100 };
        Some(HealthSpec {
            probe: self.probe(written, ports)?,
            interval: self.at_least("interval", &written.interval, moment, Period::seconds(10)),
            timeout: self.at_least("timeout", &written.timeout, moment, Period::seconds(5)),
            retries: written.retries.as_ref().map_or(3, |retries| retries.value),
            start_period: written.start_period.as_ref().map_or(Period::seconds(0), |p| p.value),
        })
    }

    fn probe(
        &mut self,
        written: &HealthSection,
        ports: &[Located<PortDeclaration>],
    ) -> Option<Probe> {
        if let Some(path) = &written.http {
            let printable = path.value.chars().all(|c| c.is_ascii_graphic());
            if !path.value.starts_with('/') || !printable {
                let message = format!("`{}` is not a path", path.value.escape_debug());
                let help = match is_template(&path.value) {
                    true => "templates are not filled in here: write the path itself",
                    false => "begin it with `/`, without blanks",
                };
                self.error("DN-E0324", &path.at, message, help);
            }
            let own = written.port.as_ref().map(|port| port.value);
            let port = own.or_else(|| ports.first().map(|port| port.value.container));
            if port.is_none() {
                let message = "this check names no port, and the service has none".to_owned();
                self.error("DN-E0324", &path.at, message, "add `port` to the check");
            }
            return Some(Probe::Http { port: port?, path: path.value.clone() });
        }
        if let Some(tcp) = &written.tcp {
            return Some(Probe::Tcp { port: tcp.value });
        }
        self.one_word(&written.exec);
        written.exec.iter().for_each(|word| self.literal(word, "a word of a check"));
        self.no_nul(&written.exec, "an argument");
        let argv: Vec<String> = written.exec.iter().map(|word| word.value.clone()).collect();
        (!argv.is_empty()).then_some(Probe::Exec { argv })
    }

    /// A command in one word with blanks, outside of templates.
    fn one_word(&mut self, words: &[Located<String>]) {
        if let [only] = words
            && only.value.contains(' ')
            && !is_template(&only.value)
        {
            let message = "this is one word with blanks; no shell splits it".to_owned();
            self.warn("DN-W0403", &only.at, message, "write program and arguments one by one");
        }
    }

    fn stop(
        &mut self,
        section: &ServiceSection,
        signature: Option<&ComponentSignature>,
    ) -> StopSpec {
        let mut stop = signature.map(|signature| signature.stop.clone()).unwrap_or_default();
        let Some(written) = &section.stop else {
            return stop;
        };
        if let Some(signal) = &written.signal {
            if !SIGNALS.contains(&signal.value.as_str()) {
                let help = self.advice(&signal.value, SIGNALS.into_iter());
                let message = format!("`{}` is no signal for this", signal.value.escape_debug());
                self.error("DN-E0325", &signal.at, message, help);
            }
            stop.signal = Some(signal.value.clone());
        }
        if let Some(grace) = &written.grace {
            stop.grace = grace.value;
        }
        stop
    }

    pub(super) fn update(&mut self, section: &ServiceSection) -> Update {
        let mut update = Update::default();
        let Some(written) = &section.update else {
            return update;
        };
        if let Some(most) = &written.max_unavailable {
            update.max_unavailable = most.value;
        }
        let second = Period::seconds(1);
        update.timeout = self.at_least("timeout", &written.timeout, second, update.timeout);
        if let Some(order) = written.order.as_ref().filter(|o| o.value == Order::StartFirst) {
            let message = "this version of devnet stops the old instance first".to_owned();
            self.warn("DN-W0407", &order.at, message, "write `stop-first` until it can");
        }
        if let Some(rollback) = written.rollback.as_ref().filter(|rollback| rollback.value) {
            let message = "this version of devnet does not go back by itself".to_owned();
            self.warn("DN-W0407", &rollback.at, message, "revert the commit to go back");
        }
        update
    }

    fn shared_data(
        &mut self,
        section: &ServiceSection,
        replicas: &Replicas,
        signature: Option<&ComponentSignature>,
    ) {
        let (Some(signature), Some(written)) = (signature, &section.replicas) else {
            return;
        };
        if replicas.may_be_several() && !signature.replicable {
            let which = match replicas {
                Replicas::Count(count) => format!("each of the {count} instances"),
                Replicas::PerNode(_) => "each instance".to_owned(),
            };
            let message = format!("{which} of `{}` keeps data of its own", signature.name);
            let help = "use one instance unless they are meant to differ";
            self.warn("DN-W0408", &written.at, message, help);
        }
    }
}

/// How many instances a section asks for.
fn replicas_of(section: &ServiceSection) -> Replicas {
    match section.replicas.as_ref().map(|replicas| replicas.value) {
        None => Replicas::Count(1),
        Some(Count::Number(number)) => Replicas::Count(number),
        Some(Count::PerNode) => Replicas::PerNode(PerNode::default()),
    }
}

/// Whether a text can be the name of an environment variable.
pub(super) fn is_variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// The steps of a path, however its slashes are written.
fn steps(path: &str) -> Vec<&str> {
    path.split('/').filter(|step| !matches!(*step, "" | ".")).collect()
}
