//! The control plane as a whole: opens what is on disk, wires adapters, loop and API together, and
//! listens.
//!
//! Knows every part and the order of starting and stopping. Refuses to decide anything else.

mod kept;

use std::{
    fs::{self, File},
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use devnet_schema::{
    file::Limits,
    name::{ClusterName, NodeName},
    secret::{InTransit, Sensitive},
};
use jiff::Timestamp;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::{Notify, mpsc, watch},
    task::JoinHandle,
};
use tracing::{error, info};

use crate::{
    api::{JoinTokenRequest, audit::Config, database::Trouble},
    apply,
    auth::{ApiKey, Authority, Joined, Revoked, server_config},
    clock,
    config::ClientContext,
    cycle::{ControlPlane, CycleConfig, Parts, answer_agents, follow, look_for_changes},
    fleet::{Fleet, FleetConfig},
    http::{self, App, Bounds, Listener, Patience},
    random,
    secrets::{KeySource, Secrets},
    source::{self, RemoteGit, RemoteSpec, Source, Watcher},
    store::{ClusterRecord, Store, StoreError},
    time::Time,
};

/// How long open requests may take to end when the control plane stops.
const FAREWELL: Duration = Duration::from_secs(3);
/// How long the start waits for the source.
const FIRST_LOOK: Duration = Duration::from_secs(10);
/// Connections that may wait to be taken.
const BACKLOG: u32 = 1024;
/// How long one request to a remote repository may take.
const REMOTE_TIMEOUT: Duration = Duration::from_secs(60);

/// What the control plane follows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceSpec {
    /// A repository's path or URL, or a plain directory.
    pub location: String,
    /// The branch; the repository's own when absent.
    pub branch: Option<String>,
    /// The directory of the cluster file within it; empty for its root.
    pub path: String,
    /// Take a directory as it is even when it is a git checkout: then what is not committed counts.
    pub plain: bool,
    /// The file with the login for an https remote; it is read when the remote asks.
    pub login_file: Option<PathBuf>,
    /// The file with the only CA that an https remote's certificate may come from.
    pub ca_file: Option<PathBuf>,
}

/// How the control plane is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeConfig {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// Names and addresses that clients and agents use, the one for `client.yaml` first. This
    /// machine's own are added.
    pub names: Vec<String>,
    /// What the cluster is called; else its first configuration says. No node can join before.
    pub cluster: Option<ClusterName>,
    /// What to follow.
    pub source: Option<SourceSpec>,
    /// Look at the source at least this often.
    pub poll: Duration,
    /// Agents say that they are there this often; three missed ones mean that they are not.
    pub heartbeat: Duration,
    /// After a start, wait this long for agents before anything is planned.
    pub adoption_grace: Duration,
    /// The key that secrets are stored under; else `secrets/key` in the data directory.
    pub key_file: Option<PathBuf>,
    /// How much of a configuration is read.
    pub limits: Limits,
    /// How long clients may take for each part of a connection.
    pub patience: Patience,
    /// How many connections there may be; else what the limit on open files allows.
    pub bounds: Option<Bounds>,
    /// How long to wait for agents when a plan is applied.
    pub apply: apply::Limits,
    /// Whether drafts may be committed to the source.
    pub source_write: bool,
    /// How it runs, for admins to look at.
    pub settings: Config,
}

impl ServeConfig {
    /// The defaults, with data in `data_dir`.
    pub fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, crate::config::DEFAULT_PORT)),
            names: Vec::new(),
            cluster: None,
            source: None,
            poll: Duration::from_secs(30),
            heartbeat: Duration::from_secs(2),
            adoption_grace: Duration::from_secs(10),
            key_file: None,
            limits: Limits::default(),
            patience: Patience::default(),
            bounds: None,
            apply: apply::Limits::default(),
            source_write: false,
            settings: Config::default(),
        }
    }
}

/// A control plane that runs. Dropping it without [`Running::stop`] leaves its tasks to the end of
/// the runtime.
pub struct Running {
    addr: SocketAddr,
    context: ClientContext,
    data_dir: PathBuf,
    plane: Arc<ControlPlane>,
    fleet: Arc<Fleet>,
    stop: watch::Sender<bool>,
    server: JoinHandle<std::io::Result<()>>,
    tasks: Vec<JoinHandle<()>>,
    watcher: Option<Watcher>,
    /// Held as long as it runs, so that no second control plane uses the same data.
    lock: File,
}

impl Running {
    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// How to reach it as its admin.
    pub fn context(&self) -> &ClientContext {
        &self.context
    }

