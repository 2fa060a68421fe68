//! Words and flags that people bring along from Terraform, kubectl and Docker Compose, and what to
//! use here.
//!
//! Knows their words. Refuses to act on any: what is meant is said, and a person types it.

use clap::Command as Definition;
use devnet_schema::file::suggest;

use super::{arguments, failure::CommandError};

/// A command of another program, where it is from, and what to use.
type Habit = (&'static [&'static str], &'static str);

const COMMANDS: [Habit; 26] = [
    (
        &["state"],
        "There is no state file: nodes are asked what runs. `devnet get instances` lists it, \
         `devnet get services -o json` has all of it.",
    ),
    (&["output", "outputs"], "`devnet get services -o json` has addresses, versions and health."),
    (
        &["graph"],
        "`devnet get services -o json` has `depends_on`; the web UI (`devnet ui`) draws it.",
    ),
    (
        &["force-unlock", "unlock"],
        "There is no lock to remove: one deployment runs at a time, and `devnet deployment cancel` \
         cuts it short.",
    ),
    (
        &["refresh"],
        "Every plan looks at what runs; `devnet plan -refresh-only` shows only what differs.",
    ),
    (&["import"], "`devnet node adopt NODE` takes over what a node runs already."),
    (&["taint", "untaint"], "`devnet apply -replace=service.NAME[0]` makes an instance anew."),
    (
        &["workspace"],
        "Each cluster has a control plane of its own: `devnet context use NAME` says which.",
    ),
    (
        &["providers", "get-plugins"],
        "There are no providers: agents on the nodes drive Docker, Podman and processes.",
    ),
    (
        &["up", "create", "run"],
        "Write it into the cluster file: `devnet apply` makes it so, `devnet dev` tries it on \
         this machine.",
    ),
    (
        &["down", "delete", "rm", "remove"],
        "Take it out of the cluster file and `devnet apply`; `devnet destroy` takes away all of \
         it.",
    ),
    (
        &["ps", "ls", "list", "top", "stats"],
        "`devnet get instances` lists what runs, `devnet get nodes -o wide` what is in use.",
    ),
    (
        &["start", "stop", "kill"],
        "What runs is declared: change `replicas` in the cluster file and `devnet apply`.",
    ),
    (
        &["pause", "unpause"],
        "`devnet suspend NAME` has the control plane leave it as it is, `devnet resume NAME` look \
         after it again.",
    ),
    (
        &["scale"],
        "Change `replicas` in the cluster file; `devnet whatif --scale NAME=N` shows what would \
         follow.",
    ),
    (
        &["inspect"],
        "`devnet describe service NAME` has all of it; `devnet explain NAME` says why it is where \
         it is.",
    ),
    (
        &["rollout"],
        "`devnet restart NAME` starts it anew, `devnet wait NAME` waits until it serves; `devnet \
         history NAME` says what was changed.",
    ),
    (
        &["rollback", "undo"],
        "`git revert` the commit: the revision that follows is planned and applied like any other.",
    ),
    (
        &["drain"],
        "`devnet node drain NODE` has it give up what can move; `devnet whatif --drain NODE` shows \
         what would.",
    ),
    (&["cordon", "uncordon"], "`devnet node cordon NODE` and `devnet node uncordon NODE`."),
    (&["events"], "`devnet get events` lists them, `devnet watch` follows them."),
    (
        &["nodes", "services", "instances", "deployments", "node-list"],
        "`devnet get` lists them, as in `devnet get nodes`.",
    ),
    (
        &["pull", "build", "push"],
        "Images are pulled before anything is stopped, as a part of `devnet apply`; devnet builds \
         none.",
    ),
    (&["compose", "lint"], "`devnet validate` checks the cluster file and what it includes."),
    (
        &["exec", "attach", "port-forward", "cp"],
        "devnet does not reach into instances; `devnet logs NAME -f` shows what they print.",
    ),
    (
        &["edit", "patch", "annotate", "label"],
        "What runs is declared: edit the cluster file and commit it, or `devnet apply`.",
    ),
];

