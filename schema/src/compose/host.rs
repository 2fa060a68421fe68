//! What reaches the node: every field of Compose that makes the walls of a container thinner.
//!
//! Knows their syntaxes and turns each into an ask. Refuses to decide: whoever reads the normal
//! form does, with what the cluster file grants.

use super::{
    grant::{Ask, capability, clean, is_sysctl},
    model::Service,
    network,
    reader::Reader,
    service::pairs,
};
use crate::{
    container::{DeviceSpec, Namespace},
    diagnostic::Located,
    file::tree::{Entry, Kind, Node},
};

/// Whether the field is one of these.
pub(super) fn field(reader: &mut Reader<'_>, service: &mut Service, field: &Entry) -> bool {
    let value = &field.value;
    let at = reader.at(&field.key_span);
    let mut ask = |value: Ask| service.asks.push(Located { value, at: at.clone() });
    match field.key.as_str() {
        "privileged" => {
            if reader.boolean(value, "`privileged`") {
                ask(Ask::Privileged);
            }
        }
        "pid" | "ipc" if value.text().is_some_and(|text| text.starts_with("service:")) => {
            let shared = if field.key == "pid" { Namespace::Pid } else { Namespace::Ipc };
            network::share(reader, service, field, shared);
        }
        "pid" => namespace(reader, field, Namespace::Pid, &[], &mut ask),
        "ipc" => {
            namespace(reader, field, Namespace::Ipc, &["none", "private", "shareable"], &mut ask)
        }
        "uts" => namespace(reader, field, Namespace::Uts, &[], &mut ask),
        "userns_mode" => namespace(reader, field, Namespace::Userns, &[], &mut ask),
        "cgroup" => namespace(reader, field, Namespace::Cgroup, &["private"], &mut ask),
        "cap_add" => {
            for name in reader.words(value, "`cap_add`") {
                match capability(&name.value) {
                    Some(value) => {
                        let value = Ask::Capability(value);
                        service.asks.push(Located { value, at: name.at });
                    }
                    None => {
                        let expected = "the name of a capability like `NET_ADMIN`";
                        reader.wrong_word(&name, "an item of `cap_add`", expected);
                    }
                }
            }
        }
        "security_opt" => security(reader, service, value),
        "sysctls" => {
            for (name, text) in pairs(reader, value, "`sysctls`") {
                if !is_sysctl(&name) {
                    let expected = "the name of a kernel parameter like `net.core.somaxconn`";
                    let name = Located { value: name, at: text.at };
                    reader.wrong_word(&name, "a name in `sysctls`", expected);
                } else if super::template::is_marked(&text.value) {
                    let span = reader.span(&text.at);
                    reader.no_template(&span, "`sysctls`");
                } else {
                    let value = Ask::Sysctl(name, text.value);
                    service.asks.push(Located { value, at: text.at });
                }
            }
        }
        "devices" => {
            for item in reader.list(value, "`devices`") {
                if let Some(device) = device(reader, item) {
                    let at = reader.at(&item.span);
                    service.asks.push(Located { value: Ask::Device(device), at });
                }
            }
        }
        _ => return false,
    }
    true
}

/// `host` is an ask, the words in `own` keep what is usual, and the rest is refused: what another
/// service has is not for this one.
fn namespace(
    reader: &mut Reader<'_>,
    field: &Entry,
    namespace: Namespace,
    own: &[&str],
    ask: &mut dyn FnMut(Ask),
) {
    match field.value.text() {
        Some("host") => ask(Ask::Namespace(namespace)),
        Some(word) if own.contains(&word) => {}
        Some("") if !Reader::is_nothing(&field.value) => {}
        _ => reader.refused(field, "", "a container has its own, or with a grant the node's"),
    }
}

/// `no-new-privileges` makes walls thicker and needs no grant.
fn security(reader: &mut Reader<'_>, service: &mut Service, node: &Node) {
    for option in reader.words(node, "`security_opt`") {
        let text = option.value.trim();
        let (name, value) = text.split_once(['=', ':']).unwrap_or((text, ""));
        match (name, value) {
            ("no-new-privileges", "" | "true") => service.settings.no_new_privileges = true,
            ("no-new-privileges", "false") => {}
            (_, "") => {
                let expected = "an option like `apparmor=unconfined`";
                reader.wrong_word(&option, "an item of `security_opt`", expected);
            }
            _ => {
                let value = Ask::SecurityOption(format!("{name}={value}"));
                service.asks.push(Located { value, at: option.at });
            }
        }
    }
}

/// `source[:target[:permissions]]`, or a map of these.
fn device(reader: &mut Reader<'_>, node: &Node) -> Option<DeviceSpec> {
    let expected = "a device like `/dev/kvm` or `/dev/a:/dev/b:rw`";
    let (mut source, mut target, mut permissions) = (None, None, None);
    if matches!(node.kind, Kind::Map(_)) {
        for field in reader.map(node, "a device") {
            let text = reader.known(&field.value, "a device").map(|text| text.value);
            match field.key.as_str() {
                "source" => source = text,
                "target" => target = text,
                "permissions" => permissions = text,
                _ => reader.unknown(field, "a device", "source, target and permissions"),
            }
        }
    } else {
        let text = reader.known(node, "a device")?.value;
        let mut parts = text.split(':').map(str::to_owned);
        source = parts.next();
        target = parts.next();
        permissions = parts.next();
        // A second part that is no path says what may be done.
        if permissions.is_none() && target.as_ref().is_some_and(|text| !text.starts_with('/')) {
            permissions = target.take();
        }
    }
    let source = source.as_deref().and_then(clean);
    let path = match target {
        Some(target) => clean(&target),
        None => source.clone(),
    };
    let permissions = permissions.unwrap_or_else(|| "rwm".to_owned());
    let usable = !permissions.is_empty() && permissions.chars().all(|c| "rwm".contains(c));
    match (source, path) {
        (Some(source), Some(path)) if usable => Some(DeviceSpec { source, path, permissions }),
        _ => {
            reader.wrong(node, "a device", expected);
            None
        }
    }
}
