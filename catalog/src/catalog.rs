//! The catalog: every component there is, by name.
//!
//! Knows where components come from: this crate, and directories of a configuration. Refuses to
//! know how they are rendered.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use devnet_schema::{
    component::ComponentSignature, desired::Located, diagnostic::Diagnostic, digest::Digest,
    file::Files,
};

use crate::{
    builtin,
    component::{self, Component},
    engine::Engine,
};

const DECLARATION: &str = "component.kdl";
const TEMPLATE: &str = "compose.yml.tera";

/// The most components that one directory may hold.
const MOST_COMPONENTS: usize = 1000;

/// Every component there is, by name.
#[derive(Debug, Clone)]
pub struct Catalog {
    components: BTreeMap<String, Arc<Component>>,
    signatures: BTreeMap<String, ComponentSignature>,
    engine: Engine,
}

impl Catalog {
    /// The components that are compiled in.
    ///
    /// # Panics
    /// When one of them does not read, which the tests of this crate rule out.
    pub fn builtin() -> Self {
        // Reading KDL takes milliseconds, and the texts never change.
        static BUILTIN: LazyLock<Catalog> = LazyLock::new(Catalog::compiled_in);
        BUILTIN.clone()
    }

    fn compiled_in() -> Self {
        let mut catalog = Self {
            components: BTreeMap::new(),
            signatures: BTreeMap::new(),
            engine: Engine::new(),
        };
        for (name, declaration, template) in builtin::ALL {
            let named = |file: &str, text: &str| {
                (format!("builtin:{name}/{file}"), text.as_bytes().to_vec())
            };
            let read = component::read(named(DECLARATION, declaration), named(TEMPLATE, template));
            catalog.add(read.expect("a built-in component reads"));
        }
        catalog
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
                        Ok(component) => {
                            catalog.replaces(&component, dir, &mut found);
                            catalog.add(component);
                        }
                        Err(errors) => found.extend(errors),
                    }
                }
            }
            Err(error) => found.push(error),
        }
        (catalog, found)
    }

    /// What every component takes, offers and needs.
    pub fn signatures(&self) -> &BTreeMap<String, ComponentSignature> {
        &self.signatures
    }

    /// What the catalog is: two with the same digest render the same.
    pub fn digest(&self) -> Digest {
        let texts: BTreeMap<&String, &(String, String)> =
            self.components.iter().map(|(name, component)| (name, &component.texts)).collect();
        Digest::of(&texts)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Component> {
        self.components.get(name).map(Arc::as_ref)
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    fn add(&mut self, component: Component) {
        let name = component.signature.name.clone();
        self.signatures.insert(name.clone(), component.signature.clone());
        self.components.insert(name, Arc::new(component));
    }

    fn replaces(&self, new: &Component, dir: &Located<String>, found: &mut Vec<Diagnostic>) {
        let name = &new.signature.name;
        if let Some(old) = self.components.get(name) {
            let message = format!(
                "the component `{name}` of {} replaces that of {}",
                new.source.file, old.source.file
            );
            let warning = Diagnostic::warning("DN-W0523", Some(dir.at.clone()), message);
            found.push(warning.help("rename it when that is not meant"));
        }
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
) -> Result<Component, Vec<Diagnostic>> {
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
    let component = component::read(read(DECLARATION)?, read(TEMPLATE)?)?;
    if component.signature.name != name {
        let message = format!(
            "the component in `{home}` is called `{}`, and its directory `{name}`",
            component.signature.name
        );
        return Err(vec![
            Diagnostic::error("DN-E0520", Some(dir.at.clone()), message).help("give both one name"),
        ]);
    }
    Ok(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_component_reads_and_says_what_it_is() {
        let catalog = Catalog::builtin();
        assert_eq!(catalog.signatures().len(), builtin::ALL.len());
        for (name, signature) in catalog.signatures() {
            assert_eq!(*name, signature.name);
            assert!(signature.health.is_some(), "{name} has no health check");
            let described = signature.parameters.values().all(|p| !p.description.is_empty());
            assert!(described, "a parameter of {name} is not described");
        }
    }
}
