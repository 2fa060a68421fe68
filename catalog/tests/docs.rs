//! What the documentation shows is followed word for word.

use std::{collections::BTreeMap, fs, path::Path};

use devnet_catalog::{Trial, compose, lint, load, trial};
use devnet_schema::diagnostic::Diagnostic;

/// A fenced block: the words after the fence, and the text within.
struct Block {
    words: Vec<String>,
    text: String,
}

impl Block {
    /// The value of `NAME=VALUE`.
    fn value(&self, name: &str) -> Option<&str> {
        self.words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }
}

fn blocks(page: &str) -> Vec<Block> {
    let mut all = Vec::new();
    let mut open: Option<(String, Block)> = None;
    for line in page.lines() {
        match &mut open {
            Some((fence, block)) if line.trim() == fence.as_str() => {
                all.push(Block {
                    words: block.words.clone(),
                    text: std::mem::take(&mut block.text),
                });
                open = None;
            }
            Some((_, block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            None => {
                let fence: String = line.chars().take_while(|c| *c == '`').collect();
                if fence.len() >= 3 {
                    let words = line[fence.len()..].split_whitespace().map(str::to_owned);
                    open = Some((fence, Block { words: words.collect(), text: String::new() }));
                }
            }
        }
    }
    all
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn shown(found: &[Diagnostic]) -> Vec<String> {
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn a_component_written_from_nothing_as_the_page_says_is_one() {
    let page = blocks(&read("../docs/catalog.md"));
    let written =
        page.iter().filter_map(|it| Some((it.value("file")?.to_owned(), it.text.clone())));
    let files: BTreeMap<String, String> = written.collect();
    assert_eq!(files.len(), 4, "{:?}", files.keys());
    let found = lint("catalog/guestbook", &files);
    assert!(found.is_empty(), "{:?}", shown(&found));
    let loaded = load("cluster.kdl", &files, &BTreeMap::new());
    assert!(loaded.desired.is_some(), "{:?}", shown(&loaded.diagnostics));
    assert!(loaded.diagnostics.is_empty(), "{:?}", shown(&loaded.diagnostics));
    // `devnet catalog render guestbook -set title="Who was here"`
    let set = [("title".to_owned(), "Who was here".to_owned())].into();
    let component = "guestbook".to_owned();
    let wanted = Trial { component, version: None, set, replicas: 1 };
    let document = compose(&trial(&loaded.catalog, &wanted).specs);
    assert!(document.contains("TITLE: \"Who was here\""), "{document}");
    assert!(document.contains("(sensitive value guestbook-password v0)"), "{document}");
    // What the lint says when a line is forgotten.
    let told = page.iter().find(|it| it.words.iter().any(|word| word == "lint")).unwrap();
    let mut files = files;
    let template = files.get_mut("catalog/guestbook/compose.yml.tera").unwrap();
    let line = told.value("without").unwrap();
    *template = template
        .lines()
        .filter(|it| !it.contains(line))
        .fold(String::new(), |all, line| all + line + "\n");
    let found = lint("catalog/guestbook", &files);
    let said: Vec<String> = found
        .iter()
        .map(|it| format!("{}: {}\n", it.at.as_ref().map_or("", |at| &at.file), it.message))
        .collect();
    assert_eq!(said.concat(), told.text);
}

#[test]
fn every_example_of_a_component_is_valid() {
    let components = Path::new(env!("CARGO_MANIFEST_DIR")).join("components");
    for home in fs::read_dir(components).unwrap() {
        let name = home.unwrap().file_name().into_string().unwrap();
        let page = blocks(&read(&format!("components/{name}/README.md")));
        let examples: Vec<&Block> = page.iter().filter(|it| it.words == ["kdl"]).collect();
        assert!(!examples.is_empty(), "{name} has no example");
        for example in examples {
            let text = format!("cluster \"t\"\n{}", example.text);
            assert!(text.contains(&format!("component \"{name}\"")), "{name}: {text}");
            let page = ("site/index.html".to_owned(), "<h1>Here</h1>".to_owned());
            let files = BTreeMap::from([("cluster.kdl".to_owned(), text), page]);
            let loaded = load("cluster.kdl", &files, &BTreeMap::new());
            let errors: Vec<Diagnostic> =
                loaded.diagnostics.into_iter().filter(Diagnostic::is_error).collect();
            assert!(errors.is_empty(), "{name}: {:?}", shown(&errors));
        }
    }
}
