//! What this node was last told about each instance. It outlives the agent and the machine's power.
//!
//! Knows generations, digests and specs (secrets are references in them). Refuses an older
//! generation, and the same generation with other content; whether to act is `rules`' business.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};
use devnet_schema::{
    digest::Digest,
    instance::{Generation, InstanceSpec},
    name::InstanceId,
    order::MAX_GENERATION,
    secret::SecretRef,
    wire::Receipt,
};
use serde::{Deserialize, Serialize};

use crate::{identity::write_atomic, receipts::Receipts};

/// How long a removal is remembered, in seconds. Long past any frame that was delayed or sent
/// twice; short enough that a control plane that lost its records, and counts from 1 again, is not
/// refused for ever.
const REMOVAL_MEMORY: i64 = 600;

/// What is known of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The newest generation that was accepted.
    pub generation: Generation,
    /// What it was.
    pub content: Content,
}

/// What a generation says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Content {
    /// The instance runs this.
    Present {
        /// The digest of the spec.
        digest: Digest,
        /// The spec; absent when a container was adopted whose label could not hold it.
        spec: Option<Box<InstanceSpec>>,
    },
    /// The instance was removed.
    Removed {
        /// When, in seconds since 1970.
        at: i64,
    },
}

/// Why a step is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fenced {
    /// A newer generation was accepted before.
    #[error(
        "generation {offered} of {instance} is older than generation {known}, which this node \
         has accepted; plan again"
    )]
    Older {
        /// Of what.
        instance: InstanceId,
        /// The refused number.
        offered: Generation,
        /// The accepted number.
        known: Generation,
    },
    /// No control plane counts that far: taken once, it would refuse every later step for ever.
    #[error("generation {offered} of {instance} is higher than any can be; plan again")]
    TooHigh {
        /// Of what.
        instance: InstanceId,
        /// The refused number.
        offered: Generation,
    },
    /// The same number came with other content.
    #[error(
        "generation {offered} of {instance} was accepted before with other content; two control \
         planes may be giving orders; plan again"
    )]
    Changed {
        /// Of what.
        instance: InstanceId,
        /// The number.
        offered: Generation,
    },
}

/// Whether `generation` with `digest` (none for a removal) may follow `known`.
///
/// # Errors
/// When it is older, the same number with other content, or higher than any can be.
pub fn fence(
    instance: &InstanceId,
    known: Option<&Entry>,
    generation: Generation,
    digest: Option<&Digest>,
    now: i64,
) -> Result<(), Fenced> {
    if generation > MAX_GENERATION {
        return Err(Fenced::TooHigh { instance: instance.clone(), offered: generation });
    }
    // What an earlier agent took from a label that was written by hand is no fence.
    let known = known.filter(|known| known.generation <= MAX_GENERATION);
    let Some(known) = known else { return Ok(()) };
    if let Content::Removed { at } = known.content
        && now - at > REMOVAL_MEMORY
    {
        return Ok(());
    }
    let instance = instance.clone();
    if generation < known.generation {
        return Err(Fenced::Older { instance, offered: generation, known: known.generation });
    }
    let same = match (&known.content, digest) {
        (Content::Present { digest: known, .. }, Some(offered)) => known == offered,
        (Content::Removed { .. }, Some(_)) => false,
        (_, None) => true,
    };
    if generation == known.generation && !same {
        return Err(Fenced::Changed { instance, offered: generation });
    }
    Ok(())
}

/// The ledger and its file.
pub struct Ledger {
    path: PathBuf,
    entries: BTreeMap<InstanceId, Entry>,
    began_empty: bool,
    receipts: Receipts,
}

