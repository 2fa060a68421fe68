//! What is formatted says the same, keeps every comment, and is formatted.

use std::fmt::Write;

use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::file::from_kdl;

fn formatted(text: &str) -> String {
    format_kdl("c.kdl", text.into(), &Limits::default())
        .unwrap_or_else(|error| panic!("{error:?}\n{text}"))
}

fn source(text: &str) -> Source {
    Source::new("c.kdl", text)
}

/// Every value and name, in quotes, those behind `/-` too.
fn words(source: &Source) -> Vec<String> {
    let words = tokens(source).into_iter().filter_map(|(_, token)| match token {
        Token::Word(word) => Some(draw::value(word, 0)),
        _ => None,
    });
    words.collect()
}

/// The signs that change what the words mean.
fn signs(source: &Source) -> String {
    let signs = tokens(source).into_iter().filter_map(|(_, token)| match token {
        Token::Open => Some('{'),
        Token::Close => Some('}'),
        Token::Dash => Some('-'),
        Token::Equals => Some('='),
        _ => None,
    });
    signs.collect()
}

/// Everything that must hold of a text that is KDL. Whether it is.
fn check(text: &str) -> Result<bool, TestCaseError> {
    let before = source(text);
    let Ok(tree) = from_kdl(&before) else {
        return Ok(false);
    };
    let once = format_kdl("c.kdl", text.into(), &Limits::default());
    let once = once.map_err(|error| TestCaseError::fail(format!("{error:?}: {text:?}")))?;
    let after = source(&once);
    let again = from_kdl(&after)
        .map_err(|error| TestCaseError::fail(format!("{error:?}\n{text:?}\nbecame\n{once:?}")))?;
    prop_assert!(same(&tree, &again), "{:?}\nbecame\n{:?}", text, once);
    prop_assert_eq!(comments(&before), comments(&after), "{:?}\nbecame\n{:?}", text, once);
    prop_assert_eq!(words(&before), words(&after), "{:?}\nbecame\n{:?}", text, once);
    prop_assert_eq!(signs(&before), signs(&after), "{:?}\nbecame\n{:?}", text, once);
    prop_assert_eq!(&formatted(&once), &once, "{:?}", text);
    let trailing = once.lines().any(|line| line.ends_with(' ') && !line.contains("/*"));
    prop_assert!(!trailing, "a line ends with a blank: {:?}", once);
    prop_assert!(!once.contains("\n\n\n") && !once.starts_with('\n'), "{:?}", once);
    Ok(true)
}

/// Tokens, right and wrong, between `|`.
const SOUP: &str = "a|b| | |\n|\n\n|;|{|}|{}|/-|/- |/*x*/|/* y\n z */|//c\n|// d \n|\"s\"|\"no\"|\
    #true|1|1.50|x=|=| p=\"v\"|\\\n|\\ // k\n| \\|\r\n|\u{a0}|é|#\"r\"#|##\"q\"# \\\"##|\
    \"\"\"\n x\n \"\"\"|#\"\"\"\n x\n\n  y\n \"\"\"#| /-{ b }|\"a \\\n  b\"|a b\n|a {\n b\n}\n";

/// Blanks, as strange as KDL has them.
fn gap() -> BoxedStrategy<&'static str> {
    prop_oneof![
        6 => Just(" "),
        1 => prop::sample::select(vec![
            "   ", "\t", "\u{a0}", " /* g */ ", " \\\n", " \\ \r\n\t", " \\ // j\n",
            " \\ /* j */\n",
            " /* g\n  h */ ", " \\\n \\\n", " \\ // i\n \\ // j\n ",
        ]),
    ]
    .boxed()
}

fn value() -> BoxedStrategy<&'static str> {
    prop::sample::select(vec![
        "plain",
        "\"text\"",
        "\"two words\"",
        "3.10",
        "0xff",
        "-1",
        "#true",
        "#null",
        "#\"raw\"#",
        "##\"r\"#w\"##",
        "\"e\\\"sc\\u{e9}\"",
        "\"a \\\n   b\"",
        "\"\"",
        "\"\"\"\n  a\n\n   b\n  \"\"\"",
        "#\"\"\"\n\ta\\\n\t\"\"\"#",
        "\"\"\"\n\"\"\"",
        "\"\"\"\r\n c\r\n \"\"\"",
        "\"true\"",
        "é",
    ])
    .boxed()
}

