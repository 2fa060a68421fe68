//! Sessions of browsers and one-time codes as texts.
//!
//! Knows their forms, how they are made from random bytes, what is kept of them, and how long they
//! are good for. Refuses to know where they are kept: hashes and times are arguments.

use devnet_schema::secret::Sensitive;
use jiff::{SignedDuration, Timestamp};

use super::token::{hash, hex_id, is_id, is_secret, matches, secret};

/// The cookie's name. Browsers take one with this prefix only with `Secure`, `Path=/` and no
/// `Domain`, so that no other host or port of plain HTTP can set it.
pub const COOKIE: &str = "__Host-devnet";
/// A session ends so long after its login, whatever happens.
pub const SESSION_LIFE: SignedDuration = SignedDuration::from_hours(12);
/// It ends so long after it was used last.
const SESSION_IDLE: SignedDuration = SignedDuration::from_hours(1);
/// A one-time code is good for so long.
pub const CODE_LIFE: SignedDuration = SignedDuration::from_mins(2);

/// Letters of a code, none of which look like another.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
/// 60 bits: at a try every two seconds, nobody finds one in its two minutes.
const CODE_LENGTH: usize = 12;

/// What a browser holds: `ID.SECRET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionToken {
    /// The public part.
    pub id: String,
    secret: Sensitive<String>,
}

impl SessionToken {
    /// A new one.
    pub fn make(random: &mut dyn FnMut(&mut [u8])) -> Self {
        Self { id: hex_id(random), secret: Sensitive::new(secret(random)) }
    }

    /// The one among the cookies of a request.
    pub fn of_cookies(header: &str) -> Option<Self> {
        header.split(';').find_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            let (id, secret) = value.split_once('.').filter(|_| name == COOKIE)?;
            (is_id(id) && is_secret(secret))
                .then(|| Self { id: id.to_owned(), secret: Sensitive::new(secret.to_owned()) })
        })
    }

    /// The cookie that gives it to a browser for `seconds`.
    pub fn cookie(&self, seconds: i64) -> Sensitive<String> {
        let Self { id, secret } = self;
        Sensitive::new(format!("{COOKIE}={id}.{}; {}", secret.expose(), attributes(seconds)))
    }

    /// What is kept of it.
    pub fn hash(&self) -> String {
        hash("session", self.secret.expose())
    }

    /// Whether it is the one that `hash_on_record` was made of.
    pub fn verify(&self, hash_on_record: &str) -> bool {
        matches(&self.hash(), hash_on_record)
    }

    /// What its page has to send along with whatever changes something. It follows from the secret
    /// part, which no script can read.
    pub fn csrf(&self) -> String {
        hash("cross-site request", self.secret.expose())
    }

    /// Whether `text` is that.
    pub fn is_csrf(&self, text: &str) -> bool {
        matches(&self.csrf(), text)
    }
}

/// The cookie that takes the session away from a browser.
pub fn no_cookie() -> String {
    format!("{COOKIE}=; {}", attributes(0))
}

fn attributes(seconds: i64) -> String {
    format!("Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={seconds}")
}

/// When a session ends that began and was used last at these times.
pub fn session_end(began: Timestamp, used: Timestamp) -> Timestamp {
    let after = |time: Timestamp, life| time.checked_add(life).unwrap_or(Timestamp::MAX);
    after(began, SESSION_LIFE).min(after(used, SESSION_IDLE))
}

/// A code that logs in once: `abcd-efgh-jkmn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginCode(Sensitive<String>);

impl LoginCode {
    /// A new one.
    pub fn make(random: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut bytes = [0; CODE_LENGTH];
        random(&mut bytes);
        let letters = bytes.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % 32]));
        Self(Sensitive::new(letters.collect()))
    }

    /// Reads what a person typed: capitals, blanks and dashes are nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let letters: String = text
            .chars()
            .filter(|c| !matches!(c, '-' | ' '))
            .map(|c| c.to_ascii_lowercase())
            .collect();
        let good =
            letters.len() == CODE_LENGTH && letters.bytes().all(|byte| LETTERS.contains(&byte));
        good.then(|| Self(Sensitive::new(letters)))
    }

    /// As a person reads it, for the one answer that shows it.
    pub fn text(&self) -> Sensitive<String> {
        let letters = self.0.expose();
        let groups: Vec<&str> =
            (0..CODE_LENGTH).step_by(4).map(|at| &letters[at..at + 4]).collect();
        Sensitive::new(groups.join("-"))
    }

    /// What is kept of it.
    pub fn hash(&self) -> String {
        hash("login code", self.0.expose())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting() -> impl FnMut(&mut [u8]) {
        let mut next = 0_u8;
        move |bytes| {
            for byte in bytes {
                next = next.wrapping_add(7);
                *byte = next;
            }
        }
    }

    #[test]
    fn a_session_reads_back_from_its_cookie_among_others() {
        let token = SessionToken::make(&mut counting());
        let cookie = token.cookie(60);
        let (pair, rest) = cookie.expose().split_once("; ").unwrap();
        assert_eq!(rest, "Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=60");
        let header = format!("theme=dark; {pair}; x=y");
        assert_eq!(SessionToken::of_cookies(&header), Some(token.clone()));
        assert!(token.verify(&token.hash()) && token.is_csrf(&token.csrf()));
        assert_ne!(token.hash(), token.csrf());
        let other = SessionToken::make(&mut |bytes| bytes.fill(9));
        assert!(!other.verify(&token.hash()) && !other.is_csrf(&token.csrf()));
        for bad in ["", "__Host-devnet=", "__Host-devnet=x.y", &pair[1..], &pair[..pair.len() - 1]]
        {
            assert_eq!(SessionToken::of_cookies(bad), None, "{bad}");
        }
        let secret = pair.split_once('.').unwrap().1;
        assert!(!format!("{token:?}").contains(secret));
    }

    #[test]
    fn a_session_ends_twelve_hours_after_its_login_or_an_hour_after_its_last_use() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let began = at("2026-12-01T08:00:00Z");
        assert_eq!(session_end(began, began), at("2026-12-01T09:00:00Z"));
        assert_eq!(session_end(began, at("2026-12-01T18:30:00Z")), at("2026-12-01T19:30:00Z"));
        assert_eq!(session_end(began, at("2026-12-01T19:45:00Z")), at("2026-12-01T20:00:00Z"));
    }

    #[test]
    fn a_code_reads_back_as_a_person_types_it() {
        let code = LoginCode::make(&mut counting());
        let text = code.text().expose().clone();
        assert_eq!(text.len(), 14);
        for typed in
            [text.clone(), text.to_uppercase(), text.replace('-', " "), text.replace('-', "")]
        {
            let read = LoginCode::parse(&typed).unwrap();
            assert_eq!(read.hash(), code.hash());
        }
        for bad in ["", "abcd-efgh", "abcd-efgh-jkml", "abcd-efgh-jkmn-p"] {
            assert_eq!(LoginCode::parse(bad), None, "{bad}");
        }
        assert!(!format!("{code:?}").contains(&text[..4]));
    }
}
