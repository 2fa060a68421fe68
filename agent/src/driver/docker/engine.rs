//! A container engine: where its socket is, what it is, and what its errors mean.
//!
//! Knows sockets, versions and error texts of Docker and Podman. Refuses to know units.

use std::{path::PathBuf, time::Duration};

use bollard::{
    API_DEFAULT_VERSION, Docker,
    errors::Error,
    models::{ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum},
    query_parameters::{InspectContainerOptions, ListContainersOptions},
};
use devnet_schema::fleet::Availability;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{driver::DriverError, secrets::Values};

/// How long one request may take, in seconds. Pulls and logs are streams and may take longer.
const REQUEST_SECONDS: u64 = 120;

/// How long an engine may take to say what it is.
const HELLO: Duration = Duration::from_secs(5);

/// An engine that answered.
#[derive(Clone)]
pub(super) struct Engine {
    /// The connection; requests may run at the same time.
    pub client: Docker,
    /// Whether it is Podman behind Docker's API.
    pub podman: bool,
    /// Its own version.
    pub version: String,
    /// Whether logs go to json files that we may bound.
    pub json_logs: bool,
    /// Whether the NVIDIA runtime is set up.
    pub nvidia: bool,
}

impl Engine {
    /// The containers that `options` choose.
    ///
    /// # Errors
    /// When the engine does not answer, or nothing that can be read.
    pub(super) async fn containers(
        &self,
        options: ListContainersOptions,
    ) -> Result<Vec<ContainerSummary>, Error> {
        match self.client.list_containers(Some(options)).await {
            Err(error) if self.podman => podmans(error, |listed| {
                let containers = listed.as_array_mut().into_iter().flatten();
                containers.filter_map(|container| container.get_mut("State")).collect()
            }),
            answer => answer,
        }
    }

    /// One container, by its name or id.
    ///
    /// # Errors
    /// When the engine does not answer, has none, or says nothing that can be read.
    pub(super) async fn container(&self, name: &str) -> Result<ContainerInspectResponse, Error> {
        match self.client.inspect_container(name, None::<InspectContainerOptions>).await {
            Err(error) if self.podman => {
                podmans(error, |it| it.pointer_mut("/State/Status").into_iter().collect())
            }
            answer => answer,
        }
    }

    /// Asks the first socket that is there and answers.
    ///
    /// # Errors
    /// [`DriverError::Unavailable`] when there is no socket at all; another when one is there and
    /// nothing useful answers.
    pub(super) async fn find(sockets: &[PathBuf]) -> Result<Self, DriverError> {
        let mut problem = DriverError::Unavailable(
            "this node has no container engine: no Docker or Podman socket was found; install \
             one, or name its socket with `--docker-host unix:///PATH`"
                .to_owned(),
        );
        for socket in sockets.iter().filter(|socket| socket.exists()) {
            match tokio::time::timeout(HELLO, Self::connect(&socket.to_string_lossy())).await {
                Ok(Ok(engine)) => return Ok(engine),
                Ok(Err(error)) => problem = no_answer(socket, &error),
                Err(_) => problem = no_answer(socket, &"it does not answer"),
            }
        }
        Err(problem)
    }

    async fn connect(socket: &str) -> Result<Self, Error> {
        let client = Docker::connect_with_unix(socket, REQUEST_SECONDS, API_DEFAULT_VERSION)?;
        let version = client.version().await?;
        let info = client.info().await?;
        let podman = version
            .components
            .unwrap_or_default()
            .iter()
            .any(|component| component.name.contains("Podman"));
        Ok(Self {
            client,
            podman,
            version: version.version.unwrap_or_default(),
            json_logs: !podman && info.logging_driver.as_deref() == Some("json-file"),
            nvidia: info.runtimes.unwrap_or_default().contains_key("nvidia"),
        })
    }

    /// For the node's facts.
    pub(super) fn availability(&self) -> Availability {
        Availability {
            version: Some(self.version.clone()),
            available: true,
            engine: Some(if self.podman { "podman" } else { "docker" }.to_owned()),
        }
    }

    /// The connection, for a request that may take `seconds` longer than others.
    pub(super) fn patient(&self, seconds: u64) -> Docker {
        self.client.clone().with_timeout(Duration::from_secs(REQUEST_SECONDS + seconds))
    }
}

/// Reads again what could not be read because of a state that only Podman has; `states` finds them.
/// It calls a container `stopped` that has ended and is not cleaned up yet, which may take long or
/// never come. Any other such state is told as none.
fn podmans<T: DeserializeOwned>(
    error: Error,
    states: impl Fn(&mut Value) -> Vec<&mut Value>,
) -> Result<T, Error> {
    let Error::JsonDataError { message, contents, column } = error else { return Err(error) };
    let read = || {
        let mut answer: Value = serde_json::from_str(&contents).ok()?;
        for state in states(&mut answer) {
            let word = state.as_str()?;
            if word == "stopped" {
                *state = "exited".into();
            } else if word.parse::<ContainerSummaryStateEnum>().is_err() {
                *state = "".into();
            }
        }
        serde_json::from_value(answer).ok()
    };
    read().ok_or(Error::JsonDataError { message, contents: String::new(), column })
}

fn no_answer(socket: &std::path::Path, error: &dyn std::fmt::Display) -> DriverError {
    DriverError::failed(
        format!("the container engine at {} cannot be used", socket.display()),
        error,
        "check that it runs and that this user may open the socket",
    )
}