impl Ledger {
    /// Reads the ledger; an absent file is an empty one.
    ///
    /// # Errors
    /// When the file is there and cannot be read: going on without it would forget the fence.
    pub fn open(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join("ledger.json");
        let entries = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                tracing::debug!(%error, "the ledger");
                anyhow!(
                    "{} is damaged. Put it back from a backup of this moment, or move it away and \
                     start again: what runs goes on and is taken over with the generation it was \
                     started as. Lost is then what should run and does not at this moment, which \
                     the next plan starts again, and which removals of the last ten minutes were \
                     ordered",
                    path.display()
                )
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("reading {}", path.display()));
            }
        };
        let began_empty = entries.is_empty();
        let receipts = Receipts::open(data_dir);
        Ok(Self { path, entries, began_empty, receipts })
    }

    /// Whether nothing was known when it was read: on a fresh node, and on one that lost its data.
    pub fn began_empty(&self) -> bool {
        self.began_empty
    }

    /// What is known of an instance.
    pub fn get(&self, instance: &InstanceId) -> Option<&Entry> {
        self.entries.get(instance)
    }

    /// Everything, in order.
    pub fn entries(&self) -> impl Iterator<Item = (&InstanceId, &Entry)> {
        self.entries.iter()
    }

    /// Writes an entry down, and returns the one it replaces. It is on the disk afterwards.
    ///
    /// # Errors
    /// When the file cannot be written; then the entry is not taken.
    pub fn put(&mut self, instance: InstanceId, entry: Entry, now: i64) -> Result<Option<Entry>> {
        let before = self.entries.clone();
        self.entries.retain(|_, entry| match entry.content {
            Content::Removed { at } => now - at <= REMOVAL_MEMORY,
            Content::Present { .. } => true,
        });
        let old = self.entries.insert(instance, entry);
        self.write(before).map(|()| old)
    }

    /// Keeps the receipt of an order that is about to be written down.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn keep(&mut self, instance: &InstanceId, receipt: Receipt) -> Result<()> {
        let before = self.entries.get(instance).map(|entry| entry.generation);
        self.receipts.keep(instance, receipt, before)
    }

    /// The receipts of orders, also of instances that were removed since: their data may be here.
    pub fn receipts(&self) -> &BTreeMap<InstanceId, Vec<Receipt>> {
        self.receipts.all()
    }

    /// Puts back what [`Ledger::put`] returned, because nothing came of the new entry.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn restore(&mut self, instance: InstanceId, old: Option<Entry>) -> Result<()> {
        let before = self.entries.clone();
        match old {
            Some(old) => self.entries.insert(instance, old),
            None => self.entries.remove(&instance),
        };
        self.write(before)
    }

    /// Takes an entry (none: forgets it) although it cannot be written, and returns what it
    /// replaces. It counts for as long as this agent runs, and is written with the next one that
    /// can be.
    pub fn hold(&mut self, instance: InstanceId, entry: Option<Entry>) -> Option<Entry> {
        match entry {
            Some(entry) => self.entries.insert(instance, entry),
            None => self.entries.remove(&instance),
        }
    }

    /// Every secret that what runs here refers to.
    pub fn secrets(&self) -> BTreeSet<SecretRef> {
        self.entries
            .values()
            .filter_map(|entry| match &entry.content {
                Content::Present { spec, .. } => spec.as_ref(),
                Content::Removed { .. } => None,
            })
            .flat_map(|spec| spec.secrets())
            .collect()
    }

    fn write(&mut self, before: BTreeMap<InstanceId, Entry>) -> Result<()> {
        let written = serde_json::to_vec(&self.entries)
            .context("writing the ledger as JSON")
            .and_then(|bytes| write_atomic(&self.path, &bytes, 0o600));
        if written.is_err() {
            self.entries = before;
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn db() -> InstanceId {
        "db[0]".parse().unwrap()
    }

    fn present(generation: Generation, content: &str) -> Entry {
        let digest = Digest::of_bytes(content.as_bytes());
        Entry { generation, content: Content::Present { digest, spec: None } }
    }

    fn removed(generation: Generation, at: i64) -> Entry {
        Entry { generation, content: Content::Removed { at } }
    }

    fn try_present(known: Option<&Entry>, generation: Generation, content: &str) -> bool {
        let digest = Digest::of_bytes(content.as_bytes());
        fence(&db(), known, generation, Some(&digest), 1000).is_ok()
    }

    #[test]
    fn older_generations_and_changed_content_are_refused() {
        assert!(try_present(None, 1, "a"));
        assert!(try_present(None, MAX_GENERATION, "a"));
        assert!(try_present(Some(&present(MAX_GENERATION + 1, "a")), 1, "b"), "it is no fence");
        assert!(!try_present(None, MAX_GENERATION + 1, "a"), "it could never be followed");
        let known = present(5, "a");
        assert!(try_present(Some(&known), 5, "a"), "a replay is harmless");
        assert!(try_present(Some(&known), 6, "b"));
        assert!(!try_present(Some(&known), 4, "a"));
        assert!(!try_present(Some(&known), 5, "b"));
        assert!(fence(&db(), Some(&known), 4, None, 1000).is_err());
        assert!(fence(&db(), Some(&known), 5, None, 1000).is_ok());
    }

    #[test]
    fn a_removal_holds_for_ten_minutes() {
        let known = removed(5, 1000);
        assert!(!try_present(Some(&known), 5, "a"), "a delayed frame does not bring it back");
        assert!(try_present(Some(&known), 6, "a"));
        assert!(!try_present(Some(&removed(5, 400)), 1, "a"));
        assert!(try_present(Some(&removed(5, 399)), 1, "a"));
    }

    #[test]
    fn entries_survive_and_damage_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(dir.path()).unwrap();
        assert_eq!(ledger.put(db(), present(1, "a"), 0).unwrap(), None);
        let old = ledger.put(db(), present(2, "b"), 0).unwrap();
        assert_eq!(old, Some(present(1, "a")));
        assert_eq!(Ledger::open(dir.path()).unwrap().get(&db()), Some(&present(2, "b")));
        ledger.restore(db(), old).unwrap();
        assert_eq!(Ledger::open(dir.path()).unwrap().get(&db()), Some(&present(1, "a")));
        fs::write(dir.path().join("ledger.json"), b"{half").unwrap();
        for damaged in [&b"{half"[..], b"", b"[]", b"{\"db[0]\": 1}", &[0xff; 9]] {
            fs::write(dir.path().join("ledger.json"), damaged).unwrap();
            let error = format!("{:#}", Ledger::open(dir.path()).err().unwrap());
            assert!(error.contains("ledger.json is damaged"), "{error}");
            assert!(error.contains("move it away"), "{error}");
            assert!(!error.contains("column"), "no word of a parser: {error}");
        }
    }
}
