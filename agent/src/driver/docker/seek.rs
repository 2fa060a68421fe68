//! Finds the place in a container's log behind which a reader has to go on.
//!
//! Knows messages as an engine gives them, in the order of its files, and that a place is a line,
//! not a time: two streams are stamped apart, and overtake one another. Refuses to know engines.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// When a line is so much newer than the place, the place is not there any more.
const FAR: Duration = Duration::from_secs(1);

/// The longest time that an engine writes, in bytes.
const TIME: usize = 40;

/// So many newer lines may come before the place at most, and so many bytes of them: a line of an
/// engine may be as long as it likes.
const MANY: usize = 1000;
const HELD: usize = 300 << 10;

/// What a container wrote at once: a line, or a part of one that is too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// `stdout` or `stderr`.
    pub stream: &'static str,
    /// RFC 3339; empty where the engine gave none.
    pub at: String,
    /// Without the end of the line.
    pub text: Vec<u8>,
    /// The line goes on in the next message.
    pub open: bool,
}

impl Message {
    /// Takes a message from the time before it.
    pub(super) fn of(stream: &'static str, bytes: &[u8]) -> Self {
        let (at, rest) = match memchr::memchr(b' ', bytes) {
            Some(blank) => (&bytes[..blank], &bytes[blank + 1..]),
            None => (bytes.trim_ascii_end(), &bytes[bytes.len()..]),
        };
        let is_time = at.len() <= TIME && at.get(10) == Some(&b'T') && at[0].is_ascii_digit();
        let at = std::str::from_utf8(at).ok().filter(|_| is_time);
        let (at, text) = at.map_or(("", bytes), |at| (at, rest));
        let open = !bytes.ends_with(b"\n");
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        Self { stream, at: at.to_owned(), text: text.to_owned(), open }
    }
}

/// Whether a time is earlier than another. Engines leave out zeros at the end.
fn is_before(at: &str, other: &str) -> bool {
    if at.len() == other.len() {
        return at < other;
    }
    let time = |at: &str| at.parse::<Timestamp>().ok();
    time(at).zip(time(other)).is_some_and(|(at, other)| at < other)
}

/// The last message of a stream that a reader was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Last {
    stream: String,
    at: String,
    /// It is the so manieth of its stream with this time, from 1: parts of a line have the same.
    nth: u32,
}

/// What a reader was given last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Given {
    /// Of all.
    pub last: Option<Last>,
    /// Of the stream that the last one is not of.
    other: Option<Last>,
}

impl Given {
    /// Whether a message is older than one of its stream that was given: no stream goes back.
    pub(super) fn is_behind(&self, message: &Message) -> bool {
        let mut both = [&self.last, &self.other].into_iter().flatten();
        let last = both.find(|last| last.stream == message.stream);
        last.is_some_and(|last| is_before(&message.at, &last.at))
    }

    /// A message was given.
    pub(super) fn advance(&mut self, message: &Message) {
        if self.last.as_ref().is_some_and(|last| last.stream != message.stream) {
            std::mem::swap(&mut self.last, &mut self.other);
        }
        match &mut self.last {
            Some(last) if last.at == message.at => last.nth += 1,
            _ => {
                let (stream, at) = (message.stream.to_owned(), message.at.clone());
                self.last = Some(Last { stream, at, nth: 1 });
            }
        }
    }
}

impl Last {
    /// Whether both are of one stream and one time.
    pub(super) fn is_at_the_time_of(&self, other: &Self) -> bool {
        self.stream == other.stream && self.at == other.at
    }

    /// How old it is; nothing when that cannot be said.
    pub(super) fn age(&self, now: Timestamp) -> Duration {
        let age = self.at.parse().ok().map(|at: Timestamp| now.duration_since(at));
        age.and_then(|age| age.try_into().ok()).unwrap_or_default()
    }
}

/// What to do with a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It was given before, or is held until that is known.
    Skip,
    /// It follows the place.
    Give(Message),
    /// The place is not in the log any more: [`Seek::give_up`] has what follows it.
    Lost,
}

/// The search for a place.
#[derive(Debug)]
pub(super) struct Seek {
    /// Nothing once it was found.
    place: Option<Last>,
    seen: u32,
    /// Newer messages that came before it.
    held: Vec<Message>,
    /// How many bytes they hold.
    weight: usize,
}

impl Seek {
    /// For the place behind `last`; without one it is the beginning.
    pub(super) fn behind(last: Option<Last>) -> Self {
        Self { place: last, seen: 0, held: Vec::new(), weight: 0 }
    }

    /// What the engine may leave out: all before this second since 1970. 0 means nothing.
    pub(super) fn since(&self) -> i32 {
        let at = self.place.as_ref().and_then(|last| last.at.parse::<Timestamp>().ok());
        at.and_then(|at| i32::try_from(at.as_second()).ok()).unwrap_or(0)
    }

