//! Components as people read of them: on the page of the documentation and at the terminal.
//!
//! Knows signatures and Markdown. Refuses to know templates.

use std::fmt::Write as _;

use devnet_schema::{
    component::{
        ComponentSignature, Components, Parameter, ParameterKind, SecretParameter, UpdateOrder,
    },
    instance::{Probe, Protocol, Scope},
    quantity::{Bytes, GpuRequest},
};

use crate::Catalog;

/// Every component of a catalog, with all that its signature says.
pub fn page(catalog: &Catalog) -> String {
    let mut out = String::from(
        "# Components\n\nWhat is built in, as `devnet catalog show NAME` prints it. \
         [How one is written](catalog.md) is a page of its own. This page is rendered from the \
         signatures; a test compares it with them.\n\n",
    );
    out.push_str(&list(catalog));
    for name in catalog.names() {
        if let Some(signature) = catalog.signature(name) {
            let _ = write!(out, "\n{}", describe(signature));
        }
    }
    out
}

/// One line for each component.
pub fn list(catalog: &Catalog) -> String {
    let mut rows = Vec::new();
    for name in catalog.names() {
        if let Some(signature) = catalog.signature(name) {
            let version = signature.versions.first().cloned().unwrap_or_default();
            rows.push(vec![name.to_owned(), version, signature.description.clone()]);
        }
    }
    table(&["component", "version", "is"], &rows)
}

/// All that a signature says.
pub fn describe(signature: &ComponentSignature) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "## {}\n\n{}.\n", signature.name, signature.description);
    let runtimes: Vec<&str> = signature.runtimes.iter().map(|runtime| runtime.as_str()).collect();
    let _ = writeln!(out, "- **Versions:** {}", signature.versions.join(", "));
    let _ = writeln!(out, "- **Runs as:** {}", runtimes.join(", "));
    if signature.replicable {
        let _ = writeln!(out, "- **Several instances** may serve as one.");
    }
    let _ = writeln!(out, "- **Needs at least:** {}", needs(signature));
    let _ = writeln!(out, "- **Health:** {}", health(signature));
    let signal = signature.stop.signal.as_deref().unwrap_or("the image's signal");
    let order = match signature.update {
        UpdateOrder::StopFirst => "the old instance stops first",
        UpdateOrder::StartFirst => "the new instance may start first",
    };
    let grace = signature.stop.grace;
    let _ = writeln!(out, "- **Stops** on {signal}, within {grace}; in an update {order}.");
    if !signature.upgrade.refuses.is_empty() {
        let rules: Vec<&str> = signature.upgrade.refuses.iter().map(|r| r.as_str()).collect();
        let _ = writeln!(out, "- **Refuses** {}: {}", rules.join(", "), signature.upgrade.why);
    }
    for grant in &signature.grants {
        let when = grant.when.as_ref().map(|when| format!(" (with `{when}`)")).unwrap_or_default();
        let _ = writeln!(out, "- **Needs `allow \"{}\"`**{when}: {}", grant.grant, grant.why);
    }
    if !signature.collects.is_empty() {
        let kinds = signature.collects.join(", ");
        let _ = writeln!(out, "- **Collects** what other services offer: {kinds}");
    }
    if let Some(data) = &signature.data {
        let _ = writeln!(out, "- **Backup:** `{}`", data.backup.join(" "));
        let _ = writeln!(out, "- **Restore:** `{}`", data.restore.join(" "));
        let _ = writeln!(out, "- **Check:** `{}`", data.check.join(" "));
    }
    for (rule, why) in &signature.without {
        let _ = writeln!(out, "- **Without the rule `{rule}`:** {why}");
    }
    tables(&mut out, signature);
    out
}

