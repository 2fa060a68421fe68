//! Words and spellings that people bring along from other files: Compose, Kubernetes, Terraform,
//! YAML where KDL is written.
//!
//! Knows what each of them is called here. Refuses to accept any.

use super::tree::Form;

/// What to write for a field that another program has, by the section it is written in.
const FIELDS: [(&str, &[&str], &str); 34] = [
    (
        "service",
        &["environment", "envs", "env-file", "env_file"],
        "it is `env` here: `env NAME=\"value\"`",
    ),
    (
        "service",
        &["restart", "restart_policy", "restart-policy"],
        "what ends by itself is started again; say `run-once` of what is to end",
    ),
    ("service", &["scale", "count", "instances", "replica"], "it is `replicas` here"),
    (
        "service",
        &["healthcheck", "probe", "livenessProbe", "readinessProbe", "check"],
        "it is `health` here: `health http=\"/healthz\" port=8080`",
    ),
    (
        "service",
        &["cmd", "args", "entrypoint", "exec"],
        "it is `command` here, for images; a native program is `process`",
    ),
    (
        "service",
        &[
            "cpu",
            "cpus",
            "mem",
            "memory",
            "mem_limit",
            "limits",
            "requests",
            "deploy",
            "gpu",
            "gpus",
        ],
        "it belongs into `resources`: `resources cpu=0.5 memory=\"512MiB\"`",
    ),
    (
        "service",
        &[
            "node",
            "nodes",
            "placement",
            "constraints",
            "constraint",
            "affinity",
            "nodeSelector",
            "tags",
            "zone",
        ],
        "it belongs into `place`: `place { require tag=\"ssd\" }`, or `place { pin \"NODE\" }`",
    ),
    (
        "service",
        &["config", "configs", "template"],
        "it is `file` here: `file \"/etc/app.conf\" content=\"…\"`, or `source=\"app.conf\"`",
    ),
    (
        "service",
        &[
            "labels",
            "networks",
            "network",
            "network_mode",
            "hostname",
            "user",
            "privileged",
            "cap_add",
            "devices",
            "container_name",
            "links",
            "sysctls",
            "ulimits",
        ],
        "it can be said in a Compose file: `compose \"compose.yml\"` in the service",
    ),
    ("service", &["build"], "images are not built: name one that a registry has, in `image`"),
    ("service", &["tag"], "write it behind the image: `image \"nginx:1.27\"`"),
    (
        "service",
        &["depends", "depends_on", "needs", "after", "requires"],
        "it is `depends-on` here: `depends-on \"db\"`",
    ),
    (
        "service",
        &["data", "mounts", "mount", "disk", "disks"],
        "it is `volume` here: `volume \"data\" at=\"/var/lib/app\"`",
    ),
    ("service", &["listen", "expose-port", "publish"], "it is `port` here: `port 80 host=8080`"),
    (
        "service",
        &["rolling", "strategy", "update_config"],
        "it is `update` here: `update max-unavailable=1`",
    ),
    (
        "service",
        &["cron", "cronjob", "timer", "crontab"],
        "it is `schedule` here: `schedule \"0 3 * * *\"`",
    ),
    (
        "service",
        &["auto", "prune", "self-heal", "sync"],
        "it belongs into the cluster block: `sync auto=#true`",
    ),
    ("resources", &["mem", "ram", "mem_limit"], "it is `memory` here: `memory=\"512MiB\"`"),
    ("resources", &["cpus", "cores", "vcpu"], "it is `cpu` here: `cpu=0.5`"),
    ("resources", &["storage", "space"], "it is `disk` here: `disk=\"10GiB\"`"),
    ("resources", &["gpus", "devices"], "it is `gpu` here: `gpu=1`, or `gpu=0.5` for a share"),
    (
        "resources",
        &["vram", "gpu_memory", "gpu-mem"],
        "it is `gpu-memory` here: `gpu-memory=\"12GiB\"`",
    ),
    (
        "resources",
        &["limits", "requests", "reservations"],
        "one amount is both here: `cpu=0.5 memory=\"512MiB\"`",
    ),
    (
        "health",
        &["path", "url", "get", "httpGet"],
        "it is `http` here: `health http=\"/healthz\" port=8080`",
    ),
    (
        "health",
        &["command", "cmd", "test", "script"],
        "it is `exec` here: `health exec=\"/bin/check\"`",
    ),
    ("health", &["start_period", "initialDelaySeconds", "delay"], "it is `start-period` here"),
    ("place", &["node", "nodes", "on"], "it is `pin` here: `pin \"NODE\"`"),
    (
        "place",
        &["tag", "tags", "label", "labels", "zone", "os", "arch"],
        "say what it is for: `require tag=\"ssd\"`, `forbid …` or `prefer …`",
    ),
    ("port", &["published", "hostPort", "public"], "it is `host` here: `port 80 host=8080`"),
    ("port", &["target", "containerPort"], "it is the port's own number: `port 80 host=8080`"),
    (
        "file",
        &["version", "networks", "volumes", "configs", "x-common"],
        "this looks like a Compose file: name it in a service of a cluster file, with \
         `compose \"compose.yml\"`",
    ),
    (
        "file",
        &["apiVersion", "kind", "metadata", "spec"],
        "this looks like a Kubernetes manifest: name it in a service of a cluster file, with \
         `kubernetes \"FILE\"`",
    ),
    (
        "file",
        &["resource", "provider", "terraform", "variable", "module", "locals", "output", "data"],
        "this looks like Terraform: a cluster file declares `cluster`, `node` and `service`",
    ),
    (
        "file",
        &["job", "group", "task"],
        "it is `service` here: `service \"web\" { image \"nginx:1.27\" }`",
    ),
];

