//! Host names that services are exposed under.
//!
//! Knows what a host name and a path of one are, and that no two services may have the same.
//! Refuses to know reverse proxies: the catalog hands them the routes.

use std::collections::BTreeMap;

use super::Check;
use crate::{
    component::PortDeclaration,
    desired::{Expose, Service},
    diagnostic::{Diagnostic, Located, Location},
    file::written::ServiceSection,
    instance::{Protocol, Scope},
    name::{ServiceName, is_label},
};

impl Check<'_> {
    /// The `expose` lines of a service.
    pub(super) fn exposes(
        &mut self,
        section: &ServiceSection,
        ports: &[Located<PortDeclaration>],
    ) -> Vec<Located<Expose>> {
        let mut all = Vec::new();
        for line in &section.exposes {
            let Some(host) = &line.host else { continue };
            if !is_host(&host.value) {
                let message = format!("`{}` is not a host name", host.value.escape_debug());
                let help = match host.value.split('/').next().unwrap_or("").parse::<u16>() {
                    // As in a Compose file.
                    Ok(port) => format!("where it listens is `port` here: `port {port}`"),
                    Err(_) => {
                        "write it like app.lab.example, without scheme, port and path".to_owned()
                    }
                };
                self.error("DN-E0348", &host.at, message, help);
            }
            let path = line.path.as_ref();
            if let Some(path) = path.filter(|path| !is_path(&path.value)) {
                let message = format!("`{}` is not a path", path.value.escape_debug());
                let help = "begin it with `/`, and use letters, digits and `-._~/`";
                self.error("DN-E0348", &path.at, message, help);
            }
            let wanted = line.port.as_ref();
            let port = match wanted {
                Some(name) => ports.iter().find(|port| port.value.name == name.value),
                None => ports.first(),
            };
            let at = wanted.map_or(&line.at, |name| &name.at);
            let Some(port) = port else {
                let names = ports.iter().map(|port| port.value.name.as_str());
                let (message, help) = match wanted {
                    Some(name) => {
                        let shown = name.value.escape_debug();
                        (
                            format!("this service has no port `{shown}`"),
                            self.advice(&name.value, names),
                        )
                    }
                    None => {
                        let message = "this service has no port that could be exposed".to_owned();
                        (message, "give it one with `port`".to_owned())
                    }
                };
                self.error("DN-E0348", at, message, help);
                continue;
            };
            if port.value.scope == Scope::Node || port.value.protocol == Protocol::Udp {
                let message = format!(
                    "port `{}` cannot be reached by a reverse proxy of another node",
                    port.value.name
                );
                let help = "expose a TCP port whose scope is `internal` or `public`";
                self.error("DN-E0348", at, message, help);
            }
            let value = Expose {
                host: host.value.to_ascii_lowercase(),
                path: path.map_or_else(|| "/".to_owned(), |path| path.value.clone()),
                port: port.value.name.clone(),
                tls: line.tls.as_ref().map(|tls| tls.value).unwrap_or_default(),
            };
            all.push(Located { value, at: line.at.clone() });
        }
        all
    }

    /// One host and path for two services: which of them is asked would be a matter of luck.
    pub(super) fn exposed_twice(&mut self, services: &BTreeMap<ServiceName, Service>) {
        let mut seen: BTreeMap<(&str, &str), &Location> = BTreeMap::new();
        for line in services.values().flat_map(|service| &service.exposes) {
            let place = (line.value.host.as_str(), line.value.path.as_str());
            if let Some(first) = seen.get(&place) {
                let message = format!("`{}{}` is exposed twice", place.0, place.1);
                let error = Diagnostic::error("DN-E0348", Some(line.at.clone()), message)
                    .related((*first).clone(), "first here")
                    .help("give one of the two another host name or path");
                self.found.push(error);
            }
            seen.entry(place).or_insert(&line.at);
        }
    }
}

/// Labels with dots between them.
fn is_host(text: &str) -> bool {
    let numbers = text.chars().all(|c| c.is_ascii_digit());
    text.len() <= 253 && !numbers && text.to_ascii_lowercase().split('.').all(is_label)
}

fn is_path(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    text.starts_with('/') && text.chars().all(known)
}
