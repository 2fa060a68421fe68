//! Ports: short and long form, one by one and as ranges.
//!
//! Knows numbers, addresses and protocols. Refuses to know nodes.

use std::collections::BTreeSet;

use super::{model::Port, reader::Reader};
use crate::{
    diagnostic::{Located, Location},
    file::{
        MOST_PORTS,
        tree::{Kind, Node},
    },
    instance::Protocol,
};

const PORT: &str = "a port, 1 to 65535";
const LONG_PORT: &str = "write the long form: {target: …, published: …}";
const LONG_FIELDS: &str = "target, published, host_ip, protocol, name, mode and app_protocol";
/// The most ports that one range may stand for.
const MOST_OF_RANGE: u16 = 1000;
/// How many values a port is when it is written out: `{target: 80}`.
const VALUES: usize = 3;

/// The ports of one list, each once: of two that say the same, Compose keeps one.
#[derive(Default)]
struct Distinct {
    seen: BTreeSet<Port>,
    all: Vec<Located<Port>>,
}

impl Distinct {
    /// Takes in the ports of one line; whether there may be more. What a range stands for counts
    /// as if it were written out, also where it says again what was said.
    fn add(&mut self, reader: &mut Reader<'_>, item: &Node, ports: Vec<Port>) -> bool {
        if !reader.repeats(ports.len().saturating_sub(1) * VALUES, &item.span) {
            return false;
        }
        let at: Location = reader.at(&item.span);
        for port in ports {
            if self.seen.contains(&port) {
                continue;
            }
            if self.all.len() == MOST_PORTS {
                let message = format!("this service has more than {MOST_PORTS} ports");
                reader.error("DN-E0313", &item.span, message, "declare fewer");
                return false;
            }
            self.seen.insert(port.clone());
            self.all.push(Located { value: port, at: at.clone() });
        }
        true
    }
}

/// A port number; 0 is none.
fn number(text: &str) -> Option<u16> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

fn protocol(text: &str) -> Option<Protocol> {
    match text.to_ascii_lowercase().as_str() {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    }
}

/// `ports`.
pub(super) fn published(reader: &mut Reader<'_>, node: &Node) -> Vec<Located<Port>> {
    let mut distinct = Distinct::default();
    for item in reader.list(node, "`ports`") {
        let ports = match &item.kind {
            Kind::Map(_) => long(reader, item).into_iter().collect(),
            _ => short_ports(reader, item),
        };
        if !distinct.add(reader, item, ports) {
            break;
        }
    }
    distinct.all
}

fn short_ports(reader: &mut Reader<'_>, item: &Node) -> Vec<Port> {
    let Some(text) = reader.literal(item, "a port", LONG_PORT) else {
        return Vec::new();
    };
    if is_choice(text) {
        a_choice(reader, item, text);
        return Vec::new();
    }
    short(text).unwrap_or_else(|| {
        let expected = "a port like 8080, \"80:8080\", \"127.0.0.1:80:8080/udp\" or \
                        \"8000-8010:8000-8010\" (at most 1000, as many here as there)";
        reader.wrong(item, "a port", expected);
        Vec::new()
    })
}

/// `expose`: where the service listens, without being published.
pub(super) fn exposed(reader: &mut Reader<'_>, node: &Node) -> Vec<Located<Port>> {
    let mut distinct = Distinct::default();
    for item in reader.list(node, "`expose`") {
        let Some(text) = reader.literal(item, "a port", LONG_PORT) else {
            continue;
        };
        match short(text).filter(|ports| ports.iter().all(|port| port.host.is_none())) {
            Some(ports) => {
                let ports = ports.into_iter().map(|port| Port { published: false, ..port });
                if !distinct.add(reader, item, ports.collect()) {
                    break;
                }
            }
            None => reader.wrong(item, "an exposed port", PORT),
        }
    }
    distinct.all
}