fn name() -> BoxedStrategy<&'static str> {
    let names =
        vec!["node", "\"quoted\"", "\"two words\"", "a.b", "\"true\"", "#\"raw\"#", "é", "\"\""];
    prop::sample::select(names).boxed()
}

fn entry() -> BoxedStrategy<String> {
    let equals = (prop_oneof![4 => Just(""), 1 => gap()], prop_oneof![4 => Just(""), 1 => gap()]);
    let plain = prop_oneof![
        value().prop_map(str::to_owned),
        (name(), equals, value()).prop_map(|(name, (a, b), value)| format!("{name}{a}={b}{value}")),
    ];
    let dash = prop_oneof![
        8 => Just(""),
        1 => prop::sample::select(vec!["/-", "/- ", "/-\n", "/- // w\n", "/- /* w */ "])
    ];
    (dash, plain).prop_map(|(dash, entry)| format!("{dash}{entry}")).boxed()
}

fn end() -> BoxedStrategy<&'static str> {
    prop_oneof![
        6 => Just("\n"),
        3 => prop::sample::select(vec![
            "\n\n\n", " // t \n", " /* t */\n", "; ", "; // t\n", "; /* t */ ", "\r\n", " \\\n\n",
            " \\ // t\n\n", " \\ // t\n // u\n", "\n  // own line\n", "\n/* own */ // line\n\n",
        ]),
    ]
    .boxed()
}

/// A node with its end; blocks as deep as `inner`.
fn node(inner: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let dash = prop_oneof![8 => Just(""), 1 => Just("/-"), 1 => Just("/- /* d */ ")];
    let lead = prop_oneof![8 => Just(""), 1 => Just("/* l */ "), 1 => Just("  // l\n")];
    let block = prop_oneof![
        3 => Just(String::new()),
        2 => (gap(), inner.clone()).prop_map(|(gap, inner)| format!("{gap}{{\n{inner}}}")),
        1 => (gap(), inner.clone()).prop_map(|(gap, inner)| format!("{gap}{{ // o\n{inner}}}")),
        1 => (gap(), inner).prop_map(|(gap, inner)| format!("{gap}/-{{ {inner}}}")),
        1 => Just(" { a b; c /* in */ }".to_owned()),
        1 => Just(" { /* only */ }".to_owned()),
        1 => Just(" {}".to_owned()),
        1 => Just(format!(" {{ long \"{}\" {{ inner 1; outer 2 }} }}", "x".repeat(70))),
    ];
    let entries = prop::collection::vec((gap(), entry()), 0..4);
    (lead, dash, name(), entries, block, end())
        .prop_map(|(lead, dash, name, entries, block, end)| {
            let mut out = format!("{lead}{dash}{name}");
            for (gap, entry) in entries {
                let _ = write!(out, "{gap}{entry}");
            }
            out + &block + end
        })
        .boxed()
}

fn nodes(depth: u32) -> BoxedStrategy<String> {
    let inner = if depth == 0 { Just("x\n".to_owned()).boxed() } else { nodes(depth - 1) };
    let nodes = prop::collection::vec(node(inner), 0..4);
    nodes.prop_map(|nodes| nodes.concat()).boxed()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_tokens_that_are_kdl_keep_their_meaning(
        tokens in prop::collection::vec(
            prop::sample::select(SOUP.split('|').collect::<Vec<_>>()),
            0..14,
        ),
    ) {
        check(&tokens.concat())?;
    }

    #[test]
    fn any_file_keeps_its_meaning_and_its_comments(text in nodes(2)) {
        check(&text)?;
    }
}

/// Found by the properties above.
#[test]
fn a_line_that_goes_on_to_nothing_ends() {
    for text in
        ["a\\\n/*x*/\\\n", "a \\\n/*x*/\n", "a \\ // u\n/*x*/ \\\n\n", "a b \\\n/*x*/ /*y*/\\\n"]
    {
        assert!(check(text).expect("it keeps its meaning"), "{text:?} is KDL");
    }
}

