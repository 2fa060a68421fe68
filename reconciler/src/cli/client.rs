//! The client of the HTTP API: one function for each kind of call, and errors that say what to do.
//!
//! Knows HTTP, TLS and problem documents. Refuses to know what the documents mean.

use std::{
    io::{BufRead, BufReader, Write},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use jiff::Timestamp;
use reqwest::{
    Certificate, Method, StatusCode,
    blocking::{Client as Http, RequestBuilder, Response},
};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{arguments::Cli, failure::CommandError};
use crate::{
    api::{NOT_READY, Page, Problem},
    config::{self, ClientContext, Environment, ServerFlags},
    view::style::printable,
};

/// A plan of a large fleet may take a while; nothing should take longer.
const TIMEOUT: Duration = Duration::from_secs(300);
/// For what takes no time.
const SOON: Duration = Duration::from_secs(10);

/// When to come again while other plans are being made.
const TURN: Duration = Duration::from_secs(2);

/// What passes by itself: other plans and large requests end, and agents come.
const PASSING: [&str; 3] = [TOO_MANY_PLANS, "busy", NOT_READY];
const TOO_MANY_PLANS: &str = "too-many-plans";

/// Whether a text holds certificates, and none that is cut.
fn is_authority(pem: &str) -> bool {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    all.is_ok_and(|all| {
        let mut roots = RootCertStore::empty();
        !all.is_empty() && all.into_iter().all(|one| roots.add(one).is_ok())
    })
}

/// Both times, where the server's certificate does not hold by this machine's clock.
fn out_of_date(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    use rustls::CertificateError;
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(inner) = cause.downcast_ref::<std::io::Error>().and_then(|io| io.get_ref())
            && let Some(found) = out_of_date(inner)
        {
            return Some(found);
        }
        if let Some(rustls::Error::InvalidCertificate(wrong)) = cause.downcast_ref() {
            let time = |time: &rustls::pki_types::UnixTime| {
                let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
                Timestamp::from_second(seconds).map(|time| time.to_string()).unwrap_or_default()
            };
            return match wrong {
                CertificateError::NotValidYetContext { time: now, not_before } => Some(format!(
                    "this machine's clock says {}, and the control plane's certificate is valid \
                     from {}",
                    time(now),
                    time(not_before)
                )),
                CertificateError::ExpiredContext { time: now, not_after } => Some(format!(
                    "this machine's clock says {}, and the control plane's certificate was valid \
                     until {}",
                    time(now),
                    time(not_after)
                )),
                _ => None,
            };
        }
        next = cause.source();
    }
    None
}

/// A connection to one control plane.
pub(super) struct Client {
    http: Http,
    context: ClientContext,
}

impl Client {
    /// The control plane that flags, environment or the client's file name.
    ///
    /// # Errors
    /// When none is named, or its CA certificate is none.
    pub(super) fn new(cli: &Cli, env: &Environment) -> Result<Self, CommandError> {
        let flags = ServerFlags {
            addr: cli.addr.clone(),
            token_file: cli.token_file.clone(),
            ca_file: cli.ca_file.clone(),
        };
        Self::of(config::client_context(&flags, env)?)
    }

