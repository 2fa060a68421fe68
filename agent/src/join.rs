//! Joining a cluster: show the token to the right server, and only to it, and keep what it answers.
//!
//! Knows the one HTTP request an agent makes. Refuses to send anything before the server has shown
//! the CA that the token names.

use std::{error::Error, io, path::Path, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use devnet_schema::{
    name::NodeName,
    secret::InTransit,
    wire::{RegisterRequest, RegisterResponse},
};
use serde::Deserialize;

use crate::{
    address::{ServerAddress, unreachable},
    identity::{self, Identity, Profile},
    token::JoinToken,
    trust,
    validity::OutOfDate,
};

/// How long joining may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 1 << 20;

/// What is wanted of [`join`].
pub struct JoinRequest {
    /// The control plane.
    pub server: ServerAddress,
    /// The token.
    pub token: JoinToken,
    /// What the node wants to be called.
    pub name: NodeName,
    /// The address others reach it by, where the default would be wrong.
    pub ip: Option<String>,
    /// Take over the name of a node that is already known.
    pub replace: bool,
}

/// Joins and stores the identity.
///
/// # Errors
/// When the server is not the token's, refuses, or cannot be reached; the text says what to do.
pub async fn join(data_dir: &Path, wanted: JoinRequest) -> Result<Profile> {
    identity::create_private_dir(data_dir)?;
    let (key, csr) = identity::request(&wanted.name)?;
    let body = RegisterRequest {
        token: InTransit::new(wanted.token.credential().to_owned()),
        name: wanted.name.clone(),
        csr,
        replace: wanted.replace,
    };
    let answer = register(&wanted.server, &wanted.token, &body).await?;
    let profile = Profile {
        server: wanted.server,
        cluster: answer.cluster,
        node: wanted.name,
        id: answer.id,
        ip: wanted.ip,
    };
    let pem = format!("{}\n{}", key.trim_end(), answer.certificate);
    let identity = Identity { profile, ca: answer.ca, pem };
    check(&identity, &wanted.token)?;
    identity::save(data_dir, &identity)?;
    Ok(identity.profile)
}

/// What was answered must fit together before it replaces anything.
fn check(identity: &Identity, token: &JoinToken) -> Result<()> {
    let cas = trust::certificates(&identity.ca).context("reading the CA that was answered")?;
    if !cas.iter().any(|ca| trust::key_hash(ca).is_ok_and(|hash| hash == token.ca_hash)) {
        bail!("the control plane answered with another CA than the token names");
    }
    trust::session_config(&identity.ca, &identity.pem)
        .map(drop)
        .context("using the certificate that was answered")
}

async fn register(
    server: &ServerAddress,
    token: &JoinToken,
    body: &RegisterRequest,
) -> Result<RegisterResponse> {
    let client = reqwest::Client::builder()
        .tls_backend_preconfigured(trust::pinned_config(token.ca_hash)?)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .https_only(true)
        .timeout(PATIENCE)
        .build()
        .context("preparing the connection")?;
    let url = format!("{server}/api/v1/nodes/register");
    let answer =
        client.post(url).json(body).send().await.map_err(|error| explain(server, &error))?;
    let status = answer.status();
    let bytes = read_bounded(answer).await?;
    if status.is_success() {
        return serde_json::from_slice(&bytes).context("reading the control plane's answer");
    }
    Err(refusal(server, status.as_u16(), &bytes))
}

async fn read_bounded(mut answer: reqwest::Response) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.context("reading the control plane's answer")? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_ANSWER {
            bail!("the control plane's answer is too large; is this the right address?");
        }
    }
    Ok(bytes)
}

/// The parts of a problem document (RFC 9457) that people are shown.
#[derive(Deserialize)]
struct Problem {
    title: String,
    #[serde(default)]
    detail: Option<String>,
}

fn refusal(server: &ServerAddress, status: u16, body: &[u8]) -> anyhow::Error {
    let (what, advice) = match serde_json::from_slice::<Problem>(body) {
        Ok(Problem { title, detail }) => (title, detail),
        Err(_) => (format!("HTTP status {status}"), None),
    };
    // Who refuses knows best what helps.
    let known = advice.as_deref();
    let next = known.unwrap_or_else(|| advice_for(status));
    anyhow!("the control plane at {server} refused this node: {what}. What to do: {next}")
}

/// What to do where the answer does not say it.
fn advice_for(status: u16) -> &'static str {
    match status {
        401 | 403 | 410 => {
            "a token is good for one node and a limited time: make a new one with \
             `devnet node token`"
        }
        409 => {
            "choose another name with `--name`, or, when this machine takes the place of that \
             node, use `--replace` with a token made by `devnet node token --replace`"
        }
        404 => "check that this is the address of a devnet control plane",
        429 => "wait a minute and try again",
        _ => "look at the control plane's log, and try again",
    }
}

/// The one cause a person can act on, out of a chain of causes that repeat each other.
fn explain(server: &ServerAddress, error: &reqwest::Error) -> anyhow::Error {
    let mut causes = Vec::new();
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(cause) = next {
        let of_system = cause.downcast_ref::<io::Error>().map(unreachable);
        causes.push(of_system.unwrap_or_else(|| cause.to_string()));
        next = cause.source();
    }
    if let Some(out_of_date) = OutOfDate::in_causes(error) {
        return anyhow!("joining {server}: {out_of_date}");
    }
    let text = causes.join(": ");
    if text.contains(trust::WRONG_CA) {
        return anyhow!("joining {server}: {}", trust::WRONG_CA);
    }
    let last = causes.pop().unwrap_or_default();
    anyhow!(
        "connecting to {server}: {last}. Check that the control plane runs and that this machine \
         reaches that address"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_one_thing_to_do_and_that_is_what_was_answered() {
        let server: ServerAddress = "https://c:7443".parse().unwrap();
        let body = br#"{"title": "this join token may not replace the known node n1",
            "detail": "make a token for it: `devnet node token --node n1 --replace`"}"#;
        let told = refusal(&server, 403, body).to_string();
        assert!(
            told.ends_with(
                "What to do: make a token for it: `devnet node token --node n1 --replace`"
            )
        );
        let told = refusal(&server, 403, br#"{"title": "no"}"#).to_string();
        assert!(told.contains("refused this node: no. What to do: a token is good for"), "{told}");
    }
}
