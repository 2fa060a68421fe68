//! The checked tree to [`ClusterFile`].
//!
//! Knows which section goes where. Refuses to report types: the tree was checked against the
//! tables of fields, so a scalar that is there reads as its type.

use std::str::FromStr;

use super::{
    Limits, Unread,
    scalar::{self, Word},
    tree::{Entry, Kind, Node, Source},
    written::*,
};
use crate::{
    desired::SelectorKey,
    diagnostic::{Diagnostic, Located, Location},
};

/// Reads a checked tree into the file it describes; reports what concerns several fields at once.
pub(super) fn cluster_file(source: &Source, tree: &Node) -> (ClusterFile, Vec<Diagnostic>) {
    let mut decoder = Decoder { source, found: Vec::new() };
    let view = View { source, node: tree };
    let file = ClusterFile {
        broken: false,
        unread: Unread::default(),
        more_catalogs: false,
        limits: Limits::default(),
        doubtful: Vec::new(),
        sources: Vec::new(),
        cluster: view.section("cluster").map(cluster),
        nodes: view.keyed("nodes").into_iter().map(|(name, view)| node(name, view)).collect(),
        services: view
            .keyed("services")
            .into_iter()
            .map(|(name, view)| decoder.service(name, view))
            .collect(),
        moved: view.sections("moved").into_iter().map(moved).collect(),
    };
    (file, decoder.found)
}

/// A map of the checked tree.
#[derive(Clone, Copy)]
struct View<'a> {
    source: &'a Source,
    node: &'a Node,
}

impl<'a> View<'a> {
    fn at(&self) -> Location {
        self.source.at(&self.node.span)
    }

    fn entry(&self, name: &str) -> Option<&'a Entry> {
        self.node.entries().iter().find(|entry| entry.key == name)
    }

    fn over(&self, node: &'a Node) -> View<'a> {
        View { source: self.source, node }
    }

    fn read<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Maybe<T> {
        let node = &self.entry(name)?.value;
        Some(Located { value: read(node.text()?)?, at: self.source.at(&node.span) })
    }

    fn text(&self, name: &str) -> Maybe<String> {
        self.read(name, |raw| Some(raw.to_owned()))
    }

    fn parse<T: FromStr>(&self, name: &str) -> Maybe<T> {
        self.read(name, |raw| raw.parse().ok())
    }

    fn word<T: Word>(&self, name: &str) -> Maybe<T> {
        self.read(name, T::read)
    }

    fn flag(&self, name: &str) -> Maybe<bool> {
        self.read(name, scalar::flag)
    }

    fn integer<T: TryFrom<u64>>(&self, name: &str) -> Maybe<T> {
        self.read(name, |raw| T::try_from(scalar::integer(raw)?).ok())
    }

    fn section(&self, name: &str) -> Option<View<'a>> {
        let value = &self.entry(name)?.value;
        matches!(value.kind, Kind::Map(_)).then(|| self.over(value))
    }

    fn sections(&self, name: &str) -> Vec<View<'a>> {
        self.entry(name)
            .map_or(&[][..], |entry| entry.value.items())
            .iter()
            .map(|node| self.over(node))
            .collect()
    }

    fn list(&self, name: &str) -> Vec<Located<String>> {
        self.sections(name).into_iter().filter_map(|item| item.whole()).collect()
    }

    fn whole(&self) -> Maybe<String> {
        Some(Located { value: self.node.text()?.to_owned(), at: self.at() })
    }

    fn keyed(&self, name: &str) -> Vec<(Located<String>, View<'a>)> {
        self.entry(name)
            .map_or(&[][..], |entry| entry.value.entries())
            .iter()
            .map(|entry| {
                let at = self.source.at(&entry.key_span);
                (Located { value: entry.key.clone(), at }, self.over(&entry.value))
            })
            .collect()
    }

    fn pairs(&self, name: &str) -> Vec<Pair> {
        let pairs = self.keyed(name).into_iter();
        pairs.filter_map(|(key, value)| Some((key, value.whole()?))).collect()
    }
}

