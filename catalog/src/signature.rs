//! `component.kdl`: the declaration of a component, read into its signature.
//!
//! Knows the fields of a declaration and their types. Refuses to know templates.

mod operation;

use std::collections::{BTreeMap, BTreeSet};

use devnet_schema::{
    component::{
        ComponentSignature, Parameter, ParameterKind, PortDeclaration, SecretParameter,
        VolumeDeclaration,
    },
    diagnostic::Diagnostic,
    file::tree::{Entry, Kind, Node, Source, Span},
    instance::{HealthSpec, Probe, Protocol, Runtime, Scope, StopSpec},
    name::is_label,
    quantity::{Bytes, GpuRequest, Period, Resources},
};

/// Reads a declaration.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn read(source: &Source, tree: &Node) -> Result<ComponentSignature, Vec<Diagnostic>> {
    let mut reader = Reader { source, found: Vec::new() };
    let mut components = Vec::new();
    for entry in tree.entries() {
        if entry.key == "component" {
            components.push(entry);
        } else {
            reader.unknown(entry, "a component file", "component");
        }
    }
    let [component] = components.as_slice() else {
        reader.error(&tree.span, "a component file declares exactly one `component`".into());
        return Err(reader.found);
    };
    let signature = reader.component(component);
    reader.found.sort_by(|a, b| a.at.cmp(&b.at));
    if reader.found.is_empty() { Ok(signature) } else { Err(reader.found) }
}

struct Reader<'a> {
    source: &'a Source,
    found: Vec<Diagnostic>,
}

/// How many letters and digits a made secret has: more than 140 bits of chance.
const LENGTH: u32 = 24;

const FIELDS: &str = "description, versions, runtimes, replicable, parameter, secret, port, \
                      volume, resources, health, stop, update, upgrade, grant, offer, collect, \
                      data and without";

