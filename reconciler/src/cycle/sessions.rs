//! Sessions of browsers, and the codes that begin one.
//!
//! Knows when a session ends by time, and which key it was begun with. Refuses to know whether that
//! key still stands: whoever asks looks that up, as for a key by itself.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use devnet_schema::secret::Sensitive;
use jiff::{SignedDuration, Timestamp};

use super::{AdapterError, ControlPlane};
use crate::{
    api::{Page, Role},
    auth::{CODE_LIFE, LoginCode, SESSION_LIFE, SessionToken, session_end},
    clock, random,
    store::SessionRecord,
};

/// How often it is noted that a session is used.
const NOTED: SignedDuration = SignedDuration::from_secs(60);
/// Codes that may be waiting to be used.
const MOST_CODES: usize = 1000;

/// Who a session is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionHolder {
    /// The session's public part.
    pub id: String,
    /// The public part of its key.
    pub key: String,
    /// What that key could do when it began.
    pub role: Role,
    /// When it ends, unless it is used.
    pub ends: Timestamp,
}

/// Codes that were made and not yet used, by hash: the key each stands for, and until when. They
/// are worth two minutes, so none is kept on disk.
#[derive(Debug, Default)]
pub(super) struct Codes(Mutex<BTreeMap<String, (String, Timestamp)>>);

impl Codes {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (String, Timestamp)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, code: &LoginCode, key: &str, now: Timestamp) -> Timestamp {
        let until = now.checked_add(CODE_LIFE).unwrap_or(now);
        let mut codes = self.lock();
        codes.retain(|_, (_, until)| now < *until);
        if codes.len() >= MOST_CODES {
            let first = codes.iter().min_by_key(|(_, (_, until))| *until);
            let first = first.map(|(hash, _)| hash.clone());
            first.and_then(|hash| codes.remove(&hash));
        }
        codes.insert(code.hash(), (key.to_owned(), until));
        until
    }

    /// The key that a code stands for, this once.
    fn take(&self, code: &LoginCode, now: Timestamp) -> Option<String> {
        let (key, until) = self.lock().remove(&code.hash())?;
        (now < until).then_some(key)
    }
}

