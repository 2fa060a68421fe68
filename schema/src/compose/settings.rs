//! Settings that stay within the container.
//!
//! Knows their short and long forms. Refuses to know what reaches the node: [`super::host`] does.

use std::collections::BTreeMap;

use super::{model::Service, names::HOST, reader::Reader, unit};
use crate::{
    container::Ulimit,
    file::tree::{Entry, Kind, Node},
};

/// Limits that the kernel has, by the names that engines give them.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Whether the field is one of these.
pub(super) fn field(reader: &mut Reader<'_>, service: &mut Service, field: &Entry) -> bool {
    let value = &field.value;
    let settings = &mut service.settings;
    let plain = |all: Vec<crate::diagnostic::Located<String>>| -> Vec<String> {
        all.into_iter().map(|one| one.value).collect()
    };
    match field.key.as_str() {
        "working_dir" => {
            let dir = reader.known(value, "`working_dir`").filter(|dir| !dir.value.is_empty());
            let dir = dir.filter(|dir| reader.is_word(&dir.value, &value.span, "a directory"));
            let dir = dir.filter(|dir| {
                let good = is_directory(&dir.value);
                if !good {
                    reader.wrong(value, "`working_dir`", "an absolute path");
                }
                good
            });
            settings.working_dir = dir.map(|dir| dir.value);
        }
        "domainname" => {
            let name = reader.name(value, "a domain's name", HOST);
            settings.domain_name = name.map(|name| name.value);
        }
        "read_only" => settings.read_only = reader.boolean(value, "`read_only`"),
        "tty" => settings.tty = reader.boolean(value, "`tty`"),
        "stdin_open" => settings.stdin_open = reader.boolean(value, "`stdin_open`"),
        "pids_limit" => {
            let read = |text: &str| text.parse::<i64>().ok().filter(|n| *n >= -1 && *n != 0);
            let expected = "a whole number, or -1 for no limit";
            let limit = reader.parsed(value, "`pids_limit`", expected, read);
            settings.pids_limit = limit.and_then(|limit| u32::try_from(limit.value).ok());
        }
        "ulimits" => {
            for entry in reader.map(value, "`ulimits`") {
                if let Some(limit) = ulimit(reader, entry) {
                    service.settings.ulimits.insert(entry.key.clone(), limit);
                }
            }
        }
        "group_add" => settings.groups = plain(reader.known_words(value, "a group")),
        "cap_drop" => {
            for name in reader.words(value, "`cap_drop`") {
                match super::grant::capability(&name.value) {
                    Some(known) => settings.cap_drop.push(known),
                    None => {
                        let expected = "the name of a capability like `NET_RAW`";
                        reader.wrong_word(&name, "an item of `cap_drop`", expected);
                    }
                }
            }
        }
        "dns" => {
            for address in reader.words(value, "`dns`") {
                if address.value.parse::<core::net::IpAddr>().is_err() {
                    reader.wrong_word(&address, "an item of `dns`", "an address like `1.1.1.1`");
                }
                settings.dns.push(address.value);
            }
        }
        "dns_search" => {
            settings.dns_search = plain(reader.known_words(value, "a domain to search"))
        }
        "dns_opt" => {
            settings.dns_options = plain(reader.known_words(value, "an option of `dns_opt`"))
        }
        "extra_hosts" => settings.extra_hosts = extra_hosts(reader, value),
        _ => return rarer(reader, service, field),
    }
    true
}

/// What few services ask for. Whether the field is one of these.
fn rarer(reader: &mut Reader<'_>, service: &mut Service, field: &Entry) -> bool {
    let value = &field.value;
    let settings = &mut service.settings;
    match field.key.as_str() {
        "cpuset" => {
            let expected = "processors like `0-3,7`";
            settings.cpuset = reader.parsed(value, "`cpuset`", expected, cpus).map(|it| it.value);
        }
        "memswap_limit" => {
            let read = |text: &str| match text {
                "-1" => Some(-1),
                _ => unit::size(text).and_then(|size| i64::try_from(size.0).ok()),
            };
            let expected = "a size like `2g`, or -1 for no limit of swap";
            let limit = reader.parsed(value, "`memswap_limit`", expected, read);
            settings.memory_swap = limit.map(|it| it.value).filter(|bytes| *bytes != 0);
        }
        "mem_swappiness" => {
            let read = |text: &str| text.parse::<u8>().ok().filter(|it| *it <= 100);
            let expected = "a whole number from 0 to 100";
            let read = reader.parsed(value, "`mem_swappiness`", expected, read);
            // Compose passes on none where it is 0.
            settings.swappiness = read.map(|it| it.value).filter(|it| *it != 0);
        }
        "oom_score_adj" => {
            let read =
                |text: &str| text.parse::<i16>().ok().filter(|it| (-1000..=1000).contains(it));
            let expected = "a whole number from -1000 to 1000";
            let read = reader.parsed(value, "`oom_score_adj`", expected, read);
            settings.oom_score_adj = read.map(|it| it.value).filter(|it| *it != 0);
        }
        "oom_kill_disable" => {
            settings.oom_kill_disable = reader.boolean(value, "`oom_kill_disable`");
        }
        "annotations" => settings.annotations = texts(reader, value, "`annotations`"),
        "storage_opt" => settings.storage = texts(reader, value, "`storage_opt`"),
        _ => return false,
    }
    true
}

