//! A Compose file and values for its `${…}` to specs on one node.
//!
//! Pure. The file is read as one that a repository holds, by the same reader and to the same normal
//! form, with no repository beside it and nothing granted.

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    compose::{self, Healthcheck, Inputs, Port, Project, Service, Texts},
    diagnostic::{Diagnostic, Located},
    file::{self, MemoryFiles, tree::Source},
    instance::{
        FileSpec, HealthSpec, InstanceSpec, Limits, PortSpec, Probe, StopSpec, VolumeSpec, Workload,
    },
    name::{ClusterName, InstanceId, NodeName, ServiceName},
    quantity::Period,
    secret::Text,
    validate::too_large,
    wire::{MAX_SPEC, size},
};

use crate::api::DeployRequest;

/// What the file is called in messages.
const FILE: &str = "rendered_compose";

/// The services of the request's file as specs. None when there is no file.
///
/// # Errors
/// Everything that is wrong with the file, or a name that cannot be a service.
pub(super) fn specs(
    request: &DeployRequest,
    cluster: &ClusterName,
    node: &NodeName,
    ip: &str,
) -> Result<Vec<InstanceSpec>, Vec<Diagnostic>> {
    if request.rendered_compose.trim().is_empty() {
        return Ok(Vec::new());
    }
    let source = Source::new(FILE, request.rendered_compose.clone());
    let inputs = Inputs {
        vars: &request.env,
        set: &BTreeMap::new(),
        project: &request.template_id,
        profiles: BTreeSet::new(),
        files: &MemoryFiles::new(),
        limits: &file::Limits::default(),
    };
    let (loaded, found) = compose::load(&source, &inputs);
    let mut found: Vec<Diagnostic> = found.into_iter().filter(Diagnostic::is_error).collect();
    let project: Option<ServiceName> = request
        .template_id
        .parse()
        .map_err(|error: devnet_schema::name::NameError| {
            found.push(Diagnostic::error("DN-E0901", None, error.to_string()));
        })
        .ok();
    let Project { services, networks } = loaded.project;
    let alone = services.len() == 1;
    let mut specs = Vec::new();
    for (name, service) in services {
        found.extend(compose::refusals(&service.asks, &[]));
        found.extend(gpus(&service));
        found.extend(shares(&service));
        let Some(project) = &project else { continue };
        let name = match alone {
            true => project.to_string(),
            false => format!("{project}-{}", name.to_ascii_lowercase().replace(['_', '.'], "-")),
        };
        match name.parse() {
            Ok(name) => {
                let id = InstanceId { service: name, index: 0 };
                let home = Home { cluster, node, ip, project, networks: &networks };
                let (at, spec) = (service.at.clone(), spec(id, service, &home));
                let bytes = size(&spec);
                if bytes > MAX_SPEC {
                    found.push(too_large("DN-E0903", at, &spec.id.to_string(), bytes, None));
                }
                specs.push(spec);
            }
            Err(error) => {
                let error: devnet_schema::name::NameError = error;
                found.push(Diagnostic::error("DN-E0901", service.at, error.to_string()));
            }
        }
    }
    if found.is_empty() { Ok(specs) } else { Err(found) }
}

/// Which device a service gets is the planner's choice, and there is no planner here.
fn gpus(service: &Service) -> Option<Diagnostic> {
    let gpus = service.gpus.as_ref()?;
    let message = "a deployment by hand is given no GPU: nobody picks the device";
    let help = "declare the service in the cluster file";
    Some(Diagnostic::error("DN-E0902", Some(gpus.at.clone()), message).help(help))
}

/// Whose namespace it is, and what that one runs, a plan says.
fn shares(service: &Service) -> Option<Diagnostic> {
    let share = service.shares.first()?;
    let message = "a deployment by hand shares no namespaces of other services";
    let help = "declare the services in the cluster file";
    Some(Diagnostic::error("DN-E0902", Some(share.at.clone()), message).help(help))
}

