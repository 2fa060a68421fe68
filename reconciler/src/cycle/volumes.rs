//! Volumes that nodes say they keep: claims about data, taken when a node is asked what it was
//! told; and what a node says that it has no more.
//!
//! Knows which of them nothing is on record of, and what each is worth. Refuses to believe a node
//! at any other time, and to put its word above a record.

use std::{collections::BTreeMap, sync::Arc};

use devnet_schema::{
    fleet::DataPlace,
    instance::{Generation, Runtime, VolumeSpec},
    name::{InstanceId, NodeName, ServiceName},
    wire::Receipt,
};

use super::{ControlPlane, older::named};
use crate::{
    auth::Authority,
    fleet::Volumes,
    store::{Made, StoreError},
};

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

/// A volume as far as a node knows it: of most it does not know where a unit would see it.
fn told(
    (name, path): (&str, &str),
    data_of: Option<InstanceId>,
    project: Option<ServiceName>,
) -> VolumeSpec {
    let (name, path) = (name.to_owned(), path.to_owned());
    VolumeSpec { name, path, data_of, project, read_only: false }
}

/// Every volume with whose data it is: that of who used it last. Of two of one name that somebody
/// used, that of another owner comes first: it went on with that.
fn used(volumes: &Volumes) -> impl Iterator<Item = (&InstanceId, Runtime, VolumeSpec)> {
    let renamed = volumes.own.iter().filter_map(|it| {
        let user = it.user.as_ref().filter(|user| **user != it.instance)?;
        Some((user, it.runtime, told((&it.name, ""), Some(it.instance.clone()), None)))
    });
    let own = volumes.own.iter().filter(|it| it.user.as_ref().is_none_or(|of| *of == it.instance));
    let own = own.map(|it| (&it.instance, it.runtime, told((&it.name, ""), None, None)));
    let shared = volumes.shared.iter().flat_map(|it| {
        let of = |path: &str| told((&it.name, path), None, Some(it.project.clone()));
        it.users.iter().map(move |(user, path)| (user, it.runtime, of(path)))
    });
    renamed.chain(own).chain(shared)
}

/// The places of data that the volumes of a node make, where nothing is on record of them.
fn claims(
    node: &NodeName,
    volumes: &Volumes,
    known: &[DataPlace],
    worth: Worth,
    shown: impl Fn(&InstanceId) -> bool,
) -> Vec<DataPlace> {
    let mut newest: BTreeMap<&InstanceId, Generation> = BTreeMap::new();
    for place in known.iter().filter(|place| place.node != *node) {
        let highest = newest.entry(&place.instance).or_insert(0);
        *highest = place.generation.max(*highest);
    }
    let mut places: BTreeMap<&InstanceId, DataPlace> = BTreeMap::new();
    for (instance, runtime, volume) in used(volumes) {
        let elsewhere = newest.get(instance).copied().unwrap_or(0);
        let place = places.entry(instance).or_insert_with(|| DataPlace {
            instance: instance.clone(),
            node: node.clone(),
            generation: match worth {
                Worth::Least => 0,
                Worth::Newest => elsewhere,
                Worth::Confirmed => Generation::from(elsewhere == 0),
            },
            runtime: Some(runtime),
            volumes: Vec::new(),
            missing: Vec::new(),
            shown: worth == Worth::Confirmed || shown(instance),
        });
        let known = place.volumes.iter().any(|it| it.name == volume.name);
        // Of two drivers, the first counts.
        if place.runtime == Some(runtime) && !known {
            place.volumes.push(volume);
        }
    }
    let on_record = |place: &DataPlace| {
        let same = |it: &&DataPlace| it.instance == place.instance && it.node == *node;
        known.iter().find(same).is_some_and(|it| it.generation > 0)
    };
    places.into_values().filter(|place| !on_record(place)).collect()
}

/// What a node has to show for what it was told to run.
pub(super) struct Shown<'a> {
    authority: &'a Authority,
    id: String,
    receipts: BTreeMap<InstanceId, Vec<Receipt>>,
}

impl Shown<'_> {
    /// Whether it has the receipt of the order of this generation.
    pub(super) fn was_told(&self, instance: &InstanceId, generation: Generation) -> bool {
        self.of(instance).any(|receipt| receipt.generation == generation)
    }

    /// Whether it has the receipt of any order of the instance.
    pub(super) fn knows(&self, instance: &InstanceId) -> bool {
        self.of(instance).next().is_some()
    }

    fn of(&self, instance: &InstanceId) -> impl Iterator<Item = &Receipt> {
        let all = self.receipts.get(instance).into_iter().flatten();
        all.filter(move |it| self.authority.made_receipt(&self.id, instance, it))
    }
}

