//! The arguments of every command, and the spellings that Terraform users bring along.
//!
//! Knows flags. Refuses to act on them.

mod applying;
mod catalog;
mod context;
mod deferred;
mod describing;
mod files;
mod looking;
mod members;
mod placing;
mod recording;
mod serving;

use std::{path::PathBuf, time::Duration};

use clap::{Arg, Args, Command as Definition, CommandFactory, Parser, Subcommand, ValueEnum};
use devnet_schema::plan_options::MAX_SOLVE_LIMIT_MS;

pub(super) use self::{
    applying::{Apply, Deployment, DeploymentCommand, Restart},
    catalog::{Catalog, CatalogAction, Render},
    context::{Config, ConfigCommand, Context, ContextCommand},
    deferred::Deferred,
    describing::{Describe, Described},
    files::{Ci, Convert, Fmt, Init, Validate},
    looking::{Get, Kind, ListForm, Status, Wait},
    members::{Apikey, ApikeyCommand, Node, NodeCommand},
    placing::{Explain, Rebalance, WhatIf},
    recording::{History, Resume, Suspend},
    serving::Serve,
};
use super::habits;
use crate::config::Environment;

/// What every command has, in help.
const COMMON: &str = "Common options";
/// How the control plane is reached, in help.
const CONTROL_PLANE: &str = "Control plane";
/// Commands that ask no control plane.
const ALONE: [&str; 11] = [
    "catalog",
    "completions",
    "convert",
    "dev",
    "fmt",
    "init",
    "schema",
    "serve",
    "show",
    "validate",
    "version",
];

/// The whole command line. How a control plane is reached is shown only where one is asked.
pub(super) fn definition() -> Definition {
    let root = Cli::command();
    let hidden: Vec<Arg> = root
        .get_arguments()
        .filter(|arg| arg.get_help_heading() == Some(CONTROL_PLANE))
        .map(|arg| arg.clone().hide(true))
        .collect();
    ALONE.iter().fold(root, |root, name| root.mut_subcommand(name, |it| it.args(hidden.clone())))
}

/// Declare services in git; devnet plans where they run, and makes it so.
#[derive(Debug, Parser)]
#[command(name = "devnet", version, max_term_width = 80)]
pub(super) struct Cli {
    /// Change to this directory first.
    #[arg(long, global = true, value_name = "DIR", help_heading = COMMON)]
    pub chdir: Option<PathBuf>,
    /// No colours, whatever the terminal.
    #[arg(long, global = true, help_heading = COMMON)]
    pub no_color: bool,
    /// The control plane, https://HOST:PORT [env: DEVNET_ADDR].
    #[arg(long, global = true, value_name = "URL", help_heading = CONTROL_PLANE)]
    pub addr: Option<String>,
    /// A file with the API key [env: DEVNET_TOKEN holds the key itself].
    #[arg(long, global = true, value_name = "FILE", help_heading = CONTROL_PLANE)]
    pub token_file: Option<PathBuf>,
    /// The control plane's CA certificate [env: DEVNET_CA_FILE].
    #[arg(long, global = true, value_name = "FILE", help_heading = CONTROL_PLANE)]
    pub ca_file: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Begin a repository: a commented cluster file, .gitignore, and a CI workflow if wanted.
    Init(Deferred<Init>),
    /// Check the cluster file; exit 0 when it is valid, 1 when not.
    Validate(Deferred<Validate>),
    /// Write KDL files in their canonical form; -check exits 3 where one is not.
    Fmt(Deferred<Fmt>),
    /// Write a cluster file in the other form, KDL or YAML.
    Convert(Deferred<Convert>),
    /// Components: read about them, check one of your own, try one.
    Catalog(Deferred<Catalog>),
    /// Print the JSON Schema of the YAML form, for editors.
    Schema,
    /// Show what would change. Exit 0, 1 on errors, 2 with -detailed-exitcode and changes.
    Plan(Deferred<Plan>),
    /// Make it so. Exit 0 only when everything was applied and is healthy.
    Apply(Deferred<Apply>),
    /// Destroy every service of the cluster.
    Destroy(Deferred<Apply>),
    /// Like plan, with the exit codes of diff: 0 none, 1 differences, 2 error.
    Diff(Deferred<Plan>),
    /// Why a service is where it is, and what speaks against every other node.
    Explain(Deferred<Explain>),
    /// The plan that would follow from something that has not happened.
    Whatif(Deferred<WhatIf>),
    /// Plan a few moves that make the cluster more even (or use fewer nodes), and each one's gain.
    Rebalance(Deferred<Rebalance>),
    /// Print a saved plan.
    Show(Deferred<Show>),
    /// The cluster at a glance.
    Status(Deferred<Status>),
    /// List one kind of thing.
    Get(Deferred<Get>),
    /// What was changed, when, by which commit and how it ended; of one service or of all.
    History(Deferred<History>),
    /// Have the control plane leave a service, or everything, as it is.
    Suspend(Deferred<Suspend>),
    /// Have it look after what was suspended again.
    Resume(Deferred<Resume>),
    /// Run services or instances again, as they are declared and in force.
    Restart(Deferred<Restart>),
    /// Wait until services serve, or a revision is applied; exit 1 when that takes too long.
    Wait(Deferred<Wait>),
    /// Everything that is known of one node, service, instance or deployment, and its last events.
    Describe(Deferred<Describe>),
    /// Runs of plans: cut one short.
    Deployment(Deferred<Deployment>),
    /// The log of a service or an instance.
    Logs(Deferred<Logs>),
    /// The fleet, recorded for planning without a control plane.
    Fleet(Deferred<Fleet>),
    /// Write-only secrets.
    Secret(Deferred<Secret>),
    /// Nodes and the tokens they join with.
    Node(Deferred<Node>),
    /// Keys for people and CI.
    Apikey(Deferred<Apikey>),
    /// Follow what the control plane does: commits, plans, steps.
    Watch,
    /// An address and a one-time code, with which a browser logs in.
    Ui(Deferred<Output>),
    /// Run the control plane.
    Serve(Deferred<Serve>),
    /// Control plane and agents on this machine, for a first try.
    Dev(Deferred<Dev>),
    /// Control planes by name, and which of them commands speak to.
    Context(Deferred<Context>),
    /// What commands run with, and what set it.
    Config(Deferred<Config>),
    /// Completions for a shell.
    Completions(Deferred<Completions>),
    /// The version.
    Version,
}

