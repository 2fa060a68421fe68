//! `devnet init`: the beginning of a repository.
//!
//! Knows the files of one and what each CI system calls them. Refuses to touch a file that is
//! there, to run git, and to write a part of what was asked for.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use devnet_schema::name::ClusterName;

use super::{
    arguments::{self, Ci, Configuration},
    checkout::Checkout,
    failure::CommandError,
    terminal::Terminal,
    text_file,
};
use crate::config::Environment;

const CLUSTER: &str = include_str!("init/cluster.kdl");
const GITIGNORE: &str = include_str!("init/gitignore");
const GITHUB: &str = include_str!("init/github.yml");
const GITEA: &str = include_str!("init/gitea.yml");
const GITLAB: &str = include_str!("init/gitlab.yml");
/// How a job gets devnet, and how it trusts the control plane's CA; the same for every CI system.
const INSTALL: &str = include_str!("init/install.sh");
const TRUST: &str = include_str!("init/trust.sh");

/// Who applies commits: the control plane by itself, or the workflow.
const SYNC: [(&str, &str); 2] = [
    (
        "// Commits are applied as they come. What a commit no longer declares keeps\n    \
         // running until someone plans its removal; what changed by itself is put right.",
        "auto=#true",
    ),
    (
        "// The workflow applies the main branch, so the control plane does not do it by\n    \
         // itself. What a commit no longer declares keeps running until someone plans its\n    \
         // removal.",
        "auto=#false",
    ),
];

/// The branch that is applied where the repository does not say which it begins with.
const BRANCH: &str = "main";

/// What a repository without a usable directory name is called.
const FALLBACK: &str = "homelab";
const ROOTS: [&str; 3] = ["cluster.kdl", "cluster.yaml", "cluster.yml"];

/// `devnet init`.
pub(super) fn run(
    args: &arguments::Init,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, CommandError> {
    let dir = &args.dir;
    if dir.exists() && !dir.is_dir() {
        return Err(CommandError::usage(format!("{} is not a directory", dir.display())));
    }
    let name = match &args.name {
        Some(name) => name.as_str().to_owned(),
        None => name_of(dir),
    };
    let wanted = files(&name, args.ci, &branch_of(dir));
    let (kept, new) = sort(dir, args.ci, wanted)?;
    if let Some((root, _)) = kept.iter().find(|(path, _)| ROOTS.contains(path)) {
        refuse_two_who_apply(dir, root, env)?;
    }
    write(dir, &new).map_err(|(path, error)| {
        CommandError::usage(format!("writing {}: {error}", path.display()))
            .hint("nothing was written")
    })?;
    terminal.out(&report(dir, &kept, &new));
    Ok(0)
}

/// The workflow applies commits, so a cluster file that is there must not let the control plane do
/// it as well: each would undo what the other made.
fn refuse_two_who_apply(dir: &Path, root: &str, env: &Environment) -> Result<(), CommandError> {
    let path = dir.join(root);
    let configuration = Configuration { file: Some(path), ..Configuration::default() };
    let desired = Checkout::open(&configuration, env)?.load().desired;
    let shown = shown(dir, root);
    let failure = match desired {
        Some(desired) if !desired.settings.auto => return Ok(()),
        Some(_) => CommandError::usage(format!(
            "{shown} lets the control plane apply commits by itself, and the workflow would apply \
             them as well"
        ))
        .hint("set `sync auto=#false` in the cluster block (`sync: {auto: false}` in YAML)"),
        None => CommandError::usage(format!(
            "{shown} has errors, so it is not known who applies commits"
        ))
        .hint("`devnet validate` says what is wrong with it"),
    };
    Err(failure.hint("nothing was written"))
}

/// A file of the repository: its path within, and its text.
type Wanted = (&'static str, String);

fn files(name: &str, ci: Ci, branch: &str) -> Vec<Wanted> {
    let (comment, auto) = SYNC[usize::from(ci != Ci::None)];
    let cluster = CLUSTER.replacen("// SYNC", comment, 1).replacen("auto=#true", auto, 1).replacen(
        "cluster \"homelab\"",
        &format!("cluster \"{name}\""),
        1,
    );
    let mut files = vec![("cluster.kdl", cluster), (".gitignore", GITIGNORE.to_owned())];
    files.extend(workflow(ci, branch));
    files
}

/// Where the workflow of a CI system stands, and what it says.
fn workflow(ci: Ci, branch: &str) -> Option<Wanted> {
    let (path, template) = match ci {
        Ci::Github => (".github/workflows/devnet.yml", GITHUB),
        Ci::Gitea => (".gitea/workflows/devnet.yml", GITEA),
        Ci::Forgejo => (".forgejo/workflows/devnet.yml", GITEA),
        Ci::Gitlab => (".gitlab-ci.yml", GITLAB),
        Ci::None => return None,
    };
    let step = |env: &str, script: &str| {
        format!("        env:\n          {env}\n        run: |\n{}", indented(script, 10))
    };
    let install = match ci {
        Ci::Gitlab => indented(INSTALL, 6),
        _ => step("DEVNET_SOURCE: ${{ vars.DEVNET_SOURCE }}", INSTALL),
    };
    let trust = step("DEVNET_CA: ${{ secrets.DEVNET_CA }}", TRUST);
    let text = template.replace("INSTALL\n", &install).replace("TRUST\n", &trust);
    Some((path, text.replace("ON_BRANCH", branch)))
}

fn indented(script: &str, by: usize) -> String {
    script.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
}

/// What is there already and stays, and what is written.
fn sort(
    dir: &Path,
    ci: Ci,
    wanted: Vec<Wanted>,
) -> Result<(Vec<Wanted>, Vec<Wanted>), CommandError> {
    // A link that leads nowhere is there, too.
    let there = |path: &str| fs::symlink_metadata(dir.join(path)).is_ok();
    let (mut kept, mut new) = (Vec::new(), Vec::new());
    for (path, text) in wanted {
        if path == "cluster.kdl"
            && let Some(root) = ROOTS.into_iter().find(|root| there(root))
        {
            if ci == Ci::None {
                let message = format!("{} is there already", shown(dir, root));
                return Err(CommandError::usage(message).hint(
                    "nothing was written: init begins a repository; with -ci it adds a workflow",
                ));
            }
            kept.push((root, text));
        } else if there(path) && path != ".gitignore" {
            let message = format!("{} is there already", shown(dir, path));
            return Err(CommandError::usage(message).hint("nothing was written"));
        } else if there(path) {
            kept.push((path, text));
        } else {
            new.push((path, text));
        }
    }
    Ok((kept, new))
}

/// Writes all of them or none: what was made is removed when one of them cannot be written.
fn write(dir: &Path, files: &[Wanted]) -> Result<(), (PathBuf, io::Error)> {
    let mut made = Vec::new();
    for (path, text) in files {
        let path = dir.join(path);
        let written = match path.parent() {
            Some(parent) => directories(parent, &mut made),
            None => Ok(()),
        };
        let written = written.and_then(|()| text_file::create(&path, text));
        if let Err(error) = written {
            for path in made.iter().rev() {
                let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
            }
            return Err((path, error));
        }
        made.push(path);
    }
    Ok(())
}

/// Makes the directories that are missing on the way to `dir`, and names them.
fn directories(dir: &Path, made: &mut Vec<PathBuf>) -> io::Result<()> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        directories(parent, made)?;
    }
    fs::create_dir(dir)?;
    made.push(dir.to_path_buf());
    Ok(())
}