impl ControlPlane {
    /// What a node has to show.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(super) fn receipts_of(&self, node: &NodeName) -> Result<Shown<'_>, StoreError> {
        let id = self.store.node(node)?.map(|record| record.id).unwrap_or_default();
        Ok(Shown { authority: &self.authority, id, receipts: self.fleet.receipts_of(node) })
    }

    /// Where data is, with what of it nodes say that they have no more. What they say that they
    /// have is written down: only that can be missed later.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(super) fn data_places(&self) -> Result<Vec<DataPlace>, StoreError> {
        let mut told: BTreeMap<NodeName, Option<Arc<Volumes>>> = BTreeMap::new();
        let (mut places, mut news) = (Vec::new(), Vec::new());
        for Made { mut place, mut volumes } in self.store.data_places_made()? {
            let told = told.entry(place.node.clone());
            if let Some(told) = told.or_insert_with_key(|node| self.fleet.told_volumes_of(node)) {
                place.missing = told.lacks(&place, &volumes);
                let found = told.found(&place);
                if !found.is_subset(&volumes) {
                    volumes.extend(found);
                    news.push(Made { place: place.clone(), volumes });
                }
            }
            places.push(place);
        }
        if let Err(error) = self.store.made(&news) {
            // It is noticed again with the next plan.
            tracing::warn!(%error, "which volumes were made is not written down");
        }
        Ok(places)
    }

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
        let volumes = self.fleet.volumes_of(node);
        let known = self.store.data_places()?;
        let receipts = self.receipts_of(node)?;
        let places = claims(node, &volumes, &known, worth, |instance| receipts.knows(instance));
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
    use devnet_schema::observed::{HeldVolume, SharedVolume};

    use super::*;

    fn place(id: &str, node: &str, generation: Generation) -> DataPlace {
        let (instance, node) = (id.parse().unwrap(), node.parse().unwrap());
        let (volumes, missing) = (Vec::new(), Vec::new());
        DataPlace { instance, node, generation, runtime: None, volumes, missing, shown: false }
    }

    fn held(id: &str, name: &str, runtime: Runtime) -> HeldVolume {
        HeldVolume { instance: id.parse().unwrap(), name: name.to_owned(), runtime, user: None }
    }

    fn of(own: &[HeldVolume]) -> Volumes {
        Volumes { own: own.to_vec(), ..Volumes::default() }
    }

    #[test]
    fn a_claim_never_beats_a_record_and_an_operator_beats_other_claims() {
        let volumes = of(&[
            held("db[0]", "data", Runtime::Docker),
            held("db[0]", "logs", Runtime::Docker),
            held("db[0]", "data", Runtime::Process),
            held("pg[0]", "data", Runtime::Docker),
            held("web[0]", "data", Runtime::Docker),
        ]);
        // Of db and pg another node has some, of web this one: of that nothing is claimed.
        let known = [place("db[0]", "n1", 4), place("pg[0]", "n1", 0), place("web[0]", "n2", 3)];
        let told = |worth| {
            let n2 = "n2".parse().unwrap();
            let all = claims(&n2, &volumes, &known, worth, |id| id.service.as_str() == "db");
            let shown =
                |it: &DataPlace| worth == Worth::Confirmed || it.instance.to_string() == "db[0]";
            assert!(all.iter().all(|it| it.shown == shown(it)), "{all:?}");
            let told = all.iter().map(|it| (it.instance.to_string(), it.generation));
            told.collect::<Vec<_>>()
        };
        let of = |db, pg| vec![("db[0]".to_owned(), db), ("pg[0]".to_owned(), pg)];
        assert_eq!(told(Worth::Least), of(0, 0));
        assert_eq!(told(Worth::Newest), of(4, 0));
        assert_eq!(told(Worth::Confirmed), of(0, 1));
        let all = claims(&"n2".parse().unwrap(), &volumes, &known, Worth::Least, |_| false);
        let names: Vec<_> = all[0].volumes.iter().map(|it| it.name.as_str()).collect();
        assert_eq!((all[0].runtime, names), (Some(Runtime::Docker), vec!["data", "logs"]));
    }

    #[test]
    fn data_is_of_who_used_it_last_under_the_name_that_it_has() {
        let mut renamed = held("na[0]", "data", Runtime::Process);
        renamed.user = Some("nb[0]".parse().unwrap());
        // It had one of its own before.
        let own = [renamed, held("nb[0]", "data", Runtime::Process)];
        let users = ["shop-app[0]", "shop-db[0]"];
        let shared = SharedVolume {
            project: "shop".parse().unwrap(),
            name: "db-1".to_owned(),
            runtime: Runtime::Docker,
            users: users.map(|id| (id.parse().unwrap(), format!("/{id}"))).into(),
        };
        let volumes = Volumes { own: own.to_vec(), shared: vec![shared], ..Volumes::default() };
        // A record of the old name, from before the rename, says nothing of the new one.
        let known = [place("na[0]", "n2", 5), place("shop-app[0]", "n2", 3)];
        let all = claims(&"n2".parse().unwrap(), &volumes, &known, Worth::Newest, |_| false);
        let all: Vec<_> = all.iter().map(|it| (it.instance.to_string(), &it.volumes)).collect();
        let [(nb, data), (db, shared)] = &all[..] else { panic!("{all:?}") };
        assert_eq!((&**nb, &**db, data.len(), shared.len()), ("nb[0]", "shop-db[0]", 1, 1));
        assert_eq!(data[0].data_of.as_ref().unwrap().to_string(), "na[0]");
        let project = shared[0].project.as_ref().unwrap().as_str();
        assert_eq!((project, &*shared[0].path), ("shop", "/shop-db[0]"));
    }
}
