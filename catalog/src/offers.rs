//! What services offer one another, from where placement put them.
//!
//! Knows offers of components and routes of `expose` lines. Refuses to know who uses them: a
//! template that collects a kind is given all of it.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    component::{Components, Offer},
    desired::{DesiredState, Form, Service},
    name::{InstanceId, SecretName},
    secret::SecretRef,
};
use serde_json::{Map, Value, json};

use crate::{
    Catalog,
    bind::{Bindings, Placed},
    component::typed,
    marker::Markers,
    names::{endpoint, host_port},
    scope::{self, Scope, Secrets},
};

/// The kind of what `expose` lines ask for.
pub(crate) const ROUTE: &str = "route";

/// Everything that rendering an offer takes.
pub(crate) struct Ground<'a> {
    pub(crate) catalog: &'a Catalog,
    pub(crate) desired: &'a DesiredState,
    pub(crate) bindings: &'a Bindings,
    /// Addresses of services and variables: what parameters of an offer may name.
    pub(crate) shared: &'a Map<String, Value>,
    pub(crate) absent: &'a BTreeMap<String, &'static str>,
}

/// The offers of every kind that some component of the configuration collects, sorted by service
/// and index.
pub(crate) fn collected(
    ground: &Ground<'_>,
    markers: &mut Markers,
) -> BTreeMap<String, Vec<Value>> {
    let signatures = ground.desired.services.values().filter_map(|service| {
        let Form::Component { name, .. } = &service.form else { return None };
        ground.catalog.signature(&name.value)
    });
    let kinds: BTreeSet<&String> = signatures.flat_map(|signature| &signature.collects).collect();
    let mut all: BTreeMap<String, Vec<Value>> =
        kinds.iter().map(|kind| ((*kind).clone(), Vec::new())).collect();
    if let Some(routes) = all.get_mut(ROUTE) {
        *routes = self::routes(ground);
    }
    if kinds.iter().all(|kind| *kind == ROUTE) {
        return all;
    }
    for (id, placed) in &ground.bindings.instances {
        let Some(service) = ground.desired.services.get(&id.service) else { continue };
        let Form::Component { name, .. } = &service.form else { continue };
        let Some(signature) = ground.catalog.signature(&name.value) else { continue };
        for offer in &signature.offers {
            let Some(list) = all.get_mut(&offer.kind) else { continue };
            let Some(made) = made(ground, markers, service, (id, placed), offer) else { continue };
            let mut value = json!({
                "service": id.service,
                "index": id.index,
                "component": name.value,
                "node": placed.node,
                "path": offer.path,
            });
            if let (Value::Object(value), Value::Object(made)) = (&mut value, made) {
                value.extend(made);
            }
            list.push(value);
        }
    }
    all
}

/// `host`, `port`, `address`, `url` and `key` of an offer of one instance. Nothing where it is
/// reached nowhere, or where its template cannot be rendered: the service itself says why.
pub(crate) fn made(
    ground: &Ground<'_>,
    markers: &mut Markers,
    service: &Service,
    (id, placed): (&InstanceId, &Placed),
    offer: &Offer,
) -> Option<Value> {
    let port = host_port(service, &offer.port, placed)?;
    let Value::Object(mut made) = endpoint(&placed.node_ip, port) else { return None };
    let address = made.get("address").and_then(Value::as_str).unwrap_or_default().to_owned();
    let plain = format!("http://{address}{}", offer.path);
    let (url, key) = match (&offer.url, &offer.key) {
        (None, None) => (plain, String::new()),
        (url, key) => {
            let scope = own_scope(ground, markers, service, id, &made)?;
            let mut text = |template: &Option<String>, otherwise: &str| match template {
                Some(template) => scope.marked(markers, template, &service.at).ok(),
                None => Some(otherwise.to_owned()),
            };
            (text(url, &plain)?, text(key, "")?)
        }
    };
    made.insert("url".to_owned(), Value::String(url));
    made.insert("key".to_owned(), Value::String(key));
    Some(Value::Object(made))
}

/// What the templates of an offer may name: `param`, `secret`, `host`, `port` and `address`.
fn own_scope<'a>(
    ground: &Ground<'a>,
    markers: &mut Markers,
    service: &Service,
    id: &InstanceId,
    made: &Map<String, Value>,
) -> Option<Scope<'a>> {
    let Form::Component { name, version, parameters, secrets, .. } = &service.form else {
        return None;
    };
    let signature = ground.catalog.signature(&name.value)?;
    let mut user = ground.shared.clone();
    user.insert("instance".to_owned(), json!({ "index": id.index }));
    let versions = ground.bindings.secrets.as_ref();
    let user = Scope::new(user, Secrets::OfCluster(versions), ground.absent);
    let mut values = Map::new();
    for (name, declared) in &signature.parameters {
        let value = match parameters.get(name) {
            None => Value::Null,
            Some(set) => {
                let text = user.marked(markers, &set.value, &set.at).ok()?;
                typed(&declared.kind, &text).ok()?
            }
        };
        values.insert(name.clone(), value);
    }
    let mut names = made.clone();
    names.insert("param".to_owned(), Value::Object(values));
    names.insert("version".to_owned(), json!(version));
    let given = |name: &String| -> Option<SecretRef> {
        let secret = secrets.get(name)?;
        scope::reference(SecretName::as_str(&secret.value), versions, &secret.at).ok()
    };
    let secrets = signature.secrets.keys().map(|name| (name.clone(), given(name))).collect();
    Some(Scope::new(names, Secrets::OfComponent(secrets), ground.absent))
}

/// Every `expose` line of a service that runs somewhere, with where.
fn routes(ground: &Ground<'_>) -> Vec<Value> {
    let mut all = Vec::new();
    for service in ground.desired.services.values() {
        for (at, line) in service.exposes.iter().enumerate() {
            let line = &line.value;
            let first = InstanceId { service: service.name.clone(), index: 0 };
            let own = ground.bindings.instances.range(first..);
            let own = own.take_while(|(id, _)| id.service == service.name);
            let urls: Vec<String> = own
                .filter_map(|(_, placed)| {
                    let port = host_port(service, &line.port, placed)?;
                    let made = endpoint(&placed.node_ip, port);
                    Some(format!("http://{}", made.get("address")?.as_str()?))
                })
                .collect();
            if urls.is_empty() {
                continue;
            }
            all.push(json!({
                "name": format!("{}-{at}", service.name),
                "service": service.name,
                "host": line.host,
                "path": line.path,
                "tls": line.tls.as_str(),
                "urls": urls,
            }));
        }
    }
    all
}
