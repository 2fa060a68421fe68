//! What people see when a template or a component is wrong.

#![allow(unreachable_pub, reason = "modules of a test are seen by that test alone")]

mod placed;

use expect_test::{ExpectFile, expect_file};

fn check(service: &str, expected: &ExpectFile) {
    let root =
        format!("cluster \"t\" {{\n vars {{ a-b \"x\" }}\n}}\nservice \"a\" {{\n{service}\n}}");
    let found = match placed::render(&root, &[], Some(&[("pw", 1)])) {
        Ok(_) => "nothing is wrong".to_owned(),
        Err(found) => placed::print(&found),
    };
    expected.assert_eq(&found);
}

#[test]
fn secrets_that_are_used_wrongly() {
    check(r#"image "img:1"; env A="{{ secret.gone }}""#, &expect_file!["errors/missing.txt"]);
    check(
        r#"image "img:1"; env A="{{ secret.pw | upper }}" B="{% if secret.pw %}x{% endif %}""#,
        &expect_file!["errors/filtered.txt"],
    );
    check(r#"image "img:{{ secret.pw }}""#, &expect_file!["errors/image.txt"]);
    check(
        r#"component "nginx"; set image="{{ secret.pw }}""#,
        &expect_file!["errors/component-image.txt"],
    );
    check(
        r#"component "redis"; set maxmemory="{{ secret.pw }}""#,
        &expect_file!["errors/size.txt"],
    );
}

#[test]
fn templates_that_cannot_be_rendered() {
    check(r#"image "img:1"; env A="{{ var.a-b | nosuch }}""#, &expect_file!["errors/filter.txt"]);
    check(r#"image "img:1"; env A="{% if var.a-b %}""#, &expect_file!["errors/open.txt"]);
    check(r#"image "img:1"; env A="{% set x = 1 %}""#, &expect_file!["errors/set.txt"]);
    check(
        r#"image "img:1"; env A="{% if var.nosuch %}x{% endif %}""#,
        &expect_file!["errors/variable.txt"],
    );
    check(r#"image "img:1"; env A="{{ service.a.port }}""#, &expect_file!["errors/no-port.txt"]);
    check(r#"image "img:1"; env A="{{ 1 / 0 }}""#, &expect_file!["errors/divide.txt"]);
    check(
        r#"image "img:1"; env A="{% for i in a %}{% for j in b %}x{% endfor %}{% endfor %}""#,
        &expect_file!["errors/loops.txt"],
    );
    check("image \"img:1\"; env A=\"\u{10DE70}\"", &expect_file!["errors/reserved.txt"]);
}

#[test]
fn each_finding_is_told_once_for_all_instances() {
    check(
        r#"image "img:1"; replicas 3; env A="{{ secret.gone }}""#,
        &expect_file!["errors/once.txt"],
    );
}

#[test]
fn one_instance_does_not_hold_up_another() {
    let root = r#"
        cluster "t"
        service "bad" { image "img:1"; env A="{{ secret.gone }}" }
        service "good" { image "img:1" }
    "#;
    let loaded = placed::read(root, &[]);
    let bindings = placed::bindings(&loaded, Some(&[]));
    let desired = loaded.desired.as_ref().unwrap();
    let each = devnet_catalog::render_each(&loaded.catalog, desired, &bindings);
    let states: Vec<(String, bool)> =
        each.iter().map(|(id, r)| (id.to_string(), r.is_ok())).collect();
    assert_eq!(states, [("bad[0]".to_owned(), false), ("good[0]".to_owned(), true)]);
}

#[test]
fn a_service_that_is_placed_nowhere_has_no_address() {
    let root = r#"
        cluster "t"
        service "a" { image "img:1"; env A="{{ service.db.host }}" }
        service "db" { image "img:1"; port 1 }
    "#;
    let loaded = placed::read(root, &[]);
    let mut bindings = placed::bindings(&loaded, None);
    bindings.instances.retain(|id, _| id.service.as_str() == "a");
    let desired = loaded.desired.as_ref().unwrap();
    let found = devnet_catalog::render(&loaded.catalog, desired, &bindings).unwrap_err();
    expect_file!["errors/nowhere.txt"].assert_eq(&placed::print(&found));
}
