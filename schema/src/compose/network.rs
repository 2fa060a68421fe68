//! Networks: those of the project, and how a service joins them.
//!
//! Knows bridges of one node, and the network of another service. What devnet does not make, and
//! what reaches into the node, is an ask.

use core::net::Ipv4Addr;

use super::{
    grant::{Ask, is_engine_name},
    model::{Attachment, Declared, Network, Service, Share},
    names::HOST,
    reader::{Reader, or},
};
use crate::{
    container::{ExternalNetwork, Namespace},
    diagnostic::Located,
    file::tree::{Entry, Kind, Node, Span},
};

/// Whether the field is one of these.
pub(super) fn field(
    reader: &mut Reader<'_>,
    service: &mut Service,
    field: &Entry,
    declared: &Declared,
) -> bool {
    match field.key.as_str() {
        "network_mode" => mode(reader, service, field),
        "networks" => joined(reader, service, &field.value, declared),
        _ => return false,
    }
    true
}

/// Whether a service is in the network of its node.
pub(super) fn is_host(service: &Service) -> bool {
    service.asks.iter().any(|ask| ask.value == Ask::Namespace(Namespace::Network))
}

fn mode(reader: &mut Reader<'_>, service: &mut Service, field: &Entry) {
    match field.value.text() {
        Some("none") => service.settings.offline = true,
        Some("bridge" | "default") => {}
        Some("host") => {
            let value = Ask::Namespace(Namespace::Network);
            service.asks.push(Located { value, at: reader.at(&field.key_span) });
        }
        Some(text) if text.starts_with("service:") => {
            share(reader, service, field, Namespace::Network);
        }
        _ => {
            let why = "a service has its own network, that of another one, none, or with a grant \
                       the node's";
            reader.refused(field, "", why);
        }
    }
}

/// `service:NAME`: the namespace of another service of the file. Whether there is such a service,
/// and one with a namespace of its own, is told where all are known.
pub(super) fn share(
    reader: &mut Reader<'_>,
    service: &mut Service,
    field: &Entry,
    namespace: Namespace,
) {
    let name = field.value.text().and_then(|text| text.strip_prefix("service:"));
    let value = Share { namespace, service: name.unwrap_or_default().to_owned() };
    service.shares.push(Located { value, at: reader.at(&field.value.span) });
}

/// Whether a service lives in the network of another one.
pub(super) fn is_shared(service: &Service) -> bool {
    service.shares.iter().any(|share| share.value.namespace == Namespace::Network)
}

/// A network that devnet has not made is asked for, whoever made it.
pub(super) fn asked(service: &mut Service, declared: &Declared) {
    let engine = |name: &str| declared.networks.get(name)?.external.clone();
    for joined in std::mem::take(&mut service.networks) {
        let Some(name) = engine(&joined.value.network) else {
            service.networks.push(joined);
            continue;
        };
        let Attachment { network: _, aliases, address } = joined.value;
        let value = Ask::Network(ExternalNetwork { name, aliases, address });
        service.asks.push(Located { value, at: joined.at });
    }
}

/// What a container has of a network that it shares is that of the other one.
fn of_the_other(reader: &mut Reader<'_>, service: &Service, entry: &Entry) {
    let share = service.shares.iter().find(|it| it.value.namespace == Namespace::Network);
    let Some(Located { value: Share { service: other, .. }, at }) = share else { return };
    let fields = ["ports", "expose", "networks", "hostname", "dns", "dns_search", "dns_opt"];
    let fields = fields.iter().chain(&["extra_hosts", "links", "mac_address"]);
    for field in fields {
        let written = entry.value.entries().iter().find(|one| one.key == **field);
        let Some(written) = written.filter(|one| !Reader::is_nothing(&one.value)) else { continue };
        let message = format!("`{field}` of a service that has the network of `{other}`");
        let first = Some((at.clone(), "that network is said here"));
        let help = format!("write it at `{}`, whose network it is", other.escape_debug());
        reader.contradicts(&written.key_span, message, first, &help);
    }
}

