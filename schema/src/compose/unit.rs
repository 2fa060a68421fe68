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
    let fraction = fraction.parse::<u64>().ok()?;
    let part = (u128::from(fraction) << shift) / 10u128.pow(digits);
    let bytes = whole.checked_add(u64::try_from(part).ok()?)?;
    // Less than a byte is no size, and 0 often means no limit.
    (bytes > 0 || fraction == 0).then_some(Bytes(bytes))
}

/// Reads a duration: one or more numbers, each with ns, us (or µs), ms, s, m, h, d or w, in any
/// order, as in `1m30s` and `1.5h`; or `0`. Less than a millisecond is lost. `None` when it is
/// none, negative, or overflows.
pub fn period(text: &str) -> Option<Period> {
    let text = text.trim();
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Period { millis: 0 });
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let numeric = |c: char| c.is_ascii_digit() || c == '.';
        let (number, tail) = rest.split_at(rest.find(|c| !numeric(c))?);
        let (unit, next) = tail.split_at(tail.find(numeric).unwrap_or(tail.len()));
        let scale: u128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "w" => 604_800_000_000_000,
            _ => return None,
        };
        nanos = nanos.checked_add(scaled(number, scale)?)?;
        rest = next;
    }
    u64::try_from(nanos / 1_000_000).ok().map(|millis| Period { millis })
}

/// A number of `scale` with at most 9 digits behind its point, of which there may be none on either
/// side; rounded down.
fn scaled(number: &str, scale: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let good = digits(whole) && digits(fraction) && fraction.len() <= 9;
    if !good || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let value = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u64>().ok() };
    let whole = u128::from(value(whole)?) * scale;
    let part = u128::from(value(fraction)?) * scale / 10u128.pow(fraction.len() as u32);
    Some(whole + part)
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
        for bad in [
            "",
            "mb",
            "-1",
            "0.0001",
            "1.5.5g",
            ".g",
            "1.",
            "1x",
            "99999999999999999999",
            "99999999999t",
        ] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_add_up() {
        assert_eq!(period("1m30s"), Some(Period::seconds(90)));
        assert_eq!(period("500ms"), Some(Period { millis: 500 }));
        assert_eq!(period("2h"), Some(Period::seconds(7200)));
        assert_eq!(period("1.5h"), Some(Period::seconds(5400)));
        assert_eq!(period(".5s"), Some(Period { millis: 500 }));
        assert_eq!(period("1d1w"), Some(Period::seconds(8 * 86_400)));
        assert_eq!(period("1500us600µs1ns"), Some(Period { millis: 2 }));
        assert_eq!(period("0"), Some(Period { millis: 0 }));
        assert_eq!(period("+5s"), Some(Period::seconds(5)));
        for bad in
            ["", "5", "s", ".s", "1..5s", "1h 30m", "1m30", "-1s", "1e3s", "99999999999999999999h"]
        {
            assert_eq!(period(bad), None, "{bad}");
        }
    }
}
