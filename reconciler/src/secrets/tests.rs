//! Tests of the secrets on real files.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::*;

/// Bytes that count up, so that no two keys or nonces are the same.
fn random() -> impl FnMut(&mut [u8]) {
    let mut next = 0_u32;
    move |bytes| {
        for byte in bytes {
            next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *byte = (next >> 24) as u8;
        }
    }
}

fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

fn value(text: &str) -> Sensitive<String> {
    Sensitive::new(text.to_owned())
}

type Random = Box<dyn FnMut(&mut [u8])>;

struct Bed {
    dir: TempDir,
    random: Random,
}

impl Bed {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), random: Box::new(random()) }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn open(&mut self, key: &KeySource) -> Result<Secrets, SecretsError> {
        Secrets::open(self.dir.path(), key, &mut self.random)
    }

    fn set(&mut self, secrets: &Secrets, key: &str, text: &str) -> Stored {
        secrets.set(&name(key), &value(text), Time::EPOCH, &mut self.random).unwrap()
    }

    fn raw(&self) -> Connection {
        Connection::open(self.path().join("secrets.db")).unwrap()
    }
}

#[test]
fn a_value_comes_back_also_after_a_restart() {
    let mut bed = Bed::new();
    let secrets = bed.open(&KeySource::Kept).unwrap();
    assert_eq!(bed.set(&secrets, "pw", "ein\nGeheimnis\n"), Stored { version: 1, changed: true });
    drop(secrets);
    let secrets = bed.open(&KeySource::Kept).unwrap();
    assert_eq!(secrets.value(&name("pw"), 1).unwrap().expose(), "ein\nGeheimnis\n");
}

#[test]
fn versions_go_up_when_the_value_changes_and_the_last_three_stay() {
    let mut bed = Bed::new();
    let secrets = bed.open(&KeySource::Kept).unwrap();
    for (text, version, changed) in
        [("a", 1, true), ("a", 1, false), ("b", 2, true), ("a", 3, true), ("c", 4, true)]
    {
        assert_eq!(bed.set(&secrets, "pw", text), Stored { version, changed });
    }
    for (version, text) in [(2, "b"), (3, "a"), (4, "c")] {
        assert_eq!(secrets.value(&name("pw"), version).unwrap().expose(), text);
    }
    for version in [0, 1, 5, u64::MAX] {
        assert!(matches!(
            secrets.value(&name("pw"), version),
            Err(SecretsError::VersionMissing { newest: 4, .. })
        ));
    }
    assert!(matches!(secrets.value(&name("other"), 1), Err(SecretsError::Missing(_))));
}

#[test]
fn a_removed_secret_is_gone_and_its_versions_are_never_used_again() {
    let mut bed = Bed::new();
    let secrets = bed.open(&KeySource::Kept).unwrap();
    bed.set(&secrets, "pw", "a");
    bed.set(&secrets, "other", "b");
    assert!(secrets.remove(&name("pw")).unwrap());
    assert!(!secrets.remove(&name("pw")).unwrap());
    assert!(matches!(secrets.value(&name("pw"), 1), Err(SecretsError::Missing(_))));
    assert_eq!(secrets.versions().unwrap(), BTreeMap::from([("other".to_owned(), 1)]));
    assert_eq!(bed.set(&secrets, "pw", "a").version, 2);
    let rows = secrets.list().unwrap();
    let names: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.version)).collect();
    assert_eq!(names, [("other", 1), ("pw", 2)]);
}

#[test]
fn no_file_but_the_database_holds_anything_and_it_never_holds_the_value() {
    let mut bed = Bed::new();
    let secrets = bed.open(&KeySource::Kept).unwrap();
    let canary = "canary-7f3a9c-canary";
    bed.set(&secrets, "pw", canary);
    bed.set(&secrets, "pw", &format!("{canary}2"));
    secrets.remove(&name("pw")).unwrap();
    bed.set(&secrets, "pw", canary);
    drop(secrets);
    for entry in fs::read_dir(bed.path()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
        assert!(!found, "{} holds the value", path.display());
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} may be read by others", path.display());
    }
}

