//! Links the C++ library into the program where the machine has it as an archive, so that `devnet`
//! runs where no `libstdc++.so` is installed and starts sooner (a millisecond of symbol lookups).
//!
//! Knows the C++ compiler's name. Refuses to fail: without the archive, the shared library is used.

use std::{env, fs, path::PathBuf, process::Command};

fn main() {
    println!("cargo:rerun-if-env-changed=CXX");
    println!("cargo:rerun-if-changed=build.rs");
    let set = |name: &str| env::var_os(name).is_some();
    if set("CARGO_FEATURE_HIGHS") && env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        archive_alone();
    }
}

/// Puts a directory first in the search that holds the archive and nothing else: the linker prefers
/// a shared library only within one directory.
fn archive_alone() -> Option<()> {
    let compiler = env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let output = Command::new(compiler).arg("-print-file-name=libstdc++.a").output().ok()?;
    let archive = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim());
    // A compiler that has no such file prints the bare name.
    if !archive.is_absolute() || !archive.is_file() {
        return None;
    }
    let alone = PathBuf::from(env::var_os("OUT_DIR")?).join("archive");
    fs::create_dir_all(&alone).ok()?;
    let link = alone.join("libstdc++.a");
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(archive, &link).ok()?;
    println!("cargo:rustc-link-search=native={}", alone.display());
    Some(())
}
