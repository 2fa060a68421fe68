//! Scalars: a written text read as the type it is wanted as.
//!
//! Knows numbers, flags and words. Refuses to guess a type from a text: `3.10` is a number only
//! where a number is wanted, and `no` is never a flag.

use std::{fmt, str::FromStr};

use super::{
    fields::Type,
    habits, suggest,
    tree::Form,
    written::{Count, GpuAmount, Order},
};
use crate::{
    desired::{Domain, Tls, Unplaced},
    instance::{Protocol, Runtime, Scope},
    placement::Objective,
    quantity::{Bytes, Cpu, Period},
};

/// Why a text is not of the wanted type.
pub(super) struct Problem {
    /// What is wrong.
    pub what: String,
    /// What to write.
    pub help: String,
}

fn problem(what: impl Into<String>, help: impl Into<String>) -> Problem {
    Problem { what: what.into(), help: help.into() }
}

/// Whether a scalar can be read as `ty`.
pub(super) fn check(ty: Type, raw: &str, plain: bool, form: Form) -> Result<(), Problem> {
    let shown: String = raw.chars().take(60).collect::<String>().escape_debug().to_string();
    match ty {
        Type::Flag if plain && flag(raw).is_some() => Ok(()),
        Type::Flag => {
            let (yes, no) = match form {
                Form::Kdl => ("#true", "#false"),
                Form::Yaml => ("true", "false"),
            };
            let what = format!("`{shown}` is a text, not a flag");
            Err(problem(what, format!("write {yes} or {no}, without quotes")))
        }
        Type::Integer { min, max } => match integer(raw) {
            Some(number) if (min..=max).contains(&number) => Ok(()),
            Some(number) => {
                let what = format!("{number} is not between {min} and {max}");
                Err(problem(what, format!("write a whole number from {min} to {max}")))
            }
            None => {
                let what = format!("`{shown}` is not a whole number from {min} to {max}");
                let help = habits::number(raw, form);
                Err(problem(what, help.unwrap_or_else(|| "write a number such as 3".to_owned())))
            }
        },
        Type::IntegerOr { word, .. } if raw == word => Ok(()),
        Type::IntegerOr { min, max, word } => match integer(raw) {
            Some(number) if (min..=max).contains(&number) => Ok(()),
            Some(number) => {
                let what = format!("{number} is not between {min} and {max}");
                Err(problem(what, format!("write a whole number from {min} to {max}")))
            }
            None => {
                let what =
                    format!("`{shown}` is neither a whole number from {min} to {max} nor `{word}`");
                let help = match suggest::nearest(raw, [word]) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("write a number such as 3, or `{word}`"),
                };
                Err(problem(what, help))
            }
        },
        Type::Cpu => quantity::<Cpu>(raw),
        Type::Size => quantity::<Bytes>(raw).map_err(|found| Problem {
            help: habits::size(raw).unwrap_or(found.help),
            what: found.what,
        }),
        Type::Period => quantity::<Period>(raw),
        Type::Gpu => raw.parse::<GpuAmount>().map(drop).map_err(|()| {
            let what = format!("`{shown}` is not an amount of GPUs");
            problem(
                what,
                "write whole devices like 1, or a share below 1 like 0.5; for none, leave it out",
            )
        }),
        Type::Mode => mode(raw).map(drop).ok_or_else(|| {
            let what = format!("`{shown}` is not a file mode");
            problem(what, "write permission bits in octal, like \"0444\"")
        }),
        Type::Choice(words) if words.contains(&raw) => Ok(()),
        Type::Choice(words) => {
            let what = format!("`{shown}` is not one of its values");
            Err(problem(what, suggest::advice(raw, words.iter().copied())))
        }
        _ => Ok(()),
    }
}

fn quantity<T: FromStr<Err = crate::quantity::QuantityError>>(raw: &str) -> Result<(), Problem> {
    raw.parse::<T>().map(drop).map_err(|error| {
        let shown: String = error.text.chars().take(60).collect();
        let (what, help) = error.expected.split_once(": ").unwrap_or((error.expected, "change it"));
        problem(format!("`{shown}` is not {what}"), help)
    })
}

