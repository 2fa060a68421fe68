//! Quantities: cores, bytes, periods and GPU requests, with the text forms people write.
//!
//! Knows units and checked arithmetic. Refuses to know how much of anything a node has.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct QuantityError {
    /// The refused text, escaped for printing.
    pub text: String,
    /// What would have been right, with an example.
    pub expected: &'static str,
}

fn refuse(text: &str, expected: &'static str) -> QuantityError {
    QuantityError { text: text.escape_debug().to_string(), expected }
}

/// Reads a plain decimal (`12`, `0.25`) scaled by `scale`, exactly: no floating point, no rounding.
/// `None` when it is not a decimal, does not divide evenly into units, or overflows.
fn scaled(text: &str, scale: u128) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 18 {
        return None;
    }
    if text.ends_with('.') {
        return None;
    }
    let base = whole.parse::<u128>().ok()?.checked_mul(scale)?;
    let part = match fraction {
        "" => 0,
        some => some.parse::<u128>().ok()?.checked_mul(scale)? / 10u128.pow(some.len() as u32),
    };
    u64::try_from(base.checked_add(part)?).ok()
}

macro_rules! text_form {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = QuantityError;

            fn try_from(text: String) -> Result<Self, QuantityError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    };
}

/// CPU in thousandths of a core.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Cpu {
    /// Thousandths of a core.
    pub milli: u64,
}

impl Cpu {
    /// No CPU.
    pub const ZERO: Self = Self { milli: 0 };

    /// Whole cores.
    pub const fn cores(cores: u64) -> Self {
        Self { milli: cores * 1000 }
    }
}

impl FromStr for Cpu {
    type Err = QuantityError;

    /// Reads cores (`2`, `0.25`) or millicores (`250m`).
    ///
    /// # Errors
    /// When the text is neither, or finer than a thousandth of a core rounds to.
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let milli = match text.strip_suffix('m') {
            Some(milli) => scaled(milli, 1),
            None => scaled(text, 1000),
        };
        milli
            .map(|milli| Self { milli })
            .ok_or_else(|| refuse(text, "an amount of CPU: write cores like 0.5 or \"500m\""))
    }
}

impl fmt::Display for Cpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.milli / 1000, self.milli % 1000);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let part = format!("{part:03}");
        write!(f, "{whole}.{}", part.trim_end_matches('0'))
    }
}

text_form!(Cpu);

/// An amount of memory or disk, in bytes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Bytes(pub u64);

const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl Bytes {
    /// No bytes.
    pub const ZERO: Self = Self(0);

    /// Whole mebibytes.
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// Whole gibibytes.
    pub const fn gib(gib: u64) -> Self {
        Self(gib << 30)
    }

    /// Mebibytes, rounded down.
    pub const fn as_mib(self) -> u64 {
        self.0 >> 20
    }
}

impl FromStr for Bytes {
    type Err = QuantityError;

    /// Reads a number with a unit of B, KiB, MiB, GiB, TiB, KB, MB, GB or TB.
    ///
    /// # Errors
    /// When the unit is missing or unknown, or the number is no decimal or too large.
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        const EXPECTED: &str = "a size: write a number and one of B, KiB, MiB, GiB, TiB, KB, MB, \
                                GB, TB, like \"512MiB\"";
        SIZE_UNITS
            .iter()
            .find_map(|(unit, scale)| Some((text.strip_suffix(unit)?.trim_end(), *scale)))
            .and_then(|(number, scale)| scaled(number, u128::from(scale)))
            .map(Self)
            .ok_or_else(|| refuse(text, EXPECTED))
    }
}

impl fmt::Display for Bytes {
    /// The largest binary unit that divides the amount evenly, so that it reads back the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, scale) = SIZE_UNITS
            .iter()
            .filter(|(unit, _)| unit.ends_with("iB"))
            .find(|(_, scale)| self.0 > 0 && self.0.is_multiple_of(*scale))
            .unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / scale)
    }
}

text_form!(Bytes);

/// A length of time, in milliseconds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Period {
    /// Milliseconds.
    pub millis: u64,
}

const PERIOD_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Period {
    /// Whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self { millis: seconds * 1000 }
    }
}

impl From<Period> for Duration {
    fn from(period: Period) -> Duration {
        Duration::from_millis(period.millis)
    }
}

impl FromStr for Period {
    type Err = QuantityError;

    /// Reads one number with a unit of ms, s, m, h or d.
    ///
    /// # Errors
    /// When the unit is missing or unknown, or the number is no decimal or too large.
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        PERIOD_UNITS
            .iter()
            .filter_map(|(unit, scale)| Some((text.strip_suffix(unit)?, *scale)))
            .find_map(|(number, scale)| scaled(number, u128::from(scale)))
            .map(|millis| Self { millis })
            .ok_or_else(|| {
                refuse(text, "a length of time: write a number and ms, s, m, h or d, like \"5s\"")
            })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, scale) = PERIOD_UNITS
            .iter()
            .rev()
            .find(|(_, scale)| self.millis > 0 && self.millis.is_multiple_of(*scale))
            .unwrap_or(&("s", 1000));
        write!(f, "{}{unit}", self.millis / scale)
    }
}

text_form!(Period);

/// What an instance asks of the GPUs of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpuRequest {
    /// Nothing.
    #[default]
    None,
    /// That many whole devices, exclusively.
    Whole(u32),
    /// A share of one device, in thousandths of it (1 to 999).
    Share(u32),
    /// A slice of one device's memory.
    Memory(Bytes),
}

/// What one instance reserves of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// CPU.
    pub cpu: Cpu,
    /// Memory.
    pub memory: Bytes,
    /// Disk.
    pub disk: Bytes,
    /// GPUs.
    pub gpu: GpuRequest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_back_what_they_print() {
        for text in ["0.25", "2", "0.001", "0"] {
            assert_eq!(text.parse::<Cpu>().unwrap().to_string(), text);
        }
        assert_eq!("250m".parse::<Cpu>().unwrap(), Cpu { milli: 250 });
        for text in ["512MiB", "4GiB", "1TiB", "1000B", "0B"] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
        }
        assert_eq!("1.5GiB".parse::<Bytes>().unwrap(), Bytes::mib(1536));
        assert_eq!("1GB".parse::<Bytes>().unwrap(), Bytes(1_000_000_000));
        for text in ["5s", "2m", "1h", "250ms", "1d", "0s"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for bad in ["", "x", "-1", "1e3", ".5", "5.", "99999999999999999999", "m"] {
            assert!(bad.parse::<Cpu>().is_err(), "{bad}");
        }
        for bad in ["", "12", "1XiB", "-1GiB", "99999999999TiB", "GiB"] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
        }
        for bad in ["", "5", "s", "-5s", "5 parsecs"] {
            assert!(bad.parse::<Period>().is_err(), "{bad}");
        }
    }
}
