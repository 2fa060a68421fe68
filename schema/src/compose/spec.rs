//! The normal form to the container that a unit runs.
//!
//! Knows every field of both, by name. Refuses to know what a text is made of: whoever calls turns
//! texts into what an agent gets.

use std::collections::BTreeMap;

use super::{
    grant::Ask,
    model::{Attachment, Network, Service},
};
use crate::{
    container::{HostAccess, NetworkSpec},
    diagnostic::Located,
    instance::ContainerSpec,
    name::ServiceName,
    secret::Text,
};

/// How texts become what an agent gets.
pub trait Texts {
    /// One that may hold secrets.
    fn text(&mut self, text: Located<String>) -> Text;
    /// One that everybody may see; `what` it is, for messages.
    fn plain(&mut self, text: Located<String>, what: &str) -> String;
}

/// The container of a service, whose asks were granted. `networks` are those of its project; a
/// service without a project is in the engine's usual network.
///
/// Ports, volumes, environment, files, limits and health are the unit's, not the container's.
pub fn container(
    service: Service,
    project: Option<(&ServiceName, &BTreeMap<String, Network>)>,
    texts: &mut dyn Texts,
) -> ContainerSpec {
    // Named in full: a field that is forgotten here is one that the file says in vain.
    let Service {
        at: _,
        image,
        entrypoint,
        command,
        env: _,
        ports: _,
        volumes: _,
        files: _,
        health: _,
        stop_signal: _,
        stop_grace_period: _,
        shm_size,
        user,
        hostname,
        init,
        labels,
        run_once: _,
        restart: _,
        depends_on: _,
        limits: _,
        reservations: _,
        gpus: _,
        replicas: _,
        global: _,
        max_per_node: _,
        max_unavailable: _,
        platform: _,
        settings,
        networks,
        shares: _,
        asks,
    } = service;
    let mut words = |words: Vec<Located<String>>| -> Vec<Text> {
        words.into_iter().map(|word| texts.text(word)).collect()
    };
    let entrypoint = entrypoint.map(&mut words);
    let command = command.map(&mut words);
    let host = access(asks);
    let networks = match project {
        Some((name, known)) => {
            let one = |it: Located<Attachment>| network(name, known, it.value);
            networks.into_iter().map(one).collect()
        }
        None => Vec::new(),
    };
    ContainerSpec {
        image: image.map(|text| texts.plain(text, "an image reference")).unwrap_or_default(),
        entrypoint,
        command,
        user: user.map(|text| texts.plain(text, "a user")),
        hostname: hostname.map(|text| texts.plain(text, "a host name")),
        shm_size: shm_size.map(|size| size.value),
        init,
        labels: labels
            .into_iter()
            .map(|(name, text)| (name, texts.plain(text, "a label")))
            .collect(),
        settings,
        networks,
        // Which instances they are, whoever places them knows.
        shares: Vec::new(),
        host,
    }
}

/// What it asks of its node, as granted.
fn access(asks: Vec<Located<Ask>>) -> HostAccess {
    let mut host = HostAccess::default();
    asks.into_iter().for_each(|ask| ask.value.give(&mut host));
    host.namespaces.sort();
    host.namespaces.dedup();
    host
}

fn network(
    project: &ServiceName,
    known: &BTreeMap<String, Network>,
    attachment: Attachment,
) -> NetworkSpec {
    let Attachment { network: name, aliases, address } = attachment;
    let Network { internal, subnet, gateway, external: _ } =
        known.get(&name).cloned().unwrap_or_default();
    NetworkSpec { project: project.clone(), name, aliases, internal, subnet, gateway, address }
}
