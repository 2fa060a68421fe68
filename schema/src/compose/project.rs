//! The top of a Compose document.
//!
//! Knows services, volumes, networks, configs and secrets and how they name one another. Refuses to
//! know what a service holds: [`super::service`] does.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    content,
    grant::{Ask, clean},
    model::{Condition, Declared, Dependency, Project, Service, Share, VolumeSource},
    names::LABEL,
    network,
    reader::{Reader, or},
    service,
};
use crate::{
    container::Namespace,
    diagnostic::Located,
    file::tree::{Entry, Node, Span},
};

const FIELDS: &str = "services, volumes, networks, configs, secrets, name and x-…";

/// Reads the document: services without a profile and those with one of `profiles`.
pub(super) fn read(reader: &mut Reader<'_>, tree: &Node, profiles: &BTreeSet<String>) -> Project {
    let mut declared = Declared::default();
    let mut services = Vec::new();
    for entry in reader.map(tree, "a Compose document") {
        match entry.key.as_str() {
            "services" => services = reader.map(&entry.value, "`services`"),
            "volumes" => declared.volumes = volumes(reader, &entry.value),
            "configs" => declared.configs = content::declared(reader, &entry.value, "config"),
            "secrets" => declared.secrets = content::declared(reader, &entry.value, "secret"),
            "networks" => {
                for entry in reader.map(&entry.value, "`networks`") {
                    reader.is_name(&entry.key, &entry.key_span, "a network's name", LABEL);
                    let network = network::declared(reader, entry);
                    declared.networks.insert(entry.key.clone(), network);
                }
            }
            "name" | "version" => {}
            "include" => reader.error(
                "DN-E0554",
                &entry.key_span,
                "`include` is refused: what runs has to be said in this file".into(),
                "copy the services here",
            ),
            _ => reader.unknown(entry, "a Compose document", FIELDS),
        }
    }
    let mut project = Project::default();
    let mut left_out = BTreeSet::new();
    for entry in services {
        reader.is_name(&entry.key, &entry.key_span, "a service's name", LABEL);
        let wanted = wanted(reader, entry, profiles);
        // What is left out is read all the same: what is wrong with it is wrong today.
        let Some(mut read) = built(reader, entry, |reader| service::read(reader, entry, &declared))
        else {
            left_out.insert(entry.key.as_str());
            continue;
        };
        for volume in read.volumes.iter_mut().filter(|volume| volume.value.name.is_empty()) {
            volume.value.name = own_volume(&entry.key, &volume.value.path);
        }
        if wanted {
            project.services.insert(entry.key.clone(), read);
        } else {
            left_out.insert(entry.key.as_str());
        }
    }
    once(&mut project, reader);
    let linked = links(&mut project, reader, declared.links.take());
    project.networks = declared.networks;
    shares(reader, &mut project);
    dependencies(reader, &mut project, services_of(tree), &left_out, &linked);
    project
}

/// Marks the services whose end others wait for: they run once, as Swarm's jobs do. What says that
/// they are to run for ever, or how to ask whether they serve, has no effect then.
fn once(project: &mut Project, reader: &mut Reader<'_>) {
    let all = project.services.values().flat_map(|service| &service.depends_on);
    let ends = all.filter(|one| one.value.condition == Condition::Completed);
    let ends: BTreeSet<String> = ends.map(|one| one.value.service.clone()).collect();
    for (name, service) in &mut project.services {
        let restart = service.restart.take();
        if !ends.contains(name) && !service.run_once {
            if let Some(Located { value: false, at }) = restart {
                let why = "the agent starts again whatever ends, however it ended";
                let message = format!("`restart` is ignored: {why}");
                let help = "leave it out; a service whose end another one waits for runs once";
                let span = reader.span(&at);
                reader.warning("DN-W0560", &span, message, help);
            }
            continue;
        }
        service.run_once = true;
        if let Some(Located { value: true, at }) = restart {
            let message = "`restart` is ignored: this service runs once";
            let span = reader.span(&at);
            reader.warning("DN-W0560", &span, message.to_owned(), "leave it out");
        }
        if let Some(check) = service.health.take_if(|check| !check.value.argv.is_empty()) {
            let message = "`healthcheck` is ignored: this service runs once, and its end says \
                           how it went";
            let span = reader.span(&check.at);
            reader.warning("DN-W0560", &span, message.to_owned(), "leave it out");
        }
    }
}