    /// The file that holds [`Running::context`].
    pub fn client_file(&self) -> PathBuf {
        self.data_dir.join("client.yaml")
    }

    /// The loop and what it knows.
    pub fn plane(&self) -> &Arc<ControlPlane> {
        &self.plane
    }

    /// A join token for one node, good for an hour.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub fn join_token(&self, node: Option<NodeName>) -> anyhow::Result<Sensitive<String>> {
        let request = JoinTokenRequest { node, ..JoinTokenRequest::default() };
        let (token, _) = self.plane.make_join_token(&request, "the control plane itself")?;
        Ok(token)
    }

    /// Waits until the listener ends by itself, which it does only when it fails.
    ///
    /// # Errors
    /// Why it did.
    pub async fn failed(&mut self) -> anyhow::Result<()> {
        let ended = (&mut self.server).await.context("running the listener")?;
        ended.context("listening")
    }

    /// Ends every session and request, and returns when nothing runs any more. A deployment in the
    /// middle is marked as interrupted at the next start.
    pub async fn stop(mut self) {
        let _ = self.stop.send(true);
        drop(self.watcher.take());
        self.fleet.close();
        if !self.server.is_finished() {
            let _ = tokio::time::timeout(FAREWELL * 2, &mut self.server).await;
        }
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks.drain(..) {
            let _ = task.await;
        }
        // By hand: a child process that is just being started holds a copy of the file for a
        // moment.
        let _ = self.lock.unlock();
        info!("the control plane has stopped");
    }
}

/// Runs a control plane until `shutdown`.
///
/// # Errors
/// When it cannot start, or its listener fails.
pub async fn serve(config: ServeConfig, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    let mut running = start(config).await?;
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        failed = running.failed() => failed,
    };
    running.stop().await;
    ended
}

/// Starts a control plane and returns once it listens.
///
/// # Errors
/// When its data cannot be opened, its source cannot be opened, or the address is taken.
pub async fn start(config: ServeConfig) -> anyhow::Result<Running> {
    // Whoever comes first chooses; a second choice of the same is no error.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let opened = Opened::open(&config)?;
    let Opened { lock, authority, revoked, joined, store, secrets, admin, records_lost } = opened;
    let source = config.source.as_ref().map(|spec| open_source(spec, &config)).transpose()?;
    let (tcp, addr) = listen(config.listen)?;

    let wake = Arc::new(Notify::new());
    let (calls, called) = mpsc::channel(256);
    let name_file = config.data_dir.join("cluster");
    let cluster = kept_name(&store, &name_file)?;
    let fleet_config = FleetConfig { heartbeat: config.heartbeat };
    let fleet = Fleet::new(fleet_config, cluster, Arc::clone(&wake), calls);
    let parts = Parts {
        store,
        fleet: Arc::clone(&fleet),
        secrets,
        authority: Arc::clone(&authority),
        revoked,
        joined,
        source: source.clone(),
        wake,
    };
    let (grace, limits) = (config.adoption_grace, config.limits.clone());
    let (apply, source_write) = (config.apply, config.source_write);
    let cycle_config = CycleConfig { grace, records_lost, name_file, limits, apply, source_write };
    let plane = ControlPlane::new(cycle_config, parts)?;
    prepare(&plane, config.cluster.as_ref()).await?;

    let names = names(&config);
    let tls = Tls::new(Arc::clone(&authority), names.clone())?;
    plane.metrics.certificate_end(tls.not_after.as_second());
    let settings = tls.config.subscribe();
    let (stop, stopped) = watch::channel(false);
    let tasks = vec![
        tokio::spawn(answer_agents(Arc::clone(&plane), called)),
        tokio::spawn(follow(Arc::clone(&plane), stopped.clone())),
        tokio::spawn(look_for_changes(Arc::clone(&plane), stopped.clone())),
        tokio::spawn(tls.keep_fresh(Arc::clone(&plane))),
    ];
    let watcher = source.map(|source| watch_source(&source, &plane, config.poll)).transpose()?;
    let context = ClientContext {
        addr: format!("https://{}", authority_of(&config, addr)),
        token: InTransit::new(admin.text().expose().clone()),
        ca: authority.ca_pem().to_owned(),
    };
    let client_file = config.data_dir.join("client.yaml");
    kept::keep_private(&client_file, &context.to_yaml()?)?;

    let bounds = bounds(&config);
    let key = (&admin, kept::written(&config.data_dir.join("admin.key")));
    let app = App::new(Arc::clone(&plane), key, config.patience, &names, config.settings);
    let patience = config.patience;
    let listener = Listener { tcp, tls: settings, app, patience, bounds };
    let server = tokio::spawn(http::serve(listener, stopped, FAREWELL));
    info!(%addr, client = %client_file.display(), "the control plane listens");
    Ok(Running {
        addr,
        context,
        data_dir: config.data_dir,
        plane,
        fleet,
        stop,
        server,
        tasks,
        watcher,
        lock,
    })
}