fn tables(out: &mut String, signature: &ComponentSignature) {
    let row = |(name, parameter): (&String, &Parameter)| {
        let usual = match (&parameter.default, parameter.required) {
            (Some(default), _) => format!("`{default}`"),
            (None, true) => "required".to_owned(),
            (None, false) => String::new(),
        };
        vec![format!("`{name}`"), kind(parameter), usual, parameter.description.clone()]
    };
    let rows: Vec<Vec<String>> = signature.parameters.iter().map(row).collect();
    section(out, &["parameter", "takes", "unless set", "is"], &rows);
    let row = |(name, secret): (&String, &SecretParameter)| {
        let from = match (secret.generate, secret.required) {
            (true, _) => format!("made: {} letters and digits", secret.length),
            (false, true) => "required".to_owned(),
            (false, false) => String::new(),
        };
        vec![format!("`{name}`"), from, secret.description.clone()]
    };
    let rows: Vec<Vec<String>> = signature.secrets.iter().map(row).collect();
    section(out, &["secret", "unless set", "is"], &rows);
    let rows: Vec<Vec<String>> = signature
        .ports
        .iter()
        .map(|port| {
            let scope = match port.scope {
                Scope::Node => "node",
                Scope::Internal => "internal",
                Scope::Public => "public",
            };
            let protocol = match port.protocol {
                Protocol::Tcp => "TCP",
                Protocol::Udp => "UDP",
            };
            let host = port.host.map(|host| host.to_string()).unwrap_or_default();
            let name = format!("`{}`", port.name);
            vec![name, format!("{} {protocol}", port.container), host, scope.to_owned()]
        })
        .collect();
    section(out, &["port", "in the container", "at the node", "scope"], &rows);
    let row = |volume: &devnet_schema::component::VolumeDeclaration| {
        let kept = if volume.cache { "may be lost" } else { "kept" };
        vec![
            format!("`{}`", volume.name),
            format!("`{}`", volume.path),
            kept.to_owned(),
            volume.holds.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = signature.volumes.iter().map(row).collect();
    section(out, &["volume", "at", "data", "holds"], &rows);
    let rows: Vec<Vec<String>> = signature
        .offers
        .iter()
        .map(|offer| {
            let url = offer
                .url
                .clone()
                .unwrap_or_else(|| format!("http://{{{{ address }}}}{}", offer.path));
            let key = offer.key.as_ref().map(|key| format!("`{key}`")).unwrap_or_default();
            vec![offer.kind.clone(), format!("`{}`", offer.port), format!("`{url}`"), key]
        })
        .collect();
    section(out, &["offer", "port", "url", "key"], &rows);
}

fn section(out: &mut String, head: &[&str], rows: &[Vec<String>]) {
    if !rows.is_empty() {
        let _ = write!(out, "\n{}", table(head, rows));
    }
}

fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut out = format!("| {} |\n", head.join(" | "));
    let _ = writeln!(out, "|{}", "---|".repeat(head.len()));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    out
}

fn kind(parameter: &Parameter) -> String {
    let of = parameter.unit.as_ref().map(|unit| format!(" {unit}")).unwrap_or_default();
    match &parameter.kind {
        ParameterKind::Text => "text".to_owned(),
        ParameterKind::Integer { min, max } => format!("{min} to {max}{of}"),
        ParameterKind::Boolean => "`#true` or `#false`".to_owned(),
        ParameterKind::Size => "size, with a unit".to_owned(),
        ParameterKind::Duration => "time, with a unit".to_owned(),
        ParameterKind::Choice(words) => words.join(", "),
    }
}

fn needs(signature: &ComponentSignature) -> String {
    let resources = &signature.resources;
    let mut all = vec![format!("{} cores", resources.cpu), format!("{} memory", resources.memory)];
    if resources.disk > Bytes::ZERO {
        all.push(format!("{} disk", resources.disk));
    }
    if let GpuRequest::Whole(devices) = resources.gpu {
        all.push(format!("{devices} GPU"));
    }
    all.join(", ")
}

fn health(signature: &ComponentSignature) -> String {
    let Some(health) = &signature.health else { return "running is healthy".to_owned() };
    let how = match &health.probe {
        Probe::Http { port, path } => format!("GET {path} at {port}"),
        Probe::Tcp { port } => format!("a connection to {port}"),
        Probe::Exec { argv } => format!("`{}`", argv.join(" ")),
    };
    format!(
        "{how}, every {}, {} times in vain; not before {} have passed",
        health.interval, health.retries, health.start_period
    )
}
