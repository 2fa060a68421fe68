//! Older records: a `state.db` that was put back knows nothing of what was ordered since.
//!
//! Knows three signs of that: a count of deployments beside the records, the mark that came with a
//! node's newest order, and a certificate of a node that is not on record. No node can make one of
//! them. Refuses to plan anything before every node has said what it was told, and to take the word
//! of one node against what the records say of another.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use devnet_schema::{
    instance::Generation,
    name::{InstanceId, NodeName},
    observed::ObservedInstance,
    wire::Origin,
};
use tracing::error;

use super::{AdapterError, ControlPlane, volumes::Word};
use crate::{
    clock,
    store::{ClaimRecord, StoreError},
};

/// So many nodes or instances are named one by one.
const NAMED: usize = 5;

/// `n1, n2 and 3 more`.
pub(super) fn named<T: ToString>(all: &[T]) -> String {
    let first: Vec<String> = all.iter().take(NAMED).map(ToString::to_string).collect();
    match all.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

impl ControlPlane {
    /// Whether a node may open a session, and whether what it was told before shows that the
    /// records are older.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(super) fn admit_session(
        &self,
        name: &NodeName,
        id: &str,
        origin: &Origin,
    ) -> Result<Result<(), String>, AdapterError> {
        let admitted = self.admit(name, id)?;
        let mark = origin.mark.as_ref().filter(|mark| self.authority.made_mark(id, mark));
        if let (Ok(()), Some(mark)) = (&admitted, mark)
            && self.store.raise_orders(id, mark.number)?
        {
            self.records_are_older(&format!("{name} was given orders that they do not know"))?;
        }
        Ok(admitted)
    }

    /// From now on every node is asked what it was told, that was not asked since the start.
    ///
    /// # Errors
    /// When the records cannot be written.
    pub(super) fn records_are_older(&self, sign: &str) -> Result<(), StoreError> {
        let asked = self.orders().asked();
        let doubted = self.store.doubt_nodes(asked)?;
        if !self.orders().doubt(doubted.clone()) {
            return Ok(());
        }
        // Who has said what it runs by now need not say it again.
        for node in doubted.iter().filter(|node| self.fleet.is_online(node)) {
            let (complete, instances) = self.fleet.report_of(node);
            if complete {
                self.take_claims(node, &instances, Word::Node)?;
            }
        }
        let text = format!(
            "an older copy of `state.db` was put back, or it was lost: {sign}; nothing is planned \
             until every node has said what it was told to run"
        );
        self.journal.write("node", "records", &text);
        Ok(())
    }

    /// Why nothing can be planned yet: the records are older than the nodes, and these have not
    /// said what they were told. One that is lost is not waited for.
    pub(super) fn awaits_nodes(&self) -> Option<String> {
        let lost_after = self.lost_after();
        let doubted = self.orders().doubted();
        let unheard = self.unheard();
        let doubted = doubted.into_iter().filter(|node| !unheard.contains(node));
        let awaited = doubted.filter(|node| !self.fleet.is_lost(node, lost_after));
        let awaited: Vec<NodeName> = awaited.collect();
        (!awaited.is_empty()).then(|| {
            format!(
                "`state.db` is older than what nodes were told since: nothing is planned until \
                 these have said what they run: {}; take those that are gone for good out with \
                 `devnet node rm`",
                named(&awaited)
            )
        })
    }

    /// What the claims of a node that the records know too little of may be: what it was told after
    /// the records were copied. What it was told otherwise since, by its own word, is no order of
    /// it any more.
    ///
    /// # Errors
    /// When the records cannot be read or written.
    pub(super) fn since_then(
        &self,
        node: &NodeName,
        reported: &[ObservedInstance],
        claims: &mut BTreeMap<InstanceId, ClaimRecord>,
    ) -> Result<(), StoreError> {
        let issued = self.store.generations()?;
        claims.retain(|id, claim| claim.generation > issued.get(id).copied().unwrap_or(0));
        let accepted = self.fleet.accepted_of(node);
        let there: BTreeSet<InstanceId> = reported.iter().map(ObservedInstance::instance).collect();
        let told: BTreeMap<InstanceId, Generation> = self.orders().told_to(node);
        let given_up: Vec<InstanceId> = told
            .into_iter()
            .filter(|(id, at)| !there.contains(id) && accepted.get(id).is_none_or(|it| it > at))
            .map(|(id, _)| id)
            .collect();
        for instance in &given_up {
            self.stopped(instance, node)?;
        }
        let newer: Vec<&InstanceId> =
            claims.keys().filter(|id| self.orders().order(id, node).is_none()).collect();
        let said = |what: &str, ids: &[&InstanceId]| match ids {
            [] => None,
            ids => Some(format!("{what} {}", named(ids))),
        };
        let given_up: Vec<&InstanceId> = given_up.iter().collect();
        let news = [said("it was told to run", &newer), said("it no longer runs", &given_up)];
        let news: Vec<String> = news.into_iter().flatten().collect();
        if !news.is_empty() {
            let text = format!("{node} says what the records do not know: {}", news.join("; "));
            self.journal.write("node", &format!("node.{node}"), &text);
        }
        Ok(())
    }

    /// Prefers what a node runs to older orders of others that do not run it: an operator says so.
    ///
    /// # Errors
    /// When the records cannot be written.
    pub(super) fn prefer(&self, node: &NodeName) -> Result<(), StoreError> {
        let beaten = self.orders().beaten_by(node);
        for (instance, other) in beaten {
            let runs = self.fleet.is_online(&other)
                && self.fleet.report_of(&other).1.iter().any(|it| it.instance() == instance);
            if !runs {
                self.stopped(&instance, &other)?;
            }
        }
        Ok(())
    }

    /// Finishes the removal of nodes that are refused and on record all the same: the records are
    /// of before, or the power went in between.
    ///
    /// # Errors
    /// When the records cannot be read or written.
    pub(super) fn finish_removals(&self) -> Result<(), StoreError> {
        for record in self.store.nodes()? {
            if self.revoked.holds(&record.id) {
                self.store.remove_node(&record.name, clock::wall())?;
                self.forget(&record.name)?;
                let text = format!("{} was taken out before: its id is refused", record.name);
                self.journal.node(&record.name, &text);
            }
        }
        Ok(())
    }

    fn count_file(&self) -> PathBuf {
        self.config.name_file.with_file_name("deployments")
    }

    /// Writes beside the records how many deployments there were.
    pub(super) fn keep_count(&self) {
        let kept = self.store.deployment_count().map_err(anyhow::Error::from);
        let kept = kept.and_then(|it| Ok(fs::write(self.count_file(), format!("{it}\n"))?));
        if let Err(error) = kept {
            // Nodes keep marks of their own.
            error!(error = format!("{error:#}"), "keeping the count of deployments");
        }
    }

    /// Compares the records with the count beside them.
    ///
    /// # Errors
    /// When the records cannot be read or written.
    pub(super) fn compare_count(&self) -> Result<(), StoreError> {
        let text = fs::read_to_string(self.count_file()).unwrap_or_default();
        let (kept, here) = (text.trim().parse().unwrap_or(0), self.store.deployment_count()?);
        if here < kept {
            self.records_are_older(&format!("it has {here} of {kept} deployments"))?;
        }
        if here != kept {
            self.keep_count();
        }
        Ok(())
    }
}
