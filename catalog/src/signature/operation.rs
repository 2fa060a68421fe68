//! What a declaration says of a component's life beside its container: versions, the node, other
//! services, and commands for its data.
//!
//! Knows the fields of these and their words. Refuses to know parameters, ports and volumes.

use devnet_schema::{
    component::{DataCommands, GrantDeclaration, Offer, UpdateOrder, Upgrade, VersionRule},
    compose::{GRANTS, Grant},
    file::tree::{Entry, Node},
    name::is_label,
};

use super::{Reader, arguments, named};

/// Rules of the catalog that a component may do without, for a reason.
const RULES: [&str; 8] = [
    "backup",
    "capabilities",
    "health",
    "internal",
    "no-new-privileges",
    "password",
    "read-only",
    "user",
];

impl Reader<'_> {
    pub(super) fn update(&mut self, node: &Node) -> UpdateOrder {
        let mut order = UpdateOrder::default();
        for field in named(node) {
            match (field.key.as_str(), field.value.text().unwrap_or_default()) {
                ("order", "stop-first") => order = UpdateOrder::StopFirst,
                ("order", "start-first") => order = UpdateOrder::StartFirst,
                _ => self.unknown(field, "`update`", "order (stop-first, start-first)"),
            }
        }
        order
    }

    /// `upgrade { refuse "downgrade" "major-upgrade"; why "…" }`
    pub(super) fn upgrade(&mut self, node: &Node) -> Upgrade {
        let mut upgrade = Upgrade::default();
        for field in named(node) {
            match field.key.as_str() {
                "refuse" => {
                    for word in self.texts(&field.value) {
                        match VersionRule::ALL.iter().find(|(_, known)| *known == word) {
                            Some((rule, _)) => upgrade.refuses.push(*rule),
                            None => {
                                let known: Vec<&str> =
                                    VersionRule::ALL.iter().map(|(_, word)| *word).collect();
                                let word = word.escape_debug();
                                let message = format!("`{word}` is none of {}", known.join(", "));
                                self.error(&field.value.span, message);
                            }
                        }
                    }
                }
                "why" => upgrade.why = self.text(&field.value),
                _ => self.unknown(field, "`upgrade`", "refuse and why"),
            }
        }
        if upgrade.why.is_empty() {
            let message = "`upgrade` says in `why` what to do in the place of what it refuses";
            self.error(&node.span, message.into());
        }
        upgrade
    }

    /// `grant "host-pid" when="processes" why="…"`
    pub(super) fn grant(&mut self, entry: &Entry) -> GrantDeclaration {
        let mut grant = GrantDeclaration { grant: String::new(), why: String::new(), when: None };
        if let Some(text) = arguments(&entry.value).next().and_then(Node::text) {
            grant.grant = text.to_owned();
        }
        for field in named(&entry.value) {
            match field.key.as_str() {
                "why" => grant.why = self.text(&field.value),
                "when" => grant.when = Some(self.text(&field.value)),
                _ => self.unknown(field, "a grant", "why and when"),
            }
        }
        if grant.grant.parse::<Grant>().is_err() {
            let shown = grant.grant.escape_debug();
            let message = format!("`{shown}` is nothing that can be granted; grants are {GRANTS}");
            self.error(&entry.key_span, message);
        }
        if grant.why.is_empty() {
            self.error(&entry.key_span, "a grant says in `why` what it is for".into());
        }
        grant
    }

    /// `offer "postgresql" port="postgres" url="…"`
    pub(super) fn offer(&mut self, entry: &Entry) -> Offer {
        let mut offer = Offer {
            kind: self.name(entry, "offer"),
            port: String::new(),
            path: String::new(),
            url: None,
            key: None,
        };
        for field in named(&entry.value) {
            match field.key.as_str() {
                "port" => offer.port = self.text(&field.value),
                "path" => offer.path = self.text(&field.value),
                "url" => offer.url = Some(self.text(&field.value)),
                "key" => offer.key = Some(self.text(&field.value)),
                _ => self.unknown(field, "an offer", "port, path, url and key"),
            }
        }
        if !offer.path.is_empty() && !offer.path.starts_with('/') {
            self.error(&entry.key_span, "the `path` of an offer begins with `/`".into());
        }
        offer
    }

    pub(super) fn kinds(&mut self, node: &Node) -> Vec<String> {
        let kinds = self.texts(node);
        if kinds.is_empty() || !kinds.iter().all(|kind| is_label(kind)) {
            let message = "`collect` names kinds of offers: lower-case letters, digits and `-`";
            self.error(&node.span, message.into());
        }
        kinds
    }

    /// `data { backup "prog" "arg"; restore …; check … }`
    pub(super) fn data(&mut self, entry: &Entry) -> DataCommands {
        let mut data = DataCommands::default();
        for field in named(&entry.value) {
            let argv = self.texts(&field.value);
            match field.key.as_str() {
                "backup" => data.backup = argv,
                "restore" => data.restore = argv,
                "check" => data.check = argv,
                _ => self.unknown(field, "`data`", "backup, restore and check"),
            }
        }
        if [&data.backup, &data.restore, &data.check].iter().any(|argv| argv.is_empty()) {
            let message = "`data` has all of `backup`, `restore` and `check`: a program and its \
                           arguments, run inside the container";
            self.error(&entry.key_span, message.into());
        }
        data
    }

    /// `without "read-only" why="…"`: the rules, and the reason.
    pub(super) fn without(&mut self, entry: &Entry) -> (Vec<String>, String) {
        let rules: Vec<String> =
            arguments(&entry.value).filter_map(|word| word.text().map(str::to_owned)).collect();
        let mut why = String::new();
        for field in named(&entry.value) {
            match field.key.as_str() {
                "why" => why = self.text(&field.value),
                _ => self.unknown(field, "`without`", "why"),
            }
        }
        if rules.is_empty() || rules.iter().any(|rule| !RULES.contains(&rule.as_str())) {
            let message = format!("`without` names rules: {}", RULES.join(", "));
            self.error(&entry.key_span, message);
        }
        if why.is_empty() {
            self.error(&entry.key_span, "`without` says in `why` the reason".into());
        }
        (rules, why)
    }
}
