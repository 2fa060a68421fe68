//! What a container asks of its node, and what the cluster file grants.
//!
//! Knows the words of grants and which ask each covers, on paths that are clean and texts that are
//! filled in. Refuses to know how an ask was written: every syntax ends here.

use std::{fmt, str::FromStr};

use crate::{
    container::{BindSpec, DeviceSpec, ExternalNetwork, ExternalVolume, HostAccess, Namespace},
    file::suggest,
};

/// Something of the node that a container wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// All of it.
    Privileged,
    /// To live in one of its namespaces.
    Namespace(Namespace),
    /// A capability, without `CAP_`.
    Capability(String),
    /// A device.
    Device(DeviceSpec),
    /// An option of a security module, as `name=value`.
    SecurityOption(String),
    /// A kernel parameter and its value.
    Sysctl(String, String),
    /// A path.
    Bind(BindSpec),
    /// A network of its engine that devnet has not made.
    Network(ExternalNetwork),
    /// A volume of its engine that devnet has not made.
    Volume(ExternalVolume),
}

/// What a service may have of its nodes. `allow "host-bind:/srv/media"` in the cluster file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// `privileged`
    Privileged,
    /// `host-network` and the like.
    Namespace(Namespace),
    /// `cap:NET_ADMIN`
    Capability(String),
    /// `device:/dev/kvm`
    Device(String),
    /// `security-opt:apparmor=unconfined`
    SecurityOption(String),
    /// `sysctl:net.core.somaxconn`
    Sysctl(String),
    /// `host-bind:/srv/media`: this path and what is below it.
    Bind(String),
    /// `network:proxy`
    Network(String),
    /// `volume:media`
    Volume(String),
}

/// Capabilities that engines give every container (moby's default). Who gave all of them up may
/// have these back: nothing is gained by it.
pub(super) const USUAL: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// What can be granted, for people.
pub const GRANTS: &str = "`privileged`, `host-network`, `host-pid`, `host-ipc`, `host-uts`, \
     `host-userns`, `host-cgroup`, `cap:NAME`, `device:/dev/NAME`, `security-opt:NAME=VALUE`, \
     `sysctl:NAME`, `host-bind:/PATH`, `network:NAME` and `volume:NAME`";

impl Ask {
    /// The grant that it needs.
    pub fn grant(&self) -> Grant {
        match self {
            Self::Privileged => Grant::Privileged,
            Self::Namespace(namespace) => Grant::Namespace(*namespace),
            Self::Capability(name) => Grant::Capability(name.clone()),
            Self::Device(device) => Grant::Device(device.source.clone()),
            Self::SecurityOption(option) => Grant::SecurityOption(option.clone()),
            Self::Sysctl(name, _) => Grant::Sysctl(name.clone()),
            Self::Bind(bind) => Grant::Bind(bind.source.clone()),
            Self::Network(network) => Grant::Network(network.name.clone()),
            Self::Volume(volume) => Grant::Volume(volume.name.clone()),
        }
    }

    /// What it would mean, as the end of a sentence about the container.
    pub fn why(&self) -> &'static str {
        match self {
            Self::Privileged => "every wall between it and the node would fall",
            Self::Namespace(Namespace::Network) => "it would listen as the node itself",
            Self::Namespace(_) => "it would see and reach what runs on the node",
            Self::Capability(_) => "it would have rights over the node's kernel",
            Self::Device(_) => "it would have a device of the node",
            Self::SecurityOption(_) => "what keeps it within its bounds would be changed",
            Self::Sysctl(..) => "it would set parameters of the kernel",
            Self::Bind(bind) if is_socket(&bind.source) => {
                "whoever has the engine's socket has the whole node"
            }
            Self::Bind(_) => "what is on a node is not in the commit, and it would leave its box",
            Self::Network(_) => "it would reach whatever else is in that network of the node",
            Self::Volume(_) => "it would have the data of whoever made that volume on the node",
        }
    }

    /// Writes it down as granted.
    pub fn give(self, host: &mut HostAccess) {
        match self {
            Self::Privileged => host.privileged = true,
            Self::Namespace(namespace) => host.namespaces.push(namespace),
            Self::Capability(name) => host.cap_add.push(name),
            Self::Device(device) => host.devices.push(device),
            Self::SecurityOption(option) => host.security_opt.push(option),
            Self::Sysctl(name, value) => drop(host.sysctls.insert(name, value)),
            Self::Bind(bind) => host.binds.push(bind),
            Self::Network(network) => host.networks.push(network),
            Self::Volume(volume) => host.volumes.push(volume),
        }
    }
}

impl Grant {
    /// Whether it covers an ask. A grant of a path covers what is below it, but never the socket of
    /// a container engine: that has to be named.
    pub fn covers(&self, ask: &Ask) -> bool {
        match (self, ask) {
            (Self::Bind(granted), Ask::Bind(bind)) => {
                let below = granted == "/"
                    || bind.source.strip_prefix(granted).is_some_and(|rest| rest.starts_with('/'));
                *granted == bind.source || (below && !is_socket(&bind.source))
            }
            _ => *self == ask.grant(),
        }
    }

