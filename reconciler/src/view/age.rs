//! How long ago something was, and how long until it is, in as few words as are needed.
//!
//! Knows two times. Refuses to read a clock: both are arguments.

use jiff::Timestamp;

use crate::time::Time;

/// The seconds from one time to another.
fn seconds(from: Time, to: Timestamp) -> i64 {
    to.as_second().saturating_sub(from.timestamp().as_second())
}

/// A number of seconds in its one or two largest units: `45s`, `3m20s`, `5h`, `12d`.
pub fn short(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds / 60);
    match (hours, minutes % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes @ 1..10, seconds @ 1..) => format!("{minutes}m{seconds}s"),
        (0, minutes, _) => format!("{minutes}m"),
        (hours @ 1..10, minutes @ 1.., _) => format!("{hours}h{minutes}m"),
        (hours @ ..48, _, _) => format!("{hours}h"),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `3m ago`.
pub fn ago(at: Time, now: Timestamp) -> String {
    format!("{} ago", short(seconds(at, now).max(0).unsigned_abs()))
}

/// `in 20s`, or `now` where it is due.
pub fn until(at: Time, now: Timestamp) -> String {
    match seconds(at, now) {
        passed if passed >= 0 => "now".to_owned(),
        passed => format!("in {}", short(passed.unsigned_abs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_two_units_where_the_second_one_matters() {
        let all = [0, 59, 60, 200, 3599, 3600, 9000, 86_399, 86_400, 172_800, 8_640_000];
        let told = all.map(short);
        let wanted = ["0s", "59s", "1m", "3m20s", "59m", "1h", "2h30m", "23h", "24h", "2d", "100d"];
        assert_eq!(told, wanted);
    }

    #[test]
    fn a_time_to_come_is_due_once_it_is_there() {
        let now: Timestamp = "2026-01-01T00:00:10Z".parse().unwrap();
        let at = |text: &str| text.parse::<Time>().unwrap();
        assert_eq!(until(at("2026-01-01T00:00:30Z"), now), "in 20s");
        assert_eq!(until(at("2026-01-01T00:00:10Z"), now), "now");
        assert_eq!(ago(at("2026-01-01T00:00:07.500Z"), now), "3s ago");
        assert_eq!(ago(at("2026-01-01T00:01:00Z"), now), "0s ago", "another machine's clock");
    }
}
