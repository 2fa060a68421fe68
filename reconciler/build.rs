//! Puts the web UI into the program: a table of the files in `ui/dist`, each as it is, and as its
//! own build compressed it.
//!
//! Knows the standard library only. Refuses to build the UI (`make ui` does, with Node), and to
//! fail where nobody did: then the table is empty, and the program says how to get one.

use std::{
    env,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
};

fn main() -> io::Result<()> {
    let here = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let out = env::var_os("OUT_DIR").map(PathBuf::from).unwrap_or_default();
    let dist = here.join("ui/dist");
    println!("cargo:rerun-if-changed=build.rs");
    // A path that is not there counts as changed each time: then what it would appear in is
    // watched.
    let watched = ["ui/dist", "ui", "."].into_iter().find(|path| here.join(path).is_dir());
    println!("cargo:rerun-if-changed={}", watched.unwrap_or("."));
    let mut table = String::from("&[\n");
    if env::var_os("CARGO_FEATURE_UI").is_some() && dist.is_dir() {
        let mut files = Vec::new();
        walk(&dist, &mut files)?;
        files.sort();
        for file in &files {
            entry(&dist, file, &mut table);
        }
    }
    table.push_str("]\n");
    fs::write(out.join("ui.rs"), table)
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let packed = path.extension().is_some_and(|end| end == "br" || end == "gz");
        if path.is_dir() {
            walk(&path, files)?;
        } else if !hidden && !packed {
            files.push(path);
        }
    }
    Ok(())
}

fn entry(dist: &Path, file: &Path, table: &mut String) {
    let Ok(inside) = file.strip_prefix(dist) else { return };
    let packed = |end: &str| {
        let mut path = file.as_os_str().to_owned();
        path.push(end);
        match Path::new(&path).is_file() {
            true => format!("Some(include_bytes!({path:?}))"),
            false => "None".to_owned(),
        }
    };
    let (brotli, gzip) = (packed(".br"), packed(".gz"));
    let name = inside.to_string_lossy().replace('\\', "/");
    let text = format!("path: {name:?}, plain: include_bytes!({file:?}), br: {brotli}, gz: {gzip}");
    // Writing into a text cannot fail.
    let _ = writeln!(table, "    File {{ {text} }},");
}
