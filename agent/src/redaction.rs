//! The one exit for words: whatever this agent says to the control plane or writes to its log
//! goes through here and loses the values of secrets, in each form in which programs write them.
//!
//! Knows forms: quoted, escaped, encoded. Refuses to let a message out that was not looked at:
//! [`Outgoing`] is made here only. A unit's log is its own words and passes as it is.

use std::{collections::BTreeSet, fmt};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use devnet_schema::{
    observed::{ObservedInstance, ObservedNode},
    step::{StepReport, StepState},
    wire::{AgentMessage, LogBatch, LogEnd},
};

use crate::secrets::Secrets;

/// Stands for a value.
pub const HIDDEN: &str = "(sensitive value)";

/// The shortest value that is looked for, in bytes: shorter ones are in every text. Words that may
/// hold one are kept back as a whole.
pub const SHORTEST: usize = 4;

/// A line of a value that is as long as this is hidden by itself, too, in bytes: programs print
/// single lines of keys and certificates.
const LINE: usize = 8;

/// A part of a value in base64 that is as long as this hides the word that it is in.
const CORE: usize = 8;

/// Said instead of words that may hold a value which is too short to be found.
pub const TOO_SHORT: &str = "(not shown: one of its secrets is shorter than 4 bytes, and could \
    not be hidden in it)";

/// Said instead of words that may hold a value which this agent does not have.
pub const NOT_HERE: &str = "(not shown: the values of its secrets are not here yet, and could not \
    be hidden in it)";

/// The forms of some values, ready to be looked for.
#[derive(Clone, Default)]
pub struct Shapes {
    /// In ASCII lower case: letters are compared without their case.
    whole: BTreeSet<String>,
    /// Parts in base64, in lower case, too.
    cores: BTreeSet<String>,
    short: bool,
}

impl fmt::Debug for Shapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Shapes {
    /// Those of these values.
    pub fn of<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut shapes = Self::default();
        for value in values {
            shapes.add(value);
        }
        shapes
    }

    fn add(&mut self, value: &str) {
        let plain = value.trim();
        if plain.len() < SHORTEST {
            self.short |= !plain.is_empty();
            return;
        }
        let lines = value.lines().map(str::trim).filter(|line| line.len() >= LINE);
        let parts: BTreeSet<&str> = [value, plain].into_iter().chain(lines).collect();
        for part in parts {
            let forms = forms(part).into_iter().filter(|form| form.trim().len() >= SHORTEST);
            self.whole.extend(forms.map(|form| form.to_ascii_lowercase()));
            self.cores.extend(cores(part.as_bytes()));
        }
    }

    /// Whether a value is too short to be looked for.
    pub fn has_short(&self) -> bool {
        self.short
    }

    /// The text without any of the values.
    pub fn hide(&self, text: &str) -> String {
        let lower = text.to_ascii_lowercase();
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for shape in &self.whole {
            spans.extend(occurrences(&lower, shape));
        }
        for core in &self.cores {
            spans.extend(occurrences(&lower, core).map(|span| word(&lower, span)));
        }
        spans.sort_unstable();
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for (from, to) in spans {
            if from >= at {
                out.push_str(&text[at..from]);
                out.push_str(HIDDEN);
            }
            // One that overlaps the last is hidden with it.
            at = at.max(to);
        }
        out.push_str(&text[at..]);
        out
    }

    /// As [`Shapes::hide`], for a text that was cut: its end may be the beginning of a value.
    pub fn hide_cut(&self, text: &str) -> String {
        let lower = text.to_ascii_lowercase();
        let begun = |shape: &String| {
            let longest = (shape.len() - 1).min(lower.len());
            (SHORTEST..=longest)
                .rev()
                .find(|&len| shape.is_char_boundary(len) && lower.ends_with(&shape[..len]))
        };
        let cut = self.whole.iter().chain(&self.cores).filter_map(begun).max().unwrap_or(0);
        self.hide(&text[..text.len() - cut])
    }
}

/// Everywhere that a shape is, also where it overlaps itself.
fn occurrences<'a>(text: &'a str, shape: &'a str) -> impl Iterator<Item = (usize, usize)> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        let at = from + text.get(from..)?.find(shape)?;
        let width = text[at..].chars().next().map_or(1, char::len_utf8);
        from = at + width;
        Some((at, at + shape.len()))
    })
}

/// The whole word of base64 around a span.
fn word(text: &str, (from, to): (usize, usize)) -> (usize, usize) {
    let inside = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(byte);
    let bytes = text.as_bytes();
    let before = bytes[..from].iter().rev().take_while(|byte| inside(byte)).count();
    let after = bytes[to..].iter().take_while(|byte| inside(byte)).count();
    (from - before, to + after)
}

