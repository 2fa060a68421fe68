//! The files of the web UI, as they were when this program was built.
//!
//! Knows the table that `build.rs` made, types of content, and which form of a file a client takes.
//! Refuses to read a disk.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::ui::POLICY;

/// A file of the UI.
#[derive(Debug)]
pub(super) struct File {
    /// Within the UI's directory: `assets/index-x1y2.js`.
    pub path: &'static str,
    /// As it is.
    pub plain: &'static [u8],
    /// Compressed by brotli, where the build did that.
    pub br: Option<&'static [u8]>,
    /// Compressed by gzip, where the build did that.
    pub gz: Option<&'static [u8]>,
}

/// All of them; none where the UI was not built.
static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/ui.rs"));

/// The file at this path.
pub(super) fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

/// How long a browser may keep a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// For ever: its name changes with its content.
    Forever,
    /// As long as it is asked each time whether it is the same.
    Asked,
}

impl File {
    /// The answer that holds it, in the smallest form that the client takes.
    pub(super) fn answer(&'static self, asked: &HeaderMap, kept: Kept) -> Response {
        let tag = format!("\"{}\"", &blake3::hash(self.plain).to_hex()[..32]);
        let same = kept == Kept::Asked
            && asked
                .get_all(header::IF_NONE_MATCH)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|text| text.split(','))
                .any(|one| one.trim() == tag);
        let mut response =
            if same { StatusCode::NOT_MODIFIED.into_response() } else { self.body(asked) };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        let lasting = match kept {
            Kept::Forever => "public, max-age=31536000, immutable",
            Kept::Asked => "no-cache",
        };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(lasting));
        if kept == Kept::Asked
            && let Ok(tag) = HeaderValue::from_str(&tag)
        {
            headers.insert(header::ETAG, tag);
        }
        response
    }

    fn body(&'static self, asked: &HeaderMap) -> Response {
        let packed = [("br", self.br), ("gzip", self.gz)];
        let packed = packed
            .into_iter()
            .find_map(|(word, form)| Some((word, form?)).filter(|_| takes(asked, word)));
        let (encoding, bytes) = match packed {
            Some((word, form)) => (Some(word), form),
            None => (None, self.plain),
        };
        let mut response = Response::new(Body::from(bytes));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(self.path)));
        if let Some(encoding) = encoding {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        response
    }
}

/// Whether the client takes this encoding: it names it, and not with `q=0`.
fn takes(asked: &HeaderMap, encoding: &str) -> bool {
    let named = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|it| it.to_str().ok());
    named.flat_map(|text| text.split(',')).any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        let weight = weight.trim().trim_start_matches("q=").trim();
        let refused = !weight.is_empty() && weight.parse().is_ok_and(|weight: f32| weight <= 0.0);
        name.trim().eq_ignore_ascii_case(encoding) && !refused
    })
}

/// The type of a file's content, by its name.
fn kind(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SCRIPT: File =
        File { path: "assets/a-1.js", plain: b"plain", br: Some(b"br"), gz: Some(b"gz") };

    fn asking(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn a_client_gets_the_smallest_form_that_it_takes() {
        for (accepts, encoding) in [
            ("br, gzip", Some("br")),
            ("gzip, deflate", Some("gzip")),
            ("gzip;q=0.5, br;q=0", Some("gzip")),
            ("GZIP", Some("gzip")),
            ("identity", None),
            ("brotli", None),
            ("br;q=0.0", None),
        ] {
            let response = SCRIPT.answer(&asking(header::ACCEPT_ENCODING, accepts), Kept::Forever);
            let got = response.headers().get(header::CONTENT_ENCODING);
            assert_eq!(got.map(|it| it.to_str().unwrap()), encoding, "{accepts}");
            assert_eq!(response.headers()[header::VARY], "Accept-Encoding");
            assert!(response.headers().get(header::ETAG).is_none());
            let lasting = response.headers()[header::CACHE_CONTROL].to_str().unwrap();
            assert!(lasting.contains("immutable"));
        }
    }

    #[test]
    fn what_is_asked_for_again_is_not_sent_again() {
        let first = SCRIPT.answer(&HeaderMap::new(), Kept::Asked);
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        let known = HeaderMap::from_iter([(header::IF_NONE_MATCH, tag.parse().unwrap())]);
        assert_eq!(SCRIPT.answer(&known, Kept::Asked).status(), StatusCode::NOT_MODIFIED);
        let other = asking(header::IF_NONE_MATCH, "\"x\"");
        assert_eq!(SCRIPT.answer(&other, Kept::Asked).status(), StatusCode::OK);
    }

    #[test]
    fn types_are_those_that_browsers_run() {
        assert_eq!(kind("assets/a.b.js"), "text/javascript; charset=utf-8");
        assert_eq!(kind("ui/icon.svg"), "image/svg+xml");
        assert_eq!(kind("LICENSE"), "application/octet-stream");
    }
}
