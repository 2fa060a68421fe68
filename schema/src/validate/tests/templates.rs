//! Templates: what is good, and what is large.
//!
//! Knows examples. What is refused is in the goldens.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

const PIECES: [&str; 32] = [
    "{{",
    "}}",
    "{%",
    "%}",
    "-",
    " ",
    "{{ ",
    " }}",
    "{% if ",
    "{% endif %}",
    "{% for x in ",
    "x",
    "{% endfor %}",
    "{% raw %}",
    "{% endraw %}",
    "var",
    "secret",
    "service.a",
    ".port",
    "[",
    "]",
    "'",
    "\"",
    "|",
    "upper",
    "(",
    ")",
    "not ",
    "is defined",
    "<",
    "é",
    "\\",
];

/// What the renderer takes, and the ways to write braces that stand for themselves.
#[test]
fn good_templates() {
    for good in [
        "{% raw %}{{ x }}{% endraw %}",
        "{{ not var.x }}",
        "{{- var.x | upper | replace(from='a', to='b') -}}",
        "{{ '{{' }}{{ '{%' }} {#",
        "{% if var.x == '1' and node.name is defined %}a{% elif var.x %}b{% else %}{% endif %}",
        "{% for a in var.x | split(pat=',') %}{{ loop.index }}{{ a }}{% endfor %}",
        "{% for name, value in var %}{{ name ~ value }}{% endfor %}",
        "{% for i in range(end=3) %}{{ i is not odd }}{% endfor %}",
        "{{ var?.nope | default(value=1) }}",
        "{{ (1 + 2) * -3 }}{{ [1, 2][0] }}{{ 'a' if (var.x) else 'b' }}{{ not (var.x in ['a']) }}",
        "a { b } c % d }} e %}",
    ] {
        let text = format!(
            "cluster c {{ vars {{ x \"1\"; }}; }}\nservice a {{ image x:1; env A={good:?}; }}"
        );
        let found = read("c.kdl", &text).1;
        assert!(found.is_empty(), "{good}: {}", shown(&found));
    }
}

/// Templates as large as a file may hold: a time that grew with their square would be seen here.
#[test]
fn large_templates_are_read_once() {
    let most = 250 * 1024;
    for part in [
        "{{ 1 | nosuch }}",
        "{{ var.x ~ var.nope }}",
        "{{",
        "{%",
        "{{ <A/> }}",
        "(",
        "{{ [",
        "var.a-",
        "{% raw %}",
        "{% if 1 %}",
        "{{ [1][",
        "var['",
        "{{ x }}",
        "{{ not <A/> }}",
        "{{-",
        "-",
        "{{ ' ",
    ] {
        for before in ["", "{{ "] {
            let text = format!("{before}{}", part.repeat(most / part.len()));
            let text = format!("cluster c\nservice a {{ image x:1; env A={text:?}; }}");
            drop(read("c.kdl", &text));
        }
    }
}

proptest! {
    /// Pieces of the language in any order are judged, and what is judged good has good names.
    #[test]
    fn no_template_is_too_strange(pieces in vec(select(PIECES.to_vec()), 0..12)) {
        let text = pieces.concat();
        let text = format!("cluster c\nservice a {{ image x:1; env A={text:?}; }}");
        let (state, found) = read("c.kdl", &text);
        prop_assert_eq!(state.is_none(), found.iter().any(Diagnostic::is_error));
    }
}
