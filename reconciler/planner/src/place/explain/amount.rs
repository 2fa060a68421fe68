//! Amounts and lists for people.
//!
//! Knows units and rounding. Refuses to know what an amount is of.
//!
//! What is free is rounded down and what is needed up, so that nobody is told that something fits
//! which does not. Three names are `a, b and c`.

use devnet_schema::{instance::Protocol, quantity::Cpu};

use crate::place::problem::Constraint;

/// What a node has so much of.
pub(crate) const RESOURCES: [Constraint; 3] =
    [Constraint::Cpu, Constraint::Memory, Constraint::Disk];

/// `port 80/tcp`.
pub(crate) fn port_words((protocol, port): (Protocol, u16)) -> String {
    match protocol {
        Protocol::Tcp => format!("port {port}/tcp"),
        Protocol::Udp => format!("port {port}/udp"),
    }
}

/// `5 cpu`, `8GiB of memory`.
pub(crate) fn amount_of(resource: usize, of: u64) -> String {
    let of_it = if resource == 0 { "" } else { "of " };
    format!("{} {of_it}{}", amount(resource, of), RESOURCES[resource].name())
}

pub(crate) fn amount(resource: usize, of: u64) -> String {
    if resource == 0 { Cpu { milli: of }.to_string() } else { size(of) }
}

/// Bytes for people: two decimals at most, cut off and never rounded up to more than there is.
pub(crate) fn size(bytes: u64) -> String {
    in_units(bytes, |hundredths, unit| hundredths / unit)
}

/// The same for what is needed: never rounded down to less.
pub(crate) fn size_up(bytes: u64) -> String {
    in_units(bytes, u128::div_ceil)
}

fn in_units(bytes: u64, round: fn(u128, u128) -> u128) -> String {
    let units = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let Some((unit, shift)) = units.into_iter().find(|(_, shift)| bytes >> shift > 0) else {
        return format!("{bytes}B");
    };
    let hundredths = round(u128::from(bytes) * 100, 1 << shift);
    let text = format!("{}.{:02}", hundredths / 100, hundredths % 100);
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// Thousandths as per cent: `12.5`.
pub(crate) fn tenths(milli: u64) -> String {
    format!("{}.{}", milli / 10, milli % 10).trim_end_matches(".0").to_owned()
}

/// `a, b and c`.
pub(crate) fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}
