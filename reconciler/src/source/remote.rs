//! A git repository elsewhere, mirrored into a bare repository of our own.
//!
//! Knows how to fetch one branch, shallow at first. Refuses to keep credentials (they are asked for
//! when needed, and only for the host that was named), to prompt, to run credential helpers, and to
//! speak protocols that anyone on the way could rewrite.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use devnet_schema::secret::Sensitive;
use gix::{
    Repository,
    bstr::ByteSlice,
    credentials::helper::Action,
    progress::Discard,
    protocol::{
        fetch::{Shallow, Tags},
        transport::client::blocking_io::http,
    },
    remote::Direction,
    url::Scheme,
};

use super::{
    Revision, Source, SourceError, TreeFiles, Wake, Watcher, clean_branch, clean_subdirectory,
    object_store::{ObjectStore, unreadable},
    watch,
};

/// A user name and a password or token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user name; most hosts take any with a token.
    pub username: String,
    /// The password or token.
    pub password: Sensitive<String>,
}

/// Gives the login when the remote asks for one, or says in words why there is none.
pub type Credentials = Arc<dyn Fn() -> Result<Login, String> + Send + Sync>;

/// Which repository, and how it is reached.
#[derive(Clone)]
pub struct RemoteSpec {
    /// `https://…`, `ssh://…` or `git@host:path`, `file:///…`. Never with a password in it. Plain
    /// `http://` is taken for this machine only.
    pub url: String,
    /// The branch; the remote's own default when absent.
    pub branch: Option<String>,
    /// Where in it the configuration is; empty for its root.
    pub subdirectory: String,
    /// A directory of ours that mirrors are kept in. What is in it may be deleted at any time.
    pub mirrors: PathBuf,
    /// Asked when an https remote wants to know who we are.
    pub credentials: Option<Credentials>,
    /// The only CA (PEM) that an https remote's certificate may come from; the system's when
    /// absent.
    pub ca: Option<String>,
    /// How long one https request may take.
    pub timeout: Duration,
}

/// What ssh is started as: it must not ask questions that nobody answers, nor hang. Keys and known
/// hosts come from the user's own ssh configuration.
const SSH: &str = "ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15";

/// Where the fetched branch is kept in the mirror.
const MIRRORED: &str = "refs/devnet/head";

/// A mirror with more packs than this is made anew: every fetch adds one.
const MAX_PACKS: usize = 64;

/// A branch of a repository elsewhere.
pub struct RemoteGit {
    spec: RemoteSpec,
    url: gix::Url,
    location: String,
    mirror: PathBuf,
    /// One fetch at a time: they write to the same mirror.
    fetching: Mutex<()>,
}

impl RemoteGit {
    /// Checks the settings. Nothing is asked of the remote yet.
    ///
    /// # Errors
    /// When a setting is not usable or the mirrors' directory cannot be made.
    pub fn open(spec: RemoteSpec) -> Result<Self, SourceError> {
        let url = clean_url(&spec.url)?;
        let location = url.to_bstring().to_string();
        let branch = spec.branch.as_deref().map(clean_branch).transpose()?;
        let subdirectory = clean_subdirectory(&spec.subdirectory)?;
        fs::create_dir_all(&spec.mirrors)
            .map_err(unreadable("making the directory of mirrors for", &location))?;
        let key = blake3::hash(format!("{location}\0{branch:?}").as_bytes()).to_hex();
        let mirror = spec.mirrors.join(format!("{}.git", &key[..32]));
        let spec = RemoteSpec { branch, subdirectory, ..spec };
        Ok(Self { spec, url, location, mirror, fetching: Mutex::default() })
    }

