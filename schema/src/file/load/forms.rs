//! What Compose files and Kubernetes manifests are made of, taken in while files are read.
//!
//! Knows which files a form names. Refuses to know what they say: validation does.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::{Files, Loader, MemoryFiles, ReadFiles, relative, unreadable};
use crate::{
    compose,
    diagnostic::{Diagnostic, Located, Location},
    file::{
        scan,
        tree::Form,
        written::{ClusterFile, ComposeSection, FormSection, KubernetesSection, Pair},
    },
};

/// What a Compose file counts each time that a service uses it.
#[derive(Clone, Copy)]
struct Size {
    values: usize,
    services: usize,
}

/// What one way to use a Compose file takes: its path, the values that are set, and the profiles.
type Uses = BTreeMap<(String, BTreeMap<String, String>, BTreeSet<String>), (ReadFiles, Size)>;

/// What a Compose file is read with: the project's name, variables, values that are set, profiles.
type Reading<'a> =
    (&'a str, &'a BTreeMap<String, String>, &'a BTreeMap<String, String>, &'a BTreeSet<String>);

impl Loader<'_> {
    /// Takes in what Compose files and Kubernetes manifests are made of, until there is too much
    /// of it: which is told once, where it is.
    pub(super) fn forms(&mut self, file: &mut ClusterFile) {
        let vars = file.cluster.as_ref().map_or(&[][..], |cluster| &cluster.vars);
        let vars = values(vars);
        let mut uses = Uses::new();
        for service in &mut file.services {
            let many = self.values > self.limits.all_values;
            if many || self.text > self.limits.total || self.services > self.limits.services {
                break;
            }
            let set = values(&service.set);
            match &mut service.form {
                Some(FormSection::Compose(compose)) => {
                    let project = service.name.value.as_str();
                    compose.sources = self.compose(compose, project, (&vars, set), &mut uses);
                }
                Some(FormSection::Kubernetes(manifests)) => {
                    manifests.sources = self.manifests(manifests);
                }
                _ => {}
            }
        }
    }

    /// A Compose file and the files that it names. However many use it in one way, it is read once;
    /// each has all of its values and texts even so, and they count for each.
    fn compose(
        &mut self,
        section: &ComposeSection,
        project: &str,
        (vars, set): (&BTreeMap<String, String>, BTreeMap<String, String>),
        uses: &mut Uses,
    ) -> Option<ReadFiles> {
        let at = &section.file.at;
        let path = self.path(&section.file)?;
        let profiles = section.profiles.iter().map(|profile| profile.value.clone()).collect();
        let one = (path, set, profiles);
        if let Some((sources, size)) = uses.get(&one) {
            self.spend(sources.texts.values().map(String::len).sum(), at);
            return self.counted(*size, at).then(|| sources.clone());
        }
        let (path, set, profiles) = &one;
        let inputs = (project, vars, set, profiles);
        let (sources, size, shared) = self.read_compose(path, at, inputs)?;
        let counted = self.counted(size, at);
        if shared {
            uses.insert(one, (sources.clone(), size));
        }
        counted.then_some(sources)
    }

    /// Reads a Compose file. Which files it names shows only when it is read, so it is read here
    /// and again by whoever checks what it says. How much it is comes with it, and whether it is
    /// the same for every project.
    fn read_compose(
        &mut self,
        path: &str,
        at: &Location,
        (project, vars, set, profiles): Reading<'_>,
    ) -> Option<(ReadFiles, Size, bool)> {
        let bytes = self.bytes(path, Some(at))?;
        // What is wrong with its characters is told with everything else that is wrong with it.
        let source = scan::readable(path, bytes, Form::Yaml, self.limits)
            .map_err(|error| self.found.push(error));
        let source = source.ok()?;
        let recorder = Recorder { files: self.files, seen: RefCell::default() };
        let limits = self.left();
        let profiles = profiles.clone();
        let inputs =
            compose::Inputs { vars, set, project, profiles, files: &recorder, limits: &limits };
        let (loaded, _) = compose::load(&source, &inputs);
        let mut sources = recorder.seen.into_inner();
        self.spend(sources.texts.values().map(String::len).sum(), at);
        sources.texts.insert(path.to_owned(), source.text);
        let services = loaded.project.services.len();
        Some((sources, Size { values: loaded.values, services }, loaded.is_shared()))
    }

    /// Counts what a Compose file has for a service that uses it; whether there may be so much.
    fn counted(&mut self, size: Size, at: &Location) -> bool {
        self.values += size.values;
        self.services += size.services;
        let (message, help) = if self.values > self.limits.all_values {
            let message = "with this file, the files together exceed the values that they may have";
            (message.to_owned(), "use fewer files, or raise the limit `all-values`")
        } else if self.services > self.limits.services {
            let message = format!("with this file, more than {} services", self.limits.services);
            (message, "use several clusters, or raise the limit `services`")
        } else {
            return true;
        };
        let error = Diagnostic::error("DN-E0117", Some(at.clone()), message);
        self.found.push(error.help(help));
        false
    }

    /// Manifests: one file, or all of a directory. A chart brings everything it has.
    fn manifests(&mut self, section: &KubernetesSection) -> Option<MemoryFiles> {
        let at = &section.path.at;
        let path = self.path(&section.path)?;
        let listed = self.files.list().unwrap_or_else(|why| {
            self.found.push(unreadable(&path, Some(at.clone()), &why));
            Vec::new()
        });
        let dir = format!("{path}/");
        let chart = listed.binary_search(&format!("{dir}Chart.yaml")).is_ok();
        let wanted = |one: &&String| {
            let manifest =
                one.ends_with(".yaml") || one.ends_with(".yml") || one.ends_with(".json");
            **one == path || (one.starts_with(&dir) && (chart || manifest))
        };
        let mut paths: Vec<String> = listed.iter().filter(wanted).cloned().collect();
        for values in &section.values {
            paths.extend(self.path(values));
        }
        let most = self.limits.files;
        if paths.is_empty() || paths.len() > most {
            let shown = section.path.value.escape_debug();
            let (code, message) = match paths.len() {
                0 => ("DN-E0113", format!("no manifest is at `{shown}`")),
                many => ("DN-E0116", format!("`{shown}` has {many} files; {most} are allowed")),
            };
            let error = Diagnostic::error(code, Some(at.clone()), message);
            self.found
                .push(error.help("name a manifest, a directory of `.yaml` files, or a chart"));
            return None;
        }
        let mut sources = MemoryFiles::new();
        for path in paths {
            let text = String::from_utf8(self.bytes(&path, Some(at))?).map_err(|_| {
                let message = format!("`{}` is not UTF-8 text", path.escape_debug());
                let error = Diagnostic::error("DN-E0116", Some(at.clone()), message);
                self.found.push(error.help("keep binary files out of this directory"));
            });
            sources.insert(path, text.ok()?);
        }
        Some(sources)
    }

    /// A path below the root, or a finding.
    fn path(&mut self, written: &Located<String>) -> Option<String> {
        let path = relative(&written.value);
        if path.is_none() {
            let message = format!("`{}` leaves the configuration", written.value.escape_debug());
            let error = Diagnostic::error("DN-E0116", Some(written.at.clone()), message);
            self.found.push(error.help("write a path below the root file's directory"));
        }
        path
    }

    fn spend(&mut self, bytes: usize, at: &Location) {
        let most = self.limits.total;
        let told = self.text > most;
        self.text += bytes;
        if self.text > most && !told {
            let message = format!("the files together have more than {most} bytes");
            let error = Diagnostic::error("DN-E0101", Some(at.clone()), message);
            self.found.push(error.help("include less"));
        }
    }
}

/// Names with their values, the last of a name counting.
fn values(pairs: &[Pair]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| (name.value.clone(), value.value.clone())).collect()
}

/// Files, and what was read of them.
struct Recorder<'a> {
    files: &'a dyn Files,
    seen: RefCell<ReadFiles>,
}

impl Files for Recorder<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        let read = self.files.read(path);
        let mut seen = self.seen.borrow_mut();
        match &read {
            Ok(None) => {}
            Ok(Some(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) => drop(seen.texts.insert(path.to_owned(), text.to_owned())),
                Err(_) => {
                    let why = "it is not UTF-8 text".to_owned();
                    seen.unreadable.insert(path.to_owned(), why);
                }
            },
            Err(why) => drop(seen.unreadable.insert(path.to_owned(), why.clone())),
        }
        read
    }

    fn list(&self) -> Result<Vec<String>, String> {
        self.files.list()
    }
}
