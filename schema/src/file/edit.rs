//! Edits of a KDL file that leave everything else as somebody wrote it: comments, order, layout.
//!
//! Knows where in a text a block stands, and how a line of it is written. Refuses to know what the
//! whole means then: whoever edits reads the file anew, and is told what is wrong with it.

use std::{collections::BTreeMap, ops::Range};

use kdl::{KdlDocument, KdlNode};
use serde::{Deserialize, Serialize};

use crate::{
    name::{NodeName, SecretName, ServiceName},
    quantity::{Bytes, Cpu},
};

/// A service that is added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewService {
    /// What it is called.
    pub name: ServiceName,
    /// A component of the catalog.
    #[serde(default)]
    pub component: Option<String>,
    /// The component's version.
    #[serde(default)]
    pub version: Option<String>,
    /// An image, in the place of a component.
    #[serde(default)]
    pub image: Option<String>,
    /// Parameters of the component.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Secrets by parameter.
    #[serde(default)]
    pub secrets: BTreeMap<String, SecretName>,
    /// Ports, beside the component's.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// How many instances.
    #[serde(default)]
    pub replicas: Option<u32>,
    /// 0 gives way first, 100 last.
    #[serde(default)]
    pub priority: Option<u8>,
    /// What each instance reserves.
    #[serde(default)]
    pub resources: NewResources,
    /// Lines about place.
    #[serde(default)]
    pub place: Vec<PlaceLine>,
    /// Services that must be healthy before.
    #[serde(default)]
    pub depends_on: Vec<ServiceName>,
}

/// What an instance of a new service reserves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NewResources {
    /// In cores.
    pub cpu: Option<Cpu>,
    /// A size.
    pub memory: Option<Bytes>,
    /// A size.
    pub disk: Option<Bytes>,
    /// Whole devices.
    pub gpu: Option<u32>,
    /// A slice of one device's memory.
    pub gpu_memory: Option<Bytes>,
}

/// A line about place: `require tag="ssd"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlaceLine {
    /// `require`, `forbid` or `prefer`.
    pub verb: PlaceWord,
    /// `tag`, `zone`, `os`, `arch`, `gpu-model`, `node`.
    pub key: String,
    /// What it is to be.
    pub value: String,
    /// Or one of these.
    #[serde(default)]
    pub or: Vec<String>,
}

/// What a line about place says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlaceWord {
    /// It must hold.
    Require,
    /// It must not.
    Forbid,
    /// Better where it holds.
    Prefer,
}

/// What is changed of a node's block. What is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeEdit {
    /// Which.
    pub name: NodeName,
    /// All of its tags; none takes them away.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// Its zone; an empty one takes it away.
    #[serde(default)]
    pub zone: Option<String>,
    /// Whether it takes no new instances.
    #[serde(default)]
    pub cordon: Option<bool>,
    /// Whether it gives up what it has, too.
    #[serde(default)]
    pub drain: Option<bool>,
}

/// One edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Edit {
    /// Adds a service at the end.
    Service(Box<NewService>),
    /// Gives a service so many replicas.
    Scale {
        /// Which.
        service: ServiceName,
        /// How many.
        replicas: u32,
    },
    /// Changes what is said of a node.
    Node(NodeEdit),
    /// Takes a service out.
    Remove {
        /// Which.
        service: ServiceName,
    },
    /// Takes out the line or block at `line:column`, or `file:line:column`.
    Drop(String),
}

/// Why an edit cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text is no KDL.
    #[error("the file has mistakes of syntax, so nothing of it is edited: mend it first")]
    Syntax,
    /// What is to be edited is not there.
    #[error("{0} is not declared in this file")]
    Missing(String),
    /// What is to be added is there already.
    #[error("service {0} is declared already")]
    Taken(ServiceName),
    /// Nothing stands at that place.
    #[error("nothing stands at {0}")]
    Nothing(String),
    /// The new service runs nothing, or two things.
    #[error("a new service has either a component or an image")]
    Form,
}

/// A text that was edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// All of it.
    pub text: String,
    /// The block that was added or changed; empty where one was taken out.
    pub block: String,
}

/// Makes one edit.
///
/// # Errors
/// When the text is no KDL, or what the edit is about is not there.
pub fn edit_kdl(text: &str, edit: &Edit) -> Result<Edited, EditError> {
    let file: KdlDocument = text.parse().map_err(|_| EditError::Syntax)?;
    match edit {
        Edit::Service(new) => add(text, &file, new),
        Edit::Scale { service, replicas } => {
            let line = format!("replicas {replicas}");
            let name = service.as_str();
            let edited = set(text, ("service", name), "replicas", Some(&line))?;
            finished(edited, ("service", name))
        }
        Edit::Node(edit) => node(text, &file, edit),
        Edit::Remove { service } => {
            let name = service.as_str();
            let missing = || EditError::Missing(format!("service {name}"));
            let found = named(&file, "service", name).ok_or_else(missing)?;
            let text = without(text, range(text, found).ok_or(EditError::Syntax)?);
            Ok(Edited { text, block: String::new() })
        }
        Edit::Drop(at) => {
            let nothing = || EditError::Nothing(at.escape_debug().to_string());
            let offset = offset(text, at).ok_or_else(nothing)?;
            let found = smallest(text, &file, offset).ok_or_else(nothing)?;
            Ok(Edited { text: without(text, found), block: String::new() })
        }
    }
}

