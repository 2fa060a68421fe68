//! The cluster file as written: every field that someone set, with its place, and nothing that
//! nobody wrote.
//!
//! Knows the sections and the types of their fields. Refuses to know defaults, components and
//! whether names exist: [`crate::validate`] asks that.

use super::{Limits, MemoryFiles, ReadFiles, Unread, tree::Source};
use crate::{
    desired::{Domain, SelectorKey, Tls, Unplaced},
    diagnostic::{Located, Location},
    instance::{Protocol, Runtime, Scope},
    placement::Objective,
    quantity::{Bytes, Cpu, Period},
};

/// A value that may have been written.
pub type Maybe<T> = Option<Located<T>>;

/// A text and the text it is for: `LOG="info"`.
pub type Pair = (Located<String>, Located<String>);

/// A cluster file, with what it includes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterFile {
    /// Whether reading found errors. What could be read is here; nothing may be planned from it.
    pub broken: bool,
    /// What of it could not be read: names may be missing that are declared there all the same.
    pub unread: Unread,
    /// Whether the root file may name catalogs that could not be read: only it can name any.
    pub more_catalogs: bool,
    /// Where it may not say what was meant, because the syntax is wrong there.
    pub doubtful: Vec<Location>,
    /// What it was read within.
    pub limits: Limits,
    /// The files read, the root first.
    pub sources: Vec<Source>,
    /// The cluster's own section.
    pub cluster: Option<ClusterSection>,
    /// Nodes, in the order written.
    pub nodes: Vec<NodeSection>,
    /// Services, in the order written.
    pub services: Vec<ServiceSection>,
    /// Renames, in the order written.
    pub moved: Vec<MovedSection>,
}

/// `cluster "homelab" { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSection {
    /// Where it is written.
    pub at: Location,
    /// Its name.
    pub name: Maybe<String>,
    /// Directories with more components.
    pub catalog: Vec<Located<String>>,
    /// Files that belong to this one; a name may hold `*`.
    pub include: Vec<Located<String>>,
    /// How the control plane follows the file.
    pub sync: Option<SyncSection>,
    /// Variables.
    pub vars: Vec<Pair>,
    /// What services reserve unless they say otherwise.
    pub defaults: Option<ResourcesSection>,
    /// What a good placement is.
    pub placement: Maybe<Objective>,
    /// A node unseen this long is lost.
    pub lost_after: Maybe<Period>,
    /// What an unattended run does with what does not fit.
    pub unplaced: Maybe<Unplaced>,
}

/// `sync auto=#true …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncSection {
    /// Where it is written.
    pub at: Location,
    /// Apply commits without asking.
    pub auto: Maybe<bool>,
    /// Destroy what is no longer declared, unattended.
    pub prune: Maybe<bool>,
    /// Put right what changed by itself.
    pub self_heal: Maybe<bool>,
    /// Look at the source at least this often.
    pub interval: Maybe<Period>,
}

/// `resources cpu=2 …`, and what a node keeps free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcesSection {
    /// Where it is written.
    pub at: Location,
    /// CPU.
    pub cpu: Maybe<Cpu>,
    /// Memory.
    pub memory: Maybe<Bytes>,
    /// Disk.
    pub disk: Maybe<Bytes>,
    /// Devices, in thousandths.
    pub gpu: Maybe<GpuAmount>,
    /// Memory of one device.
    pub gpu_memory: Maybe<Bytes>,
}

/// `replicas 3` or `replicas "per-node"`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Number(u32),
    /// One on each eligible node.
    PerNode,
}

/// GPU devices, in thousandths of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpuAmount {
    /// Thousandths: 2000 is two devices, 500 half of one.
    pub milli: u32,
}

/// `capacity cpu=8 memory="32GiB"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapacitySection {
    /// Where.
    pub at: Location,
    /// Cores.
    pub cpu: Maybe<Cpu>,
    /// Memory.
    pub memory: Maybe<Bytes>,
    /// Disk.
    pub disk: Maybe<Bytes>,
    /// Devices.
    pub gpus: Maybe<u32>,
}

/// `node "atlas" { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSection {
    /// Where it is declared.
    pub at: Location,
    /// Its name.
    pub name: Located<String>,
    /// Tags.
    pub tags: Vec<Located<String>>,
    /// Failure domain.
    pub zone: Maybe<String>,
    /// Kept free for the host.
    pub reserve: Option<ResourcesSection>,
    /// The most that counts of what its agent reports.
    pub capacity: Option<CapacitySection>,
    /// Takes no new instances.
    pub cordon: Maybe<bool>,
    /// And gives up what it has.
    pub drain: Maybe<bool>,
}

