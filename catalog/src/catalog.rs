//! The catalog: every component there is, by name.
//!
//! Knows where components come from: this crate, and directories of a configuration. Refuses to
//! know how they are rendered.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, OnceLock},
};

use devnet_schema::{
    component::{ComponentSignature, Components},
    diagnostic::{Diagnostic, Located},
    digest::Digest,
    file::Files,
};

use crate::{
    builtin,
    component::{self, Component, File},
};

const DECLARATION: &str = "component.kdl";
const TEMPLATE: &str = "compose.yml.tera";

/// The most components that one directory may hold.
const MOST_COMPONENTS: usize = 1000;

/// Every component there is, by name.
#[derive(Debug, Clone)]
pub struct Catalog {
    entries: BTreeMap<String, Arc<Entry>>,
}

/// A component and the files that it is in.
#[derive(Debug)]
struct Entry {
    declaration: File,
    template: File,
    read: OnceLock<Component>,
}

impl Entry {
    /// The component. A built-in one is read when it is first asked for: reading all of them takes
    /// longer than to check a small cluster file, and their texts never change.
    fn component(&self) -> &Component {
        self.read.get_or_init(|| {
            component::read(self.declaration.clone(), self.template.clone())
                // Cannot fail: a test reads each, and one of another origin was read before.
                .expect("a built-in component reads")
        })
    }
}

impl Catalog {
    /// The components that are compiled in.
    pub fn builtin() -> Self {
        static BUILTIN: LazyLock<Catalog> = LazyLock::new(Catalog::compiled_in);
        BUILTIN.clone()
    }

    fn compiled_in() -> Self {
        let entry = |(name, declaration, template): builtin::Texts| {
            let file = |file: &str, text: &str| {
                (format!("builtin:{name}/{file}"), text.as_bytes().to_vec())
            };
            let entry = Entry {
                declaration: file(DECLARATION, declaration),
                template: file(TEMPLATE, template),
                read: OnceLock::new(),
            };
            (name.to_owned(), Arc::new(entry))
        };
        Self { entries: builtin::ALL.into_iter().map(entry).collect() }
    }

    /// The same with the components of the directory `dir` added, one in each directory of it. A
    /// component of the same name as a built-in one replaces it, with a warning. A component with
    /// errors is left out, and the errors are reported.
    pub fn extended(&self, dir: &Located<String>, files: &dyn Files) -> (Self, Vec<Diagnostic>) {
        let mut catalog = self.clone();
        let mut found = Vec::new();
        match declared(dir, files) {
            Ok(names) => {
                for path in names {
                    match user_component(dir, &path, files) {
                        Ok((name, entry)) => {
                            catalog.replaces(&name, &entry, dir, &mut found);
                            catalog.entries.insert(name, Arc::new(entry));
                        }
                        Err(errors) => found.extend(errors),
                    }
                }
            }
            Err(error) => found.push(error),
        }
        (catalog, found)
    }

    /// What the catalog is: two with the same digest render the same.
    pub fn digest(&self) -> Digest {
        let text = |(_, bytes): &File| String::from_utf8_lossy(bytes).into_owned();
        let texts: BTreeMap<&String, (String, String)> = self
            .entries
            .iter()
            .map(|(name, entry)| (name, (text(&entry.declaration), text(&entry.template))))
            .collect();
        Digest::of(&texts)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Component> {
        self.entries.get(name).map(|entry| entry.component())
    }

    fn replaces(
        &self,
        name: &str,
        new: &Entry,
        dir: &Located<String>,
        found: &mut Vec<Diagnostic>,
    ) {
        if let Some(old) = self.entries.get(name) {
            let message = format!(
                "the component `{name}` of {} replaces that of {}",
                new.template.0, old.template.0
            );
            let warning = Diagnostic::warning("DN-W0523", Some(dir.at.clone()), message);
            found.push(warning.help("rename it when that is not meant"));
        }
    }
}

impl Components for Catalog {
    fn signature(&self, name: &str) -> Option<&ComponentSignature> {
        self.get(name).map(|component| &component.signature)
    }

    fn names(&self) -> Vec<&str> {
        self.entries.keys().map(String::as_str).collect()
    }
}

/// Directories of components below `dir`, sorted.
fn declared(dir: &Located<String>, files: &dyn Files) -> Result<Vec<String>, Diagnostic> {
    let fail = |message: String, help: &str| {
        Err(Diagnostic::error("DN-E0520", Some(dir.at.clone()), message).help(help))
    };
    let Some(root) = inside(&dir.value) else {
        let message = format!("`{}` leaves the configuration", dir.value.escape_debug());
        return fail(message, "name a directory of this repository, like \"./catalog\"");
    };
    let list = match files.list() {
        Ok(list) => list,
        Err(problem) => {
            return fail(format!("cannot list the files: {problem}"), "see that they can be read");
        }
    };
    let all: Vec<String> = list
        .iter()
        .filter_map(|path| path.strip_prefix(&root)?.strip_suffix(&format!("/{DECLARATION}")))
        .filter(|name| !name.is_empty() && !name.contains('/'))
        .map(str::to_owned)
        .collect();
    match all.len() {
        0 => fail(
            format!("`{}` holds no component", dir.value.escape_debug()),
            "a component is a directory with component.kdl and compose.yml.tera; links are not \
             followed",
        ),
        1..=MOST_COMPONENTS => Ok(all),
        _ => fail(format!("`{}` holds more than 1000 components", dir.value), "use fewer"),
    }
}

/// A directory as the beginning of paths: `./catalog` is `catalog/`. `None` when it leads outside.
fn inside(dir: &str) -> Option<String> {
    let mut parts = Vec::new();
    if dir.starts_with('/') {
        return None;
    }
    for part in dir.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            other => parts.push(other),
        }
    }
    Some(parts.iter().map(|part| format!("{part}/")).collect())
}

fn user_component(
    dir: &Located<String>,
    name: &str,
    files: &dyn Files,
) -> Result<(String, Entry), Vec<Diagnostic>> {
    let home = format!("{}{name}", inside(&dir.value).unwrap_or_default());
    let read = |file: &str| {
        let path = format!("{home}/{file}");
        let fail = |message: String| {
            let help = "a component is a directory with component.kdl and compose.yml.tera";
            vec![Diagnostic::error("DN-E0520", Some(dir.at.clone()), message).help(help)]
        };
        match files.read(&path) {
            Ok(Some(bytes)) => Ok((path, bytes)),
            Ok(None) => Err(fail(format!("the component `{name}` has no {file}"))),
            Err(problem) => Err(fail(format!("cannot read `{path}`: {problem}"))),
        }
    };
    let (declaration, template) = (read(DECLARATION)?, read(TEMPLATE)?);
    let component = component::read(declaration.clone(), template.clone())?;
    if component.signature.name != name {
        let message = format!(
            "the component in `{home}` is called `{}`, and its directory `{name}`",
            component.signature.name
        );
        return Err(vec![
            Diagnostic::error("DN-E0520", Some(dir.at.clone()), message).help("give both one name"),
        ]);
    }
    Ok((name.to_owned(), Entry { declaration, template, read: OnceLock::from(component) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_component_reads_and_says_what_it_is() {
        let catalog = Catalog::builtin();
        assert_eq!(catalog.names().len(), builtin::ALL.len());
        for name in catalog.names() {
            let signature = catalog.signature(name).unwrap();
            assert_eq!(name, signature.name);
            assert!(signature.health.is_some(), "{name} has no health check");
            let described = signature.parameters.values().all(|p| !p.description.is_empty());
            assert!(described, "a parameter of {name} is not described");
        }
    }
}