/// How many connections there may be.
fn bounds(config: &ServeConfig) -> Bounds {
    let files = kept::open_files();
    let bounds = config.bounds.unwrap_or_else(|| Bounds::of(files));
    info!(files, connections = bounds.most(), "so many may be open");
    bounds
}

fn listen(wanted: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let socket = if wanted.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.context("preparing the listener")?;
    socket.set_reuseaddr(true).context("preparing the listener")?;
    // A peer that is gone without a word is noticed at last.
    socket.set_keepalive(true).context("preparing the listener")?;
    let listener = socket
        .bind(wanted)
        .and_then(|()| socket.listen(BACKLOG))
        .with_context(|| format!("listening on {wanted}: is it taken?"))?;
    let addr = listener.local_addr().context("reading the listener's address")?;
    Ok((listener, addr))
}

/// Takes what is on record, the cluster's name, and a first look at the source.
async fn prepare(plane: &Arc<ControlPlane>, name: Option<&ClusterName>) -> anyhow::Result<()> {
    plane.remember_nodes()?;
    plane.keep_versions()?;
    plane.recall()?;
    if let Some(name) = name
        && let Err(ours) = plane.take_name(name)
    {
        bail!("this control plane looks after cluster `{ours}`: a cluster cannot be renamed");
    }
    // A remote that does not answer must not hold up the start; the loop asks again.
    let _ = tokio::time::timeout(FIRST_LOOK, plane.first_look()).await;
    Ok(())
}

/// What is on disk.
struct Opened {
    lock: File,
    authority: Arc<Authority>,
    revoked: Revoked,
    joined: Joined,
    store: Arc<Store>,
    secrets: Arc<Secrets>,
    admin: ApiKey,
    records_lost: bool,
}

impl Opened {
    fn open(config: &ServeConfig) -> anyhow::Result<Self> {
        let dir = &config.data_dir;
        random::try_fill(&mut [0])?;
        kept::data_dir(dir)?;
        let lock = kept::lock(dir)?;
        let pki = dir.join("pki");
        let had_authority = pki.join("ca.pem").exists();
        let authority = Authority::open(&pki, clock::now(), &mut random::fill)?;
        let key = match &config.key_file {
            Some(path) => KeySource::File(path.clone()),
            None => KeySource::Kept,
        };
        let secrets = Secrets::open(&dir.join("secrets"), &key, &mut random::fill)?;
        let (store, opened) = Store::open(&dir.join("state.db"), clock::wall())?;
        for id in &opened.interrupted {
            info!(deployment = id, "it was running when the control plane stopped");
        }
        let revoked = Revoked::open(&dir.join("pki"), clock::now())?;
        for (id, removed_at) in store.removed_nodes()? {
            let now = clock::now();
            revoked.add(&id, removed_at.map_or(now, Time::timestamp), now)?;
        }
        let joined = Joined::open(&pki)?;
        let records_lost = had_authority && opened.from_version == 0;
        if records_lost {
            info!("the records are new and the CA is not: waiting for agents to come back");
        }
        let admin = kept::admin_key(dir)?;
        Ok(Self {
            lock,
            authority: Arc::new(authority),
            revoked,
            joined,
            store: Arc::new(store),
            secrets: Arc::new(secrets),
            admin,
            records_lost,
        })
    }
}