#[test]
fn a_row_that_was_swapped_changed_or_renumbered_does_not_open() {
    let mut bed = Bed::new();
    let secrets = bed.open(&KeySource::Kept).unwrap();
    bed.set(&secrets, "a", "value of a");
    bed.set(&secrets, "b", "value of b");
    bed.set(&secrets, "c", "old");
    bed.set(&secrets, "c", "new");
    let raw = bed.raw();
    let swap = "UPDATE secret_versions SET \
        nonce = (SELECT nonce FROM secret_versions WHERE name = ?2 AND version = ?3), \
        sealed = (SELECT sealed FROM secret_versions WHERE name = ?2 AND version = ?3) \
        WHERE name = ?1 AND version = ?4";
    raw.execute(swap, params!["a", "b", 1, 1]).unwrap();
    raw.execute(swap, params!["c", "c", 1, 2]).unwrap();
    let flip = "UPDATE secret_versions SET sealed = zeroblob(length(sealed)) WHERE name = 'b'";
    raw.execute(flip, []).unwrap();
    for (key, version) in [("a", 1), ("c", 2), ("b", 1)] {
        let error = secrets.value(&name(key), version).unwrap_err();
        assert!(matches!(error, SecretsError::Tampered { .. }), "{key}: {error}");
    }
    assert_eq!(secrets.value(&name("c"), 1).unwrap().expose(), "old");
    assert_eq!(bed.set(&secrets, "a", "mended").version, 2);
}