impl Reader<'_> {
    fn error(&mut self, span: &Span, message: String) {
        let error = Diagnostic::error("DN-E0521", Some(self.source.at(span)), message);
        self.found.push(error.help("docs/catalog.md says what a declaration holds"));
    }

    fn unknown(&mut self, entry: &Entry, of: &str, known: &str) {
        let message = format!("{of} has no field `{}`", entry.key.escape_debug());
        let at = Some(self.source.at(&entry.key_span));
        let help = format!("the fields are {known}");
        self.found.push(Diagnostic::error("DN-E0521", at, message).help(help));
    }

    fn component(&mut self, entry: &Entry) -> ComponentSignature {
        let mut signature = ComponentSignature {
            name: self.name(entry, "component"),
            ..ComponentSignature::default()
        };
        for field in named(&entry.value) {
            self.field(&mut signature, field);
        }
        if signature.description.is_empty() {
            self.error(&entry.key_span, "the component has no `description`".into());
        }
        if signature.versions.is_empty() {
            self.error(&entry.key_span, "the component names no `versions`".into());
        }
        if signature.runtimes.is_empty() {
            self.error(&entry.key_span, "the component names no `runtimes`".into());
        }
        self.references(entry, &signature);
        signature
    }

    /// Names that stand for something else of the declaration.
    fn references(&mut self, entry: &Entry, signature: &ComponentSignature) {
        for grant in signature.grants.iter().filter_map(|grant| grant.when.as_ref()) {
            let kind = signature.parameters.get(grant).map(|parameter| &parameter.kind);
            if kind != Some(&ParameterKind::Boolean) {
                let shown = grant.escape_debug();
                let message = format!("a grant is for `{shown}`, which is no boolean parameter");
                self.error(&entry.key_span, message);
            }
        }
        for offer in &signature.offers {
            if !signature.ports.iter().any(|port| port.name == offer.port) {
                let (kind, port) = (&offer.kind, offer.port.escape_debug());
                let message = format!("the offer `{kind}` is at `{port}`, which is no port");
                self.error(&entry.key_span, message);
            }
        }
        let mut seen = BTreeSet::new();
        for offer in signature.offers.iter().filter(|offer| !seen.insert(&offer.kind)) {
            self.error(&entry.key_span, format!("`{}` is offered twice", offer.kind));
        }
    }

    fn field(&mut self, signature: &mut ComponentSignature, field: &Entry) {
        let value = &field.value;
        match field.key.as_str() {
            "description" => signature.description = self.text(value),
            "versions" => signature.versions = self.texts(value),
            "runtimes" => signature.runtimes = self.runtimes(value),
            "replicable" => signature.replicable = self.flag(value),
            "parameter" => {
                let name = self.name(field, "parameter");
                let parameter = self.parameter(field);
                self.put(&mut signature.parameters, name, parameter, &field.key_span);
            }
            "secret" => {
                let name = self.name(field, "secret");
                let secret = self.secret(field);
                self.put(&mut signature.secrets, name, secret, &field.key_span);
            }
            "port" => {
                let port = self.port(field);
                signature.ports.push(port);
            }
            "volume" => {
                let volume = self.volume(field);
                signature.volumes.push(volume);
            }
            "resources" => signature.resources = self.resources(value),
            "health" => signature.health = self.health(field),
            "stop" => signature.stop = self.stop(value),
            "update" => signature.update = self.update(value),
            "upgrade" => signature.upgrade = self.upgrade(value),
            "grant" => {
                let grant = self.grant(field);
                signature.grants.push(grant);
            }
            "offer" => {
                let offer = self.offer(field);
                signature.offers.push(offer);
            }
            "collect" => {
                let kinds = self.kinds(value);
                signature.collects.extend(kinds);
            }
            "data" => signature.data = Some(self.data(field)),
            "without" => {
                let (rules, why) = self.without(field);
                for rule in rules {
                    self.put(&mut signature.without, rule, why.clone(), &field.key_span);
                }
            }
            _ => self.unknown(field, "a component", FIELDS),
        }
    }

    fn put<T>(&mut self, map: &mut BTreeMap<String, T>, name: String, value: T, span: &Span) {
        if map.insert(name.clone(), value).is_some() {
            self.error(span, format!("`{name}` is declared twice"));
        }
    }

    /// The name that a node has as its argument.
    fn name(&mut self, entry: &Entry, what: &str) -> String {
        let name = arguments(&entry.value).next().and_then(Node::text).unwrap_or_default();
        if !is_label(name) {
            let message = format!(
                "a {what} needs a name of lower-case letters, digits and `-`: `{what} \"NAME\" …`"
            );
            self.error(&entry.key_span, message);
        }
        name.to_owned()
    }

    fn text(&mut self, node: &Node) -> String {
        match node.text() {
            Some(text) => text.to_owned(),
            None => {
                self.error(&node.span, "one text is expected here".into());
                String::new()
            }
        }
    }

    fn texts(&mut self, node: &Node) -> Vec<String> {
        match &node.kind {
            Kind::Scalar { raw, .. } => vec![raw.clone()],
            Kind::Seq(items) => items.iter().map(|item| self.text(item)).collect(),
            Kind::Map(_) => {
                self.error(&node.span, "one or more texts are expected here".into());
                Vec::new()
            }
        }
    }

    fn parsed<T: std::str::FromStr>(&mut self, node: &Node, expected: &str) -> Option<T> {
        let read = node.text().and_then(|text| text.parse().ok());
        if read.is_none() {
            let text = node.text().unwrap_or_default().escape_debug().to_string();
            self.error(&node.span, format!("`{text}` is not {expected}"));
        }
        read
    }

    /// `#true`, `#false`, or a name alone, which means true.
    fn flag(&mut self, node: &Node) -> bool {
        match node.text() {
            Some("" | "true") => true,
            Some("false") => false,
            _ => {
                self.error(&node.span, "`#true` or `#false` is expected here".into());
                false
            }
        }
    }

    fn runtimes(&mut self, node: &Node) -> Vec<Runtime> {
        let mut all = Vec::new();
        for text in self.texts(node) {
            match [Runtime::Docker, Runtime::Process, Runtime::Kubernetes]
                .into_iter()
                .find(|runtime| runtime.as_str() == text)
            {
                Some(runtime) => all.push(runtime),
                None => self.error(&node.span, format!("`{text}` is not a runtime")),
            }
        }
        all
    }

    fn parameter(&mut self, entry: &Entry) -> Parameter {
        let mut parameter = Parameter {
            kind: ParameterKind::Text,
            unit: None,
            default: None,
            required: false,
            description: String::new(),
        };
        let (mut kind, mut of) = ("text".to_owned(), Vec::new());
        let (mut min, mut max) = (i64::MIN, i64::MAX);
        for field in named(&entry.value) {
            match field.key.as_str() {
                "type" => kind = self.text(&field.value),
                "of" => of = self.texts(&field.value),
                "min" => min = self.parsed(&field.value, "a whole number").unwrap_or(min),
                "max" => max = self.parsed(&field.value, "a whole number").unwrap_or(max),
                "unit" => parameter.unit = Some(self.text(&field.value)),
                "default" => parameter.default = Some(self.text(&field.value)),
                "required" => parameter.required = self.flag(&field.value),
                "description" => parameter.description = self.text(&field.value),
                _ => {
                    let known = "type, of, min, max, unit, default, required and description";
                    self.unknown(field, "a parameter", known);
                }
            }
        }
        parameter.kind = match kind.as_str() {
            "text" => ParameterKind::Text,
            "integer" => ParameterKind::Integer { min, max },
            "boolean" => ParameterKind::Boolean,
            "size" => ParameterKind::Size,
            "duration" => ParameterKind::Duration,
            "choice" if !of.is_empty() => ParameterKind::Choice(of),
            _ => {
                let message = "a parameter's type is text, integer, boolean, size, duration, or \
                               choice with its values after `of`";
                self.error(&entry.key_span, message.into());
                ParameterKind::Text
            }
        };
        if let Some(problem) = parameter
            .default
            .as_deref()
            .and_then(|text| crate::component::typed(&parameter.kind, text).err())
        {
            self.error(&entry.key_span, format!("the default {problem}"));
        }
        parameter
    }

    fn secret(&mut self, entry: &Entry) -> SecretParameter {
        let mut secret = SecretParameter {
            required: false,
            generate: false,
            length: LENGTH,
            description: String::new(),
        };
        for field in named(&entry.value) {
            match field.key.as_str() {
                "required" => secret.required = self.flag(&field.value),
                "generate" => secret.generate = self.flag(&field.value),
                "length" => {
                    let read = self.parsed(&field.value, "a whole number");
                    secret.length = read.unwrap_or(LENGTH);
                    if !(16..=128).contains(&secret.length) {
                        let message = "a made secret has 16 to 128 letters and digits";
                        self.error(&field.value.span, message.into());
                    }
                }
                "description" => secret.description = self.text(&field.value),
                _ => self.unknown(field, "a secret", "required, generate, length and description"),
            }
        }
        secret
    }

    fn port(&mut self, entry: &Entry) -> PortDeclaration {
        let mut port = PortDeclaration {
            name: self.name(entry, "port"),
            container: 0,
            host: None,
            scope: Scope::Internal,
            protocol: Protocol::Tcp,
        };
        for field in named(&entry.value) {
            match (field.key.as_str(), field.value.text().unwrap_or_default()) {
                ("container", _) => {
                    port.container = self.parsed(&field.value, "a port").unwrap_or(0);
                }
                ("scope", "node") => port.scope = Scope::Node,
                ("scope", "internal") => port.scope = Scope::Internal,
                ("scope", "public") => port.scope = Scope::Public,
                ("protocol", "tcp") => port.protocol = Protocol::Tcp,
                ("protocol", "udp") => port.protocol = Protocol::Udp,
                ("host", _) => port.host = self.parsed(&field.value, "a port"),
                _ => {
                    let known = "container, host, scope (node, internal, public) and protocol \
                                 (tcp, udp)";
                    self.unknown(field, "a port", known);
                }
            }
        }
        if port.container == 0 {
            self.error(&entry.key_span, "a port needs `container=`, 1 to 65535".into());
        }
        port
    }

    fn volume(&mut self, entry: &Entry) -> VolumeDeclaration {
        let mut volume = VolumeDeclaration {
            name: self.name(entry, "volume"),
            path: String::new(),
            holds: String::new(),
            cache: false,
        };
        for field in named(&entry.value) {
            match field.key.as_str() {
                "at" => volume.path = self.text(&field.value),
                "holds" => volume.holds = self.text(&field.value),
                "cache" => volume.cache = self.flag(&field.value),
                _ => self.unknown(field, "a volume", "at, holds and cache"),
            }
        }
        if !volume.path.starts_with('/') {
            self.error(&entry.key_span, "a volume needs `at=` with an absolute path".into());
        }
        volume
    }

    fn resources(&mut self, node: &Node) -> Resources {
        let mut resources = Resources::default();
        for field in named(node) {
            let (value, size) = (&field.value, "a size like \"256MiB\"");
            match field.key.as_str() {
                "cpu" => {
                    resources.cpu = self.parsed(value, "a number of cores").unwrap_or_default()
                }
                "memory" => {
                    resources.memory = self.parsed(value, size).unwrap_or(Bytes::ZERO);
                }
                "disk" => resources.disk = self.parsed(value, size).unwrap_or(Bytes::ZERO),
                "gpu" => {
                    let devices = self.parsed(value, "a number of whole devices");
                    resources.gpu = devices.map_or(GpuRequest::None, GpuRequest::Whole);
                }
                _ => {
                    let known = "cpu, memory, disk and gpu";
                    self.unknown(field, "`resources` of a component", known);
                }
            }
        }
        resources
    }

    fn health(&mut self, entry: &Entry) -> Option<HealthSpec> {
        let (mut http, mut port, mut tcp, mut exec) = (None, None, None, Vec::new());
        let mut interval = Period::seconds(5);
        let mut timeout = Period::seconds(3);
        let mut start_period = Period::seconds(30);
        let mut retries = 5;
        for field in named(&entry.value) {
            let (value, period) = (&field.value, "a length of time like \"5s\"");
            match field.key.as_str() {
                "http" => http = Some(self.text(value)),
                "port" => port = self.parsed::<u16>(value, "a port"),
                "tcp" => tcp = self.parsed::<u16>(value, "a port"),
                "exec" => exec = self.texts(value),
                "interval" => interval = self.parsed(value, period).unwrap_or(interval),
                "timeout" => timeout = self.parsed(value, period).unwrap_or(timeout),
                "start-period" => {
                    start_period = self.parsed(value, period).unwrap_or(start_period);
                }
                "retries" => retries = self.parsed(value, "a whole number").unwrap_or(retries),
                _ => {
                    let known = "http and port, tcp or exec; interval, timeout, retries and \
                                 start-period";
                    self.unknown(field, "`health`", known);
                }
            }
        }
        let probe = match (http, port, tcp, exec.is_empty()) {
            (Some(path), Some(port), None, true) => Probe::Http { port, path },
            (None, None, Some(port), true) => Probe::Tcp { port },
            (None, None, None, false) => Probe::Exec { argv: exec },
            _ => {
                let message = "`health` needs exactly one of http with port, tcp and exec";
                self.error(&entry.key_span, message.into());
                return None;
            }
        };
        Some(HealthSpec { probe, interval, timeout, retries, start_period })
    }

    fn stop(&mut self, node: &Node) -> StopSpec {
        let mut stop = StopSpec::default();
        for field in named(node) {
            match field.key.as_str() {
                "signal" => stop.signal = Some(self.text(&field.value)),
                "grace" => {
                    let period = "a length of time like \"30s\"";
                    stop.grace = self.parsed(&field.value, period).unwrap_or(stop.grace);
                }
                _ => self.unknown(field, "`stop`", "signal and grace"),
            }
        }
        stop
    }
}

/// The arguments of a node.
fn arguments(node: &Node) -> Box<dyn Iterator<Item = &Node> + '_> {
    match &node.kind {
        Kind::Scalar { .. } => Box::new(std::iter::once(node)),
        Kind::Seq(items) => Box::new(items.iter()),
        Kind::Map(entries) => {
            Box::new(entries.iter().filter(|entry| entry.key.is_empty()).map(|entry| &entry.value))
        }
    }
}

/// The properties and children of a node.
fn named(node: &Node) -> impl Iterator<Item = &Entry> {
    node.entries().iter().filter(|entry| !entry.key.is_empty())
}
