//! When something runs that runs again and again: the five fields of cron.
//!
//! Knows the grammar of crontab(5), with its names and its words like `@daily`, and which minute
//! comes next. Refuses to know what time it is, and time zones but by name: both are told.

use std::{fmt, str::FromStr};

use jiff::civil::{Date, DateTime, Time};
use serde::{Deserialize, Serialize};

/// When a unit runs, as its node is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Five fields of cron, or a word like `@daily`.
    pub cron: Cron,
    /// The time zone that they are in: a name of the time zone database.
    #[serde(default = "utc")]
    pub timezone: String,
}

fn utc() -> String {
    UTC.to_owned()
}

/// The time zone of a schedule that names none.
pub const UTC: &str = "UTC";

/// The years in which a date is looked for: the next 29th of February that is a Monday may be 28
/// years away, and 40 where a century comes between.
const YEARS: i16 = 41;

/// Minutes of the week, the month and the year.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cron {
    text: String,
    minutes: Set,
    hours: Set,
    days: Set,
    months: Set,
    weekdays: Set,
}

/// The values of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Set {
    bits: u64,
    /// Whether it is written as a star: of days and weekdays, the other one then counts alone.
    star: bool,
}

impl Set {
    fn has(self, value: i8) -> bool {
        u8::try_from(value).is_ok_and(|value| self.bits >> value & 1 == 1)
    }
}

/// One field: what it is called, its bounds, and the names of its values.
struct Field {
    name: &'static str,
    low: u8,
    high: u8,
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const FIELDS: [Field; 5] = [
    Field { name: "minute", low: 0, high: 59, names: &[] },
    Field { name: "hour", low: 0, high: 23, names: &[] },
    Field { name: "day of the month", low: 1, high: 31, names: &[] },
    Field { name: "month", low: 1, high: 12, names: &MONTHS },
    // 7 is Sunday, too.
    Field { name: "day of the week", low: 0, high: 7, names: &WEEKDAYS },
];

const WORDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

impl Cron {
    /// The first minute after `after`; nothing where none comes, as of the 30th of February.
    pub fn next(&self, after: DateTime) -> Option<DateTime> {
        let last = after.date().year().saturating_add(YEARS).min(Date::MAX.year());
        let mut date = after.date();
        let mut time = Some((after.hour(), after.minute()));
        while date.year() <= last {
            if self.is_on(date)
                && let Some((hour, minute)) = self.in_day(time)
            {
                return Some(date.to_datetime(Time::constant(hour, minute, 0, 0)));
            }
            time = None;
            date = date.tomorrow().ok()?;
        }
        None
    }

    /// Whether it runs in every hour: then a clock that is set back or forward changes nothing.
    pub fn is_every_hour(&self) -> bool {
        self.hours.bits == (1 << 24) - 1
    }

    fn is_on(&self, date: Date) -> bool {
        let day = self.days.has(date.day());
        let weekday = self.weekdays.has(date.weekday().to_sunday_zero_offset());
        let either = match (self.days.star, self.weekdays.star) {
            (false, false) => day || weekday,
            _ => day && weekday,
        };
        self.months.has(date.month()) && either
    }

    /// The first time of a day, after one of it where that is said.
    fn in_day(&self, after: Option<(i8, i8)>) -> Option<(i8, i8)> {
        let minutes = |from: i8| (from..60).find(|minute| self.minutes.has(*minute));
        let (hour, minute) = after.unwrap_or((-1, 59));
        if hour >= 0
            && self.hours.has(hour)
            && let Some(minute) = minutes(minute + 1)
        {
            return Some((hour, minute));
        }
        let hour = (hour + 1..24).find(|hour| self.hours.has(*hour))?;
        Some((hour, minutes(0)?))
    }
}

impl FromStr for Cron {
    type Err = String;

