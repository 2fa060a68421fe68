//! Routes about sessions of browsers: log in, look, log out.
//!
//! Knows keys and codes as ways in. Refuses to put a session's secret anywhere but into its cookie.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, FromRequest, Path, Request, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use devnet_schema::secret::InTransit;

use super::{
    App, browser,
    extract::{Document, Paging, Params, Who},
    problem::Failure,
};
use crate::{
    api::{
        Page,
        session::{About, LoginRequest, NewLoginCode, Session, SessionRow},
    },
    auth::{ApiKey, Principal, SESSION_LIFE, SessionToken, no_cookie},
};

/// `GET /api/v1/about`: what anybody may know.
pub(super) async fn about(State(app): State<App>) -> Json<About> {
    Json(About {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        cluster: app.plane.cluster(),
        login: ["key", "code"].map(str::to_owned).to_vec(),
    })
}

/// `POST /api/v1/session`: 201, a cookie, and the session.
pub(super) async fn log_in(State(app): State<App>, request: Request) -> Result<Response, Failure> {
    browser::is_our_host(&app, &request)?;
    browser::is_our_page(&request, false)?;
    let from = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let Document(login) = Document::<LoginRequest>::from_request(request, &app).await?;
    let (key, means) = match (&login.key, &login.code) {
        (Some(text), None) => (right_key(&app, text.expose())?, "an API key"),
        (None, Some(text)) => (app.plane.redeem_login_code(text.expose()), "a login code"),
        _ => return Err(Failure::bad_request("log in with either `key` or `code`")),
    };
    let who = match &key {
        Some(key) => app.holder(key)?,
        None => None,
    };
    let Some(Principal::Key { id, name, role }) = who else {
        app.failed(from, means)?;
        if let Some(key) = login.key.as_ref().and_then(|text| ApiKey::parse(text.expose()).ok()) {
            app.failed_account(&key.id)?;
        }
        let title = format!("{means} of this control plane was expected, and this is none");
        let what = "codes are good once and for two minutes: `devnet ui` makes a new one";
        return Err(Failure::new(StatusCode::UNAUTHORIZED, "unauthenticated", title).detail(what));
    };
    let from = from.map_or_else(|| "an unknown address".to_owned(), |ip| ip.to_string());
    let (token, holder) = app.plane.begin_session((&id, &name, role), &from, means)?;
    let session = Session { name, role, expires_at: holder.ends.into(), csrf: token.csrf() };
    let cookie = token.cookie(SESSION_LIFE.as_secs());
    let cookie = [(header::SET_COOKIE, cookie.expose().clone())];
    Ok((StatusCode::CREATED, cookie, Json(session)).into_response())
}

/// The public part of a key, when it is a right one.
fn right_key(app: &App, text: &str) -> Result<Option<String>, Failure> {
    let Ok(key) = ApiKey::parse(text) else { return Ok(None) };
    let who = app.key(&key)?;
    Ok(who.map(|_| key.id))
}

/// The session that came along. The guard has let it in.
fn token(headers: &HeaderMap) -> Result<SessionToken, Failure> {
    browser::session_token(headers).ok_or_else(|| {
        Failure::not_found("this request was let in by a key, and belongs to no session")
    })
}

/// `GET /api/v1/session`.
pub(super) async fn look(
    State(app): State<App>,
    Who(who): Who,
    headers: HeaderMap,
) -> Result<Json<Session>, Failure> {
    let token = token(&headers)?;
    let holder = app.plane.session(&token)?;
    let holder = holder.ok_or_else(|| Failure::not_found("the session has just ended"))?;
    Ok(Json(Session {
        name: who.label(),
        role: holder.role,
        expires_at: holder.ends.into(),
        csrf: token.csrf(),
    }))
}

/// `DELETE /api/v1/session`: 204, and the cookie is taken away.
pub(super) async fn log_out(
    State(app): State<App>,
    Who(who): Who,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    app.plane.end_session(&token(&headers)?.id, &who.label())?;
    let gone: [(HeaderName, String); 1] = [(header::SET_COOKIE, no_cookie())];
    Ok((StatusCode::NO_CONTENT, gone).into_response())
}

/// `POST /api/v1/session/codes`: 201 and a code that begins one session of whoever asks.
pub(super) async fn make_code(
    State(app): State<App>,
    Who(who): Who,
) -> Result<(StatusCode, Json<NewLoginCode>), Failure> {
    let Principal::Key { id, name, .. } = &who else {
        return Err(crate::auth::Denied::NotForNodes.into());
    };
    let (code, until) = app.plane.make_login_code(id, name);
    let code = InTransit::new(code.expose().clone());
    let made = NewLoginCode { code, expires_at: until.into() };
    Ok((StatusCode::CREATED, Json(made)))
}

/// `GET /api/v1/sessions`: newest first. Sessions whose key was revoked have ended.
pub(super) async fn list(
    State(app): State<App>,
    Params(paging): Params<Paging>,
) -> Result<Json<Page<SessionRow>>, Failure> {
    let page = app.plane.sessions(paging.cursor.as_deref(), paging.limit())?;
    let mut items = Vec::new();
    for (record, ends) in page.items {
        if let Some(who) = app.session_principal(&record.key, record.role)? {
            items.push(SessionRow {
                id: record.id,
                name: who.label(),
                role: record.role,
                from: record.address,
                created_at: record.created_at,
                seen_at: record.seen_at,
                expires_at: ends.into(),
            });
        }
    }
    Ok(Json(Page { items, next: page.next }))
}

/// `DELETE /api/v1/sessions/{id}`: 204.
pub(super) async fn end(
    State(app): State<App>,
    Who(who): Who,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    if app.plane.end_session(&id, &who.label())? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Failure::not_found("there is no such session"))
    }
}

/// Both routes of a login by an identity provider, which is not there yet.
pub(super) async fn no_provider() -> Failure {
    Failure::new(
        StatusCode::NOT_IMPLEMENTED,
        "not-implemented",
        "this devnet cannot log in by an identity provider (OpenID Connect)",
    )
    .detail("log in with an API key, or with a code that `devnet ui` prints")
}