fn cluster(view: View<'_>) -> ClusterSection {
    ClusterSection {
        at: view.at(),
        name: view.text("name"),
        catalog: view.list("catalog"),
        include: view.list("include"),
        sync: view.section("sync").map(|sync| SyncSection {
            at: sync.at(),
            auto: sync.flag("auto"),
            prune: sync.flag("prune"),
            self_heal: sync.flag("self-heal"),
            interval: sync.parse("interval"),
        }),
        vars: view.pairs("vars"),
        defaults: view
            .section("defaults")
            .and_then(|defaults| defaults.section("resources"))
            .map(resources),
        placement: view.word("placement"),
        lost_after: view.parse("lost-after"),
        unplaced: view.word("unplaced"),
    }
}

fn resources(view: View<'_>) -> ResourcesSection {
    ResourcesSection {
        at: view.at(),
        cpu: view.parse("cpu"),
        memory: view.parse("memory"),
        disk: view.parse("disk"),
        gpu: view.parse("gpu"),
        gpu_memory: view.parse("gpu-memory"),
    }
}

fn capacity(view: View<'_>) -> CapacitySection {
    CapacitySection {
        at: view.at(),
        cpu: view.parse("cpu"),
        memory: view.parse("memory"),
        disk: view.parse("disk"),
        gpus: view.integer("gpus"),
    }
}

fn node(name: Located<String>, view: View<'_>) -> NodeSection {
    NodeSection {
        at: name.at.clone(),
        name,
        tags: view.list("tags"),
        zone: view.text("zone"),
        reserve: view.section("reserve").map(resources),
        capacity: view.section("capacity").map(capacity),
        cordon: view.flag("cordon"),
        drain: view.flag("drain"),
    }
}

fn moved(view: View<'_>) -> MovedSection {
    MovedSection { at: view.at(), from: view.text("from"), to: view.text("to") }
}

fn port(view: View<'_>) -> PortSection {
    PortSection {
        at: view.at(),
        container: view.integer("container"),
        host: view.integer("host"),
        name: view.text("name"),
        scope: view.word("scope"),
        protocol: view.word("protocol"),
    }
}

fn model(view: View<'_>) -> ModelSection {
    ModelSection {
        at: view.at(),
        name: view.text("name"),
        context: view.integer("context"),
        parallel: view.integer("parallel"),
    }
}

fn allow(view: View<'_>) -> AllowSection {
    AllowSection { at: view.at(), grant: view.text("grant"), to: view.list("to") }
}

fn expose(view: View<'_>) -> ExposeSection {
    ExposeSection {
        at: view.at(),
        host: view.text("host"),
        path: view.text("path"),
        port: view.text("port"),
        tls: view.word("tls"),
    }
}

fn compose(view: View<'_>) -> Option<ComposeSection> {
    let (file, profiles) = (view.text("file")?, view.list("profiles"));
    Some(ComposeSection { file, profiles, sources: None })
}

fn kubernetes(view: View<'_>) -> Option<KubernetesSection> {
    let (path, namespace) = (view.text("path")?, view.text("namespace"));
    Some(KubernetesSection { path, namespace, values: view.list("values"), sources: None })
}

fn health(view: View<'_>) -> HealthSection {
    HealthSection {
        at: view.at(),
        http: view.text("http"),
        port: view.integer("port"),
        tcp: view.integer("tcp"),
        exec: view.list("exec"),
        interval: view.parse("interval"),
        timeout: view.parse("timeout"),
        retries: view.integer("retries"),
        start_period: view.parse("start-period"),
    }
}

fn stop(view: View<'_>) -> StopSection {
    StopSection { at: view.at(), signal: view.text("signal"), grace: view.parse("grace") }
}

fn update(view: View<'_>) -> UpdateSection {
    UpdateSection {
        at: view.at(),
        order: view.word("order"),
        max_unavailable: view.integer("max-unavailable"),
        rollback: view.flag("rollback"),
        timeout: view.parse("timeout"),
    }
}

fn spread(view: View<'_>) -> SpreadSection {
    SpreadSection { at: view.at(), by: view.word("by"), max_skew: view.integer("max-skew") }
}

