//! Which machine this is, and how often this identity opened a session.
//!
//! Knows the count and the file that keeps it. Refuses to decide what a second machine means: the
//! control plane sees both.

use std::{fs, io, path::Path};

use anyhow::{Context, Result};
use devnet_schema::wire::Origin;
use serde::{Deserialize, Serialize};

use crate::identity::write_atomic;

const FILE: &str = "sessions.json";

/// What is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    session: u64,
    /// The machine that opened it.
    machine: String,
}

/// The origin of the next session; the count is on disk before anyone hears it.
///
/// # Errors
/// When the count cannot be written.
pub fn next(data_dir: &Path) -> Result<Origin> {
    counted(data_dir, machine_id(), boot_id())
}

fn counted(data_dir: &Path, machine: String, boot: String) -> Result<Origin> {
    let path = data_dir.join(FILE);
    let kept = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!("{} is damaged ({error}): counting begins anew", path.display());
            Kept::default()
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::default(),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    if !kept.machine.is_empty() && kept.machine != machine {
        tracing::warn!(
            "{} was last used on another machine; if that one still runs, two machines use one \
             identity: join this one under a name of its own, with a data directory of its own",
            data_dir.display()
        );
    }
    let next = Kept { session: kept.session.saturating_add(1), machine: machine.clone() };
    let text = serde_json::to_vec(&next).context("writing the count of sessions as JSON")?;
    write_atomic(&path, &text, 0o600)?;
    Ok(Origin { machine, boot, session: next.session })
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
        assert_eq!(next("b"), Origin { machine: "b".into(), boot: String::new(), session: 3 });
        fs::write(dir.path().join(FILE), "{half").unwrap();
        assert_eq!(next("b").session, 1);
    }
}