/// The forms in which programs write a value down.
fn forms(value: &str) -> Vec<String> {
    let json = inner_json(value);
    let ascii = ascii_json(&json);
    let go = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let mut forms = vec![
        value.to_owned(),
        value.to_lowercase(),
        value.to_uppercase(),
        value.replace('$', "$$"),
        value.replace('\'', "''"),
        value.replace('\'', r"'\''"),
        value.replace('\'', "'\"'\"'"),
        value.replace('\\', r"\\").replace('\'', r"\'").replace('\n', r"\n"),
        escaped(value, |c| "$`\"\\!".contains(c)),
        escaped(value, |c| !c.is_alphanumeric() && !"@%_+=:,./-".contains(c)),
        value.escape_debug().to_string(),
        value.escape_default().to_string(),
        inner_json(&json),
        html(value, ["&#34;", "&#39;"]),
        html(value, ["&quot;", "&apos;"]),
        html(value, ["&quot;", "&#x27;"]),
        bytes(value, ""),
        bytes(value, "\\x"),
        bytes(value, ":").trim_start_matches(':').to_owned(),
        bytes(value, " ").trim_start().to_owned(),
    ];
    for keep in ["-._~", "-_.!~*'()", "-._~!$&'()*+,;=:@", "-._~!$&'()*+,;=:@/?"] {
        let encoded = percent(value, keep);
        forms.push(encoded.replace("%20", "+"));
        forms.push(encoded);
    }
    forms.extend([json, ascii, go]);
    for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        forms.push(engine.encode(value));
        forms.push(engine.encode(format!("{value}\n")));
    }
    forms
}

fn inner_json(value: &str) -> String {
    let quoted = serde_json::to_string(value).unwrap_or_default();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

/// JSON of which everything but ASCII is escaped.
fn ascii_json(json: &str) -> String {
    let mut out = String::new();
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// With a backslash before each character that wants one.
fn escaped(value: &str, wants: impl Fn(char) -> bool) -> String {
    let mut out = String::new();
    for c in value.chars() {
        if wants(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn html(value: &str, [double, single]: [&str; 2]) -> String {
    let plain = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    plain.replace('"', double).replace('\'', single)
}

/// Each byte in hexadecimal digits after `before`.
fn bytes(value: &str, before: &str) -> String {
    value.bytes().map(|byte| format!("{before}{byte:02x}")).collect()
}

fn percent(value: &str, keep: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || keep.as_bytes().contains(&byte);
    value
        .bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02x}"),
        })
        .collect()
}

/// What of a value in base64 does not depend on what stands before and after it, for each place at
/// which it may begin: as in `user:value`.
fn cores(value: &[u8]) -> Vec<String> {
    let mut cores = Vec::new();
    for shift in 0..3 {
        let mut padded = vec![0; shift];
        padded.extend_from_slice(value);
        let from = (shift * 8).div_ceil(6);
        let to = padded.len() * 8 / 6;
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&padded);
            let core = encoded.get(from..to).filter(|core| core.len() >= CORE);
            cores.extend(core.map(str::to_ascii_lowercase));
        }
    }
    cores
}

/// A message to the control plane without any secret's value.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing(AgentMessage);

impl Outgoing {
    /// Takes the values out. Each message is taken apart by name, so that a new part of one is not
    /// forgotten.
    pub fn of(message: AgentMessage, secrets: &Secrets) -> Self {
        // A sentence that was cut may end with the beginning of a value.
        let hide = |text: String| match text.strip_suffix('…') {
            Some(begun) => format!("{}…", secrets.hide_cut(begun)),
            None => secrets.hide(&text),
        };
        Self(match message {
            AgentMessage::Observed { observed } => {
                AgentMessage::Observed { observed: hide_in_node(observed, &hide) }
            }
            AgentMessage::Step { report } => {
                AgentMessage::Step { report: hide_in_report(report, &hide) }
            }
            // Lines are the unit's own words: whoever may read its log may read them.
            AgentMessage::Logs { request, batch: LogBatch { lines, position, end } } => {
                let end =
                    end.map(|LogEnd { reason, message }| LogEnd { reason, message: hide(message) });
                AgentMessage::Logs { request, batch: LogBatch { lines, position, end } }
            }
            // Nothing in these comes from a unit, or from anybody who knew its secrets; specs refer
            // to secrets and have no value of one.
            kept @ (AgentMessage::Hello { .. }
            | AgentMessage::Specs { .. }
            | AgentMessage::Facts { .. }
            | AgentMessage::Heartbeat { .. }
            | AgentMessage::NeedSecrets { .. }
            | AgentMessage::Renew { .. }) => kept,
        })
    }

    /// What is sent.
    pub fn message(&self) -> &AgentMessage {
        &self.0
    }
}

fn hide_in_node(observed: ObservedNode, hide: &impl Fn(String) -> String) -> ObservedNode {
    let ObservedNode { problem, instances, .. } = observed;
    let (problem, instances) = (problem.map(hide), instances.into_iter());
    let instances = instances.map(|one| hide_in_instance(one, hide)).collect();
    ObservedNode { problem, instances, ..observed }
}

fn hide_in_instance(one: ObservedInstance, hide: &impl Fn(String) -> String) -> ObservedInstance {
    // The spec refers to secrets and has no value of one.
    let ObservedInstance {
        id,
        service,
        index,
        node,
        generation,
        digest,
        state,
        health,
        restarts,
        message,
        runtime,
        spec,
    } = one;
    let message = message.map(hide);
    ObservedInstance {
        id,
        service,
        index,
        node,
        generation,
        digest,
        state,
        health,
        restarts,
        message,
        runtime,
        spec,
    }
}

fn hide_in_report(report: StepReport, hide: &impl Fn(String) -> String) -> StepReport {
    let StepReport { deployment, step, state } = report;
    let state = match state {
        StepState::Running { message } => StepState::Running { message: hide(message) },
        StepState::Succeeded { message } => StepState::Succeeded { message: hide(message) },
        StepState::Failed { error } => StepState::Failed { error: hide(error) },
    };
    StepReport { deployment, step, state }
}

#[cfg(test)]
mod tests;