/// The keys of selectors, as they are written.
pub(super) const SELECTOR_KEYS: [(&str, SelectorKey); 6] = [
    ("tag", SelectorKey::Tag),
    ("zone", SelectorKey::Zone),
    ("os", SelectorKey::Os),
    ("arch", SelectorKey::Arch),
    ("gpu-model", SelectorKey::GpuModel),
    ("node", SelectorKey::Node),
];

struct Decoder<'a> {
    source: &'a Source,
    found: Vec<Diagnostic>,
}

impl Decoder<'_> {
    fn error(&mut self, code: &str, at: Location, message: String, help: &str) {
        self.found.push(Diagnostic::error(code, Some(at), message).help(help));
    }

    fn service(&mut self, name: Located<String>, view: View<'_>) -> ServiceSection {
        ServiceSection {
            at: name.at.clone(),
            form: self.form(&name, view),
            models: view.sections("models").into_iter().map(model).collect(),
            allow: view.sections("allow").into_iter().map(allow).collect(),
            exposes: view.sections("exposes").into_iter().map(expose).collect(),
            runtime: view.word("runtime"),
            set: view.pairs("set"),
            secrets: view.keyed("secrets").into_iter().map(secret).collect(),
            env: view.pairs("env"),
            ports: view.sections("ports").into_iter().map(port).collect(),
            volumes: view
                .keyed("volumes")
                .into_iter()
                .filter_map(|(name, volume)| Some((name, volume.text("at")?)))
                .collect(),
            files: view
                .keyed("files")
                .into_iter()
                .map(|(path, file)| self.file(path, file))
                .collect(),
            command: view.list("command"),
            resources: view.section("resources").map(resources),
            place: view.section("place").map(|place| self.place(place)),
            replicas: view.parse("replicas"),
            priority: view.integer("priority"),
            depends_on: view.list("depends-on"),
            health: view.section("health").map(|health| self.health(health)),
            stop: view.section("stop").map(stop),
            update: view.section("update").map(update),
            run_once: view.flag("run-once"),
            schedule: view.section("schedule").map(|section| ScheduleSection {
                at: section.at(),
                cron: section.text("cron"),
                timezone: section.text("timezone"),
            }),
            protect: view.flag("protect"),
            leave_data: view.list("leave-data"),
            name,
        }
    }

    /// Exactly one of the forms.
    fn form(&mut self, name: &Located<String>, view: View<'_>) -> Option<FormSection> {
        let version = view.text("version");
        let component = view.section("component").and_then(|component| {
            let name = component.text("name")?;
            let own = component.text("version");
            if let (Some(_), Some(second)) = (&own, &version) {
                let message = "`version` is written twice".to_owned();
                self.error("DN-E0206", second.at.clone(), message, "keep one of the two");
            }
            Some(FormSection::Component { name, version: own.or(version.clone()) })
        });
        let image = view.text("image").map(FormSection::Image);
        let process = view.list("process");
        let process = (!process.is_empty()).then_some(FormSection::Process(process));
        let compose = view.section("compose").and_then(compose).map(FormSection::Compose);
        let kubernetes = view.section("kubernetes").and_then(kubernetes);
        let kubernetes = kubernetes.map(FormSection::Kubernetes);
        let is_component = component.is_some();
        let forms: Vec<FormSection> =
            [component, image, process, compose, kubernetes].into_iter().flatten().collect();
        if let Some(version) = version.filter(|_| !is_component && !forms.is_empty()) {
            let message = "`version` is for components".to_owned();
            self.error("DN-E0207", version.at, message, "put the version into the image's tag");
        }
        let written = ["component", "image", "process", "compose", "kubernetes"];
        let readable = matches!(view.node.kind, Kind::Map(_));
        let nothing = readable && written.iter().all(|form| view.entry(form).is_none());
        match forms.len() {
            // A form that was written and refused has its own error already.
            0 if nothing => {
                let message = format!("service `{}` runs nothing", name.value.escape_debug());
                let help = "give it a `component`, an `image`, a `compose` file, a `process` or \
                            `kubernetes` manifests";
                self.error("DN-E0208", name.at.clone(), message, help);
            }
            0 | 1 => {}
            _ => {
                let message = format!("service `{}` runs two things", name.value.escape_debug());
                let mut error = Diagnostic::error("DN-E0208", Some(name.at.clone()), message);
                for (form, entry) in written.iter().filter_map(|f| Some((f, view.entry(f)?))) {
                    let at = view.source.at(&entry.key_span);
                    error = error.related(at, format!("`{form}` here"));
                }
                let help =
                    "keep one of `component`, `image`, `compose`, `process` and `kubernetes`";
                self.found.push(error.help(help));
            }
        }
        forms.into_iter().next()
    }

    fn file(&mut self, path: Located<String>, view: View<'_>) -> FileSection {
        let both = [view.entry("content"), view.entry("source")].into_iter().flatten().count();
        if both != 1 {
            let message = format!(
                "file `{}` has {}",
                path.value.escape_debug(),
                if both == 0 { "no content" } else { "two contents" }
            );
            let help = "give it either `content` or `source`";
            self.error("DN-E0208", path.at.clone(), message, help);
        }
        FileSection {
            path,
            content: view.text("content"),
            source: view.text("source"),
            source_text: None,
            mode: view.read("mode", scalar::mode),
        }
    }

    fn health(&mut self, view: View<'_>) -> HealthSection {
        let probes: Vec<&str> = ["http", "tcp", "exec"]
            .into_iter()
            .filter(|probe| view.entry(probe).is_some())
            .collect();
        if probes.len() != 1 {
            let message = match probes.as_slice() {
                [] => "this health check checks nothing".to_owned(),
                more => format!("this health check has {} ways to check", more.len()),
            };
            let help = "give it one of `http`, `tcp` and `exec`";
            self.error("DN-E0208", view.at(), message, help);
        }
        if let Some(port) = view.entry("port").filter(|_| view.entry("http").is_none()) {
            let at = self.source.at(&port.key_span);
            let message = "`port` goes with `http`".to_owned();
            self.error("DN-E0207", at, message, "name the port with `tcp`, or remove it");
        }
        health(view)
    }

    fn place(&mut self, view: View<'_>) -> PlaceSection {
        PlaceSection {
            at: view.at(),
            require: self.selectors(view, "require"),
            forbid: self.selectors(view, "forbid"),
            prefer: self.selectors(view, "prefer"),
            pin: view.text("pin"),
            spread: view.sections("spread").into_iter().map(spread).collect(),
            max_per_node: view.integer("max-per-node"),
            apart_from: view.list("apart-from"),
            near: view.list("near"),
        }
    }

    fn selectors(&mut self, view: View<'_>, name: &str) -> Vec<SelectorSection> {
        let sections = view.sections(name).into_iter();
        sections.filter_map(|section| self.selector(section)).collect()
    }

    /// Exactly one question: two on one line could mean both or either.
    fn selector(&mut self, view: View<'_>) -> Option<SelectorSection> {
        let keys: Vec<&(&str, SelectorKey)> =
            SELECTOR_KEYS.iter().filter(|(key, _)| view.entry(key).is_some()).collect();
        if let [(name, key)] = keys.as_slice() {
            let any_of = view.list(name);
            let (at, weight) = (view.at(), view.integer("weight"));
            return (!any_of.is_empty()).then_some(SelectorSection {
                at,
                key: *key,
                any_of,
                weight,
            });
        }
        let (message, help) = match keys.len() {
            0 => (
                "this line asks nothing of a node",
                "name a `tag`, `zone`, `os`, `arch`, \
                   `gpu-model` or `node`",
            ),
            _ => ("this line asks two things of a node", "write a line for each"),
        };
        self.error("DN-E0208", view.at(), message.to_owned(), help);
        None
    }
}

/// A secret parameter and the secret it takes: one of the same name when none is written.
fn secret((parameter, view): (Located<String>, View<'_>)) -> Pair {
    let from = view.text("from").unwrap_or_else(|| parameter.clone());
    (parameter, from)
}
