//! The desired state: what the cluster file means, checked. Only [`crate::validate`] builds it, so
//! whoever holds one need not check it again.
//!
//! Knows services, node policies and settings. Refuses to know nodes that exist, or where anything
//! runs.

use std::collections::BTreeMap;

use crate::{
    component::{PortDeclaration, VolumeDeclaration},
    compose::{self, Network},
    container::Namespace,
    diagnostic::{Located, Location},
    instance::{HealthSpec, Runtime, StopSpec},
    name::{ClusterName, NodeName, SecretName, ServiceName},
    placement::Objective,
    quantity::{Bytes, Cpu, Period, Resources},
    replicas::Replicas,
    schedule::Timing,
};

/// What the cluster file means.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::manual_non_exhaustive, reason = "only `validate` may build one")]
pub struct DesiredState {
    /// Which cluster.
    pub cluster: ClusterName,
    /// How it is run.
    pub settings: Settings,
    /// Variables, with overrides applied.
    pub vars: BTreeMap<String, String>,
    /// Every secret that something names, and where first.
    pub secrets: BTreeMap<SecretName, Location>,
    /// Secrets that the control plane makes where there are none yet, and of how many letters and
    /// digits.
    pub generated: BTreeMap<SecretName, u32>,
    /// What an admin says of nodes.
    pub nodes: BTreeMap<NodeName, NodePolicy>,
    /// The services.
    pub services: BTreeMap<ServiceName, Service>,
    /// Renames without destroy: from, to.
    pub moved: Vec<(ServiceName, ServiceName)>,
    /// Where the old name of each stands.
    pub moved_at: BTreeMap<ServiceName, Location>,
    /// Keeps others from building one.
    pub(crate) checked: (),
}

/// How the control plane follows the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Apply commits without asking.
    pub auto: bool,
    /// Destroy what is no longer declared, unattended.
    pub prune: bool,
    /// Put right what changed by itself.
    pub self_heal: bool,
    /// Look at the source at least this often.
    pub interval: Period,
    /// Spread the load, or use few nodes.
    pub objective: Objective,
    /// A node unseen this long is lost.
    pub lost_after: Period,
    /// What an unattended run does with what does not fit.
    pub unplaced: Unplaced,
}

impl Default for Settings {
    /// The defaults of docs/cluster-file.md.
    fn default() -> Self {
        Self {
            auto: true,
            prune: false,
            self_heal: true,
            interval: Period::seconds(60),
            objective: Objective::Balance,
            lost_after: Period::seconds(300),
            unplaced: Unplaced::Wait,
        }
    }
}

/// What an unattended run does with what does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unplaced {
    /// Apply the rest; it waits as pending.
    #[default]
    Wait,
    /// Apply nothing.
    Error,
}

/// The most that counts of what an agent reports of its machine: whoever holds a node's certificate
/// could report any size, and would be given services and their secrets for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capacity {
    /// Cores; `None` counts all that are reported, here and below.
    pub cpu: Option<Cpu>,
    /// Memory.
    pub memory: Option<Bytes>,
    /// Disk.
    pub disk: Option<Bytes>,
    /// Devices, the first by id.
    pub gpus: Option<u32>,
}

/// What an admin says of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePolicy {
    /// Where it is written.
    pub at: Location,
    /// Tags that constraints look for.
    pub tags: Vec<String>,
    /// Failure domain.
    pub zone: Option<String>,
    /// Kept free for the host.
    pub reserve: Resources,
    /// The most that counts of what its agent reports.
    pub capacity: Capacity,
    /// Takes no new instances.
    pub cordon: bool,
    /// And gives up what it has.
    pub drain: bool,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// Where it is declared.
    pub at: Location,
    /// What it runs.
    pub form: Form,
    /// Which driver runs it.
    pub runtime: Runtime,
    /// How many instances.
    pub replicas: Replicas,
    /// Who gives way when not everything fits: 0 first, 100 last.
    pub priority: u8,
    /// Environment; values may hold templates.
    pub env: BTreeMap<String, Located<String>>,
    /// Ports, the component's and its own, main port first.
    pub ports: Vec<Located<PortDeclaration>>,
    /// Volumes, the component's and its own.
    pub volumes: Vec<Located<VolumeDeclaration>>,
    /// Files by path; contents may hold templates unless they came from a file of the repository.
    pub files: BTreeMap<String, Located<FileContent>>,
    /// What each instance reserves.
    pub resources: Resources,
    /// Where `resources` is written, for messages.
    pub resources_at: Option<Location>,
    /// Language models that it serves, each with what it takes; `resources` has their sum.
    pub models: Vec<Model>,
    /// Under which host names people reach it.
    pub exposes: Vec<Located<Expose>>,
    /// Where its instances may be.
    pub place: Place,
    /// Services that must be healthy before it starts.
    pub depends_on: Vec<Located<ServiceName>>,
    /// How to tell that it serves.
    pub health: Option<HealthSpec>,
    /// How it is stopped.
    pub stop: StopSpec,
    /// How it is updated.
    pub update: Update,
    /// Whether it runs once: it ends by itself, and 0 is done.
    pub run_once: bool,
    /// When it runs, where that is again and again.
    pub schedule: Option<Timing>,
    /// No plan may destroy it.
    pub protect: Option<Location>,
    /// Nodes that an instance may leave its data on where it cannot stay there. What left such a
    /// node does not come back to it while the line stands, so each is good for one move.
    pub leave_data: Vec<Located<NodeName>>,
}

