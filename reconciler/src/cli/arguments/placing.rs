//! The arguments of the commands that ask what placement would do.
//!
//! Knows flags. Refuses to act on them.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use devnet_schema::name::{NodeName, ServiceName};

use super::{Configuration, Planning, solve_limit};
use devnet_schema::plan_options::MAX_MOVES;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// Which service.
    pub service: ServiceName,
    /// Only this node.
    #[arg(long, value_name = "NODE")]
    pub node: Option<NodeName>,
    /// Which cluster file.
    #[command(flatten)]
    pub configuration: Configuration,
    /// A recorded fleet instead of the control plane's.
    #[arg(long, value_name = "FILE")]
    pub fleet: Option<PathBuf>,
    /// End the search for a placement after so long.
    #[arg(long, value_name = "SECONDS", value_parser = solve_limit)]
    pub solve_limit: Option<Duration>,
    /// Print one JSON document.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `whatif`.
#[derive(Debug, Args)]
pub(crate) struct WhatIf {
    /// What to plan.
    #[command(flatten)]
    pub planning: Planning,
    /// A recorded fleet instead of the control plane's.
    #[arg(long, value_name = "FILE", conflicts_with = "rev")]
    pub fleet: Option<PathBuf>,
    /// This node gives up what can move.
    #[arg(long, value_name = "NODE")]
    pub drain: Vec<NodeName>,
    /// This node is lost for good.
    #[arg(long, value_name = "NODE")]
    pub without: Vec<NodeName>,
    /// A node like "cpu=16 memory=64GiB gpu=1x24GiB" joins.
    #[arg(long, value_name = "SPEC")]
    pub with_node: Vec<String>,
    /// A service has this many replicas.
    #[arg(long, value_name = "SERVICE=N")]
    pub scale: Vec<String>,
    /// Lose each node in turn (1 at a time), and say what would no longer run.
    #[arg(long, value_name = "1", value_parser = clap::value_parser!(u8).range(1..=1))]
    pub survive: Option<u8>,
}

/// Arguments of `rebalance`.
#[derive(Debug, Args)]
pub(crate) struct Rebalance {
    /// What to plan.
    #[command(flatten)]
    pub planning: Planning,
    /// A recorded fleet instead of the control plane's.
    #[arg(long, value_name = "FILE", conflicts_with = "rev")]
    pub fleet: Option<PathBuf>,
    /// How many instances that could stay may move, those with most to gain first.
    #[arg(long, value_name = "K", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_MOVES)))]
    pub max_moves: u32,
    /// Save the plan, for `devnet apply FILE`.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}