    /// Whether it covers all that another one does.
    pub fn includes(&self, other: &Self) -> bool {
        match other {
            Self::Bind(path) => {
                let (source, path) = (path.clone(), path.clone());
                let bind = BindSpec { source, path, read_only: false, propagation: None };
                self.covers(&Ask::Bind(bind))
            }
            other => self == other,
        }
    }

    /// The socket of an engine that is usually below a granted directory. A mount of that directory
    /// brings the socket along, though nobody named it.
    pub fn socket_below(&self) -> Option<&'static str> {
        let Self::Bind(granted) = self else { return None };
        let dir = granted.trim_end_matches('/');
        let below = |socket: &&&str| socket.strip_prefix(dir).is_some_and(|r| r.starts_with('/'));
        SOCKETS.iter().find(below).copied()
    }
}

/// Where engines have their sockets, unless they were told otherwise.
const SOCKETS: [&str; 8] = [
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/var/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/var/run/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/var/run/crio/crio.sock",
];

/// Sockets by which whoever has one commands an engine.
fn is_socket(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or("");
    matches!(
        name,
        "docker.sock" | "podman.sock" | "containerd.sock" | "crio.sock" | "cri-dockerd.sock"
    )
}

/// Grants of one word.
const WORDS: [&str; 7] = [
    "privileged",
    "host-network",
    "host-pid",
    "host-ipc",
    "host-uts",
    "host-userns",
    "host-cgroup",
];
/// Kinds of grants that say of what.
const KINDS: [&str; 7] =
    ["host-bind", "device", "cap", "sysctl", "security-opt", "network", "volume"];

impl Grant {
    /// The grant that a text which is none was probably meant to be. Nothing is ever granted by it:
    /// it is advice.
    pub fn meant(text: &str) -> Option<Self> {
        let lower = text.trim().to_ascii_lowercase().replace('_', "-");
        let near = match text.trim().split_once([':', '=']) {
            Some((kind, what)) => {
                let kind = kind.trim().to_ascii_lowercase().replace('_', "-");
                let kind = suggest::nearest(&kind, KINDS)?;
                let what = what.trim();
                let what = match kind {
                    "host-bind" | "device" => clean(what)?,
                    "cap" => capability(what).or_else(|| {
                        let upper = what.to_ascii_uppercase();
                        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
                        suggest::nearest(name, CAPABILITIES.split_whitespace()).map(str::to_owned)
                    })?,
                    "sysctl" => what.split('=').next()?.to_owned(),
                    _ => what.replacen(':', "=", 1),
                };
                format!("{kind}:{what}")
            }
            None if text.starts_with("/dev/") => format!("device:{}", clean(text)?),
            None if text.starts_with('/') => format!("host-bind:{}", clean(text)?),
            None if KINDS.contains(&lower.as_str()) => return None,
            None => match capability(text).filter(|name| name != "ALL") {
                Some(name) => format!("cap:{name}"),
                None => {
                    let begun = |word: &&str| lower.len() > 5 && word.starts_with(&lower);
                    let begun = WORDS.into_iter().find(begun);
                    begun.or_else(|| suggest::nearest(&lower, WORDS))?.to_owned()
                }
            },
        };
        near.parse().ok()
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Privileged => f.write_str("privileged"),
            Self::Namespace(namespace) => write!(f, "host-{}", namespace.as_str()),
            Self::Capability(name) => write!(f, "cap:{name}"),
            Self::Device(path) => write!(f, "device:{path}"),
            Self::SecurityOption(option) => write!(f, "security-opt:{option}"),
            Self::Sysctl(name) => write!(f, "sysctl:{name}"),
            Self::Bind(path) => write!(f, "host-bind:{path}"),
            Self::Network(name) => write!(f, "network:{name}"),
            Self::Volume(name) => write!(f, "volume:{name}"),
        }
    }
}

impl FromStr for Grant {
    type Err = ();

    /// Reads a grant. Paths have to be clean: what is compared is what is written.
    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "privileged" {
            return Ok(Self::Privileged);
        }
        if let Some(word) = text.strip_prefix("host-")
            && let Some((namespace, _)) = Namespace::ALL.iter().find(|(_, known)| *known == word)
        {
            return Ok(Self::Namespace(*namespace));
        }
        let (kind, what) = text.split_once(':').ok_or(())?;
        let path = || clean(what).filter(|path| path == what).ok_or(());
        match kind {
            "host-bind" => Ok(Self::Bind(path()?)),
            "device" => Ok(Self::Device(path()?)),
            "cap" => capability(what).filter(|name| name == what).map(Self::Capability).ok_or(()),
            "sysctl" if is_sysctl(what) => Ok(Self::Sysctl(what.to_owned())),
            "network" if is_engine_name(what) => Ok(Self::Network(what.to_owned())),
            "volume" if is_engine_name(what) => Ok(Self::Volume(what.to_owned())),
            "security-opt" if what.contains('=') => Ok(Self::SecurityOption(what.to_owned())),
            _ => Err(()),
        }
    }
}

