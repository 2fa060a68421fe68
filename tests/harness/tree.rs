//! The source tree: its files and their lines.
//!
//! Knows where the workspace is. Refuses to read anything that git would ignore.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The top of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("tests/ stands in the workspace").to_path_buf()
}

/// A source file.
pub struct Source {
    /// Relative to the top, `/`-separated.
    pub path: String,
    /// Its text.
    pub text: String,
}

impl Source {
    /// The text before `#[cfg(test)]`: what ships.
    pub fn shipped(&self) -> &str {
        self.text.split("#[cfg(test)]").next().unwrap_or("")
    }

    /// Whether the whole file is test code.
    pub fn is_test(&self) -> bool {
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.ends_with("tests.rs")
            || self.path.ends_with("_test.rs")
            || self.path.contains("/benches/")
            || self.text.contains("\n#![cfg(test)]\n")
    }
}

/// Every Rust file below the given directories, sorted.
pub fn rust_files(dirs: &[&str]) -> Vec<Source> {
    let top = root();
    let mut found = Vec::new();
    for dir in dirs {
        walk(&top.join(dir), &mut found);
    }
    found.sort();
    found
        .into_iter()
        .map(|path| Source {
            text: fs::read_to_string(&path).expect("a source file is readable text"),
            path: path
                .strip_prefix(&top)
                .expect("found below the top")
                .to_string_lossy()
                .replace('\\', "/"),
        })
        .collect()
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    for entry in entries {
        let path = entry.expect("a directory can be listed").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && name != "node_modules" && !name.starts_with('.') {
                walk(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}
