//! The guard: every request passes here first. Who asks, and may they?
//!
//! Knows credentials and the one table of rights. Refuses whatever the table does not name, and
//! never says which part of a credential was wrong.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    extract::{ConnectInfo, MatchedPath, Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use devnet_schema::{plan_options::MAX_SOLVE_LIMIT_MS, secret::Sensitive};
use tokio::sync::watch;
use tracing::warn;

use super::{
    audit, browser,
    connections::network,
    extract::Intake,
    headers,
    limit::Failures,
    paced::Patience,
    peer::Peer,
    permit::{Permit, Revoked},
    problem::Failure,
    serve::Visit,
    ui,
};
use crate::{
    api::{ApiKeyRow, Role, audit::Config},
    auth::{Access, ApiKey, Denied, Principal, Route, authorise, route_of},
    cycle::{ControlPlane, KeyHolder},
    time::Time,
};

/// How long a handler may take to begin its answer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Keys that are not on record but in a file: the admin's.
struct Keys {
    /// The admin's key, and since when it is there.
    admin: AdminKey,
    failures: Mutex<Failures<IpAddr>>,
    /// By the public part of the key that somebody tried to log in with.
    accounts: Mutex<Failures<String>>,
}

/// What the key of the file is called in lists and events.
const ADMIN: &str = "admin";

/// The admin's key without its secret part.
struct AdminKey {
    id: String,
    hash: String,
    since: Time,
}

/// What handlers share.
#[derive(Clone)]
pub struct App {
    /// The loop and what it knows.
    pub(super) plane: Arc<ControlPlane>,
    keys: Arc<Keys>,
    /// Names and addresses that browsers may call it by.
    pub(super) names: Arc<[String]>,
    /// How it runs, for admins to look at.
    pub(super) settings: Arc<Config>,
    /// What bodies may take.
    pub(super) intake: Intake,
}

impl App {
    /// Answers for `plane`, where `admin` is the admin's key, made at `since`, under these names
    /// and addresses.
    pub fn new(
        plane: Arc<ControlPlane>,
        (admin, since): (&ApiKey, Time),
        patience: Patience,
        names: &[String],
        settings: Config,
    ) -> Self {
        let admin = AdminKey { id: admin.id.clone(), hash: admin.hash(), since };
        let (failures, accounts) = (Mutex::default(), Mutex::default());
        let keys = Arc::new(Keys { admin, failures, accounts });
        let (names, settings) = (names.into(), Arc::new(settings));
        Self { plane, keys, names, settings, intake: Intake::new(patience.body) }
    }

    /// The admin's key, as the list of keys shows it.
    pub(super) fn admin_row(&self) -> ApiKeyRow {
        let AdminKey { id, hash: _, since } = &self.keys.admin;
        let (id, name) = (id.clone(), ADMIN.to_owned());
        ApiKeyRow { id, name, role: Role::Admin, created_at: *since }
    }

    fn failures(&self) -> MutexGuard<'_, Failures<IpAddr>> {
        self.keys.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A credential from this address was wrong. Right ones are never asked how many were wrong
    /// before them: they cannot be guessed, and others may share the address.
    ///
    /// # Errors
    /// 429 when too many from there were wrong.
    pub(super) fn failed(&self, from: Option<IpAddr>, what: &str) -> Result<(), Failure> {
        self.plane.metrics.refused();
        let now = self.plane.since_start();
        // Whoever has one address of IPv6 has as many as they like.
        let from = from.map(network);
        let source = from.map_or_else(|| "an unknown address".to_owned(), shown);
        let text = format!("{what} from {source} was refused: it is none of this control plane");
        if self.plane.journal.refused(&source, now, "auth", &source, &text) {
            warn!(from = source, "{what} was refused");
        }
        if from.is_none_or(|from| self.failures().failed(from, now)) {
            return Ok(());
        }
        Err(too_many("too many wrong credentials came from this address: wait a few seconds"))
    }

    /// Somebody tried to log in with this key and a wrong secret, from wherever it was.
    ///
    /// # Errors
    /// 429 when too many were wrong.
    pub(super) fn failed_account(&self, key: &str) -> Result<(), Failure> {
        let now = self.plane.since_start();
        let mut accounts = self.keys.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.failed(key.to_owned(), now) {
            return Ok(());
        }
        Err(too_many("this key was tried too often with a wrong secret: wait a few seconds"))
    }

