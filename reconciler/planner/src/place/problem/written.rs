//! The lines of a service as its file writes them, for people.
//!
//! Knows a line and where it stands. Refuses to know what it means.
//!
//! An explanation names the line that is in the way: `apart-from "db"` at `cluster.kdl:7:5`. A line
//! without a place of its own is said to be where the service is.

use std::collections::BTreeMap;

use devnet_schema::name::ServiceName;

use super::service::ServiceInput;

impl ServiceInput {
    /// The line that limits how many are on one node, as the file has it, and where.
    pub fn max_per_node_line(&self) -> (String, Option<&String>) {
        match self.max_per_node {
            Some(most) => (
                format!("max-per-node {most}"),
                self.places.max_per_node.as_ref().or(self.at.as_ref()),
            ),
            None => self.apart_from_line(std::slice::from_ref(self.name.declared())),
        }
    }

    /// The line that keeps these away, and where.
    pub fn apart_from_line(&self, names: &[ServiceName]) -> (String, Option<&String>) {
        self.line("apart-from", names, &self.places.apart_from)
    }

    /// The line that wants these on the same node, and where.
    pub fn near_line(&self, names: &[ServiceName]) -> (String, Option<&String>) {
        self.line("near", names, &self.places.near)
    }

    pub(super) fn line<'p>(
        &'p self,
        word: &str,
        names: &[ServiceName],
        places: &'p BTreeMap<ServiceName, String>,
    ) -> (String, Option<&'p String>) {
        let named: String = names.iter().map(|name| format!(" \"{name}\"")).collect();
        let at = names.iter().find_map(|name| places.get(name)).or(self.at.as_ref());
        (format!("{word}{named}"), at)
    }
}
