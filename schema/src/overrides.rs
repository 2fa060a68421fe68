//! Values that override a cluster file's variables, each with where it comes from.
//!
//! Knows which of them count for a file, and what to say of the others. Refuses to read them from
//! anywhere, and to show a value: it may be one that nobody should see.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    diagnostic::{Diagnostic, Location},
    file::{ClusterFile, suggest},
};

/// What a variable of the environment begins with.
pub const ENV_PREFIX: &str = "DEVNET_VAR_";

/// Of so many values that nothing declares, a similar name is looked for.
const MOST_COMPARED: usize = 50;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of a file of variables.
    File(Location),
    /// The environment, which is often shared: what it has too much is no error, and a `_` in a
    /// name there may stand for a `-`.
    Environment,
    /// A flag of the command line.
    Flag,
    /// A request to a control plane.
    Request,
}

/// Values by name, in the order in which they count: of one name, the last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides(Vec<(String, String, Origin)>);

/// What of some [`Overrides`] counts for a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// The values by the name that is declared.
    pub values: BTreeMap<String, String>,
    /// What is to be said of the others.
    pub found: Vec<Diagnostic>,
}

impl FromIterator<(String, String, Origin)> for Overrides {
    fn from_iter<I: IntoIterator<Item = (String, String, Origin)>>(all: I) -> Self {
        Self(all.into_iter().collect())
    }
}

impl From<&BTreeMap<String, String>> for Overrides {
    /// Values of a request.
    fn from(values: &BTreeMap<String, String>) -> Self {
        let each = values.iter();
        each.map(|(name, value)| (name.clone(), value.clone(), Origin::Request)).collect()
    }
}

impl IntoIterator for Overrides {
    type Item = (String, String, Origin);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Overrides {
    /// The values of what a file declares, and what is to be said of the others.
    pub fn settled(&self, file: &ClusterFile) -> Settled {
        let vars = file.cluster.iter().flat_map(|cluster| &cluster.vars);
        let declared: BTreeSet<&str> = vars.map(|(name, _)| name.value.as_str()).collect();
        let mut settled = Settled::default();
        for (name, value, origin) in &self.0 {
            let meant = match origin {
                Origin::Environment => of_shells(name, &declared).unwrap_or(name),
                _ => name,
            };
            if declared.contains(meant) {
                settled.values.insert(meant.to_owned(), value.clone());
            } else if !file.unread.may_declare(name) {
                let compared = settled.found.len() < MOST_COMPARED;
                let near = compared.then(|| suggest::nearest(name, declared.iter().copied()));
                settled.found.push(undeclared(name, origin, near.flatten()));
            }
        }
        settled
    }
}

/// The declared name that a name of the environment stands for: shells allow no hyphen in one.
fn of_shells<'d>(name: &str, declared: &BTreeSet<&'d str>) -> Option<&'d str> {
    let mut same = declared.iter().filter(|one| is_same(one, name));
    let exact = declared.get(name).copied();
    exact.or_else(|| same.next().copied().filter(|_| same.next().is_none()))
}

/// Whether two names are the same to a shell.
pub fn is_same(one: &str, other: &str) -> bool {
    let plain = |c: char| if c == '-' { '_' } else { c };
    one.chars().map(plain).eq(other.chars().map(plain))
}

/// What is said of a value for something that is not declared.
fn undeclared(name: &str, origin: &Origin, near: Option<&str>) -> Diagnostic {
    let shown = name.escape_debug();
    let meant = |prefix: &str| {
        near.map(|near| format!("did you mean `{prefix}{near}`? else ")).unwrap_or_default()
    };
    match origin {
        Origin::Environment => {
            let near = meant(ENV_PREFIX).replace('-', "_");
            let message = format!("`{ENV_PREFIX}{shown}` in the environment is for no variable");
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
            Diagnostic::error("DN-E0318", Some(at.clone()), message)
                .help(format!("{near}declare it under `vars`, or remove this line"))
        }
        Origin::Request => {
            let message = format!("there is no variable `{shown}` to override");
            let near = meant("");
            Diagnostic::error("DN-E0318", None, message)
                .help(format!("{near}declare it under `vars`, or leave the value out"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::{MemoryFiles, load};

    #[test]
    fn what_is_not_declared_is_told_with_its_origin() {
        let text = "cluster c { vars { domain a; zone-name b; a_b 1; a-b 2; }; }\n\
                    service a { image x:1; }\n";
        let files = MemoryFiles::from([("c.kdl".to_owned(), text.to_owned())]);
        let (written, _) = load("c.kdl", &files);
        let at = Location::of("vars.yaml", "domain: x\nzone-nam: y\n", 10, 18);
        let env = |name: &str| (name.to_owned(), "e".to_owned(), Origin::Environment);
        let given: Overrides = [
            ("domain".into(), "x".into(), Origin::File(at.clone())),
            ("zone-nam".into(), "y".into(), Origin::File(at)),
            env("domian"),
            env("zone_name"),
            env("a_b"),
            env("OTHER"),
            ("nobody".into(), "secret".into(), Origin::Flag),
            ("domains".into(), "secret".into(), Origin::Request),
        ]
        .into_iter()
        .collect();
        let Settled { values, found } = given.settled(&written);
        let expected = [("a_b", "e"), ("domain", "x"), ("zone-name", "e")];
        assert_eq!(values, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        let told: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            told.join("\n"),
            "vars.yaml:2:1: error[DN-E0318]: `zone-nam` is a value for a variable that is not \
             declared\n  help: did you mean `zone-name`? else declare it under `vars`, or remove \
             this line\n\
             warning[DN-W0415]: `DEVNET_VAR_domian` in the environment is for no variable\n  \
             help: did you mean `DEVNET_VAR_domain`? else declare `domian` under `vars`, or unset \
             it\n\
             warning[DN-W0415]: `DEVNET_VAR_OTHER` in the environment is for no variable\n  \
             help: declare `OTHER` under `vars`, or unset it\n\
             error[DN-E0318]: `-var nobody=…` is for a variable that is not declared\n  \
             help: declare `nobody` under `vars`, or leave the flag out\n\
             error[DN-E0318]: there is no variable `domains` to override\n  \
             help: did you mean `domain`? else declare it under `vars`, or leave the value out"
        );
    }
}