/// Names with texts that have to be known here.
fn texts(reader: &mut Reader<'_>, node: &Node, what: &str) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for (name, text) in super::service::pairs(reader, node, what) {
        if super::template::is_marked(&text.value) {
            let span = reader.span(&text.at);
            reader.no_template(&span, what);
        } else {
            all.insert(name, text.value);
        }
    }
    all
}

/// Processors by number, with ranges.
fn cpus(text: &str) -> Option<String> {
    let number = |text: &str| text.parse::<u16>().ok();
    let part = |part: &str| match part.split_once('-') {
        None => number(part).is_some(),
        Some((low, high)) => number(low).zip(number(high)).is_some_and(|(low, high)| low <= high),
    };
    text.split(',').all(part).then(|| text.to_owned())
}

/// Whether a container can start in it: an absolute path, of Windows where it has a drive.
fn is_directory(path: &str) -> bool {
    let mut after_drive = path.chars().skip(1);
    path.starts_with('/')
        || (path.starts_with(|c: char| c.is_ascii_alphabetic())
            && after_drive.next() == Some(':')
            && matches!(after_drive.next(), Some('/' | '\\')))
}

fn ulimit(reader: &mut Reader<'_>, entry: &Entry) -> Option<Ulimit> {
    let read = |text: &str| text.parse::<i64>().ok().filter(|limit| *limit >= -1);
    let expected = "a whole number, or -1 for no limit";
    if !ULIMITS.contains(&entry.key.as_str()) {
        reader.unknown(entry, "`ulimits`", &ULIMITS.join(", "));
        return None;
    }
    if !matches!(entry.value.kind, Kind::Map(_)) {
        let both = reader.parsed(&entry.value, "a limit", expected, read)?.value;
        return Some(Ulimit { soft: both, hard: both });
    }
    let (mut soft, mut hard) = (None, None);
    for field in reader.map(&entry.value, "a limit") {
        let mut number = |what| Some(reader.parsed(&field.value, what, expected, read)?.value);
        match field.key.as_str() {
            "soft" => soft = number("`soft`"),
            "hard" => hard = number("`hard`"),
            _ => reader.unknown(field, "a limit", "soft and hard"),
        }
    }
    let (soft, hard) = (soft.or(hard)?, hard.or(soft)?);
    // -1 is no limit: above all others.
    let height = |limit: i64| if limit < 0 { i64::MAX } else { limit };
    if height(soft) > height(hard) {
        let shown = entry.key.escape_debug();
        let message = format!("the soft limit {soft} of `{shown}` is above the hard one, {hard}");
        reader.contradicts(&entry.value.span, message, None, "raise `hard`, or lower `soft`");
    }
    Some(Ulimit { soft, hard })
}

/// `["name:address"]`, `["name=address"]` or `{name: address}`, an address in brackets or not.
fn extra_hosts(reader: &mut Reader<'_>, node: &Node) -> Vec<String> {
    let mut all = Vec::new();
    let mut add = |reader: &mut Reader<'_>, node: &Node, name: &str, address: &str| {
        let address = address.trim_start_matches('[').trim_end_matches(']');
        let known = address == "host-gateway" || address.parse::<core::net::IpAddr>().is_ok();
        if !known || name.is_empty() {
            reader.wrong(node, "`extra_hosts`", "`name:address`");
        } else if reader.is_name(name, &node.span, "a host name", HOST) {
            all.push(format!("{name}:{address}"));
        }
    };
    if matches!(node.kind, Kind::Map(_)) {
        for entry in reader.map(node, "`extra_hosts`") {
            let single = [entry.value.clone()];
            let items = match &entry.value.kind {
                Kind::Seq(items) => items.as_slice(),
                _ => &single,
            };
            for item in items {
                if let Some(address) = reader.known(item, "an address") {
                    add(reader, item, &entry.key, &address.value);
                }
            }
        }
        return all;
    }
    for item in reader.list(node, "`extra_hosts`") {
        let Some(text) = reader.known(item, "`extra_hosts`") else { continue };
        match text.value.split_once(['=', ':']) {
            Some((name, address)) => add(reader, item, name, address),
            None => reader.wrong(item, "`extra_hosts`", "`name:address`"),
        }
    }
    all
}
