//! Settings of a container and what it may have of its node, in the engine's words. Pure.
//!
//! Knows which field of the engine's request each is. Refuses to judge: what a unit may have of its
//! node was granted where the unit was planned.

use bollard::models::{DeviceMapping, HostConfig, HostConfigCgroupnsModeEnum, ResourcesUlimits};
use devnet_schema::{
    container::{DeviceSpec, HostAccess, Namespace, Settings, Ulimit},
    instance::{ContainerSpec, InstanceSpec},
};

use super::{create::container_name, networks};

/// The request with a container's settings in it.
pub(super) fn apply(
    usual: HostConfig,
    spec: &InstanceSpec,
    container: &ContainerSpec,
) -> HostConfig {
    let Settings {
        working_dir: _,
        domain_name: _,
        read_only,
        tty: _,
        stdin_open: _,
        no_new_privileges,
        offline,
        tmpfs,
        ulimits,
        pids_limit,
        groups,
        cap_drop,
        dns,
        dns_search,
        dns_options,
        extra_hosts,
        ..
    } = &container.settings;
    let HostAccess { privileged, namespaces, cap_add, devices, security_opt, sysctls, .. } =
        &container.host;
    let host = |namespace| namespaces.contains(&namespace).then(|| "host".to_owned());
    let mut security = security_opt.clone();
    if *no_new_privileges {
        security.push("no-new-privileges".to_owned());
    }
    let of_another = |namespace| of_another(spec, container, namespace);
    let network = match (container.networks.first(), container.host.networks.first()) {
        _ if *offline => Some("none".to_owned()),
        (Some(network), _) => Some(networks::name(&spec.cluster, network)),
        (None, Some(external)) => Some(external.name.clone()),
        (None, None) => of_another(Namespace::Network).or_else(|| host(Namespace::Network)),
    };
    let cgroup = namespaces.contains(&Namespace::Cgroup);
    HostConfig {
        readonly_rootfs: read_only.then_some(true),
        tmpfs: some(tmpfs.clone().into_iter().collect()),
        ulimits: some(ulimits.iter().map(ulimit).collect()),
        pids_limit: pids_limit.map(i64::from),
        group_add: some(groups.clone()),
        cap_drop: some(cap_drop.clone()),
        dns: some(dns.clone()),
        dns_search: some(dns_search.clone()),
        dns_options: some(dns_options.clone()),
        extra_hosts: some(extra_hosts.clone()),
        network_mode: network,
        privileged: privileged.then_some(true),
        pid_mode: of_another(Namespace::Pid).or_else(|| host(Namespace::Pid)),
        ipc_mode: of_another(Namespace::Ipc).or_else(|| host(Namespace::Ipc)),
        uts_mode: host(Namespace::Uts),
        userns_mode: host(Namespace::Userns),
        cgroupns_mode: cgroup.then_some(HostConfigCgroupnsModeEnum::HOST),
        cap_add: some(cap_add.clone()),
        devices: some(devices.iter().map(mapping).collect()),
        security_opt: some(security),
        sysctls: some(sysctls.clone().into_iter().collect()),
        ..rarer(usual, &container.settings)
    }
}

/// The request with what few containers ask for.
fn rarer(usual: HostConfig, settings: &Settings) -> HostConfig {
    // Named in full: a field that is forgotten here is one that a file says in vain.
    let Settings {
        working_dir: _,
        domain_name: _,
        read_only: _,
        tty: _,
        stdin_open: _,
        no_new_privileges: _,
        offline: _,
        tmpfs: _,
        ulimits: _,
        pids_limit: _,
        groups: _,
        cap_drop: _,
        dns: _,
        dns_search: _,
        dns_options: _,
        extra_hosts: _,
        cpuset,
        memory_swap,
        swappiness,
        oom_score_adj,
        oom_kill_disable,
        annotations,
        storage,
    } = settings;
    HostConfig {
        cpuset_cpus: cpuset.clone(),
        memory_swap: *memory_swap,
        memory_swappiness: swappiness.map(i64::from),
        oom_score_adj: oom_score_adj.map(i64::from),
        oom_kill_disable: oom_kill_disable.then_some(true),
        annotations: some(annotations.clone().into_iter().collect()),
        storage_opt: some(storage.clone().into_iter().collect()),
        ..usual
    }
}

/// The namespace of another unit, in the engine's words.
fn of_another(
    spec: &InstanceSpec,
    container: &ContainerSpec,
    namespace: Namespace,
) -> Option<String> {
    let share = container.shares.iter().find(|share| share.namespace == namespace)?;
    Some(format!("container:{}", container_name(&spec.cluster, &share.with)))
}

