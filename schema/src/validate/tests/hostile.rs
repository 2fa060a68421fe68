//! Files that mean harm.

use expect_test::{Expect, expect};

use super::*;
use crate::file::Files;

/// The findings for a file of raw bytes.
fn bytes(name: &str, bytes: Vec<u8>) -> String {
    struct One(Vec<u8>);
    impl Files for One {
        fn read(&self, _: &str) -> Result<Option<Vec<u8>>, String> {
            Ok(Some(self.0.clone()))
        }

        fn list(&self) -> Result<Vec<String>, String> {
            Err("there is no list".to_owned())
        }
    }
    let (file, found) = load(name, &One(bytes));
    assert!(file.broken);
    shown(&found)
}

/// Everything here runs on a small stack, like the 2 MiB of a worker of the control plane.
fn refused(name: &str, text: String, expected: Expect) {
    let found = bytes(name, text.into_bytes());
    // What stands before is judged as usual, and is not what this is about.
    let lines: Vec<&str> = found.lines().collect();
    let own = lines.chunks(2).filter(|pair| !pair[0].contains("DN-E0201"));
    let own: String = own.map(|pair| pair.join("\n") + "\n").collect();
    expected.assert_eq(&own);
}

#[test]
fn what_is_no_text_is_refused() {
    expect![[r#"
        c.kdl:1:9: error[DN-E0102]: the file is not UTF-8
          help: save it with the encoding UTF-8
    "#]]
    .assert_eq(&bytes("c.kdl", b"cluster \xff".to_vec()));
    expect![[r#"
        c.kdl:1:9: error[DN-E0103]: the character U+0000 is not allowed in a file
          help: remove it; inside a quoted text it can be written as an escape
    "#]]
    .assert_eq(&bytes("c.kdl", b"cluster \0".to_vec()));
    expect![[r#"
        c.yaml:1:1: error[DN-E0102]: the file is not UTF-8
          help: save it with the encoding UTF-8
    "#]]
    .assert_eq(&bytes("c.yaml", vec![0xfe, 0xff, 0, 0x63]));
}

#[test]
fn what_is_too_large_or_too_deep_is_refused() {
    refused(
        "c.kdl",
        "a\n".repeat(200_000),
        expect![[r#"
        c.kdl:1:1: error[DN-E0101]: the file has 400000 bytes; 262144 are allowed
          help: split it and name the parts with `include`
    "#]],
    );
    refused(
        "c.yaml",
        "a\n".repeat(2_000_000),
        expect![[r#"
        c.yaml:1:1: error[DN-E0101]: the file has 4000000 bytes; 1048576 are allowed
          help: split it and name the parts with `include`
    "#]],
    );
    refused(
        "c.kdl",
        "a {".repeat(80_000),
        expect![[r#"
            c.kdl:1:195: error[DN-E0105]: more than 64 blocks are open here
              help: nest less deeply
        "#]],
    );
    refused(
        "c.kdl",
        "a {".repeat(65) + &"}".repeat(65),
        expect![[r#"
            c.kdl:1:195: error[DN-E0105]: more than 64 blocks are open here
              help: nest less deeply
        "#]],
    );
    refused(
        "c.kdl",
        "/*".repeat(50_000),
        expect![[r#"
            c.kdl:1:1: error[DN-E0104]: this comment is never closed
              help: close it with `*/`
        "#]],
    );
    refused(
        "c.yaml",
        "[".repeat(500_000),
        expect![[r#"
        c.yaml:1:256: error[DN-E0105]: more than 64 lists and maps are open here
          help: nest less deeply
    "#]],
    );
    refused(
        "c.yaml",
        "- ".repeat(500_000),
        expect![[r#"
        c.yaml:1:129: error[DN-E0105]: more than 64 lists and maps are open here
          help: nest less deeply
    "#]],
    );
    refused(
        "c.yaml",
        "{a: ".repeat(70) + "1" + &"}".repeat(70),
        expect![[r#"
        c.yaml:1:257: error[DN-E0105]: more than 64 lists and maps are open here
          help: nest less deeply
    "#]],
    );
}

#[test]
fn limits_can_be_set_and_hold_before_anything_is_planned() {
    let text = "cluster c\nservice a { image x:1; replicas 3; }\nservice b { image x:1; }\n";
    let refused = |setting: &str| {
        let mut limits = crate::file::Limits::default();
        limits.set(setting).unwrap();
        let (file, found) = crate::file::load_within("c.kdl", &files("c.kdl", text), &limits);
        assert_eq!(file.broken, !found.is_empty(), "{setting}");
        shown(&found)
    };
    let all = ["services=1", "instances=3", "instances=4", "kdl-file=20B", "total=30B", "depth=8"];
    let all = all.into_iter().chain(["replicas=2", "all-values=10"]);
    expect![[r#"
        c.kdl:1:1: error[DN-E0117]: more than 1 services
          help: use several clusters, or raise the limit `services`
        c.kdl:3:9: error[DN-E0117]: more than 3 instances
          help: ask for less, or raise the limit `instances`
        c.kdl:1:1: error[DN-E0101]: the file has 72 bytes; 20 are allowed
          help: split it and name the parts with `include`
        error[DN-E0101]: the files together have more than 30 bytes
          help: include less
        c.kdl:2:33: error[DN-E0117]: more than 2 instances of one service
          help: ask for less, or raise the limit `replicas`
        c.kdl:3:18: error[DN-E0117]: here the files together exceed the values that they may have
          help: include less, or raise the limit `all-values`
    "#]]
    .assert_eq(&all.map(refused).collect::<String>());
}

/// Many small files must not add up to what one large file may not have.
#[test]
fn values_are_counted_in_all_files_together() {
    let list = "services: {PART: {image: 'x:1', depends-on: [a, b, c, d, e, f]}}\n";
    let shop = "x-a: &a [1, 2, 3, 4, 5]\nx-b: [*a, *a, *a]\nservices: {s: {image: x}}\n";
    let mut files = MemoryFiles::new();
    files.insert("c.kdl".into(), "cluster c { include p.yaml q.yaml; }".into());
    files.insert("p.yaml".into(), list.replace("PART", "p"));
    files.insert("q.yaml".into(), list.replace("PART", "q"));
    let told = |files: &MemoryFiles, setting: &str| {
        let mut limits = crate::file::Limits::default();
        limits.set(setting).unwrap();
        shown(&crate::file::load_within("c.kdl", files, &limits).1)
    };
    assert_eq!(told(&files, "all-values=35"), "");
    assert!(told(&files, "all-values=30").starts_with("q.yaml:1:"), "the second is one too many");
    files.insert("c.kdl".into(), "cluster c\nservice a { compose s.yml; }\n".into());
    files.insert("s.yml".into(), shop.into());
    assert_eq!(told(&files, "all-values=100"), "");
    assert!(told(&files, "all-values=20").contains("c.kdl:2:21: error[DN-E0117]"));
}

#[test]
fn names_that_hide_what_they_are_are_refused() {
    let text = "cluster: c\nnodes: {\"n\\u202e\": {}}\nservices:\n  \"-a\": {image: 'x:1'}\n  \
                \"b\\x1b[2J\": {image: 'x:1'}\n  d: {process: ['-x'], env: {'-E': x}, volumes: \
                {\"v\\u202e\": {at: \"/\\u202e\"}}, place: {require: [{tag: \"\\u2066x\"}]}}\n";
    let (_, found) = read("c.yaml", text);
    let lines: Vec<String> = found.iter().map(|it| format!("{}\n", it.message)).collect();
    expect![[r#"
        `n\u{202e}` is not a node name
        `-a` is not a service name
        `b\u{1b}[2J` is not a service name
        `-x` is not a program
        `-E` is not an environment variable's name
        `v\u{202e}` is not a volume name
        `/\u{202e}` is no path for this
        `\u{2066}x` is not a tag
    "#]]
    .assert_eq(&lines.concat());
    assert!(lines.iter().all(|line| !line.trim_end().contains(crate::file::forbidden)));
    let mut files = files("c.kdl", "cluster c { include \"*.kdl\"; }\nservice a { image x:1; }");
    files.insert("-o.kdl".into(), "service b { image x:1; }".into());
    files.insert("x\u{202e}ldk.kdl".into(), "service d { image x:1; }".into());
    expect![[r#"
        c.kdl:1:21: error[DN-E0116]: `-o.kdl` is no name for a file here
          help: rename it: no control characters, no change of direction, no `-` first
        c.kdl:1:21: error[DN-E0116]: `x\u{202e}ldk.kdl` is no name for a file here
          help: rename it: no control characters, no change of direction, no `-` first
    "#]]
    .assert_eq(&shown(&load("c.kdl", &files).1));
}

#[test]
fn slashdash_bombs_are_refused_before_they_are_parsed() {
    refused(
        "c.kdl",
        "a /-{".repeat(16),
        expect![[r#"
            c.kdl:1:15: error[DN-E0105]: more than 2 blocks behind `/-` are open here
              help: use /* … */ around the block
        "#]],
    );
    refused(
        "c.kdl",
        "a /-{".repeat(14) + &"}".repeat(14),
        expect![[r#"
            c.kdl:1:15: error[DN-E0105]: more than 2 blocks behind `/-` are open here
              help: use /* … */ around the block
        "#]],
    );
    refused(
        "c.kdl",
        "a /-\n{".repeat(14) + &"}".repeat(14),
        expect![[r#"
            c.kdl:4:1: error[DN-E0105]: more than 2 blocks behind `/-` are open here
              help: use /* … */ around the block
        "#]],
    );
    refused(
        "c.kdl",
        "/- a \\\n {".repeat(14) + &"}".repeat(14),
        expect![[r#"
        c.kdl:4:2: error[DN-E0105]: more than 2 blocks behind `/-` are open here
          help: use /* … */ around the block
    "#]],
    );
    refused(
        "c.kdl",
        "/- a \\ // x\n {".repeat(14) + &"}".repeat(14),
        expect![[r#"
        c.kdl:4:2: error[DN-E0105]: more than 2 blocks behind `/-` are open here
          help: use /* … */ around the block
    "#]],
    );
    refused(
        "c.kdl",
        "/-/*;*/ a b=\";\" {".repeat(14) + &"}".repeat(14),
        expect![[r#"
        c.kdl:1:51: error[DN-E0105]: more than 2 blocks behind `/-` are open here
          help: use /* … */ around the block
    "#]],
    );
}

#[test]
fn alias_bombs_are_refused() {
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    let mut deep = "a0: &a0 [x]\n".to_owned();
    for level in 1..70 {
        let before = level - 1;
        laughs +=
            &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{before}"); 10].join(", "));
        deep += &format!("a{level}: &a{level} [*a{before}]\n");
    }
    refused(
        "c.yaml",
        laughs,
        expect![[r#"
            c.yaml:5:40: error[DN-E0105]: aliases repeat more than 100000 values
              help: use fewer aliases
        "#]],
    );
    refused(
        "c.yaml",
        deep,
        expect![[r#"
            c.yaml:63:12: error[DN-E0105]: more than 64 lists and maps are open here
              help: nest less deeply
        "#]],
    );
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 1000].join(", "));
    refused(
        "c.yaml",
        long,
        expect![[r#"
            c.yaml:2:333: error[DN-E0105]: aliases repeat more than 8388608 bytes of text
              help: use fewer aliases
        "#]],
    );
}

#[test]
fn many_errors_are_cut_short() {
    let text = "cluster c\n".to_owned() + &"banana 1\n".repeat(20_000);
    let found = bytes("c.kdl", text.into_bytes());
    assert_eq!(found.matches("has no field `banana`").count(), 100);
    assert!(found.contains("error[DN-E0200]: 19900 more errors are not shown"), "{found}");
}

#[test]
fn half_a_file_is_refused_or_means_what_it_says_and_never_panics() {
    for (name, text) in [("c.kdl", FULL_KDL), ("c.yaml", FULL_YAML)] {
        assert!(text.is_ascii(), "every offset is the start of a character");
        for end in 0..text.len() {
            let (state, found) = read(name, &text[..end]);
            let refused = found.iter().any(Diagnostic::is_error);
            assert_eq!(state.is_none(), refused, "{name} {end}");
        }
    }
}

/// What the limits let through must fit the stack of a test thread, 2 MiB, without optimisation.
#[test]
fn the_deepest_allowed_files_are_read() {
    let kdl = "a {".repeat(64) + &"}".repeat(64);
    assert!(bytes("c.kdl", kdl.into_bytes()).contains("a file has no field `a`"));
    let commented = "/-a {/-b {".to_owned() + &"c {".repeat(62) + &"}".repeat(64);
    assert!(bytes("c.kdl", commented.into_bytes()).contains("declares nothing"));
    let yaml = "[".repeat(63) + &"]".repeat(63);
    let found = bytes("c.yaml", format!("a: {yaml}").into_bytes());
    assert!(found.contains("a file has no field `a`"), "{found}");
}

#[test]
fn long_chains_overflow_no_stack() {
    let mut text = "cluster: c\nservices:\n  s0: {image: 'x:1'}\n".to_owned();
    for n in 1..5000 {
        text += &format!("  s{n}: {{image: 'x:1', depends-on: [s{}]}}\n", n - 1);
    }
    let (state, found) = read("c.yaml", &text);
    assert_eq!(shown(&found), "");
    assert_eq!(state.unwrap().services.len(), 5000);
    let circle = text.replace("  s0: {image: 'x:1'}", "  s0: {image: 'x:1', depends-on: [s4999]}");
    let (_, found) = read("c.yaml", &circle);
    expect![[r#"
        c.yaml:4:35: error[DN-E0304]: services wait in a circle: s0 → s4999 → s4998 → … → s1 → s0
          help: remove one of these `depends-on`
    "#]]
    .assert_eq(&shown(&found));
}

/// Each of these made some step quadratic or worse once; together they take seconds at most.
#[test]
fn large_files_take_no_longer_than_their_size() {
    let many =
        |count: usize, each: &dyn Fn(usize) -> String| -> String { (0..count).map(each).collect() };
    let of = |body: String| format!("cluster: c\nservices: {{a: {{image: 'x:1', {body}}}}}\n");
    let files = [
        of(format!("volumes: {{{}}}", many(20_000, &|n| format!("v{n}: /v{n},")))),
        of(format!("depends-on: [{}]", "b,".repeat(40_000))),
        of(format!("place: {{require: [{}]}}", "{node: n},".repeat(10_000))),
        format!("cluster: c\nmoved: [{}]", many(10_000, &|n| format!("{{from: f{n}, to: t{n}}},"))),
        many(40_000, &|n| format!("field{n}: 1\n")),
        format!(
            "nodes: {{{}}}\n{}",
            many(2_000, &|n| format!("n{n}: {{tags: [t{n}]}},")),
            of(format!("place: {{require: [{{tag: [{}]}}]}}", many(20_000, &|n| format!("u{n},")))),
        ),
        of(format!(
            "place: {{require: [{0}, {0}], forbid: [{0}]}}",
            format!("{{node: [{}]}}", many(10_000, &|n| format!("n{n},"))),
        )),
        format!(
            "cluster: c\nservices:\n{}",
            many(2_000, &|n| format!(
                "  s{n}: {{image: 'x:1', place: {{pin: n{n}, near: [s1], apart-from: [s0]}}}}\n"
            )),
        ),
    ];
    for text in files {
        let (_, found) = read("c.yaml", &text);
        assert!(found.len() <= 301, "{} findings", found.len());
    }
}
