//! Where settings come from: the environment, read here and nowhere else, and the client's file.
//!
//! Knows names and precedence: flag beats environment beats file beats default. Refuses to know
//! what a setting is used for.

pub mod contexts;

use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use devnet_schema::{file::Limits, secret::InTransit};
use serde::{Deserialize, Serialize};

/// The port of a control plane when none is said.
pub const DEFAULT_PORT: u16 = 7443;

/// The environment variables that devnet reads, taken once at start.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    values: BTreeMap<String, String>,
}

impl Environment {
    /// The environment of this process. A variable that is no UTF-8 is as good as absent.
    pub fn of_process() -> Self {
        let values = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { values }
    }

    /// An environment for tests.
    pub fn of(values: BTreeMap<String, String>) -> Self {
        Self { values }
    }

    /// A variable that is set to something.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// `DEVNET_VAR_name`: values for the cluster file's `vars`, by name.
    pub fn vars(&self) -> BTreeMap<String, String> {
        self.values
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix("DEVNET_VAR_")?, value)))
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect()
    }

    /// Whether nobody may be asked (`DEVNET_INPUT=0` or `false`).
    pub fn forbids_input(&self) -> bool {
        matches!(self.get("DEVNET_INPUT"), Some("0" | "false"))
    }

    /// Whether colours are unwanted (<https://no-color.org>: set and not empty).
    pub fn forbids_colour(&self) -> bool {
        self.get("NO_COLOR").is_some() || self.get("TERM") == Some("dumb")
    }

    /// Flags that are added after the command's name: `DEVNET_CLI_ARGS`, then
    /// `DEVNET_CLI_ARGS_plan` for `plan`. Split at white space.
    pub fn extra_args(&self, command: &str) -> Vec<String> {
        [self.get("DEVNET_CLI_ARGS"), self.get(&format!("DEVNET_CLI_ARGS_{command}"))]
            .into_iter()
            .flatten()
            .flat_map(str::split_whitespace)
            .map(str::to_owned)
            .collect()
    }

    /// The limits of the language: the usual ones, changed by `DEVNET_LIMITS` (settings with blanks
    /// between them), changed by flags.
    ///
    /// # Errors
    /// When a setting is no limit.
    pub fn limits(&self, flags: &[String]) -> anyhow::Result<Limits> {
        let mut limits = Limits::default();
        for setting in self.get("DEVNET_LIMITS").unwrap_or_default().split_whitespace() {
            limits.set(setting).map_err(|why| anyhow::anyhow!("DEVNET_LIMITS: {why}"))?;
        }
        for setting in flags {
            limits.set(setting).map_err(|why| anyhow::anyhow!("-limit: {why}"))?;
        }
        Ok(limits)
    }

    /// The variables that are set and whose name begins so.
    pub fn names(&self, beginning: &str) -> Vec<String> {
        let names = self.values.keys().filter(|name| name.starts_with(beginning));
        names.filter(|name| self.get(name).is_some()).cloned().collect()
    }

    /// Where a control plane keeps its data when no flag says so: `DEVNET_DATA_DIR`, else
    /// `/var/lib/devnet` for root and the user's data directory for everyone else.
    pub fn data_dir(&self, is_root: bool) -> Option<PathBuf> {
        if let Some(path) = self.get("DEVNET_DATA_DIR") {
            return Some(PathBuf::from(path));
        }
        if is_root {
            return Some(PathBuf::from("/var/lib/devnet"));
        }
        let base = match self.get("XDG_DATA_HOME") {
            Some(path) => PathBuf::from(path),
            None => Path::new(self.get("HOME")?).join(".local/share"),
        };
        Some(base.join("devnet"))
    }
}

/// How a client reaches a control plane. `devnet serve` writes one, ready to copy.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientContext {
    /// `https://host:port`.
    pub addr: String,
    /// An API key.
    pub token: InTransit,
    /// The control plane's CA certificate, PEM.
    pub ca: String,
}

impl fmt::Debug for ClientContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientContext").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl ClientContext {
    /// The file's text.
    ///
    /// # Errors
    /// When YAML cannot hold it, which three texts never cause.
    pub fn to_yaml(&self) -> anyhow::Result<String> {
        serde_yaml::to_string(self).context("writing the client context as YAML")
    }
}

/// What flags say about the control plane.
#[derive(Debug, Clone, Default)]
pub struct ServerFlags {
    /// `--addr`.
    pub addr: Option<String>,
    /// `--token-file`.
    pub token_file: Option<PathBuf>,
    /// `--ca-file`.
    pub ca_file: Option<PathBuf>,
}

