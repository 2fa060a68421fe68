//! Components that a configuration brings along.

#![allow(unreachable_pub, reason = "modules of a test are seen by that test alone")]

mod placed;

use expect_test::{ExpectFile, expect_file};

const ROOT: &str =
    "cluster \"t\" {\n catalog \"./catalog\"\n}\nservice \"a\" { component \"app\" }";

const DECLARATION: &str = r#"component "app" {
    description "An app"
    versions "2" "1"
    runtimes "docker"
    parameter "word" default="hello" description="A word"
    port "http" container=8080
}"#;

const TEMPLATE: &str = r#"
services:
  app:
    image: "app:{{ version }}"
    command: [serve, "{{ param.word }} on {{ node.name }}"]
"#;

fn files<'a>(declaration: &'a str, template: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("catalog/app/component.kdl", declaration),
        ("catalog/app/compose.yml.tera", template),
        ("catalog/app/README.md", "# app"),
    ]
}

fn check(files: &[(&str, &str)], expected: &ExpectFile) {
    let found = match placed::render(ROOT, files, None) {
        Ok(specs) => serde_json::to_string(&specs[0].workload).unwrap() + "\n",
        Err(found) => placed::print(&found),
    };
    expected.assert_eq(&found);
}

#[test]
fn a_component_of_the_configuration_is_rendered() {
    check(&files(DECLARATION, TEMPLATE), &expect_file!["user_components/app.txt"]);
}

#[test]
fn a_component_with_errors_is_left_out_and_told_of() {
    check(&[], &expect_file!["user_components/empty.txt"]);
    check(&files(DECLARATION, TEMPLATE)[..1], &expect_file!["user_components/no-template.txt"]);
    check(
        &files("component \"other\" { description \"x\"; versions 1; runtimes docker }", TEMPLATE),
        &expect_file!["user_components/other.txt"],
    );
    check(
        &files(
            "component \"app\" {\n versions \"1\"\n runtimes \"moon\"\n prot \"http\" container=1\n\
             port \"x\" container=99999\n \
             parameter \"p\" type=\"integer\" min=1 max=5 default=9\n}",
            TEMPLATE,
        ),
        &expect_file!["user_components/declaration.txt"],
    );
    check(
        &files(
            DECLARATION,
            "services:\n  app:\n    image: \"{{ param.nosuch }}\"\n    ports: [80]\n    \
             privileged: true\n    environment: {\"{{ x }}\": 1}\n",
        ),
        &expect_file!["user_components/template.txt"],
    );
    check(&files(DECLARATION, "services: [\n"), &expect_file!["user_components/yaml.txt"]);
    check(
        &files(
            DECLARATION,
            "services:\n  app:\n    image: \"app:1\"\n    command: \"run {{ param.word }}\"\n    \
             volumes: [/var/run/docker.sock:/var/run/docker.sock]\n",
        ),
        &expect_file!["user_components/outside.txt"],
    );
    check(
        &files(
            DECLARATION,
            "services:\n  app:\n    image: \"app:1\"\n    command: \n      - \"{{ secret.a }}\"\n",
        ),
        &expect_file!["user_components/undeclared.txt"],
    );
}

#[test]
fn a_directory_outside_is_refused() {
    for dir in ["../x", "/etc", "a/../../b"] {
        let root =
            format!("cluster \"t\" {{ catalog \"{dir}\" }}\nservice \"a\" {{ image \"i:1\" }}");
        let found = placed::render(&root, &[], None).unwrap_err();
        assert_eq!(found[0].code, "DN-E0520", "{}", placed::print(&found));
    }
}

#[test]
fn replacing_a_built_in_component_is_a_warning_and_changes_the_digest() {
    let declaration = DECLARATION.replace("\"app\"", "\"nginx\"");
    let files = [
        ("catalog/nginx/component.kdl", declaration.as_str()),
        ("catalog/nginx/compose.yml.tera", TEMPLATE),
    ];
    let root = ROOT.replace("\"app\"", "\"nginx\"");
    let loaded = placed::read(&root, &files);
    assert!(loaded.desired.is_some());
    expect_file!["user_components/replaced.txt"].assert_eq(&placed::print(&loaded.diagnostics));
    assert_ne!(loaded.catalog.digest(), devnet_catalog::Catalog::builtin().digest());
    assert_eq!(
        devnet_catalog::Catalog::builtin().digest(),
        devnet_catalog::Catalog::builtin().digest()
    );
}

/// What validation and placement see to is checked once more by whoever renders.
#[test]
fn a_component_that_went_missing_and_a_port_that_nobody_chose_are_errors() {
    let loaded = placed::read(ROOT, &files(DECLARATION, TEMPLATE));
    let mut bindings = placed::bindings(&loaded, None);
    let desired = loaded.desired.as_ref().unwrap();
    let builtin = devnet_catalog::Catalog::builtin();
    let found = devnet_catalog::render(&builtin, desired, &bindings).unwrap_err();
    expect_file!["user_components/gone.txt"].assert_eq(&placed::print(&found));
    bindings.instances.values_mut().for_each(|placed| placed.ports.clear());
    let found = devnet_catalog::render(&loaded.catalog, desired, &bindings).unwrap_err();
    expect_file!["user_components/unbound.txt"].assert_eq(&placed::print(&found));
}
