//! [`ClusterFile`] to the checked tree it could have been read from.
//!
//! Knows which field of a section holds what. Refuses to know text.

use super::{
    decode::SELECTOR_KEYS,
    scalar::Word,
    tree::{Entry, Kind, Node},
    written::*,
};
use crate::{diagnostic::Located, quantity::Cpu};

/// The tree of a file. Fields that nobody wrote are absent.
pub(super) fn tree(file: &ClusterFile) -> Node {
    let ClusterFile {
        broken: _,
        unread: _,
        more_catalogs: _,
        limits: _,
        doubtful: _,
        sources: _,
        cluster,
        nodes,
        services,
        moved,
    } = file;
    let named = |name: &Located<String>, node: Node| (name.value.clone(), node);
    map(vec![
        field("cluster", cluster.as_ref().map(cluster_section)),
        field("nodes", keyed(nodes.iter().map(|n| named(&n.name, node_section(n))))),
        field("services", keyed(services.iter().map(|s| named(&s.name, service_section(s))))),
        field(
            "moved",
            sections(moved, |MovedSection { at: _, from, to }| {
                map(vec![text("from", from), text("to", to)])
            }),
        ),
    ])
}

type Named = Option<(String, Node)>;

fn node(kind: Kind) -> Node {
    Node { kind, span: 0..0 }
}

fn leaf(raw: impl Into<String>) -> Node {
    Node::scalar(raw, false, 0..0)
}

fn map(fields: Vec<Named>) -> Node {
    let entries = fields.into_iter().flatten();
    node(Kind::Map(entries.map(|(key, value)| Entry { key, key_span: 0..0, value }).collect()))
}

fn field(name: &str, value: Option<Node>) -> Named {
    Some((name.to_owned(), value?))
}

fn keyed(entries: impl Iterator<Item = (String, Node)>) -> Option<Node> {
    let entries: Vec<Named> = entries.map(Some).collect();
    (!entries.is_empty()).then(|| map(entries))
}

fn sections<T>(items: &[T], section: impl Fn(&T) -> Node) -> Option<Node> {
    (!items.is_empty()).then(|| node(Kind::Seq(items.iter().map(section).collect())))
}

fn text(name: &str, value: &Maybe<String>) -> Named {
    field(name, value.as_ref().map(|value| leaf(value.value.as_str())))
}

fn shown<T: ToString>(name: &str, value: &Maybe<T>) -> Named {
    field(name, value.as_ref().map(|value| leaf(value.value.to_string())))
}

fn word<T: Word>(name: &str, value: &Maybe<T>) -> Named {
    field(name, value.as_ref().map(|value| leaf(value.value.word())))
}

fn list(name: &str, items: &[Located<String>]) -> Named {
    field(name, sections(items, |item| leaf(item.value.as_str())))
}

fn pairs(name: &str, pairs: &[Pair]) -> Named {
    let leaves = pairs.iter().map(|(key, value)| (key.value.clone(), leaf(value.value.as_str())));
    field(name, keyed(leaves))
}

/// Pairs whose value is the one field of a section.
fn keyed_pairs(name: &str, inner: &str, pairs: &[Pair]) -> Named {
    let one = |(key, value): &Pair| {
        (key.value.clone(), map(vec![field(inner, Some(leaf(value.value.as_str())))]))
    };
    field(name, keyed(pairs.iter().map(one)))
}

fn cluster_section(section: &ClusterSection) -> Node {
    let ClusterSection {
        at: _,
        name,
        catalog,
        include,
        sync,
        vars,
        defaults,
        placement,
        lost_after,
        unplaced,
    } = section;
    let sync = sync.as_ref().map(|SyncSection { at: _, auto, prune, self_heal, interval }| {
        map(vec![
            shown("auto", auto),
            shown("prune", prune),
            shown("self-heal", self_heal),
            shown("interval", interval),
        ])
    });
    let defaults =
        defaults.as_ref().map(|defaults| map(vec![field("resources", Some(resources(defaults)))]));
    map(vec![
        text("name", name),
        list("catalog", catalog),
        list("include", include),
        field("sync", sync),
        pairs("vars", vars),
        field("defaults", defaults),
        word("placement", placement),
        shown("lost-after", lost_after),
        word("unplaced", unplaced),
    ])
}

fn resources(section: &ResourcesSection) -> Node {
    let ResourcesSection { at: _, cpu, memory, disk, gpu, gpu_memory } = section;
    let devices = |gpu: &Located<GpuAmount>| Cpu { milli: u64::from(gpu.value.milli) }.to_string();
    map(vec![
        shown("cpu", cpu),
        shown("memory", memory),
        shown("disk", disk),
        field("gpu", gpu.as_ref().map(|gpu| leaf(devices(gpu)))),
        shown("gpu-memory", gpu_memory),
    ])
}

fn capacity(section: &CapacitySection) -> Node {
    let CapacitySection { at: _, cpu, memory, disk, gpus } = section;
    map(vec![shown("cpu", cpu), shown("memory", memory), shown("disk", disk), shown("gpus", gpus)])
}

fn node_section(section: &NodeSection) -> Node {
    let NodeSection { at: _, name: _, tags, zone, reserve, capacity, cordon, drain } = section;
    map(vec![
        list("tags", tags),
        text("zone", zone),
        field("reserve", reserve.as_ref().map(resources)),
        field("capacity", capacity.as_ref().map(self::capacity)),
        shown("cordon", cordon),
        shown("drain", drain),
    ])
}

