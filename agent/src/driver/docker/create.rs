//! From a spec to what the engine is asked to create. Pure.
//!
//! Knows labels, names and the engine's request. Refuses to put a secret's value anywhere but into
//! the environment and the command, which is where the unit wants it.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceRequest, HealthConfig, HostConfig, HostConfigLogConfig, Mount,
    MountBindOptions, MountBindOptionsPropagationEnum, MountType, PortBinding, RestartPolicy,
    RestartPolicyNameEnum,
};
use devnet_schema::{
    container::{Namespace, Propagation},
    instance::{ContainerSpec, InstanceSpec, Protocol, VolumeSpec, Workload},
    name::{ClusterName, InstanceId, ServiceName},
    secret::Text,
};

use super::{networks, settings};
use crate::{
    driver::{DriverError, Job},
    secrets::{SecretError, Values},
};

/// Labels by which units are found again.
pub(super) mod label {
    /// The cluster.
    pub(crate) const CLUSTER: &str = "devnet.cluster";
    /// The node.
    pub(crate) const NODE: &str = "devnet.node";
    /// The service.
    pub(crate) const SERVICE: &str = "devnet.service";
    /// The instance's number.
    pub(crate) const INDEX: &str = "devnet.index";
    /// The Compose file that a network or a volume is of.
    pub(crate) const PROJECT: &str = "devnet.project";
    /// What was declared of a network when it was made.
    pub(crate) const SHAPE: &str = "devnet.shape";
    /// The generation it was created as.
    pub(crate) const GENERATION: &str = "devnet.generation";
    /// The digest of the spec.
    pub(crate) const DIGEST: &str = "devnet.digest";
    /// The spec as JSON, when it is not too long.
    pub(crate) const SPEC: &str = "devnet.spec";
}

/// The longest spec that is kept in a label, in bytes.
const MAX_SPEC_LABEL: usize = 32 << 10;

/// What the engine can do, as far as a request depends on it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Abilities {
    /// Logs go to json files, which are then bounded.
    pub json_logs: bool,
}

/// A file on the node that the container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileMount {
    /// Path on the node.
    pub source: String,
    /// Path in the container.
    pub target: String,
}

/// The name of an instance's container.
pub(super) fn container_name(cluster: &ClusterName, id: &InstanceId) -> String {
    format!("devnet-{cluster}-{}", id.slug())
}

/// Ends the name of a container that is not started yet.
pub(super) const NEXT: &str = "-next";

/// Ends the name of a container that was stopped for its successor.
pub(super) const OLD: &str = "-old";

/// The name of one of its volumes.
pub(super) fn volume_name(cluster: &ClusterName, id: &InstanceId, volume: &str) -> String {
    format!("{}-{volume}", container_name(cluster, id))
}

/// The name of a volume that a project shares. A dot is in no name of ours, so that no instance's
/// volume is called the same.
pub(super) fn shared_volume(cluster: &ClusterName, project: &ServiceName, volume: &str) -> String {
    format!("devnet-{cluster}-{project}.{volume}")
}

/// The engine's name of a volume of a unit: its instance's own, or one that its project shares.
pub(super) fn volume_of(spec: &InstanceSpec, volume: &VolumeSpec) -> String {
    match &volume.project {
        Some(project) => shared_volume(&spec.cluster, project, &volume.name),
        None => volume_name(&spec.cluster, volume.owner(&spec.id), &volume.name),
    }
}

/// The container of a job.
///
/// # Errors
/// When the job is no container, or a secret has no value.
pub(super) fn body(
    job: &Job,
    values: &Values,
    files: &[FileMount],
    abilities: Abilities,
) -> Result<ContainerCreateBody, DriverError> {
    let spec = &*job.spec;
    let container = container(spec)?;
    let fill = |text: &Text| values.fill(text).map(|value| value.expose().clone());
    let fill_all = |texts: &Option<Vec<Text>>| {
        texts
            .as_ref()
            .map(|texts| texts.iter().map(fill).collect::<Result<Vec<_>, _>>())
            .transpose()
    };
    let env = spec
        .env
        .iter()
        .map(|(name, text)| Ok(format!("{name}={}", fill(text)?)))
        .collect::<Result<Vec<_>, SecretError>>()?;
    Ok(ContainerCreateBody {
        image: Some(container.image.clone()),
        entrypoint: fill_all(&container.entrypoint)?,
        cmd: fill_all(&container.command)?,
        env: Some(env),
        user: container.user.clone(),
        hostname: container.hostname.clone(),
        labels: Some(labels(job, container)),
        exposed_ports: Some(spec.ports.iter().map(port_key).collect()),
        stop_signal: spec.stop.signal.clone(),
        stop_timeout: Some(i64::try_from(spec.stop.grace.millis.div_ceil(1000)).unwrap_or(10)),
        // The agent probes; a check of the image's own would say something else beside it.
        healthcheck: Some(HealthConfig {
            test: Some(vec!["NONE".to_owned()]),
            ..HealthConfig::default()
        }),
        host_config: Some(host_config(spec, container, files, abilities)),
        networking_config: networks::first(spec),
        domainname: container.settings.domain_name.clone(),
        working_dir: container.settings.working_dir.clone(),
        tty: container.settings.tty.then_some(true),
        open_stdin: container.settings.stdin_open.then_some(true),
        ..ContainerCreateBody::default()
    })
}