/// What of a service's network cannot be had together.
pub(super) fn apart(reader: &mut Reader<'_>, service: &Service, entry: &Entry) {
    let written = |key: &str| {
        let field = entry.value.entries().iter().find(|field| field.key == key);
        field.filter(|field| !Reader::is_nothing(&field.value))
    };
    if let Some(mode) = written("network_mode")
        && let Some(word @ ("none" | "bridge" | "default" | "host")) = mode.value.text()
    {
        let other = Some((reader.at(&mode.key_span), "its own network is said here"));
        if let Some(networks) = written("networks") {
            let message = format!("`networks` and `network_mode: {word}` cannot be had together");
            let help = "keep one of the two; Compose refuses both together";
            reader.contradicts(&networks.key_span, message, other.clone(), help);
        }
        let published = service.ports.iter().any(|port| port.value.published);
        if let Some(ports) = written("ports").filter(|_| word == "none" && published) {
            let message = "a service without a network answers on no port".to_owned();
            let help = "remove `ports`, or `network_mode: none`";
            reader.contradicts(&ports.key_span, message, other, help);
        }
    }
    of_the_other(reader, service, entry);
    let Some(count) = service.replicas.as_ref().filter(|count| count.value > 1) else { return };
    for share in &service.shares {
        let message = format!("{} instances cannot share one namespace", count.value);
        let other = Some((count.at.clone(), "so many are wanted here"));
        let span = reader.span(&share.at);
        reader.contradicts(&span, message, other, "run one instance, or give each its own");
    }
    for network in service.networks.iter().filter(|network| network.value.address.is_some()) {
        let message = format!("{} instances cannot have one `ipv4_address`", count.value);
        let other = Some((count.at.clone(), "so many are wanted here"));
        let span = reader.span(&network.at);
        reader.contradicts(&span, message, other, "leave the address out, or run one instance");
    }
}

/// An address is in the range of its network, which has to have one: engines want that.
fn in_range(reader: &mut Reader<'_>, span: &Span, address: Ipv4Addr, network: &Network) {
    let Some(range) = &network.subnet else {
        let message = "the network has no range that this address could be of".to_owned();
        let help = "give it one: `ipam: {config: [{subnet: 172.28.0.0/16}]}`";
        return reader.contradicts(span, message, None, help);
    };
    if !holds(range, address) {
        let message = format!("`{address}` is not in the network's range `{range}`");
        reader.contradicts(span, message, None, "write an address of that range");
    }
}

/// Whether a range holds an address.
fn holds(range: &str, address: Ipv4Addr) -> bool {
    let read = |(base, bits): (&str, &str)| {
        let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 32)?;
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        Some((u32::from(base.parse::<Ipv4Addr>().ok()?) ^ u32::from(address)) & mask == 0)
    };
    range.split_once('/').and_then(read).unwrap_or(false)
}

fn joined(reader: &mut Reader<'_>, service: &mut Service, node: &Node, declared: &Declared) {
    let mut join = |reader: &mut Reader<'_>, span, attachment: Attachment| {
        let name = &attachment.network;
        let known = name == "default" || declared.networks.contains_key(name);
        if !known && !reader.unread.may_declare(name) {
            let message = format!("the network `{}` is not declared", name.escape_debug());
            let known = declared.networks.keys().map(String::as_str).chain(["default"]);
            let meant = reader.meant(name, known);
            let help = or(&meant, "declare it at the top: `networks: {NAME: {}}`");
            reader.error("DN-E0559", span, message, &help);
            return;
        }
        service.networks.push(Located { value: attachment, at: reader.at(span) });
    };
    if matches!(node.kind, Kind::Map(_)) {
        for entry in reader.map(node, "`networks`") {
            let attachment = attachment(reader, entry, declared.networks.get(&entry.key));
            join(reader, &entry.key_span, attachment);
        }
        return;
    }
    for item in reader.list(node, "`networks`") {
        if let Some(network) = reader.known(item, "a network") {
            let attachment = Attachment { network: network.value, ..Attachment::default() };
            join(reader, &item.span, attachment);
        }
    }
}

fn attachment(reader: &mut Reader<'_>, entry: &Entry, of: Option<&Network>) -> Attachment {
    let mut attachment = Attachment { network: entry.key.clone(), ..Attachment::default() };
    for field in reader.map(&entry.value, "a network") {
        match field.key.as_str() {
            "aliases" => {
                for name in reader.words(&field.value, "`aliases`") {
                    let span = reader.span(&name.at);
                    if reader.is_name(&name.value, &span, "a name in a network", HOST) {
                        attachment.aliases.push(name.value);
                    }
                }
            }
            "ipv4_address" => {
                let read = |text: &str| text.parse::<Ipv4Addr>().ok();
                let expected = "an IPv4 address";
                let address = reader.parsed(&field.value, "`ipv4_address`", expected, read);
                if let (Some(address), Some(network)) = (&address, of) {
                    in_range(reader, &field.value.span, address.value, network);
                }
                attachment.address = address.map(|address| address.value.to_string());
            }
            "ipv6_address" | "link_local_ips" | "mac_address" | "driver_opts" | "gw_priority"
            | "interface_name" | "priority" => {
                reader.refused(field, "networks.", "devnet does not carry it to the engine");
            }
            _ => reader.unknown(field, "a network", "aliases and ipv4_address"),
        }
    }
    attachment
}

