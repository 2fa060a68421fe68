//! `devnet catalog`: components to read about, to check and to try.
//!
//! Knows directories and what is printed. Refuses to know what a component may hold: the catalog
//! does.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use devnet_catalog::{Trial, compose, describe, lint, list, trial};
use devnet_schema::{component::Components, diagnostic::Diagnostic, file::Files};

use super::{
    arguments::{self, CatalogAction, Configuration},
    checkout::Checkout,
    failure::CommandError,
    terminal::Terminal,
};
use crate::config::Environment;

/// The most that a file of a component may have, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// `devnet catalog`.
pub(super) fn run(
    args: &arguments::Catalog,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    match &args.action {
        CatalogAction::List { configuration } => {
            terminal.out(&list(&catalog(configuration, env, terminal)?));
            Ok(0)
        }
        CatalogAction::Show { name, configuration, json } => {
            let catalog = catalog(configuration, env, terminal)?;
            let signature = catalog.signature(name).ok_or_else(|| unknown(&catalog, name))?;
            match json {
                true => terminal.out(&format!("{}\n", serde_json::json!(signature))),
                false => terminal.out(&describe(signature)),
            }
            Ok(0)
        }
        CatalogAction::Lint { dir } => checked(dir, terminal),
        CatalogAction::Render(args) => rendered(args, env, terminal),
    }
}

/// The built-in components, and those of the cluster file where there is one.
fn catalog(
    configuration: &Configuration,
    env: &Environment,
    terminal: &Terminal,
) -> Result<devnet_catalog::Catalog, CommandError> {
    let checkout = match Checkout::open(configuration, env) {
        Ok(checkout) => checkout,
        // Nobody said which, and there need not be one.
        Err(_) if configuration.file.is_none() => return Ok(devnet_catalog::Catalog::builtin()),
        Err(failure) => return Err(failure),
    };
    let loaded = checkout.load();
    let codes = ["DN-E0501", "DN-E0503", "DN-E0520", "DN-E0521", "DN-E0522"];
    let of_catalog = |found: &&Diagnostic| codes.contains(&&*found.code);
    let broken: Vec<Diagnostic> = loaded.diagnostics.iter().filter(of_catalog).cloned().collect();
    terminal.diagnostics(&broken, &|file| checkout.text(file));
    Ok(loaded.catalog)
}

fn unknown(catalog: &devnet_catalog::Catalog, name: &str) -> CommandError {
    CommandError::usage(format!("there is no component `{name}`"))
        .hint(format!("there are {}", catalog.names().join(", ")))
}

/// `devnet catalog lint`.
fn checked(dir: &str, terminal: &Terminal) -> Result<u8, CommandError> {
    let home = PathBuf::from(dir);
    if !home.is_dir() {
        let error = CommandError::usage(format!("{dir} is no directory"));
        return Err(error.hint("name the directory of one component, like catalog/app"));
    }
    let folder = Folder(home);
    let found = lint("", &folder);
    let shown = |file: &str| folder.read(file).ok().flatten();
    let text = |file: &str| shown(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    terminal.diagnostics(&found, &text);
    if found.iter().any(Diagnostic::is_error) {
        terminal.note(&format!("{dir}: {} to mend\n", found.len()));
        return Ok(1);
    }
    let good = terminal.style.green("Success!");
    terminal.out(&format!("{good} {dir} keeps the rules of the catalog.\n"));
    Ok(0)
}

/// The files of one directory.
struct Folder(PathBuf);

impl Folder {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(Path::new(name).file_name().unwrap_or_default())
    }
}

impl Files for Folder {
    fn list(&self) -> Result<Vec<String>, String> {
        Ok(Vec::new())
    }

    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        let path = self.path(path);
        match std::fs::metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
            Ok(found) if !found.is_file() => return Err("it is no file".to_owned()),
            Ok(found) if found.len() > LARGEST => {
                return Err("it has more than 1 MiB".to_owned());
            }
            Ok(_) => {}
        }
        std::fs::read(&path).map(Some).map_err(|error| error.to_string())
    }
}

/// `devnet catalog render`.
fn rendered(
    args: &arguments::Render,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    if args.runtime != "docker" {
        let message = format!("components have no template for the runtime {}", args.runtime);
        return Err(CommandError::usage(message).hint("leave -runtime out: it is docker"));
    }
    let catalog = catalog(&args.configuration, env, terminal)?;
    let name = &args.name;
    let signature = catalog.signature(name).ok_or_else(|| unknown(&catalog, name))?;
    let mut set = BTreeMap::new();
    for pair in &args.set {
        let Some((name, value)) = pair.split_once('=') else {
            let error = CommandError::usage(format!("`{pair}` sets nothing"));
            return Err(error.hint("write -set NAME=VALUE"));
        };
        set.insert(name.to_owned(), value.to_owned());
    }
    let (version, component) = (args.version.clone(), name.clone());
    let tried = trial(&catalog, &Trial { component, version, set, replicas: args.replicas });
    terminal.diagnostics(&tried.found, &|_| Some(tried.file.clone()));
    if tried.specs.is_empty() {
        return Err(CommandError::usage(format!("{name} cannot be rendered like this")));
    }
    let mut head = String::from("# where each value comes from:\n");
    for (name, parameter) in &signature.parameters {
        let own = args.set.iter().find_map(|pair| pair.split_once('=').filter(|(n, _)| n == name));
        let (value, from) = match (own, &parameter.default) {
            (Some((_, value)), _) => (value.to_owned(), "-set"),
            (None, Some(default)) => (default.clone(), "the component's default"),
            (None, None) if parameter.required => ("example".to_owned(), "an example"),
            (None, None) => continue,
        };
        let value = value.escape_debug();
        head.push_str(&format!("#   {name} = {value}  ({from})\n"));
    }
    for (name, secret) in &signature.secrets {
        let from = match (secret.generate, secret.required) {
            (true, _) => "made by the control plane",
            (false, true) => "a secret that has to be named",
            (false, false) => continue,
        };
        head.push_str(&format!("#   {name}  ({from})\n"));
    }
    terminal.out(&head);
    terminal.out(&compose(&tried.specs));
    Ok(0)
}
