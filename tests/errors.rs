//! docs/errors.md is true: every code of the source has a section and every section a code, each
//! failing example gives its code and looks as printed, and each mended one gives it no more.
//!
//! Knows how the page is written (its head says so too). Refuses to know why anything is wrong.
//! `UPDATE_EXPECT=1` writes what is printed into the page.

use std::{collections::BTreeMap, collections::BTreeSet, fs, path::PathBuf};

use devnet_catalog::Loaded;
use devnet_planner::{PlanInput, Policy, place};
use devnet_schema::{
    compose,
    diagnostic::Diagnostic,
    file::{self, Files, Limits, discover, tree},
    fleet::FleetSnapshot,
    overrides::Origin,
    plan_options::PlanOptions,
    validate::unchecked_secrets,
};
use devnet_tests::tree as sources;

/// What stands instead of an example where no file can cause the finding.
const NO_EXAMPLE: &str = "No example: ";

fn page() -> PathBuf {
    sources::root().join("docs/errors.md")
}

/// A fenced block: the words after the fence, and the lines within.
#[derive(Debug, Clone)]
struct Block {
    words: Vec<String>,
    text: String,
}

impl Block {
    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|it| it == word)
    }

    /// The values of `NAME=VALUE`.
    fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let start = format!("{name}=");
        self.words.iter().filter_map(move |word| word.strip_prefix(&start))
    }

    fn language(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The file that the block is.
    fn path(&self) -> String {
        let named = self.all("file").next().map(str::to_owned);
        named.unwrap_or_else(|| format!("cluster.{}", self.language()))
    }

    /// What is in that file: as written, or with the bytes that a page cannot hold.
    fn bytes(&self) -> Vec<u8> {
        let mut text = self.text.clone();
        for count in self.all("repeat") {
            let last = text.lines().last().unwrap_or("").to_owned() + "\n";
            text.push_str(&last.repeat(count.parse().expect("a number")));
        }
        if self.has("latin1") {
            return text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect();
        }
        for code in self.all("char") {
            let c =
                u32::from_str_radix(code, 16).ok().and_then(char::from_u32).expect("a character");
            text = text.replace(&format!("<U+{code}>"), &c.to_string());
        }
        text.into_bytes()
    }
}

/// A section: a code, its blocks, and the range of bytes of the block of output.
struct Section {
    code: String,
    text: String,
    blocks: Vec<Block>,
    output: Option<(usize, usize)>,
}

fn sections(page: &str) -> Vec<Section> {
    let mut found: Vec<Section> = Vec::new();
    let (mut at, mut open): (usize, Option<(Block, usize)>) = (0, None);
    for line in page.split_inclusive('\n') {
        let start = at;
        at += line.len();
        let section = found.last_mut();
        match (&mut open, line.strip_prefix("```"), section) {
            (Some(_), Some("\n"), Some(section)) => {
                let (block, from) = open.take().expect("it is open");
                match block.language() {
                    "text" => section.output = Some((from, start)),
                    _ => section.blocks.push(block),
                }
            }
            (Some((block, _)), _, _) => block.text.push_str(line),
            (None, Some(words), Some(_)) => {
                let words = words.split_whitespace().map(str::to_owned).collect();
                open = Some((Block { words, text: String::new() }, at));
            }
            (None, _, section) => {
                if let Some(code) = line.strip_prefix("## DN-") {
                    let code = format!("DN-{}", code.trim_end());
                    let (text, blocks) = (String::new(), Vec::new());
                    found.push(Section { code, text, blocks, output: None });
                } else if let Some(section) = section {
                    section.text.push_str(line);
                }
            }
        }
    }
    assert!(open.is_none(), "a fence is never closed");
    found
}

struct Example(BTreeMap<String, Vec<u8>>);

impl Files for Example {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.get(path).cloned())
    }

    fn list(&self) -> Result<Vec<String>, String> {
        Ok(self.0.keys().cloned().collect())
    }
}

