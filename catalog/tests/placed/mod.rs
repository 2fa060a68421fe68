//! A configuration, placed the way a test needs it: the same every time, with no solver.

use std::collections::BTreeMap;

use devnet_catalog::{Bindings, Loaded, Placed, load};
use devnet_schema::{
    diagnostic::Diagnostic,
    instance::{InstanceSpec, Runtime},
    name::InstanceId,
};

/// Files in memory with `cluster.kdl` as the root.
pub fn read(root: &str, more: &[(&str, &str)]) -> Loaded {
    let mut files: BTreeMap<String, String> =
        more.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    files.insert("cluster.kdl".to_owned(), root.to_owned());
    load("cluster.kdl", &files, &BTreeMap::new())
}

/// Instance N of every service on node nN, with address 10.0.0.(N+1); ports without a number of
/// their own get 20000 and up.
pub fn bindings(loaded: &Loaded, secrets: Option<&[(&str, u64)]>) -> Bindings {
    let desired = loaded.desired.as_ref().expect("the configuration has no errors");
    let mut bindings = Bindings {
        secrets: secrets.map(|all| {
            let made = desired.generated.keys().map(|name| (name.to_string(), 1));
            made.chain(all.iter().map(|(k, v)| ((*k).to_owned(), *v))).collect()
        }),
        ..Bindings::default()
    };
    let mut next = 20_000;
    for service in desired.services.values() {
        for index in service.replicas.numbers() {
            let mut ports = BTreeMap::new();
            for port in service.ports.iter().map(|port| &port.value) {
                let process = service.runtime == Runtime::Process;
                let host = port.host.unwrap_or(if process { port.container } else { next });
                next += u16::from(host == next);
                ports.insert(port.name.clone(), host);
            }
            let placed = Placed {
                node: format!("n{index}").parse().unwrap(),
                node_ip: format!("10.0.0.{}", index + 1),
                gpus: Vec::new(),
                ports,
            };
            bindings.instances.insert(InstanceId { service: service.name.clone(), index }, placed);
        }
    }
    bindings
}

/// The rendered instances of a configuration.
pub fn render(
    root: &str,
    more: &[(&str, &str)],
    secrets: Option<&[(&str, u64)]>,
) -> Result<Vec<InstanceSpec>, Vec<Diagnostic>> {
    let loaded = read(root, more);
    if loaded.desired.is_none() {
        return Err(loaded.diagnostics);
    }
    let bindings = bindings(&loaded, secrets);
    devnet_catalog::render(&loaded.catalog, loaded.desired.as_ref().unwrap(), &bindings)
}

/// Diagnostics one after another, as people see them.
#[allow(dead_code, reason = "each test file is a program of its own and uses what it needs")]
pub fn print(found: &[Diagnostic]) -> String {
    found.iter().map(|diagnostic| format!("{diagnostic}\n")).collect()
}
