//! How much of a configuration is read before it is refused.
//!
//! Knows numbers, their names and their bounds. Refuses to know who sets them.

use super::tree::Source;
use crate::{diagnostic::Diagnostic, quantity::Bytes};

/// The most ports of a service: more is no service that someone runs, and each is compared with
/// the others.
pub(crate) const MOST_PORTS: usize = 1000;

/// The most of everything that a configuration may have. Each is checked before memory is taken
/// for what exceeds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// One KDL file, in bytes.
    pub kdl_file: usize,
    /// One YAML file, in bytes.
    pub yaml_file: usize,
    /// One file that a service takes in with `source`, in bytes.
    pub source_file: usize,
    /// All files together, in bytes.
    pub total: usize,
    /// Files that are included.
    pub files: usize,
    /// Blocks, lists and maps open at once.
    pub depth: usize,
    /// Values that the aliases of a YAML file repeat.
    pub values: usize,
    /// Text that the aliases of a YAML file repeat, in bytes.
    pub text: usize,
    /// Values of all files together, those that aliases repeat included.
    pub all_values: usize,
    /// Services of all files together.
    pub services: usize,
    /// Instances of one service.
    pub replicas: usize,
    /// Instances of all services together.
    pub instances: usize,
}

impl Default for Limits {
    /// The limits of docs/cluster-file.md.
    fn default() -> Self {
        Self {
            kdl_file: 256 << 10,
            yaml_file: 1 << 20,
            source_file: 256 << 10,
            total: 10 << 20,
            files: 1000,
            depth: 64,
            values: 100_000,
            text: 8 << 20,
            all_values: 500_000,
            services: 10_000,
            replicas: 1000,
            instances: 20_000,
        }
    }
}

/// A limit that can be set.
struct Known {
    name: &'static str,
    /// Whether it counts bytes.
    size: bool,
    least: usize,
    most: usize,
    slot: fn(&mut Limits) -> &mut usize,
}

const fn known(
    name: &'static str,
    size: bool,
    (least, most): (usize, usize),
    slot: fn(&mut Limits) -> &mut usize,
) -> Known {
    Known { name, size, least, most, slot }
}

/// Every limit. What reads a tree goes down it on the stack, so `depth` ends where 2 MiB of stack
/// hold it without optimisation.
const KNOWN: [Known; 12] = [
    known("kdl-file", true, (16, 4 << 20), |limits| &mut limits.kdl_file),
    known("yaml-file", true, (16, 4 << 20), |limits| &mut limits.yaml_file),
    known("source-file", true, (16, 4 << 20), |limits| &mut limits.source_file),
    known("total", true, (16, 256 << 20), |limits| &mut limits.total),
    known("files", false, (1, 20_000), |limits| &mut limits.files),
    known("depth", false, (8, 128), |limits| &mut limits.depth),
    known("values", false, (10, 10_000_000), |limits| &mut limits.values),
    known("text", true, (16, 256 << 20), |limits| &mut limits.text),
    known("all-values", false, (10, 10_000_000), |limits| &mut limits.all_values),
    known("services", false, (1, 1_000_000), |limits| &mut limits.services),
    known("replicas", false, (1, 1_000_000), |limits| &mut limits.replicas),
    known("instances", false, (1, 1_000_000), |limits| &mut limits.instances),
];

impl Limits {
    /// The names of all limits.
    pub fn names() -> impl Iterator<Item = &'static str> + Clone {
        KNOWN.iter().map(|limit| limit.name)
    }

    /// Sets one limit from `NAME=VALUE`, like `services=20000` or `kdl-file=1MiB`.
    ///
    /// # Errors
    /// When there is no such limit or the value is none for it, in words for people.
    pub fn set(&mut self, setting: &str) -> Result<(), String> {
        let shown = setting.escape_debug();
        let Some((name, value)) = setting.split_once('=') else {
            return Err(format!("`{shown}` is no limit: write NAME=VALUE, like services=20000"));
        };
        let Some(limit) = KNOWN.iter().find(|known| known.name == name) else {
            let advice = super::suggest::advice(name, Self::names());
            return Err(format!("there is no limit `{}`: {advice}", name.escape_debug()));
        };
        let number = match limit.size {
            true => value.parse::<Bytes>().ok().and_then(|size| usize::try_from(size.0).ok()),
            false => value.parse::<usize>().ok(),
        };
        match number {
            Some(number) if (limit.least..=limit.most).contains(&number) => {
                *(limit.slot)(self) = number;
                Ok(())
            }
            _ if limit.size => {
                let (least, most) = (Bytes(limit.least as u64), Bytes(limit.most as u64));
                Err(format!("`{shown}`: write a size from {least} to {most}"))
            }
            _ => Err(format!("`{shown}`: write a number from {} to {}", limit.least, limit.most)),
        }
    }
}

/// The files together have more values than they may.
pub(crate) fn too_many_values(source: &Source, at: usize) -> Diagnostic {
    let message = "here the files together exceed the values that they may have";
    Diagnostic::error("DN-E0117", Some(source.at(&(at..at))), message)
        .help("include less, or raise the limit `all-values`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_can_be_set_within_its_bounds_and_by_no_other_name() {
        let mut limits = Limits::default();
        for Known { name, size, least, most, slot } in KNOWN {
            let before = *slot(&mut limits);
            assert!((least..=most).contains(&before), "{name}");
            let unit = if size { "B" } else { "" };
            limits.set(&format!("{name}={most}{unit}")).unwrap();
            assert_eq!(*slot(&mut limits), most, "{name}");
            assert!(limits.set(&format!("{name}={}{unit}", most + 1)).is_err());
            assert!(limits.set(&format!("{name}={}{unit}", least - 1)).is_err());
            assert_eq!(*slot(&mut limits), most, "{name} keeps what it has");
        }
        let said = limits.set("service=1").unwrap_err();
        assert_eq!(said, "there is no limit `service`: did you mean `services`?");
        assert!(limits.set("services").unwrap_err().contains("NAME=VALUE"));
        assert!(limits.set("kdl-file=5").unwrap_err().contains("from 16B to 4MiB"));
    }
}
