//! What Compose can say and devnet does not run, each with its reason.
//!
//! Knows reasons. Everything that is neither here nor read is simply unknown.

/// Why `key` of a service is refused; `None` when devnet has never heard of it.
pub(super) fn reason(key: &str) -> Option<&'static str> {
    Some(match key {
        "build" => "devnet runs images that a registry has",
        "cgroup_parent" | "device_cgroup_rules" | "credential_spec" | "isolation" => {
            "it reaches into the node's kernel, and devnet cannot grant that"
        }
        "volumes_from" => "what a service sees has to be said of itself: name the volumes",
        "volume_driver" => "where volumes are kept is the engine's business",
        "external_links" | "mac_address" => {
            "a service reaches those of its own file by name, and others at \
             `{{ service.NAME.address }}`"
        }
        "runtime" => "what runs containers is the engine's business; for a GPU write `gpus: 1`",
        "blkio_config" | "cpu_rt_period" | "cpu_rt_runtime" | "cpu_count" | "cpu_percent" => {
            "devnet does not carry it; limits are `deploy.resources.limits`"
        }
        "post_start" | "pre_stop" => "devnet runs nothing beside the service; use its image",
        "models" | "provider" | "use_api_socket" => "it belongs to Docker Desktop",
        _ => return None,
    })
}

/// Why a key that only steers the `docker compose` command has no effect; `None` when it has one.
pub(super) fn without_effect(key: &str) -> Option<&'static str> {
    Some(match key {
        "develop" => "nothing is rebuilt here",
        "cpu_shares" => "cores are given out by `cpus` and `deploy.resources`",
        "attach" => "`devnet logs` shows every service",
        _ => return None,
    })
}