/// The container part of a spec.
///
/// # Errors
/// When the spec is something else.
pub(super) fn container(spec: &InstanceSpec) -> Result<&ContainerSpec, DriverError> {
    match &spec.workload {
        Workload::Container(container) => Ok(container),
        Workload::Process { .. } => {
            Err(DriverError::Unavailable(format!("{} is not a container", spec.id)))
        }
    }
}

fn labels(job: &Job, container: &ContainerSpec) -> HashMap<String, String> {
    let spec = &*job.spec;
    let foreign = container.labels.iter().filter(|(name, _)| !name.starts_with("devnet."));
    let mut labels: HashMap<String, String> =
        foreign.map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut put = |name: &str, value: String| labels.insert(name.to_owned(), value);
    put(label::CLUSTER, spec.cluster.to_string());
    put(label::NODE, spec.node.to_string());
    put(label::SERVICE, spec.id.service.to_string());
    put(label::INDEX, spec.id.index.to_string());
    put(label::GENERATION, job.generation.to_string());
    put(label::DIGEST, job.digest.to_string());
    if let Ok(json) = serde_json::to_string(spec)
        && json.len() <= MAX_SPEC_LABEL
    {
        put(label::SPEC, json);
    }
    labels
}

fn port_key(port: &devnet_schema::instance::PortSpec) -> String {
    let protocol = match port.protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
    };
    format!("{}/{protocol}", port.container)
}

fn host_config(
    spec: &InstanceSpec,
    container: &ContainerSpec,
    files: &[FileMount],
    abilities: Abilities,
) -> HostConfig {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &spec.ports {
        let binding = PortBinding {
            host_ip: Some(port.bind.clone()),
            host_port: Some(port.host.to_string()),
        };
        bindings.entry(port_key(port)).or_default().get_or_insert_default().push(binding);
    }
    // In the node's network a container has the node's ports as they are.
    if container.host.namespaces.contains(&Namespace::Network) {
        bindings.clear();
    }
    let usual = HostConfig {
        port_bindings: Some(bindings),
        mounts: Some(mounts(spec, container, files)),
        nano_cpus: positive(spec.limits.cpu.milli.saturating_mul(1_000_000)),
        memory: positive(spec.limits.memory.0),
        shm_size: container.shm_size.and_then(|size| positive(size.0)),
        init: container.init.then_some(true),
        restart_policy: Some(RestartPolicy {
            name: Some(match spec.run_once {
                true => RestartPolicyNameEnum::NO,
                false => RestartPolicyNameEnum::UNLESS_STOPPED,
            }),
            maximum_retry_count: None,
        }),
        device_requests: devices(spec),
        log_config: abilities.json_logs.then(|| HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "32m".to_owned()),
                ("max-file".to_owned(), "2".to_owned()),
            ])),
        }),
        ..HostConfig::default()
    };
    settings::apply(usual, spec, container)
}

/// Zero means no limit, and the engine is then not told one.
fn positive(number: u64) -> Option<i64> {
    i64::try_from(number).ok().filter(|number| *number > 0)
}

fn mounts(spec: &InstanceSpec, container: &ContainerSpec, files: &[FileMount]) -> Vec<Mount> {
    let volumes = spec.volumes.iter().map(|volume| Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume_of(spec, volume)),
        target: Some(volume.path.clone()),
        read_only: volume.read_only.then_some(true),
        ..Mount::default()
    });
    let binds = container.host.binds.iter().map(|bind| Mount {
        typ: Some(MountType::BIND),
        source: Some(bind.source.clone()),
        target: Some(bind.path.clone()),
        read_only: bind.read_only.then_some(true),
        bind_options: bind.propagation.map(|propagation| MountBindOptions {
            propagation: Some(travels(propagation)),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    });
    let external = container.host.volumes.iter().map(|volume| Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume.name.clone()),
        target: Some(volume.path.clone()),
        read_only: volume.read_only.then_some(true),
        ..Mount::default()
    });
    // Mounts, not binds: a bind whose source is missing becomes an empty directory.
    let files = files.iter().map(|file| Mount {
        typ: Some(MountType::BIND),
        source: Some(file.source.clone()),
        target: Some(file.target.clone()),
        read_only: Some(true),
        ..Mount::default()
    });
    volumes.chain(external).chain(binds).chain(files).collect()
}

