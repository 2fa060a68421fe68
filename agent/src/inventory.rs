//! What this machine has: processors, memory, disks, GPUs, engines, ports in use.
//!
//! Knows where the system says so. Refuses to guess: what cannot be read is absent.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use devnet_schema::{
    fleet::{Availability, Disk, Gpu, NodeFacts},
    instance::{Protocol, Runtime},
};
use nvml_wrapper::Nvml;
use tokio::process::Command;

use crate::driver::{Driver, ports::Held};

/// Free space is rounded to this, in MiB: a report is worth sending when something changed that a
/// plan could notice.
const DISK_GRAIN: u64 = 256;

/// How long a Kubernetes API server may take to answer.
const K8S_PATIENCE: Duration = Duration::from_secs(5);

/// GPUs and Kubernetes are asked this seldom.
const SLOW_EVERY: Duration = Duration::from_secs(300);

/// File systems that hold data of this machine.
const REAL: [&str; 9] =
    ["ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "overlay"];

/// One look at the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    facts: NodeFacts,
    listening: BTreeSet<(IpAddr, u16)>,
}

impl Facts {
    /// The facts as others need them: reached at `ip`, and with the ports that something else has
    /// where a unit of ours would bind.
    pub fn seen_at(&self, ip: IpAddr, ours: &Held) -> NodeFacts {
        let matters = |address: IpAddr| {
            address.is_unspecified() || address == ip || address == IpAddr::V4(Ipv4Addr::LOCALHOST)
        };
        let ports: BTreeSet<u16> = self
            .listening
            .iter()
            .filter(|(address, port)| matters(*address) && !ours.contains(&(*port, Protocol::Tcp)))
            .map(|(_, port)| *port)
            .collect();
        NodeFacts {
            ip: ip.to_string(),
            ports_in_use: ports.into_iter().collect(),
            ..self.facts.clone()
        }
    }
}

/// Looks at the machine, again and again.
pub struct Inventory {
    drivers: BTreeMap<Runtime, Arc<dyn Driver>>,
    kubeconfig: Option<PathBuf>,
    slow: Option<(Instant, Vec<Gpu>, Availability)>,
}

impl Inventory {
    /// Asks these drivers about themselves. `kubeconfig` names a Kubernetes configuration, where
    /// there is one.
    pub fn new(drivers: BTreeMap<Runtime, Arc<dyn Driver>>, kubeconfig: Option<PathBuf>) -> Self {
        Self { drivers, kubeconfig, slow: None }
    }

    /// One look.
    pub async fn look(&mut self) -> Facts {
        let probe = async |runtime| match self.drivers.get(&runtime) {
            Some(driver) => driver.probe().await,
            None => Availability::default(),
        };
        let docker = probe(Runtime::Docker).await;
        let process = probe(Runtime::Process).await;
        let (gpus, k8s) = self.slow().await;
        let facts = NodeFacts {
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cpu_count: cpu_count(),
            total_memory_mb: total_memory(),
            disks: disks(),
            gpus,
            docker,
            k8s,
            process,
            ..NodeFacts::default()
        };
        Facts { facts, listening: listening() }
    }

    async fn slow(&mut self) -> (Vec<Gpu>, Availability) {
        if let Some((at, gpus, k8s)) = &self.slow
            && at.elapsed() < SLOW_EVERY
        {
            return (gpus.clone(), k8s.clone());
        }
        // A driver with real devices takes its time; a node without one answers at once.
        let gpus = tokio::task::spawn_blocking(gpus).await.unwrap_or_default();
        let k8s = kubernetes(self.kubeconfig.as_ref()).await;
        self.slow = Some((Instant::now(), gpus.clone(), k8s.clone()));
        (gpus, k8s)
    }
}

fn cpu_count() -> u32 {
    std::thread::available_parallelism().map_or(0, |count| u32::try_from(count.get()).unwrap_or(0))
}

fn total_memory() -> u64 {
    let refresh = sysinfo::RefreshKind::nothing()
        .with_memory(sysinfo::MemoryRefreshKind::nothing().with_ram());
    sysinfo::System::new_with_specifics(refresh).map_or(0, |system| system.total_memory() >> 20)
}

/// The disks, by mount point. One device is listed once, where it was mounted first.
fn disks() -> Vec<Disk> {
    let refresh = sysinfo::DiskRefreshKind::nothing().with_storage();
    let Ok(all) = sysinfo::Disks::new_with_refreshed_list_specifics(refresh) else {
        return Vec::new();
    };
    let mut by_device: BTreeMap<String, Disk> = BTreeMap::new();
    for disk in &all {
        let system = disk.file_system().to_string_lossy().into_owned();
        let mount = disk.mount_point().to_string_lossy().into_owned();
        // In a container the root is an overlay, and the only disk there is.
        let real = REAL.contains(&system.as_str()) && (system != "overlay" || mount == "/");
        if !real || disk.total_space() == 0 {
            continue;
        }
        let found = Disk {
            mount,
            total_mb: disk.total_space() >> 20,
            free_mb: (disk.available_space() >> 20) / DISK_GRAIN * DISK_GRAIN,
        };
        let device = disk.name().to_string_lossy().into_owned();
        let known = by_device.entry(device).or_insert_with(|| found.clone());
        if found.mount.len() < known.mount.len() {
            *known = found;
        }
    }
    let mut disks: Vec<_> = by_device.into_values().collect();
    disks.sort_by(|a, b| a.mount.cmp(&b.mount));
    disks
}

