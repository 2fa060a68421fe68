//! A container beyond its image and command: settings, networks, and what it may have of its node.
//!
//! Knows what a Compose file can ask for and a container engine can give. Refuses to know who
//! grants it: by the time one of these exists, that was decided.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    digest::Digest,
    name::{InstanceId, ServiceName},
};

/// Settings of a container that stay within it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Directory that the command starts in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Domain name inside the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_name: Option<String>,
    /// Nothing but mounts can be written.
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// It has a terminal.
    #[serde(skip_serializing_if = "is_false")]
    pub tty: bool,
    /// Its standard input stays open.
    #[serde(skip_serializing_if = "is_false")]
    pub stdin_open: bool,
    /// No program in it gains rights that its parent had not.
    #[serde(skip_serializing_if = "is_false")]
    pub no_new_privileges: bool,
    /// It has no network at all.
    #[serde(skip_serializing_if = "is_false")]
    pub offline: bool,
    /// Directories in memory: path and mount options, e.g. `size=64m`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tmpfs: BTreeMap<String, String>,
    /// Limits of the kernel by name, e.g. `nofile`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ulimits: BTreeMap<String, Ulimit>,
    /// The most processes; no limit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<u32>,
    /// Further groups of its user, by name or number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Capabilities that it gives up.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_drop: Vec<String>,
    /// Name servers; the engine's when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// Domains that names are searched in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_search: Vec<String>,
    /// Options of the resolver.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_options: Vec<String>,
    /// Names with addresses, as `name:address`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<String>,
    /// The processors that it may use, as `0-3,7`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpuset: Option<String>,
    /// The most memory and swap together, in bytes; -1 means no limit of swap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swap: Option<i64>,
    /// How readily its memory is swapped out, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swappiness: Option<u8>,
    /// By how much sooner or later it is killed when memory is short, -1000 to 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i16>,
    /// Whether it waits for memory in the place of being killed.
    #[serde(skip_serializing_if = "is_false")]
    pub oom_kill_disable: bool,
    /// What is passed to whatever runs containers below the engine.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Options of the engine's storage, as `size`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub storage: BTreeMap<String, String>,
}

impl Settings {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A limit of the kernel. -1 means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ulimit {
    /// What the process gets.
    pub soft: i64,
    /// How far it may raise it.
    pub hard: i64,
}

/// A network of one node that a container joins. Containers of one project on one node share it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NetworkSpec {
    /// Whose network it is.
    pub project: ServiceName,
    /// Its name within the project.
    pub name: String,
    /// Names by which the others reach this container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Whether it leads nowhere else.
    #[serde(default, skip_serializing_if = "is_false")]
    pub internal: bool,
    /// Its address range, when it is fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<String>,
    /// Address of the node in it, when it is fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<String>,
    /// Address of this container in it, when it is fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// What a container may have of its node, each because the cluster file grants it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostAccess {
    /// Everything.
    #[serde(skip_serializing_if = "is_false")]
    pub privileged: bool,
    /// Namespaces of the node that it lives in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<Namespace>,
    /// Capabilities beyond the engine's usual ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cap_add: Vec<String>,
    /// Devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceSpec>,
    /// Options of the kernel's security modules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_opt: Vec<String>,
    /// Kernel parameters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// Paths of the node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub binds: Vec<BindSpec>,
    /// Networks of the node's engine that devnet has not made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<ExternalNetwork>,
    /// Volumes of the node's engine that devnet has not made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<ExternalVolume>,
}

impl HostAccess {
    /// Whether it has nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A network of the node's engine that is there without devnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExternalNetwork {
    /// The engine's name of it.
    pub name: String,
    /// Names by which others in it reach this container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Address of this container in it, when it is fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A volume of the node's engine that is there without devnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ExternalVolume {
    /// The engine's name of it.
    pub name: String,
    /// Where the container sees it.
    pub path: String,
    /// Whether it cannot be written.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only: bool,
}

/// A namespace of another instance on the same node that a container lives in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SharedNamespace {
    /// Which.
    pub namespace: Namespace,
    /// Whose.
    pub with: InstanceId,
    /// What that one runs: a container that is made anew has another namespace, so whoever lives in
    /// it is made anew, too.
    pub digest: Digest,
}

/// A namespace of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Namespace {
    /// Its network.
    Network,
    /// Its processes.
    Pid,
    /// Its shared memory.
    Ipc,
    /// Its host name.
    Uts,
    /// Its users.
    Userns,
    /// Its control groups.
    Cgroup,
}

impl Namespace {
    /// Every one, with the word that Compose and grants use.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Network, "network"),
        (Self::Pid, "pid"),
        (Self::Ipc, "ipc"),
        (Self::Uts, "uts"),
        (Self::Userns, "userns"),
        (Self::Cgroup, "cgroup"),
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(one, _)| *one == self).map_or("", |(_, word)| word)
    }
}

/// A device of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceSpec {
    /// Path on the node.
    pub source: String,
    /// Path in the container.
    pub path: String,
    /// `r`, `w` and `m` (make nodes), in any combination.
    pub permissions: String,
}

/// A path of the node that the container sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct BindSpec {
    /// Path on the node.
    pub source: String,
    /// Path in the container.
    pub path: String,
    /// Whether it cannot be written.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read_only: bool,
    /// Which mounts made later are seen on the other side; `None` is `rprivate`: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub propagation: Option<Propagation>,
}

/// How mounts travel between a path of the node and where a container sees it (mount(2), shared
/// subtrees); the words that begin with `r` count for mounts below it, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// Not at all; for this mount alone.
    Private,
    /// From the node into the container.
    Slave,
    /// Both ways.
    Shared,
    /// From the node into the container, below it, too.
    Rslave,
    /// Both ways, below it, too.
    Rshared,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
pub(crate) fn is_false(flag: &bool) -> bool {
    !flag
}