/// The branch that the repository around a directory is on.
fn branch_of(dir: &Path) -> String {
    let full = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    let head = full.ancestors().find_map(|dir| fs::read_to_string(dir.join(".git/HEAD")).ok());
    let branch = head.as_deref().and_then(|head| head.trim().strip_prefix("ref: refs/heads/"));
    let plain = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    let usable = |name: &&str| name.chars().all(plain) && name.starts_with(char::is_alphabetic);
    branch.filter(usable).unwrap_or(BRANCH).to_owned()
}

/// The directory's name as a name of a cluster.
fn name_of(dir: &Path) -> String {
    let full = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    let last = full.components().next_back().map(|part| part.as_os_str().to_string_lossy());
    let label: String = last
        .unwrap_or_default()
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(63)
        .collect();
    match label.trim_matches('-').parse::<ClusterName>() {
        Ok(name) => name.as_str().to_owned(),
        Err(_) => FALLBACK.to_owned(),
    }
}

/// A path as people type it.
fn shown(dir: &Path, path: &str) -> String {
    if dir == Path::new(".") { path.to_owned() } else { dir.join(path).display().to_string() }
}

fn report(dir: &Path, kept: &[Wanted], new: &[Wanted]) -> String {
    let mut out = String::new();
    for (path, _) in new {
        out += &format!("Created {}\n", shown(dir, path));
    }
    for (path, text) in kept {
        out += &format!("Kept {}, which was there already\n", shown(dir, path));
        if *path == ".gitignore" {
            let there = fs::read_to_string(dir.join(path)).unwrap_or_default();
            let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
            let missing: Vec<&str> =
                lines.filter(|line| !there.lines().any(|l| l.trim() == *line)).collect();
            if !missing.is_empty() {
                out += &format!("  it may want these lines: {}\n", missing.join(" "));
            }
        }
    }
    let full = std::path::absolute(dir).unwrap_or_else(|_| dir.to_path_buf());
    let repository = full.ancestors().any(|dir| dir.join(".git").exists());
    let path = dir.display().to_string();
    // A path with NUL is none.
    let path = shlex::try_quote(&path).unwrap_or_default();
    let here = dir == Path::new(".");
    let at = if here { String::new() } else { format!(" -chdir={path}") };
    let git = if here { "git".to_owned() } else { format!("git -C {path}") };
    out += "\nNext:\n";
    out += &format!("  devnet validate{at}\n");
    if !repository {
        out += &format!("  {git} init\n");
    }
    out += &format!("  {git} add .\n  {git} commit -m 'Declare the cluster'\n");
    out += &format!("  devnet dev {path}    # a control plane and three nodes on this machine\n");
    out
}

#[cfg(test)]
mod tests;
