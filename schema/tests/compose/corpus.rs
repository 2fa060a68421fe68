//! The corpus: one directory for each file, and what the real program says of it.
//!
//! Knows where the files are. Refuses to know what is in them.

use std::{collections::BTreeMap, fs, path::Path, path::PathBuf};

/// Every key of the Compose specification that a person writes, those of `build` apart: devnet
/// builds nothing, whatever is written there.
pub(crate) const KEYS: &str = "services networks volumes configs secrets include name version \
    models annotations attach build blkio_config cap_add cap_drop cgroup cgroup_parent command \
    configs container_name cpu_count cpu_percent cpu_shares cpu_quota cpu_period cpu_rt_period \
    cpu_rt_runtime cpus cpuset credential_spec depends_on condition required restart \
    device_cgroup_rules devices dns dns_opt dns_search domainname entrypoint env_file path \
    format environment expose extends file external_links extra_hosts gpus capabilities count \
    device_ids driver options group_add healthcheck disable interval retries test timeout \
    start_period start_interval hostname image init ipc isolation label_file labels links \
    logging mac_address mem_limit mem_reservation mem_swappiness memswap_limit network_mode \
    aliases interface_name ipv4_address ipv6_address link_local_ips driver_opts gw_priority \
    priority oom_kill_disable oom_score_adj pid pids_limit platform ports mode host_ip target \
    published protocol app_protocol post_start pre_stop privileged profiles provider \
    pull_policy read_only runtime scale security_opt shm_size secrets sysctls stdin_open \
    stop_grace_period stop_signal storage_opt tmpfs tty ulimits use_api_socket user uts \
    userns_mode volumes type source consistency bind propagation create_host_path recursive \
    selinux volume nocopy subpath size volumes_from working_dir deploy endpoint_mode replicas \
    rollback_config update_config parallelism delay failure_action monitor max_failure_ratio \
    order resources limits memory pids reservations generic_resources restart_policy \
    max_attempts window placement constraints preferences spread max_replicas_per_node develop \
    watch ipam config subnet ip_range gateway aux_addresses external internal enable_ipv4 \
    enable_ipv6 attachable content template_driver uid gid project_directory env_file soft hard";

/// What the real program says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Real {
    /// Its normal form, as JSON.
    Config(String),
    /// That it is wrong, in its words.
    Refused(String),
    /// Nobody asked it yet.
    Unknown,
}

/// The files of a directory, by path within it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Side(BTreeMap<String, Vec<u8>>);

impl Side {
    pub(crate) fn insert(&mut self, path: &str, text: &str) {
        self.0.insert(path.to_owned(), text.as_bytes().to_vec());
    }

    /// Every file, as text.
    pub(crate) fn list(&self) -> impl Iterator<Item = &str> {
        self.0.values().filter_map(|bytes| std::str::from_utf8(bytes).ok())
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let bytes = self.0.get(path).cloned().unwrap_or_default();
        String::from_utf8(bytes).expect("UTF-8")
    }
}

impl devnet_schema::file::Files for Side {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.get(path).cloned())
    }

    fn list(&self) -> Result<Vec<String>, String> {
        Ok(self.0.keys().cloned().collect())
    }
}

/// One file of the corpus with what is beside it.
pub(crate) struct Case {
    /// `AREA/NAME`.
    pub(crate) name: String,
    /// Its directory.
    pub(crate) dir: PathBuf,
    /// What is in it, without records.
    pub(crate) files: Side,
    /// The profiles that are wanted.
    pub(crate) profiles: Vec<String>,
    /// What the real program says.
    pub(crate) real: Real,
}

const CONFIG: &str = "config.json";
const REFUSED: &str = "refused.txt";
const PROFILES: &str = "profiles";

impl Case {
    /// Keeps what the real program says.
    pub(crate) fn record(&self, said: &Real) {
        let (config, refused) = (self.dir.join(CONFIG), self.dir.join(REFUSED));
        let (write, remove, text) = match said {
            Real::Config(text) => (config, refused, text),
            Real::Refused(text) => (refused, config, text),
            Real::Unknown => return,
        };
        fs::write(write, text).expect("a record is written");
        drop(fs::remove_file(remove));
    }
}

/// Every case, in order.
pub(crate) fn all() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compose/corpus");
    let mut all = Vec::new();
    for area in sorted(&root) {
        for dir in sorted(&area) {
            all.push(case(&root, dir));
        }
    }
    all
}

fn sorted(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory of the corpus");
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    all.sort();
    all
}

fn case(root: &Path, dir: PathBuf) -> Case {
    let mut files = BTreeMap::new();
    gather(&dir, &dir, &mut files);
    let mut text = |name: &str| {
        files.remove(name).map(|bytes| String::from_utf8(bytes).expect("records are UTF-8"))
    };
    let real = match (text(CONFIG), text(REFUSED)) {
        (Some(config), _) => Real::Config(config),
        (None, Some(refused)) => Real::Refused(refused),
        (None, None) => Real::Unknown,
    };
    let profiles = text(PROFILES).unwrap_or_default();
    let profiles = profiles.split_whitespace().map(str::to_owned).collect();
    let name = dir.strip_prefix(root).expect("below").to_str().expect("a name").to_owned();
    Case { name, dir, files: Side(files), profiles, real }
}

fn gather(root: &Path, dir: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for path in sorted(dir) {
        if path.is_dir() {
            gather(root, &path, files);
            continue;
        }
        let name = path.strip_prefix(root).expect("below").to_str().expect("a name").to_owned();
        files.insert(name, fs::read(&path).expect("a file of the corpus"));
    }
}
