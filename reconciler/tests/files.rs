//! `fmt`, `convert`, `schema`, `init` and `validate` as people run them: output, exit codes, and
//! what they leave behind.

use std::{
    fs,
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A file as nobody should leave it, and as `fmt` leaves it.
const UGLY: &str = "cluster  c\n\n\n\nservice a{image \"x:1\" // why\n}\n";
const NEAT: &str = "cluster \"c\"\n\nservice \"a\" {\n    image \"x:1\" // why\n}\n";

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run_with(dir: &Path, args: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_devnet"))
        .args(args)
        .current_dir(dir)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn run(dir: &Path, args: &[&str]) -> Ran {
    run_with(dir, args, "")
}

fn dir_with(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn text(dir: &TempDir, path: &str) -> String {
    fs::read_to_string(dir.path().join(path)).unwrap()
}

#[test]
fn fmt_writes_the_cluster_file_and_what_it_includes() {
    let root = "cluster c {\n include \"parts/*.kdl\"\n}\n";
    let part = "service b{image \"x:1\"}\n";
    let dir = dir_with(&[("cluster.kdl", root), ("parts/b.kdl", part), ("other.kdl", UGLY)]);
    fs::set_permissions(dir.path().join("cluster.kdl"), fs::Permissions::from_mode(0o600)).unwrap();
    let ran = run(dir.path(), &["fmt"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert_eq!(ran.out, "cluster.kdl\nparts/b.kdl\n");
    assert_eq!(text(&dir, "cluster.kdl"), "cluster \"c\" {\n    include \"parts/*.kdl\"\n}\n");
    assert_eq!(text(&dir, "parts/b.kdl"), "service \"b\" { image \"x:1\" }\n");
    assert_eq!(text(&dir, "other.kdl"), UGLY, "nobody includes it");
    let mode = fs::metadata(dir.path().join("cluster.kdl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let again = run(dir.path(), &["fmt", "-check"]);
    assert_eq!((again.code, again.out.as_str()), (0, ""));
}

#[test]
fn fmt_check_and_diff_write_nothing() {
    let dir = dir_with(&[("cluster.kdl", UGLY)]);
    let check = run(dir.path(), &["fmt", "-check"]);
    assert_eq!((check.code, check.out.as_str()), (3, "cluster.kdl\n"));
    let diff = run(dir.path(), &["fmt", "--check", "--diff"]);
    assert_eq!(diff.code, 3);
    let head = "--- old/cluster.kdl\n+++ new/cluster.kdl\n@@ -1,6 +1,5 @@\n";
    assert!(diff.out.starts_with(head), "{}", diff.out);
    assert!(diff.out.contains("-service a{image \"x:1\" // why\n"), "{}", diff.out);
    assert!(diff.out.contains("+    image \"x:1\" // why\n"), "{}", diff.out);
    assert_eq!(text(&dir, "cluster.kdl"), UGLY);
    let unwritten = run(dir.path(), &["fmt", "-write=false"]);
    assert_eq!((unwritten.code, unwritten.out.as_str()), (0, "cluster.kdl\n"));
    assert_eq!(text(&dir, "cluster.kdl"), UGLY);
    let written = run(dir.path(), &["fmt", "-diff"]);
    assert_eq!((written.code, &written.out), (0, &diff.out), "like Terraform's, -diff writes too");
    assert_eq!(text(&dir, "cluster.kdl"), NEAT);
}

#[test]
fn fmt_takes_files_directories_and_standard_input() {
    let dir = dir_with(&[
        ("a.kdl", UGLY),
        ("sub/b.kdl", UGLY),
        ("sub/deep/c.kdl.example", UGLY),
        ("sub/.hidden/d.kdl", UGLY),
        ("sub/note.txt", "x  y"),
    ]);
    symlink("../a.kdl", dir.path().join("sub/link.kdl")).unwrap();
    assert_eq!(run(dir.path(), &["fmt", "-check", "a.kdl", "sub"]).out, "a.kdl\nsub/b.kdl\n");
    let all = run(dir.path(), &["fmt", "-recursive"]);
    assert_eq!((all.code, all.err.as_str()), (0, ""));
    assert_eq!(all.out, "a.kdl\nsub/b.kdl\nsub/deep/c.kdl.example\n");
    assert_eq!(text(&dir, "sub/deep/c.kdl.example"), NEAT);
    assert_eq!(text(&dir, "sub/.hidden/d.kdl"), UGLY);
    let piped = run_with(dir.path(), &["fmt", "-"], UGLY);
    assert_eq!((piped.code, piped.out.as_str()), (0, NEAT));
    let piped = run_with(dir.path(), &["fmt", "-check", "-"], UGLY);
    assert_eq!((piped.code, piped.out.as_str()), (3, ""));
    assert_eq!(run_with(dir.path(), &["fmt", "-check", "-"], NEAT).code, 0);
    let named = run(dir.path(), &["fmt", "-f", "sub/b.kdl", "-check"]);
    assert_eq!((named.code, named.out.as_str()), (0, ""));
}

#[test]
fn fmt_leaves_a_broken_file_alone_and_formats_the_others() {
    let broken = "cluster  c\nservice a {\n";
    let dir = dir_with(&[("bad.kdl", broken), ("good.kdl", UGLY)]);
    let ran = run(dir.path(), &["fmt", "bad.kdl", "good.kdl", "missing.kdl"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, "good.kdl\n"));
    assert!(ran.err.contains("bad.kdl:2:11") && ran.err.contains("DN-E0104"), "{}", ran.err);
    assert!(ran.err.contains("missing.kdl"), "{}", ran.err);
    assert_eq!((text(&dir, "bad.kdl").as_str(), text(&dir, "good.kdl").as_str()), (broken, NEAT));
    let piped = run_with(dir.path(), &["fmt", "-"], "a {");
    assert_eq!((piped.code, piped.out.as_str()), (2, ""));
    assert!(piped.err.contains("<stdin>:1:3"), "{}", piped.err);
}

#[test]
fn fmt_says_what_it_cannot_do() {
    let dir = dir_with(&[("note.txt", ""), ("c.yaml", "cluster:   c\n"), ("bad.yaml", "a: [\n")]);
    for args in [&["fmt", "note.txt"][..], &["fmt", "-no-such-flag"], &["fmt", "-", "c.yaml"]] {
        let ran = run(dir.path(), args);
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{args:?}: {}", ran.err);
    }
    assert_eq!(run(dir.path(), &["fmt"]).code, 2, "there is no cluster file");
    let yaml = run(dir.path(), &["fmt", "-check", "c.yaml"]);
    assert_eq!((yaml.code, yaml.out.as_str()), (0, ""));
    assert!(yaml.err.contains("c.yaml: left as it is"), "{}", yaml.err);
    assert_eq!(text(&dir, "c.yaml"), "cluster:   c\n");
    assert_eq!(run(dir.path(), &["fmt", "bad.yaml"]).code, 2);
}

#[test]
fn convert_goes_there_and_back() {
    let dir = dir_with(&[("cluster.kdl", UGLY)]);
    let there = run(dir.path(), &["convert"]);
    assert_eq!(there.code, 0, "{}", there.err);
    assert!(there.out.starts_with("cluster:\n  name: c\n"), "{}", there.out);
    assert!(there.err.contains("comments"), "{}", there.err);
    let back = run_with(dir.path(), &["convert", "-to=kdl", "-"], &there.out);
    assert_eq!((back.code, back.err.as_str()), (0, ""));
    assert_eq!(back.out, NEAT.replace(" // why", ""));
    let same = run(dir.path(), &["convert", "cluster.kdl", "-to", "kdl"]);
    assert_eq!(same.out, back.out);
    let written = run(dir.path(), &["convert", "-o", "out.yaml"]);
    assert_eq!((written.code, written.out.as_str()), (0, ""));
    assert_eq!(text(&dir, "out.yaml"), there.out);
}

#[test]
fn convert_refuses_what_it_would_lose() {
    let broken = "cluster c\nservice a { imge \"x:1\"; }\n";
    let dir = dir_with(&[("cluster.kdl", broken), ("there.yaml", "cluster: c\n"), ("x.txt", "")]);
    let ran = run(dir.path(), &["convert", "-o", "new.yaml"]);
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("DN-E0201") && ran.err.contains("image"), "{}", ran.err);
    assert!(!dir.path().join("new.yaml").exists());
    let over = run(dir.path(), &["convert", "there.yaml", "-to=yaml", "-o", "there.yaml"]);
    assert_eq!(over.code, 1);
    assert!(over.err.contains("is there already"), "{}", over.err);
    assert_eq!(text(&dir, "there.yaml"), "cluster: c\n");
    let forced = ["convert", "there.yaml", "-to=yaml", "-o", "there.yaml", "-force"];
    assert_eq!(run(dir.path(), &forced).code, 0);
    for args in [
        &["convert", "x.txt"][..],
        &["convert", "-"],
        &["convert", "there.yaml", "-to=kdl", "-o", "x.yaml"],
        &["convert", "-force"],
    ] {
        assert_eq!(run(dir.path(), args).code, 1, "{args:?}");
    }
}

#[test]
fn schema_is_one_json_document() {
    let dir = dir_with(&[]);
    let ran = run(dir.path(), &["schema"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let schema: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn validate_takes_the_example_by_its_name() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let ran = run(&example, &["validate", "-f", "cluster.kdl.example"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(!ran.err.contains("error"), "{}", ran.err);
    let ran = run(&example, &["fmt", "-check", "cluster.kdl.example"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
}

#[test]
fn init_begins_a_repository_that_is_valid() {
    let dir = dir_with(&[]);
    let ran = run(dir.path(), &["init", "My Lab", "-ci=github"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    for name in ["cluster.kdl", ".gitignore", ".github/workflows/devnet.yml"] {
        assert!(ran.out.contains(&format!("Created My Lab/{name}\n")), "{}", ran.out);
        assert!(dir.path().join("My Lab").join(name).is_file());
    }
    assert!(text(&dir, "My Lab/cluster.kdl").contains("cluster \"my-lab\""));
    let lab = dir.path().join("My Lab");
    let valid = run(&lab, &["validate"]);
    assert_eq!((valid.code, valid.err.as_str()), (0, ""));
    assert_eq!(run(&lab, &["fmt", "-check"]).code, 0);
}

#[test]
fn init_touches_nothing_that_is_there() {
    let dir = dir_with(&[(".git/HEAD", "ref: refs/heads/main\n"), (".gitignore", "*.devplan\n")]);
    let first = run(dir.path(), &["init", "-name=lab"]);
    assert_eq!(first.code, 0, "{}", first.err);
    assert!(first.out.contains("Kept .gitignore"), "{}", first.out);
    assert!(first.out.contains("client.yaml") && !first.out.contains("git init"), "{}", first.out);
    assert_eq!(text(&dir, ".gitignore"), "*.devplan\n");
    let mine = "cluster \"lab\" { sync auto=#false }\nservice \"web\" { image \"web:1\" }\n";
    fs::write(dir.path().join("cluster.kdl"), mine).unwrap();
    let second = run(dir.path(), &["init"]);
    assert_eq!((second.code, second.out.as_str()), (1, ""));
    assert!(second.err.contains("cluster.kdl is there already"), "{}", second.err);
    let workflow = run(dir.path(), &["init", "-ci=gitlab"]);
    assert_eq!(workflow.code, 0, "{}", workflow.err);
    assert!(workflow.out.contains("Kept cluster.kdl"), "{}", workflow.out);
    assert_eq!(text(&dir, "cluster.kdl"), mine);
    let again = run(dir.path(), &["init", "-ci=gitlab"]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains(".gitlab-ci.yml is there already"), "{}", again.err);
    assert_eq!(run(dir.path(), &["init", "cluster.kdl"]).code, 1, "a file is no directory");
}