    /// A given control plane.
    ///
    /// # Errors
    /// When its CA certificate is none.
    pub(super) fn of(context: ClientContext) -> Result<Self, CommandError> {
        let ca = Certificate::from_pem(context.ca.as_bytes());
        let Some(ca) = ca.ok().filter(|_| is_authority(&context.ca)) else {
            return Err(anyhow!(
                "the CA certificate of the control plane cannot be read: copy its client.yaml \
                 again, or its pki/ca.pem where --ca-file or DEVNET_CA_FILE names one"
            )
            .into());
        };
        if !context.token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(anyhow!(
                "the API key is none: it holds characters that no key has; copy it again"
            )
            .into());
        }
        let http = Http::builder()
            .tls_certs_only([ca])
            .no_proxy()
            .connect_timeout(Duration::from_secs(10))
            // A control plane that is gone without a word is noticed by those who follow it.
            .tcp_keepalive(Duration::from_secs(20))
            .timeout(None)
            .redirect(reqwest::redirect::Policy::none())
            // A command asks one thing at a time, and streams keep a connection for themselves.
            .http1_only()
            .build()
            .context("preparing the TLS client")?;
        Ok(Self { http, context })
    }

    /// Where it is.
    pub(super) fn addr(&self) -> &str {
        &self.context.addr
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.context.addr.trim_end_matches('/'));
        self.http.request(method, url).bearer_auth(self.context.token.expose())
    }

    fn send(&self, request: RequestBuilder, act: &str) -> Result<Response, CommandError> {
        let response = request.send().map_err(|error| self.unreachable(&error, act))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refused(response, act))
    }

    fn unreachable(&self, error: &reqwest::Error, act: &str) -> CommandError {
        let mut causes = Vec::new();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        let cause = causes.last().cloned().unwrap_or_else(|| error.to_string());
        if let Some(clock) = out_of_date(error) {
            let failure = anyhow!("{act}: cannot trust {}: {clock}", self.context.addr);
            return CommandError::from(failure).hint("Set the clock; NTP keeps it right.");
        }
        let failure =
            CommandError::from(anyhow!("{act}: cannot reach {}: {cause}", self.context.addr));
        if cause.contains("UnknownIssuer") {
            return failure.hint(
                "Its certificate was signed by another CA: is this the client.yaml of that \
                 control plane?",
            );
        }
        failure.hint("Is the control plane running, and is the address right?")
    }

    /// GET of a JSON document.
    ///
    /// # Errors
    /// When it cannot be reached, refuses, or answers something else.
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        act: &str,
    ) -> Result<T, CommandError> {
        let response = self.send(self.request(Method::GET, path).timeout(TIMEOUT), act)?;
        read_json(response, act)
    }

    /// Every item of a list, page by page.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        act: &str,
    ) -> Result<Vec<T>, CommandError> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let url = match &cursor {
                Some(cursor) => format!("{path}?cursor={cursor}"),
                None => path.to_owned(),
            };
            let page: Page<T> = self.get(&url, act)?;
            items.extend(page.items);
            match page.next {
                Some(next) => cursor = Some(next),
                None => return Ok(items),
            }
        }
    }

    /// POST of a JSON document, answered by another.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        act: &str,
    ) -> Result<T, CommandError> {
        let request = || self.request(Method::POST, path).json(body).timeout(TIMEOUT);
        read_json(self.send_in_turn(request, act, || ())?, act)
    }

    /// The same, for an answer that may take so much longer, and for which others may have to be
    /// waited: `waits` is told so, once.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) fn post_patiently<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        act: &str,
        longer: Duration,
        waits: impl FnOnce(),
    ) -> Result<T, CommandError> {
        let timeout = TIMEOUT.saturating_add(longer);
        let request = || self.request(Method::POST, path).json(body).timeout(timeout);
        read_json(self.send_in_turn(request, act, waits)?, act)
    }

    /// Whether a refusal passes by itself; returns when it is time to come again. What is waited
    /// for is told once, where it is not a matter of a moment.
    fn passes(problem: &Problem, begun: Instant, told: &mut bool) -> bool {
        if !PASSING.contains(&problem.kind.as_str()) || begun.elapsed() >= TIMEOUT {
            return false;
        }
        if problem.kind == NOT_READY && !std::mem::replace(told, true) {
            let note = format!("{}; waiting for that.\n", printable(&problem.title));
            let _ = std::io::stderr().write_all(note.as_bytes());
        }
        thread::sleep(TURN);
        true
    }

    /// Comes again as long as the control plane has to wait, or makes other plans.
    fn send_in_turn(
        &self,
        request: impl Fn() -> RequestBuilder,
        act: &str,
        waits: impl FnOnce(),
    ) -> Result<Response, CommandError> {
        let (begun, mut noted) = (Instant::now(), false);
        let mut waits = Some(waits);
        loop {
            let response = request().send().map_err(|error| self.unreachable(&error, act))?;
            if response.status().is_success() {
                return Ok(response);
            }
            let problem = problem(response, act)?;
            if problem.kind == TOO_MANY_PLANS
                && let Some(waits) = waits.take()
            {
                waits();
            }
            if !Self::passes(&problem, begun, &mut noted) {
                return Err(told(problem));
            }
        }
    }

    /// POST of a JSON document that asks whether something may be done now: the refusal, where it
    /// is refused.
    ///
    /// # Errors
    /// When it cannot be reached, or answers something else.
    pub(super) fn refusal<B: Serialize>(
        &self,
        path: &str,
        body: &B,
        act: &str,
    ) -> Result<Option<Problem>, CommandError> {
        let request = || self.request(Method::POST, path).json(body);
        self.refusal_of(request, act)
    }

    fn refusal_of(
        &self,
        request: impl Fn() -> RequestBuilder,
        act: &str,
    ) -> Result<Option<Problem>, CommandError> {
        let (begun, mut noted) = (Instant::now(), false);
        loop {
            let sent = request().timeout(TIMEOUT).send();
            let response = sent.map_err(|error| self.unreachable(&error, act))?;
            if response.status().is_success() {
                return Ok(None);
            }
            let problem = problem(response, act)?;
            if !Self::passes(&problem, begun, &mut noted) {
                return Ok(Some(problem));
            }
        }
    }

    /// DELETE: the refusal, where it is refused.
    ///
    /// # Errors
    /// As [`Client::refusal`].
    pub(super) fn refusal_to_delete(
        &self,
        path: &str,
        act: &str,
    ) -> Result<Option<Problem>, CommandError> {
        self.refusal_of(|| self.request(Method::DELETE, path), act)
    }

    /// POST without a body that is answered soon or not at all.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) fn tell<T: DeserializeOwned>(
        &self,
        path: &str,
        act: &str,
    ) -> Result<T, CommandError> {
        let request = self.request(Method::POST, path).timeout(SOON);
        read_json(self.send(request, act)?, act)
    }

    /// POST without a body or an answer.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) fn order(&self, path: &str, act: &str) -> Result<(), CommandError> {
        self.send(self.request(Method::POST, path).timeout(TIMEOUT), act).map(drop)
    }

    /// PUT of bytes, answered by a JSON document.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: String,
        act: &str,
    ) -> Result<T, CommandError> {
        let request = self.request(Method::PUT, path).body(body).timeout(TIMEOUT);
        read_json(self.send(request, act)?, act)
    }

    /// DELETE.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub(super) fn delete(&self, path: &str, act: &str) -> Result<(), CommandError> {
        self.send(self.request(Method::DELETE, path).timeout(TIMEOUT), act).map(drop)
    }

    /// GET of newline-delimited JSON, each line as it arrives, until `each` says to stop or the
    /// server ends.
    ///
    /// # Errors
    /// When it cannot be reached, refuses, breaks off, or a line is something else.
    pub(super) fn stream<T: DeserializeOwned>(
        &self,
        path: &str,
        act: &str,
        mut each: impl FnMut(T) -> bool,
    ) -> Result<(), CommandError> {
        self.stream_in_groups(path, act, || (), |entry| entry.is_none_or(&mut each))
    }

    /// The same; `opened` is called once the stream is there, and `each` is given nothing after the
    /// last of the lines that arrived together.
    ///
    /// # Errors
    /// As [`Client::stream`].
    pub(super) fn stream_in_groups<T: DeserializeOwned>(
        &self,
        path: &str,
        act: &str,
        opened: impl FnOnce(),
        mut each: impl FnMut(Option<T>) -> bool,
    ) -> Result<(), CommandError> {
        let response = self.send(self.request(Method::GET, path), act)?;
        opened();
        let mut reader = BufReader::with_capacity(64 << 10, response);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line);
            if read.with_context(|| format!("{act}: the connection broke"))? == 0 {
                return Ok(());
            }
            if !line.trim_ascii().is_empty() {
                let entry = serde_json::from_slice(&line)
                    .with_context(|| format!("{act}: reading a line of the answer"))?;
                if !each(Some(entry)) {
                    return Ok(());
                }
            }
            if !reader.buffer().contains(&b'\n') && !each(None) {
                return Ok(());
            }
        }
    }
}

