//! The real `docker compose`, and its normal form with one value changed.
//!
//! Knows how to start the program so that nothing of this machine shows in what it says. Refuses
//! to read a Compose file.

use std::{collections::BTreeSet, path::Path, process::Command};

use serde_json::Value;

use crate::corpus::{Case, Real};

/// What the program says of a case.
pub(crate) fn run(program: &Path, case: &Case) -> Real {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", "/home/anna").current_dir(&case.dir);
    command.args(["-p", "shop", "-f", "compose.yml"]);
    for profile in &case.profiles {
        command.args(["--profile", profile]);
    }
    let output = command.args(["config", "--format", "json"]).output().expect("it starts");
    let here = case.dir.to_str().expect("a path");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace(here, ".");
    if output.status.success() {
        return Real::Config(text(&output.stdout));
    }
    let said = text(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("");
    Real::Refused(format!("{last}\n"))
}

/// A record without one of its values, and with another in its place.
pub(crate) struct Change {
    /// Its key: names of services and the like are `*`, items of lists `[]`.
    pub(crate) key: String,
    pub(crate) without: String,
    pub(crate) other: String,
    /// The fields that it is part of, of a service, volume or network.
    pub(crate) of: Vec<String>,
}

/// A record as a Compose file. The program writes `$$` for a dollar sign in names, too, and fills
/// in none there.
pub(crate) fn as_a_file(record: &str) -> String {
    let mut whole: Value = serde_json::from_str(record).expect("a record is JSON");
    plain_names(&mut whole);
    whole.to_string()
}

fn plain_names(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let entries = std::mem::take(map).into_iter();
            map.extend(entries.map(|(name, value)| (name.replace("$$", "$"), value)));
            map.values_mut().for_each(plain_names);
        }
        Value::Array(items) => items.iter_mut().for_each(plain_names),
        _ => {}
    }
}

/// One change for each key of a record.
pub(crate) fn changes(record: &str) -> Vec<Change> {
    let whole: Value = serde_json::from_str(record).expect("a record is JSON");
    let mut paths = Vec::new();
    leaves(&whole, &mut Vec::new(), &mut paths);
    paths.retain(|path| path.len() > 2);
    let mut seen = BTreeSet::new();
    let all = paths.iter().map(|path| change(&whole, path));
    all.filter(|change| seen.insert(change.key.clone())).collect()
}

fn leaves(value: &Value, path: &mut Vec<String>, all: &mut Vec<Vec<String>>) {
    let mut each = |key: String, value: &Value| {
        path.push(key);
        leaves(value, path, all);
        path.pop();
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| each(key.clone(), value)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| each(at.to_string(), value));
        }
        Value::Null => {}
        _ => all.push(path.clone()),
    }
}

fn change(whole: &Value, path: &[String]) -> Change {
    let pointer = |path: &[String]| {
        let part = |part: &String| format!("/{}", part.replace('~', "~0").replace('/', "~1"));
        path.iter().map(part).collect::<String>()
    };
    let lacking = |path: &[String]| {
        let mut without = whole.clone();
        let (last, above) = path.split_last().expect("a path has parts");
        match without.pointer_mut(&pointer(above)).expect("it is there") {
            Value::Object(map) => drop(map.remove(last)),
            Value::Array(items) => drop(items.remove(last.parse().expect("an index"))),
            _ => unreachable!("a leaf is in a map or list"),
        }
        without.to_string()
    };
    let mut other = whole.clone();
    let leaf = other.pointer_mut(&pointer(path)).expect("it is there");
    *leaf = match &*leaf {
        Value::String(text) => Value::String(format!("{text}7")),
        Value::Bool(flag) => Value::Bool(!flag),
        Value::Number(number) => (number.as_f64().unwrap_or_default() + 1.0).into(),
        other => other.clone(),
    };
    let key = path.iter().enumerate().map(|(at, part)| match part.parse::<usize>() {
        _ if at == 1 => "*".to_owned(),
        Ok(_) => "[]".to_owned(),
        Err(_) => part.clone(),
    });
    let key = key.collect::<Vec<_>>().join(".");
    let of = path[2..path.len() - 1].to_vec();
    Change { key, without: lacking(path), other: other.to_string(), of }
}
