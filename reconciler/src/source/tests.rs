//! Tests of the sources on real repositories, made with the git program.

mod http;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use devnet_schema::file::Files;
use tempfile::TempDir;

use super::*;

/// Runs git without the configuration of whoever runs the tests.
fn git(at: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always"])
        .args(arguments)
        .current_dir(at)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .envs([("GIT_AUTHOR_NAME", "Ada \u{7}Lovelace"), ("GIT_AUTHOR_EMAIL", "a@b")])
        .envs([("GIT_COMMITTER_NAME", "c"), ("GIT_COMMITTER_EMAIL", "c@d")])
        .env("GIT_COMMITTER_DATE", "2026-02-03T04:05:06+01:00")
        .output()
        .expect("git is installed");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A repository with a work tree.
struct Bed {
    dir: TempDir,
}

impl Bed {
    fn new() -> Self {
        let bed = Self { dir: TempDir::new().unwrap() };
        git(bed.path(), &["init", "-q"]);
        bed
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits everything; gives the commit.
    fn commit(&self, message: &str) -> String {
        git(self.path(), &["add", "-A"]);
        git(self.path(), &["commit", "-q", "--allow-empty", "-m", message]);
        git(self.path(), &["rev-parse", "HEAD"])
    }

    fn source(&self, branch: Option<&str>, subdirectory: &str) -> LocalGit {
        LocalGit::open(self.path(), branch, subdirectory).unwrap()
    }

    /// A bare copy that plays the remote; the work tree pushes to it.
    fn publish(&self, to: &Path) -> PathBuf {
        let bare = to.join("origin.git");
        let bare_text = bare.to_str().unwrap();
        git(to, &["clone", "-q", "--bare", self.path().to_str().unwrap(), bare_text]);
        git(self.path(), &["remote", "add", "origin", bare_text]);
        bare
    }
}

fn read(files: &TreeFiles, path: &str) -> String {
    String::from_utf8(files.read(path).unwrap().unwrap()).unwrap()
}

fn remote(url: String, mirrors: &Path, branch: Option<&str>) -> RemoteGit {
    RemoteGit::open(RemoteSpec {
        url,
        branch: branch.map(str::to_owned),
        subdirectory: String::new(),
        mirrors: mirrors.to_owned(),
        credentials: None,
        ca: None,
        timeout: Duration::from_secs(20),
    })
    .unwrap()
}

fn file_url(path: &Path) -> String {
    format!("file://{}", path.display())
}

#[test]
fn a_commit_is_read_from_the_object_database_and_never_from_the_work_tree() {
    let bed = Bed::new();
    bed.write("cluster.kdl", "one");
    bed.write("a/b/c.txt", "deep");
    let first = bed.commit("first line\n\nmore");
    bed.write("cluster.kdl", "not committed");
    let source = bed.source(None, "");
    let head = source.head().unwrap();
    let expected = Revision {
        id: first.clone(),
        summary: "first line".into(),
        author: "Ada Lovelace".into(),
        time: "2026-02-03T03:05:06Z".parse().ok(),
    };
    assert_eq!(head, expected);
    let files = source.files(&first).unwrap();
    assert_eq!(files.list().unwrap(), ["a/b/c.txt", "cluster.kdl"]);
    assert_eq!(read(&files, "cluster.kdl"), "one");
    assert_eq!(files.read("nothing").unwrap(), None);
    let second = bed.commit("second");
    assert_eq!(source.head().unwrap().id, second);
    assert_eq!(read(&source.files(&first).unwrap(), "cluster.kdl"), "one");
    assert_eq!(read(&source.files(&second).unwrap(), "cluster.kdl"), "not committed");
}

#[test]
fn a_subdirectory_is_the_root_of_what_is_read() {
    let bed = Bed::new();
    bed.write("clusters/home/cluster.kdl", "home");
    bed.write("clusters/home/files/a", "a");
    bed.write("other", "o");
    let id = bed.commit("c");
    let files = bed.source(None, "/clusters/home/").files(&id).unwrap();
    assert_eq!(files.list().unwrap(), ["cluster.kdl", "files/a"]);
    assert_eq!(read(&files, "cluster.kdl"), "home");
    let error = bed.source(None, "clusters/work").files(&id).unwrap_err();
    assert!(matches!(error, SourceError::Empty { .. }), "{error}");
    let error = bed.source(None, "other").files(&id).unwrap_err();
    assert!(matches!(error, SourceError::Settings(_)), "{error}");
    for bad in ["..", "a/../..", "a//b", "./a"] {
        assert!(LocalGit::open(bed.path(), None, bad).is_err(), "{bad}");
    }
}

#[test]
fn the_three_kinds_of_absence_are_three_errors() {
    let bed = Bed::new();
    let unborn = bed.source(None, "").head().unwrap_err();
    assert!(matches!(&unborn, SourceError::RefMissing { branch, .. } if branch == "main"));
    bed.write("a", "a");
    let full = bed.commit("full");
    let missing = bed.source(Some("release"), "").head().unwrap_err();
    assert!(matches!(missing, SourceError::RefMissing { .. }), "{missing}");
    fs::remove_file(bed.path().join("a")).unwrap();
    let empty = bed.commit("empty");
    let source = bed.source(None, "");
    let error = source.files(&empty).unwrap_err();
    assert!(matches!(error, SourceError::Empty { .. }), "{error}");
    let gone = source.files(&full.replace(|_: char| true, "0")).unwrap_err();
    assert!(matches!(gone, SourceError::RevisionMissing { .. }), "{gone}");
    fs::rename(bed.path().join(".git"), bed.path().join("away")).unwrap();
    let unreadable = source.head().unwrap_err();
    assert!(matches!(unreadable, SourceError::Unreadable { .. }), "{unreadable}");
}

#[test]
fn a_damaged_object_is_an_error_and_not_an_absence() {
    let bed = Bed::new();
    bed.write("a", "a");
    let id = bed.commit("c");
    let blob = git(bed.path(), &["rev-parse", "HEAD:a"]);
    let object = bed.path().join(".git/objects").join(&blob[..2]).join(&blob[2..]);
    fs::remove_file(&object).unwrap();
    fs::write(&object, "garbage").unwrap();
    let files = bed.source(None, "").files(&id).unwrap();
    let error = files.read("a").unwrap_err();
    assert!(error.starts_with("reading a from the object database"), "{error}");
}

#[test]
fn links_submodules_and_large_files_are_refused_when_they_are_read() {
    let bed = Bed::new();
    let inner = Bed::new();
    inner.write("x", "x");
    inner.commit("inner");
    bed.write("real/file", "text");
    symlink("real/file", bed.path().join("link")).unwrap();
    symlink("/etc", bed.path().join("etc")).unwrap();
    bed.write("large", &"x".repeat(MAX_FILE_BYTES as usize + 1));
    bed.write("just-fits", &"x".repeat(MAX_FILE_BYTES as usize));
    git(bed.path(), &["submodule", "--quiet", "add", inner.path().to_str().unwrap(), "module"]);
    let id = bed.commit("c");
    let files = bed.source(None, "").files(&id).unwrap();
    for (path, why) in [
        ("link", "is a symbolic link"),
        ("etc/passwd", "etc is a symbolic link"),
        ("module/x", "module is a git submodule"),
        ("large", "is larger than 4 MiB"),
    ] {
        let error = files.read(path).unwrap_err();
        assert!(error.contains(why), "{path}: {error}");
    }
    assert_eq!(files.read("just-fits").unwrap().unwrap().len() as u64, MAX_FILE_BYTES);
    let error = bed.source(None, "link").files(&id).unwrap_err();
    assert!(matches!(error, SourceError::Settings(_)), "{error}");
}

/// The same tree as a commit and as a directory: names, contents, and why something is refused.
#[test]
fn both_readers_give_one_answer_to_the_same_tree() {
    use std::os::unix::ffi::OsStringExt;
    let (bed, inner) = (Bed::new(), Bed::new());
    inner.write("x", "x");
    inner.commit("inner");
    bed.write("cluster.kdl", "cluster lab\n");
    bed.write("app/.env", "A=1\n");
    bed.write("app/empty", "");
    bed.write("app/a b\tc\\d.yml", "odd\n");
    bed.write("app/é.yml", "accent\n");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    bed.write("app/model.bin", pointer);
    bed.write("app/about-lfs.md", &format!("# How\n{pointer}"));
    bed.write("large", &"x".repeat(MAX_FILE_BYTES as usize + 1));
    for (to, from) in [("cluster.kdl", "link"), ("app", "dir-link"), ("nowhere", "broken")] {
        symlink(to, bed.path().join(from)).unwrap();
    }
    let no_text = std::ffi::OsString::from_vec(b"no-text-\xff.kdl".to_vec());
    fs::write(bed.path().join(&no_text), "service a { image x:1; }").unwrap();
    let no_text_dir = std::ffi::OsString::from_vec(b"dir-\xfe".to_vec());
    fs::create_dir(bed.path().join(&no_text_dir)).unwrap();
    fs::write(bed.path().join(&no_text_dir).join("a.kdl"), "x").unwrap();
    git(bed.path(), &["submodule", "--quiet", "add", inner.path().to_str().unwrap(), "module"]);
    let commit = bed.source(None, "").files(&bed.commit("c")).unwrap();
    let plain = DirectorySource::open(bed.path().to_owned(), "").unwrap();
    let plain = plain.files(&plain.head().unwrap().id).unwrap();
    let mut paths = commit.list().unwrap();
    assert_eq!(paths, plain.list().unwrap());
    let more =
        ["app", "link/x", "dir-link/.env", "module/x", "none", "app/none", "dir-\u{fffd}/a.kdl"];
    paths.extend(more.map(str::to_owned));
    let mut refused = Vec::new();
    for path in &paths {
        let answer = commit.read(path);
        assert_eq!(answer, plain.read(path), "{path}");
        refused.extend(answer.err());
    }
    for why in [
        "app/model.bin is a Git LFS pointer",
        "broken is a symbolic link",
        "dir-link/.env cannot be read: dir-link is a symbolic link",
        "module/x cannot be read: module is a git submodule",
        "large is larger than 4 MiB",
        "no-text-\u{fffd}.kdl has a name that is not UTF-8 text",
        "dir-\u{fffd}/a.kdl cannot be read: dir-\u{fffd} has a name",
    ] {
        assert!(refused.iter().any(|one| one.starts_with(why)), "{why}: {refused:#?}");
    }
    assert_eq!(read(&commit, "app/.env"), "A=1\n");
    assert!(read(&plain, "app/about-lfs.md").starts_with("# How"));
}

#[test]
fn a_configuration_that_names_a_link_or_a_submodule_is_refused() {
    let (bed, inner) = (Bed::new(), Bed::new());
    inner.write("c.kdl", "service c { image x:1; }");
    inner.commit("inner");
    bed.write("cluster.kdl", "cluster lab { include \"services/*.kdl\" \"module/c.kdl\"; }\n");
    bed.write("services/a.kdl", "service a { image x:1; }\n");
    symlink("/etc/passwd", bed.path().join("services/b.kdl")).unwrap();
    git(bed.path(), &["submodule", "--quiet", "add", inner.path().to_str().unwrap(), "module"]);
    let files = bed.source(None, "").files(&bed.commit("c")).unwrap();
    let (file, found) = devnet_schema::file::load("cluster.kdl", &files);
    let messages: Vec<&str> = found.iter().map(|it| it.message.as_str()).collect();
    assert!(file.broken && !file.unread.is_empty() && found.len() == 2, "{messages:?}");
    assert!(messages[0].contains("services/b.kdl is a symbolic link"), "{messages:?}");
    assert!(messages[1].contains("module is a git submodule"), "{messages:?}");
}

#[test]
fn rewritten_history_is_told_from_new_commits() {
    let bed = Bed::new();
    let first = bed.commit("one");
    let second = bed.commit("two");
    git(bed.path(), &["reset", "-q", "--hard", &first]);
    let other = bed.commit("other two");
    let source = bed.source(Some("main"), "");
    assert_eq!(source.head().unwrap().id, other);
    assert!(source.follows(&first, &second).unwrap());
    assert!(source.follows(&other, &other).unwrap());
    assert!(!source.follows(&second, &other).unwrap());
    assert!(!source.follows(&second, &first).unwrap());
    assert!(!source.follows(&"0".repeat(40), &other).unwrap());
}

#[test]
fn a_branch_name_that_git_would_refuse_is_refused() {
    let bed = Bed::new();
    for bad in ["", "-x", "a..b", "a b", "a\nb", "x.lock", "a~1"] {
        let error = LocalGit::open(bed.path(), Some(bad), "").unwrap_err();
        assert!(matches!(error, SourceError::Settings(_)), "{bad}");
    }
}

#[test]
fn packed_branches_and_linked_work_trees_are_read_too() {
    let bed = Bed::new();
    bed.write("a", "a");
    let id = bed.commit("c");
    git(bed.path(), &["pack-refs", "--all"]);
    git(bed.path(), &["gc", "-q"]);
    assert_eq!(bed.source(Some("main"), "").head().unwrap().id, id);
    let dir = TempDir::new().unwrap();
    let linked = dir.path().join("linked");
    let at = linked.to_str().unwrap();
    git(bed.path(), &["worktree", "add", "-q", "-b", "side", at]);
    let source = LocalGit::open(&linked, None, "").unwrap();
    assert_eq!(source.head().unwrap().id, id);
    assert_eq!(read(&source.files(&id).unwrap(), "a"), "a");
}

#[test]
fn a_remote_is_mirrored_and_a_forced_push_is_followed_and_seen() {
    let bed = Bed::new();
    let dir = TempDir::new().unwrap();
    bed.write("cluster.kdl", "one");
    let before = bed.commit("zero");
    let first = bed.commit("one");
    let bare = bed.publish(dir.path());
    let source = remote(file_url(&bare), &dir.path().join("mirrors"), Some("main"));
    assert_eq!(source.head().unwrap().id, first);
    assert_eq!(read(&source.files(&first).unwrap(), "cluster.kdl"), "one");
    let shallow = source.files(&before).unwrap_err();
    assert!(matches!(shallow, SourceError::RevisionMissing { .. }), "one commit is enough");

    bed.write("cluster.kdl", "two");
    let second = bed.commit("two");
    git(bed.path(), &["push", "-q", "origin", "main"]);
    assert_eq!(source.head().unwrap().id, second);
    assert_eq!(read(&source.files(&second).unwrap(), "cluster.kdl"), "two");
    assert!(source.follows(&first, &second).unwrap());

    git(bed.path(), &["reset", "-q", "--hard", &first]);
    bed.write("cluster.kdl", "forced");
    let forced = bed.commit("forced");
    git(bed.path(), &["push", "-q", "--force", "origin", "main"]);
    assert_eq!(source.head().unwrap().id, forced);
    assert_eq!(read(&source.files(&forced).unwrap(), "cluster.kdl"), "forced");
    assert!(!source.follows(&second, &forced).unwrap());
    assert!(source.follows(&first, &forced).unwrap());

    // A new process finds the mirror and goes on with it.
    let again = remote(file_url(&bare), &dir.path().join("mirrors"), Some("main"));
    assert_eq!(again.head().unwrap().id, forced);
    assert!(!again.follows(&second, &forced).unwrap());
}

#[test]
fn a_remote_that_is_away_or_has_no_such_branch_is_not_an_empty_one() {
    let bed = Bed::new();
    let dir = TempDir::new().unwrap();
    bed.write("a", "a");
    let id = bed.commit("one");
    let bare = bed.publish(dir.path());
    let mirrors = dir.path().join("mirrors");
    let source = remote(file_url(&bare), &mirrors, None);
    assert_eq!(source.head().unwrap().id, id);
    let error = remote(file_url(&bare), &mirrors, Some("release")).head().unwrap_err();
    assert!(matches!(error, SourceError::RefMissing { .. }), "{error:?}");
    fs::rename(&bare, dir.path().join("away")).unwrap();
    let error = source.head().unwrap_err();
    assert!(matches!(error, SourceError::Unreadable { .. }), "{error:?}");
    assert_eq!(read(&source.files(&id).unwrap(), "a"), "a", "what was fetched can be read still");
    fs::rename(dir.path().join("away"), &bare).unwrap();
    git(&bare, &["update-ref", "-d", "refs/heads/main"]);
    let error = remote(file_url(&bare), &mirrors, Some("main")).head().unwrap_err();
    assert!(matches!(error, SourceError::RefMissing { .. }), "{error:?}");
}

#[test]
fn a_mirror_that_was_damaged_is_made_anew() {
    let bed = Bed::new();
    let dir = TempDir::new().unwrap();
    bed.write("a", "a");
    let id = bed.commit("one");
    let bare = bed.publish(dir.path());
    let mirrors = dir.path().join("mirrors");
    let source = remote(file_url(&bare), &mirrors, Some("main"));
    source.head().unwrap();
    let mirror = fs::read_dir(&mirrors).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(mirror.join("HEAD")).unwrap();
    assert_eq!(source.head().unwrap().id, id);
    assert_eq!(read(&source.files(&id).unwrap(), "a"), "a");
}

#[test]
fn urls_with_passwords_or_open_protocols_are_refused_and_not_repeated() {
    let dir = TempDir::new().unwrap();
    for url in [
        "https://ada:hunter2@example.org/x.git",
        "http://hunter2.example.org/x.git",
        "git://hunter2.example.org/x.git",
        "ext::sh -c hunter2",
        "",
    ] {
        let spec = RemoteSpec {
            url: url.to_owned(),
            branch: None,
            subdirectory: String::new(),
            mirrors: dir.path().to_owned(),
            credentials: None,
            ca: None,
            timeout: Duration::from_secs(1),
        };
        let Err(error) = RemoteGit::open(spec) else { panic!("{url} was taken") };
        assert!(matches!(error, SourceError::Settings(_)));
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

/// Waits for a wake-up; wake-ups may be false, so the caller asks for what it waits for.
fn awaited(wakes: &mpsc::Receiver<()>, mut reached: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !reached() {
        let left = end.saturating_duration_since(Instant::now());
        wakes.recv_timeout(left).expect("a wake-up comes");
    }
}

fn wakes() -> (Wake, mpsc::Receiver<()>) {
    let (sender, receiver) = mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let wake = Arc::new(move || {
        let _ = sender.lock().unwrap().send(());
    });
    (wake, receiver)
}

const NEVER: Duration = Duration::from_secs(3600);

#[test]
fn a_commit_wakes_and_reading_does_not() {
    let bed = Bed::new();
    bed.write("a", "a");
    bed.commit("one");
    let source = bed.source(None, "");
    let (wake, woken) = wakes();
    let guard = source.watch(NEVER, wake).unwrap();
    for number in 0..3 {
        let id = bed.commit(&format!("commit {number}"));
        awaited(&woken, || source.head().unwrap().id == id);
    }
    // Let what git does last settle, then only read.
    while woken.recv_timeout(Duration::from_millis(300)).is_ok() {}
    for _ in 0..20 {
        let head = source.head().unwrap();
        source.files(&head.id).unwrap().read("a").unwrap();
    }
    git(bed.path(), &["log", "--oneline"]);
    assert!(woken.recv_timeout(Duration::from_millis(300)).is_err(), "reading woke us");
    git(bed.path(), &["checkout", "-q", "-b", "feature/new"]);
    let id = bed.commit("on a new branch");
    awaited(&woken, || source.head().unwrap().id == id);
    drop(guard);
    while woken.try_recv().is_ok() {}
    bed.commit("after the end");
    let ended = woken.recv_timeout(NEVER);
    assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected), "no wake-up after the drop");
}

#[test]
fn a_push_into_a_bare_repository_wakes() {
    let bed = Bed::new();
    let dir = TempDir::new().unwrap();
    bed.commit("one");
    let bare = bed.publish(dir.path());
    let source = LocalGit::open(&bare, Some("main"), "").unwrap();
    let (wake, woken) = wakes();
    let _guard = source.watch(NEVER, wake).unwrap();
    let id = bed.commit("two");
    git(bed.path(), &["push", "-q", "origin", "main"]);
    awaited(&woken, || source.head().unwrap().id == id);
}

#[test]
fn the_interval_wakes_without_any_change() {
    let bed = Bed::new();
    let dir = TempDir::new().unwrap();
    bed.commit("one");
    let bare = bed.publish(dir.path());
    let sources: [Box<dyn Source>; 2] = [
        Box::new(bed.source(None, "")),
        Box::new(remote(file_url(&bare), &dir.path().join("mirrors"), None)),
    ];
    for source in sources {
        let (wake, woken) = wakes();
        let _guard = source.watch(Duration::from_millis(20), wake).unwrap();
        for _ in 0..3 {
            woken.recv_timeout(Duration::from_secs(10)).unwrap();
        }
    }
}

#[test]
fn a_plain_directory_is_known_by_the_digest_of_its_files() {
    let dir = TempDir::new().unwrap();
    let write = |path: &str, text: &str| fs::write(dir.path().join(path), text).unwrap();
    fs::create_dir(dir.path().join("sub")).unwrap();
    let source = open_path(dir.path(), None, "", true).unwrap();
    assert!(matches!(source.head(), Err(SourceError::Empty { .. })));
    write("cluster.kdl", "one");
    write("sub/a", "a");
    write(".hidden", "h");
    symlink("/etc", dir.path().join("etc")).unwrap();
    let first = source.head().unwrap();
    assert!(first.id.starts_with("files:"));
    fs::create_dir(dir.path().join(".git")).unwrap();
    write(".git/HEAD", "changed");
    assert_eq!(source.head().unwrap(), first);
    let files = source.files(&first.id).unwrap();
    assert_eq!(files.list().unwrap(), [".hidden", "cluster.kdl", "etc", "sub/a"]);
    assert!(files.read("etc/passwd").unwrap_err().contains("symbolic link"));
    write("cluster.kdl", "two");
    assert_eq!(read(&source.files(&first.id).unwrap(), "cluster.kdl"), "one");
    let second = source.head().unwrap();
    assert_ne!(second.id, first.id);
    assert_eq!(read(&source.files(&second.id).unwrap(), "cluster.kdl"), "two");
    assert!(matches!(source.files(&first.id), Err(SourceError::RevisionMissing { .. })));
    fs::remove_dir_all(dir.path()).unwrap();
    assert!(matches!(source.head(), Err(SourceError::Unreadable { .. })));
}

#[test]
fn a_change_in_a_plain_directory_wakes_and_a_hidden_one_does_not() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("a"), "a").unwrap();
    let source = open_path(dir.path(), None, "", false).unwrap();
    let before = source.head().unwrap().id;
    let (wake, woken) = wakes();
    let _guard = source.watch(NEVER, wake).unwrap();
    fs::write(dir.path().join(".a.swp"), "editor").unwrap();
    source.head().unwrap();
    assert!(woken.recv_timeout(Duration::from_millis(300)).is_err());
    fs::write(dir.path().join("a"), "b").unwrap();
    awaited(&woken, || source.head().unwrap().id != before);
}

#[test]
fn what_a_path_is_decides_the_source() {
    let bed = Bed::new();
    bed.write("a", "a");
    let id = bed.commit("c");
    let source = open_path(bed.path(), None, "", true).unwrap();
    assert_eq!(source.head().unwrap().id, id);
    let plain = open_path(bed.path(), None, "", false).unwrap();
    assert!(plain.head().unwrap().id.starts_with("files:"));
    let dir = TempDir::new().unwrap();
    assert!(matches!(open_path(dir.path(), Some("main"), "", true), Err(SourceError::Settings(_))));
    assert!(matches!(
        open_path(&dir.path().join("nothing"), None, "", true),
        Err(SourceError::Unreadable { .. })
    ));
}
