//! The command line: one file a command, and the parsing that they share.
//!
//! Knows arguments, exit codes and streams: data on standard output, everything else on standard
//! error. Refuses to decide: commands ask the planner or the control plane and draw with `view`.

mod apply;
mod arguments;
mod catalog;
mod checkout;
mod client;
mod context;
mod convert;
mod deployment;
mod describe;
mod dev;
mod explain;
mod failure;
mod fmt;
mod follow;
mod get;
mod habits;
mod history;
mod init;
mod interrupt;
mod leaving;
mod logs;
mod nodes;
mod patience;
mod plan;
mod query;
mod rebalance;
mod restart;
mod revision;
mod scene;
mod schema;
mod secret;
mod serve;
mod served;
mod show;
mod suspend;
mod terminal;
mod text_file;
mod ui;
mod validate;
mod variables;
mod wait;
mod watch;
mod whatif;

use std::process::ExitCode;

use clap::FromArgMatches;

use self::{
    arguments::{Cli, Command},
    failure::CommandError,
    terminal::Terminal,
};
use crate::config::Environment;

/// Runs the command that `args` (program name first) say and gives its exit code.
pub fn main(args: Vec<String>, env: Environment) -> ExitCode {
    // Both the client and the server need it before their first connection; a second call in the
    // same process is refused, which is harmless.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let root = arguments::definition();
    let args = arguments::rewrite(args, &root, &env);
    let is_diff =
        arguments::given(&args, &root).is_some_and(|(_, command)| command.get_name() == "diff");
    let terminal = Terminal::new(&env, args.iter().any(|arg| arg == "--no-color"));
    let cli = match root.clone().try_get_matches_from(args.clone()) {
        Ok(matches) => match Cli::from_arg_matches(&matches) {
            Ok(cli) => cli,
            Err(error) => error.exit(),
        },
        Err(error) => {
            // Clap's own code for bad usage is 2, which means "changes" to whoever runs `plan`.
            let habit = habits::command(&args, &root).or_else(|| habits::flag(&args, &root));
            match habit.filter(|_| error.use_stderr()) {
                Some(failure) => terminal.error(&failure),
                None => drop(error.print()),
            }
            let bad = if is_diff { ExitCode::from(2) } else { ExitCode::from(1) };
            return if error.use_stderr() { bad } else { ExitCode::SUCCESS };
        }
    };
    let terminal = Terminal::new(&env, cli.no_color);
    match run(&cli, &env, &terminal) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            terminal.error(&error);
            ExitCode::from(error.code())
        }
    }
}

fn run(cli: &Cli, env: &Environment, terminal: &Terminal) -> Result<u8, CommandError> {
    if let Some(dir) = &cli.chdir {
        std::env::set_current_dir(dir).map_err(|error| {
            CommandError::usage(format!("cannot enter {}: {error}", dir.display()))
        })?;
    }
    match &cli.command {
        Command::Init(args) => init::run(args, env, terminal),
        Command::Validate(args) => validate::run(args, env, terminal),
        Command::Fmt(args) => fmt::run(args, env, terminal),
        Command::Convert(args) => convert::run(args, env, terminal),
        Command::Catalog(args) => catalog::run(args, env, terminal),
        Command::Schema => Ok(schema::run(terminal)),
        Command::Plan(args) => plan::run(args, cli, env, terminal),
        Command::Apply(args) => apply::run(args, cli, env, terminal),
        Command::Destroy(args) => apply::destroy(args, cli, env, terminal),
        Command::Diff(args) => plan::diff(args, cli, env, terminal),
        Command::Explain(args) => explain::run(args, cli, env, terminal),
        Command::Whatif(args) => whatif::run(args, cli, env, terminal),
        Command::Rebalance(args) => rebalance::run(args, cli, env, terminal),
        Command::Show(args) => show::run(args, terminal),
        Command::Status(args) => query::status(args, cli, env, terminal),
        Command::Get(args) => get::run(args, cli, env, terminal),
        Command::Restart(args) => restart::run(args, cli, env, terminal),
        Command::Wait(args) => wait::run(args, cli, env, terminal),
        Command::History(args) => history::run(args, cli, env, terminal),
        Command::Suspend(args) => suspend::suspend(args, cli, env, terminal),
        Command::Resume(args) => suspend::resume(args, cli, env, terminal),
        Command::Describe(args) => describe::run(args, cli, env, terminal),
        Command::Deployment(args) => deployment::run(args, cli, env, terminal),
        Command::Logs(args) => logs::logs(args, cli, env, terminal),
        Command::Fleet(args) => query::fleet(args, cli, env, terminal),
        Command::Secret(args) => secret::run(args, cli, env, terminal),
        Command::Node(args) => nodes::node(args, cli, env, terminal),
        Command::Apikey(args) => nodes::apikey(args, cli, env, terminal),
        Command::Watch => watch::run(cli, env, terminal),
        Command::Ui(args) => ui::run(args, cli, env, terminal),
        Command::Serve(args) => serve::run(args, env, terminal),
        Command::Dev(args) => dev::run(args, env, terminal),
        Command::Context(args) => context::run(args, env, terminal),
        Command::Config(args) => context::config(args, cli, env, terminal),
        Command::Completions(args) => {
            clap_complete::generate(
                args.shell,
                &mut arguments::definition(),
                "devnet",
                &mut std::io::stdout(),
            );
            Ok(0)
        }
        Command::Version => {
            terminal.out(&format!("devnet {}\n", env!("CARGO_PKG_VERSION")));
            Ok(0)
        }
    }
}