fn form(section: &Option<FormSection>) -> Named {
    match section.as_ref()? {
        FormSection::Component { name, version } => {
            let name = field("name", Some(leaf(name.value.as_str())));
            field("component", Some(map(vec![name, text("version", version)])))
        }
        FormSection::Image(image) => field("image", Some(leaf(image.value.as_str()))),
        FormSection::Process(argv) => list("process", argv),
        FormSection::Compose(ComposeSection { file, profiles, sources: _ }) => {
            let file = field("file", Some(leaf(file.value.as_str())));
            field("compose", Some(map(vec![file, list("profiles", profiles)])))
        }
        FormSection::Kubernetes(KubernetesSection { path, namespace, values, sources: _ }) => {
            let path = field("path", Some(leaf(path.value.as_str())));
            let rest = [text("namespace", namespace), list("values", values)];
            field("kubernetes", Some(map([vec![path], rest.into()].concat())))
        }
    }
}

fn service_section(section: &ServiceSection) -> Node {
    let ServiceSection {
        at: _,
        name: _,
        form: what,
        models,
        allow,
        exposes,
        runtime,
        set,
        secrets,
        env,
        ports,
        volumes,
        files,
        command,
        resources: reserved,
        place,
        replicas,
        priority,
        depends_on,
        health,
        stop,
        update,
        run_once,
        schedule,
        protect,
        leave_data,
    } = section;
    map(vec![
        form(what),
        field("models", sections(models, model)),
        field("allow", sections(allow, grant)),
        field("exposes", sections(exposes, expose)),
        word("runtime", runtime),
        pairs("set", set),
        keyed_pairs("secrets", "from", secrets),
        pairs("env", env),
        field("ports", sections(ports, port)),
        keyed_pairs("volumes", "at", volumes),
        field("files", keyed(files.iter().map(|f| (f.path.value.clone(), file_section(f))))),
        list("command", command),
        field("resources", reserved.as_ref().map(resources)),
        field("place", place.as_ref().map(place_section)),
        shown("replicas", replicas),
        shown("priority", priority),
        list("depends-on", depends_on),
        field("health", health.as_ref().map(health_section)),
        field(
            "stop",
            stop.as_ref().map(|StopSection { at: _, signal, grace }| {
                map(vec![text("signal", signal), shown("grace", grace)])
            }),
        ),
        field("update", update.as_ref().map(update_section)),
        shown("run-once", run_once),
        field(
            "schedule",
            schedule.as_ref().map(|ScheduleSection { at: _, cron, timezone }| {
                map(vec![text("cron", cron), text("timezone", timezone)])
            }),
        ),
        shown("protect", protect),
        list("leave-data", leave_data),
    ])
}

fn model(section: &ModelSection) -> Node {
    let ModelSection { at: _, name, context, parallel } = section;
    map(vec![text("name", name), shown("context", context), shown("parallel", parallel)])
}

fn grant(section: &AllowSection) -> Node {
    let AllowSection { at: _, grant, to } = section;
    map(vec![text("grant", grant), list("to", to)])
}

fn expose(section: &ExposeSection) -> Node {
    let ExposeSection { at: _, host, path, port, tls } = section;
    map(vec![text("host", host), text("path", path), text("port", port), word("tls", tls)])
}

fn port(section: &PortSection) -> Node {
    let PortSection { at: _, container, host, name, scope, protocol } = section;
    map(vec![
        shown("container", container),
        shown("host", host),
        text("name", name),
        word("scope", scope),
        word("protocol", protocol),
    ])
}

fn file_section(section: &FileSection) -> Node {
    let FileSection { path: _, content, source, source_text: _, mode } = section;
    let octal = mode.as_ref().map(|mode| leaf(format!("{:04o}", mode.value)));
    map(vec![text("content", content), text("source", source), field("mode", octal)])
}

fn place_section(section: &PlaceSection) -> Node {
    let PlaceSection {
        at: _,
        require,
        forbid,
        prefer,
        pin,
        spread,
        max_per_node,
        apart_from,
        near,
    } = section;
    map(vec![
        field("require", sections(require, selector)),
        field("forbid", sections(forbid, selector)),
        field("prefer", sections(prefer, selector)),
        text("pin", pin),
        field(
            "spread",
            sections(spread, |SpreadSection { at: _, by, max_skew }| {
                map(vec![word("by", by), shown("max-skew", max_skew)])
            }),
        ),
        shown("max-per-node", max_per_node),
        list("apart-from", apart_from),
        list("near", near),
    ])
}

fn selector(section: &SelectorSection) -> Node {
    let SelectorSection { at: _, key, any_of, weight } = section;
    let name = SELECTOR_KEYS.iter().find(|(_, known)| known == key).map_or("", |(name, _)| name);
    map(vec![list(name, any_of), shown("weight", weight)])
}

fn health_section(section: &HealthSection) -> Node {
    let HealthSection { at: _, http, port, tcp, exec, interval, timeout, retries, start_period } =
        section;
    map(vec![
        text("http", http),
        shown("port", port),
        shown("tcp", tcp),
        list("exec", exec),
        shown("interval", interval),
        shown("timeout", timeout),
        shown("retries", retries),
        shown("start-period", start_period),
    ])
}

fn update_section(section: &UpdateSection) -> Node {
    let UpdateSection { at: _, order, max_unavailable, rollback, timeout } = section;
    map(vec![
        word("order", order),
        shown("max-unavailable", max_unavailable),
        shown("rollback", rollback),
        shown("timeout", timeout),
    ])
}