/// The text with the block that was edited.
fn finished(text: String, (kind, name): (&str, &str)) -> Result<Edited, EditError> {
    let file: KdlDocument = text.parse().map_err(|_| EditError::Syntax)?;
    let found = named(&file, kind, name).and_then(|node| range(&text, node));
    let block = found.map(|range| text[range].to_owned()).unwrap_or_default();
    Ok(Edited { text, block })
}

fn named<'f>(file: &'f KdlDocument, kind: &str, name: &str) -> Option<&'f KdlNode> {
    let is = |node: &&KdlNode| {
        node.name().value() == kind && node.get(0).and_then(|it| it.as_string()) == Some(name)
    };
    file.nodes().iter().find(is)
}

/// Where a node stands, from its name to its last brace or value.
fn range(text: &str, node: &KdlNode) -> Option<Range<usize>> {
    let (start, length) = (node.span().offset(), node.span().len());
    let whole = text.get(start..start.checked_add(length)?)?;
    let trimmed = whole.trim_start();
    let start = start + whole.len() - trimmed.len();
    let trimmed = trimmed.trim_end_matches(|c: char| c.is_whitespace() || c == ';');
    Some(start..start + trimmed.len())
}

/// The text without what stands there: with its line where it has one for itself.
fn without(text: &str, range: Range<usize>) -> String {
    let line = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let rest = &text[range.end..];
    let rest_of_line = rest.split_inclusive('\n').next().unwrap_or_default();
    let alone = text[line..range.start].trim().is_empty()
        && matches!(rest_of_line.trim_matches(|c: char| c.is_whitespace() || c == ';'), "")
            | rest_of_line.trim_start().starts_with("//");
    if alone {
        return format!("{}{}", &text[..line], &rest[rest_of_line.len()..]);
    }
    let rest = rest.trim_start_matches([' ', '\t']);
    let rest = rest.strip_prefix(';').unwrap_or(rest);
    format!("{}{}", &text[..range.start], rest.trim_start_matches([' ', '\t']))
}

/// Sets, adds or (with none) takes out a line of a block.
fn set(
    text: &str,
    (kind, name): (&str, &str),
    word: &str,
    line: Option<&str>,
) -> Result<String, EditError> {
    let file: KdlDocument = text.parse().map_err(|_| EditError::Syntax)?;
    let block = named(&file, kind, name);
    let block = block.ok_or_else(|| EditError::Missing(format!("{kind} {name}")))?;
    let lines = block.children().map(KdlDocument::nodes).unwrap_or_default();
    let there = lines.iter().filter(|node| node.name().value() == word);
    let there: Vec<Range<usize>> =
        there.map(|node| range(text, node)).collect::<Option<_>>().ok_or(EditError::Syntax)?;
    let mut edited = text.to_owned();
    // From the last, so that what stands before stays where it is.
    for (number, found) in there.iter().enumerate().rev() {
        match line {
            Some(line) if number == 0 => edited.replace_range(found.clone(), line),
            _ => edited = without(&edited, found.clone()),
        }
    }
    let Some(line) = line.filter(|_| there.is_empty()) else { return Ok(edited) };
    match lines.first() {
        None => {
            let own = range(text, block).ok_or(EditError::Syntax)?;
            let head = text[own.clone()].trim_end_matches(['{', '}', ' ', '\n', '\t']);
            edited.replace_range(own, &format!("{head} {{\n    {line}\n}}"));
        }
        Some(first) => {
            let first = range(text, first).ok_or(EditError::Syntax)?;
            let begin = text[..first.start].rfind('\n').map_or(0, |at| at + 1);
            let indent = &text[begin..first.start];
            if indent.trim().is_empty() {
                // After the rest of its line, which may be a comment.
                let rest = text[first.end..].find('\n').map_or(text.len(), |at| first.end + at);
                edited.insert_str(rest, &format!("\n{indent}{line}"));
            } else {
                edited.insert_str(first.end, &format!("; {line}"));
            }
        }
    }
    Ok(edited)
}

fn node(text: &str, file: &KdlDocument, edit: &NodeEdit) -> Result<Edited, EditError> {
    let NodeEdit { name, tags, zone, cordon, drain } = edit;
    let own = ("node", name.as_str());
    let mut text = text.to_owned();
    if named(file, "node", name.as_str()).is_none() {
        append(&mut text, &format!("node {} {{\n}}", quoted(name.as_str())));
    }
    let flag = |is: bool, word: &'static str| is.then(|| word.to_owned());
    let mut lines: Vec<(&str, Option<String>)> = Vec::new();
    if let Some(tags) = tags {
        let words: Vec<String> = tags.iter().map(|tag| quoted(tag)).collect();
        lines.push(("tags", (!tags.is_empty()).then(|| format!("tags {}", words.join(" ")))));
    }
    if let Some(zone) = zone {
        lines.push(("zone", (!zone.is_empty()).then(|| format!("zone {}", quoted(zone)))));
    }
    lines.extend(cordon.map(|is| ("cordon", flag(is, "cordon"))));
    lines.extend(drain.map(|is| ("drain", flag(is, "drain"))));
    for (word, line) in lines {
        text = set(&text, own, word, line.as_deref())?;
    }
    finished(text, own)
}