/// A network at the top of a document.
pub(super) fn declared(reader: &mut Reader<'_>, entry: &Entry) -> Network {
    let node = &entry.value;
    let mut network = Network::default();
    let (mut external, mut named, mut name) = (false, None, None);
    let foreign = node.get("external").is_some_and(|it| it.text() != Some("false"));
    for field in reader.map(node, "a network") {
        let value = &field.value;
        match field.key.as_str() {
            "driver" | "internal" | "ipam" | "attachable" | "labels" | "driver_opts"
            | "enable_ipv4" | "enable_ipv6"
                if foreign =>
            {
                reader.ignored(field, "the network is there without devnet");
            }
            "driver" if matches!(value.text(), Some("bridge" | "default")) => {}
            "driver" => {
                let why = "devnet makes bridges on one node; others it knows not";
                reader.refused(field, "networks.", why);
            }
            "internal" => network.internal = reader.boolean(value, "`internal`"),
            "external" => external = is_external(reader, value, &mut name),
            "ipam" => ipam(reader, &mut network, value),
            "name" => named = Some(field),
            "attachable" => {
                if reader.boolean(value, "`attachable`") {
                    reader.ignored(field, "it is for Swarm; there is none here");
                }
            }
            "labels" => reader.ignored(field, "labels of a network change nothing here"),
            "enable_ipv4" if value.text() == Some("true") => {}
            "enable_ipv6" if value.text() == Some("false") => {}
            "driver_opts" | "enable_ipv4" | "enable_ipv6" => {
                reader.refused(field, "networks.", "devnet does not carry it to the engine");
            }
            _ => reader.unknown(field, "a network", "driver, internal, ipam and external"),
        }
    }
    match named {
        Some(field) if external => {
            name = reader.known(&field.value, "`name`").map(|it| it.value).or(name);
        }
        Some(field) => reader.ignored(field, "devnet names networks after cluster and project"),
        None => {}
    }
    if external {
        network.external = engine_name(reader, entry, name, "network");
    }
    network
}

/// Whether `external` is said, and with which name where it is said the old way.
pub(super) fn is_external(
    reader: &mut Reader<'_>,
    value: &Node,
    name: &mut Option<String>,
) -> bool {
    if !matches!(value.kind, Kind::Map(_)) {
        return reader.boolean(value, "`external`");
    }
    for field in reader.map(value, "`external`") {
        match field.key.as_str() {
            "name" => *name = reader.known(&field.value, "`name`").map(|name| name.value),
            _ => reader.unknown(field, "`external`", "name"),
        }
    }
    true
}

/// The engine's name of what is there without devnet.
pub(super) fn engine_name(
    reader: &mut Reader<'_>,
    entry: &Entry,
    name: Option<String>,
    what: &str,
) -> Option<String> {
    let name = name.unwrap_or_else(|| entry.key.clone());
    if is_engine_name(&name) {
        return Some(name);
    }
    let message = format!("`{}` is not the name of a {what} of an engine", name.escape_debug());
    let help = "write the name that `docker network ls` or `docker volume ls` shows";
    reader.error("DN-E0551", &entry.key_span, message, help);
    None
}

fn ipam(reader: &mut Reader<'_>, network: &mut Network, node: &Node) {
    for field in reader.map(node, "`ipam`") {
        match field.key.as_str() {
            "driver" if field.value.text() == Some("default") => {}
            "config" => {
                let items = reader.list(&field.value, "`config`");
                if items.len() > 1 {
                    let message = "a network has one address range here".to_owned();
                    reader.error("DN-E0554", &items[1].span, message, "keep one of them");
                }
                for item in items.iter().take(1) {
                    range(reader, network, item);
                }
            }
            "driver" | "options" => {
                reader.refused(field, "ipam.", "devnet does not carry it to the engine");
            }
            _ => reader.unknown(field, "`ipam`", "driver and config"),
        }
    }
}

fn range(reader: &mut Reader<'_>, network: &mut Network, node: &Node) {
    for field in reader.map(node, "`config`") {
        let value = &field.value;
        match field.key.as_str() {
            "subnet" => {
                let subnet = reader.parsed(value, "`subnet`", "a range like `172.28.0.0/16`", cidr);
                network.subnet = subnet.map(|subnet| subnet.value);
            }
            "gateway" => {
                let read = |text: &str| text.parse::<core::net::IpAddr>().ok();
                let gateway = reader.parsed(value, "`gateway`", "an IP address", read);
                network.gateway = gateway.map(|gateway| gateway.value.to_string());
            }
            "ip_range" | "aux_addresses" => {
                reader.refused(field, "ipam.", "devnet does not carry it to the engine");
            }
            _ => reader.unknown(field, "`config`", "subnet and gateway"),
        }
    }
}

fn cidr(text: &str) -> Option<String> {
    let (address, bits) = text.split_once('/')?;
    let most = match address.parse::<core::net::IpAddr>().ok()? {
        core::net::IpAddr::V4(_) => 32,
        core::net::IpAddr::V6(_) => 128,
    };
    (bits.parse::<u8>().ok()? <= most).then(|| text.to_owned())
}
