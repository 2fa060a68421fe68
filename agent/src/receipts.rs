//! The receipts of orders: what this node shows once the control plane has lost its records.
//!
//! Knows the file that keeps them. Refuses to read one, which the control plane made for itself.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Result;
use devnet_schema::{
    instance::Generation,
    name::InstanceId,
    wire::{MAX_INSTANCES, Receipt},
};

use crate::identity::write_atomic;

const FILE: &str = "receipts.json";

/// The receipts and their file.
#[derive(Debug)]
pub(crate) struct Receipts {
    path: PathBuf,
    kept: BTreeMap<InstanceId, Vec<Receipt>>,
}

impl Receipts {
    /// Reads them. Without them the node has nothing to show, and runs all the same: a file that
    /// cannot be read is told of and begun anew.
    pub(crate) fn open(data_dir: &Path) -> Self {
        let path = data_dir.join(FILE);
        let kept = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
            Err(error) => Err(error),
        };
        let kept = kept.unwrap_or_else(|error| {
            tracing::warn!(
                "{} cannot be read ({error}): what was ordered from this node before cannot be \
                 shown to a control plane that lost its records",
                path.display()
            );
            BTreeMap::new()
        });
        Self { path, kept }
    }

    /// Keeps one. Of the others of its instance only that of the generation `before` stays: the
    /// order that holds where nothing comes of this one.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn keep(
        &mut self,
        instance: &InstanceId,
        receipt: Receipt,
        before: Option<Generation>,
    ) -> Result<()> {
        let known = self.kept.get(instance);
        if known.is_some_and(|known| known.contains(&receipt)) {
            return Ok(());
        }
        let mut all = self.kept.clone();
        if all.len() >= MAX_INSTANCES && known.is_none() {
            all.pop_first();
        }
        let own = all.entry(instance.clone()).or_default();
        own.retain(|it| Some(it.generation) == before && it.generation != receipt.generation);
        own.push(receipt);
        write_atomic(&self.path, &serde_json::to_vec(&all)?, 0o600)?;
        self.kept = all;
        Ok(())
    }

    /// All of them.
    pub(crate) fn all(&self) -> &BTreeMap<InstanceId, Vec<Receipt>> {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_that_holds_and_the_newest_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let db = "db[0]".parse().unwrap();
        let receipt = |generation| Receipt { generation, proof: format!("proof {generation}") };
        let kept = || {
            let all = Receipts::open(dir.path()).all().get(&db).cloned().unwrap_or_default();
            all.into_iter().map(|it| it.generation).collect::<Vec<_>>()
        };
        let mut receipts = Receipts::open(dir.path());
        receipts.keep(&db, receipt(1), None).unwrap();
        assert_eq!(kept(), [1]);
        // Tries that come to nothing leave that of what runs.
        for generation in [2, 3, 3] {
            receipts.keep(&db, receipt(generation), Some(1)).unwrap();
            assert_eq!(kept(), [1, generation]);
        }
        receipts.keep(&db, receipt(4), Some(3)).unwrap();
        assert_eq!(kept(), [3, 4]);
        fs::write(dir.path().join(FILE), "{").unwrap();
        assert_eq!(kept(), [0; 0]);
    }
}
