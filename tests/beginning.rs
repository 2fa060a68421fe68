//! The first minutes of somebody new: what `devnet init` prints is typed as it stands, in its
//! order, on a machine that may have nothing but processes.
//!
//! Knows the real programs. Refuses to know what `init` prints: it takes the commands from there.

use std::{fs, path::Path, process::Command, time::Duration};

use devnet_tests::{
    process::{Background, binary, both, run, succeed},
    wait::until,
};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(90);

/// A shell line, as a person without any configuration of their own types it.
fn typed(line: &str, dir: &Path) -> Command {
    let programs = binary("devnet");
    let programs = programs.parent().expect("a program stands in a directory");
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .current_dir(dir)
        .env_clear()
        .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", programs.display()))
        .env("HOME", dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs([("GIT_AUTHOR_NAME", "Test"), ("GIT_AUTHOR_EMAIL", "test@example.com")])
        .envs([("GIT_COMMITTER_NAME", "Test"), ("GIT_COMMITTER_EMAIL", "test@example.com")]);
    command
}

/// The commands under `Next:`.
fn next(printed: &str) -> Vec<&str> {
    let after = printed.split_once("\nNext:\n").expect("init says what is next").1;
    after.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

/// Waits until the services that a `devnet dev` runs serve, all of them, and gives their names.
fn serving(dev: &mut Background, dir: &Path) -> Vec<String> {
    until("all services serve", PATIENCE, || {
        let said = dev.output();
        assert!(dev.is_running(), "devnet dev ended\n{said}");
        let export = said.lines().find_map(|line| line.trim().strip_prefix("export "));
        let export = export.ok_or_else(|| said.clone())?;
        let listed = run(&mut typed(&format!("{export} devnet get services -json"), dir));
        let rows: Vec<Value> = serde_json::from_slice(&listed.stdout).map_err(|_| both(&listed))?;
        let serve =
            |row: &Value| row["desired"].as_u64() > Some(0) && row["healthy"] == row["desired"];
        match !rows.is_empty() && rows.iter().all(serve) {
            true => {
                Ok(rows.iter().map(|row| row["name"].as_str().unwrap_or("").to_owned()).collect())
            }
            false => Err(format!("{rows:?}\n{said}")),
        }
    })
}

#[test]
fn what_init_says_is_next_works_line_by_line() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("My Lab");
    let printed = succeed(&mut typed("devnet init 'My Lab'", home.path()));
    let (last, first) = {
        let mut lines = next(&printed);
        (lines.pop().expect("a last line"), lines)
    };
    assert!(first.len() >= 4 && last.starts_with("devnet dev "), "{printed}");
    for line in first {
        succeed(&mut typed(line, home.path()));
    }
    let mut command = typed(&format!("exec {last}"), home.path());
    let mut dev = Background::start(&mut command, &home.path().join("dev.log"));
    assert_eq!(serving(&mut dev, home.path()), ["clock"]);
    // It is followed from here: an edit is applied when it is committed.
    let file = dir.join("cluster.kdl");
    let text = fs::read_to_string(&file).expect("a file").replace("\"clock\"", "\"watch\"");
    fs::write(&file, text).expect("a file");
    succeed(&mut typed("git commit -qam 'Call it watch'", &dir));
    until("the edit is applied", PATIENCE, || {
        dev.output().contains("service.watch").then_some(()).ok_or_else(|| dev.output())
    });
    dev.stop();
}

/// Who begins with `dev` sees it run before anything is committed.
#[test]
fn a_repository_without_a_commit_is_tried_as_it_is() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("lab");
    fs::create_dir(&dir).expect("a directory");
    succeed(&mut typed("git init -q && devnet init", &dir));
    let mut command = typed("exec devnet dev . --nodes 1", &dir);
    let mut dev = Background::start(&mut command, &home.path().join("dev.log"));
    assert_eq!(serving(&mut dev, &dir), ["clock"]);
    assert!(dev.output().contains("has no commit yet"), "{}", dev.output());
    dev.stop();
}

/// A file that cannot be read names no cluster, and no node can join one without a name. Once it is
/// mended, everything starts by itself.
#[test]
fn a_file_that_is_mended_goes_on_and_one_that_is_not_ends_when_told_to() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("lab");
    succeed(&mut typed("devnet init lab", home.path()));
    let file = dir.join("cluster.kdl");
    let text = fs::read_to_string(&file).expect("a file");
    fs::write(&file, "cluster \"lab\" {").expect("a file");
    let start = |log: &str| {
        let mut command = typed("exec devnet dev . --nodes 1", &dir);
        let mut dev = Background::start(&mut command, &home.path().join(log));
        until("it says what is wrong", PATIENCE, || {
            let said = dev.output();
            assert!(dev.is_running(), "devnet dev ended\n{said}");
            said.contains("Until then: ").then_some(()).ok_or(said)
        });
        dev
    };
    start("first.log").stop();
    let mut dev = start("second.log");
    fs::write(&file, text).expect("a file");
    assert_eq!(serving(&mut dev, &dir), ["clock"]);
    dev.stop();
}
