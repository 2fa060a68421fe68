//! The Compose model in one normal form: short and long syntax become the same typed structs.
//!
//! Knows the part of the Compose specification that devnet runs, and why the rest is refused.
//! Refuses to know clusters and where anything runs, and any environment: variables are an
//! argument.
//!
//! [`load`] is a Compose file of one's own, with variables, merge keys, `extends`, profiles and
//! files of the repository. [`read`] is a tree that a component's template made. Both end in the
//! same normal form, and only there it is decided what a container may have of its node:
//! [`refusals`].

mod content;
mod depends;
mod deploy;
mod dotenv;
mod grant;
mod health;
mod host;
mod interpolate;
mod merge;
mod model;
mod mounts;
mod names;
mod network;
mod others;
mod ports;
mod project;
mod reader;
mod refused;
mod service;
mod settings;
mod signal;
mod spec;
mod template;
mod unit;
mod words;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

pub use grant::{Ask, GRANTS, Grant};
pub use model::{
    Attachment, Condition, Dependency, File, Healthcheck, Network, Platform, Port, Project,
    Service, Share, Shares, Volume,
};
pub use project::is_own_volume;
pub use spec::{Texts, container};
pub use template::Templates;
pub use unit::{period, size};
pub use words::{WordsError, split};

use crate::{
    diagnostic::{Diagnostic, Located, Location},
    file::{
        Files, Limits, Unread, read_with_merge_keys, scan,
        tree::{Node, Read, Source},
    },
    template::is_template,
};

/// The variable that Compose gives the name of the project.
const PROJECT_NAME: &str = "COMPOSE_PROJECT_NAME";

/// The name of the file beside a Compose file that gives variables their values.
const DOT_ENV: &str = ".env";

/// Reads a Compose document that is already a tree.
///
/// `templated` holds the start of every scalar that a template made. Such a scalar is a value: it
/// is taken whole and never split into parts, because what a value holds must not decide how it is
/// read. Where Compose has a short form that is split, the long form has to be used.
///
/// Everything wrong is reported at once; the project holds what could be read. What it asks of its
/// node and `grants` does not hold is refused, but for capabilities that an engine gives anyway.
pub fn read(
    tree: &Node,
    source: &Source,
    templated: &BTreeSet<usize>,
    grants: &[Grant],
) -> (Project, Vec<Diagnostic>) {
    let (dir, values) = Default::default();
    let part = reader::Part { base: 0, source: source.clone(), dir, values };
    let mut reader = reader::Reader::new(part, templated, None);
    let project = project::read(&mut reader, tree, &BTreeSet::new());
    let usual = grant::USUAL.iter().map(|name| Grant::Capability((*name).to_owned()));
    let grants: Vec<Grant> = usual.chain(grants.iter().cloned()).collect();
    for service in project.services.values() {
        reader.take(refusals(&service.asks, &grants));
    }
    (project, reader.into_found())
}

/// What a Compose file is read with.
pub struct Inputs<'a> {
    /// Values for `${NAME}` that are data.
    pub vars: &'a BTreeMap<String, String>,
    /// Values for `${NAME}` that may be templates of the cluster file; they count more.
    pub set: &'a BTreeMap<String, String>,
    /// The project's name, for `${COMPOSE_PROJECT_NAME}` where nothing else gives it a value.
    pub project: &'a str,
    /// Profiles that are wanted.
    pub profiles: BTreeSet<String>,
    /// The repository.
    pub files: &'a dyn Files,
    /// How much of it is read.
    pub limits: &'a Limits,
}

/// A Compose file in its normal form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Loaded {
    /// The project; texts in it may hold marks of [`Loaded::templates`].
    pub project: Project,
    /// The templates that came in with values.
    pub templates: Templates,
    /// Where the project may not be what was meant, because the syntax is wrong there.
    pub doubtful: Vec<Location>,
    /// What could not be read.
    pub unread: Unread,
    /// The variables that it refers to, also where they do not count: in a default that is not
    /// needed.
    pub used: BTreeSet<String>,
    /// How many values it has, those that aliases and `extends` repeat included.
    pub values: usize,
}

impl Loaded {
    /// Whether it is the same for every project that reads the file with the same values.
    pub fn is_shared(&self) -> bool {
        !self.used.contains(PROJECT_NAME)
    }
}