    /// Reads five fields or a word; the error says which field is wrong and how.
    fn from_str(text: &str) -> Result<Self, String> {
        let word = text.trim();
        let known = WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
        if word.starts_with('@') && known.is_none() {
            let all: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
            return Err(format!(
                "there is no `{}`: words are {}",
                word.escape_debug(),
                all.join(", ")
            ));
        }
        let fields = known.map_or(word, |(_, fields)| fields);
        let parts: Vec<&str> = fields.split_whitespace().collect();
        let [minutes, hours, days, months, weekdays] = parts[..] else {
            return Err(format!(
                "it has {} fields and not five: minute, hour, day of the month, month, day of the \
                 week",
                parts.len()
            ));
        };
        let [minute, hour, day, month, weekday] = &FIELDS;
        let mut weekdays = set(weekdays, weekday)?;
        weekdays.bits |= weekdays.bits >> 7 & 1;
        let cron = Self {
            text: word.split_whitespace().collect::<Vec<_>>().join(" "),
            minutes: set(minutes, minute)?,
            hours: set(hours, hour)?,
            days: set(days, day)?,
            months: set(months, month)?,
            weekdays,
        };
        // Any leap year will do.
        if cron.next(DateTime::constant(2000, 1, 1, 0, 0, 0, 0)).is_none() {
            return Err("no day is ever like that".to_owned());
        }
        Ok(cron)
    }
}

/// Reads one field: parts with commas between, each `*`, a value or a range, with `/STEP`.
fn set(text: &str, field: &Field) -> Result<Set, String> {
    let mut all = Set { bits: 0, star: text.starts_with(['*', '?']) };
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            None => (part, None),
            Some((range, step)) => {
                let read = step.parse::<u8>().ok().filter(|step| *step > 0);
                (range, Some(read.ok_or_else(|| wrong(part, field))?))
            }
        };
        let (low, high) = match range.split_once('-') {
            _ if matches!(range, "*" | "?") => (field.low, field.high),
            Some((low, high)) => (value(low, part, field)?, value(high, part, field)?),
            None => {
                let low = value(range, part, field)?;
                (low, if step.is_some() { field.high } else { low })
            }
        };
        if low > high {
            return Err(wrong(part, field));
        }
        for value in (low..=high).step_by(step.unwrap_or(1).into()) {
            all.bits |= 1 << value;
        }
    }
    Ok(all)
}

fn value(text: &str, part: &str, field: &Field) -> Result<u8, String> {
    let lower = text.to_ascii_lowercase();
    let name = field.names.iter().position(|name| *name == lower);
    let number = match name {
        Some(at) => u8::try_from(at).ok().map(|at| at + field.low),
        None => Some(text)
            .filter(|text| text.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|text| text.parse().ok()),
    };
    number
        .filter(|number| (field.low..=field.high).contains(number))
        .ok_or_else(|| wrong(part, field))
}