/// The properties say nothing about texts that are not KDL, so most must be.
#[test]
fn most_of_the_files_that_are_tried_are_kdl() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let tried = (0..300).filter(|_| {
        let tree = nodes(2).new_tree(&mut runner).expect("a strategy makes values");
        check(&tree.current()).expect("what is KDL can be formatted")
    });
    let count = tried.count();
    assert!(count > 200, "only {count} of 300");
}

#[test]
fn the_examples_are_formatted_or_keep_their_meaning() {
    let full = include_str!("../../validate/tests/full.kdl");
    let example = include_str!("../../../../cluster.kdl.example");
    let home = include_str!("../../../../examples/homelab/cluster.kdl");
    let quick = include_str!("../../../../examples/quickstart/cluster.kdl");
    for text in [full, example, home, quick] {
        assert!(check(text).expect("the properties hold"));
    }
    for text in [example, home, quick] {
        assert_eq!(formatted(text), text, "examples are written as `devnet fmt` writes them");
    }
}

#[test]
fn what_it_looks_like() {
    let text = "\u{feff}// The lab.\r\n\n\n\ncluster   homelab {   // mine\n\n  sync auto=#true   \
        interval  =  \"60s\"\n\tvars { domain lab.example; \"image-tag\" 3.10 }\n\n\n  // why\n  \
        lost-after \"5m\" // long\n  placement pack   // few\n\n  \
        unplaced wait /* or error */\n\n}\n\
        service \"api\"{image \"x:1\";env A=\"b\" \\ // one\n B=#\"c\"# \\\n\n\
        /-port 80 /- host=81\n file \"/x\" content=\"\"\"\n      a\n\n        b\n      \"\"\"\n \
        place { require tag=\"a-long-tag-of-a-node\"; require zone=\"a-long-zone\"; \
        forbid tag=\"another-tag-that-is-long\" }\n health {\n}\n/* done */ }   ";
    expect![[r#"
        // The lab.

        cluster "homelab" { // mine
            sync auto=#true interval="60s"
            vars { domain "lab.example"; image-tag 3.10 }

            // why
            lost-after "5m"  // long
            placement "pack" // few

            unplaced "wait" /* or error */
        }
        service "api" {
            image "x:1"
            env A="b" \ // one
                B="c"
            /-port 80 /-host=81
            file "/x" content="""
                a

                  b
                """
            place {
                require tag="a-long-tag-of-a-node"
                require zone="a-long-zone"
                forbid tag="another-tag-that-is-long"
            }
            health {}
            /* done */
        }
    "#]]
    .assert_eq(&formatted(text));
}

#[test]
fn what_is_no_kdl_is_refused_with_its_errors() {
    for text in ["a {", "a b=", "cluster (x)y", "a \u{202e}"] {
        match format_kdl("c.kdl", text.into(), &Limits::default()) {
            Err(RewriteError::Invalid(found)) => assert!(!found.is_empty()),
            other => panic!("{text}: {other:?}"),
        }
    }
    assert!(matches!(
        format_kdl("c.kdl", vec![0xff], &Limits::default()),
        Err(RewriteError::Invalid(_))
    ));
    assert_eq!(formatted(""), "");
    assert_eq!(formatted("\n \n"), "");
    assert_eq!(formatted("// only"), "// only\n");
}

/// Long lines with blocks as deep as they may be, and long files, take time linear in their length.
#[test]
fn no_file_takes_long() {
    let name = "x".repeat(110);
    for (block, end) in [("{\n", "\n}"), ("{ ", " }")] {
        let text = format!("{name} {block}").repeat(30) + "y" + &end.repeat(30);
        assert!(check(&text).expect("the properties hold"));
    }
    let flat = "a 1 /* c */ b=2 \\\n // d\n".repeat(4000);
    let once = canonical(&source(&flat));
    assert_eq!(canonical(&source(&once)), once);
    let comments = "/* c */".repeat(20_000);
    assert!(canonical(&source(&comments)).len() > comments.len());
    let keys = "a".to_owned() + &" b=1".repeat(20_000);
    assert_eq!(canonical(&source(&keys)), keys + "\n");
}