    /// Whoever holds this key, while it is good.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(super) fn key(&self, key: &ApiKey) -> Result<Option<Principal>, Failure> {
        let known = self.known(&key.id)?;
        Ok(known.filter(|(hash, _)| key.verify(hash)).map(|(_, who)| who))
    }

    /// Whoever holds the key with this public part now.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(super) fn holder(&self, id: &str) -> Result<Option<Principal>, Failure> {
        Ok(self.known(id)?.map(|(_, who)| who))
    }

    /// The hash and the holder of the key with this public part, while it is good.
    fn known(&self, id: &str) -> Result<Option<(String, Principal)>, Failure> {
        let AdminKey { id: admin, hash, since: _ } = &self.keys.admin;
        if id == admin {
            let name = ADMIN.to_owned();
            let admin = Principal::Key { id: id.to_owned(), name, role: Role::Admin };
            return Ok(Some((hash.clone(), admin)));
        }
        Ok(self
            .plane
            .key_holder(id)?
            .map(|KeyHolder { id, hash, name, role }| (hash, Principal::Key { id, name, role })))
    }
}

/// Lets a request through, with its [`Principal`] and its [`Permit`] in its extensions, or answers
/// it.
pub(super) async fn guard(state: State<App>, request: Request, next: Next) -> Response {
    headers::guarded(answered(state, request, next).await)
}

async fn answered(State(app): State<App>, request: Request, next: Next) -> Response {
    // Before the key is looked at, so that no revocation falls between.
    let revoked = app.plane.follow_revoked();
    let visit = request.extensions().get::<Arc<Visit>>().cloned();
    let entry = audit::entry(&request);
    let Admitted { who, session, route } = match admitted(&app, &request) {
        Ok(Ok(admitted)) => admitted,
        // Whoever it is may not: that is told, too.
        Ok(Err((who, denied))) => {
            let answer = Failure::from(denied).into_response();
            app.audited(entry, Some(&who), &answer);
            return answer;
        }
        Err(failure) => return failure.into_response(),
    };
    let (asked, own) = (app.clone(), who.clone());
    let answer = let_in(app, request, next, (who, session, route, revoked), visit).await;
    let known = !matches!(own, Principal::Anonymous);
    asked.audited(entry.filter(|_| known), Some(&own), &answer);
    answer
}