/// Whose namespace another one has is there, has its own, and is started first.
fn shares(reader: &mut Reader<'_>, project: &mut Project) {
    let own = |service: &Service, namespace: Namespace| {
        let asks = service.asks.iter().any(|ask| ask.value == Ask::Namespace(namespace));
        let shares = service.shares.iter().any(|share| share.value.namespace == namespace);
        !asks && !shares
    };
    let mut wrong = Vec::new();
    let names: Vec<String> = project.services.keys().cloned().collect();
    for (name, service) in &project.services {
        for (at, share) in service.shares.iter().enumerate() {
            let Share { namespace, service: other } = &share.value;
            let fault = match project.services.get(other) {
                None => Fault::NotThere,
                Some(_) if other == name => Fault::Itself,
                Some(there) if !own(there, *namespace) => Fault::NotItsOwn,
                Some(there) if there.replicas.as_ref().is_some_and(|it| it.value > 1) => {
                    Fault::Several
                }
                Some(there) if there.global.is_some() != service.global.is_some() => Fault::Several,
                Some(_) => continue,
            };
            wrong.push((name.clone(), at, fault));
        }
    }
    for (name, at, fault) in wrong.iter().rev() {
        let Some(service) = project.services.get_mut(name) else { continue };
        let share = service.shares.remove(*at);
        let other = share.value.service.as_str();
        if reader.unread.may_declare(other) {
            continue;
        }
        let shown = other.escape_debug();
        let (message, help) = match fault {
            Fault::NotThere => {
                let meant = reader.meant(other, names.iter().map(String::as_str));
                let help = or(&meant, "name a service of this file that runs, without a profile");
                (format!("there is no service `{shown}` whose namespace this could be"), help)
            }
            Fault::Itself => {
                ("a service has its own namespaces".to_owned(), "leave it out".to_owned())
            }
            Fault::NotItsOwn => {
                let message = format!("`{shown}` has no such namespace of its own");
                (message, "name the service whose own it is".to_owned())
            }
            Fault::Several => {
                let message = format!("there are several of `{shown}`, or of this service");
                (message, "run one instance of each, or one of each on every node".to_owned())
            }
        };
        let span = reader.span(&share.at);
        reader.error("DN-E0559", &span, message, &help);
    }
    for service in project.services.values_mut() {
        for share in &service.shares {
            let other = &share.value.service;
            if !service.depends_on.iter().any(|one| one.value.service == *other) {
                let (service_name, condition) = (other.clone(), Condition::Started);
                let value = Dependency { service: service_name, condition, required: true };
                service.depends_on.push(Located { value, at: share.at.clone() });
            }
        }
    }
}

/// Why a namespace cannot be had.
enum Fault {
    NotThere,
    Itself,
    NotItsOwn,
    Several,
}

/// Gives services the further names that others link them by; where all the links are.
fn links(
    project: &mut Project,
    reader: &mut Reader<'_>,
    links: Vec<(String, String, Span)>,
) -> BTreeSet<usize> {
    let mut linked = BTreeSet::new();
    for (service, alias, span) in links {
        linked.insert(span.start);
        if alias.is_empty() {
            continue;
        }
        let Some(other) = project.services.get_mut(&service) else { continue };
        // Of one network it is the name that is written.
        if !reader.repeats(other.networks.len().saturating_sub(1), &span) {
            break;
        }
        for network in &mut other.networks {
            network.value.aliases.push(alias.clone());
        }
    }
    linked
}

