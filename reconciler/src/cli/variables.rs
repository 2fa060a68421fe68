//! Values for variables: from files, the environment and flags, each with where it comes from.
//!
//! Knows precedence and the files' form. Refuses to know what a cluster file declares.

use std::{collections::BTreeMap, fs, io::Read as _, path::Path};

use anyhow::{Context, anyhow, bail};
use devnet_schema::{
    diagnostic::Diagnostic,
    file::{
        self, Limits,
        tree::{Entry, Form, Kind},
    },
    overrides::{Origin, Overrides, is_same},
};

use super::arguments::Configuration;
use crate::config::Environment;

/// Values for variables: files first, then the environment, then flags.
///
/// # Errors
/// When a file is no map of scalars, or a flag is not `name=value`.
pub(super) fn given(configuration: &Configuration, env: &Environment) -> anyhow::Result<Overrides> {
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
    Ok(all.into_iter().collect())
}

/// For a control plane that reads the file, as nobody knows here what it declares: the values of
/// files and flags, and those of the environment, which count less. Where the environment has
/// more to say than a file, what the file says is left out.
pub(super) fn sent(given: Overrides) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let (mut vars, mut env_vars) = (BTreeMap::<String, _>::new(), BTreeMap::new());
    for (name, value, origin) in given {
        if origin == Origin::Environment {
            vars.retain(|earlier, _| !is_same(earlier, &name));
            env_vars.insert(name, value);
        } else {
            vars.insert(name, value);
        }
    }
    (vars, env_vars)
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
    let source = file::text(&name, bytes, Form::Yaml).map_err(|found| refuse(&found))?;
    let read = file::from_yaml(&source).map_err(|all| match all.first() {
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
        let given = given(&configuration, &env).unwrap();
        let text = "cluster c { vars { a 0; b 0; c 0; }; }\nservice a { image x:1; }\n";
        let files = MemoryFiles::from([("c.kdl".to_owned(), text.to_owned())]);
        let settled = given.settled(&load("c.kdl", &files).0);
        let expected = [("a", "1"), ("b", "env"), ("c", "flag=x")];
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
        };
        assert_eq!((settled.values, settled.found), (map(&expected), Vec::new()));
        let (vars, env_vars) = sent(given);
        assert_eq!(vars, map(&[("a", "1"), ("c", "flag=x")]));
        assert_eq!(env_vars, map(&[("b", "env")]));
    }
}
