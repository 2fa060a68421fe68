//! Nodes that joined, kept beside the CA whose certificates they hold.
//!
//! Knows ids and names. Refuses to tell who may come in: a list says only whom to wait for when the
//! records that knew them are lost, since what they run is known to nobody then.

use std::path::Path;

use devnet_schema::name::NodeName;

use super::list_file::{Line, ListError, ListFile};

/// The id and the name of a node.
#[derive(Debug)]
struct Member;

impl Line for Member {
    const FILE: &'static str = "joined";
    const LIST: &'static str = "the list of nodes that joined";
    const PROBLEM: &'static str = "no id and name: put the file back from a backup; or, where \
        `state.db` is whole, move it away: it is written anew from that";
    type Key = NodeName;
    type Value = String;

    fn read(id: &str, name: &str) -> Option<(NodeName, String)> {
        Some((name.parse().ok()?, id.to_owned()))
    }

    fn write(name: &NodeName, id: &String) -> (String, String) {
        (id.clone(), name.to_string())
    }
}

/// The nodes that joined and were not removed, each with its id.
#[derive(Debug)]
pub struct Joined(ListFile<Member>);

impl Joined {
    /// Reads the list in the CA's directory; none is an empty one.
    ///
    /// # Errors
    /// When it is there and cannot be read: without it, a node that is away would not be waited
    /// for.
    pub fn open(directory: &Path) -> Result<Self, ListError> {
        ListFile::open(directory).map(Self)
    }

    /// The node of this name has this id from now on, whoever had the name before. It is on disk
    /// afterwards.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add(&self, name: &NodeName, id: &str) -> Result<(), ListError> {
        self.0.change(|nodes| {
            let before = nodes.insert(name.clone(), id.to_owned());
            before.is_none_or(|known| known != id)
        })
    }

    /// The node of this name is no part of the cluster any more, where it has this id.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn remove(&self, name: &NodeName, id: &str) -> Result<(), ListError> {
        self.0.change(|nodes| {
            let listed = nodes.get(name).is_some_and(|known| known == id);
            listed && nodes.remove(name).is_some()
        })
    }

    /// The nodes, by name, each with its id.
    pub fn list(&self) -> Vec<(NodeName, String)> {
        self.0.entries().iter().map(|(name, id)| (name.clone(), id.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

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
    fn a_node_that_could_not_be_written_is_written_when_it_is_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let pki = dir.path().join("pki");
        let list = Joined::open(&pki).unwrap();
        assert!(list.add(&name("a"), "1").is_err(), "there is no such directory");
        assert!(list.list().is_empty());
        fs::create_dir(&pki).unwrap();
        list.add(&name("a"), "1").unwrap();
        assert_eq!(Joined::open(&pki).unwrap().list(), [(name("a"), "1".to_owned())]);
    }

    #[test]
    fn a_damaged_list_is_refused_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("joined"), "1 a\n2\n").unwrap();
        let error = Joined::open(dir.path()).unwrap_err();
        let error = error.to_string();
        assert!(error.starts_with("line 2 of the list of nodes that joined"), "{error}");
        assert!(error.contains("is no id and name: put the file back"), "{error}");
    }
}