/// Reads a service, unless it has to be built: then that is all there is to say of it. What else
/// is written is about a place with its source beside it, and changes once there is an image.
fn built<T>(
    reader: &mut Reader<'_>,
    entry: &Entry,
    read: impl FnOnce(&mut Reader<'_>) -> T,
) -> Option<T> {
    let build = entry.value.entries().iter().find(|field| field.key == "build");
    let Some(build) = build.filter(|build| !Reader::is_nothing(&build.value)) else {
        return Some(read(reader));
    };
    let message = "`build` is refused: devnet runs images that a registry has";
    let help = "build and push the image first, and write `image: …` alone";
    reader.error("DN-E0554", &build.key_span, message.to_owned(), help);
    None
}

fn services_of(tree: &Node) -> &[Entry] {
    tree.get("services").map(Node::entries).unwrap_or_default()
}

/// Whether the service has no profile, or one that is wanted.
fn wanted(reader: &mut Reader<'_>, entry: &Entry, profiles: &BTreeSet<String>) -> bool {
    let Some(field) = entry.value.entries().iter().find(|field| field.key == "profiles") else {
        return true;
    };
    let own = reader.words(&field.value, "`profiles`");
    own.is_empty() || own.iter().any(|one| one.value == "*" || profiles.contains(&one.value))
}

/// The name of a volume that only one service has and nobody named.
fn own_volume(service: &str, path: &str) -> String {
    format!("{service}.{}", in_name(path))
}

fn in_name(path: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    path.trim_matches('/').chars().map(plain).collect()
}

/// Whether a volume at a path has the name of one that only one service has and nobody named.
pub fn is_own_volume(name: &str, path: &str) -> bool {
    name.strip_suffix(&in_name(path)).is_some_and(|service| service.ends_with('.'))
}

/// Every dependency is there, or need not be.
fn dependencies(
    reader: &mut Reader<'_>,
    project: &mut Project,
    services: &[Entry],
    left_out: &BTreeSet<&str>,
    linked: &BTreeSet<usize>,
) {
    let names: BTreeSet<String> = project.services.keys().cloned().collect();
    for entry in services {
        let Some(service) = project.services.get_mut(&entry.key) else { continue };
        for dependency in &service.depends_on {
            let name = dependency.value.service.as_str();
            if names.contains(name) {
                continue;
            }
            let span = reader.span(&dependency.at);
            let shown = name.escape_debug();
            if !dependency.value.required {
                if !left_out.contains(name) && !reader.unread.may_declare(name) {
                    let message = format!("there is no service `{shown}`: nothing waits for it");
                    let known = services.iter().map(|entry| entry.key.as_str());
                    let meant = reader.meant(name, known.filter(|known| *known != entry.key));
                    reader.warning("DN-W0560", &span, message, &or(&meant, "leave it out"));
                }
                continue;
            }
            let told = left_out.contains(name) && built_elsewhere(services, name);
            if told || reader.unread.may_declare(name) {
                continue;
            }
            if left_out.contains(name) {
                let message = format!("`{shown}` belongs to a profile that is not wanted");
                let help = "want the profile too, or write `required: false`";
                reader.error("DN-E0566", &span, message, help);
            } else {
                let what = if linked.contains(&span.start) { "link" } else { "wait for" };
                let message = format!("there is no service `{shown}` to {what}");
                let known = services.iter().map(|entry| entry.key.as_str());
                let meant = reader.meant(name, known.filter(|known| *known != entry.key));
                let help = or(&meant, "name a service of this file");
                reader.error("DN-E0566", &span, message, &help);
            }
        }
        service.depends_on.retain(|dependency| names.contains(&dependency.value.service));
    }
}

/// Whether a service has to be built, which was told already.
fn built_elsewhere(services: &[Entry], name: &str) -> bool {
    let service = services.iter().find(|entry| entry.key == name);
    service.is_some_and(|service| service.value.get("build").is_some())
}

/// Volumes by name. Where one is kept is the engine's business, unless it is a path of the node in
/// disguise: then it is asked for like one.
fn volumes(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, VolumeSource> {
    let mut all = BTreeMap::new();
    for entry in reader.map(node, "`volumes`") {
        let mut kept = VolumeSource::Engine;
        let (mut external, mut named, mut name) = (false, None, None);
        for field in reader.map(&entry.value, "a volume") {
            match field.key.as_str() {
                "driver" if matches!(field.value.text(), Some("local" | "")) => {}
                "driver_opts" => {
                    if let Some(path) = driver_options(reader, field) {
                        kept = path;
                    }
                }
                "external" => external = network::is_external(reader, &field.value, &mut name),
                "name" => named = Some(field),
                "labels" => reader.ignored(field, "labels of a volume change nothing here"),
                _ => {
                    let message = format!("`{}` of a volume is refused", field.key.escape_debug());
                    let help = "a volume is a name and nothing more: `data: {}`; where it is kept \
                                is the engine's business";
                    reader.error("DN-E0554", &field.key_span, message, help);
                }
            }
        }
        match named {
            Some(field) if external => {
                name = reader.known(&field.value, "`name`").map(|it| it.value).or(name);
            }
            Some(field) => reader.ignored(field, "devnet names volumes after cluster and service"),
            None => {}
        }
        if external && let Some(name) = network::engine_name(reader, entry, name, "volume") {
            kept = VolumeSource::External(name);
        }
        reader.is_name(&entry.key, &entry.key_span, "a volume's name", LABEL);
        all.insert(entry.key.clone(), kept);
    }
    all
}

/// `{type: none, o: bind, device: /path}` is a bind, read-only with `o: "bind,ro"`. Everything else
/// mounts something that devnet does not know, or in a way that it does not carry to the engine:
/// were a word left out in silence, a path would be more open than what is written.
fn driver_options(reader: &mut Reader<'_>, field: &Entry) -> Option<VolumeSource> {
    let options = &field.value;
    if Reader::is_nothing(options) {
        return None;
    }
    let (mut device, mut binds, mut read_only, mut good) = (None, false, false, true);
    for option in reader.map(options, "`driver_opts`") {
        let value = &option.value;
        match option.key.as_str() {
            "type" if matches!(value.text(), Some("none" | "bind" | "")) => {}
            "device" => device = reader.known(value, "`device`"),
            "o" => {
                reader.literal(value, "`o`", "write `o: bind` without a template")?;
                for word in reader.known(value, "`o`")?.value.split(',') {
                    match word.trim() {
                        "bind" | "rbind" => binds = true,
                        "ro" => read_only = true,
                        "rw" | "" => {}
                        other => {
                            good = false;
                            option_refused(reader, &value.span, &format!("o: {other}"));
                        }
                    }
                }
            }
            "type" => {
                good = false;
                let shown = value.text().unwrap_or("…").to_owned();
                option_refused(reader, &value.span, &format!("type: {shown}"));
            }
            other => {
                good = false;
                option_refused(reader, &option.key_span, other);
            }
        }
    }
    match device {
        Some(device) if binds && good => {
            // A relative path is one of the node here too: nothing of the repository is meant.
            let source = clean(&device.value).unwrap_or(device.value);
            Some(VolumeSource::Path { source, read_only })
        }
        _ => {
            if good {
                let message =
                    "`driver_opts` of a volume is refused: it mounts what no commit names";
                let help = "a volume is a name and nothing more; a path of the node is a bind";
                reader.error("DN-E0554", &field.key_span, message.to_owned(), help);
            }
            None
        }
    }
}

fn option_refused(reader: &mut Reader<'_>, span: &Span, option: &str) {
    let shown = option.escape_debug();
    let message = format!("`{shown}` of `driver_opts` is refused: devnet does not carry it out");
    let help = "a volume is a name and nothing more; a path of the node is \
                `{type: none, device: /path, o: bind}`, read-only with `o: \"bind,ro\"`";
    reader.error("DN-E0554", span, message, help);
}