/// The GPUs of the NVIDIA driver, by UUID. No driver, no GPUs; a device without a UUID cannot be
/// given to anybody and is left out.
fn gpus() -> Vec<Gpu> {
    let nvml = match Nvml::init() {
        Ok(nvml) => nvml,
        Err(error) => {
            tracing::debug!(%error, "no NVIDIA driver");
            return Vec::new();
        }
    };
    let mut gpus: Vec<Gpu> = (0..nvml.device_count().unwrap_or(0))
        .filter_map(|index| {
            let device = nvml.device_by_index(index).ok()?;
            Some(Gpu {
                id: device.uuid().ok()?,
                model: device.name().unwrap_or_default(),
                mem_mb: device.memory_info().map_or(0, |memory| memory.total >> 20),
            })
        })
        .collect();
    gpus.sort_by(|a, b| a.id.cmp(&b.id));
    gpus
}

/// A cluster counts when its API server answers `kubectl` with this node's configuration.
async fn kubernetes(kubeconfig: Option<&PathBuf>) -> Availability {
    #[derive(serde::Deserialize)]
    struct Version {
        #[serde(rename = "gitVersion")]
        git_version: String,
    }
    let Some(kubeconfig) = kubeconfig else {
        return Availability::default();
    };
    let asked = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["get", "--raw", "/version"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    let Ok(Ok(output)) = tokio::time::timeout(K8S_PATIENCE, asked).await else {
        return Availability::default();
    };
    match serde_json::from_slice::<Version>(&output.stdout) {
        Ok(version) if output.status.success() => {
            Availability { version: Some(version.git_version), available: true, engine: None }
        }
        _ => Availability::default(),
    }
}

/// Every address and port where something listens for TCP (`proc_net_tcp(5)`, state 0A).
fn listening() -> BTreeSet<(IpAddr, u16)> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|text| text.lines().filter_map(listener).collect::<Vec<_>>())
        .collect()
}

fn listener(line: &str) -> Option<(IpAddr, u16)> {
    let mut fields = line.split_whitespace().skip(1);
    let (address, port) = fields.next()?.split_once(':')?;
    if fields.nth(1)? != "0A" {
        return None;
    }
    // Each group of eight digits is a word in the machine's own byte order.
    let words: Option<Vec<[u8; 4]>> = address
        .as_bytes()
        .chunks(8)
        .map(|word| {
            let word = std::str::from_utf8(word).ok()?;
            u32::from_str_radix(word, 16).ok().map(u32::to_ne_bytes)
        })
        .collect();
    let ip = match words?.as_slice() {
        [word] => IpAddr::V4(Ipv4Addr::from(*word)),
        words @ [_, _, _, _] => {
            let mut bytes = [0; 16];
            bytes.copy_from_slice(&words.concat());
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn listeners_are_found() {
        let here = TcpListener::bind("127.0.0.3:0").unwrap().local_addr().unwrap();
        assert!(!listening().contains(&(here.ip(), here.port())), "it was dropped");
        let listener = TcpListener::bind("127.0.0.3:0").unwrap();
        let here = listener.local_addr().unwrap();
        assert!(listening().contains(&(here.ip(), here.port())));
    }

    #[test]
    fn only_ports_that_stand_in_the_way_are_in_use() {
        let at = |ip: &str, port| (ip.parse().unwrap(), port);
        let listening = [
            at("0.0.0.0", 22),
            at("127.0.0.2", 80),
            at("127.0.0.3", 81),
            at("::", 82),
            at("127.0.0.1", 83),
            at("0.0.0.0", 8080),
        ]
        .into();
        let facts = Facts { facts: NodeFacts::default(), listening };
        let ours = Held::from([(8080, Protocol::Tcp)]);
        let seen = facts.seen_at("127.0.0.2".parse().unwrap(), &ours);
        assert_eq!((seen.ip.as_str(), seen.ports_in_use), ("127.0.0.2", vec![22, 80, 82, 83]));
    }

    #[tokio::test]
    async fn this_machine_has_a_processor_and_memory_and_no_cluster() {
        let mut inventory = Inventory::new(BTreeMap::new(), None);
        let facts = inventory.look().await.facts;
        assert!(facts.cpu_count > 0 && facts.total_memory_mb > 0, "{facts:?}");
        assert_eq!(facts.k8s, Availability::default());
        assert_eq!(facts.docker, Availability::default());
    }
}