/// What to write in the place of a field that is none, where a habit explains it.
pub(super) fn field(section: &str, word: &str, form: Form) -> Option<String> {
    if form == Form::Kdl && word.ends_with(':') {
        return Some(
            "this looks like YAML: call the file cluster.yaml, or write `name \"value\"` without \
             `:`"
            .to_owned(),
        );
    }
    let known = |(of, words, _): &&(&str, &[&str], &str)| *of == section && words.contains(&word);
    FIELDS.iter().find(known).map(|(_, _, help)| match form {
        Form::Kdl => (*help).to_owned(),
        // Examples are KDL; what it is called is the same.
        Form::Yaml => help.split_once(": `").map_or(*help, |(head, _)| head).to_owned(),
    })
}

/// What to write for a number that is none, where a habit explains it.
pub(super) fn number(raw: &str, form: Form) -> Option<String> {
    let port = |text: &str| text.parse::<u16>().is_ok_and(|port| port > 0);
    let parts: Vec<&str> = raw.split(':').collect();
    let (host, container) = match parts.as_slice() {
        [host, container] => (*host, *container),
        [_, host, container] => (*host, *container),
        _ => return None,
    };
    let container = container.split('/').next().unwrap_or(container);
    (port(host) && port(container)).then(|| match form {
        Form::Kdl => format!("write `port {container} host={host}`"),
        Form::Yaml => format!("write `{{container: {container}, host: {host}}}`"),
    })
}

/// What to write for a size whose unit has another name elsewhere.
pub(super) fn size(raw: &str) -> Option<String> {
    let at = raw.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = raw.split_at(at);
    let unit = match unit.trim() {
        "Ki" | "ki" | "K" | "k" | "kb" => "KiB",
        "Mi" | "mi" | "M" | "m" | "mb" => "MiB",
        "Gi" | "gi" | "G" | "g" | "gb" => "GiB",
        "Ti" | "ti" | "T" | "t" | "tb" => "TiB",
        "b" => "B",
        _ => return None,
    };
    (!number.is_empty()).then(|| format!("write `\"{number}{unit}\"`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::fields::{FILE, Shape, Type};

    #[test]
    fn words_of_other_files_are_answered_with_ours() {
        let kdl = |section, word| field(section, word, Form::Kdl).unwrap_or_default();
        assert!(kdl("service", "environment").starts_with("it is `env` here"));
        assert!(kdl("resources", "mem").contains("`memory`"));
        assert!(kdl("service", "restart").contains("run-once"));
        assert!(kdl("file", "version").contains("Compose file"));
        assert!(kdl("file", "services:").contains("cluster.yaml"));
        assert_eq!(field("service", "environment", Form::Yaml).unwrap(), "it is `env` here");
        assert_eq!(field("service", "imag", Form::Kdl), None);
    }

    #[test]
    fn no_habit_is_a_field_of_ours() {
        let (mut all, mut next): (Vec<&Shape>, Vec<&Shape>) = (Vec::new(), vec![&FILE]);
        while let Some(shape) = next.pop() {
            all.push(shape);
            next.extend(shape.fields.iter().filter_map(|field| match field.ty {
                Type::Section(shape) | Type::Sections(shape) | Type::Keyed(shape) => Some(shape),
                _ => None,
            }));
        }
        for (section, words, _) in FIELDS {
            let named: Vec<_> = all.iter().filter(|shape| shape.name == section).collect();
            assert!(!named.is_empty(), "there is no section {section}");
            // `file` is the whole file and one line of a service.
            for field in named.iter().take(1).flat_map(|shape| shape.fields) {
                assert!(!words.contains(&field.kdl), "{section}: {}", field.kdl);
                assert!(!words.contains(&field.name), "{section}: {}", field.name);
            }
        }
    }

    #[test]
    fn ports_and_sizes_as_others_write_them() {
        assert_eq!(number("8080:80", Form::Kdl).unwrap(), "write `port 80 host=8080`");
        assert_eq!(
            number("127.0.0.1:8080:80/tcp", Form::Kdl).unwrap(),
            "write `port 80 host=8080`"
        );
        assert!(number("80:80", Form::Yaml).unwrap().contains("{container: 80, host: 80}"));
        assert_eq!(number("eight", Form::Kdl), None);
        assert_eq!(size("1Gi").unwrap(), "write `\"1GiB\"`");
        assert_eq!(size("512m").unwrap(), "write `\"512MiB\"`");
        assert_eq!(size("a lot"), None);
    }
}
