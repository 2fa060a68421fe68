//! Templates: what is good, and what is large.
//!
//! Knows examples. What is refused is in the goldens.

use super::*;

/// What the renderer takes, and the ways to write braces that stand for themselves.
#[test]
fn good_templates() {
    for good in [
        "{% raw %}{{ x }}{% endraw %}",
        "{{ not var.x }}",
        "{{- var.x | upper | replace(from='a', to='b') -}}",
        "{{ '{{' }}{{ '{%' }} {#",
        "{% if var.x == '1' and node.name is defined %}a{% elif instance.index > 0 %}b{% else %}c{% endif %}",
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

/// Templates as large as a file may hold take no time that grows faster than they do.
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
            assert!(read("c.kdl", &text).0.is_none(), "{part}");
        }
    }
}
