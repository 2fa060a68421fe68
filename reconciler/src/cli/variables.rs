//! Values for variables: from files, the environment and flags, each with where it comes from.
//!
//! Knows precedence, and what to say of a value that no configuration declares. Refuses to show a
//! value: it may be one that nobody should see.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    path::Path,
};

use anyhow::{Context, anyhow, bail};
use devnet_schema::{
    diagnostic::{Diagnostic, Location},
    file::{
        ClusterFile, Limits, suggest,
        tree::{self, Entry, Form, Kind},
    },
};

use super::arguments::Configuration;
use crate::config::Environment;

/// What a variable of the environment begins with.
const PREFIX: &str = "DEVNET_VAR_";

/// Where a value comes from.
#[derive(Debug, Clone)]
enum Origin {
    File(Location),
    Environment,
    Flag,
}

/// Values in the order in which they count, the later ones more.
#[derive(Debug, Clone, Default)]
pub struct Variables(Vec<(String, String, Origin)>);

impl Variables {
    /// Files first, then the environment, then flags.
    ///
    /// # Errors
    /// When a file is no map of scalars, or a flag is not `name=value`.
    pub fn given(configuration: &Configuration, env: &Environment) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for path in &configuration.var_files {
            all.extend(of_file(path)?);
        }
        let of_env = env.vars().into_iter();
        all.extend(of_env.map(|(name, value)| (name, value, Origin::Environment)));
        for pair in &configuration.vars {
            let Some((name, value)) = pair.split_once('=') else {
                bail!("-var takes name=value, not `{pair}`");
            };
            all.push((name.to_owned(), value.to_owned(), Origin::Flag));
        }
        Ok(Self(all))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of each, whether something declares it or not.
    pub fn values(self) -> BTreeMap<String, String> {
        self.0.into_iter().map(|(name, value, _)| (name, value)).collect()
    }

    /// The values of what a configuration declares, and what is to be said of the others. An
    /// environment is often shared, so what it has too much is no error.
    pub fn settled(self, file: &ClusterFile) -> (BTreeMap<String, String>, Vec<Diagnostic>) {
        let vars = file.cluster.iter().flat_map(|cluster| &cluster.vars);
        let declared: BTreeSet<&str> = vars.map(|(name, _)| name.value.as_str()).collect();
        let (mut values, mut found) = (BTreeMap::new(), Vec::new());
        for (name, value, origin) in self.0 {
            let meant = match origin {
                Origin::Environment => of_shells(&name, &declared).unwrap_or(&name),
                _ => &name,
            };
            if declared.contains(meant) {
                values.insert(meant.to_owned(), value);
            } else if !file.unread.may_declare(&name) {
                found.push(undeclared(&name, origin, &declared));
            }
        }
        (values, found)
    }
}

/// The declared name that a name of the environment stands for: shells allow no hyphen in one.
fn of_shells<'d>(name: &str, declared: &BTreeSet<&'d str>) -> Option<&'d str> {
    let plain = |text: &str| text.replace('-', "_");
    let mut same = declared.iter().filter(|one| plain(one) == plain(name));
    let exact = declared.get(name).copied();
    exact.or_else(|| same.next().copied().filter(|_| same.next().is_none()))
}

/// What is said of a value for something that is not declared.
fn undeclared(name: &str, origin: Origin, declared: &BTreeSet<&str>) -> Diagnostic {
    let shown = name.escape_debug();
    let near = suggest::nearest(name, declared.iter().copied());
    let meant = |prefix: &str| {
        near.map(|near| format!("did you mean `{prefix}{near}`? else ")).unwrap_or_default()
    };
    match origin {
        Origin::Environment => {
            let near = meant(PREFIX).replace('-', "_");
            let message = format!("`{PREFIX}{shown}` in the environment is for no variable here");
            Diagnostic::warning("DN-W0415", None, message)
                .help(format!("{near}declare `{shown}` under `vars`, or unset it"))
        }
        Origin::Flag => {
            let message = format!("`-var {shown}=…` is for a variable that is not declared");
            let near = meant("-var ");
            Diagnostic::error("DN-E0318", None, message)
                .help(format!("{near}declare `{shown}` under `vars`, or leave the flag out"))
        }
        Origin::File(at) => {
            let message = format!("`{shown}` is a value for a variable that is not declared");
            let near = meant("");
            Diagnostic::error("DN-E0318", Some(at), message)
                .help(format!("{near}declare it under `vars`, or remove this line"))
        }
    }
}

