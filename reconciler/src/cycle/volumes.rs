//! Volumes that nodes say they keep: claims about data, taken when a node is asked what it was
//! told.
//!
//! Knows which of them nothing is on record of, and what each is worth. Refuses to believe a node
//! at any other time, and to put its word above a record.

use std::collections::BTreeMap;

use devnet_schema::{
    fleet::DataPlace,
    instance::{Generation, VolumeSpec},
    name::{InstanceId, NodeName},
    observed::HeldVolume,
};

use super::{ControlPlane, older::named};
use crate::store::StoreError;

/// Whose word it is that a node has the data which it claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    /// The node's, since the records were lost or are older.
    Node,
    /// An operator's.
    Operator,
}

/// What claims are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Worth {
    /// The records were lost: anything on record since is newer.
    Least,
    /// The records are older than the node: as much as the newest on record, so that neither counts
    /// before an operator says which.
    Newest,
    /// An operator says so: more than what other nodes say, and less than any record.
    Confirmed,
}

/// The places of data that the volumes of a node make, where nothing is on record of them.
fn claims(
    node: &NodeName,
    volumes: &[HeldVolume],
    known: &[DataPlace],
    worth: Worth,
) -> Vec<DataPlace> {
    let mut newest: BTreeMap<&InstanceId, Generation> = BTreeMap::new();
    for place in known.iter().filter(|place| place.node != *node) {
        let highest = newest.entry(&place.instance).or_insert(0);
        *highest = place.generation.max(*highest);
    }
    let mut places: BTreeMap<&InstanceId, DataPlace> = BTreeMap::new();
    for HeldVolume { instance, name, runtime } in volumes {
        let elsewhere = newest.get(instance).copied().unwrap_or(0);
        let place = places.entry(instance).or_insert_with(|| DataPlace {
            instance: instance.clone(),
            node: node.clone(),
            generation: match worth {
                Worth::Least => 0,
                Worth::Newest => elsewhere,
                Worth::Confirmed => Generation::from(elsewhere == 0),
            },
            runtime: Some(*runtime),
            volumes: Vec::new(),
        });
        // Of two drivers, the first counts.
        if place.runtime == Some(*runtime) {
            place.volumes.push(VolumeSpec {
                name: name.clone(),
                // The node does not know where a unit would see it.
                path: String::new(),
                data_of: None,
                project: None,
                read_only: false,
            });
        }
    }
    let on_record = |place: &DataPlace| {
        let same = |it: &&DataPlace| it.instance == place.instance && it.node == *node;
        known.iter().find(same).is_some_and(|it| it.generation > 0)
    };
    places.into_values().filter(|place| !on_record(place)).collect()
}

impl ControlPlane {
    /// Takes what a node says of data, where nothing is on record of it there.
    ///
    /// # Errors
    /// When the records cannot be read or written.
    pub(super) fn claim_volumes(&self, node: &NodeName, word: Word) -> Result<(), StoreError> {
        let older = self.orders().is_since(node) && !self.config.records_lost;
        let worth = match word {
            Word::Operator => Worth::Confirmed,
            Word::Node if older => Worth::Newest,
            Word::Node => Worth::Least,
        };
        let places = claims(node, &self.fleet.volumes_of(node), &self.store.data_places()?, worth);
        if places.is_empty() {
            return Ok(());
        }
        self.store.claim_data(&places)?;
        let ids: Vec<&InstanceId> = places.iter().map(|place| &place.instance).collect();
        let text = format!("{node} says that it has data of {}", named(&ids));
        self.journal.node_reports(node, self.since_start(), &text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use devnet_schema::instance::Runtime;

    use super::*;

    fn place(id: &str, node: &str, generation: Generation) -> DataPlace {
        let (instance, node) = (id.parse().unwrap(), node.parse().unwrap());
        DataPlace { instance, node, generation, runtime: None, volumes: Vec::new() }
    }

    fn held(id: &str, name: &str, runtime: Runtime) -> HeldVolume {
        HeldVolume { instance: id.parse().unwrap(), name: name.to_owned(), runtime }
    }

    #[test]
    fn a_claim_never_beats_a_record_and_an_operator_beats_other_claims() {
        let volumes = [
            held("db[0]", "data", Runtime::Docker),
            held("db[0]", "logs", Runtime::Docker),
            held("db[0]", "data", Runtime::Process),
            held("pg[0]", "data", Runtime::Docker),
            held("web[0]", "data", Runtime::Docker),
        ];
        // Of db and pg another node has some, of web this one: of that nothing is claimed.
        let known = [place("db[0]", "n1", 4), place("pg[0]", "n1", 0), place("web[0]", "n2", 3)];
        let told = |worth| {
            let all = claims(&"n2".parse().unwrap(), &volumes, &known, worth);
            let told = all.iter().map(|it| (it.instance.to_string(), it.generation));
            told.collect::<Vec<_>>()
        };
        let of = |db, pg| vec![("db[0]".to_owned(), db), ("pg[0]".to_owned(), pg)];
        assert_eq!(told(Worth::Least), of(0, 0));
        assert_eq!(told(Worth::Newest), of(4, 0));
        assert_eq!(told(Worth::Confirmed), of(0, 1));
        let all = claims(&"n2".parse().unwrap(), &volumes, &known, Worth::Least);
        let names: Vec<_> = all[0].volumes.iter().map(|it| it.name.as_str()).collect();
        assert_eq!((all[0].runtime, names), (Some(Runtime::Docker), vec!["data", "logs"]));
    }
}
