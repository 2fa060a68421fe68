//! Which machine this is, how often this identity opened a session, and the mark of the newest
//! order that came to it.
//!
//! Knows the file that keeps them. Refuses to read a mark, which the control plane made for itself,
//! and to decide what a second machine means: the control plane sees both.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path, time::UNIX_EPOCH};

use anyhow::{Context, Result};
use devnet_schema::wire::{OrderMark, Origin};
use serde::{Deserialize, Serialize};

use crate::identity::write_atomic;

const FILE: &str = "sessions.json";

/// What is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    session: u64,
    /// The machine that opened it.
    machine: String,
    /// The mark of the newest order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mark: Option<OrderMark>,
    /// The machine that was let in last.
    #[serde(default)]
    welcome: String,
    /// What a copy has another of than the directory that was let in last.
    #[serde(default)]
    original: Original,
}

/// What a copied data directory, or a cloned virtual machine, has another of. Empty or absent where
/// it cannot be read, and then it tells nothing.
///
/// Not the device number: disks may be numbered anew at each boot, and a node that lost power and
/// has no network would then start nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Original {
    /// The inode of the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    inode: Option<u64>,
    /// When the data directory was made, in nanoseconds since 1970: another disk may have the same
    /// inode.
    #[serde(skip_serializing_if = "Option::is_none")]
    born: Option<u64>,
    /// The UUID of the hardware, which a virtual machine gets anew when it is cloned; root can read
    /// it.
    #[serde(skip_serializing_if = "String::is_empty")]
    hardware: String,
}

impl Original {
    fn of(data_dir: &Path) -> Self {
        let seen = fs::metadata(data_dir).ok();
        let born = seen.as_ref().and_then(|seen| seen.created().ok());
        let born = born.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let hardware = fs::read_to_string("/sys/class/dmi/id/product_uuid").unwrap_or_default();
        Self {
            inode: seen.map(|seen| seen.ino()),
            born: born.and_then(|at| u64::try_from(at.as_nanos()).ok()),
            hardware: hardware.trim().to_ascii_lowercase(),
        }
    }

    /// Whether one of these is known of both and another.
    fn is_unlike(&self, other: &Self) -> bool {
        let differ =
            |one: Option<u64>, two: Option<u64>| one.zip(two).is_some_and(|(one, two)| one != two);
        let known = !self.hardware.is_empty() && !other.hardware.is_empty();
        differ(self.inode, other.inode)
            || differ(self.born, other.born)
            || (known && self.hardware != other.hardware)
    }

    /// These, and of what cannot be read now, what was known before.
    fn or(self, before: Self) -> Self {
        let hardware = if self.hardware.is_empty() { before.hardware } else { self.hardware };
        Self { inode: self.inode.or(before.inode), born: self.born.or(before.born), hardware }
    }
}

/// Whether another machine, or another directory, was let in with this identity before this one:
/// then this data directory is a copy, or was moved, and only the control plane knows whether the
/// other still runs.
pub(crate) fn is_elsewhere(data_dir: &Path) -> bool {
    read(data_dir).is_ok_and(|kept| is_anothers(&kept, &machine_id(), &Original::of(data_dir)))
}

fn is_anothers(kept: &Kept, machine: &str, here: &Original) -> bool {
    let last = if kept.welcome.is_empty() { &kept.machine } else { &kept.welcome };
    (!last.is_empty() && last != machine) || kept.original.is_unlike(here)
}

/// The control plane let this machine in.
///
/// # Errors
/// When that cannot be written down.
pub(crate) fn welcomed(data_dir: &Path) -> Result<()> {
    let_in(data_dir, machine_id(), Original::of(data_dir))
}

fn let_in(data_dir: &Path, machine: String, here: Original) -> Result<()> {
    let before = read(data_dir)?;
    let same = before.welcome == machine && !before.original.is_unlike(&here);
    let original = if same { here.or(before.original.clone()) } else { here };
    if same && before.original == original {
        return Ok(());
    }
    write(data_dir, &Kept { welcome: machine, original, ..before })
}

/// The origin of the next session; the count is on disk before anyone hears it. Where it cannot be
/// written, the session is not counted: a node with a full disk is there all the same.
pub(crate) fn next(data_dir: &Path) -> Origin {
    counted_or_not(data_dir, machine_id(), boot_id())
}

fn counted_or_not(data_dir: &Path, machine: String, boot: String) -> Origin {
    counted(data_dir, machine.clone(), boot.clone()).unwrap_or_else(|error| {
        let error = format!("{error:#}");
        tracing::warn!(
            error,
            "this session is not counted; check that the disk has room and is not read-only"
        );
        let mark = read(data_dir).ok().and_then(|kept| kept.mark);
        Origin { machine, boot, session: 0, mark }
    })
}

/// Keeps the mark of an order; it is on disk before the order is followed.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn keep(data_dir: &Path, mark: &OrderMark) -> Result<()> {
    let kept = read(data_dir)?;
    if kept.mark.as_ref() == Some(mark) {
        return Ok(());
    }
    write(data_dir, &Kept { mark: Some(mark.clone()), ..kept })
}

fn read(data_dir: &Path) -> Result<Kept> {
    let path = data_dir.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!("{} is damaged ({error}): counting begins anew", path.display());
            Kept::default()
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kept::default()),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn write(data_dir: &Path, kept: &Kept) -> Result<()> {
    let text = serde_json::to_vec(kept).context("writing the count of sessions as JSON")?;
    write_atomic(&data_dir.join(FILE), &text, 0o600)
}

