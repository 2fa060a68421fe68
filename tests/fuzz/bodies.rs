//! What is done with a hostile text, and what must hold whatever it says: no panic, places within
//! the text, and what is accepted means the same in every form.
//!
//! Knows the language from outside. Refuses to know the fuzzer: tests/corpus.rs calls this too.
#![allow(dead_code, reason = "each target is a program of its own and uses one of these")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use devnet_catalog::{Bindings, Catalog, Placed};
use devnet_schema::{
    compose,
    diagnostic::Diagnostic,
    file::{self, ClusterFile, Files, load, print, tree::Form},
    name::InstanceId,
    secret::{Part, Text},
    validate::validate,
};

/// The texts that the `kdl` crate is asked about: it takes 3 ms for each KiB.
const JUDGED: usize = 256;

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::builtin);

/// One file of any bytes, and nothing beside it.
struct One<'a> {
    name: &'a str,
    bytes: &'a [u8],
}

impl Files for One<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok((path == self.name).then(|| self.bytes.to_vec()))
    }

    fn list(&self) -> Result<Vec<String>, String> {
        Ok(vec![self.name.to_owned()])
    }
}

/// Every finding has a code and a place that is within the text, and can be drawn.
fn sound(found: &[Diagnostic], text: &str) {
    for finding in found {
        assert!(finding.code.starts_with("DN-") && !finding.message.is_empty(), "{finding:?}");
        if let Some(at) = &finding.at {
            assert!(at.line >= 1 && at.column >= 1 && at.start <= at.end, "{finding:?}");
            assert!(at.end <= text.len(), "{finding:?}");
        }
        let drawn = finding.drawn(Some(text), &|_, text| text.to_owned());
        assert!(!drawn.contains(['\0', '\x1b', '\u{202e}', '\r']), "{drawn:?}");
    }
}

/// Reads a file and checks what it means; gives back the file when it could be read in full.
fn read(name: &str, bytes: &[u8]) -> Option<ClusterFile> {
    let (file, mut found) = load(name, &One { name, bytes });
    let (state, more) = validate(&file, &*CATALOG, &BTreeMap::new());
    found.extend(more);
    let refused = found.iter().any(Diagnostic::is_error);
    assert_eq!(state.is_none(), refused, "a state and an error: {found:?}");
    sound(&found, &String::from_utf8_lossy(bytes));
    (!file.broken).then_some(file)
}

/// What was read, printed in either form, is read as the same and prints as the same.
fn identity(file: &ClusterFile) {
    let both = [("c.kdl", Form::Kdl), ("c.yaml", Form::Yaml)].map(|(name, form)| {
        let text = print(file, form);
        let again = read(name, text.as_bytes()).unwrap_or_else(|| panic!("not read back:\n{text}"));
        assert_eq!(print(&again, form), text, "printed differently");
        again
    });
    assert_eq!(print(&both[0], Form::Kdl), print(&both[1], Form::Kdl), "the forms differ");
}

/// A cluster file in KDL.
pub fn kdl(data: &[u8]) {
    if let Some(file) = read("cluster.kdl", data).filter(|file| data.len() < 4096 && plain(file)) {
        identity(&file);
    }
    let Some(text) = std::str::from_utf8(data).ok().filter(|text| text.len() <= JUDGED) else {
        return;
    };
    let source = file::text("cluster.kdl", text.as_bytes().to_vec(), Form::Kdl);
    if source.is_ok_and(|source| file::from_kdl(&source).is_ok()) {
        assert!(kdl::KdlDocument::parse_v2(text).is_ok(), "the kdl crate refuses {text:?}");
    }
}

/// Whether nothing outside of the file is needed to read it.
fn plain(file: &ClusterFile) -> bool {
    file.sources.len() == 1 && file.cluster.as_ref().is_some_and(|it| it.include.is_empty())
}

/// A cluster file in YAML.
pub fn yaml(data: &[u8]) {
    if let Some(file) = read("cluster.yaml", data).filter(|file| data.len() < 4096 && plain(file)) {
        identity(&file);
    }
}

/// A Compose file.
pub fn compose(data: &[u8]) {
    let Ok(source) = file::text("compose.yaml", data.to_vec(), Form::Yaml) else { return };
    match file::from_yaml(&source) {
        Ok(tree) => {
            let (_, found) = compose::read(&tree, &source, &BTreeSet::new(), &[]);
            sound(&found, &source.text);
        }
        Err(found) => sound(&found, &source.text),
    }
}

/// A text as a template, and the same text as the value of a variable, which nothing may change.
pub fn template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let quoted = serde_json::Value::from(text);
    let file = format!(
        "cluster: {{name: c, vars: {{v: {quoted}}}}}\nservices:\n  a: {{image: \"x:1\", \
         ports: [80], \
         env: {{V: \"{{{{ var.v }}}}\"}}}}\n  b: {{image: \"x:1\", \
         ports: [80], command: [{quoted}], \
         env: {{T: {quoted}}}, files: {{/f: {{content: {quoted}}}}}}}\n"
    );
    let files = BTreeMap::from([("cluster.yaml".to_owned(), file.clone())]);
    let loaded = devnet_catalog::load("cluster.yaml", &files, &BTreeMap::new());
    sound(&loaded.diagnostics, &file);
    let Some(desired) = &loaded.desired else { return };
    let placed = Placed {
        node: "n".parse().expect("a name"),
        node_ip: "10.0.0.1".to_owned(),
        gpus: Vec::new(),
        ports: BTreeMap::from([("main".to_owned(), 20_000)]),
    };
    let instances = ["a", "b"].map(|service| {
        let service = service.parse().expect("a name");
        (InstanceId { service, index: 0 }, placed.clone())
    });
    let bindings = Bindings { instances: instances.into(), secrets: None };
    let rendered = devnet_catalog::render_each(&loaded.catalog, desired, &bindings);
    for (id, result) in rendered {
        match result {
            Ok(spec) if id.service.as_str() == "a" => {
                assert_eq!(said(&spec.env["V"]), text, "a value was changed");
            }
            Ok(spec) if !text.contains("{{") && !text.contains("{%") => {
                assert_eq!(said(&spec.env["T"]), text, "a text was changed");
            }
            Ok(_) => {}
            Err(found) => sound(&found, &file),
        }
    }
}

/// A text without secrets.
fn said(text: &Text) -> String {
    let parts = text.0.iter().map(|part| match part {
        Part::Plain(text) => text.as_str(),
        Part::Secret(_) => "a secret",
    });
    parts.collect()
}
