//! The arguments of `history`, `suspend` and `resume`.
//!
//! Knows flags. Refuses to act on them.

use clap::Args;
use devnet_schema::{name::ServiceName, quantity::Period};

/// Arguments of `history`.
#[derive(Debug, Args)]
pub(in crate::cli) struct History {
    /// A service; else everything.
    pub service: Option<ServiceName>,
    /// At most so many, the newest.
    #[arg(short = 'n', long, default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
    /// How to print it.
    #[command(flatten)]
    pub output: super::Output,
}

/// Arguments of `suspend`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Suspend {
    /// A service; else everything.
    pub service: Option<ServiceName>,
    /// For so long (`30m`, `2h`); else until `devnet resume`.
    #[arg(long, value_name = "TIME")]
    pub r#for: Option<Period>,
    /// Why, for those who look.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub reason: String,
}

/// Arguments of `resume`.
#[derive(Debug, Args)]
pub(in crate::cli) struct Resume {
    /// The service; else everything that was suspended as a whole.
    pub service: Option<ServiceName>,
}