impl ControlPlane {
    /// Begins a session with the key `key`, whose holder was just checked.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub fn begin_session(
        &self,
        key: (&str, &str, Role),
        address: &str,
        means: &str,
    ) -> Result<(SessionToken, SessionHolder), AdapterError> {
        let (key, name, role) = key;
        let token = SessionToken::make(&mut random::fill);
        let now = clock::now();
        let over = now.checked_sub(SESSION_LIFE).unwrap_or(now);
        self.store.drop_sessions(over.into())?;
        self.store.add_session(&SessionRecord {
            id: token.id.clone(),
            hash: token.hash(),
            key: key.to_owned(),
            role,
            address: address.to_owned(),
            created_at: now.into(),
            seen_at: now.into(),
        })?;
        let text = format!("{name} logged in from {address} with {means}");
        self.journal.write("auth", &token.id, &text);
        let holder = SessionHolder {
            id: token.id.clone(),
            key: key.to_owned(),
            role,
            ends: session_end(now, now),
        };
        Ok((token, holder))
    }

    /// Whose session this is, while it is good. That it is asked is a use of it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn session(&self, token: &SessionToken) -> Result<Option<SessionHolder>, AdapterError> {
        let record = self.store.session(&token.id)?;
        let record = record.filter(|record| token.verify(&record.hash));
        self.used(record)
    }

    /// The session with this public part, while it is good: for whoever was let in by it before.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn session_stands(&self, id: &str) -> Result<Option<SessionHolder>, AdapterError> {
        let record = self.store.session(id)?;
        self.used(record)
    }

    fn used(&self, record: Option<SessionRecord>) -> Result<Option<SessionHolder>, AdapterError> {
        let Some(record) = record else { return Ok(None) };
        let now = clock::now();
        let (ends, seen) = times(&record);
        if ends <= now {
            return Ok(None);
        }
        if now.duration_since(seen) >= NOTED {
            self.store.touch_session(&record.id, now.into())?;
        }
        let SessionRecord { id, key, role, .. } = record;
        Ok(Some(SessionHolder { id, key, role, ends }))
    }

    /// Sessions that have not ended by time, newest first.
    ///
    /// # Errors
    /// When the cursor is none of ours or they cannot be read.
    pub fn sessions(
        &self,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<(SessionRecord, Timestamp)>, AdapterError> {
        let now = clock::now();
        let page = self.store.sessions(cursor, limit)?;
        let ending = page.items.into_iter().map(|record| (times(&record).0, record));
        let good = ending.filter(|(ends, _)| now < *ends).map(|(ends, record)| (record, ends));
        Ok(Page { items: good.collect(), next: page.next })
    }

    /// Ends a session: its requests and streams end with it. False when there is none.
    ///
    /// # Errors
    /// When it cannot be recorded.
    pub fn end_session(&self, id: &str, by: &str) -> Result<bool, AdapterError> {
        let ended = self.store.end_session(id)?;
        if ended {
            self.keys_revoked.send_modify(|count| *count += 1);
            self.journal.write("auth", id, &format!("session ended by {by}"));
        }
        Ok(ended)
    }

    /// A code that begins one session with the rights of this key.
    pub fn make_login_code(&self, key: &str, by: &str) -> (Sensitive<String>, Timestamp) {
        let code = LoginCode::make(&mut random::fill);
        let until = self.codes.add(&code, key, clock::now());
        self.journal.write("auth", key, &format!("login code made by {by}"));
        (code.text(), until)
    }

    /// The key that a code stands for, this once.
    pub fn redeem_login_code(&self, text: &str) -> Option<String> {
        self.codes.take(&LoginCode::parse(text)?, clock::now())
    }

    /// Text that nobody can guess, for one answer.
    pub fn nonce(&self) -> String {
        SessionToken::make(&mut random::fill).id
    }
}

/// When it ends, and when it was used last.
fn times(record: &SessionRecord) -> (Timestamp, Timestamp) {
    let (began, seen) = (record.created_at.timestamp(), record.seen_at.timestamp());
    (session_end(began, seen), seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_good_once_and_for_two_minutes() {
        let codes = Codes::default();
        let now: Timestamp = "2026-12-01T12:00:00Z".parse().unwrap();
        let mut next = 0;
        let mut made = || {
            next += 1;
            LoginCode::make(&mut |bytes| bytes.fill(next))
        };
        let (one, two) = (made(), made());
        let until = codes.add(&one, "k1", now);
        codes.add(&two, "k2", now);
        assert_eq!(until, "2026-12-01T12:02:00Z".parse().unwrap());
        assert_eq!(codes.take(&one, now).as_deref(), Some("k1"));
        assert_eq!(codes.take(&one, now), None, "once");
        assert_eq!(codes.take(&two, until), None, "its time is over");
        assert_eq!(codes.take(&made(), now), None);
    }

    #[test]
    fn codes_are_bounded_and_the_oldest_go_first() {
        let codes = Codes::default();
        let now: Timestamp = "2026-12-01T12:00:00Z".parse().unwrap();
        let code = |number: usize| {
            LoginCode::make(&mut |bytes| {
                bytes.fill(0);
                (0..3).for_each(|at| bytes[at] = (number >> (5 * at)) as u8 & 31);
            })
        };
        for number in 0..MOST_CODES + 1 {
            codes.add(&code(number), "k", now + SignedDuration::from_millis(number as i64));
        }
        assert_eq!(codes.lock().len(), MOST_CODES);
        assert_eq!(codes.take(&code(0), now), None);
        assert!(codes.take(&code(MOST_CODES), now).is_some());
    }
}
