//! What templates may name, as values: variables, services, the node and the instance.
//!
//! Knows where placement put things. Refuses to know secrets: [`crate::scope`] does.

use std::collections::BTreeMap;

use devnet_schema::{
    desired::{DesiredState, Service},
    name::InstanceId,
};
use serde_json::{Map, Value, json};

use crate::bind::{Bindings, Placed};

/// The names that all instances share.
pub(crate) struct Names {
    shared: Map<String, Value>,
    /// Why a service has no address, by service.
    pub(crate) absent: BTreeMap<String, &'static str>,
}

impl Names {
    pub(crate) fn new(desired: &DesiredState, bindings: &Bindings) -> Self {
        let mut absent = BTreeMap::new();
        let services: Map<String, Value> = desired
            .services
            .iter()
            .map(|(name, service)| {
                let value = address(service, bindings).unwrap_or_else(|reason| {
                    absent.insert(name.to_string(), reason);
                    json!({})
                });
                (name.to_string(), value)
            })
            .collect();
        let shared = Map::from_iter([
            ("var".to_owned(), json!(desired.vars)),
            ("service".to_owned(), Value::Object(services)),
        ]);
        Self { shared, absent }
    }

    /// What a text of the cluster file may name.
    pub(crate) fn of_instance(&self, id: &InstanceId, placed: &Placed) -> Map<String, Value> {
        let mut names = self.shared.clone();
        names.extend(own(id, placed));
        names
    }
}

/// What every template may name: the node and the instance.
pub(crate) fn own(id: &InstanceId, placed: &Placed) -> [(String, Value); 2] {
    [
        ("node".to_owned(), json!({ "name": placed.node, "ip": placed.node_ip })),
        ("instance".to_owned(), json!({ "index": id.index })),
    ]
}

/// Where the first instance of a service is reached: at its main port.
fn address(service: &Service, bindings: &Bindings) -> Result<Value, &'static str> {
    let first = InstanceId { service: service.name.clone(), index: 0 };
    let placed = bindings
        .instances
        .range(first..)
        .next()
        .filter(|(id, _)| id.service == service.name)
        .map(|(_, placed)| placed)
        .ok_or("it is not placed on any node, so it has no address yet")?;
    let host = &placed.node_ip;
    let port = service.ports.first().and_then(|port| host_port(service, &port.value.name, placed));
    Ok(match port {
        // An IPv6 address is ambiguous before a port without brackets.
        Some(port) if host.contains(':') => {
            json!({ "host": host, "port": port, "address": format!("[{host}]:{port}") })
        }
        Some(port) => json!({ "host": host, "port": port, "address": format!("{host}:{port}") }),
        None => json!({ "host": host }),
    })
}

/// The port of the node at which a port of a service is reached.
pub(crate) fn host_port(service: &Service, name: &str, placed: &Placed) -> Option<u16> {
    use devnet_schema::instance::Runtime;
    let declared = service.ports.iter().map(|port| &port.value).find(|port| port.name == name)?;
    match service.runtime {
        // A process listens on the node itself.
        Runtime::Process => Some(declared.container),
        Runtime::Docker | Runtime::Kubernetes => placed.ports.get(name).copied().or(declared.host),
    }
}