/// `[[address:]host:]container[/protocol]`, the address in brackets when it is IPv6.
fn short(text: &str) -> Option<Vec<Port>> {
    let (text, protocol) = match text.split_once('/') {
        Some((before, name)) => (before, protocol(name)?),
        None => (text, Protocol::Tcp),
    };
    let (rest, container) = match text.rsplit_once(':') {
        Some((rest, container)) => (Some(rest), range(container)?),
        None => (None, range(text)?),
    };
    let (host_ip, host) = match rest.map(|rest| rest.rsplit_once(':').unwrap_or(("", rest))) {
        None => (None, None),
        // 0 is any free one.
        Some(("", "0")) => (None, None),
        Some(("", host)) => (None, Some(range(host)?)),
        Some((ip, host)) => {
            let ip = ip.trim_start_matches('[').trim_end_matches(']');
            ip.parse::<core::net::IpAddr>().ok()?;
            (Some(ip.to_owned()), if matches!(host, "" | "0") { None } else { Some(range(host)?) })
        }
    };
    if host.is_some_and(|host| host.1 - host.0 != container.1 - container.0) {
        return None;
    }
    let port = |offset: u16| Port {
        name: None,
        container: container.0 + offset,
        host: host.map(|host| host.0 + offset),
        host_ip: host_ip.clone(),
        protocol,
        published: true,
    };
    Some((0..=container.1 - container.0).map(port).collect())
}

/// Whether it is one port of the container at any of several of the node.
fn is_choice(text: &str) -> bool {
    let Some((rest, container)) = text.split('/').next().and_then(|text| text.rsplit_once(':'))
    else {
        return false;
    };
    let host = rest.rsplit_once(':').map_or(rest, |(_, host)| host);
    any_range(host).is_some_and(|(first, last)| first != last) && number(container).is_some()
}

fn a_choice(reader: &mut Reader<'_>, node: &Node, shown: &str) {
    let message = format!("`{}` is a choice of ports", shown.escape_debug());
    let help = "write one port of the node; or leave it out, and the planner chooses one of its \
                own range";
    reader.error("DN-E0554", &node.span, message, help);
}

/// First and last of `8000-8010`, or of one port.
fn range(text: &str) -> Option<(u16, u16)> {
    any_range(text).filter(|(first, last)| last - first < MOST_OF_RANGE)
}

/// The same, however many they are.
fn any_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

fn long(reader: &mut Reader<'_>, node: &Node) -> Option<Port> {
    let mut port = Port {
        name: None,
        container: 0,
        host: None,
        host_ip: None,
        protocol: Protocol::Tcp,
        published: true,
    };
    for field in reader.map(node, "a port") {
        let value = &field.value;
        match field.key.as_str() {
            "target" => port.container = reader.parsed(value, "`target`", PORT, number)?.value,
            "published" if matches!(value.text(), Some("" | "0")) => {}
            "published" => {
                let (first, last) = reader.parsed(value, "`published`", PORT, any_range)?.value;
                if first != last {
                    a_choice(reader, value, &format!("published: {first}-{last}"));
                    return None;
                }
                port.host = Some(first);
            }
            "host_ip" => {
                let read = |text: &str| text.parse::<core::net::IpAddr>().ok();
                let ip = reader.parsed(value, "`host_ip`", "an IP address", read)?.value;
                port.host_ip = Some(ip.to_string());
            }
            "protocol" => {
                port.protocol =
                    reader.parsed(value, "`protocol`", "`tcp` or `udp`", protocol)?.value;
            }
            "name" => port.name = reader.known(value, "`name`").map(|text| text.value),
            // Of no effect outside of Swarm.
            "mode" => {
                let read = |text: &str| matches!(text, "ingress" | "host").then_some(());
                reader.parsed(value, "`mode`", "`ingress` or `host`", read);
            }
            "app_protocol" => {
                reader.ignored(field, "devnet does not look at what is spoken on a port");
            }
            _ => reader.unknown(field, "a port", LONG_FIELDS),
        }
    }
    if port.container == 0 {
        let message = "a port does not say where the service listens".to_owned();
        reader.error("DN-E0555", &node.span, message, "write `target: 8080`");
        return None;
    }
    Some(port)
}