/// Which cluster file, with which variables.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Configuration {
    /// The cluster file; else cluster.kdl, cluster.yaml or cluster.yml here.
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Set a variable [env: DEVNET_VAR_name].
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub vars: Vec<String>,
    /// A YAML or JSON file of variables.
    #[arg(long = "var-file", value_name = "FILE")]
    pub var_files: Vec<PathBuf>,
    /// Raise or lower a limit of the language, like services=20000 [env: DEVNET_LIMITS].
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    pub limits: Vec<String>,
}

/// How a plan is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
    /// For a comment on a merge request.
    Markdown,
}

/// The flags that `plan` and `apply` share.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Planning {
    /// Which cluster file.
    #[command(flatten)]
    pub configuration: Configuration,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
    /// Write the JSON lines to a file, and text to the terminal.
    #[arg(long, value_name = "FILE")]
    pub json_into: Option<PathBuf>,
    /// How to print the plan.
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Plan a revision of the control plane's source instead of the files here.
    #[arg(long, value_name = "REV")]
    pub rev: Option<String>,
    /// Only this address, and what it needs.
    #[arg(long, value_name = "ADDRESS")]
    pub target: Vec<String>,
    /// Not this address.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "target")]
    pub exclude: Vec<String>,
    /// Destroy this address and create it again.
    #[arg(long, value_name = "ADDRESS")]
    pub replace: Vec<String>,
    /// Stop and start this address again; `devnet restart` sets it.
    #[arg(skip)]
    pub restart: Vec<String>,
    /// Plan the destruction of everything.
    #[arg(long)]
    pub destroy: bool,
    /// Report drift only.
    #[arg(long)]
    pub refresh_only: bool,
    /// What does not fit is a warning.
    #[arg(long)]
    pub allow_unplaced: bool,
    /// End the search for a placement after so long; the plan says so. Default: it ends by itself.
    #[arg(long, value_name = "SECONDS", value_parser = solve_limit)]
    pub solve_limit: Option<Duration>,
    /// Ask nothing.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub input: bool,
    /// One line per warning.
    #[arg(long)]
    pub compact_warnings: bool,
}

/// Arguments of `plan` and `diff`.
#[derive(Debug, Args)]
pub(super) struct Plan {
    /// What to plan.
    #[command(flatten)]
    pub planning: Planning,
    /// Save the plan, for `devnet apply FILE`.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit 2 when there are changes.
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Say what each stage of the search for a placement improved.
    #[arg(long)]
    pub explain_search: bool,
    /// Plan against a recorded fleet, without a control plane.
    #[arg(long, value_name = "FILE", conflicts_with = "rev")]
    pub fleet: Option<PathBuf>,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// A plan saved by `devnet plan -out=FILE`.
    pub plan: PathBuf,
    /// One document in the shape of Terraform's plan JSON.
    #[arg(long)]
    pub json: bool,
}

