//! What a service shares with the world: ports, volumes and files.
//!
//! Knows the short and the long form of each. Refuses host paths: what is on a node is not in the
//! commit, and a container that writes to it is not contained.

use std::collections::BTreeMap;

use super::{
    model::{File, Port, Volume},
    reader::Reader,
};
use crate::{
    desired::Located,
    file::tree::{Kind, Node, Span},
    instance::Protocol,
};

const PORT: &str = "a port, 1 to 65535";
const LONG_PORT: &str = "write the long form: {target: …, published: …}";
const LONG_VOLUME: &str = "write the long form: {type: volume, source: NAME, target: /path}";

/// A port number; 0 is none.
fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port > 0)
}

fn protocol(text: &str) -> Option<Protocol> {
    match text {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    }
}

/// `ports`.
pub(super) fn ports(reader: &mut Reader<'_>, node: &Node) -> Vec<Located<Port>> {
    let mut all = Vec::new();
    for item in reader.list(node, "`ports`") {
        let port = match &item.kind {
            Kind::Map(_) => long_port(reader, item),
            _ => reader.literal(item, "a port", LONG_PORT).map(short_port).and_then(|port| {
                if port.is_none() {
                    let expected = "a port like 8080, \"80:8080\" or \"127.0.0.1:80:8080/udp\" \
                                    (ranges are refused: write each port)";
                    reader.wrong(item, "a port", expected);
                }
                port
            }),
        };
        all.extend(port.map(|value| Located { value, at: reader.at(&item.span) }));
    }
    all
}

/// `expose`: ports that are not published at a fixed port.
pub(super) fn exposed(reader: &mut Reader<'_>, node: &Node) -> Vec<Located<Port>> {
    let mut all = Vec::new();
    for item in reader.list(node, "`expose`") {
        let Some(text) = reader.literal(item, "a port", LONG_PORT) else {
            continue;
        };
        match short_port(text).filter(|port| port.host.is_none()) {
            Some(value) => all.push(Located { value, at: reader.at(&item.span) }),
            None => reader.wrong(item, "an exposed port", PORT),
        }
    }
    all
}

/// `[[address:]host:]container[/protocol]`, the address in brackets when it is IPv6.
fn short_port(text: &str) -> Option<Port> {
    let (text, protocol) = match text.split_once('/') {
        Some((before, name)) => (before, protocol(name)?),
        None => (text, Protocol::Tcp),
    };
    let (rest, container) = match text.rsplit_once(':') {
        Some((rest, container)) => (Some(rest), number(container)?),
        None => (None, number(text)?),
    };
    let (host_ip, host) = match rest.map(|rest| rest.rsplit_once(':').unwrap_or(("", rest))) {
        None => (None, None),
        Some(("", host)) => (None, Some(number(host)?)),
        Some((ip, host)) => {
            let ip = ip.trim_start_matches('[').trim_end_matches(']');
            ip.parse::<core::net::IpAddr>().ok()?;
            (Some(ip.to_owned()), if host.is_empty() { None } else { Some(number(host)?) })
        }
    };
    Some(Port { name: None, container, host, host_ip, protocol })
}

