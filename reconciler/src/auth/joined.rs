//! Nodes that joined, kept beside the CA whose certificates they hold.
//!
//! Knows ids and names. Refuses to tell who may come in: a list says only whom to wait for when the
//! records that knew them are lost, since what they run is known to nobody then.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use devnet_schema::name::NodeName;

use super::key_file;

/// Why the list could not be used.
#[derive(Debug, thiserror::Error)]
pub enum JoinedError {
    /// Reading or writing failed.
    #[error("{act} the list of nodes that joined {}", path.display())]
    File {
        /// `reading`, `writing`.
        act: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A line of it says something else than an id and a name.
    #[error(
        "line {line} of the list of nodes that joined {} is no id and name: put the file back from \
         a backup; or, where `state.db` is whole, move it away: it is written anew from that",
        path.display()
    )]
    Line {
        /// Which, from 1.
        line: usize,
        /// Of which file.
        path: PathBuf,
    },
}

/// The nodes that joined and were not removed, in memory as in the file.
#[derive(Debug)]
pub struct Joined {
    path: PathBuf,
    /// The id of each.
    nodes: Mutex<BTreeMap<NodeName, String>>,
}

impl Joined {
    /// Reads the list in the CA's directory; none is an empty one.
    ///
    /// # Errors
    /// When it is there and cannot be read: without it, a node that is away would not be waited
    /// for.
    pub fn open(directory: &Path) -> Result<Self, JoinedError> {
        let path = directory.join("joined");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(JoinedError::File { act: "reading", path, source }),
        };
        let mut nodes = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let entry = line.split_once(' ').filter(|(id, _)| !id.is_empty());
            let entry = entry.and_then(|(id, name)| Some((name.parse().ok()?, id.to_owned())));
            let Some((name, id)) = entry else {
                return Err(JoinedError::Line { line: at + 1, path });
            };
            nodes.insert(name, id);
        }
        Ok(Self { path, nodes: Mutex::new(nodes) })
    }

    /// The node of this name has this id from now on, whoever had the name before. It is on disk
    /// afterwards.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&self, name: &NodeName, id: &str) -> Result<(), JoinedError> {
        let mut nodes = self.lock();
        if nodes.get(name).is_some_and(|known| known == id) {
            return Ok(());
        }
        nodes.insert(name.clone(), id.to_owned());
        self.write(&nodes)
    }

    /// The node of this name is no part of the cluster any more, where it has this id.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove(&self, name: &NodeName, id: &str) -> Result<(), JoinedError> {
        let mut nodes = self.lock();
        if nodes.get(name).is_none_or(|known| known != id) {
            return Ok(());
        }
        nodes.remove(name);
        self.write(&nodes)
    }

    /// The nodes, by name, each with its id.
    pub fn list(&self) -> Vec<(NodeName, String)> {
        self.lock().iter().map(|(name, id)| (name.clone(), id.clone())).collect()
    }

    fn write(&self, nodes: &BTreeMap<NodeName, String>) -> Result<(), JoinedError> {
        let text: String = nodes.iter().map(|(name, id)| format!("{id} {name}\n")).collect();
        key_file::replace(&self.path, &text, 0o600).map_err(|source| JoinedError::File {
            act: "writing",
            path: self.path.clone(),
            source,
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<NodeName, String>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        text.parse().unwrap()
    }

    #[test]
    fn a_node_is_on_the_list_until_it_is_removed_under_its_own_id() {
        let dir = tempfile::tempdir().unwrap();
        let list = Joined::open(dir.path()).unwrap();
        list.add(&name("a"), "1").unwrap();
        list.add(&name("b"), "2").unwrap();
        // Another machine takes over the name: the end of the first is not the end of it.
        list.add(&name("b"), "3").unwrap();
        list.remove(&name("b"), "2").unwrap();
        list.remove(&name("a"), "1").unwrap();
        let again = Joined::open(dir.path()).unwrap();
        assert_eq!(again.list(), [(name("b"), "3".to_owned())]);
    }

    #[test]
    fn a_damaged_list_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("joined"), "1 a\n2\n").unwrap();
        let error = Joined::open(dir.path()).unwrap_err();
        assert!(error.to_string().starts_with("line 2 of"), "{error}");
    }
}
