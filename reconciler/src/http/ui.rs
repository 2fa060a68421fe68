//! The web UI's page and files.
//!
//! Knows which requests are for a page, and what that page may do. Refuses to know what it shows.

use axum::{
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, Method, header},
    response::{IntoResponse, Response},
};

use super::{
    App,
    assets::{self, Kept},
    browser,
    problem::{Failure, no_such_route},
};

/// What the UI's scripts and styles may do: what comes from here, and nothing else.
pub(super) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src 'self'; \
    manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";
/// Where the page has the nonce of its styles.
const NONCE: &str = "__CSP_NONCE__";

const NOT_BUILT: &str = "<!doctype html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><title>devnet</title></head>
<body><h1>devnet</h1>
<p>This devnet was built without its web UI. To get it, run <code>make ui</code> in the source
tree (it needs Node), then build devnet again.</p>
<p>The command line and the <a href=\"/api/v1/about\">API</a> work without it.</p>
</body></html>
";

/// Whether a request that no route answers is for a page: somebody typed, kept or reloaded an
/// address of the UI.
pub(super) fn wants_page(request: &Request) -> bool {
    let path = request.uri().path();
    let api = path.starts_with("/api/") || path.starts_with("/ws/") || path.contains("//");
    let accepts = request.headers().get_all(header::ACCEPT).iter();
    let html = accepts.filter_map(|it| it.to_str().ok()).any(|text| text.contains("text/html"));
    matches!(*request.method(), Method::GET | Method::HEAD) && !api && html
}

/// `GET /`, and every address of the UI.
pub(super) async fn page(State(app): State<App>, request: Request) -> Result<Response, Failure> {
    browser::is_our_host(&app, &request)?;
    let nonce = app.plane.nonce();
    let found = assets::find("index.html").and_then(|file| std::str::from_utf8(file.plain).ok());
    let text = found.unwrap_or(NOT_BUILT).replace(NONCE, &nonce);
    let policy = POLICY.replace("style-src 'self'", &format!("style-src 'self' 'nonce-{nonce}'"));
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    // It has the nonce of this answer, so no other answer may be made of it.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

/// `GET /assets/{*path}`: files whose names change with what is in them.
pub(super) async fn asset(Path(path): Path<String>, asked: HeaderMap) -> Result<Response, Failure> {
    file(&format!("assets/{path}"), &asked, Kept::Forever)
}

/// `GET /ui/{*path}`: the few others.
pub(super) async fn other(Path(path): Path<String>, asked: HeaderMap) -> Result<Response, Failure> {
    file(&format!("ui/{path}"), &asked, Kept::Asked)
}

fn file(path: &str, asked: &HeaderMap, kept: Kept) -> Result<Response, Failure> {
    let found = assets::find(path).map(|file| file.answer(asked, kept));
    found.ok_or_else(|| Failure::not_found("the web UI has no such file"))
}

/// What no route answers: a page of the UI, or nothing.
pub(super) async fn fallback(state: State<App>, request: Request) -> Response {
    if wants_page(&request) {
        page(state, request).await.into_response()
    } else {
        no_such_route().await.into_response()
    }
}
