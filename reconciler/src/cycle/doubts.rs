//! Doubts: what is wrong with records and clocks, in sentences for people.
//!
//! Knows which rows cannot be read and which clocks disagree. Refuses to act on any of it.

use std::collections::BTreeMap;

use devnet_schema::name::NodeName;

use super::ControlPlane;
use crate::{
    auth::Misdated,
    store::{DATA_PLACE, StoreError, Unread},
};

/// How far two clocks may be apart before it is said, in milliseconds: certificates bear an hour,
/// people who compare logs do not.
const SKEW: u64 = 60_000;

/// So many rows that cannot be read are named; the others are counted.
const NAMED: usize = 20;

/// It is not known what some node was told to run.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UnknownOrders(String);

impl ControlPlane {
    /// What is wrong with the control plane itself.
    pub fn problems(&self) -> Vec<String> {
        let secrets = self.secrets.unread();
        let secrets = secrets.iter().map(|name| {
            format!("the record of secret `{name}` cannot be read: set the secret again")
        });
        let records = records(&self.store.unread()).into_iter().chain(secrets);
        let awaited = self.awaits_unheard().into_iter().chain(self.awaits_nodes());
        records.chain(awaited).chain(self.suspended_sentences()).collect()
    }

    /// Nothing can be planned while it is not known of some node what it was told to run, and it
    /// has not said so itself since the start.
    ///
    /// # Errors
    /// [`UnknownOrders`] then, or when records cannot be read.
    pub(super) fn orders_are_known(&self) -> anyhow::Result<()> {
        let damaged = self.unknown_orders()?.or(self.unknown_data()?);
        match damaged.or_else(|| self.awaits_unheard()).or_else(|| self.awaits_nodes()) {
            Some(why) => Err(UnknownOrders(why).into()),
            None => Ok(()),
        }
    }

    fn unknown_orders(&self) -> Result<Option<String>, StoreError> {
        for node in self.store.unread_assignments()? {
            match node.filter(|node| self.fleet.knows(node)) {
                Some(node) if !self.fleet.has_told(&node) => {
                    return Ok(Some(format!(
                        "a record of what runs on {node} cannot be read, and its agent has not \
                         reported yet: nothing is planned before; if the node is gone for good, \
                         take it out with `devnet node rm {node}`"
                    )));
                }
                None if !self.fleet.all_reported() => {
                    return Ok(Some(
                        "a record of what runs cannot be read, and not all agents have reported \
                         yet: nothing is planned before; take nodes that are gone for good out \
                         with `devnet node rm`"
                            .to_owned(),
                    ));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Data whose place cannot be read might be left behind by any plan, and no agent tells of it.
    fn unknown_data(&self) -> Result<Option<String>, StoreError> {
        self.store.data_places()?;
        let unread = self.store.unread().into_iter().find(|row| row.kind == DATA_PLACE);
        Ok(unread.map(|row| {
            format!(
                "{row}, and nothing is planned without knowing where data is: put back a backup of \
                 `state.db`, or move it away, and start again; agents then tell where what runs \
                 has its data"
            )
        }))
    }

    /// What is wrong with clocks, by node.
    pub(super) fn clocks(&self) -> BTreeMap<NodeName, String> {
        clocks(&self.authority.refusals().all(), &self.fleet.skews())
    }
}

fn records(unread: &[Unread]) -> Vec<String> {
    let named = unread.iter().take(NAMED).map(|row| format!("{row}: it is left out"));
    let more = unread.len().saturating_sub(NAMED);
    let more = (more > 0).then(|| format!("{more} more records cannot be read"));
    named.chain(more).collect()
}

fn clocks(
    refused: &BTreeMap<NodeName, Misdated>,
    skews: &BTreeMap<NodeName, i64>,
) -> BTreeMap<NodeName, String> {
    let refused = refused.iter().map(|(node, misdated)| (node.clone(), misdated.to_string()));
    let apart = skews.iter().filter(|(_, skew)| skew.unsigned_abs() > SKEW);
    let apart = apart.map(|(node, skew)| (node.clone(), sentence(*skew)));
    // A node that is connected was not refused since.
    refused.chain(apart).collect()
}

fn sentence(skew: i64) -> String {
    let seconds = skew.unsigned_abs() / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let long = match (days, hours, minutes) {
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} days {hours} h"),
    };
    let which = if skew < 0 { "behind" } else { "ahead of" };
    format!("its clock is {long} {which} that of the control plane: set it (NTP keeps it right)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_are_more_than_a_minute_apart_are_told() {
        let node = |name: &str| name.parse::<NodeName>().unwrap();
        let skews = BTreeMap::from([
            (node("a"), 59_000),
            (node("b"), -60_001),
            (node("c"), 7_380_000),
            (node("d"), -864_000_000),
            (node("e"), i64::MIN),
        ]);
        let told = clocks(&BTreeMap::new(), &skews);
        let told: Vec<_> = told.values().map(|it| it.split(" that").next().unwrap()).collect();
        let expected = [
            "its clock is 1 min 0 s behind",
            "its clock is 2 h 3 min ahead of",
            "its clock is 10 days 0 h behind",
            "its clock is 106751991167 days 7 h behind",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn rows_are_named_as_long_as_someone_would_read_them() {
        let row = |number: usize| Unread { kind: "event", row: number.to_string() };
        let few = records(&[row(7)]);
        assert_eq!(few, ["the record of event 7 cannot be read: it is left out"]);
        let all: Vec<_> = (0..30).map(row).collect();
        let many = records(&all);
        assert_eq!((many.len(), &*many[20]), (21, "10 more records cannot be read"));
    }
}
