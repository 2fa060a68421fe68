//! The corpus of the fuzz targets, with every run of the tests: nothing in it panics, and its
//! largest shapes are refused by counting and not by waiting.
//!
//! Knows where the corpus is. Refuses to look for new inputs: the fuzzer does.

#![allow(unreachable_pub, reason = "modules of a test are seen by that test alone")]

#[path = "fuzz/bodies.rs"]
mod bodies;

use std::fs;

use devnet_tests::tree;

fn corpus(target: &str, body: fn(&[u8])) {
    let dir = tree::root().join("tests/fuzz/corpus").join(target);
    let mut seen = 0;
    for entry in fs::read_dir(&dir).expect("the corpus can be listed") {
        let path = entry.expect("an entry").path();
        body(&fs::read(&path).expect("an input"));
        seen += 1;
    }
    assert!(seen >= 10, "{target}: only {seen} inputs");
}

#[test]
fn kdl() {
    corpus("kdl", bodies::kdl);
}

#[test]
fn yaml() {
    corpus("yaml", bodies::yaml);
}

#[test]
fn compose() {
    corpus("compose", bodies::compose);
}

#[test]
fn template() {
    corpus("template", bodies::template);
}