/// The cluster's name as the records, or the file that survives them, have it.
fn kept_name(store: &Store, file: &Path) -> anyhow::Result<Option<ClusterName>> {
    // The file beside it is for when the records are lost, this one too.
    let on_record = match store.cluster() {
        Ok(ClusterRecord { name: Some(name), .. }) => return Ok(Some(name)),
        Ok(_) => Ok(None),
        Err(
            error @ (StoreError::Record { .. } | StoreError::Sql { source: Trouble::Value, .. }),
        ) => Err(error),
        Err(error) => return Err(error.into()),
    };
    match fs::read(file) {
        Ok(bytes) => {
            let name = String::from_utf8_lossy(&bytes).trim().parse().map_err(|_| {
                anyhow!(
                    "{} does not hold the cluster's name: write the name into it, which every node \
                     has in its identity.json",
                    file.display()
                )
            })?;
            Ok(Some(name))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(on_record?),
        Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
    }
}

/// Every name and address that the server's certificate is good for.
fn names(config: &ServeConfig) -> Vec<String> {
    let mut names = config.names.clone();
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim().to_ascii_lowercase();
    // A host name that no certificate can carry is left out: nobody could have dialled it.
    if !host.is_empty() && rustls::pki_types::ServerName::try_from(host.as_str()).is_ok() {
        names.push(host);
    }
    if config.listen.ip().is_unspecified() {
        names.extend(own_address().map(|ip| ip.to_string()));
    } else {
        names.push(config.listen.ip().to_string());
    }
    names
}

/// The address this machine would reach others by. Nothing is sent.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // TEST-NET-1 (RFC 5737): never a real host, so the default route answers.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

/// `host:port` for `client.yaml`.
fn authority_of(config: &ServeConfig, addr: SocketAddr) -> String {
    let host = match (config.names.first(), addr.ip()) {
        (Some(name), _) => name.clone(),
        (None, ip) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        (None, ip) => ip.to_string(),
    };
    match host.parse::<std::net::Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]:{}", addr.port()),
        Err(_) => format!("{host}:{}", addr.port()),
    }
}

fn open_source(spec: &SourceSpec, config: &ServeConfig) -> anyhow::Result<Arc<dyn Source>> {
    let SourceSpec { location, branch, path, plain, login_file, ca_file } = spec;
    let remote = location.contains("://") || location.starts_with("git@");
    if !location.starts_with("https://")
        && let Some(file) = login_file.as_ref().or(ca_file.as_ref())
    {
        bail!(
            "{} is of use for an https:// source only, and {location} is none: leave the flag out",
            file.display()
        );
    }
    let credentials = login_file.clone().map(source::login_file);
    if let Some(credentials) = &credentials {
        // A login that cannot be read is said now and not at the first fetch.
        credentials().map_err(anyhow::Error::msg).context("reading --source-login")?;
    }
    let read = |file: &PathBuf| {
        fs::read_to_string(file).with_context(|| format!("reading --source-ca {}", file.display()))
    };
    let ca = ca_file.as_ref().map(read).transpose()?;
    let opened = if remote {
        RemoteGit::open(RemoteSpec {
            url: location.clone(),
            branch: branch.clone(),
            subdirectory: path.clone(),
            mirrors: config.data_dir.join("source"),
            credentials,
            ca,
            timeout: REMOTE_TIMEOUT,
        })
        .map(|source| Arc::new(source) as Arc<dyn Source>)
    } else {
        source::open_path(Path::new(location), branch.as_deref(), path, !plain)
    };
    opened.context("opening what is to be followed (--source)")
}

fn watch_source(
    source: &Arc<dyn Source>,
    plane: &Arc<ControlPlane>,
    poll: Duration,
) -> anyhow::Result<Watcher> {
    let plane = Arc::clone(plane);
    let wake = Arc::new(move || plane.look_again());
    source.watch(poll, wake).context("watching the source")
}

/// The listener's certificate, renewed before it ends.
struct Tls {
    authority: Arc<Authority>,
    names: Vec<String>,
    config: watch::Sender<Arc<ServerConfig>>,
    not_after: Timestamp,
    renew_at: Timestamp,
}

impl Tls {
    fn new(authority: Arc<Authority>, names: Vec<String>) -> anyhow::Result<Self> {
        let identity = authority.server_identity(&names, clock::now(), &mut random::fill)?;
        let config = watch::Sender::new(server_config(&authority, &identity)?);
        let (not_after, renew_at) = (identity.not_after, identity.renew_at);
        Ok(Self { authority, names, config, not_after, renew_at })
    }

    /// Looks twice a day whether half of the certificate's life is over.
    fn keep_fresh(self, plane: Arc<ControlPlane>) -> impl Future<Output = ()> + Send {
        let Self { authority, names, config, not_after: _, mut renew_at } = self;
        async move {
            loop {
                tokio::time::sleep(Duration::from_secs(12 * 3600)).await;
                let now = clock::now();
                if now < renew_at {
                    continue;
                }
                let renewed = authority
                    .server_identity(&names, now, &mut random::fill)
                    .map_err(anyhow::Error::from)
                    .and_then(|identity| Ok((server_config(&authority, &identity)?, identity)));
                match renewed {
                    Ok((server, identity)) => {
                        config.send_replace(server);
                        renew_at = identity.renew_at;
                        plane.metrics.certificate_end(identity.not_after.as_second());
                        info!(until = %identity.not_after, "the server's certificate is new");
                    }
                    Err(error) => {
                        error!(error = format!("{error:#}"), "renewing the server's certificate");
                    }
                }
            }
        }
    }
}
