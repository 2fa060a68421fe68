//! What Compose can say and devnet does not run, each with its reason.
//!
//! Knows reasons. Everything that is neither here nor read is simply unknown.

/// Why `key` of a service is refused; `None` when devnet has never heard of it.
pub(super) fn reason(key: &str) -> Option<&'static str> {
    Some(match key {
        "privileged" => "it takes down every wall between the container and the node",
        "cap_add" | "device_cgroup_rules" | "devices" | "gpus" => {
            "it gives the container rights over the node; for a GPU write `resources gpu=1` in the \
             cluster file"
        }
        "security_opt" | "cap_drop" | "userns_mode" | "cgroup" | "cgroup_parent" | "sysctls"
        | "ulimits" | "oom_kill_disable" | "oom_score_adj" | "credential_spec" | "isolation"
        | "group_add" => "devnet does not yet carry kernel and security settings to the engine",
        "network_mode" | "networks" | "links" | "external_links" | "mac_address" | "dns"
        | "dns_search" | "dns_opt" | "extra_hosts" | "domainname" => {
            "services reach one another at the address of their node: use \
             `{{ service.NAME.address }}`"
        }
        "pid" | "ipc" | "uts" => "sharing a namespace with the node breaks isolation",
        "volumes_from" | "tmpfs" | "storage_opt" | "volume_driver" => {
            "only named volumes are run; declare one under `volumes`"
        }
        "build" | "pull_policy" | "platform" => {
            "devnet runs images that a registry has; build and push the image first"
        }
        "env_file" | "extends" | "profiles" | "secrets_file" => {
            "what runs has to be said in this file"
        }
        "scale" => "the number of instances is `replicas` in the cluster file",
        "container_name" => "devnet names containers after cluster, service and index",
        "logging" => "devnet reads the engine's own log",
        "tty" | "stdin_open" => "nobody sits at a terminal of a service",
        "working_dir" | "read_only" | "runtime" | "annotations" | "cpus" | "mem_limit"
        | "memswap_limit" | "mem_reservation" | "mem_swappiness" | "cpu_shares" | "cpu_quota"
        | "cpu_period" | "cpuset" | "cpu_count" | "cpu_percent" | "pids_limit" | "blkio_config"
        | "develop" | "post_start" | "pre_stop" | "attach" | "label_file" | "models"
        | "provider" | "use_api_socket" => {
            "devnet does not support it; limits are `deploy.resources.limits`"
        }
        _ => return None,
    })
}