/// Reads a Compose file: merge keys, variables, `extends`, then every field. What it asks of its
/// node is in the normal form, for [`refusals`].
///
/// Everything wrong is reported at once; the project holds what could be read.
pub fn load(source: &Source, inputs: &Inputs<'_>) -> (Loaded, Vec<Diagnostic>) {
    let masked = scan::masked(source);
    let (source, strange) = masked.as_ref().map_or((source, &[][..]), |(s, found)| (s, found));
    let mut document = read_with_merge_keys(source, inputs.limits);
    document.strange(source, strange.to_vec());
    if template::is_marked(&source.text) {
        let message = "this file holds a character that devnet keeps for itself";
        let error = Diagnostic::error("DN-E0507", Some(source.at(&(0..0))), message);
        return (Loaded::default(), vec![error.help("leave out U+10DE72 and U+10DE73")]);
    }
    let mut tree = document.tree.clone();
    // What has two of one name is read all the same: what else is wrong is wrong today.
    if !document.errors.is_empty() {
        merge::firsts(&mut tree);
    }
    let dir = source.file.rsplit_once('/').map_or("", |(dir, _)| dir);
    let mut templates = Templates::default();
    let mut found = Vec::new();
    let mut used = BTreeSet::new();
    let values = values(dir, inputs, &mut templates, &mut used, &mut found);
    let nothing = BTreeSet::new();
    let templates = RefCell::new(templates);
    let used = RefCell::new(used);
    let (files, used, values) = (inputs.files, &used, Rc::new(values));
    let ground = reader::Ground { files, templates: &templates, used };
    let (dir, own) = (dir.to_owned(), Rc::clone(&values));
    let part = reader::Part { base: 0, source: source.clone(), dir, values: own };
    let mut reader = reader::Reader::new(part, &nothing, Some(&ground));
    let unread = document.unread_words(source);
    reader.unread.clone_from(&unread);
    reader.replicas = inputs.limits.replicas;
    reader.take(found);
    merge::keys(&mut reader, &mut tree);
    let faults = interpolate::tree(&mut tree, source, &values, &mut used.borrow_mut());
    reader.unfilled = faults.iter().filter_map(|one| Some(one.at.as_ref()?.start)).collect();
    reader.take(faults);
    reader.left = Some(inputs.limits.all_values);
    let mut others = others::Others::new(inputs.limits);
    others.extended(&mut reader, &mut tree);
    merge::extends(&mut reader, &mut tree);
    others.included(&mut reader, &mut tree, &mut vec![source.file.to_string()]);
    let written = document.values.max(merge::weight(&tree));
    let most = inputs.limits.all_values.saturating_sub(written);
    reader.left = reader.left.map(|_| most);
    let project = project::read(&mut reader, &tree, &inputs.profiles);
    // Too many are one more than there may be.
    let values = written + reader.left.map_or(most + 1, |left| most - left);
    let doubtful = document.doubtful.iter().map(|span| source.at(span)).collect();
    let found = with_syntax(document, source, reader.into_found());
    let (templates, used) = (templates.into_inner(), used.take());
    (Loaded { project, templates, doubtful, unread, used, values }, found)
}

/// What was found, and what is wrong with the syntax, without the echoes of that.
fn with_syntax(document: Read, source: &Source, mut found: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let here = |one: &Diagnostic| one.at.as_ref().is_some_and(|at| at.file == source.file);
    found.retain(|one| !here(one) || document.trusts(one));
    found.extend(document.errors);
    found.sort_by(|a, b| a.at.cmp(&b.at));
    found
}

/// Values by name: what the service sets, then the cluster's variables, then the file `.env`.
fn values(
    dir: &str,
    inputs: &Inputs<'_>,
    templates: &mut Templates,
    used: &mut BTreeSet<String>,
    found: &mut Vec<Diagnostic>,
) -> interpolate::Values {
    let mut values = inputs.vars.clone();
    for (name, value) in inputs.set {
        let value = if is_template(value) { templates.mark(value) } else { value.clone() };
        values.insert(name.clone(), value);
    }
    // Nobody may pass off a text as a template.
    values.retain(|name, value| {
        let own = inputs.set.get(name).is_some_and(|set| is_template(set));
        own || !template::is_marked(value)
    });
    // What is said of the directory that Compose runs in is said of the file's own.
    let path = if dir.is_empty() { DOT_ENV.to_owned() } else { format!("{dir}/{DOT_ENV}") };
    values.entry("PWD".to_owned()).or_insert_with(|| ".".to_owned());
    env_of(&path, inputs.files, &mut values, used, found);
    values.entry(PROJECT_NAME.to_owned()).or_insert_with(|| inputs.project.to_owned());
    values
}

/// Adds the values of a file like `.env`, as far as there are none of these names. That there is no
/// such file is no error.
fn env_of(
    path: &str,
    files: &dyn Files,
    values: &mut interpolate::Values,
    used: &mut BTreeSet<String>,
    found: &mut Vec<Diagnostic>,
) {
    let text = dot_env(path, files).unwrap_or_else(|why| {
        let at = Source::new(path, "").at(&(0..0));
        let message = format!("reading `{}` failed: {}", path.escape_debug(), why.escape_debug());
        let error = Diagnostic::error("DN-E0565", Some(at), message);
        found.push(error.help("make it a text file that can be read"));
        String::new()
    });
    let source = Source::new(path, text);
    interpolate::names_by_line(&source.text, used);
    let (entries, wrong) = dotenv::read(&source.text, values, false);
    for dotenv::Wrong { at, fault } in wrong {
        found.push(interpolate::diagnostic(fault, Some(source.at(&(at..at)))));
    }
    let entries = entries.into_iter().filter_map(|(name, value)| Some((name, value?)));
    // Of two lines for one name the later counts.
    for (name, value) in entries.collect::<BTreeMap<_, _>>() {
        values.entry(name).or_insert(value);
    }
}

/// The text of the file `.env`, empty when there is none; else why it cannot be taken.
fn dot_env(path: &str, files: &dyn Files) -> Result<String, String> {
    let bytes = files.read(path)?.unwrap_or_default();
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    match template::is_marked(&text) {
        true => Err("it holds a character that devnet keeps for itself".to_owned()),
        false => Ok(text),
    }
}

/// What a service asks of its node and is not granted.
pub fn refusals(asks: &[Located<Ask>], grants: &[Grant]) -> Vec<Diagnostic> {
    let open = asks.iter().filter(|ask| !grants.iter().any(|grant| grant.covers(&ask.value)));
    open.map(|ask| {
        let grant = ask.value.grant();
        let why = ask.value.why();
        let message = format!("`{grant}` is refused: {why}");
        let help = format!("leave it out; or grant it in the cluster file: `allow \"{grant}\"`");
        Diagnostic::error("DN-E0563", Some(ask.at.clone()), message).help(help)
    })
    .collect()
}

#[cfg(test)]
mod tests;