/// What a service runs, as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormSection {
    /// `component "postgres" version="16"`
    Component {
        /// Its name.
        name: Located<String>,
        /// Its version.
        version: Maybe<String>,
    },
    /// `image "…"`
    Image(Located<String>),
    /// `process "program" "argument"`; never empty.
    Process(Vec<Located<String>>),
    /// `compose "compose/shop.yml"`
    Compose(ComposeSection),
    /// `kubernetes "k8s/web/"`
    Kubernetes(KubernetesSection),
}

/// `compose "compose/shop.yml" profile="debug"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposeSection {
    /// The file.
    pub file: Located<String>,
    /// Profiles whose services run too.
    pub profiles: Vec<Located<String>>,
    /// The file and those that it names, by path; absent until [`crate::file::load()`] has read
    /// them.
    pub sources: Option<ReadFiles>,
}

/// `kubernetes "k8s/web/" namespace="web"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesSection {
    /// A manifest, a directory of them, or a chart.
    pub path: Located<String>,
    /// Where they go.
    pub namespace: Maybe<String>,
    /// Files with values for the chart.
    pub values: Vec<Located<String>>,
    /// What is there, by path; absent until [`crate::file::load()`] has read it.
    pub sources: Option<MemoryFiles>,
}

/// `model "llama3.1:8b" context=8192`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSection {
    /// Where it is written.
    pub at: Location,
    /// Its name; absent only where reading found an error.
    pub name: Maybe<String>,
    /// Tokens of context.
    pub context: Maybe<u32>,
    /// Requests answered at once.
    pub parallel: Maybe<u32>,
}

/// `allow "host-bind:/srv/media" to="web"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowSection {
    /// Where it is written.
    pub at: Location,
    /// What is allowed; absent only where reading found an error.
    pub grant: Maybe<String>,
    /// Services of the Compose file; all when empty.
    pub to: Vec<Located<String>>,
}

/// `expose host="app.lab.example" path="/" port="http" tls="letsencrypt"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExposeSection {
    /// Where it is written.
    pub at: Location,
    /// The host name; absent only where reading found an error.
    pub host: Maybe<String>,
    /// What paths begin with.
    pub path: Maybe<String>,
    /// The name of the service's port.
    pub port: Maybe<String>,
    /// Who gives the certificate.
    pub tls: Maybe<Tls>,
}

/// `service "db" { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSection {
    /// Where it is declared.
    pub at: Location,
    /// Its name.
    pub name: Located<String>,
    /// What it runs; absent only where reading found an error.
    pub form: Option<FormSection>,
    /// Language models that it serves.
    pub models: Vec<ModelSection>,
    /// What its containers may have of their node.
    pub allow: Vec<AllowSection>,
    /// Host names that reverse proxies serve it under.
    pub exposes: Vec<ExposeSection>,
    /// Which driver runs it.
    pub runtime: Maybe<Runtime>,
    /// Parameters of the component, or values for a Compose file.
    pub set: Vec<Pair>,
    /// Secret parameters of the component: parameter, secret.
    pub secrets: Vec<Pair>,
    /// Environment.
    pub env: Vec<Pair>,
    /// Ports.
    pub ports: Vec<PortSection>,
    /// Volumes: name, path.
    pub volumes: Vec<Pair>,
    /// Files.
    pub files: Vec<FileSection>,
    /// Replaces the image's command.
    pub command: Vec<Located<String>>,
    /// What each instance reserves.
    pub resources: Option<ResourcesSection>,
    /// Where its instances may be.
    pub place: Option<PlaceSection>,
    /// How many instances.
    pub replicas: Maybe<Count>,
    /// Who gives way.
    pub priority: Maybe<u8>,
    /// What must be healthy before it starts.
    pub depends_on: Vec<Located<String>>,
    /// How to tell that it serves.
    pub health: Option<HealthSection>,
    /// How it is stopped.
    pub stop: Option<StopSection>,
    /// How it is updated.
    pub update: Option<UpdateSection>,
    /// No plan may destroy it.
    pub protect: Maybe<bool>,
    /// Whether it runs once.
    pub run_once: Maybe<bool>,
    /// When it runs.
    pub schedule: Option<ScheduleSection>,
    /// Nodes that it may leave its data on.
    pub leave_data: Vec<Located<String>>,
}