fn read_json<T: DeserializeOwned>(response: Response, act: &str) -> Result<T, CommandError> {
    let bytes = response.bytes().with_context(|| format!("{act}: reading the answer"))?;
    let document = serde_json::from_slice(&bytes)
        .with_context(|| format!("{act}: the answer is not what this version of devnet expects"))?;
    Ok(document)
}

/// What a refusal says.
fn problem(response: Response, act: &str) -> Result<Problem, CommandError> {
    let status = response.status();
    let found = response.bytes().ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    found.ok_or_else(|| CommandError::from(anyhow!("{act}: the control plane answered {status}")))
}

fn refused(response: Response, act: &str) -> CommandError {
    match problem(response, act) {
        Ok(problem) => told(problem),
        Err(failure) => failure,
    }
}

/// What a problem document says, as an error of the command.
pub(super) fn told(problem: Problem) -> CommandError {
    let mut text = problem.title;
    for diagnostic in &problem.diagnostics {
        text.push_str(&format!("\n{diagnostic}"));
    }
    let failure = CommandError::from(anyhow!("{text}"));
    let passes = PASSING.contains(&problem.kind.as_str());
    let failure = if passes { failure } else { failure.refused() };
    let failure = match problem.detail {
        Some(detail) => failure.hint(detail),
        None => failure,
    };
    if problem.status == StatusCode::UNAUTHORIZED.as_u16() {
        return failure.hint("Is the API key (DEVNET_TOKEN) the right one?");
    }
    failure
}

