//! What the tables of fields call the default holds: writing it changes nothing.

use super::*;
use crate::file::fields::{FILE, Field, Shape, Type};

fn shapes(shape: &'static Shape, found: &mut Vec<&'static Shape>) {
    found.push(shape);
    for field in shape.fields {
        if let Type::Section(inner) | Type::Sections(inner) | Type::Keyed(inner) = field.ty {
            shapes(inner, found);
        }
    }
}

fn written(field: &Field, default: &str) -> String {
    let value = match field.ty {
        Type::Flag => format!("#{default}"),
        Type::Integer { .. } | Type::IntegerOr { .. } => default.to_owned(),
        _ => format!("\"{default}\""),
    };
    match field.name {
        "replicas" | "priority" | "run-once" | "protect" | "cordon" | "drain" => {
            format!("{} {value}; ", field.kdl)
        }
        "placement" | "lost-after" | "unplaced" => format!("{} {value}; ", field.kdl),
        _ => format!(" {}={value}", field.kdl),
    }
}

/// A file with every section that has defaults. `NAME:` stands for those of a section.
const FRAME: &str = r#"
cluster "c" {
    cluster:
    sync sync:
}
node "n" {
    node:
    tags "t"
}
service "a" {
    service:
    image "x:1"
    port 80 port:
    expose host="a.example" expose line:
    file "/x" content="" file:
    health http="/" health:
    update update:
    place {
        prefer tag="t" preference:
        spread by="zone" spread:
    }
}
service "b" {
    image "x:1"
    schedule "@daily" schedule:
}
"#;

#[test]
fn writing_a_default_changes_nothing() {
    let mut all = Vec::new();
    shapes(&FILE, &mut all);
    let (mut bare, mut full, mut count) = (FRAME.to_owned(), FRAME.to_owned(), 0);
    for shape in all {
        let defaults = shape.fields.iter().filter_map(|field| Some((field, field.default?)));
        let texts: Vec<String> = defaults.map(|(field, text)| written(field, text)).collect();
        let mark = format!("{}:\n", shape.name);
        count += texts.len();
        assert!(texts.is_empty() || FRAME.contains(&mark), "the frame has no {mark}");
        full = full.replace(&mark, &format!("{}\n", texts.concat()));
        bare = bare.replace(&mark, "\n");
    }
    assert!(count > 20, "only {count} defaults");
    let means = |text: &str| {
        let (state, found) = read("c.kdl", text);
        assert_eq!(shown(&found), "", "{text}");
        without_places(&format!("{:#?}", state.expect("the frame is valid")))
    };
    assert_eq!(means(&bare), means(&full), "{full}");
}
