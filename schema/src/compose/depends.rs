//! `depends_on` and `links`: what a service waits for and by which names it calls others.
//!
//! Knows conditions. Refuses to know whether the others are there.

use super::{
    model::{Condition, Declared, Dependency, Service},
    names::HOST,
    reader::Reader,
};
use crate::{
    diagnostic::Located,
    file::tree::{Kind, Node},
};

/// `[a, b]` or `{a: {condition: service_healthy}}`.
pub(super) fn read(reader: &mut Reader<'_>, service: &mut Service, node: &Node) {
    if matches!(node.kind, Kind::Map(_)) {
        for entry in reader.map(node, "`depends_on`") {
            let at = reader.at(&entry.key_span);
            let (condition, required) = condition(reader, &entry.value);
            let value = Dependency { service: entry.key.clone(), condition, required };
            service.depends_on.push(Located { value, at });
        }
        return;
    }
    for item in reader.list(node, "`depends_on`") {
        if let Some(Located { value, at }) = reader.known(item, "`depends_on`") {
            service.depends_on.push(Located { value: started(value), at });
        }
    }
}

fn started(service: String) -> Dependency {
    Dependency { service, condition: Condition::Started, required: true }
}

fn condition(reader: &mut Reader<'_>, node: &Node) -> (Condition, bool) {
    let (mut condition, mut required) = (Condition::Started, true);
    for field in reader.map(node, "a dependency") {
        match field.key.as_str() {
            "condition" => {
                let read = |text: &str| match text {
                    "service_started" => Some(Condition::Started),
                    "service_healthy" => Some(Condition::Healthy),
                    "service_completed_successfully" => Some(Condition::Completed),
                    _ => None,
                };
                let expected = "`service_started`, `service_healthy` or \
                                `service_completed_successfully`";
                if let Some(read) = reader.parsed(&field.value, "`condition`", expected, read) {
                    condition = read.value;
                }
            }
            "required" => required = reader.boolean(&field.value, "`required`"),
            "restart" => {
                if reader.boolean(&field.value, "`restart`") {
                    reader.ignored(field, "devnet restarts no service because of another");
                }
            }
            _ => reader.unknown(field, "a dependency", "condition, required and restart"),
        }
    }
    (condition, required)
}

/// `links: [db, "db:database"]`: a dependency, and a further name for the other one, kept until all
/// services are known.
pub(super) fn links(
    reader: &mut Reader<'_>,
    service: &mut Service,
    node: &Node,
    declared: &Declared,
) {
    for item in reader.list(node, "`links`") {
        let Some(Located { value, at }) = reader.known(item, "`links`") else {
            continue;
        };
        let (name, alias) = value.split_once(':').unwrap_or((&value, ""));
        if !service.depends_on.iter().any(|known| known.value.service == name) {
            let value = started(name.to_owned());
            service.depends_on.push(Located { value, at });
        }
        if alias.is_empty() || reader.is_name(alias, &item.span, "a name in a network", HOST) {
            let link = (name.to_owned(), alias.to_owned(), item.span.clone());
            declared.links.borrow_mut().push(link);
        }
    }
}
