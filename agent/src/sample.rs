//! Small specs and units for tests. Knows nothing of real services.
#![cfg(test)]

use std::sync::Arc;

use devnet_schema::{
    instance::{InstanceSpec, PortSpec, Protocol, Workload},
    observed::InstanceState,
    quantity::Period,
    secret::Text,
};

use crate::driver::Unit;

/// A process of instance `web[0]` on node `n1` of cluster `home`.
pub(crate) fn process(argv: &[&str]) -> InstanceSpec {
    let argv = argv.iter().map(|one| Text::plain(*one)).collect();
    let mut spec = InstanceSpec {
        cluster: "home".parse().unwrap(),
        id: "web[0]".parse().unwrap(),
        node: "n1".parse().unwrap(),
        workload: Workload::Process { argv },
        env: Default::default(),
        files: Default::default(),
        ports: vec![],
        volumes: vec![],
        limits: Default::default(),
        gpus: vec![],
        health: None,
        stop: Default::default(),
        run_once: false,
        schedule: None,
        protect: false,
    };
    spec.stop.grace = Period::seconds(5);
    spec
}

/// A TCP port.
pub(crate) fn port(container: u16, host: u16, bind: &str) -> PortSpec {
    let (name, bind) = (format!("p{container}"), bind.to_owned());
    PortSpec { name, container, host, bind, protocol: Protocol::Tcp }
}

/// A unit of that spec.
pub(crate) fn unit(spec: &InstanceSpec, generation: u64, state: InstanceState) -> Unit {
    Unit {
        id: spec.id.clone(),
        generation,
        digest: spec.digest(),
        spec: Some(Arc::new(spec.clone())),
        runtime: spec.workload.runtime(),
        state,
        ending: false,
        restarts: 0,
        message: None,
        address: None,
        run: format!("run-{generation}"),
        started_at: 0,
    }
}