/// `schedule "0 3 * * *" timezone="Europe/Berlin"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleSection {
    /// Where it is written.
    pub at: Location,
    /// Five fields of cron, or a word; absent only where reading found an error.
    pub cron: Maybe<String>,
    /// The time zone that they are in.
    pub timezone: Maybe<String>,
}

/// `port 8080 host=18080 …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSection {
    /// Where it is written.
    pub at: Location,
    /// Where the unit listens; absent only where reading found an error.
    pub container: Maybe<u16>,
    /// Where the node answers.
    pub host: Maybe<u16>,
    /// What templates call it.
    pub name: Maybe<String>,
    /// Who may reach it.
    pub scope: Maybe<Scope>,
    /// TCP or UDP.
    pub protocol: Maybe<Protocol>,
}

/// `file "PATH" content="…" mode="0444"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSection {
    /// Where it is put.
    pub path: Located<String>,
    /// Its text, with templates.
    pub content: Maybe<String>,
    /// The file of the repository that holds its text.
    pub source: Maybe<String>,
    /// What that file holds; absent until [`crate::file::load()`] has read it.
    pub source_text: Option<String>,
    /// Permission bits.
    pub mode: Maybe<u32>,
}

/// `place { … }`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceSection {
    /// Where it is written.
    pub at: Location,
    /// All must hold.
    pub require: Vec<SelectorSection>,
    /// None may hold.
    pub forbid: Vec<SelectorSection>,
    /// Better where they hold.
    pub prefer: Vec<SelectorSection>,
    /// The only node.
    pub pin: Maybe<String>,
    /// Even counts.
    pub spread: Vec<SpreadSection>,
    /// At most so many on one node.
    pub max_per_node: Maybe<u32>,
    /// Never on a node with these.
    pub apart_from: Vec<Located<String>>,
    /// Only on a node with these.
    pub near: Vec<Located<String>>,
}

/// `tag="ssd"`, and for `prefer` a weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorSection {
    /// Where it is written.
    pub at: Location,
    /// What of the node.
    pub key: SelectorKey,
    /// Any of these; never empty.
    pub any_of: Vec<Located<String>>,
    /// How much it counts.
    pub weight: Maybe<u32>,
}

/// `spread by="zone" max-skew=1`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpreadSection {
    /// Where it is written.
    pub at: Location,
    /// Over what.
    pub by: Maybe<Domain>,
    /// Largest count minus smallest count.
    pub max_skew: Maybe<u32>,
}

/// `health http="/healthz" port=8080 …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthSection {
    /// Where it is written.
    pub at: Location,
    /// Path of a GET.
    pub http: Maybe<String>,
    /// Port of the GET.
    pub port: Maybe<u16>,
    /// Port to connect to.
    pub tcp: Maybe<u16>,
    /// Program and arguments.
    pub exec: Vec<Located<String>>,
    /// Between two tries.
    pub interval: Maybe<Period>,
    /// How long one may take.
    pub timeout: Maybe<Period>,
    /// How many must fail.
    pub retries: Maybe<u32>,
    /// When failures begin to count.
    pub start_period: Maybe<Period>,
}

/// `stop signal="SIGINT" grace="30s"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopSection {
    /// Where it is written.
    pub at: Location,
    /// Which signal.
    pub signal: Maybe<String>,
    /// How long it may take.
    pub grace: Maybe<Period>,
}

/// `update max-unavailable=1 …`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateSection {
    /// Where it is written.
    pub at: Location,
    /// `start-first` or `stop-first`.
    pub order: Maybe<Order>,
    /// How many may be down at once.
    pub max_unavailable: Maybe<u32>,
    /// Whether a failed update goes back.
    pub rollback: Maybe<bool>,
    /// How long a new instance may take to become healthy.
    pub timeout: Maybe<Period>,
}

/// Which comes first in an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The new instance starts before the old one stops.
    StartFirst,
    /// The old instance stops before the new one starts.
    StopFirst,
}

/// `moved from="a" to="b"`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedSection {
    /// Where it is written.
    pub at: Location,
    /// The old name.
    pub from: Maybe<String>,
    /// The new name.
    pub to: Maybe<String>,
}