fn long_port(reader: &mut Reader<'_>, node: &Node) -> Option<Port> {
    let mut port =
        Port { name: None, container: 0, host: None, host_ip: None, protocol: Protocol::Tcp };
    for field in reader.map(node, "a port") {
        let value = &field.value;
        match field.key.as_str() {
            "target" => port.container = reader.parsed(value, "`target`", PORT, number)?.value,
            "published" => {
                port.host = Some(reader.parsed(value, "`published`", PORT, number)?.value);
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
            "name" => port.name = reader.text(value, "`name`").map(|text| text.value),
            "mode" | "app_protocol" => {}
            _ => reader.unknown(field, "a port", "target, published, host_ip, protocol and name"),
        }
    }
    if port.container == 0 {
        let message = "a port does not say where the service listens".to_owned();
        reader.error("DN-E0555", &node.span, message, "write `target: 8080`");
        return None;
    }
    Some(port)
}

/// `volumes` of a service.
pub(super) fn volumes(
    reader: &mut Reader<'_>,
    node: &Node,
    declared: &[String],
) -> Vec<Located<Volume>> {
    let mut all = Vec::new();
    for item in reader.list(node, "`volumes`") {
        let volume = match &item.kind {
            Kind::Map(_) => long_volume(reader, item),
            _ => short_volume(reader, item),
        };
        let Some(volume) = volume.filter(|volume| named(reader, &item.span, volume, declared))
        else {
            continue;
        };
        all.push(Located { value: volume, at: reader.at(&item.span) });
    }
    all
}

/// `name:/path[:rw]`.
fn short_volume(reader: &mut Reader<'_>, node: &Node) -> Option<Volume> {
    let text = reader.literal(node, "a volume", LONG_VOLUME)?;
    let mut parts = text.splitn(3, ':');
    let (name, path, options) = (parts.next(), parts.next(), parts.next());
    match (name, path, options) {
        (Some(name), Some(path), None | Some("rw")) => {
            Some(Volume { name: name.to_owned(), path: path.to_owned() })
        }
        _ => {
            reader.wrong(node, "a volume", "`NAME:/path`");
            None
        }
    }
}

fn long_volume(reader: &mut Reader<'_>, node: &Node) -> Option<Volume> {
    let mut volume = Volume { name: String::new(), path: String::new() };
    for field in reader.map(node, "a volume") {
        match field.key.as_str() {
            "type" => {
                if field.value.text() != Some("volume") {
                    refuse_bind(reader, &field.value.span);
                    return None;
                }
            }
            "source" => volume.name = reader.text(&field.value, "`source`")?.value,
            "target" => volume.path = reader.text(&field.value, "`target`")?.value,
            "volume" => {}
            _ => reader.unknown(field, "a volume", "type, source and target"),
        }
    }
    Some(volume)
}

fn refuse_bind(reader: &mut Reader<'_>, span: &Span) {
    let message = "only named volumes are run: a path of the node is not in the commit, and \
                   writing to it leaves the container (`docker.sock` is the whole node)";
    let help = "declare a name under `volumes`; for a file write a config with `content`";
    reader.error("DN-E0558", span, message.to_owned(), help);
}

/// Whether the volume has a declared name and an absolute path; reports it when not.
fn named(reader: &mut Reader<'_>, span: &Span, volume: &Volume, declared: &[String]) -> bool {
    let Volume { name, path } = volume;
    if name.starts_with(['/', '.', '~', '\\']) || name.contains('/') {
        refuse_bind(reader, span);
        return false;
    }
    if !declared.contains(name) {
        let message = format!("the volume `{}` is not declared", name.escape_debug());
        reader.error("DN-E0559", span, message, "declare it at the top: `volumes: {NAME: {}}`");
        return false;
    }
    if !path.starts_with('/') || path.split('/').any(|part| part == "..") || path.contains(':') {
        let message = format!("`{}` is not an absolute path", path.escape_debug());
        reader.error("DN-E0551", span, message, "write where the service sees the volume");
        return false;
    }
    true
}

/// `configs` or `secrets` of a service.
pub(super) fn files(
    reader: &mut Reader<'_>,
    node: &Node,
    declared: &BTreeMap<String, String>,
    kind: &str,
) -> BTreeMap<String, Located<File>> {
    let mut all = BTreeMap::new();
    for item in reader.list(node, kind) {
        let (mut source, mut target, mut mode) = (None, None, 0o444);
        if matches!(item.kind, Kind::Map(_)) {
            for field in reader.map(item, kind) {
                match field.key.as_str() {
                    "source" => source = reader.text(&field.value, "`source`"),
                    "target" => target = reader.text(&field.value, "`target`"),
                    "mode" => mode = octal(reader, &field.value),
                    _ => reader.unknown(field, kind, "source, target and mode"),
                }
            }
        } else {
            source = reader.text(item, kind);
        }
        let Some(source) = source else { continue };
        let Some(content) = declared.get(&source.value) else {
            let message = format!("the {kind} `{}` is not declared", source.value.escape_debug());
            let help = "declare it at the top of the document, with its content";
            reader.error("DN-E0559", &item.span, message, help);
            continue;
        };
        let path = path(kind, &source.value, target.map(|target| target.value));
        let file = File { content: content.clone(), mode };
        all.insert(path, Located { value: file, at: source.at });
    }
    all
}

/// Where Compose puts it: configs at `/NAME`, secrets at `/run/secrets/NAME`.
fn path(kind: &str, source: &str, target: Option<String>) -> String {
    let home = if kind == "secret" { "/run/secrets/" } else { "/" };
    match target {
        Some(path) if path.starts_with('/') => path,
        Some(name) => format!("{home}{name}"),
        None => format!("{home}{source}"),
    }
}

/// Permission bits in octal: `0444` or `0o444`.
fn octal(reader: &mut Reader<'_>, node: &Node) -> u32 {
    let read = |text: &str| {
        let digits = text.strip_prefix("0o").unwrap_or(text);
        u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777)
    };
    let expected = "permission bits in octal like `0444`";
    reader.parsed(node, "`mode`", expected, read).map_or(0o444, |read| read.value)
}