/// Reads it as a cluster file is read: JSON is YAML, so one reader serves both.
fn of_file(path: &Path) -> anyhow::Result<Vec<(String, String, Origin)>> {
    let act = || format!("reading variables from {}", path.display());
    // It may be a pipe, like a file that is being decrypted: its size is known once it was read.
    let most = Limits::default().yaml_file as u64;
    let mut bytes = Vec::new();
    let file = fs::File::open(path).with_context(act)?;
    file.take(most + 1).read_to_end(&mut bytes).with_context(act)?;
    let refuse = |found: &Diagnostic| {
        let at = found.at.as_ref().map_or_else(|| path.display().to_string(), ToString::to_string);
        anyhow!("{at}: {}: {}", found.code, found.message)
    };
    let name = path.display().to_string();
    let source = tree::text(&name, bytes, Form::Yaml).map_err(|found| refuse(&found))?;
    let read = tree::from_yaml(&source).map_err(|all| match all.first() {
        Some(first) => refuse(first),
        None => anyhow!("{name} is no YAML"),
    })?;
    let Kind::Map(entries) = read.kind else {
        bail!("{name} has no variables: write one `name: value` in a line");
    };
    let value = |entry: Entry| match entry.value.kind {
        Kind::Scalar { raw, plain } if !plain || !["", "~", "null"].contains(&raw.as_str()) => {
            Ok((entry.key, raw, Origin::File(source.at(&entry.key_span))))
        }
        _ => {
            let at = source.at(&entry.key_span);
            bail!("{at}: the value of `{}` is not a single value", entry.key.escape_debug())
        }
    };
    entries.into_iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use devnet_schema::file::{MemoryFiles, load};

    use super::*;

    #[test]
    fn hostile_files_of_variables_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let told = |text: &str| {
            let file = dir.path().join("vars.yaml");
            fs::write(&file, text).unwrap();
            of_file(&file).unwrap_err().to_string()
        };
        assert!(told(&format!("a: {}", "[".repeat(200_000))).contains("DN-E0105"));
        assert!(told(&format!("a: {}", "x".repeat(2 << 20))).contains("DN-E0101"));
        assert!(told("a: {b: 1}").contains("vars.yaml:1:1: the value of `a` is not"));
        assert!(told("a: ~").contains("is not a single value"));
        assert!(told("- a").contains("name: value"));
        assert!(told("a: 1\na: 2").contains("DN-E0111"));
    }

    #[test]
    fn flags_beat_the_environment_and_the_environment_beats_files() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("vars.yaml");
        fs::write(&file, "a: 1\nb: 2\nc: three\n").unwrap();
        let env = Environment::of(BTreeMap::from([("DEVNET_VAR_b".into(), "env".into())]));
        let configuration = Configuration {
            vars: vec!["c=flag=x".into()],
            var_files: vec![file],
            ..Configuration::default()
        };
        let vars = Variables::given(&configuration, &env).unwrap().values();
        let expected = [("a", "1"), ("b", "env"), ("c", "flag=x")];
        assert_eq!(vars, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
    }

    #[test]
    fn what_is_not_declared_is_told_with_its_origin() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("vars.yaml");
        fs::write(&file, "domain: x\nzone-nam: y\n").unwrap();
        let names = ["DEVNET_VAR_domian", "DEVNET_VAR_zone_name", "DEVNET_VAR_OTHER"];
        let env = Environment::of(names.map(|name| (name.to_owned(), "e".to_owned())).into());
        let configuration = Configuration {
            vars: vec!["nobody=secret".into()],
            var_files: vec![file],
            ..Configuration::default()
        };
        let text = "cluster c { vars { domain a; zone-name b; }; }\nservice a { image x:1; }\n";
        let files = MemoryFiles::from([("c.kdl".to_owned(), text.to_owned())]);
        let (written, _) = load("c.kdl", &files);
        let given = Variables::given(&configuration, &env).unwrap();
        let (values, found) = given.settled(&written);
        let expected = [("domain", "x"), ("zone-name", "e")];
        assert_eq!(values, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        let vars = dir.path().join("vars.yaml").display().to_string();
        assert_eq!(
            told.join("\n").replace(&vars, "vars.yaml"),
            "vars.yaml:2:1: error[DN-E0318]: `zone-nam` is a value for a variable that is not \
             declared\n  help: did you mean `zone-name`? else declare it under `vars`, or remove \
             this line\n\
             warning[DN-W0415]: `DEVNET_VAR_OTHER` in the environment is for no variable here\n  \
             help: declare `OTHER` under `vars`, or unset it\n\
             warning[DN-W0415]: `DEVNET_VAR_domian` in the environment is for no variable here\n  \
             help: did you mean `DEVNET_VAR_domain`? else declare `domian` under `vars`, or unset \
             it\n\
             error[DN-E0318]: `-var nobody=…` is for a variable that is not declared\n  \
             help: declare `nobody` under `vars`, or leave the flag out"
        );
    }
}