/// Whether the engine says that the thing is not there.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// The engine's own words.
pub(super) fn words(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        Error::DockerStreamError { error } => error.trim().to_owned(),
        Error::RequestTimeoutError => "the container engine did not answer in time".to_owned(),
        other => other.to_string(),
    }
}

/// An engine's error, with what was being done and what to do. Secret values are taken out of it.
pub(super) fn explain(act: impl Into<String>, error: &Error, values: &Values) -> DriverError {
    explain_as(act, error, |words| values.redact(words))
}

/// The same, where somebody else knows which values may be in it.
pub(super) fn explain_as(
    act: impl Into<String>,
    error: &Error,
    redact: impl FnOnce(&str) -> String,
) -> DriverError {
    let words = words(error);
    // The advice is one of a few texts, and holds nothing of the words.
    let next = advice(&words);
    DriverError::failed(act, redact(&words), next)
}

const ADVICE: [(&[&str], &str); 9] = [
    (&["there is no container of"], "`devnet get` says what runs where"),
    (
        &["pool overlaps", "already used on the host", "already being used by"],
        "give the network another range, or remove the network that has this one",
    ),
    (
        &["port is already allocated", "address already in use"],
        "stop what has the port, or give the service another host port",
    ),
    (
        &["device driver", "nvidia"],
        "install the NVIDIA container toolkit on the node and restart its container engine",
    ),
    (&["no space left"], "free some disk space on the node, for example with `docker image prune`"),
    (
        &["executable file not found", "no such file or directory"],
        "check the service's command, and that the image has that program",
    ),
    (
        &["is already in use by container", "name is already in use", "already in use"],
        "a container that is not devnet's has that name: rename or remove it",
    ),
    (
        &["rlimit", "operation not permitted"],
        "the node does not allow what the container asks for: look at its limits and capabilities",
    ),
    (
        &["did not answer", "connection refused", "error trying to connect", "hyper"],
        "check that the container engine runs on the node",
    ),
];

fn advice(reason: &str) -> &'static str {
    let reason = reason.to_ascii_lowercase();
    ADVICE
        .iter()
        .find(|(signs, _)| signs.iter().any(|sign| reason.contains(sign)))
        .map_or("look at the container engine's log on the node", |(_, advice)| advice)
}

/// What to do about a pull that failed.
pub(super) fn pull_advice(reason: &str) -> &'static str {
    let reason = reason.to_ascii_lowercase();
    let says = |signs: &[&str]| signs.iter().any(|sign| reason.contains(sign));
    if says(&["manifest unknown", "not found", "does not exist", "invalid reference"]) {
        "check the image's name and tag"
    } else if says(&["denied", "unauthorized", "no basic auth", "authentication"]) {
        "check the image's name, and that this node may pull it"
    } else if says(&["toomanyrequests", "rate limit"]) {
        "wait, or pull from a registry mirror"
    } else if says(&["no space left"]) {
        "free some disk space on the node"
    } else {
        "check that this node reaches the registry"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_to_do_and_hide_secrets() {
        use devnet_schema::secret::{SecretRef, Sensitive};
        let secret = SecretRef { name: "pw".parse().unwrap(), version: 1 };
        let values = Values::from_iter([(secret, Sensitive::new("hunter2".to_owned()))]);
        let error = Error::DockerResponseServerError {
            status_code: 500,
            message: "Bind for 0.0.0.0:80 failed: port is already allocated (hunter2)".into(),
        };
        let text = explain("container x cannot be started", &error, &values).to_string();
        assert_eq!(
            text,
            "container x cannot be started: Bind for 0.0.0.0:80 failed: port is already \
             allocated ((sensitive value)); stop what has the port, or give the service another \
             host port"
        );
        assert!(pull_advice("manifest unknown").contains("tag"));
        assert!(pull_advice("dial tcp: i/o timeout").contains("reaches the registry"));
    }

    #[test]
    fn states_that_only_podman_has_are_read() {
        use ContainerSummaryStateEnum as State;
        let unread = |json: &str| Error::JsonDataError {
            message: "unknown variant".to_owned(),
            contents: json.to_owned(),
            column: 1,
        };
        let listed = r#"[{"Id": "a", "State": "stopped"}, {"Id": "b", "State": "running"},
                         {"Id": "c", "State": "improper"}, {"Id": "d"}]"#;
        let states = |json| -> Option<Vec<_>> {
            let all: Vec<ContainerSummary> = podmans(unread(json), |listed| {
                let containers = listed.as_array_mut().into_iter().flatten();
                containers.filter_map(|container| container.get_mut("State")).collect()
            })
            .ok()?;
            Some(all.into_iter().map(|container| container.state).collect())
        };
        let wanted = [Some(State::EXITED), Some(State::RUNNING), Some(State::EMPTY), None];
        assert_eq!(states(listed).unwrap(), wanted);
        assert_eq!(states(r#"{"message": "no"}"#), None);
        assert_eq!(states(r#"[{"State": 1}]"#), None);
    }

    #[tokio::test]
    async fn no_socket_is_told_apart_from_one_that_does_not_answer() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let find = async || Engine::find(std::slice::from_ref(&socket)).await.err().unwrap();
        assert!(matches!(find().await, DriverError::Unavailable(_)));
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert!(matches!(find().await, DriverError::Failed { .. }));
    }
}
