//! Values are data: whatever one holds, it arrives byte for byte and changes nothing around it.

#![allow(unreachable_pub, reason = "modules of a test are seen by that test alone")]

mod placed;

use std::collections::BTreeMap;

use devnet_catalog::load;
use devnet_schema::{
    instance::{InstanceSpec, Workload},
    secret::{Part, Text},
};

/// Values that would change a document if they were pasted into it.
const NASTY: [&str; 16] = [
    "\"; x: y",
    "a: b\n- c\n",
    "'}\n}\nservices: {evil: {image: evil, privileged: true}}",
    "{{ secret.pw }}",
    "{% if true %}evil{% endif %}",
    "{# comment #}",
    "${HOME} $HOME $$ `id` $(id)",
    "\\n\\\"\\",
    " leading and trailing ",
    "tab\tline\r\nend",
    "&anchor *alias !!tag |",
    "x-when: false",
    "no",
    "3.10",
    "𝔘nicode \u{e000}\u{fffd}",
    "a=b,c;d|e>f<g",
];

fn kdl(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out + "\""
}

/// The variable `nasty` with a value, and a configuration that uses it.
fn render(nasty: &str, services: &str) -> Vec<InstanceSpec> {
    let root = format!("cluster \"test\" {{\n vars {{ nasty \"-\" }}\n}}\n{services}");
    let files = BTreeMap::from([("cluster.kdl".to_owned(), root)]);
    let vars = BTreeMap::from([("nasty".to_owned(), nasty.to_owned())]);
    let loaded = load("cluster.kdl", &files, &vars);
    assert!(loaded.desired.is_some(), "{}", placed::print(&loaded.diagnostics));
    let bindings = placed::bindings(&loaded, Some(&[("pw", 7)]));
    let desired = loaded.desired.as_ref().unwrap();
    devnet_catalog::render(&loaded.catalog, desired, &bindings)
        .unwrap_or_else(|found| panic!("{nasty:?}: {}", placed::print(&found)))
}

fn plain(text: &Text) -> &str {
    match text.0.as_slice() {
        [Part::Plain(text)] => text,
        other => panic!("not one plain text: {other:?}"),
    }
}

#[test]
fn values_arrive_byte_for_byte_in_env_command_argv_and_files() {
    let services = r#"
        service "a" {
            image "img:1"
            env A="{{ var.nasty }}" B="<{{ var.nasty }}>"
            command "run" "{{ var.nasty }}"
            file "/f" content="{{ var.nasty }}"
        }
        service "b" { process "prog" "--x={{ var.nasty }}" }
    "#;
    for nasty in NASTY {
        let specs = render(nasty, services);
        assert_eq!(plain(&specs[0].env["A"]), nasty);
        assert_eq!(plain(&specs[0].env["B"]), format!("<{nasty}>"));
        assert_eq!(plain(&specs[0].files["/f"].content), nasty);
        let Workload::Container(container) = &specs[0].workload else { panic!() };
        assert_eq!(plain(&container.command.as_ref().unwrap()[1]), nasty);
        let Workload::Process { argv } = &specs[1].workload else { panic!() };
        assert_eq!(plain(&argv[1]), format!("--x={nasty}"));
    }
}

#[test]
fn values_arrive_byte_for_byte_through_a_component() {
    let services = r#"
        service "db" {
            component "postgres" version="15"
            set db-name="{{ var.nasty }}" initdb-args="{{ var.nasty }}"
            secret "password" from="pw"
        }
        service "web" { component "nginx" version="1.22"; set index-html="{{ var.nasty }}" }
    "#;
    let usual = render("-", services);
    for nasty in NASTY {
        let specs = render(nasty, services);
        assert_eq!(plain(&specs[0].env["POSTGRES_DB"]), nasty);
        assert_eq!(plain(&specs[0].env["POSTGRES_INITDB_ARGS"]), nasty);
        assert_eq!(plain(&specs[1].files["/usr/share/nginx/html/index.html"].content), nasty);
        for (spec, usual) in specs.iter().zip(&usual) {
            assert_eq!(spec.workload, usual.workload, "{nasty:?} changes what is around it");
            assert!(spec.env.keys().eq(usual.env.keys()), "{nasty:?} changes what is around it");
            assert!(spec.files.keys().eq(usual.files.keys()), "{nasty:?}");
            assert_eq!(spec.volumes, usual.volumes);
        }
    }
}

#[test]
fn texts_that_are_no_templates_are_left_alone() {
    for nasty in NASTY.iter().filter(|text| !text.contains("{{") && !text.contains("{%")) {
        let services = format!("service \"a\" {{ image \"img:1\"; env A={} }}", kdl(nasty));
        assert_eq!(plain(&render("-", &services)[0].env["A"]), *nasty);
    }
}

#[test]
fn a_value_cannot_become_another_image() {
    for nasty in ["evil\nimage: x", "a b", "-v", "$(id)", "{{ x }}", ""] {
        let root = format!(
            "cluster \"t\" {{ vars {{ v {} }} }}\nservice \"a\" {{ image \"{{{{ var.v }}}}\" }}",
            kdl(nasty)
        );
        let found = placed::render(&root, &[], None).unwrap_err();
        assert!(found.iter().any(|found| found.code == "DN-E0509"), "{}", placed::print(&found));
    }
}

#[test]
fn secrets_stay_references_wherever_they_may_be() {
    let services = r#"
        service "a" {
            image "img:1"
            env URL="postgres://app:{{ secret.pw }}@{{ service.db.address }}/{{ var.nasty }}"
            command "run" "{{ secret.pw }}{{ secret.pw }}"
            file "/f" content="key={{ secret.pw }}\n"
        }
        service "db" {
            component "postgres" version="15"
            secret "password" from="pw"
            port 5432 host=5432
        }
    "#;
    let specs = render("app", services);
    let shown = "(sensitive value pw v7)";
    assert_eq!(
        specs[0].env["URL"].to_string(),
        format!("postgres://app:{shown}@10.0.0.1:5432/app")
    );
    assert_eq!(specs[0].files["/f"].content.to_string(), format!("key={shown}\n"));
    let secrets: Vec<String> = specs[0].secrets().iter().map(ToString::to_string).collect();
    assert_eq!(secrets, ["secret pw version 7"]);
    let secret = &specs[1].files["/run/secrets/postgres-password"];
    assert_eq!(secret.content.to_string(), shown);
    assert!(matches!(secret.content.0.as_slice(), [Part::Secret(_)]));
    let printed = serde_json::to_string(&specs).unwrap();
    assert!(
        !printed.contains('\u{10DE70}') && !printed.contains('\u{10DE71}'),
        "no marker is left"
    );
}

#[test]
fn without_a_control_plane_every_secret_counts_as_there() {
    let root = r#"
        cluster "t"
        service "a" { image "img:1"; env A="{{ secret.unknown }}" }
    "#;
    let specs = placed::render(root, &[], None).unwrap();
    assert_eq!(specs[0].secrets()[0].version, 0);
}
