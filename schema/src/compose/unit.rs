//! Compose's own way to write sizes and durations: `256mb` (powers of 1024) and `1m30s`.
//!
//! Knows these two text forms. The cluster file's are in [`crate::quantity`].

use crate::quantity::{Bytes, Period};

/// Reads a size: a number of bytes, or one with b, k, kb, m, mb, g, gb, t or tb, in powers of 1024
/// and in either case, as the Compose specification says; `1.5g` is exact to the byte, rounded
/// down. `None` when it is none or overflows.
pub fn size(text: &str) -> Option<Bytes> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let (number, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let shift = match unit.trim_start() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    let whole = number.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    let digits = u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 9)?;
    let part = (u128::from(fraction.parse::<u64>().ok()?) << shift) / 10u128.pow(digits);
    whole.checked_add(u64::try_from(part).ok()?).map(Bytes)
}

/// Reads a duration: one or more whole numbers with us, ms, s, m or h, largest unit first or not.
/// Less than a millisecond is lost. `None` when it is none or overflows.
pub fn period(text: &str) -> Option<Period> {
    let mut rest = text.trim();
    let mut micros: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(letters);
        let scale = match unit {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            _ => return None,
        };
        micros = micros.checked_add(number.parse::<u64>().ok()?.checked_mul(scale)?)?;
        rest = next;
    }
    Some(Period { millis: micros / 1000 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(size("256mb"), Some(Bytes::mib(256)));
        assert_eq!(size("2G"), Some(Bytes::gib(2)));
        assert_eq!(size("1024"), Some(Bytes(1024)));
        assert_eq!(size("64 k"), Some(Bytes(65_536)));
        assert_eq!(size("1.5g"), Some(Bytes::mib(1536)));
        for bad in
            ["", "mb", "-1", "1.5.5g", ".g", "1.", "1x", "99999999999999999999", "99999999999t"]
        {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_add_up() {
        assert_eq!(period("1m30s"), Some(Period::seconds(90)));
        assert_eq!(period("500ms"), Some(Period { millis: 500 }));
        assert_eq!(period("2h"), Some(Period::seconds(7200)));
        for bad in ["", "5", "s", "1d", "1m30", "-1s", "99999999999999999999h"] {
            assert_eq!(period(bad), None, "{bad}");
        }
    }
}
