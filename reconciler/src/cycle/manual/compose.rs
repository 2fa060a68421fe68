//! A Compose file and values for its `${…}` to specs on one node.
//!
//! Pure. Interpolates on the tree, after parsing, so that a value can never change the structure of
//! the document around it. Refuses `${…}` that has no value.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    compose::{self, Healthcheck, Port, Service},
    desired::Located,
    diagnostic::Diagnostic,
    file::tree::{Entry, Kind, Node, Source, from_yaml},
    instance::{
        ContainerSpec, FileSpec, HealthSpec, InstanceSpec, Limits, PortSpec, Probe, StopSpec,
        VolumeSpec, Workload,
    },
    name::{ClusterName, InstanceId, NodeName},
    quantity::Period,
    secret::Text,
};

use crate::api::DeployRequest;

/// What the file is called in messages.
const FILE: &str = "rendered_compose";

/// The services of the request's file as specs. None when there is no file.
///
/// # Errors
/// Everything that is wrong with the file, or a name that cannot be a service.
pub fn specs(
    request: &DeployRequest,
    cluster: &ClusterName,
    node: &NodeName,
    ip: &str,
) -> Result<Vec<InstanceSpec>, Vec<Diagnostic>> {
    if request.rendered_compose.trim().is_empty() {
        return Ok(Vec::new());
    }
    let source = Source::new(FILE, request.rendered_compose.clone());
    let mut tree = from_yaml(&source)?;
    let mut values = Values { env: &request.env, source: &source, found: Vec::new() };
    let mut templated = BTreeSet::new();
    values.fill(&mut tree, &mut templated);
    let mut found = values.found;
    let (project, more) = compose::read(&tree, &source, &templated);
    found.extend(more.into_iter().filter(Diagnostic::is_error));
    let alone = project.services.len() == 1;
    let mut specs = Vec::new();
    for (name, service) in project.services {
        let name = if alone {
            request.template_id.clone()
        } else {
            format!("{}-{name}", request.template_id)
        };
        match name.parse() {
            Ok(service_name) => {
                let id = InstanceId { service: service_name, index: 0 };
                specs.push(spec(id, service, cluster, node, ip));
            }
            Err(error) => {
                let error: devnet_schema::name::NameError = error;
                found.push(Diagnostic::error("DN-E0901", service.at, error.to_string()));
            }
        }
    }
    if found.is_empty() { Ok(specs) } else { Err(found) }
}

/// Fills in `${NAME}`, `${NAME:-default}` and `$NAME`; `$$` is a dollar sign.
struct Values<'a> {
    env: &'a BTreeMap<String, String>,
    source: &'a Source,
    found: Vec<Diagnostic>,
}

impl Values<'_> {
    fn fill(&mut self, node: &mut Node, templated: &mut BTreeSet<usize>) {
        let span = node.span.clone();
        match &mut node.kind {
            Kind::Scalar { raw, .. } if raw.contains('$') => match fill(raw, self.env) {
                Ok(text) => {
                    *raw = text;
                    templated.insert(span.start);
                }
                Err(problem) => {
                    let at = Some(self.source.at(&span));
                    self.found.push(Diagnostic::error("DN-E0902", at, problem));
                }
            },
            Kind::Scalar { .. } => {}
            Kind::Seq(items) => items.iter_mut().for_each(|item| self.fill(item, templated)),
            Kind::Map(entries) => {
                for Entry { value, .. } in entries {
                    self.fill(value, templated);
                }
            }
        }
    }
}

