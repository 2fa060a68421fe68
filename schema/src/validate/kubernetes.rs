//! Kubernetes manifests and Helm charts: what is handed to a Kubernetes cluster as it is.
//!
//! Knows which files belong together and what every manifest must name. Refuses to know what kinds
//! of objects there are: the cluster it is given to does.

use super::{Check, service::PRIORITY};
use crate::{
    desired::{Form, Manifests, Service},
    diagnostic::{Diagnostic, Located},
    file::{
        MemoryFiles, read_with_merge_keys,
        tree::{Node, Source},
        written::{KubernetesSection, ServiceSection},
    },
    instance::{Runtime, StopSpec},
    name::is_label,
    quantity::Resources,
    replicas::Replicas,
};

/// The most documents of one file.
const MOST_DOCUMENTS: usize = 500;

const A_CHART: &str = "a `Chart.yaml` says `apiVersion`, `name` and `version`";
const A_MANIFEST: &str =
    "write `apiVersion`, `kind` and `metadata.name`; keep other files elsewhere";

impl Check<'_> {
    /// A service of manifests. What runs and how many is said in them.
    pub(super) fn kubernetes(
        &mut self,
        section: &ServiceSection,
        written: &KubernetesSection,
    ) -> Option<Service> {
        self.only_in_manifests(section);
        let name = self.name(&section.name);
        let depends_on = self.others(section, "depends-on", &section.depends_on);
        let place = self.place(section);
        let update = self.update(section);
        let manifests = self.manifests(written);
        Some(Service {
            at: section.at.clone(),
            form: Form::Kubernetes(manifests?),
            runtime: Runtime::Kubernetes,
            replicas: Replicas::Count(1),
            priority: section.priority.as_ref().map_or(PRIORITY, |priority| priority.value),
            env: Default::default(),
            ports: Vec::new(),
            volumes: Vec::new(),
            files: Default::default(),
            resources: Resources::default(),
            resources_at: None,
            models: Vec::new(),
            exposes: Vec::new(),
            place,
            depends_on,
            health: None,
            stop: StopSpec::default(),
            update,
            run_once: false,
            schedule: None,
            protect: section.protect.as_ref().filter(|p| p.value).map(|p| p.at.clone()),
            leave_data: self.leave_data(section),
            name: name?,
        })
    }

    fn only_in_manifests(&mut self, section: &ServiceSection) {
        let written = [
            ("set", section.set.first().map(|(name, _)| &name.at)),
            ("secret", section.secrets.first().map(|(name, _)| &name.at)),
            ("env", section.env.first().map(|(name, _)| &name.at)),
            ("port", section.ports.first().map(|port| &port.at)),
            ("volume", section.volumes.first().map(|(name, _)| &name.at)),
            ("file", section.files.first().map(|file| &file.path.at)),
            ("command", section.command.first().map(|word| &word.at)),
            ("resources", section.resources.as_ref().map(|resources| &resources.at)),
            ("replicas", section.replicas.as_ref().map(|replicas| &replicas.at)),
            ("health", section.health.as_ref().map(|health| &health.at)),
            ("run-once", section.run_once.as_ref().map(|once| &once.at)),
            ("schedule", section.schedule.as_ref().map(|schedule| &schedule.at)),
            ("stop", section.stop.as_ref().map(|stop| &stop.at)),
            ("model", section.models.first().map(|model| &model.at)),
            ("allow", section.allow.first().map(|line| &line.at)),
            ("expose", section.exposes.first().map(|line| &line.at)),
        ];
        for (field, at) in written {
            if let Some(at) = at {
                let message = format!("`{field}` is said in the manifests");
                self.error("DN-E0312", at, message, "say it there, and remove it here");
            }
        }
        if let Some(runtime) = section.runtime.as_ref().filter(|r| r.value != Runtime::Kubernetes) {
            let message = format!("`{}` cannot run manifests", runtime.value.as_str());
            self.error("DN-E0321", &runtime.at, message, "use kubernetes, or leave it out");
        }
    }

    fn manifests(&mut self, written: &KubernetesSection) -> Option<Manifests> {
        if let Some(namespace) = written.namespace.as_ref().filter(|name| !is_label(&name.value)) {
            let shown = namespace.value.escape_debug();
            let message = format!("`{shown}` is not the name of a namespace");
            let help = "use 1 to 63 lower-case letters, digits and `-`";
            self.error("DN-E0301", &namespace.at, message, help);
        }
        let Some(files) = &written.sources else {
            // Reading said why they are missing; without reading there are none.
            if !self.file.broken {
                let message = "the manifests were not read".to_owned();
                self.error("DN-E0323", &written.path.at, message, "load the file with its root");
            }
            return None;
        };
        let dir = written.path.value.split('/').filter(|part| !part.is_empty() && *part != ".");
        let dir = dir.collect::<Vec<_>>().join("/");
        let chart = files.contains_key(&format!("{dir}/Chart.yaml"));
        if let Some(values) = written.values.first().filter(|_| !chart) {
            let message = "`values` are for a chart, and these are plain manifests".to_owned();
            self.error("DN-E0340", &values.at, message, "remove it");
        }
        if chart {
            self.chart(written, &format!("{dir}/Chart.yaml"), files);
        } else {
            files.iter().for_each(|(path, text)| self.documents(written, path, text));
        }
        Some(Manifests {
            path: written.path.clone(),
            namespace: written.namespace.as_ref().map_or("default", |n| &n.value).to_owned(),
            chart,
            values: written.values.iter().map(|values| values.value.clone()).collect(),
            files: files.clone(),
        })
    }

    /// A chart names itself and its version. Its templates are Helm's business.
    fn chart(&mut self, written: &KubernetesSection, path: &str, files: &MemoryFiles) {
        let source = Source::new(path, files.get(path).cloned().unwrap_or_default());
        match read_with_merge_keys(&source, &self.file.limits).result() {
            Ok(chart) => {
                for field in ["apiVersion", "name", "version"] {
                    if chart.get(field).and_then(Node::text).is_none_or(str::is_empty) {
                        let message = format!("the chart has no `{field}`");
                        self.incomplete(written, &source, 0, &message, A_CHART);
                    }
                }
            }
            Err(found) => self.found.extend(found),
        }
    }

    /// Every document of a file is an object with a kind and a name.
    fn documents(&mut self, written: &KubernetesSection, path: &str, text: &str) {
        let mut objects = 0;
        for (count, (start, end)) in documents(text).into_iter().enumerate() {
            if count == MOST_DOCUMENTS {
                let source = Source::new(path, text);
                let message = format!("the file has more than {MOST_DOCUMENTS} documents");
                return self.incomplete(written, &source, start, &message, A_MANIFEST);
            }
            if !text[start..end].lines().any(is_content) {
                continue;
            }
            objects += 1;
            // Everything else is blanked, so that places stay what they are.
            let blank = |part: &str| part.replace(|c: char| c != '\n', " ");
            let alone = [&*blank(&text[..start]), &text[start..end]].concat();
            let source = Source::new(path, alone);
            match read_with_merge_keys(&source, &self.file.limits).result() {
                Ok(object) => {
                    let named = object.get("metadata").and_then(|data| {
                        data.get("name").or_else(|| data.get("generateName")).and_then(Node::text)
                    });
                    let kind = object.get("kind").and_then(Node::text);
                    let list = kind.is_some_and(|kind| kind.ends_with("List"));
                    let missing = [
                        ("apiVersion", object.get("apiVersion").and_then(Node::text).is_none()),
                        ("kind", kind.is_none()),
                        ("metadata.name", named.is_none() && !list),
                    ];
                    for (field, _) in missing.into_iter().filter(|(_, missing)| *missing) {
                        let message = format!("this object has no `{field}`");
                        let place = object.span.start.max(start);
                        self.incomplete(written, &source, place, &message, A_MANIFEST);
                    }
                }
                Err(found) => self.found.extend(found),
            }
        }
        if objects == 0 {
            let (source, message) = (Source::new(path, text), "the file declares nothing");
            self.incomplete(written, &source, 0, message, A_MANIFEST);
        }
    }

    fn incomplete(
        &mut self,
        written: &KubernetesSection,
        source: &Source,
        start: usize,
        message: &str,
        help: &str,
    ) {
        let Located { value: _, at } = &written.path;
        let error = Diagnostic::error("DN-E0340", Some(source.at(&(start..start))), message)
            .related(at.clone(), "this service uses the file")
            .help(help);
        self.found.push(error);
    }
}

/// Where the documents of a file begin and end.
fn documents(text: &str) -> Vec<(usize, usize)> {
    let (mut all, mut start, mut at) = (Vec::new(), 0, 0);
    for line in text.split_inclusive('\n') {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            all.push((start, at));
            start = at + line.len();
        }
        at += line.len();
    }
    all.push((start, text.len()));
    all
}

fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#') && line != "..."
}