/// How a list is printed.
#[derive(Debug, Args)]
pub(super) struct Output {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub(super) struct Logs {
    /// A service (`web`) or an instance (`web[2]`).
    pub subject: String,
    /// Go on as new lines come.
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// How many old lines, or `all`.
    #[arg(short = 'n', long, default_value = "100", value_parser = tail)]
    pub tail: String,
    /// Print the time of each line.
    #[arg(short = 't', long)]
    pub timestamps: bool,
}

fn tail(text: &str) -> Result<String, String> {
    match text.parse::<u32>() {
        Err(_) if text != "all" => Err("it is a number of lines, or `all`".to_owned()),
        _ => Ok(text.to_owned()),
    }
}

/// Arguments of `fleet`.
#[derive(Debug, Args)]
pub(super) struct Fleet {
    /// What to do with it.
    #[command(subcommand)]
    pub command: FleetCommand,
}

/// What to do with the fleet.
#[derive(Debug, Subcommand)]
pub(super) enum FleetCommand {
    /// Write the fleet as JSON, for `devnet plan --fleet FILE`.
    Snapshot,
}

/// Arguments of `secret`.
#[derive(Debug, Args)]
pub(super) struct Secret {
    /// What to do.
    #[command(subcommand)]
    pub command: SecretCommand,
}

/// What to do with secrets.
#[derive(Debug, Subcommand)]
pub(super) enum SecretCommand {
    /// Set a secret to what standard input holds (without its last line end).
    Set {
        /// Its name.
        name: String,
    },
    /// Names and versions.
    List(Output),
    /// Remove one.
    Rm {
        /// Its name.
        name: String,
    },
}

/// A limit of time for placement, in seconds; milliseconds count, less does not.
fn solve_limit(text: &str) -> Result<Duration, String> {
    const LEAST: f64 = 0.001;
    const MOST: f64 = (MAX_SOLVE_LIMIT_MS / 1000) as f64;
    let seconds: Option<f64> = text.parse().ok();
    let seconds = seconds.filter(|seconds| (LEAST..=MOST).contains(seconds)).ok_or_else(|| {
        format!("write a number of seconds, like 2 or 0.5, at least {LEAST} and at most {MOST}")
    })?;
    Ok(Duration::from_millis((seconds * 1000.0).round() as u64))
}

/// Arguments of `dev`.
#[derive(Debug, Args)]
pub(super) struct Dev {
    /// A git repository or a plain directory with a cluster file.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
    /// How many agents.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub nodes: u8,
    /// Keep the data here; else in a temporary directory that is removed at the end.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "IP:PORT")]
    pub listen: std::net::SocketAddr,
    /// The branch to follow; else the repository's own.
    #[arg(long)]
    pub branch: Option<String>,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// Which shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// The command that `args` (program name first) give: where its name stands, and its definition.
pub(super) fn given<'c>(args: &[String], root: &'c Definition) -> Option<(usize, &'c Definition)> {
    let named = |arg: &String| root.get_subcommands().find(|command| command.get_name() == arg);
    args.iter().enumerate().skip(1).find_map(|(at, arg)| Some((at, named(arg)?)))
}

/// Rewrites `-out=x` to `--out=x` for every long flag that the command has, as Terraform users
/// type it, and puts the flags of `DEVNET_CLI_ARGS` after the command's name.
pub(super) fn rewrite(args: Vec<String>, root: &Definition, env: &Environment) -> Vec<String> {
    if args.get(1).is_some_and(|arg| arg == "help") {
        return args;
    }
    let command = given(&args, root);
    let known = flags(root, command.map(|(_, command)| command));
    let is_short =
        |word: &str| word.chars().next().is_some_and(|first| known.contains(&first.to_string()));
    let rewritten = |arg: String| {
        // What has two dashes is as it should be.
        let word = arg.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
        let word = word.map(|rest| rest.split('=').next().unwrap_or(rest));
        match word {
            Some(word) if word.len() > 1 && known.iter().any(|flag| flag == word) => {
                format!("-{arg}")
            }
            // What is none, and near one, is told as a whole and not by its first letter.
            Some(word) if !is_short(word) && habits::meant(word, &known).is_some() => {
                format!("-{arg}")
            }
            _ => arg,
        }
    };
    let extra = command.map(|(at, command)| (at, env.extra_args(command.get_name())));
    let mut out = Vec::new();
    let mut literal = false;
    for (position, arg) in args.into_iter().enumerate() {
        literal |= arg == "--";
        out.push(if literal { arg } else { rewritten(arg) });
        if let Some((_, extra)) = extra.as_ref().filter(|(at, _)| *at == position) {
            out.extend(extra.iter().cloned().map(rewritten));
        }
    }
    out
}

/// The flags that a command has, the common ones among them: long ones, and short ones as one
/// letter.
pub(super) fn flags(root: &Definition, command: Option<&Definition>) -> Vec<String> {
    let mut known = Vec::new();
    collect_flags(root, &mut known);
    if let Some(command) = command {
        let mut command = command.clone();
        command.build();
        collect_flags(&command, &mut known);
    }
    known
}

fn collect_flags(command: &Definition, out: &mut Vec<String>) {
    out.extend(command.get_arguments().filter_map(|arg| arg.get_long()).map(str::to_owned));
    out.extend(command.get_arguments().filter_map(Arg::get_short).map(String::from));
    for sub in command.get_subcommands() {
        collect_flags(sub, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(args: &[&str], env: &[(&str, &str)]) -> Vec<String> {
        let env = Environment::of(env.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect());
        rewrite(args.iter().map(|a| (*a).to_owned()).collect(), &Cli::command(), &env)
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    /// The descriptions of commands are not those of their arguments, which are built later.
    #[test]
    fn every_command_says_what_it_does() {
        let mut root = Cli::command();
        root.build();
        for command in root.get_subcommands() {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let own = !about.is_empty() && !about.starts_with("Arguments of");
            assert!(own && about != "How a list is printed", "{}: {about}", command.get_name());
        }
    }

    #[test]
    fn flags_of_terraform_are_understood() {
        let args = ["devnet", "plan", "-out=x", "-detailed-exitcode", "-f", "c.kdl", "-var", "a=b"];
        let args = rewritten(&args, &[]);
        assert_eq!(args[2..], ["--out=x", "--detailed-exitcode", "-f", "c.kdl", "--var", "a=b"]);
        let cli = Cli::try_parse_from(args).unwrap();
        let Command::Plan(plan) = cli.command else { panic!("not a plan") };
        assert!(plan.detailed_exitcode);
        assert_eq!(plan.planning.configuration.vars, ["a=b"]);
    }

    #[test]
    fn a_flag_with_a_slip_is_told_as_a_whole() {
        let args = rewritten(&["devnet", "apply", "-auto-aprove", "-fx.kdl"], &[]);
        assert_eq!(args[2..], ["--auto-aprove", "-fx.kdl"]);
        let error = definition().try_get_matches_from(args).unwrap_err().to_string();
        assert!(error.contains("--auto-approve"), "{error}");
        let args = rewritten(&["devnet", "logs", "web", "-fn10"], &[]);
        assert!(definition().try_get_matches_from(args).is_ok());
    }

    #[test]
    fn help_shows_how_a_control_plane_is_reached_only_where_one_is_asked() {
        let help =
            |words: &[&str]| definition().try_get_matches_from(words).unwrap_err().to_string();
        for (words, has) in
            [(["devnet", "serve", "--help"], false), (["devnet", "plan", "--help"], true)]
        {
            let text = help(&words);
            assert_eq!(text.contains("Control plane:"), has, "{text}");
            assert!(text.contains("Common options:"), "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        }
        assert!(help(&["devnet", "help", "plan"]).contains("Show what would change"));
        // Hidden is not gone: a script that gives it everywhere goes on.
        let args = ["devnet", "validate", "--addr", "https://x:1"];
        let matches = definition().try_get_matches_from(args).unwrap();
        let cli = <Cli as clap::FromArgMatches>::from_arg_matches(&matches).unwrap();
        assert_eq!(cli.addr.as_deref(), Some("https://x:1"));
    }

    #[test]
    fn a_limit_of_time_is_a_number_of_seconds() {
        for (text, millis) in [("2", 2000), ("0.5", 500), ("0.001", 1), ("3600", 3_600_000)] {
            assert_eq!(solve_limit(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "0", "0.000001", "0.0009", "-1", "-0", "NaN", "inf", "3600.1", "2s", "1e99", "one"]
        {
            let error = solve_limit(text).unwrap_err();
            assert!(error.contains("at least 0.001 and at most 3600"), "{text}: {error}");
        }
    }

    #[test]
    fn extra_arguments_follow_the_command() {
        let env = [("DEVNET_CLI_ARGS", "-no-color"), ("DEVNET_CLI_ARGS_plan", "-json")];
        assert_eq!(
            rewritten(&["devnet", "plan", "--out=x"], &env),
            ["devnet", "plan", "--no-color", "--json", "--out=x"]
        );
    }
}