/// Puts flags, environment and file together.
///
/// # Errors
/// When a file cannot be read, the address is not `https`, or something is missing; the message
/// says which of the three ways would provide it.
pub fn client_context(flags: &ServerFlags, env: &Environment) -> anyhow::Result<ClientContext> {
    let file = match env.chosen_file()? {
        Some(chosen) if chosen.path.exists() => Some(read_context(&chosen.path)?),
        Some(chosen) if chosen.is_named() => match chosen.context {
            None => bail!("DEVNET_CONFIG names {}, which does not exist", chosen.path.display()),
            Some(name) => bail!(
                "{} names context {name}, and {} does not exist: `devnet context list` says which \
                 there are",
                chosen.named_by,
                chosen.path.display()
            ),
        },
        _ => None,
    };
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
    };
    let addr = flags
        .addr
        .clone()
        .or_else(|| env.get("DEVNET_ADDR").map(str::to_owned))
        .or_else(|| file.as_ref().map(|file| file.addr.clone()))
        .context(
            "no control plane is known: pass --addr https://HOST:7443, set DEVNET_ADDR, or set \
             DEVNET_CONFIG to the client.yaml that `devnet serve` wrote (to plan without one: \
             devnet plan --fleet FILE)",
        )?;
    address(&addr)?;
    let token = match (&flags.token_file, env.get("DEVNET_TOKEN"), &file) {
        (Some(path), _, _) => InTransit::new(read(path)?.trim().to_owned()),
        (None, Some(token), _) => InTransit::new(token.to_owned()),
        (None, None, Some(file)) => file.token.clone(),
        (None, None, None) => bail!("no API key: set DEVNET_TOKEN or pass --token-file FILE"),
    };
    let ca = match (&flags.ca_file, env.get("DEVNET_CA_FILE"), &file) {
        (Some(path), _, _) => read(path)?,
        (None, Some(path), _) => read(Path::new(path))?,
        (None, None, Some(file)) => file.ca.clone(),
        (None, None, None) => bail!(
            "the control plane's CA certificate is not known: pass --ca-file FILE or set \
             DEVNET_CA_FILE to its pki/ca.pem"
        ),
    };
    Ok(ClientContext { addr, token, ca })
}

/// The text of a file that holds a key. A pipe is as private as whoever wrote to it.
///
/// # Errors
/// When it cannot be read, or others than its owner may read it.
pub fn read_private(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let found = file.metadata()?;
    if found.is_file() && found.permissions().mode() & 0o077 != 0 {
        let shown = path.display();
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("others than its owner may read {shown}: run chmod 600 {shown}"),
        ));
    }
    let mut bytes = Vec::new();
    file.by_ref().take(LONGEST).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == LONGEST {
        let what = format!("{} is too long for a key or a context", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    // What is no text is no key, context or login either; whoever reads it says so.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// No file of a key or context is as long as this, in bytes.
const LONGEST: u64 = 1 << 20;

/// The context that a file holds.
///
/// # Errors
/// When it cannot be read, others may read it, or it is none.
pub fn read_context(path: &Path) -> anyhow::Result<ClientContext> {
    let text = read_private(path)
        .with_context(|| format!("reading the client context {}", path.display()))?;
    // The parser's own message may quote the file, and the file holds a key.
    let context: ClientContext = serde_yaml::from_str(&text).map_err(|error| {
        let line = error.location().map_or(0, |at| at.line());
        anyhow::anyhow!(
            "{} is no client context (line {line}): it needs addr, token and ca; copy the \
             client.yaml of the control plane again, which each start of it writes anew",
            path.display()
        )
    })?;
    address(&context.addr).with_context(|| format!("reading {}", path.display()))?;
    Ok(context)
}

/// An address that may be shown: it has no user name and no password.
fn address(addr: &str) -> anyhow::Result<()> {
    if addr.contains('@') {
        bail!(
            "the control plane's address must be https://HOST:PORT, without a user name: who asks \
             is told by the token"
        );
    }
    if !addr.starts_with("https://") {
        bail!("the control plane's address {addr} must begin with https://");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        Environment::of(pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect())
    }

    #[test]
    fn flags_beat_the_environment_and_the_environment_beats_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.yaml");
        let context = ClientContext {
            addr: "https://file:1".into(),
            token: InTransit::new("dnk_file".into()),
            ca: "PEM".into(),
        };
        write(&path, &context.to_yaml().unwrap(), 0o600);
        let config = path.to_str().unwrap();

        let found =
            client_context(&ServerFlags::default(), &environment(&[("DEVNET_CONFIG", config)]));
        assert_eq!(found.unwrap(), context);
        let env = environment(&[("DEVNET_CONFIG", config), ("DEVNET_ADDR", "https://env:1")]);
        assert_eq!(client_context(&ServerFlags::default(), &env).unwrap().addr, "https://env:1");
        let flags = ServerFlags { addr: Some("https://flag:1".into()), ..Default::default() };
        assert_eq!(client_context(&flags, &env).unwrap().addr, "https://flag:1");
    }

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_context_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.yaml");
        write(&path, "addr: https://x\ntoken: dnk_secret\nca: PEM\n", 0o644);
        let env = environment(&[("DEVNET_CONFIG", path.to_str().unwrap())]);
        let error = format!("{:#}", client_context(&ServerFlags::default(), &env).unwrap_err());
        assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
        assert!(!error.contains("dnk_secret"), "{error}");
    }

    #[test]
    fn a_broken_context_never_shows_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("client.yaml");
        write(&path, "addr: https://x\ntoken: [dnk_secret\n", 0o600);
        let env = environment(&[("DEVNET_CONFIG", path.to_str().unwrap())]);
        let error = client_context(&ServerFlags::default(), &env).unwrap_err();
        assert!(!format!("{error:?}").contains("dnk_secret"), "{error:?}");
    }

    #[test]
    fn limits_come_from_flags_over_the_environment() {
        let env = environment(&[("DEVNET_LIMITS", "services=7 depth=9")]);
        let limits = env.limits(&["services=8".to_owned()]).unwrap();
        assert_eq!((limits.services, limits.depth), (8, 9));
        let why = env.limits(&["service=8".to_owned()]).unwrap_err().to_string();
        assert_eq!(why, "-limit: there is no limit `service`: did you mean `services`?");
    }

    #[test]
    fn plain_http_is_refused() {
        let env = environment(&[("DEVNET_ADDR", "http://x"), ("DEVNET_TOKEN", "t")]);
        assert!(client_context(&ServerFlags::default(), &env).is_err());
    }
}
