//! What browsers alone bring: cookies that they send by themselves, names that somebody else may
//! have led here, and pages of others that make requests.
//!
//! Knows how a request shows where it comes from. Refuses to believe a cookie where it does not.

use axum::http::{HeaderMap, HeaderName, Method, Request, StatusCode, header};

use super::{App, problem::Failure};
use crate::{
    api::Role,
    auth::{Principal, SessionToken},
};

/// Says which page makes a request; no script can set it.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Shows that a script of our page makes it: no other can read what belongs there.
const CSRF: HeaderName = HeaderName::from_static("x-devnet-csrf");

/// The session that a browser sends along.
pub(super) fn session_token(headers: &HeaderMap) -> Option<SessionToken> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    cookies.into_iter().find_map(SessionToken::of_cookies)
}

/// The host and port that the client asked for.
pub(super) fn authority<B>(request: &Request<B>) -> Option<&str> {
    let of_uri = request.uri().authority().map(|authority| authority.as_str());
    of_uri.or_else(|| request.headers().get(header::HOST)?.to_str().ok())
}

/// The host in `name:port`, `[address]:port`, or either without a port.
fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Whether the client asked for a name that is ours: somebody else's name may lead here, too, and
/// then somebody else's page would be one of ours.
///
/// # Errors
/// 421 where it is none.
pub(super) fn is_our_host<B>(app: &App, request: &Request<B>) -> Result<(), Failure> {
    let host = authority(request).map(host_of).unwrap_or_default();
    let ours = app.names.iter().any(|name| name.eq_ignore_ascii_case(host));
    if ours {
        return Ok(());
    }
    let title = "this control plane does not go by that name";
    Err(Failure::new(StatusCode::MISDIRECTED_REQUEST, "wrong-host", title).detail(format!(
        "use an address from the control plane's certificate, or start it with `--name {}`",
        host.escape_debug()
    )))
}

/// Whether a page of ours makes the request. Where `shown` is set, one that shows nothing of that
/// is refused, too.
///
/// # Errors
/// 403 where another page does.
pub(super) fn is_our_page<B>(request: &Request<B>, shown: bool) -> Result<(), Failure> {
    let text = |name: &HeaderName| request.headers().get(name).map(|it| it.to_str().unwrap_or("?"));
    let ours = match (text(&FETCH_SITE), text(&header::ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            origin.strip_prefix("https://").is_some_and(|it| Some(it) == authority(request))
        }
        (None, None) => !shown,
    };
    if ours { Ok(()) } else { Err(cross_site("the request was made by another site's page")) }
}

fn cross_site(title: &str) -> Failure {
    Failure::new(StatusCode::FORBIDDEN, "cross-site", title)
        .detail("open devnet's own page and do it there")
}

/// Whoever's session came along, and the session's public part.
///
/// # Errors
/// When it has ended, or the request may not be one of our page.
pub(super) fn of_session<B>(
    app: &App,
    request: &Request<B>,
    token: &SessionToken,
) -> Result<(Principal, String), Failure> {
    if request.headers().contains_key(header::AUTHORIZATION) {
        return Err(Failure::bad_request(
            "the request has both a session and a key, and no one can say whose it is",
        ));
    }
    is_our_host(app, request)?;
    let upgrade = request.headers().contains_key(header::UPGRADE);
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    if upgrade || !safe {
        is_our_page(request, true)?;
    }
    if !safe {
        let shown = request.headers().get(&CSRF).and_then(|it| it.to_str().ok());
        if !shown.is_some_and(|text| token.is_csrf(text)) {
            return Err(cross_site("the header X-Devnet-CSRF is not the session's"));
        }
    }
    let ended = || {
        let title = "the session has ended";
        Failure::new(StatusCode::UNAUTHORIZED, "unauthenticated", title).detail("log in again")
    };
    let holder = app.plane.session(token)?.ok_or_else(ended)?;
    let who = app.session_principal(&holder.key, holder.role)?.ok_or_else(ended)?;
    Ok((who, holder.id))
}

impl App {
    /// Whoever a session of this key is of, while the key stands and may do what it could.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub(super) fn session_principal(
        &self,
        key: &str,
        began_as: Role,
    ) -> Result<Option<Principal>, Failure> {
        let who = self.holder(key)?;
        Ok(who.filter(|who| matches!(who, Principal::Key { role, .. } if *role == began_as)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri("/api/v1/sync").header("host", "devnet:7443");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn a_host_is_what_stands_before_the_port() {
        for (text, host) in [
            ("devnet", "devnet"),
            ("devnet:7443", "devnet"),
            ("10.0.0.1:7443", "10.0.0.1"),
            ("[::1]:7443", "::1"),
            ("[::1]", "::1"),
            ("", ""),
        ] {
            assert_eq!(host_of(text), host);
        }
    }

    #[test]
    fn only_our_own_page_passes() {
        let passes = |headers: &[(&str, &str)]| is_our_page(&request(headers), true).is_ok();
        assert!(passes(&[("sec-fetch-site", "same-origin")]));
        assert!(passes(&[("origin", "https://devnet:7443")]));
        for bad in [
            &[("sec-fetch-site", "same-site")][..],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://devnet:7443")],
            &[("sec-fetch-site", "none")],
            &[("origin", "https://devnet:7444")],
            &[("origin", "http://devnet:7443")],
            &[("origin", "https://evil.example")],
            &[("origin", "null")],
            &[],
        ] {
            assert!(!passes(bad), "{bad:?}");
        }
        assert!(is_our_page(&request(&[]), false).is_ok(), "no browser made it");
    }

    #[test]
    fn in_http_2_the_host_is_in_the_address() {
        let request = Request::builder().uri("https://devnet:7443/").body(()).unwrap();
        assert_eq!(authority(&request), Some("devnet:7443"));
    }
}