/// The engine's word.
fn travels(propagation: Propagation) -> MountBindOptionsPropagationEnum {
    match propagation {
        Propagation::Private => MountBindOptionsPropagationEnum::PRIVATE,
        Propagation::Slave => MountBindOptionsPropagationEnum::SLAVE,
        Propagation::Shared => MountBindOptionsPropagationEnum::SHARED,
        Propagation::Rslave => MountBindOptionsPropagationEnum::RSLAVE,
        Propagation::Rshared => MountBindOptionsPropagationEnum::RSHARED,
    }
}

fn devices(spec: &InstanceSpec) -> Option<Vec<DeviceRequest>> {
    if spec.gpus.is_empty() {
        return None;
    }
    Some(vec![DeviceRequest {
        driver: Some("nvidia".to_owned()),
        device_ids: Some(spec.gpus.iter().map(|gpu| gpu.id.clone()).collect()),
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        ..DeviceRequest::default()
    }])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use devnet_schema::{
        instance::VolumeSpec,
        placement::GpuUse,
        quantity::{Bytes, Cpu},
        secret::{Part, SecretRef, Sensitive},
    };

    use super::*;
    use crate::{driver::Progress, sample};

    fn job() -> (Job, Values) {
        let secret = SecretRef { name: "pw".parse().unwrap(), version: 3 };
        let mut spec = sample::process(&[]);
        spec.workload = Workload::Container(ContainerSpec {
            image: "postgres:16".into(),
            command: Some(vec![Text::plain("postgres")]),
            labels: [("app".to_owned(), "x".to_owned()), ("devnet.node".into(), "evil".into())]
                .into(),
            ..ContainerSpec::default()
        });
        let text = Text(vec![Part::Secret(secret.clone())]);
        spec.env.insert("PASSWORD".into(), text);
        spec.ports = vec![sample::port(5432, 15432, "10.0.0.1")];
        let volume = |name: &str, data_of: Option<&str>| VolumeSpec {
            name: name.into(),
            path: format!("/{name}"),
            data_of: data_of.map(|id| id.parse().unwrap()),
            project: None,
            read_only: false,
        };
        spec.volumes = vec![volume("data", None), volume("kept", Some("old[2]"))];
        spec.limits.cpu = Cpu { milli: 500 };
        spec.limits.memory = Bytes::mib(64);
        spec.gpus = vec![GpuUse { id: "GPU-1".into(), share_milli: 1000, memory: Bytes::ZERO }];
        let digest = spec.digest();
        let job = Job { spec: Arc::new(spec), generation: 7, digest, progress: Progress::none() };
        (job, Values::from_iter([(secret, Sensitive::new("hunter2".to_owned()))]))
    }

    #[test]
    fn a_container_is_what_its_spec_says() {
        let (job, values) = job();
        let files = [FileMount { source: "/run/x".into(), target: "/etc/x".into() }];
        let body = body(&job, &values, &files, Abilities { json_logs: true }).unwrap();
        assert_eq!(body.env, Some(vec!["PASSWORD=hunter2".to_owned()]));
        let host = body.host_config.unwrap();
        assert_eq!(host.nano_cpus, Some(500_000_000));
        assert_eq!(host.memory, Some(64 << 20));
        let binding = host.port_bindings.unwrap()["5432/tcp"].clone().unwrap();
        assert_eq!(binding[0].host_ip.as_deref(), Some("10.0.0.1"));
        assert_eq!(binding[0].host_port.as_deref(), Some("15432"));
        let mounts = host.mounts.unwrap();
        assert_eq!(mounts[0].source.as_deref(), Some("devnet-home-web-0-data"));
        assert_eq!(mounts[1].source.as_deref(), Some("devnet-home-old-2-kept"));
        assert_eq!(mounts[2].read_only, Some(true));
        let devices = host.device_requests.unwrap();
        assert_eq!(devices[0].device_ids, Some(vec!["GPU-1".to_owned()]));
    }

    #[test]
    fn labels_name_the_unit_and_hold_no_value() {
        let (job, values) = job();
        let body = body(&job, &values, &[], Abilities { json_logs: false }).unwrap();
        let labels = body.labels.unwrap();
        assert_eq!(labels[label::NODE], "n1", "a spec cannot claim to be of another node");
        assert_eq!(labels[label::GENERATION], "7");
        assert_eq!(labels["app"], "x");
        let spec: InstanceSpec = serde_json::from_str(&labels[label::SPEC]).unwrap();
        assert_eq!(spec.digest().as_str(), labels[label::DIGEST]);
        assert!(!format!("{labels:?}").contains("hunter2"));
    }

    #[test]
    fn a_missing_value_is_an_error_that_names_it() {
        let (job, _) = job();
        let abilities = Abilities { json_logs: false };
        let error = body(&job, &Values::default(), &[], abilities).unwrap_err().to_string();
        assert!(error.contains("secret pw version 3"), "{error}");
    }
}
