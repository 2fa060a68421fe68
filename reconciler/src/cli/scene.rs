//! What a plan that is made here is made from: the configuration in the working directory, and a
//! fleet, recorded or the control plane's.
//!
//! Knows how both are read, and the clock that a plan made here is given. Refuses to decide what
//! the planner decides.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use devnet_catalog::Catalog;
use devnet_planner::{
    PlanInput, Policy,
    place::{self, Pace},
};
use devnet_schema::{
    desired::DesiredState, diagnostic::Diagnostic, fleet::FleetSnapshot, name::NodeName,
    plan::Plan, plan_options::PlanOptions, validate::unchecked_secrets,
};

use super::{
    arguments::{Cli, Configuration},
    checkout::Checkout,
    client::Client,
    failure::CommandError,
    terminal::Terminal,
};
use crate::{clock, config::Environment};

/// The largest snapshot that is read, in bytes: far above a fleet of ten thousand nodes.
const MAX_SNAPSHOT: u64 = 256 << 20;

/// A configuration and a fleet.
pub(super) struct Scene {
    /// Where the configuration was read.
    pub checkout: Checkout,
    /// What it says.
    pub desired: DesiredState,
    /// What components are.
    pub catalog: Catalog,
    /// What was found in it that is no error.
    pub diagnostics: Vec<Diagnostic>,
    /// What there is.
    pub fleet: FleetSnapshot,
    created_at: String,
    revision: String,
    generations: BTreeMap<devnet_schema::name::InstanceId, devnet_schema::instance::Generation>,
}

impl Scene {
    /// Reads the configuration, and the fleet from `recorded` or else from the control plane.
    ///
    /// # Errors
    /// When one of them cannot be read or the configuration is not valid.
    pub(super) fn open(
        configuration: &Configuration,
        recorded: Option<&Path>,
        cli: &Cli,
        env: &Environment,
        terminal: &Terminal,
    ) -> Result<Self, CommandError> {
        let fleet = match recorded {
            Some(path) => read_snapshot(path)?,
            None => Client::new(cli, env)?.get("/api/v1/fleet", "asking for the fleet")?,
        };
        let checkout = Checkout::open(configuration, env)?;
        let loaded = checkout.load();
        let mut diagnostics = loaded.diagnostics;
        if fleet.secrets.is_none() {
            diagnostics.extend(unchecked_secrets(&loaded.secrets));
        }
        let Some(desired) = loaded.desired else {
            return Err(checkout.invalid(&diagnostics, terminal));
        };
        let (created_at, revision) =
            (clock::wall().to_string(), checkout.revision(&loaded.overrides));
        Ok(Self {
            checkout,
            desired,
            catalog: loaded.catalog,
            diagnostics,
            fleet,
            created_at,
            revision,
            generations: BTreeMap::new(),
        })
    }

    /// The input of a plan with these options.
    pub(super) fn input(&self, options: PlanOptions) -> PlanInput<'_> {
        PlanInput {
            desired: &self.desired,
            catalog: &self.catalog,
            fleet: &self.fleet,
            revision: &self.revision,
            generations: &self.generations,
            options,
            policy: Policy::default(),
            limits: place::Limits::default(),
            created_at: &self.created_at,
        }
    }

    /// The plan with these options, the configuration's own findings before the planner's.
    pub(super) fn plan(&self, options: PlanOptions, limit: Option<Duration>) -> Plan {
        let mut plan = timed(&self.input(options), limit);
        plan.diagnostics.splice(0..0, self.diagnostics.iter().cloned());
        plan
    }
}

/// The plan of an input, with the time that it took. The search for a placement ends after
/// `limit`, where there is one.
pub(super) fn timed(input: &PlanInput<'_>, limit: Option<Duration>) -> Plan {
    let begun = Instant::now();
    let mut plan = devnet_planner::plan_paced(input, &mut |_| Pace::left(limit, begun.elapsed()));
    plan.placement.seconds = Some(begun.elapsed().as_secs_f64());
    plan.placement.solve_limit = limit.map(|limit| limit.as_secs_f64());
    plan
}

/// Missing sizes of nodes that are named one by one.
const MISSING_SHOWN: usize = 5;

fn read_snapshot(path: &Path) -> Result<FleetSnapshot, CommandError> {
    let act = || format!("reading the fleet snapshot {}", path.display());
    let size = fs::metadata(path).with_context(act)?.len();
    if size > MAX_SNAPSHOT {
        return Err(CommandError::usage(format!(
            "{} has {size} bytes, more than the {MAX_SNAPSHOT} that a snapshot may have",
            path.display()
        )));
    }
    let text = fs::read(path).with_context(act)?;
    let hint = "`devnet fleet snapshot` writes one; docs/cluster-file.md describes the fields.";
    let snapshot: FleetSnapshot = serde_json::from_slice(&text)
        .with_context(act)
        .map_err(|error| CommandError::from(error).hint(hint))?;
    let missing = snapshot.sizes_missing();
    if !missing.is_empty() {
        let say =
            |(node, field): &(&NodeName, &str)| format!("node `{node}` has no `{field}`, or 0");
        let said: Vec<String> = missing.iter().take(MISSING_SHOWN).map(say).collect();
        let more = match missing.len().saturating_sub(MISSING_SHOWN) {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let problem = format!("the fleet snapshot {}: {}{more}", path.display(), said.join("; "));
        return Err(CommandError::usage(problem).hint(hint));
    }
    Ok(snapshot)
}