#[cfg(test)]
mod tests {
    use rustls::{CertificateError, pki_types::UnixTime};

    use super::*;

    fn wrapped(wrong: CertificateError) -> std::io::Error {
        let inner = rustls::Error::InvalidCertificate(wrong);
        std::io::Error::new(std::io::ErrorKind::InvalidData, inner)
    }

    #[test]
    fn a_damaged_context_is_refused_before_anything_is_sent_and_shows_no_key() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).unwrap().pem();
        let of = |token: &str, ca: &str| {
            let (addr, token) = ("https://x:1".to_owned(), token.to_owned());
            let token = devnet_schema::secret::InTransit::new(token);
            Client::of(ClientContext { addr, token, ca: ca.to_owned() })
        };
        assert!(of("dnk_a", &ca).is_ok());
        for (token, ca) in [("dnk_a", ""), ("dnk_a", &ca[..ca.len() / 2]), ("dnk_\u{1}z", &ca)] {
            let failure = of(token, ca).err().unwrap();
            let said = format!("{:#}", failure.error);
            assert!(said.contains("copy") && !said.contains("dnk_"), "{said}");
        }
    }

    #[test]
    fn a_clock_is_named_where_a_clock_is_the_cause_and_nowhere_else() {
        let at = |hours: u64| UnixTime::since_unix_epoch(Duration::from_secs(3600 * hours));
        let early = CertificateError::NotValidYetContext { time: at(1), not_before: at(3) };
        let said = out_of_date(&wrapped(early)).unwrap();
        assert!(said.contains("clock says 1970-01-01T01:00:00Z"), "{said}");
        assert!(said.ends_with("valid from 1970-01-01T03:00:00Z"), "{said}");
        let late = CertificateError::ExpiredContext { time: at(3), not_after: at(1) };
        assert!(out_of_date(&wrapped(late)).unwrap().ends_with("valid until 1970-01-01T01:00:00Z"));
        assert_eq!(out_of_date(&wrapped(CertificateError::UnknownIssuer)), None);
        assert_eq!(out_of_date(&std::io::Error::other("else")), None);
    }
}