fn fill(text: &str, env: &BTreeMap<String, String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let (name, default, after) = reference(rest)?;
        let value = env.get(name).filter(|value| default.is_none() || !value.is_empty());
        match (value, default) {
            (Some(value), _) => out.push_str(value),
            (None, Some(default)) => out.push_str(default),
            (None, None) => return Err(format!("`env` has no value for `{name}`")),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Name, default, and what follows of the text after a `$`.
fn reference(rest: &str) -> Result<(&str, Option<&str>, &str), String> {
    let is_name = |text: &str| {
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let wrong = || "write `${NAME}`, `${NAME:-default}`, or `$$` for a dollar sign".to_owned();
    if let Some(inside) = rest.strip_prefix('{') {
        let (inside, after) = inside.split_once('}').ok_or_else(wrong)?;
        let (name, default) = match inside.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inside, None),
        };
        return if is_name(name) { Ok((name, default, after)) } else { Err(wrong()) };
    }
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let (name, after) = rest.split_at(end);
    if is_name(name) { Ok((name, None, after)) } else { Err(wrong()) }
}

fn spec(
    id: InstanceId,
    service: Service,
    cluster: &ClusterName,
    node: &NodeName,
    ip: &str,
) -> InstanceSpec {
    let text = |located: Located<String>| Text::plain(located.value);
    let texts = |words: Vec<Located<String>>| words.into_iter().map(text).collect();
    let plain = |located: Located<String>| located.value;
    // Named in full: a field that is forgotten here is one that the file says in vain.
    let Service {
        at: _,
        image,
        entrypoint,
        command,
        env,
        ports,
        volumes,
        files,
        health,
        stop_signal,
        stop_grace_period,
        shm_size,
        user,
        hostname,
        init,
        labels,
        depends_on: _,
        limits,
        reservations: _,
    } = service;
    let container = ContainerSpec {
        image: image.map(plain).unwrap_or_default(),
        entrypoint: entrypoint.map(texts),
        command: command.map(texts),
        user: user.map(plain),
        hostname: hostname.map(plain),
        shm_size: shm_size.map(|size| size.value),
        init,
        labels: values(labels),
    };
    let stop = StopSpec::default();
    InstanceSpec {
        cluster: cluster.clone(),
        id,
        node: node.clone(),
        workload: Workload::Container(container),
        env: env.into_iter().map(|(name, it)| (name, text(it))).collect(),
        files: files.into_iter().map(|(path, it)| (path, file(it.value))).collect(),
        ports: ports.into_iter().filter_map(|it| port(it.value, ip)).collect(),
        volumes: volumes.into_iter().map(|it| volume(it.value)).collect(),
        limits: Limits { cpu: limits.cpu, memory: limits.memory },
        gpus: Vec::new(),
        health: health.and_then(|it| check(it.value)),
        stop: StopSpec {
            signal: stop_signal.map(plain).or(stop.signal),
            grace: stop_grace_period.map_or(stop.grace, |it| it.value),
        },
    }
}

fn values(map: BTreeMap<String, Located<String>>) -> BTreeMap<String, String> {
    map.into_iter().map(|(name, it)| (name, it.value)).collect()
}

fn volume(it: compose::Volume) -> VolumeSpec {
    VolumeSpec { name: it.name, path: it.path, data_of: None }
}

fn file(it: compose::File) -> FileSpec {
    FileSpec { content: Text::plain(it.content), mode: it.mode }
}

/// A port that is published. Without an address it is reached at the node's own, not at all.
fn port(port: Port, ip: &str) -> Option<PortSpec> {
    let Port { name, container, host, host_ip, protocol } = port;
    Some(PortSpec {
        name: name.unwrap_or_else(|| format!("port-{container}")),
        container,
        host: host?,
        bind: host_ip.unwrap_or_else(|| ip.to_owned()),
        protocol,
    })
}

/// A check that is not switched off. The defaults are those of Compose.
fn check(check: Healthcheck) -> Option<HealthSpec> {
    let Healthcheck { argv, interval, timeout, retries, start_period } = check;
    (!argv.is_empty()).then(|| HealthSpec {
        probe: Probe::Exec { argv },
        interval: interval.unwrap_or(Period::seconds(30)),
        timeout: timeout.unwrap_or(Period::seconds(30)),
        retries: retries.unwrap_or(3),
        start_period: start_period.unwrap_or(Period::seconds(0)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::DeployAction;

    fn of(text: &str, env: &[(&str, &str)]) -> Result<Vec<InstanceSpec>, Vec<Diagnostic>> {
        let request = DeployRequest {
            deployment_id: "d".to_owned(),
            template_id: "shop".to_owned(),
            rendered_compose: text.to_owned(),
            env: env.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect(),
            action: DeployAction::Apply,
        };
        specs(&request, &"lab".parse().unwrap(), &"n1".parse().unwrap(), "10.0.0.1")
    }

    #[test]
    fn one_service_has_the_templates_name_and_its_values_filled_in() {
        let text = "services:\n  web:\n    image: nginx:${TAG:-1}\n    ports: ['8080:80']\n    \
                    environment: {A: '${A}', B: 'x$$y'}\n";
        let specs = of(text, &[("A", "1\nprivileged: true")]).unwrap();
        let [spec] = &specs[..] else { panic!("{specs:?}") };
        assert_eq!(spec.id.to_string(), "shop[0]");
        let Workload::Container(container) = &spec.workload else { panic!() };
        assert_eq!(container.image, "nginx:1");
        assert_eq!(spec.env["A"].to_string(), "1\nprivileged: true", "a value is a value");
        assert_eq!(spec.env["B"].to_string(), "x$y");
        assert_eq!((spec.ports[0].host, &*spec.ports[0].bind), (8080, "10.0.0.1"));
    }

    #[test]
    fn two_services_are_told_apart_and_what_is_wrong_has_a_place() {
        let two = "services:\n  a: {image: a}\n  b: {image: b}\n";
        let names: Vec<_> = of(two, &[]).unwrap().iter().map(|s| s.id.to_string()).collect();
        assert_eq!(names, ["shop-a[0]", "shop-b[0]"]);
        for bad in [
            "services:\n  a: {image: '${X}'}\n",
            "services:\n  a: {image: a, privileged: true}\n",
            "services:\n  a: {image: a, volumes: ['/etc:/x']}\n",
            "services: [",
        ] {
            let found = of(bad, &[]).unwrap_err();
            assert!(found.iter().any(|one| one.at.is_some()), "{bad}: {found:?}");
        }
        assert!(of("", &[]).unwrap().is_empty());
    }
}
