//! Lists that a page shows: whole or in pages, filtered, and read again as what changed since.
//!
//! Knows parameters, tags of content and what a filter means for a list that is read again. Refuses
//! to know what is listed.

use std::collections::{BTreeMap, BTreeSet};

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use devnet_schema::digest::Digest;
use serde::{Deserialize, Serialize};

use super::{App, extract::Paging, problem::Failure};
use crate::{api::detail::Listed, cycle::List};

/// Parameters of the lists.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ListParams {
    cursor: Option<String>,
    limit: Option<u32>,
    since: Option<u64>,
    q: Option<String>,
    node: Option<String>,
    service: Option<String>,
    state: Option<String>,
    sort: Option<String>,
}

/// What can be listed, filtered and sorted.
pub(super) trait Row: Serialize {
    /// What tells it from the others, and the list's own order.
    fn key(&self) -> String;
    /// Texts that `q` looks into.
    fn texts(&self) -> Vec<&str>;
    /// Nodes that it is on.
    fn nodes(&self) -> Vec<&str>;
    /// Its service.
    fn service(&self) -> Option<&str>;
    /// Words for the state it is in.
    fn states(&self) -> Vec<String>;
}

/// A word of JSON.
pub(super) fn word<T: Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

impl ListParams {
    fn paging(&self) -> Paging {
        Paging { cursor: self.cursor.clone(), limit: self.limit }
    }

    fn admits<R: Row>(&self, row: &R) -> bool {
        let is = |wanted: &Option<String>, here: &[&str]| {
            wanted.as_deref().is_none_or(|it| it.is_empty() || here.contains(&it))
        };
        let looked_for = self.q.as_deref().unwrap_or_default().to_lowercase();
        let states = row.states();
        let states: Vec<&str> = states.iter().map(String::as_str).collect();
        let service: Vec<&str> = row.service().into_iter().collect();
        is(&self.node, &row.nodes())
            && is(&self.service, &service)
            && is(&self.state, &states)
            && (looked_for.is_empty()
                || row.texts().iter().any(|text| text.to_lowercase().contains(&looked_for)))
    }

    fn order<R: Row>(&self, rows: &mut [R]) -> Result<(), Failure> {
        let sort = self.sort.as_deref().unwrap_or("name");
        let (by, down) = match sort.strip_prefix('-') {
            Some(by) => (by, true),
            None => (sort, false),
        };
        let first = |row: &R| match by {
            "state" => row.states().into_iter().next().unwrap_or_default(),
            "node" => row.nodes().first().copied().unwrap_or_default().to_owned(),
            _ => String::new(),
        };
        match by {
            // The lists come in this order; numbers in names count as numbers there.
            "name" => {}
            "state" | "node" => rows.sort_by_key(first),
            _ => {
                let title = "`sort` is name, state or node, with - before it for the other way";
                return Err(Failure::bad_request(title));
            }
        }
        if down {
            rows.reverse();
        }
        Ok(())
    }

    /// The answer: a page, or what changed since, of all `rows`.
    ///
    /// # Errors
    /// When a parameter is none.
    pub(super) fn answer<R: Row>(
        &self,
        app: &App,
        list: List,
        digests: BTreeMap<String, Digest>,
        rows: Vec<R>,
        asked: &HeaderMap,
    ) -> Result<Response, Failure> {
        let since = app.plane.since(list, digests, self.since);
        let serial = since.serial;
        let changed = match (self.since, since.changed) {
            (None, _) => None,
            (Some(_), Some(changed)) => Some(changed),
            // The whole list, however long: whoever asks has the rest of it no more.
            (Some(_), None) => {
                let mut items: Vec<R> = rows.into_iter().filter(|row| self.admits(row)).collect();
                self.order(&mut items)?;
                let whole = Listed { items, next: None, serial, gone: Vec::new(), whole: true };
                return Ok(tagged(asked, &whole));
            }
        };
        let Some((changed, mut gone)) = changed else {
            let mut items: Vec<R> = rows.into_iter().filter(|row| self.admits(row)).collect();
            self.order(&mut items)?;
            let page = self.paging().page(items, R::key);
            let listed = Listed {
                items: page.items,
                next: page.next,
                serial,
                gone: Vec::new(),
                whole: false,
            };
            return Ok(tagged(asked, &listed));
        };
        let (items, out): (Vec<R>, Vec<R>) = rows
            .into_iter()
            .filter(|row| changed.contains(&row.key()))
            .partition(|row| self.admits(row));
        // What the filter no longer admits is gone for whoever sees through it.
        gone.extend(out.iter().map(R::key));
        let gone: BTreeSet<String> = gone.into_iter().collect();
        let gone = gone.into_iter().collect();
        Ok(tagged(asked, &Listed { items, next: None, serial, gone, whole: false }))
    }
}

/// A document with a tag of its content, or 304 where the client has it.
pub(super) fn tagged<T: Serialize>(asked: &HeaderMap, document: &T) -> Response {
    let body = serde_json::to_vec(document).unwrap_or_default();
    let tag = format!("\"{}\"", &blake3::hash(&body).to_hex()[..32]);
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|it| it.to_str().ok());
    let same = known.flat_map(|text| text.split(',')).any(|one| one.trim() == tag);
    let mut response = match same {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize)]
    struct One(&'static str, &'static str);

    impl Row for One {
        fn key(&self) -> String {
            self.0.to_owned()
        }

        fn texts(&self) -> Vec<&str> {
            vec![self.0]
        }

        fn nodes(&self) -> Vec<&str> {
            vec![self.1]
        }

        fn service(&self) -> Option<&str> {
            None
        }

        fn states(&self) -> Vec<String> {
            vec![self.1.to_owned()]
        }
    }

    fn params(query: &str) -> ListParams {
        serde_json::from_str(query).unwrap()
    }

    #[test]
    fn a_filter_admits_what_meets_all_of_it() {
        let row = One("Web[0]", "n1");
        for (query, admitted) in [
            ("{}", true),
            (r#"{"q": "web"}"#, true),
            (r#"{"q": "db"}"#, false),
            (r#"{"node": "n1", "state": "n1"}"#, true),
            (r#"{"node": "n1", "state": "x"}"#, false),
            (r#"{"node": "n"}"#, false),
            (r#"{"service": "web"}"#, false),
            (r#"{"state": ""}"#, true),
        ] {
            assert_eq!(params(query).admits(&row), admitted, "{query}");
        }
    }

    #[test]
    fn rows_keep_their_order_unless_another_is_asked_for() {
        let sorted = |sort: &str| {
            let mut rows = vec![One("a", "2"), One("b", "1"), One("c", "2")];
            params(&format!("{{\"sort\": \"{sort}\"}}")).order(&mut rows).unwrap();
            rows.iter().map(|row| row.0).collect::<String>()
        };
        assert_eq!(sorted("name"), "abc");
        assert_eq!(sorted("-name"), "cba");
        assert_eq!(sorted("node"), "bac");
        assert_eq!(sorted("-state"), "cab");
        assert!(params(r#"{"sort": "colour"}"#).order(&mut [One("a", "b")]).is_err());
    }
}
