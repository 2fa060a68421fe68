//! From files to the desired state, in one call: everyone who reads configuration uses it.
//!
//! Knows the order: parse, extend the catalog, validate. Refuses to know what any of them means.

use std::collections::BTreeMap;

use devnet_schema::{
    desired::DesiredState,
    diagnostic::{Diagnostic, Location},
    file::{self, Files, Limits},
    name::SecretName,
    overrides::Overrides,
    validate::{Judged, judge},
};

use crate::Catalog;

/// A configuration that was read.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What it means; `None` when there are errors.
    pub desired: Option<DesiredState>,
    /// The secrets that it names, and where first; also when there are errors.
    pub secrets: BTreeMap<SecretName, Location>,
    /// The given values that count for its variables.
    pub overrides: BTreeMap<String, String>,
    /// The built-in components and those of the configuration.
    pub catalog: Catalog,
    /// Everything that was found, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
}

/// Reads the cluster file `root` with everything it names, and checks it. `vars` override the
/// variables of the file.
pub fn load(root: &str, files: &dyn Files, vars: &BTreeMap<String, String>) -> Loaded {
    load_within(root, files, &Overrides::from(vars), &Limits::default())
}

/// The same within other limits than the usual ones.
pub fn load_within(root: &str, files: &dyn Files, given: &Overrides, limits: &Limits) -> Loaded {
    let (written, mut diagnostics) = file::load_within(root, files, limits);
    let mut catalog = Catalog::builtin();
    for dir in written.cluster.iter().flat_map(|cluster| &cluster.catalog) {
        let (extended, found) = catalog.extended(dir, files);
        catalog = extended;
        diagnostics.extend(found);
    }
    let Judged { desired, found, secrets, overrides } = judge(&written, &catalog, given);
    diagnostics.extend(found);
    diagnostics.sort_by(|a, b| a.at.cmp(&b.at));
    let desired = desired.filter(|_| !diagnostics.iter().any(Diagnostic::is_error));
    Loaded { desired, secrets, overrides, catalog, diagnostics }
}