/// Who, in which session, by which route, and what says that keys were revoked.
type Pass = (Principal, Option<String>, &'static Route, watch::Receiver<u64>);

async fn let_in(
    app: App,
    mut request: Request,
    next: Next,
    (who, session, route, revoked): Pass,
    visit: Option<Arc<Visit>>,
) -> Response {
    let mut permit = Permit::new(app, who.clone(), route, revoked, session);
    request.extensions_mut().insert(permit.clone());
    request.extensions_mut().insert(who);
    tokio::select! {
        answered = tokio::time::timeout(patience(route), next.run(request)) => {
            answered.unwrap_or_else(|_| {
                let text = "the control plane did not answer in time";
                Failure::new(StatusCode::GATEWAY_TIMEOUT, "timeout", text).into_response()
            })
        }
        () = permit.ends() => {
            // Its room goes with its rights.
            if let Some(visit) = visit {
                visit.retire();
            }
            let text = Revoked.to_string();
            Failure::new(StatusCode::UNAUTHORIZED, "unauthenticated", text).into_response()
        }
    }
}

/// Whoever asks for a plan may have set a limit for it.
fn patience(route: &Route) -> Duration {
    match (route.method, route.pattern) {
        ("POST", "/api/v1/plans") => PATIENCE + Duration::from_millis(MAX_SOLVE_LIMIT_MS),
        _ => PATIENCE,
    }
}

/// What a request was let in as.
struct Admitted {
    who: Principal,
    /// The session that it came in.
    session: Option<String>,
    route: &'static Route,
}

/// Who comes in; or who may not, and why.
type Verdict = Result<Admitted, (Principal, Denied)>;

fn admitted(app: &App, request: &Request) -> Result<Verdict, Failure> {
    let pattern = match request.extensions().get::<MatchedPath>() {
        Some(pattern) => pattern.as_str(),
        // An address of the UI: its one page finds out what it shows.
        None if ui::wants_page(request) => "/",
        None => return Err(Denied::Unknown.into()),
    };
    let route = route_of(request.method().as_str(), pattern)?;
    let (who, session) = match route.access {
        // It wants no credential, so a wrong one is not even looked at.
        Access::Open | Access::JoinToken | Access::Login => (Principal::Anonymous, None),
        Access::Role(_) | Access::NodeSelf => caller(app, request)?,
    };
    Ok(match authorise(route.method, route.pattern, &who) {
        Err(denied) if who == Principal::Anonymous => return Err(denied.into()),
        Err(denied) => Err((who, denied)),
        Ok(()) => Ok(Admitted { who, session, route }),
    })
}

/// Who asks, and in which session.
fn caller(app: &App, request: &Request) -> Result<(Principal, Option<String>), Failure> {
    let Some(token) = browser::session_token(request.headers()) else {
        return Ok((principal(app, request)?, None));
    };
    let (who, session) = browser::of_session(app, request, &token)?;
    keyed(request, &who)?;
    Ok((who, Some(session)))
}

fn too_many(title: &str) -> Failure {
    Failure::new(StatusCode::TOO_MANY_REQUESTS, "too-many-failures", title)
}

/// A network as people write it.
fn shown(network: IpAddr) -> String {
    match network {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("{ip}/64"),
    }
}

pub(super) fn address(request: &Request) -> Option<IpAddr> {
    request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())
}

/// Who asks. A key in the header wins over the connection's certificate.
fn principal(app: &App, request: &Request) -> Result<Principal, Failure> {
    if let Some(header) = request.headers().get(header::AUTHORIZATION) {
        let text = header.to_str().ok().and_then(bearer);
        let who = match text {
            Some(text) => key(app, &text)?,
            None => None,
        };
        let Some(who) = who else {
            app.failed(address(request), "an API key")?;
            return Err(Failure::new(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                "the API key is not one of this control plane, or was revoked",
            ));
        };
        keyed(request, &who)?;
        return Ok(who);
    }
    match request.extensions().get::<Peer>() {
        Some(Peer::Node(node)) => match app.plane.admit(&node.name, &node.id)? {
            Ok(()) => Ok(Principal::Node { name: node.name.clone(), id: node.id.clone() }),
            Err(reason) => {
                app.plane.metrics.refused();
                let source = format!("node.{}", node.name);
                let now = app.plane.since_start();
                if let Some(visit) = request.extensions().get::<Arc<Visit>>() {
                    visit.retire();
                }
                if app.plane.journal.refused(&source, now, "node", &source, &reason) {
                    warn!(node = %node.name, reason, "a node was refused");
                }
                Err(Failure::new(StatusCode::FORBIDDEN, "node-refused", reason))
            }
        },
        Some(Peer::Stranger(error)) => {
            Err(Failure::new(StatusCode::UNAUTHORIZED, "unauthenticated", error.to_string()))
        }
        Some(Peer::Nobody) | None => Ok(Principal::Anonymous),
    }
}

/// A right credential came over this connection, which has room of its own from now on.
fn keyed(request: &Request, who: &Principal) -> Result<(), Failure> {
    let Some(visit) = request.extensions().get::<Arc<Visit>>() else { return Ok(()) };
    let key = match who {
        Principal::Key { id, .. } => id,
        Principal::Node { .. } | Principal::Anonymous => "",
    };
    visit.keyed(key).map_err(|full| {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, "too-many-connections", full.to_string())
            .detail("close some, or wait until others do")
    })
}

fn bearer(header: &str) -> Option<Sensitive<String>> {
    let (scheme, text) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Sensitive::new(text.trim().to_owned()))
}

fn key(app: &App, text: &Sensitive<String>) -> Result<Option<Principal>, Failure> {
    match ApiKey::parse(text.expose()) {
        Ok(key) => app.key(&key),
        Err(_) => Ok(None),
    }
}
