//! What templates may name, as values: variables, services, the node and the instance.
//!
//! Knows where placement put things. Refuses to know the values of secrets: an address that holds
//! one has a marker for it.

use std::{collections::BTreeMap, sync::Arc};

use devnet_schema::{
    component::Components,
    desired::{DesiredState, Form, Service},
    name::InstanceId,
    secret::SecretRef,
};
use serde_json::{Map, Value, json};

use crate::{
    Catalog,
    bind::{Bindings, Placed},
    marker::Markers,
    offers::{self, Ground},
};

/// The names that all instances share.
pub(crate) struct Names {
    shared: Map<String, Value>,
    /// Why a service has no address, by service.
    pub(crate) absent: BTreeMap<String, &'static str>,
    /// Offers by kind, of the kinds that a component collects.
    offers: BTreeMap<String, Vec<Value>>,
    /// The secrets that markers in these names stand for.
    secrets: Arc<Vec<SecretRef>>,
}

impl Names {
    pub(crate) fn new(catalog: &Catalog, desired: &DesiredState, bindings: &Bindings) -> Self {
        let mut absent = BTreeMap::new();
        let mut services: Map<String, Value> = desired
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
        let shared = |services: Map<String, Value>| {
            Map::from_iter([
                ("var".to_owned(), json!(desired.vars)),
                ("service".to_owned(), Value::Object(services)),
            ])
        };
        // Parameters may name addresses of other services, but not what those offer: that would
        // have no end.
        let plain = shared(services.clone());
        let ground = Ground { catalog, desired, bindings, shared: &plain, absent: &absent };
        let mut markers = Markers::default();
        for (name, service) in &desired.services {
            if let Some(Value::Object(own)) = services.get_mut(name.as_str())
                && let Some(more) = main_offer(&ground, &mut markers, service)
            {
                own.extend(more);
            }
        }
        let offers = offers::collected(&ground, &mut markers);
        Self { shared: shared(services), absent, offers, secrets: markers.into_shared() }
    }

    /// Markers of texts in which these names may stand.
    pub(crate) fn markers(&self) -> Markers {
        Markers::onward(&self.secrets)
    }

    /// What a text of the cluster file may name.
    pub(crate) fn of_instance(&self, id: &InstanceId, placed: &Placed) -> Map<String, Value> {
        let mut names = self.shared.clone();
        names.extend(own(id, placed));
        names
    }

    /// What a template of a component may name beside its parameters and secrets.
    pub(crate) fn of_component(
        &self,
        service: &Service,
        bindings: &Bindings,
        (id, placed): (&InstanceId, &Placed),
        collects: &[String],
    ) -> Map<String, Value> {
        let mut names = Map::from_iter(own(id, placed));
        let instance = json!({ "index": id.index, "count": service.replicas.count() });
        names.insert("instance".to_owned(), instance);
        names.insert("ports".to_owned(), ports(service, placed));
        let first = InstanceId { service: service.name.clone(), index: 0 };
        let all = bindings.instances.range(first..);
        let all = all.take_while(|(id, _)| id.service == service.name);
        let peer = |(id, placed): (&InstanceId, &Placed)| {
            let ports = ports(service, placed);
            json!({ "index": id.index, "host": placed.node_ip, "ports": ports })
        };
        names.insert("peers".to_owned(), all.map(peer).collect());
        let given = |kind: &String| {
            let list = self.offers.get(kind).cloned().unwrap_or_default();
            (kind.clone(), Value::Array(list))
        };
        let offers: Map<String, Value> = collects.iter().map(given).collect();
        names.insert("offers".to_owned(), Value::Object(offers));
        names
    }
}

/// What every template may name: the node and the instance.
fn own(id: &InstanceId, placed: &Placed) -> [(String, Value); 2] {
    [
        ("node".to_owned(), json!({ "name": placed.node, "ip": placed.node_ip })),
        ("instance".to_owned(), json!({ "index": id.index })),
    ]
}

/// The node's port by port name.
fn ports(service: &Service, placed: &Placed) -> Value {
    let one = |name: &String| Some((name.clone(), json!(host_port(service, name, placed)?)));
    let all = service.ports.iter().filter_map(|port| one(&port.value.name));
    Value::Object(all.collect())
}

/// Where the first instance of a service is reached: at its main port.
fn address(service: &Service, bindings: &Bindings) -> Result<Value, &'static str> {
    let (_, placed) =
        first(service, bindings).ok_or("it is not placed on any node, so it has no address yet")?;
    let port = service.ports.first().and_then(|port| host_port(service, &port.value.name, placed));
    Ok(match port {
        Some(port) => endpoint(&placed.node_ip, port),
        None => json!({ "host": placed.node_ip }),
    })
}

/// `url` and `key` of the main offer of a service's first instance.
fn main_offer(
    ground: &Ground<'_>,
    markers: &mut Markers,
    service: &Service,
) -> Option<Map<String, Value>> {
    let Form::Component { name, .. } = &service.form else { return None };
    let offer = ground.catalog.signature(&name.value)?.offers.first()?;
    let instance = first(service, ground.bindings)?;
    let Value::Object(mut made) = offers::made(ground, markers, service, instance, offer)? else {
        return None;
    };
    if offer.key.is_none() {
        made.remove("key");
    }
    made.retain(|name, _| name == "url" || name == "key");
    Some(made)
}

fn first<'b>(service: &Service, bindings: &'b Bindings) -> Option<(&'b InstanceId, &'b Placed)> {
    let first = InstanceId { service: service.name.clone(), index: 0 };
    bindings.instances.range(first..).next().filter(|(id, _)| id.service == service.name)
}

/// A host and a port, and both in one.
pub(crate) fn endpoint(host: &str, port: u16) -> Value {
    // An IPv6 address is ambiguous before a port without brackets.
    let address = match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    };
    json!({ "host": host, "port": port, "address": address })
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