/// Whether an engine takes a text as the name of a network or a volume.
pub(super) fn is_engine_name(text: &str) -> bool {
    let first = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    first && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}

/// An absolute path without `.`, `..`, doubled slashes and one at its end. `None` when it is not
/// absolute or holds control characters.
pub(super) fn clean(path: &str) -> Option<String> {
    if !path.starts_with('/') || path.chars().any(char::is_control) {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            other => parts.push(other),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

/// What the kernel knows (capabilities(7), Linux 6), without `CAP_`.
const CAPABILITIES: &str = "AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF \
     CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID IPC_LOCK IPC_OWNER KILL \
     LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE NET_BROADCAST \
     NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT \
     SYS_MODULE SYS_NICE SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG \
     WAKE_ALARM";

/// The name of a capability, without `CAP_`; or `ALL`.
pub(super) fn capability(text: &str) -> Option<String> {
    let name = text.trim().to_ascii_uppercase();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    let known = name == "ALL" || CAPABILITIES.split_whitespace().any(|known| known == name);
    known.then(|| name.to_owned())
}

/// Whether a text names a kernel parameter.
pub(super) fn is_sysctl(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    text.contains('.') && text.chars().all(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(source: &str) -> Ask {
        let (source, path) = (source.to_owned(), "/x".to_owned());
        Ask::Bind(BindSpec { source, path, read_only: false, propagation: None })
    }

    #[test]
    fn grants_read_back_and_unclean_ones_do_not_read() {
        for text in [
            "privileged",
            "host-network",
            "host-cgroup",
            "cap:NET_ADMIN",
            "device:/dev/kvm",
            "security-opt:apparmor=unconfined",
            "sysctl:net.core.somaxconn",
            "host-bind:/srv/media",
            "host-bind:/",
        ] {
            let grant: Grant = text.parse().unwrap();
            assert_eq!(grant.to_string(), text);
        }
        for bad in [
            "",
            "all",
            "host-",
            "host-bind:",
            "host-bind:srv",
            "host-bind:/srv/",
            "host-bind:/a/../b",
            "host-bind://srv",
            "cap:net_admin",
            "cap:CAP_NET_ADMIN",
            "device:kvm",
            "sysctl:x",
            "security-opt:x",
            "Privileged",
            "privileged ",
        ] {
            assert!(bad.parse::<Grant>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_was_meant_by_a_grant_that_is_none() {
        for (text, meant) in [
            ("Privileged", "privileged"),
            ("privileged ", "privileged"),
            ("privilegde", "privileged"),
            ("cap:CAP_NET_ADMIN", "cap:NET_ADMIN"),
            ("cap:net_admin", "cap:NET_ADMIN"),
            ("cap:NET_ADMN", "cap:NET_ADMIN"),
            ("NET_ADMIN", "cap:NET_ADMIN"),
            ("host-bind:/etc/", "host-bind:/etc"),
            ("host_bind:/etc/../srv", "host-bind:/srv"),
            ("/etc/", "host-bind:/etc"),
            ("/dev/kvm", "device:/dev/kvm"),
            ("host-net", "host-network"),
            ("host-pids", "host-pid"),
            ("sysctl:net.core.somaxconn=1", "sysctl:net.core.somaxconn"),
            ("security-opt:seccomp:unconfined", "security-opt:seccomp=unconfined"),
        ] {
            let grant = Grant::meant(text).map(|grant| grant.to_string());
            assert_eq!(grant.as_deref(), Some(meant), "{text}");
        }
        for text in ["", "everything", "host-bind", "host-bind:etc", "cap:", ":", "host-", "all"] {
            assert_eq!(Grant::meant(text), None, "{text}");
        }
    }

    #[test]
    fn a_path_covers_what_is_below_it_and_no_socket() {
        let covers = |grant: &str, path: &str| grant.parse::<Grant>().unwrap().covers(&bind(path));
        assert!(covers("host-bind:/srv/media", "/srv/media"));
        assert!(covers("host-bind:/srv/media", "/srv/media/films"));
        assert!(!covers("host-bind:/srv/media", "/srv/mediathek"));
        assert!(!covers("host-bind:/srv/media", "/srv"));
        assert!(covers("host-bind:/", "/etc"));
        assert!(!covers("host-bind:/", "/var/run/docker.sock"));
        assert!(!covers("host-bind:/var/run", "/var/run/docker.sock"));
        assert!(covers("host-bind:/var/run/docker.sock", "/var/run/docker.sock"));
        assert!(!covers("privileged", "/etc"));
        assert_eq!(clean("/a/./b/../c//d/").as_deref(), Some("/a/c/d"));
        assert_eq!(clean("/../../etc").as_deref(), Some("/etc"));
    }
}