#[test]
fn a_wrong_or_missing_key_is_refused_and_nothing_is_written() {
    let mut bed = Bed::new();
    let secrets = bed.open(&KeySource::Kept).unwrap();
    bed.set(&secrets, "pw", "a");
    drop(secrets);
    let (key, database) = (bed.path().join("key"), bed.path().join("secrets.db"));
    let right = fs::read_to_string(&key).unwrap();
    let before = fs::read(&database).unwrap();
    let other = KeySource::Text(value("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    assert!(matches!(bed.open(&other), Err(SecretsError::WrongKey { .. })));
    fs::remove_file(&key).unwrap();
    assert!(matches!(bed.open(&KeySource::Kept), Err(SecretsError::KeyGone { .. })));
    assert!(!key.exists(), "a new key would lock the secrets away for good");
    assert_eq!(fs::read(&database).unwrap(), before);
    let secrets = bed.open(&KeySource::Text(value(&right))).unwrap();
    assert_eq!(secrets.value(&name("pw"), 1).unwrap().expose(), "a");
}

#[test]
fn a_key_file_that_others_may_read_or_that_holds_no_key_is_refused() {
    let mut bed = Bed::new();
    let key = bed.path().join("elsewhere");
    let source = KeySource::File(key.clone());
    assert!(matches!(bed.open(&source), Err(SecretsError::File { .. })), "it must be there");
    fs::write(&key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    for mode in [0o644, 0o640, 0o604] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        assert!(matches!(bed.open(&source), Err(SecretsError::KeyExposed(_))));
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let secrets = bed.open(&source).unwrap();
    bed.set(&secrets, "pw", "a");
    for bad in [&b""[..], b"short", b"AAAA", &[0xff; 44], &[b'A'; 4096]] {
        fs::write(&key, bad).unwrap();
        assert!(matches!(bed.open(&source), Err(SecretsError::KeyForm(_))), "{bad:?}");
    }
}

#[test]
fn values_that_cannot_be_used_are_refused_without_being_repeated() {
    let mut bed = Bed::new();
    let secrets = bed.open(&KeySource::Kept).unwrap();
    let long = "x".repeat(MAX_VALUE + 1);
    for bad in ["", "a\0b", &long] {
        let error = secrets
            .set(&name("pw"), &value(bad), Time::EPOCH, &mut bed.random)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("the value of secret pw "), "{error}");
        assert!(error.len() < 200);
    }
    assert!(secrets.list().unwrap().is_empty());
    assert_eq!(bed.set(&secrets, "pw", &"x".repeat(MAX_VALUE)).version, 1);
}

#[test]
fn a_database_of_a_newer_devnet_is_refused() {
    let mut bed = Bed::new();
    drop(bed.open(&KeySource::Kept).unwrap());
    bed.raw().pragma_update(None, "user_version", 2).unwrap();
    assert!(matches!(bed.open(&KeySource::Kept), Err(SecretsError::Newer(_))));
}

#[test]
fn a_database_that_is_gone_or_empty_is_refused_like_a_missing_key() {
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for source in [KeySource::Kept, KeySource::Text(value(key))] {
        for empty in [false, true] {
            let mut bed = Bed::new();
            let secrets = bed.open(&source).unwrap();
            bed.set(&secrets, "pw", "a");
            drop(secrets);
            let database = bed.path().join("secrets.db");
            let kept = fs::read(&database).unwrap();
            fs::remove_file(&database).unwrap();
            if empty {
                fs::write(&database, "").unwrap();
            }
            let error = bed.open(&source).err().unwrap();
            assert!(matches!(error, SecretsError::DatabaseGone(_)), "{error}");
            assert_eq!(database.exists(), empty, "nothing is made in its place");
            fs::write(&database, kept).unwrap();
            let secrets = bed.open(&source).unwrap();
            assert_eq!(secrets.value(&name("pw"), 1).unwrap().expose(), "a");
            drop(secrets);
            // The remedy that the message names.
            for file in ["secrets.db", "made", "key"] {
                let _ = fs::remove_file(bed.path().join(file));
            }
            assert!(bed.open(&source).unwrap().list().unwrap().is_empty());
        }
    }
}

#[test]
fn a_first_start_that_was_cut_off_goes_on() {
    let mut bed = Bed::new();
    drop(bed.open(&KeySource::Kept).unwrap());
    fs::remove_file(bed.path().join("made")).unwrap();
    bed.raw().execute("DELETE FROM key_check", []).unwrap();
    let secrets = bed.open(&KeySource::Kept).unwrap();
    bed.set(&secrets, "pw", "a");
    drop(secrets);
    bed.raw().execute("DELETE FROM key_check", []).unwrap();
    let error = bed.open(&KeySource::Kept).err().unwrap();
    assert!(matches!(error, SecretsError::Damaged(_)), "{error}");
}

#[test]
fn a_version_that_something_refers_to_is_never_given_to_another_value() {
    let mut bed = Bed::new();
    let secrets = bed.open(&KeySource::Kept).unwrap();
    bed.set(&secrets, "pw", "old");
    bed.set(&secrets, "other", "b");
    // A backup from before version 4 was set has been put back.
    let in_use = BTreeMap::from([(name("pw"), 4), (name("other"), 1), (name("new"), 2)]);
    assert_eq!(secrets.taken(&in_use).unwrap(), [name("new"), name("pw")]);
    assert!(secrets.taken(&in_use).unwrap().is_empty());
    assert_eq!(secrets.versions().unwrap(), BTreeMap::from([("other".to_owned(), 1)]));
    assert!(secrets.value(&name("pw"), 4).is_err(), "no other value in its place");
    assert_eq!(bed.set(&secrets, "pw", "newest").version, 5);
    assert_eq!(bed.set(&secrets, "new", "first").version, 3);
}

#[test]
fn damaged_pages_are_named_with_the_remedy_and_a_bad_row_hides_no_other() {
    let mut bed = Bed::new();
    let secrets = bed.open(&KeySource::Kept).unwrap();
    for number in 0..30 {
        bed.set(&secrets, &format!("pw{number}"), &"a value".repeat(500));
    }
    let rename = "UPDATE names SET name = 'p w' WHERE name = 'pw7'";
    bed.raw().execute(rename, []).unwrap();
    let rename = "UPDATE secret_versions SET name = 'p w' WHERE name = 'pw7'";
    bed.raw().execute(rename, []).unwrap();
    assert_eq!(secrets.list().unwrap().len(), 29);
    drop(secrets);
    let path = bed.path().join("secrets.db");
    let mut bytes = fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[half..half + 4096].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    let error = bed.open(&KeySource::Kept).err().unwrap();
    assert!(matches!(error, SecretsError::Damaged(_)), "{error}");
    assert!(error.to_string().contains("put back a backup"), "{error}");
}
