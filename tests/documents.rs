//! What the documents say of the repository is so: links lead somewhere, the files and functions
//! that CONTRIBUTING.md names are there, every design record is listed with its status, and
//! docs/placement.md shows what the program prints.
//!
//! Knows how these pages are written. Refuses to judge what they explain.
//! `UPDATE_EXPECT=1` writes what is printed into docs/placement.md.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use devnet_tests::{
    fleet,
    process::{binary, run},
    tree,
};

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page: those at the top, and those below docs/.
fn pages() -> Vec<PathBuf> {
    let top = tree::root();
    let mut found: Vec<PathBuf> = [top.clone(), top.join("docs"), top.join("docs/design")]
        .iter()
        .flat_map(|dir| fs::read_dir(dir).expect("it can be listed"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    found.sort();
    assert!(found.len() > 15, "only {} pages", found.len());
    found
}

/// A page without its blocks of code.
fn prose(page: &str) -> String {
    let lines = page.lines();
    let (mut open, mut kept) = (false, String::new());
    for line in lines {
        if line.trim_start().starts_with("```") {
            open = !open;
        } else if !open {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// What can stand behind `#` in a link to a page.
fn anchors(page: &str) -> BTreeSet<String> {
    let of_heading = |line: &str| -> Option<String> {
        let heading = line.strip_prefix('#')?.trim_start_matches('#').trim();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
    };
    let named = page.split("<a id=\"").skip(1).filter_map(|rest| rest.split('"').next());
    prose(page).lines().filter_map(of_heading).chain(named.map(str::to_owned)).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    for path in pages() {
        let text = read(&path);
        for rest in prose(&text).split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let to = match file {
                "" => path.clone(),
                file => path.parent().expect("a page is in a directory").join(file),
            };
            let there = to.exists() && (anchor.is_empty() || anchors(&read(&to)).contains(anchor));
            if !there {
                wrong.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What stands between single backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

#[test]
fn the_files_and_functions_that_contributors_are_sent_to_are_there() {
    const TOP: [&str; 8] = [
        "schema/",
        "catalog/",
        "reconciler/",
        "agent/",
        "tests/",
        "docs/",
        "scripts/",
        "examples/",
    ];
    let (mut seen, mut wrong) = (0, Vec::new());
    for line in read(&tree::root().join("CONTRIBUTING.md")).lines() {
        let paths: Vec<&str> =
            quoted(line).filter(|it| TOP.iter().any(|top| it.starts_with(top))).collect();
        for path in &paths {
            seen += 1;
            if !tree::root().join(path).exists() {
                wrong.push(format!("there is no {path}"));
            }
        }
        // In a row of a table, functions are those of the file that the row begins with.
        let Some(file) = paths.first().filter(|it| line.starts_with("| `") && it.ends_with(".rs"))
        else {
            continue;
        };
        let text = fs::read_to_string(tree::root().join(file)).unwrap_or_default();
        let own = line.split(';').next().unwrap_or(line);
        for name in quoted(own).filter_map(|it| it.strip_suffix("()")) {
            seen += 1;
            if !text.contains(&format!("fn {name}(")) && !text.contains(&format!("fn {name}<")) {
                wrong.push(format!("{file} has no function {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 60, "only {seen} files and functions are named");
}

#[test]
fn every_design_record_has_a_status_and_is_listed() {
    let dir = tree::root().join("docs/design");
    let index = read(&dir.join("README.md"));
    let mut records = 0;
    for entry in fs::read_dir(&dir).expect("the records can be listed") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if name == "README.md" {
            continue;
        }
        records += 1;
        let text = read(&path);
        let title = text.lines().next().and_then(|line| line.strip_prefix("# ")).expect("a title");
        let status = text.lines().find_map(|line| line.strip_prefix("Status: "));
        let status = status.unwrap_or_else(|| panic!("{name} has no line `Status: …`"));
        let title = title.split_once(". ").map_or(title, |(_, words)| words);
        for wanted in [format!("]({name})"), title.to_owned(), status.to_owned()] {
            assert!(index.contains(&wanted), "docs/design/README.md lacks {wanted}");
        }
    }
    assert!(records >= 4, "only {records} records");
}

/// A block of code: the words behind its fence, and where its text is.
struct Block<'a> {
    words: Vec<&'a str>,
    from: usize,
    to: usize,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let (mut found, mut open, mut at) = (Vec::new(), None, 0);
    for line in page.split_inclusive('\n') {
        let start = at;
        at += line.len();
        match (open.take(), line.strip_prefix("```")) {
            (None, Some(words)) => open = Some((words.split_whitespace().collect(), at)),
            (Some((words, from)), Some(_)) => found.push(Block { words, from, to: start }),
            (still, _) => open = still,
        }
    }
    assert!(open.is_none(), "a fence is never closed");
    found
}

/// Runs the commands of a block and gives it with what they print. How long a search took is left
/// out: it is never the same.
fn printed(dir: &Path, block: &str, from: Option<&str>) -> String {
    let mut out = String::new();
    for command in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let words: Vec<&str> = command.split_whitespace().collect();
        let mut process = Command::new(binary(words[0]));
        process.args(&words[1..]).current_dir(dir).env_clear().env("HOME", dir);
        // Advice on what to type next is for terminals.
        process.env("DEVNET_IN_AUTOMATION", "1");
        let output = run(&mut process);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).expect("it prints text");
        let lines =
            text.trim().lines().skip_while(|line| from.is_some_and(|it| !line.starts_with(it)));
        out.push_str(&format!("$ {command}\n"));
        for line in lines {
            let timed = line.starts_with("Placement:") && line.ends_with("s).");
            let line = match line.rsplit_once(", ").filter(|_| timed) {
                Some((head, _)) => format!("{head})."),
                None => line.trim_end().to_owned(),
            };
            out.push_str(&line);
            out.push('\n');
        }
    }
    out
}

/// The fleet once the plan of the files was applied.
fn apply(dir: &Path) {
    let args = ["plan", "--fleet=fleet.json", "-out=next.plan", "-allow-unplaced"];
    let mut process = Command::new(binary("devnet"));
    run(process.args(args).current_dir(dir).env_clear().env("HOME", dir));
    let fleet = fleet::after(&dir.join("next.plan"), &read(&dir.join("fleet.json")));
    fs::write(dir.join("fleet.json"), fleet).expect("a file can be written");
    fs::remove_file(dir.join("next.plan")).expect("the plan was saved");
}

/// Blocks that say `kdl cluster` and `json fleet` are the files of the blocks that follow them.
/// `console` runs what stands behind `$`, `from=WORD` shows what is printed from the line on that
/// begins so, and behind `applied` the plan of these files has been applied.
#[test]
fn the_page_about_placement_shows_what_is_printed() {
    let path = tree::root().join("docs/placement.md");
    let text = read(&path);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut expected, mut run) = (Vec::new(), 0);
    for block in blocks(&text) {
        let body = &text[block.from..block.to];
        let write = |name: &str| fs::write(dir.path().join(name), body).expect("it can be written");
        match block.words.first().copied() {
            Some("kdl") if block.words.contains(&"cluster") => write("cluster.kdl"),
            Some("json") if block.words.contains(&"fleet") => write("fleet.json"),
            Some("console") => {
                let from = block.words.iter().find_map(|word| word.strip_prefix("from="));
                expected.push((block.from, block.to, printed(dir.path(), body, from)));
                run += 1;
            }
            _ => {}
        }
        if block.words.contains(&"applied") {
            apply(dir.path());
        }
    }
    let mut page = text.clone();
    for (from, to, printed) in expected.iter().rev() {
        page.replace_range(*from..*to, printed);
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &page).expect("docs/placement.md can be written");
        return;
    }
    let differs = text.lines().zip(page.lines()).find(|(is, should)| is != should);
    assert!(text == page, "docs/placement.md is not what is printed: {differs:#?}");
    assert!(run >= 6, "only {run} examples");
}