/// What a service runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// A component of the catalog.
    Component {
        /// Its name.
        name: Located<String>,
        /// The version; the component's default when the file says none.
        version: String,
        /// Every parameter with its value, defaults included; values may hold templates.
        parameters: BTreeMap<String, Located<String>>,
        /// Secret by parameter.
        secrets: BTreeMap<String, Located<SecretName>>,
        /// What it may have of its node: what the component declares and the file allows.
        grants: Vec<compose::Grant>,
    },
    /// An image.
    Image {
        /// Reference; may hold templates.
        image: Located<String>,
        /// Replaces the image's command; may hold templates.
        command: Option<Vec<Located<String>>>,
    },
    /// A native process: program and arguments; may hold templates.
    Process {
        /// Program and arguments.
        argv: Vec<Located<String>>,
    },
    /// One service of a Compose file.
    Compose {
        /// The service of the cluster file that names the Compose file.
        project: ServiceName,
        /// The networks of the project.
        networks: BTreeMap<String, Network>,
        /// Namespaces that it lives in, each with the service whose it is.
        shares: Vec<(Namespace, ServiceName)>,
        /// What its container is; texts may hold templates. Its environment, files, ports, health
        /// and how it is stopped are the service's own fields.
        container: Box<compose::Service>,
    },
    /// Kubernetes manifests or a Helm chart.
    Kubernetes(Manifests),
}

/// What is given to a Kubernetes cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifests {
    /// The path that the cluster file names.
    pub path: Located<String>,
    /// Where they go.
    pub namespace: String,
    /// Whether they are a Helm chart.
    pub chart: bool,
    /// Files with values for the chart, by path, in the order in which they count.
    pub values: Vec<String>,
    /// Everything that is there, by path.
    pub files: BTreeMap<String, String>,
}

/// A host name under which a reverse proxy passes requests on to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expose {
    /// The host name.
    pub host: String,
    /// The path that requests begin with; `/` is all of them.
    pub path: String,
    /// The name of the service's port.
    pub port: String,
    /// Who gives the certificate.
    pub tls: Tls,
}

/// Who gives the certificate of a host name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tls {
    /// Nobody: requests come without TLS.
    #[default]
    Off,
    /// A certificate authority, by ACME.
    Letsencrypt,
}

impl Tls {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Letsencrypt => "letsencrypt",
        }
    }
}

/// A language model that a service serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// Its name and tag.
    pub name: Located<String>,
    /// Tokens of context.
    pub context: u32,
    /// Requests answered at once.
    pub parallel: u32,
    /// What it takes.
    pub needs: crate::model::Needs,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    /// The text.
    pub text: String,
    /// Whether `text` is a template (written in the cluster file) or data (read from a file).
    pub template: bool,
    /// Permission bits.
    pub mode: u32,
}

/// How a service is updated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// How many instances may be down at once.
    pub max_unavailable: u32,
    /// How long a new instance may take to become healthy.
    pub timeout: Period,
}

impl Default for Update {
    /// One at a time, five minutes each.
    fn default() -> Self {
        Self { max_unavailable: 1, timeout: Period::seconds(300) }
    }
}

/// Where instances of a service may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// All must hold.
    pub require: Vec<Located<Selector>>,
    /// None may hold.
    pub forbid: Vec<Located<Selector>>,
    /// Better where they hold, by weight.
    pub prefer: Vec<(Located<Selector>, u32)>,
    /// The only node.
    pub pin: Option<Located<NodeName>>,
    /// Even counts over domains.
    pub spread: Vec<Located<Spread>>,
    /// At most so many on one node.
    pub max_per_node: Option<Located<u32>>,
    /// Never on a node with these.
    pub apart_from: Vec<Located<ServiceName>>,
    /// Only on a node with these.
    pub near: Vec<Located<ServiceName>>,
}

/// A question about a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    /// What of the node.
    pub key: SelectorKey,
    /// Any of these.
    pub any_of: Vec<String>,
}

/// What of a node a selector looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SelectorKey {
    /// One of its tags.
    Tag,
    /// Its zone.
    Zone,
    /// Its operating system.
    Os,
    /// Its processor architecture.
    Arch,
    /// The model of one of its GPUs; a part of the maker's name is enough.
    GpuModel,
    /// Its name.
    Node,
}

/// Even counts over domains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    /// Over what.
    pub by: Domain,
    /// Largest count minus smallest count.
    pub max_skew: u32,
}

/// What `spread` counts over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Domain {
    /// Nodes.
    Node,
    /// Zones.
    Zone,
}