fn ulimit((name, limit): (&String, &Ulimit)) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.clone()), soft: Some(limit.soft), hard: Some(limit.hard) }
}

fn mapping(device: &DeviceSpec) -> DeviceMapping {
    DeviceMapping {
        path_on_host: Some(device.source.clone()),
        path_in_container: Some(device.path.clone()),
        cgroup_permissions: Some(device.permissions.clone()),
    }
}

/// Nothing where there is nothing, so that the engine's own default counts.
fn some<T>(all: T) -> Option<T>
where
    for<'a> &'a T: IntoIterator,
{
    let empty = (&all).into_iter().next().is_none();
    (!empty).then_some(all)
}

#[cfg(test)]
mod tests {
    use devnet_schema::container::{BindSpec, DeviceSpec};

    use super::*;
    use crate::sample;

    #[test]
    fn nothing_is_asked_of_the_engine_that_nobody_set() {
        let spec = sample::process(&[]);
        let request = apply(HostConfig::default(), &spec, &ContainerSpec::default());
        assert_eq!(request, HostConfig::default());
    }

    #[test]
    fn settings_and_access_arrive_in_the_engines_words() {
        let container = ContainerSpec {
            settings: Settings {
                read_only: true,
                no_new_privileges: true,
                tmpfs: [("/run".to_owned(), "size=64m".to_owned())].into(),
                ulimits: [("nofile".to_owned(), Ulimit { soft: 1, hard: 2 })].into(),
                pids_limit: Some(9),
                cap_drop: vec!["ALL".into()],
                extra_hosts: vec!["a:10.0.0.1".into()],
                ..Settings::default()
            },
            host: HostAccess {
                namespaces: vec![Namespace::Network, Namespace::Pid, Namespace::Cgroup],
                cap_add: vec!["NET_ADMIN".into()],
                devices: vec![DeviceSpec {
                    source: "/dev/kvm".into(),
                    path: "/dev/kvm".into(),
                    permissions: "rw".into(),
                }],
                security_opt: vec!["apparmor=unconfined".into()],
                sysctls: [("net.core.somaxconn".to_owned(), "1024".to_owned())].into(),
                binds: vec![BindSpec {
                    source: "/a".into(),
                    path: "/b".into(),
                    read_only: true,
                    propagation: None,
                }],
                ..HostAccess::default()
            },
            ..ContainerSpec::default()
        };
        let request = apply(HostConfig::default(), &sample::process(&[]), &container);
        assert_eq!(request.network_mode.as_deref(), Some("host"));
        assert_eq!(request.pid_mode.as_deref(), Some("host"));
        assert_eq!(request.ipc_mode, None);
        assert_eq!(request.cgroupns_mode, Some(HostConfigCgroupnsModeEnum::HOST));
        assert_eq!(request.readonly_rootfs, Some(true));
        assert_eq!(request.pids_limit, Some(9));
        let security = request.security_opt.unwrap();
        assert_eq!(security, ["apparmor=unconfined", "no-new-privileges"]);
        assert_eq!(request.tmpfs.unwrap()["/run"], "size=64m");
        assert_eq!(request.ulimits.unwrap()[0].hard, Some(2));
        assert_eq!(request.devices.unwrap()[0].path_on_host.as_deref(), Some("/dev/kvm"));
        assert_eq!(request.sysctls.unwrap()["net.core.somaxconn"], "1024");
        assert_eq!(request.privileged, None);
        let settings = Settings {
            cpuset: Some("0-1".into()),
            memory_swap: Some(-1),
            swappiness: Some(0),
            oom_score_adj: Some(-500),
            oom_kill_disable: true,
            annotations: [("a".to_owned(), "b".to_owned())].into(),
            storage: [("size".to_owned(), "1G".to_owned())].into(),
            ..Settings::default()
        };
        let container = ContainerSpec { settings, ..ContainerSpec::default() };
        let request = apply(HostConfig::default(), &sample::process(&[]), &container);
        assert_eq!(request.cpuset_cpus.as_deref(), Some("0-1"));
        assert_eq!((request.memory_swap, request.memory_swappiness), (Some(-1), Some(0)));
        assert_eq!((request.oom_score_adj, request.oom_kill_disable), (Some(-500), Some(true)));
        assert_eq!(request.annotations.unwrap()["a"], "b");
        assert_eq!(request.storage_opt.unwrap()["size"], "1G");
    }
}