/// Everything that is found in an example, in the order in which it is printed.
fn run(blocks: &[&Block]) -> (Vec<Diagnostic>, BTreeMap<String, Vec<u8>>) {
    let files: BTreeMap<String, Vec<u8>> =
        blocks.iter().map(|block| (block.path(), block.bytes())).collect();
    if let Some(block) = blocks.iter().find(|block| block.has("compose")) {
        let found = compose_findings(&block.path(), block.bytes());
        return (found, files);
    }
    let mut limits = Limits::default();
    let mut given = Vec::new();
    for block in blocks {
        block.all("limit").for_each(|setting| limits.set(setting).expect("a limit"));
        for (attribute, origin) in [("var", Origin::Flag), ("env", Origin::Environment)] {
            let pairs = block.all(attribute).filter_map(|var| var.split_once('='));
            given.extend(pairs.map(|(k, v)| (k.to_owned(), v.to_owned(), origin.clone())));
        }
    }
    let example = Example(files);
    let named = blocks.iter().find_map(|block| block.all("root").next());
    let root = match named.map_or_else(|| discover(&example), |root| Ok(root.to_owned())) {
        Ok(root) => root,
        Err(found) => return (vec![found], example.0),
    };
    let mut loaded =
        devnet_catalog::load_within(&root, &example, &given.into_iter().collect(), &limits);
    let mut found = std::mem::take(&mut loaded.diagnostics);
    if blocks.iter().any(|block| block.has("unchecked")) {
        found.extend(unchecked_secrets(&loaded.secrets));
    }
    found.extend(plan_findings(&loaded, &example.0, blocks));
    (found, example.0)
}

fn compose_findings(path: &str, bytes: Vec<u8>) -> Vec<Diagnostic> {
    let source = file::text(path, bytes, tree::Form::Yaml).expect("text");
    match file::from_yaml(&source) {
        Ok(tree) => compose::read(&tree, &source, &BTreeSet::new(), &[]).1,
        Err(found) => found,
    }
}

/// The fleet at the head of the page.
fn usual_fleet() -> Vec<u8> {
    let text = fs::read_to_string(page()).expect("docs/errors.md");
    let block = text.split("```json fleet\n").nth(1).and_then(|rest| rest.split("```").next());
    block.expect("the page shows a fleet").as_bytes().to_vec()
}

/// What planning says, for examples that come with a fleet or use that of the page.
fn plan_findings(
    loaded: &Loaded,
    files: &BTreeMap<String, Vec<u8>>,
    blocks: &[&Block],
) -> Vec<Diagnostic> {
    let planned = blocks.iter().any(|block| block.has("planned")).then(usual_fleet);
    let fleet = files.get("fleet.json").cloned().or(planned);
    let (Some(desired), Some(fleet)) = (&loaded.desired, fleet) else {
        return Vec::new();
    };
    let fleet: FleetSnapshot = serde_json::from_slice(&fleet).expect("a fleet");
    let texts = |name: &str| -> Vec<String> {
        blocks.iter().flat_map(|block| block.all(name)).map(str::to_owned).collect()
    };
    let options = PlanOptions {
        target: texts("target"),
        allow_unplaced: blocks.iter().any(|block| block.has("allow-unplaced")),
        ..PlanOptions::default()
    };
    let prune = !blocks.iter().any(|block| block.has("keep"));
    let plan = devnet_planner::plan(&PlanInput {
        desired,
        catalog: &loaded.catalog,
        fleet: &fleet,
        revision: "example",
        generations: &BTreeMap::new(),
        options,
        policy: Policy { prune, ..Policy::default() },
        limits: place::Limits::default(),
        created_at: "2026-11-22T12:00:00Z",
    });
    plan.diagnostics
}