/// Where the services run.
struct Home<'a> {
    cluster: &'a ClusterName,
    node: &'a NodeName,
    ip: &'a str,
    project: &'a ServiceName,
    networks: &'a BTreeMap<String, compose::Network>,
}

/// Texts are as they stand: by hand there are no secrets to refer to.
struct Plain;

impl Texts for Plain {
    fn text(&mut self, text: Located<String>) -> Text {
        Text::plain(text.value)
    }

    fn plain(&mut self, text: Located<String>, _what: &str) -> String {
        text.value
    }
}

fn spec(id: InstanceId, mut service: Service, home: &Home<'_>) -> InstanceSpec {
    let text = |located: Located<String>| Text::plain(located.value);
    let env = std::mem::take(&mut service.env);
    let files = std::mem::take(&mut service.files);
    let ports = std::mem::take(&mut service.ports);
    let volumes = std::mem::take(&mut service.volumes);
    let health = service.health.take();
    let run_once = service.run_once;
    let stop = StopSpec {
        signal: service.stop_signal.take().map(|signal| signal.value),
        grace: service.stop_grace_period.take().map_or(StopSpec::default().grace, |it| it.value),
    };
    let limits = Limits { cpu: service.limits.cpu, memory: service.limits.memory };
    let project = Some((home.project, home.networks));
    let container = compose::container(service, project, &mut Plain);
    InstanceSpec {
        cluster: home.cluster.clone(),
        id,
        node: home.node.clone(),
        workload: Workload::Container(container),
        env: env.into_iter().map(|(name, it)| (name, text(it))).collect(),
        files: files.into_iter().map(|(path, it)| (path, file(it.value))).collect(),
        ports: ports.into_iter().filter_map(|it| port(it.value, home.ip)).collect(),
        volumes: volumes.into_iter().map(|it| volume(it.value, home.project)).collect(),
        limits,
        gpus: Vec::new(),
        health: health.and_then(|it| check(it.value)),
        stop,
        run_once,
        schedule: None,
        protect: false,
    }
}

fn volume(it: compose::Volume, project: &ServiceName) -> VolumeSpec {
    let compose::Volume { name, path, read_only } = it;
    VolumeSpec { name, path, data_of: None, project: Some(project.clone()), read_only }
}

fn file(it: compose::File) -> FileSpec {
    FileSpec { content: Text::plain(it.content), mode: it.mode }
}

/// A port that is published. Without an address it is reached at the node's own, not at all.
fn port(port: Port, ip: &str) -> Option<PortSpec> {
    let Port { name, container, host, host_ip, protocol, published } = port;
    let host = host.filter(|_| published)?;
    Some(PortSpec {
        name: name.unwrap_or_else(|| format!("port-{container}-{host}")),
        container,
        host,
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
            "services:\n  a: {image: a, volumes: ['${E:-/etc}/.:/x']}\n",
            "services:\n  a: {image: a, volumes: ['./etc:/x']}\n",
            "services:\n  a: {image: a, gpus: 1}\n",
            "services: [",
        ] {
            let found = of(bad, &[]).unwrap_err();
            assert!(found.iter().any(|one| one.at.is_some()), "{bad}: {found:?}");
        }
        assert!(of("", &[]).unwrap().is_empty());
        let told = |text: &str| of(text, &[]).unwrap_err()[0].to_string();
        assert_eq!(
            told("services:\n  a: {image: 'a:1', gpus: 1}\n"),
            "rendered_compose:2:27: error[DN-E0902]: a deployment by hand is given no GPU: nobody \
             picks the device\n  help: declare the service in the cluster file"
        );
        let long =
            format!("services:\n  a: {{image: 'a:1'}}\n  {}: {{image: 'a:1'}}\n", "x".repeat(60));
        assert!(
            told(&long).starts_with("rendered_compose:3:3: error[DN-E0901]: "),
            "{}",
            told(&long)
        );
    }
}