/// Flags of Terraform that are not needed here, and why.
const FLAGS: [Habit; 5] = [
    (&["refresh"], "Every plan looks at what runs, which costs little: leave -refresh out."),
    (
        &["lock", "state", "state-out", "backup"],
        "There is no state file and no lock: leave it out.",
    ),
    (
        &[
            "backend",
            "backend-config",
            "reconfigure",
            "migrate-state",
            "upgrade",
            "plugin-dir",
            "get",
        ],
        "There are no backends and no providers: leave it out.",
    ),
    (
        &["force", "grace-period", "now"],
        "`devnet apply -force` alone has it: it applies what the control plane would undo.",
    ),
    (&["namespace", "n", "A", "all-namespaces"], "A cluster has no namespaces: leave it out."),
];

/// What to use in the place of the command that `args` (program name first) give, where devnet has
/// none of that name and somebody else has.
pub(super) fn command(args: &[String], root: &Definition) -> Option<CommandError> {
    let (at, word) = args.iter().enumerate().skip(1).find(|(_, arg)| !arg.starts_with('-'))?;
    // `rollout restart` has a command of ours behind one that is none; what follows a flag may be
    // its value.
    let follows_flag = args[at - 1].starts_with('-');
    if arguments::given(args, root).is_some_and(|(given, _)| given <= at || follows_flag) {
        return None;
    }
    let (_, advice) = COMMANDS.iter().find(|(words, _)| words.contains(&word.as_str()))?;
    Some(CommandError::usage(format!("devnet has no command `{word}`")).hint(*advice))
}

/// What to do about a flag that Terraform has and this command has not.
pub(super) fn flag(args: &[String], root: &Definition) -> Option<CommandError> {
    let (at, command) = arguments::given(args, root)?;
    let known = arguments::flags(root, Some(command));
    for arg in args.iter().skip(at + 1).take_while(|arg| *arg != "--") {
        let Some(flag) = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-')) else { continue };
        let name = flag.split('=').next().unwrap_or(flag);
        if name.len() < 2 || known.iter().any(|it| it == name) {
            continue;
        }
        if let Some((_, advice)) = FLAGS.iter().find(|(words, _)| words.contains(&name)) {
            let what = format!("`devnet {}` has no flag -{name}", command.get_name());
            return Some(CommandError::usage(what).hint(*advice));
        }
    }
    None
}

/// The flag that a word with one dash was meant to be, where it is none and one of `known` is near:
/// read letter by letter it would be told to be no flag `-a`.
pub(super) fn meant<'a>(word: &str, known: &'a [String]) -> Option<&'a str> {
    (word.len() >= 4).then(|| suggest::nearest(word, known.iter().map(String::as_str)))?
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::arguments::Cli;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn no_command_of_devnet_is_told_to_be_none() {
        let root = Cli::command();
        for (words, _) in COMMANDS {
            for word in words {
                assert!(root.find_subcommand(word).is_none(), "{word} is a command here");
            }
        }
    }

    /// What is advised exists.
    #[test]
    fn the_advice_names_only_commands_that_exist() {
        let root = Cli::command();
        let mut seen = 0;
        for (_, advice) in COMMANDS.iter().chain(&FLAGS) {
            for quoted in advice.split('`').skip(1).step_by(2) {
                let Some(rest) = quoted.strip_prefix("devnet ") else { continue };
                let word = rest.split_whitespace().next().unwrap();
                assert!(root.find_subcommand(word).is_some(), "{advice}: {word}");
                seen += 1;
            }
        }
        assert!(seen > 20, "{seen}");
    }

    #[test]
    fn what_others_type_is_answered_with_what_to_use() {
        let root = Cli::command();
        let told = |line: &str| {
            let args = words(line);
            let failure = command(&args, &root).or_else(|| flag(&args, &root));
            failure.map(|it| format!("{}: {}", it.error, it.hints.join(" ")))
        };
        for (line, part) in [
            ("devnet state list", "devnet get instances"),
            ("devnet -no-color force-unlock x", "deployment cancel"),
            ("devnet ps", "devnet get instances"),
            ("devnet rollout restart web", "devnet restart NAME"),
            ("devnet plan -refresh=false", "leave -refresh out"),
            ("devnet apply --lock=false", "no state file"),
        ] {
            let text = told(line).unwrap_or_default();
            assert!(text.contains(part), "{line}: {text}");
        }
        for line in [
            "devnet plan -refresh-only",
            "devnet logs ps",
            "devnet --chdir state plan",
            "devnet nonsense",
            "devnet",
        ] {
            assert_eq!(told(line), None, "{line}");
        }
    }
}