/// What is printed of the findings with the section's code.
fn printed(code: &str, blocks: &[&Block]) -> Result<String, String> {
    let (found, files) = run(blocks);
    let named = |path: &str| String::from_utf8(files.get(path)?.clone()).ok();
    let others: Vec<&Diagnostic> = found.iter().filter(|it| it.code != code).collect();
    if !blocks.iter().any(|block| block.has("among")) && !others.is_empty() {
        return Err(format!("{code}: its example gives other findings too: {others:#?}"));
    }
    let dumb = found.iter().find(|found| found.code == code && found.help.is_none());
    if let Some(dumb) = dumb {
        return Err(format!("{code} does not say what to do: {dumb:?}"));
    }
    let drawn = found.iter().filter(|it| it.code == code).map(|found| {
        let text = found.at.as_ref().and_then(|at| named(&at.file));
        found.drawn(text.as_deref(), &|_, text| text.to_owned())
    });
    Ok(drawn.collect::<Vec<_>>().join("\n"))
}

/// Checks a section; gives what its block of output should hold.
fn check(section: &Section) -> Result<Option<String>, String> {
    let Section { code, text, blocks, output } = section;
    let of = |kind: &str| -> Vec<&Block> {
        blocks.iter().filter(|block| block.has(kind) || block.has("both")).collect()
    };
    let (fails, mended) = (of("fails"), of("mended"));
    if fails.is_empty() && text.contains(NO_EXAMPLE) {
        return Ok(None);
    }
    if fails.is_empty() || mended.is_empty() || output.is_none() {
        return Err(format!("{code} has no failing example, no output, or no mended example"));
    }
    let shown = printed(code, &fails)?;
    if shown.is_empty() {
        return Err(format!("{code}: its failing example does not give it: {:#?}", run(&fails).0));
    }
    let (left, _) = run(&mended);
    let noisy = mended.iter().any(|block| block.has("among"));
    let left: Vec<&Diagnostic> = left.iter().filter(|it| !noisy || it.code == *code).collect();
    if !left.is_empty() {
        return Err(format!("{code}: its mended example is not valid: {left:#?}"));
    }
    Ok(Some(shown))
}

#[test]
fn every_example_gives_its_code_and_every_mended_one_is_valid() {
    let text = fs::read_to_string(page()).expect("docs/errors.md");
    let (mut expected, mut wrong) = (text.clone(), Vec::new());
    for section in sections(&text).iter().rev() {
        match (check(section), section.output) {
            (Ok(Some(shown)), Some((from, to))) => expected.replace_range(from..to, &shown),
            (Ok(_), _) => {}
            (Err(why), _) => wrong.push(why),
        }
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(page(), &expected).expect("docs/errors.md can be written");
        expected.clone_from(&text);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let differs = text.lines().zip(expected.lines()).find(|(is, should)| is != should);
    assert!(text == expected, "docs/errors.md is not what is printed: {differs:#?}");
}

/// The codes that shipped code says: `"DN-E0101"` as a whole text.
fn codes() -> BTreeSet<String> {
    let dirs =
        ["schema/src", "catalog/src", "reconciler/planner/src", "reconciler/src", "agent/src"];
    let mut codes = BTreeSet::new();
    for source in sources::rust_files(&dirs).iter().filter(|source| !source.is_test()) {
        for rest in source.shipped().split("\"DN-").skip(1) {
            codes.insert(format!("DN-{}", rest.split('"').next().unwrap_or("")));
        }
    }
    codes
}

#[test]
fn every_code_has_a_section_and_every_section_a_code() {
    let text = fs::read_to_string(page()).expect("docs/errors.md");
    let listed: Vec<String> = sections(&text).into_iter().map(|section| section.code).collect();
    let unique: BTreeSet<String> = listed.iter().cloned().collect();
    assert_eq!(listed.len(), unique.len(), "a code has two sections");
    let codes = codes();
    let missing: Vec<&String> = codes.difference(&unique).collect();
    let gone: Vec<&String> = unique.difference(&codes).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "without a section: {missing:?}; gone: {gone:?}"
    );
}