    fn store(&self) -> Result<ObjectStore<'_>, SourceError> {
        let opening = unreadable("opening the mirror of", &self.location);
        let repository = open(&self.mirror).map_err(opening)?;
        Ok(ObjectStore { repository, location: &self.location })
    }

    /// The mirror; an empty new one where there is none, or where it is broken or overgrown: all of
    /// it can be fetched again.
    fn mirror(&self) -> Result<Repository, SourceError> {
        if pack_count(&self.mirror) <= MAX_PACKS
            && let Ok(repository) = open(&self.mirror)
        {
            return Ok(repository);
        }
        match fs::remove_dir_all(&self.mirror) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(unreadable("removing the old mirror of", &self.location)(error));
            }
            _ => {}
        }
        gix::ThreadSafeRepository::init_opts(
            &self.mirror,
            gix::create::Kind::Bare,
            gix::create::Options::default(),
            options(),
        )
        .map_err(unreadable("making the mirror of", &self.location))?;
        open(&self.mirror).map_err(unreadable("opening the mirror of", &self.location))
    }

    /// Brings the mirror up to date.
    fn fetch(&self) -> Result<(), SourceError> {
        let failed = unreadable("fetching from", &self.location);
        let _one = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        let repository = self.mirror()?;
        // The first fetch takes one commit; later ones take what came since, so that a forced push
        // can be told from an ordinary one.
        let first = repository.try_find_reference(MIRRORED).map_err(&failed)?.is_none();
        let wanted = match &self.spec.branch {
            Some(branch) => format!("+refs/heads/{branch}:{MIRRORED}"),
            None => format!("+HEAD:{MIRRORED}"),
        };
        // A remote without a name leaves nothing in the mirror's configuration.
        let remote = repository
            .remote_at(self.url.clone())
            .and_then(|remote| remote.with_refspecs([wanted.as_str()], Direction::Fetch))
            .map_err(&failed)?
            .with_fetch_tags(Tags::None);
        let mut connection = remote.connect(Direction::Fetch).map_err(&failed)?;
        connection.set_credentials(self.helper());
        if matches!(self.url.scheme, Scheme::Https | Scheme::Http) {
            connection.set_transport_options(Box::new(self.http_options()?));
        }
        let prepared = connection.prepare_fetch(Discard, Default::default()).map_err(&failed)?;
        if prepared.ref_map().mappings.is_empty() {
            return Err(SourceError::RefMissing {
                location: self.location.clone(),
                branch: self.branch().to_owned(),
            });
        }
        let shallow = match first {
            true => Shallow::DepthAtRemote(std::num::NonZeroU32::MIN),
            false => Shallow::NoChange,
        };
        prepared
            .with_shallow(shallow)
            .receive(Discard, &AtomicBool::new(false))
            .map_err(&failed)?;
        Ok(())
    }

    /// Answers the remote's question who we are. A redirect to another host gets no answer.
    fn helper(
        &self,
    ) -> impl FnMut(Action) -> gix::Result<Option<gix::credentials::protocol::Outcome>> + 'static
    {
        let (credentials, own) = (self.spec.credentials.clone(), self.url.clone());
        move |action| {
            let (Action::Get(context), Some(credentials)) = (action, &credentials) else {
                return Ok(None);
            };
            let asking = context.url.as_ref().and_then(|url| gix::url::parse(url.as_bstr()).ok());
            let same = asking.is_some_and(|asking| {
                asking.scheme == own.scheme
                    && asking.host() == own.host()
                    && asking.port == own.port
            });
            if !same {
                return Ok(None);
            }
            let login =
                credentials().map_err(|why| gix::Error::from_error(io::Error::other(why)))?;
            Ok(Some(gix::credentials::protocol::Outcome {
                identity: gix::sec::identity::Account {
                    username: login.username,
                    password: login.password.expose().clone(),
                    oauth_refresh_token: None,
                },
                next: context.into(),
            }))
        }
    }

    fn http_options(&self) -> Result<http::Options, SourceError> {
        let timeout = self.spec.timeout;
        let ca = self
            .spec
            .ca
            .as_ref()
            .map(|pem| reqwest::Certificate::from_pem_bundle(pem.as_bytes()))
            .transpose()
            .map_err(unreadable("reading the CA for", &self.location))?;
        let configure = move |builder: reqwest::blocking::ClientBuilder| {
            let builder = builder.timeout(timeout);
            Ok(match &ca {
                Some(ca) => builder.tls_certs_only(ca.clone()),
                None => builder,
            })
        };
        let backend = http::reqwest::Options {
            configure_client: Some(Box::new(configure)),
            configure_request: None,
        };
        let backend = Some(Arc::new(Mutex::new(backend)) as _);
        Ok(http::Options { backend, ..http::Options::default() })
    }
}

impl Source for RemoteGit {
    fn location(&self) -> &str {
        &self.location
    }

    fn branch(&self) -> &str {
        self.spec.branch.as_deref().unwrap_or("HEAD")
    }

    fn subdirectory(&self) -> &str {
        &self.spec.subdirectory
    }

    fn head(&self) -> Result<Revision, SourceError> {
        self.fetch()?;
        let store = self.store()?;
        let id = store.reference(MIRRORED)?.ok_or_else(|| SourceError::RefMissing {
            location: self.location.clone(),
            branch: self.branch().to_owned(),
        })?;
        store.revision(id)
    }

    fn files(&self, revision: &str) -> Result<TreeFiles, SourceError> {
        self.store()?.files(revision, &self.spec.subdirectory)
    }

    fn follows(&self, old: &str, new: &str) -> Result<bool, SourceError> {
        self.store()?.follows(old, new)
    }

    fn watch(&self, interval: Duration, wake: Wake) -> Result<Watcher, SourceError> {
        Ok(watch::poll(interval, wake))
    }
}

fn options() -> gix::open::Options {
    let ssh = format!("core.sshCommand={SSH}");
    gix::open::Options::isolated().config_overrides([ssh.as_str(), "ssh.variant=ssh"])
}

fn open(path: &Path) -> gix::Result<Repository> {
    gix::open_opts(path, options().open_path_as_is(true))
}

fn pack_count(mirror: &Path) -> usize {
    fs::read_dir(mirror.join("objects/pack")).map_or(0, |files| {
        let is_pack = |file: io::Result<fs::DirEntry>| {
            file.is_ok_and(|file| file.path().extension().is_some_and(|kind| kind == "pack"))
        };
        files.filter_map(|file| is_pack(file).then_some(())).count()
    })
}

/// The URL, when it is one that may be fetched from. The text is not repeated where it may hold a
/// password.
fn clean_url(text: &str) -> Result<gix::Url, SourceError> {
    let refused = |why: &str| Err(SourceError::Settings(format!("the source's URL {why}")));
    let Ok(url) = gix::url::parse(text) else {
        return refused("is not one that git knows: write https://HOST/PATH or git@HOST:PATH");
    };
    if url.password().is_some() {
        return refused(
            "holds a password: take it out and pass it apart, where no log and no process list \
             shows it",
        );
    }
    let over_http = matches!(url.scheme, Scheme::Https | Scheme::Http);
    if over_http && (url.user().is_some() || text.contains(['?', '#'])) {
        return refused(
            "holds a user name, a query or a fragment, any of which may be a token: take it out \
             and pass it with --source-login, where no log and no status shows it",
        );
    }
    if text.starts_with('-') || text.chars().any(char::is_control) {
        return refused("begins with `-` or holds control characters");
    }
    let here = matches!(url.host(), Some("localhost" | "127.0.0.1" | "[::1]" | "::1"));
    match url.scheme {
        Scheme::Https | Scheme::Ssh | Scheme::File => Ok(url),
        Scheme::Http if here => Ok(url),
        _ => refused(
            "must begin with https://, ssh:// or file://: others can be rewritten on \
                      their way",
        ),
    }
}