fn counted(data_dir: &Path, machine: String, boot: String) -> Result<Origin> {
    let kept = read(data_dir)?;
    if !kept.machine.is_empty() && kept.machine != machine {
        tracing::warn!(
            "{} was last used on another machine; if that one still runs, two machines use one \
             identity: join this one under a name of its own, with a data directory of its own",
            data_dir.display()
        );
    }
    let session = kept.session.saturating_add(1);
    // Whoever is refused has opened a session, too.
    let welcome = if kept.welcome.is_empty() { kept.machine } else { kept.welcome };
    let next = Kept { session, machine, welcome, mark: kept.mark, original: kept.original };
    write(data_dir, &next)?;
    Ok(Origin { machine: next.machine, boot, session, mark: next.mark })
}

fn machine_id() -> String {
    let read = |path| fs::read_to_string(path).ok().map(|text: String| text.trim().to_owned());
    read("/etc/machine-id").or_else(|| read("/var/lib/dbus/machine-id")).unwrap_or_default()
}

fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_counts_on_also_on_another_machine_and_after_damage() {
        let dir = tempfile::tempdir().unwrap();
        let next = |machine: &str| counted(dir.path(), machine.to_owned(), String::new()).unwrap();
        assert_eq!(next("a").session, 1);
        assert_eq!(next("a").session, 2);
        let mark = OrderMark { number: 7, proof: "p".to_owned() };
        keep(dir.path(), &mark).unwrap();
        let third =
            Origin { machine: "b".into(), session: 3, mark: Some(mark), ..Origin::default() };
        assert_eq!(next("b"), third);
        fs::write(dir.path().join(FILE), "{half").unwrap();
        assert_eq!(next("b").session, 1);
    }

    #[test]
    fn a_session_that_cannot_be_counted_is_opened_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let next = || counted_or_not(dir.path(), "a".to_owned(), String::new());
        assert_eq!(next().session, 1);
        let obstacle = dir.path().join("sessions.json.new");
        fs::create_dir(&obstacle).unwrap();
        let uncounted = Origin { machine: "a".into(), ..Origin::default() };
        assert_eq!(next(), uncounted);
        fs::remove_dir(&obstacle).unwrap();
        assert_eq!(next().session, 2, "counting goes on where it was");
    }

    fn original(inode: u64, hardware: &str) -> Original {
        Original { inode: Some(inode), born: Some(5), hardware: hardware.to_owned() }
    }

    #[test]
    fn a_copy_is_another_machines_until_it_was_let_in_however_often_it_was_refused() {
        let dir = tempfile::tempdir().unwrap();
        let next = |machine: &str| counted(dir.path(), machine.to_owned(), String::new()).unwrap();
        let let_in = |machine: &str| let_in(dir.path(), machine.to_owned(), original(1, "h"));
        let elsewhere =
            |machine: &str| is_anothers(&read(dir.path()).unwrap(), machine, &original(1, "h"));
        assert!(!elsewhere("a"), "a new one is nobody's");
        next("a");
        let_in("a").unwrap();
        assert!(!elsewhere("a") && elsewhere("b"));
        next("b");
        next("b");
        assert!(elsewhere("b") && !elsewhere("a"));
        let_in("b").unwrap();
        assert!(!elsewhere("b") && elsewhere("a"));
    }

    #[test]
    fn a_clone_is_noticed_by_its_hardware_and_what_cannot_be_read_tells_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = |here: &Original| is_anothers(&read(dir.path()).unwrap(), "a", here);
        // Of an agent that did not keep these: nothing is known against anyone.
        write(dir.path(), &Kept { welcome: "a".to_owned(), ..Kept::default() }).unwrap();
        assert!(!elsewhere(&original(1, "h")));
        let_in(dir.path(), "a".to_owned(), original(1, "h")).unwrap();
        assert!(!elsewhere(&original(1, "h")), "the same after each boot");
        assert!(elsewhere(&original(1, "other")) && elsewhere(&original(2, "h")));
        assert!(elsewhere(&Original { born: Some(6), ..original(1, "h") }));
        // Run by another user than root for a while, it does not forget.
        assert!(!elsewhere(&original(1, "")) && !elsewhere(&Original::default()));
        let_in(dir.path(), "a".to_owned(), original(1, "")).unwrap();
        assert!(elsewhere(&original(1, "other")));
        // However often it is refused, it is not let in.
        counted(dir.path(), "a".to_owned(), String::new()).unwrap();
        assert!(elsewhere(&original(1, "other")));
        let_in(dir.path(), "a".to_owned(), original(1, "other")).unwrap();
        assert!(!elsewhere(&original(1, "other")) && elsewhere(&original(1, "h")));
    }

    #[test]
    fn a_directory_that_was_copied_on_the_same_machine_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let [first, copy, moved] = ["n1", "n1c", "n1m"].map(|name| dir.path().join(name));
        fs::create_dir(&first).unwrap();
        next(&first);
        welcomed(&first).unwrap();
        fs::create_dir(&copy).unwrap();
        fs::copy(first.join(FILE), copy.join(FILE)).unwrap();
        assert!(is_elsewhere(&copy) && !is_elsewhere(&first));
        next(&copy);
        assert!(is_elsewhere(&copy), "it asked, and was not let in");
        welcomed(&copy).unwrap();
        assert!(!is_elsewhere(&copy));
        // One that only got another name is no copy.
        fs::rename(&first, &moved).unwrap();
        assert!(!is_elsewhere(&moved));
    }
}