fn wrong(part: &str, field: &Field) -> String {
    let names = match field.names {
        [] => String::new(),
        names => format!(", or `{}` to `{}`", names[0], names[names.len() - 1]),
    };
    format!(
        "`{}` is no {}: write {} to {}{names}, a range like `1-5`, `*`, or one of these with a \
         step like `*/2`",
        part.escape_debug(),
        field.name,
        field.low,
        field.high
    )
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Cron {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Cron> for String {
    fn from(cron: Cron) -> Self {
        cron.text
    }
}

/// Whether a text can be the name of a time zone, as `Europe/Berlin`. Whether there is one of that
/// name, the node knows.
pub fn is_timezone(text: &str) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "_+-".contains(c))
    };
    text.len() <= 64 && text.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next `count` times after one.
    fn next(cron: &str, after: &str, count: usize) -> Vec<String> {
        let cron: Cron = cron.parse().unwrap();
        let mut at: DateTime = after.parse().unwrap();
        let mut all = Vec::new();
        for _ in 0..count {
            at = cron.next(at).unwrap();
            all.push(at.strftime("%F %H:%M").to_string());
        }
        all
    }

    #[test]
    fn the_next_minute_is_the_first_one_after() {
        let cases: &[(&str, &str, &[&str])] = &[
            ("0 3 * * *", "2026-12-01T02:59:59", &["2026-12-01 03:00", "2026-12-02 03:00"]),
            ("0 3 * * *", "2026-12-01T03:00:00", &["2026-12-02 03:00"]),
            ("*/20 * * * *", "2026-12-01T23:39:00", &["2026-12-01 23:40", "2026-12-02 00:00"]),
            ("5/30 1 * * *", "2026-12-01T00:00:00", &["2026-12-01 01:05", "2026-12-01 01:35"]),
            ("0 0 29 2 *", "2026-12-01T00:00:00", &["2028-02-29 00:00", "2032-02-29 00:00"]),
            ("30 8 * * mon-fri", "2026-12-04T09:00:00", &["2026-12-07 08:30", "2026-12-08 08:30"]),
            ("0 0 * * 7", "2026-12-01T00:00:00", &["2026-12-06 00:00"]),
            // Days and weekdays that are both written: either will do, as crontab(5) says.
            ("0 0 13 * fri", "2026-12-01T00:00:00", &["2026-12-04 00:00", "2026-12-11 00:00"]),
            ("0 0 13 * fri", "2026-12-11T00:00:00", &["2026-12-13 00:00"]),
            ("0 0 */2 * fri", "2026-12-01T00:00:00", &["2026-12-11 00:00"]),
            ("0 12 1 JAN,jul *", "2026-12-01T00:00:00", &["2027-01-01 12:00", "2027-07-01 12:00"]),
            ("@weekly", "2026-12-01T00:00:00", &["2026-12-06 00:00"]),
            ("@Hourly", "2026-12-31T23:00:00", &["2027-01-01 00:00"]),
        ];
        for (cron, after, times) in cases {
            assert_eq!(next(cron, after, times.len()), *times, "{cron} after {after}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_field_is_named() {
        for (cron, said) in [
            ("", "it has 0 fields"),
            ("0 3 * *", "it has 4 fields"),
            ("0 0 3 * * *", "it has 6 fields"),
            ("60 3 * * *", "`60` is no minute: write 0 to 59"),
            ("0 24 * * *", "`24` is no hour"),
            ("0 0 0 * *", "`0` is no day of the month"),
            ("0 0 * 13 *", "`13` is no month: write 1 to 12, or `jan` to `dec`"),
            ("0 0 * * 8", "`8` is no day of the week"),
            ("5-1 * * * *", "`5-1` is no minute"),
            ("*/0 * * * *", "`*/0` is no minute"),
            ("a * * * *", "`a` is no minute"),
            ("1,, * * * *", "`` is no minute"),
            ("+1 * * * *", "`+1` is no minute"),
            ("0 0 30 2 *", "no day is ever like that"),
            ("@every", "there is no `@every`"),
        ] {
            let error = cron.parse::<Cron>().unwrap_err();
            assert!(error.contains(said), "{cron}: {error}");
        }
    }

    #[test]
    fn what_is_written_is_what_is_told() {
        let timing = Timing { cron: "0  3 * * *".parse().unwrap(), timezone: UTC.to_owned() };
        let json = serde_json::to_string(&timing).unwrap();
        assert_eq!(json, r#"{"cron":"0 3 * * *","timezone":"UTC"}"#);
        assert_eq!(serde_json::from_str::<Timing>(&json).unwrap(), timing);
        assert!(serde_json::from_str::<Timing>(r#"{"cron":"x"}"#).is_err());
        for (name, good) in [
            ("UTC", true),
            ("Europe/Berlin", true),
            ("America/Argentina/Buenos_Aires", true),
            ("Etc/GMT+5", true),
            ("../../etc/passwd", false),
            ("", false),
            ("Europe//Berlin", false),
            ("/Europe", false),
        ] {
            assert_eq!(is_timezone(name), good, "{name}");
        }
    }
}