fn add(text: &str, file: &KdlDocument, new: &NewService) -> Result<Edited, EditError> {
    if named(file, "service", new.name.as_str()).is_some() {
        return Err(EditError::Taken(new.name.clone()));
    }
    let block = block(new)?;
    let mut text = text.to_owned();
    append(&mut text, &block);
    Ok(Edited { text, block })
}

/// Adds a block at the end, after an empty line.
fn append(text: &mut String, block: &str) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if !text.is_empty() && !text.ends_with("\n\n") {
        text.push('\n');
    }
    text.push_str(block);
    text.push('\n');
}

fn block(new: &NewService) -> Result<String, EditError> {
    let NewService {
        name,
        component,
        version,
        image,
        set,
        secrets,
        ports,
        replicas,
        priority,
        resources,
        place,
        depends_on,
    } = new;
    let mut lines = Vec::new();
    lines.push(match (component, image) {
        (Some(component), None) => {
            let version =
                version.as_ref().map_or_else(String::new, |it| format!(" version={}", quoted(it)));
            format!("component {}{version}", quoted(component))
        }
        (None, Some(image)) => format!("image {}", quoted(image)),
        _ => return Err(EditError::Form),
    });
    lines.extend(set.iter().map(|(key, value)| format!("set {}={}", word(key), quoted(value))));
    lines.extend(secrets.iter().map(|(parameter, secret)| {
        format!("secret {} from={}", quoted(parameter), quoted(secret.as_str()))
    }));
    lines.extend(ports.iter().map(|port| format!("port {port}")));
    lines.extend(replicas.map(|replicas| format!("replicas {replicas}")));
    lines.extend(priority.map(|priority| format!("priority {priority}")));
    lines.extend(reserves(resources));
    if !depends_on.is_empty() {
        let names: Vec<String> = depends_on.iter().map(|it| quoted(it.as_str())).collect();
        lines.push(format!("depends-on {}", names.join(" ")));
    }
    if !place.is_empty() {
        lines.push("place {".to_owned());
        lines.extend(place.iter().map(|line| format!("    {}", place_line(line))));
        lines.push("}".to_owned());
    }
    let lines: String = lines.iter().map(|line| format!("    {line}\n")).collect();
    Ok(format!("service {} {{\n{lines}}}", quoted(name.as_str())))
}

fn reserves(resources: &NewResources) -> Option<String> {
    let NewResources { cpu, memory, disk, gpu, gpu_memory } = resources;
    let size = |word: &str, size: &Option<Bytes>| {
        size.map(|size| format!(" {word}={}", quoted(&size.to_string())))
    };
    let all = [
        cpu.map(|cpu| format!(" cpu={cpu}")),
        size("memory", memory),
        size("disk", disk),
        gpu.map(|gpu| format!(" gpu={gpu}")),
        size("gpu-memory", gpu_memory),
    ];
    let all: String = all.into_iter().flatten().collect();
    (!all.is_empty()).then(|| format!("resources{all}"))
}

fn place_line(line: &PlaceLine) -> String {
    let said = match line.verb {
        PlaceWord::Require => "require",
        PlaceWord::Forbid => "forbid",
        PlaceWord::Prefer => "prefer",
    };
    let others: String = line.or.iter().map(|it| format!(" {}", quoted(it))).collect();
    format!("{said} {}={}{others}", word(&line.key), quoted(&line.value))
}

/// A name as it stands before `=`.
fn word(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if plain { text.to_owned() } else { quoted(text) }
}

/// A text between quotes, on one line.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || ('\u{2028}'..='\u{202f}').contains(&c) => {
                out.push_str(&format!("\\u{{{:x}}}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The offset of `line:column` in a text, counted from 1, columns in characters.
fn offset(text: &str, at: &str) -> Option<usize> {
    let mut parts = at.rsplit(':');
    let column: usize = parts.next()?.parse().ok()?;
    let line: usize = parts.next()?.parse().ok()?;
    let begin: usize = match line.checked_sub(1)? {
        0 => 0,
        before => text.match_indices('\n').nth(before - 1)?.0 + 1,
    };
    let here = text[begin..].split('\n').next().unwrap_or_default();
    let within = here.char_indices().nth(column.checked_sub(1)?).map(|(at, _)| at);
    within.map(|within| begin + within)
}

/// The innermost node at an offset.
fn smallest(text: &str, file: &KdlDocument, offset: usize) -> Option<Range<usize>> {
    file.nodes().iter().find_map(|node| {
        let own = range(text, node).filter(|own| own.contains(&offset))?;
        let inner = node.children().and_then(|children| smallest(text, children, offset));
        Some(inner.unwrap_or(own))
    })
}

#[cfg(test)]
mod tests;