    /// Looks at the next message.
    pub(super) fn look(&mut self, message: Message) -> Look {
        let Some(place) = &self.place else { return Look::Give(message) };
        if message.stream == place.stream && message.at == place.at {
            self.seen += 1;
            if self.seen >= place.nth {
                self.place = None;
                // In the file they stand before the place, so they were given.
                self.held = Vec::new();
            }
            return Look::Skip;
        }
        let time = |at: &str| at.parse::<Timestamp>().ok();
        let newer =
            time(&message.at).zip(time(&place.at)).map(|(at, than)| at.duration_since(than));
        if newer.is_some_and(|newer| newer.is_positive()) {
            let far = newer.is_some_and(|newer| newer.unsigned_abs() > FAR);
            self.weight += message.text.len();
            self.held.push(message);
            if far || self.held.len() > MANY || self.weight > HELD {
                return Look::Lost;
            }
        }
        Look::Skip
    }

    /// Whether newer messages came, and not the place.
    pub(super) fn is_lost(&self) -> bool {
        self.place.is_some() && !self.held.is_empty()
    }

    /// Ends the search; all that was held follows the place.
    pub(super) fn give_up(&mut self) -> Vec<Message> {
        self.place = None;
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(stream: &'static str, millis: u32, text: &str) -> Message {
        let bytes = format!("2026-11-30T10:00:00.{millis:03}Z {text}\n");
        Message::of(stream, bytes.as_bytes())
    }

    fn after(text: &str, millis: u32) -> Option<Last> {
        let mut so_far = Given::default();
        so_far.advance(&message("stdout", millis, text));
        so_far.last
    }

    fn given(seek: &mut Seek, messages: &[Message]) -> Vec<String> {
        let mut given = Vec::new();
        for message in messages {
            match seek.look(message.clone()) {
                Look::Skip => {}
                Look::Give(message) => given.push(message),
                Look::Lost => given.extend(seek.give_up()),
            }
        }
        given.iter().map(|one| String::from_utf8(one.text.clone()).unwrap()).collect()
    }

    #[test]
    fn a_message_is_taken_from_its_time() {
        let bytes = b"2026-11-22T10:00:00.123456789Z a b\xff\r\n";
        let Message { stream, at, text, open } = Message::of("stderr", bytes);
        assert_eq!((stream, &*at), ("stderr", "2026-11-22T10:00:00.123456789Z"));
        assert_eq!((&*text, open), (&b"a b\xff"[..], false));
        let Message { at, text, open, .. } = Message::of("stdout", b"no time here");
        assert_eq!((&*at, &*text, open), ("", &b"no time here"[..], true));
        let Message { at, text, .. } = Message::of("stdout", b"2026-11-22T10:00:00Z \n");
        assert_eq!((&*at, &*text), ("2026-11-22T10:00:00Z", &b""[..]));
    }

    #[test]
    fn from_every_place_the_rest_follows_without_a_hole_or_a_double() {
        let log = [
            message("stdout", 10, "a"),
            message("stderr", 12, "b"),
            message("stdout", 11, "c"),
            message("stdout", 13, "d"),
            message("stdout", 13, "e"),
            message("stderr", 13, "f"),
            message("stdout", 13, "g"),
            message("stdout", 20, "h"),
        ];
        for many in 0..=log.len() {
            let mut so_far = Given::default();
            log[..many].iter().for_each(|message| so_far.advance(message));
            let rest: Vec<_> = log[many..]
                .iter()
                .map(|one| String::from_utf8(one.text.clone()).unwrap())
                .collect();
            assert_eq!(given(&mut Seek::behind(so_far.last), &log), rest, "after {many}");
        }
    }

    #[test]
    fn a_place_that_is_gone_is_noticed() {
        let last = after("a", 10);
        let mut seek = Seek::behind(last.clone());
        assert!(!seek.is_lost());
        assert_eq!(given(&mut seek, &[message("stdout", 20, "b")]), Vec::<String>::new());
        assert!(seek.is_lost());
        assert_eq!(seek.give_up().len(), 1);
        let mut seek = Seek::behind(last);
        assert_eq!(seek.since(), 1_796_032_800);
        let mut later = message("stdout", 0, "c");
        later.at = "2026-11-30T10:00:05Z".to_owned();
        assert_eq!(given(&mut seek, &[later, message("stdout", 30, "d")]), ["c", "d"]);
    }

    #[test]
    fn little_is_held_back_however_long_the_lines_are() {
        let mut seek = Seek::behind(after("a", 10));
        let long = "x".repeat(16 << 10);
        let mut lines = 0;
        while seek.look(message("stdout", 20, &long)) == Look::Skip {
            lines += 1;
            assert!(lines * long.len() <= HELD, "{lines} lines are held");
        }
        assert_eq!(seek.give_up().len(), lines + 1, "and nothing of it is lost");
    }

    #[test]
    fn a_stream_that_goes_back_is_noticed() {
        let mut so_far = Given::default();
        so_far.advance(&message("stdout", 10, "a"));
        so_far.advance(&message("stderr", 20, "b"));
        assert!(so_far.is_behind(&message("stdout", 9, "c")));
        assert!(!so_far.is_behind(&message("stdout", 10, "c")));
        assert!(!so_far.is_behind(&message("stdout", 11, "c")), "the streams overtake one another");
        assert!(so_far.is_behind(&message("stderr", 19, "d")));
    }

    #[test]
    fn a_place_grows_old() {
        let last = after("a", 500).unwrap();
        let now = "2026-11-30T10:00:02Z".parse().unwrap();
        assert_eq!(last.age(now), Duration::from_millis(1500));
        assert_eq!(last.age("2026-11-30T09:00:00Z".parse().unwrap()), Duration::ZERO);
    }
}
