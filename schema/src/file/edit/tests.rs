//! Edits, each with what must stay.

use super::*;

const FILE: &str = r#"// The lab.
cluster "lab" {
    sync auto=#true // by itself
}

node "n1" { tags "infra"; zone "rack-1" }

// Keeps what everybody needs.
service "db" {
    component "postgres" // the oldest
    replicas 2 // one a rack
    place {
        require tag="infra"
        pin "n1" // for now
    }
}

service "web" { image "acme/web:1"; port 8080; }
/* the end */
"#;

fn edit(json: &str) -> Result<Edited, EditError> {
    edit_kdl(FILE, &serde_json::from_str(json).unwrap())
}

/// Lines that went away, and lines that came, in order.
fn changed(before: &str, after: &str) -> (Vec<String>, Vec<String>) {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (before, after) = (lines(before), lines(after));
    let gone = before.iter().filter(|line| !after.contains(line)).cloned().collect();
    let came = after.iter().filter(|line| !before.contains(line)).cloned().collect();
    (gone, came)
}

fn one(json: &str, gone: &[&str], came: &[&str]) -> Edited {
    let edited = edit(json).unwrap();
    let (left, new) = changed(FILE, &edited.text);
    assert_eq!((left, new), (owned(gone), owned(came)), "{}", edited.text);
    let _: KdlDocument = edited.text.parse().unwrap();
    edited
}

fn owned(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn a_scaled_service_keeps_its_comments() {
    let edited = one(
        r#"{"scale": {"service": "db", "replicas": 3}}"#,
        &["    replicas 2 // one a rack"],
        &["    replicas 3 // one a rack"],
    );
    assert!(edited.block.starts_with("service \"db\" {") && edited.block.ends_with('}'));
    // Where nothing is said of it, and on one line.
    one(
        r#"{"scale": {"service": "web", "replicas": 3}}"#,
        &[r#"service "web" { image "acme/web:1"; port 8080; }"#],
        &[r#"service "web" { image "acme/web:1"; replicas 3; port 8080; }"#],
    );
    let missing = edit(r#"{"scale": {"service": "api", "replicas": 3}}"#).unwrap_err();
    assert_eq!(missing.to_string(), "service api is not declared in this file");
}

#[test]
fn a_line_comes_after_the_first_with_its_comment() {
    let text = "service \"a\" {\n\timage \"a:1\" // first\n\tport 1\n}\n";
    let scale = Edit::Scale { service: "a".parse().unwrap(), replicas: 2 };
    let edited = edit_kdl(text, &scale).unwrap().text;
    assert_eq!(edited, "service \"a\" {\n\timage \"a:1\" // first\n\treplicas 2\n\tport 1\n}\n");
    for empty in ["service \"a\"", "service \"a\" {}", "service \"a\" {\n}"] {
        let edited = edit_kdl(&format!("{empty}\n"), &scale).unwrap().text;
        assert_eq!(edited, "service \"a\" {\n    replicas 2\n}\n", "{empty}");
    }
}

#[test]
fn a_node_is_drained_and_tagged_in_its_own_block_or_a_new_one() {
    one(
        r#"{"node": {"name": "n1", "drain": true, "tags": ["infra", "ssd"], "zone": ""}}"#,
        &[r#"node "n1" { tags "infra"; zone "rack-1" }"#],
        &[r#"node "n1" { tags "infra" "ssd"; drain; }"#],
    );
    let edited =
        one(r#"{"node": {"name": "n2", "cordon": true}}"#, &[], &["node \"n2\" {", "    cordon"]);
    assert_eq!(edited.block, "node \"n2\" {\n    cordon\n}");
    let again: Edit = serde_json::from_str(r#"{"node": {"name": "n2", "cordon": false}}"#).unwrap();
    let uncordoned = edit_kdl(&edited.text, &again).unwrap();
    assert!(!uncordoned.text.contains("cordon"), "{}", uncordoned.text);
}

#[test]
fn a_line_or_a_block_is_taken_out_with_its_line() {
    let line = FILE.lines().position(|line| line.contains("pin")).unwrap() + 1;
    one(
        &format!("{{\"drop\": \"cluster.kdl:{line}:10\"}}"),
        &["        pin \"n1\" // for now"],
        &[],
    );
    let web = edit(r#"{"remove": {"service": "web"}}"#).unwrap();
    assert!(!web.text.contains("web") && web.text.ends_with("/* the end */\n"), "{}", web.text);
    for nothing in ["1:1", "cluster.kdl:999:1", "x", "2:0"] {
        let error = edit(&format!("{{\"drop\": \"{nothing}\"}}")).unwrap_err();
        assert!(matches!(error, EditError::Nothing(_)), "{nothing}");
    }
}

#[test]
fn a_new_service_stands_at_the_end_and_reads_as_it_was_meant() {
    let edited = edit(
        r#"{"service": {"name": "cache", "component": "redis", "version": "8", "replicas": 2,
            "set": {"note": "a \"b\"\n\\c {{ x }}"}, "secrets": {"password": "cache-pw"},
            "resources": {"cpu": "0.5", "memory": "1GiB"}, "depends_on": ["db"],
            "place": [{"verb": "require", "key": "tag", "value": "ssd", "or": ["nvme"]}]}}"#,
    )
    .unwrap();
    let expected = r#"service "cache" {
    component "redis" version="8"
    set note="a \"b\"\n\\c {{ x }}"
    secret "password" from="cache-pw"
    replicas 2
    resources cpu=0.5 memory="1GiB"
    depends-on "db"
    place {
        require tag="ssd" "nvme"
    }
}"#;
    assert_eq!(edited.block, expected);
    assert_eq!(edited.text, format!("{FILE}\n{expected}\n"));
    let file: KdlDocument = edited.text.parse().unwrap();
    let set = named(&file, "service", "cache").unwrap().children().unwrap().get("set").unwrap();
    assert_eq!(set.get("note").unwrap().as_string(), Some("a \"b\"\n\\c {{ x }}"));
    let taken = edit(r#"{"service": {"name": "db", "image": "a:1"}}"#).unwrap_err();
    assert_eq!(taken.to_string(), "service db is declared already");
    assert_eq!(edit(r#"{"service": {"name": "x"}}"#).unwrap_err(), EditError::Form);
}

#[test]
fn a_file_with_mistakes_is_not_edited() {
    let scale = Edit::Scale { service: "a".parse().unwrap(), replicas: 2 };
    assert_eq!(edit_kdl("service \"a\" {", &scale), Err(EditError::Syntax));
}
