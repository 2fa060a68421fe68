//! What devnet makes of a Compose file, as lines.
//!
//! Knows every field of the normal form, by name: a new one does not compile here until it is
//! compared. Refuses to know places, which differ between two ways to write the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{Debug, Write as _},
};

use devnet_schema::{
    component::ComponentSignature,
    compose::{self, Inputs, Project, Service},
    diagnostic::{Diagnostic, Located, Severity},
    file::{Limits, load, tree::Source},
    validate::validate,
};

use crate::corpus::Side;

/// A file as it is meant.
pub(crate) struct Meant {
    /// The normal form, in lines.
    pub(crate) shown: String,
    /// What was found.
    pub(crate) findings: Vec<Diagnostic>,
}

impl Meant {
    pub(crate) fn is_refused(&self) -> bool {
        self.findings.iter().any(|one| one.severity == Severity::Error)
    }

    pub(crate) fn found(&self) -> String {
        self.findings.iter().map(|one| format!("{one}\n")).collect()
    }

    /// What was found, without places.
    pub(crate) fn told(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> =
            self.findings.iter().map(|one| (one.code.to_string(), one.message.clone())).collect();
        all.sort();
        all
    }
}

/// Reads the Compose file of a project called `shop`; every grant that it asks for is given.
pub(crate) fn read(files: &Side, profiles: &[String]) -> Meant {
    let (vars, set) = Default::default();
    let inputs = Inputs {
        vars: &vars,
        set: &set,
        project: "shop",
        profiles: profiles.iter().cloned().collect::<BTreeSet<_>>(),
        files,
        limits: &Limits::default(),
    };
    let source = Source::new("compose.yml", files.get("compose.yml"));
    let (mut loaded, mut findings) = compose::load(&source, &inputs);
    let asks = loaded.project.services.values().flat_map(|service| &service.asks);
    let asks = asks.map(|ask| ask.value.grant().to_string());
    let grants: BTreeSet<String> = asks.collect();
    if !findings.iter().any(|one| one.severity == Severity::Error) {
        findings = of_cluster(files, profiles, &grants);
    }
    let templates = loaded.templates;
    let mut shown = String::new();
    project(&mut shown, &mut loaded.project);
    Meant { shown: templates.text(&shown).0, findings }
}

/// What is found where a cluster file uses it.
fn of_cluster(files: &Side, profiles: &[String], grants: &BTreeSet<String>) -> Vec<Diagnostic> {
    let mut text = "cluster \"home\"\nservice \"shop\" {\n    compose \"compose.yml\"".to_owned();
    text.extend(profiles.iter().map(|one| format!(" profile={one:?}")));
    text.extend(grants.iter().map(|one| format!("\n    allow {one:?}")));
    text.push_str("\n}\n");
    let mut files = files.clone();
    files.insert("cluster.kdl", &text);
    let (file, mut found) = load("cluster.kdl", &files);
    let components: BTreeMap<String, ComponentSignature> = BTreeMap::new();
    found.extend(validate(&file, &components, &BTreeMap::new()).1);
    found
}

fn project(out: &mut String, project: &mut Project) {
    let Project { services, networks } = project;
    // Compose drops a network that nobody joins.
    let joined: BTreeSet<String> = services
        .values()
        .flat_map(|service| service.networks.iter().map(|one| one.value.network.clone()))
        .collect();
    for (name, network) in networks.iter().filter(|(name, _)| joined.contains(*name)) {
        if *network != compose::Network::default() {
            let _ = writeln!(out, "network {name}: {network:?}");
        }
    }
    for (name, one) in services {
        // Which name or option stands first has no meaning.
        one.settings.extra_hosts.sort();
        for options in one.settings.tmpfs.values_mut() {
            let mut all: Vec<&str> = options.split(',').collect();
            all.sort_unstable();
            *options = all.join(",");
        }
        let _ = writeln!(out, "{name}:");
        service(out, one);
    }
}

fn line(out: &mut String, what: &str, value: &dyn Debug) {
    let text = format!("{value:?}");
    if !matches!(text.as_str(), "None" | "[]" | "{}" | "false") {
        let _ = writeln!(out, "  {what} {text}");
    }
}

fn one<T: Debug>(out: &mut String, what: &str, value: &Option<Located<T>>) {
    line(out, what, &value.as_ref().map(|value| &value.value));
}

fn each<T: Debug>(out: &mut String, what: &str, all: &[Located<T>]) {
    let mut lines: Vec<String> = all.iter().map(|one| format!("{:?}", one.value)).collect();
    lines.sort();
    out.extend(lines.iter().map(|text| format!("  {what} {text}\n")));
}

fn words(out: &mut String, what: &str, all: &Option<Vec<Located<String>>>) {
    let words = |all: &Vec<Located<String>>| -> Vec<String> {
        all.iter().map(|word| word.value.clone()).collect()
    };
    line(out, what, &all.as_ref().map(words));
}

fn named<T: Debug>(out: &mut String, what: &str, all: &BTreeMap<String, Located<T>>) {
    all.iter().for_each(|(name, one)| line(out, &format!("{what} {name:?}"), &one.value));
}

fn service(out: &mut String, service: &Service) {
    let Service {
        at: _,
        image,
        entrypoint,
        command,
        env,
        ports,
        volumes,
        files,
        health,
        stop_signal,
        stop_grace_period,
        shm_size,
        user,
        hostname,
        init,
        labels,
        run_once,
        // Taken out once it is known who waits for its end.
        restart: _,
        depends_on,
        limits,
        reservations,
        gpus,
        replicas,
        global,
        max_per_node,
        max_unavailable,
        platform,
        settings,
        networks,
        shares,
        asks,
    } = service;
    one(out, "image", image);
    words(out, "entrypoint", entrypoint);
    words(out, "command", command);
    named(out, "env", env);
    each(out, "ports", ports);
    each(out, "volumes", volumes);
    named(out, "files", files);
    one(out, "health", health);
    one(out, "stop_signal", stop_signal);
    one(out, "stop_grace_period", stop_grace_period);
    one(out, "shm_size", shm_size);
    one(out, "user", user);
    one(out, "hostname", hostname);
    line(out, "init", init);
    named(out, "labels", labels);
    line(out, "run_once", run_once);
    each(out, "depends_on", depends_on);
    line(out, "limits", limits);
    line(out, "reservations", reservations);
    one(out, "gpus", gpus);
    one(out, "replicas", replicas);
    line(out, "global", &global.is_some());
    one(out, "max_per_node", max_per_node);
    one(out, "max_unavailable", max_unavailable);
    one(out, "platform", platform);
    line(out, "settings", settings);
    each(out, "networks", networks);
    each(out, "shares", shares);
    each(out, "asks", asks);
}
