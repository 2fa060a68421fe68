//! Values in the forms that programs write. Knows how `printf %q`, `base64` and others write them,
//! as texts; builds none of them with the code under test.

use super::*;

const VALUE: &str = "Tr0ub4dor & 'q$' \"x\"/é\\";

/// Each as the named program or format writes `VALUE`.
const WRITTEN: [(&str, &str); 21] = [
    ("itself", r#"Tr0ub4dor & 'q$' "x"/é\"#),
    ("upper case", r#"TR0UB4DOR & 'Q$' "X"/É\"#),
    ("lower case", r#"tr0ub4dor & 'q$' "x"/é\"#),
    ("Compose", r#"Tr0ub4dor & 'q$$' "x"/é\"#),
    ("JSON", r#"Tr0ub4dor & 'q$' \"x\"/é\\"#),
    ("JSON in ASCII", r#"Tr0ub4dor & 'q$' \"x\"/\u00e9\\"#),
    ("JSON of Go", r#"Tr0ub4dor \u0026 'q$' \"x\"/é\\"#),
    ("JSON in JSON", r#"Tr0ub4dor & 'q$' \\\"x\\\"/é\\\\"#),
    ("YAML, single quotes", r#"Tr0ub4dor & ''q$'' "x"/é\"#),
    ("a shell, single quotes", r#"Tr0ub4dor & '\''q$'\'' "x"/é\"#),
    ("a shell, mixed quotes", r#"Tr0ub4dor & '"'"'q$'"'"' "x"/é\"#),
    ("a shell, double quotes", r#"Tr0ub4dor & 'q\$' \"x\"/é\\"#),
    ("bash's printf %q", r#"Tr0ub4dor\ \&\ \'q\$\'\ \"x\"/é\\"#),
    ("Python's repr", r#"Tr0ub4dor & \'q$\' "x"/é\\"#),
    ("HTML of Go", "Tr0ub4dor &amp; &#39;q$&#39; &#34;x&#34;/é\\"),
    ("a URL", "Tr0ub4dor%20%26%20%27q%24%27%20%22x%22%2F%C3%A9%5C"),
    ("a form", "Tr0ub4dor+%26+%27q%24%27+%22x%22%2F%C3%A9%5C"),
    ("encodeURIComponent", "Tr0ub4dor%20%26%20'q%24'%20%22x%22%2F%C3%A9%5C"),
    ("base64", "VHIwdWI0ZG9yICYgJ3EkJyAieCIvw6lc"),
    ("hexadecimal", "547230756234646f7220262027712427202278222fc3a95c"),
    ("hexadecimal, upper case", "547230756234646F7220262027712427202278222FC3A95C"),
];

#[test]
fn every_form_that_programs_write_is_hidden() {
    let shapes = Shapes::of([VALUE].into_iter());
    for (form, text) in WRITTEN {
        let hidden = shapes.hide(&format!("before {text} after"));
        assert_eq!(hidden, format!("before {HIDDEN} after"), "{form}");
    }
    assert_eq!(shapes.hide("Tr0ub4dor is half of it"), "Tr0ub4dor is half of it");
}

#[test]
fn base64_is_hidden_wherever_the_value_begins_in_it() {
    let shapes = Shapes::of(["correct horse battery"].into_iter());
    // Of the value alone, with a newline, and behind `u:`, `us:` and `use:`.
    for text in [
        "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5",
        "Y29ycmVjdCBob3JzZSBiYXR0ZXJ5Cg==",
        "dTpjb3JyZWN0IGhvcnNlIGJhdHRlcnk=",
        "dXM6Y29ycmVjdCBob3JzZSBiYXR0ZXJ5",
        "dXNlOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==",
    ] {
        let hidden = shapes.hide(&format!("Authorization: Basic {text} sent"));
        assert_eq!(hidden, format!("Authorization: Basic {HIDDEN} sent"), "{text}");
    }
    let url_safe = Shapes::of(["??>>??>>"].into_iter());
    assert_eq!(url_safe.hide("a Pz8-Pj8_Pj4= b"), format!("a {HIDDEN} b"));
    assert_eq!(url_safe.hide("a Pz8-Pj8_Pj4 b"), format!("a {HIDDEN} b"));
}

#[test]
fn lines_of_a_key_overlaps_and_the_cut_end_are_hidden() {
    let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSj\n";
    let shapes = Shapes::of([key].into_iter());
    let line = "error at line AQEFAASCBKcwggSj of the key";
    assert_eq!(shapes.hide(line), format!("error at line {HIDDEN} of the key"));
    let shapes = Shapes::of(["hunter", "hunter22", "aaaa"].into_iter());
    assert_eq!(shapes.hide("hunter22 hunter"), format!("{HIDDEN} {HIDDEN}"));
    assert_eq!(shapes.hide("xaaaaaaay"), format!("x{HIDDEN}y"));
    assert_eq!(shapes.hide_cut("the password is hunte"), "the password is ");
    assert_eq!(shapes.hide_cut("the password is hunter22"), format!("the password is {HIDDEN}"));
}

#[test]
fn short_values_are_told_and_empty_ones_are_none() {
    assert!(Shapes::of(["abc"].into_iter()).has_short());
    assert!(!Shapes::of(["", " "].into_iter()).has_short());
    assert!(!Shapes::of(["abcd"].into_iter()).has_short());
    assert_eq!(Shapes::of(["abc"].into_iter()).hide("abc"), "abc");
}