/// `true` or `false`, and nothing else.
pub(super) fn flag(raw: &str) -> Option<bool> {
    match raw {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// A whole number: decimal, or with `0x`, `0o` or `0b`; `_` may stand between digits.
pub(super) fn integer(raw: &str) -> Option<u64> {
    let (digits, radix) = match raw.get(..2) {
        Some("0x") => (&raw[2..], 16),
        Some("0o") => (&raw[2..], 8),
        Some("0b") => (&raw[2..], 2),
        _ => (raw, 10),
    };
    let clean: String = digits.chars().filter(|c| *c != '_').collect();
    let edges = digits.starts_with('_') || digits.ends_with('_');
    if edges || clean.is_empty() || !clean.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(&clean, radix).ok()
}

/// Permission bits, written in octal with or without a leading `0` or `0o`.
pub(super) fn mode(raw: &str) -> Option<u32> {
    let digits = raw.strip_prefix("0o").unwrap_or(raw);
    if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777)
}

impl FromStr for Count {
    type Err = ();

    fn from_str(raw: &str) -> Result<Self, ()> {
        match raw {
            "per-node" => Ok(Self::PerNode),
            _ => integer(raw).and_then(|it| u32::try_from(it).ok()).map(Self::Number).ok_or(()),
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::PerNode => f.write_str("per-node"),
        }
    }
}

impl FromStr for GpuAmount {
    type Err = ();

    /// Reads whole devices (1 to 64) or a share of one (0.001 to 0.999).
    fn from_str(raw: &str) -> Result<Self, ()> {
        let cpu: Cpu = raw.parse().map_err(|_| ())?;
        let milli = u32::try_from(cpu.milli).map_err(|_| ())?;
        let whole = milli.is_multiple_of(1000) && (1000..=64_000).contains(&milli);
        let share = (1..1000).contains(&milli);
        if raw.ends_with('m') || !(whole || share) { Err(()) } else { Ok(Self { milli }) }
    }
}

/// A type that is written as one of a few words.
pub(super) trait Word: Copy + PartialEq + 'static {
    /// Every word with its value.
    const WORDS: &'static [(&'static str, Self)];

    /// The value of a word.
    fn read(raw: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(word, _)| *word == raw).map(|(_, value)| *value)
    }

    /// The word of a value.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

impl Word for Objective {
    const WORDS: &'static [(&'static str, Self)] =
        &[("balance", Self::Balance), ("pack", Self::Pack)];
}

impl Word for Unplaced {
    const WORDS: &'static [(&'static str, Self)] = &[("wait", Self::Wait), ("error", Self::Error)];
}

impl Word for Runtime {
    const WORDS: &'static [(&'static str, Self)] =
        &[("docker", Self::Docker), ("process", Self::Process), ("kubernetes", Self::Kubernetes)];
}

impl Word for Scope {
    const WORDS: &'static [(&'static str, Self)] =
        &[("node", Self::Node), ("internal", Self::Internal), ("public", Self::Public)];
}

impl Word for Protocol {
    const WORDS: &'static [(&'static str, Self)] = &[("tcp", Self::Tcp), ("udp", Self::Udp)];
}

impl Word for Domain {
    const WORDS: &'static [(&'static str, Self)] = &[("zone", Self::Zone), ("node", Self::Node)];
}

impl Word for Tls {
    const WORDS: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("letsencrypt", Self::Letsencrypt)];
}

impl Word for Order {
    const WORDS: &'static [(&'static str, Self)] =
        &[("stop-first", Self::StopFirst), ("start-first", Self::StartFirst)];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_modes_and_devices_are_read_exactly() {
        assert_eq!(integer("1_000"), Some(1000));
        assert_eq!(integer("0x1F"), Some(31));
        assert!(
            ["", "_1", "1_", "-1", "+1", "1.0", "1e3", "99999999999999999999", "0x", "0xg"]
                .iter()
                .all(|bad| integer(bad).is_none())
        );
        assert_eq!(mode("0444"), Some(0o444));
        assert_eq!(mode("0o755"), Some(0o755));
        assert!(["", "0999", "7777", "rw", "00444"].iter().all(|bad| mode(bad).is_none()));
        assert_eq!("0.5".parse(), Ok(GpuAmount { milli: 500 }));
        assert_eq!("2".parse(), Ok(GpuAmount { milli: 2000 }));
        assert!(
            ["0", "1.5", "-1", "500m", "65", ""]
                .iter()
                .all(|bad| bad.parse::<GpuAmount>().is_err())
        );
    }
}
