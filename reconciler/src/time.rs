//! A time of the wall clock, as records and documents hold it.
//!
//! Knows its one written form and its precision, so that no two times are ever compared as texts.
//! Refuses to read a clock: `clock` does.
//!
//! What reads and writes rows (`store`) and documents (`api`) has times and no texts. A text is
//! made at the edge: in JSON, in a column, on a screen.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A time, to the millisecond. It is written as RFC 3339 in UTC, always with three digits after
/// the second: `2026-12-01T12:00:00.500Z`; it is read from RFC 3339 with any offset.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Timestamp);

impl Time {
    /// The start of 1970: before everything that is on record.
    pub const EPOCH: Self = Self(Timestamp::UNIX_EPOCH);

    /// The same as a timestamp, to reckon with.
    pub fn timestamp(self) -> Timestamp {
        self.0
    }
}

/// What is finer than a millisecond is cut off.
impl From<Timestamp> for Time {
    fn from(time: Timestamp) -> Self {
        Self(Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time))
    }
}

impl FromStr for Time {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<Timestamp>().map(Self::from)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| D::Error::custom("a time is RFC 3339: 2026-12-01T12:00:00Z"))
    }
}

/// For `#[serde(with)]`: a time that may be missing, written as an empty text then. Fields that are
/// part of a contract from before keep that form.
pub mod or_empty {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::Time;

    /// The time, or an empty text.
    ///
    /// # Errors
    /// When the serializer fails.
    pub fn serialize<S: Serializer>(time: &Option<Time>, serializer: S) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => serializer.collect_str(time),
            None => serializer.serialize_str(""),
        }
    }

    /// The time; `None` for an empty text.
    ///
    /// # Errors
    /// When the text is neither.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Time>, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|_| D::Error::custom("a time is RFC 3339, or empty"))
    }
}

#[cfg(test)]
impl Time {
    /// So many seconds after the start of 2026.
    pub(crate) const fn of_2026(second: i64) -> Self {
        Self(Timestamp::constant(1_767_225_600 + second, 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_ordered_as_times_however_they_were_written() {
        let time = |text: &str| text.parse::<Time>().unwrap();
        // As texts these two would be the other way round.
        assert!(time("2026-12-01T12:30:00+02:00") < time("2026-12-01T11:00:00Z"));
        assert_eq!(time("2026-12-01T12:00:00.5004Z"), time("2026-12-01T14:00:00.500+02:00"));
        assert_eq!(time("2026-12-01T12:00:00Z").to_string(), "2026-12-01T12:00:00.000Z");
        assert!("yesterday".parse::<Time>().is_err());
    }

    #[test]
    fn a_missing_time_keeps_its_form_where_the_contract_has_one() {
        #[derive(Serialize, Deserialize, PartialEq, Debug)]
        struct Row {
            #[serde(with = "or_empty", default)]
            at: Option<Time>,
        }
        for (row, text) in [
            (Row { at: None }, r#"{"at":""}"#),
            (Row { at: Some(Time::EPOCH) }, r#"{"at":"1970-01-01T00:00:00.000Z"}"#),
        ] {
            assert_eq!(serde_json::to_string(&row).unwrap(), text);
            assert_eq!(serde_json::from_str::<Row>(text).unwrap(), row);
        }
        assert_eq!(serde_json::from_str::<Row>("{}").unwrap(), Row { at: None });
        let error = serde_json::from_str::<Row>(r#"{"at":"soon"}"#).unwrap_err().to_string();
        assert!(error.contains("a time is RFC 3339"), "{error}");
    }
}
