//! Other files of a Compose file, and what is somebody else's: namespaces, networks and volumes.

use super::{super::Ask, *};
use crate::{container::Namespace, file::Limits};

/// What `app/compose.yml` of these files makes, and what was found.
fn loaded(all: &[(&str, &str)], set: &[(&str, &str)]) -> (Project, Vec<String>) {
    let files: MemoryFiles =
        all.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    let source = Source::new("app/compose.yml", files["app/compose.yml"].as_str());
    let set = set.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let inputs = Inputs {
        project: "shop",
        vars: &[("TAG".to_owned(), "of-cluster".to_owned())].into(),
        set: &set,
        profiles: BTreeSet::new(),
        files: &files,
        limits: &Limits::default(),
    };
    let (loaded, found) = load(&source, &inputs);
    (loaded.project, found.iter().map(ToString::to_string).collect())
}

fn image(project: &Project, name: &str) -> String {
    project.services[name].image.as_ref().unwrap().value.clone()
}

#[test]
fn an_included_file_has_its_own_paths_and_the_values_that_are_missing() {
    let (project, found) = loaded(
        &[
            ("app/compose.yml", "include: [../lib/db.yml]\nservices: {a: {image: \"x:$TAG\"}}"),
            ("app/.env", "OWN=app\n"),
            ("lib/db.yml", "services: {db: {image: \"y:$TAG-$OWN-$LIB\", env_file: db.env}}"),
            ("lib/.env", "TAG=of-lib\nLIB=lib\n"),
            ("lib/db.env", "A=$LIB\n"),
        ],
        &[],
    );
    assert_eq!(found, [""; 0]);
    assert_eq!(image(&project, "db"), "y:of-cluster-app-lib");
    assert_eq!(project.services["db"].env["A"].value, "lib");
    let at = project.services["db"].at.as_ref().unwrap();
    assert_eq!(at.to_string(), "lib/db.yml:1:12");
}

#[test]
fn a_path_of_another_file_is_below_the_directory_that_is_set() {
    let files = [
        (
            "app/compose.yml",
            "include: [more/b.yml]\nservices: {a: {image: x, volumes: [\"./d:/d\"]}}",
        ),
        ("app/more/b.yml", "services: {b: {image: y, volumes: [\"./d:/d\", \"../e:/e\"]}}"),
    ];
    let (project, found) = loaded(&files, &[("PWD", "/srv/app")]);
    assert_eq!(found, [""; 0]);
    let binds = |name: &str| -> Vec<String> {
        let asks = project.services[name].asks.iter().map(|ask| ask.value.grant().to_string());
        asks.collect()
    };
    assert_eq!(binds("a"), ["host-bind:/srv/app/d"]);
    assert_eq!(binds("b"), ["host-bind:/srv/app/more/d", "host-bind:/srv/app/e"]);
}

#[test]
fn what_is_wrong_in_another_file_is_told_there() {
    let (_, found) = loaded(
        &[
            (
                "app/compose.yml",
                "include: [b.yml, c.yml, none.yml, \"https://x.example/y.yml\", ../../up.yml]\n\
                 services:\n  a: {extends: {file: b.yml, service: bb}}\n  \
                 d: {extends: {file: c.yml, service: x}, image: x}\n",
            ),
            ("app/b.yml", "services:\n  b: {image: y, colour: red}\n  e: {image: \"$MISSING\"}\n"),
            ("app/c.yml", "services: [\n"),
        ],
        &[],
    );
    let said = |text: &str| {
        assert!(found.iter().any(|one| one.contains(text)), "{text}: {found:#?}");
    };
    said("app/b.yml:2:17: error[DN-E0550]: a service has no field `colour`");
    said("app/b.yml:3:14: error[DN-E0561]: the variable `MISSING` has no value");
    said(
        "app/compose.yml:3:16: error[DN-E0564]: there is no service `bb` to extend in `app/b.yml`",
    );
    said("did you mean `b`?");
    said("app/c.yml:");
    said("there is no file `app/none.yml`");
    said("`https://x.example/y.yml` is not a file of this repository");
    said("`../../up.yml` is not a file of this repository");
}

#[test]
fn circles_and_floods_of_files_end() {
    let circle = [
        ("app/compose.yml", "include: [b.yml]\nservices: {a: {image: x}}"),
        ("app/b.yml", "include: [compose.yml]\nservices: {b: {image: x}}"),
    ];
    let (_, found) = loaded(&circle, &[]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("app/compose.yml → app/b.yml → app/compose.yml"), "{}", found[0]);
    let over = [
        ("app/compose.yml", "services: {a: {extends: {file: b.yml, service: b}}}"),
        ("app/b.yml", "services: {b: {extends: {file: compose.yml, service: a}}}"),
    ];
    let (_, found) = loaded(&over, &[]);
    assert!(found.iter().any(|one| one.contains("in a circle: b → a → b")), "{found:#?}");
    let twice = "include: [b.yml, b.yml, b.yml, b.yml]\n";
    let (one, two) = (format!("{twice}services: {{a: {{image: x}}}}"), twice.replace('b', "c"));
    let deep = twice.replace("b.yml", "d.yml");
    let flood = [
        ("app/compose.yml", one.as_str()),
        ("app/b.yml", two.as_str()),
        ("app/c.yml", deep.as_str()),
        ("app/d.yml", "include: [e.yml, e.yml, e.yml, e.yml]\n"),
        ("app/e.yml", "services: {e: {image: x}}"),
    ];
    let (_, found) = loaded(&flood, &[]);
    assert!(found.iter().any(|one| one.contains("may take in 100 others")), "{found:#?}");
}

#[test]
fn what_two_files_declare_otherwise_is_told_and_what_they_declare_alike_is_one() {
    let files = |image: &str| {
        let (project, found) = loaded(
            &[
                ("app/compose.yml", "include: [b.yml]\nservices: {a: {image: x}}\nnetworks: {n: }"),
                (
                    "app/b.yml",
                    &format!("services: {{a: {{image: {image}}}}}\nnetworks: {{n: }}\nname: other"),
                ),
            ],
            &[],
        );
        (project.services.len(), found)
    };
    assert_eq!(files("x"), (1, Vec::new()));
    let (_, found) = files("y");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("`a` is declared otherwise in an included file"), "{}", found[0]);
    assert!(found[0].contains("app/b.yml:1:12"), "{}", found[0]);
}

#[test]
fn the_network_of_another_service_is_shared_and_asks_for_nothing() {
    let one = |text: &str| loaded(&[("app/compose.yml", text)], &[]);
    let (project, found) =
        one("services:\n  vpn: {image: v, ports: [\"8080:80\"]}\n  a: {image: x, network_mode: \
         \"service:vpn\", pid: \"service:vpn\"}\n");
    assert_eq!(found, [""; 0]);
    let a = &project.services["a"];
    let shares: Vec<_> = a.shares.iter().map(|one| one.value.namespace).collect();
    assert_eq!(shares, [Namespace::Network, Namespace::Pid]);
    assert!(a.networks.is_empty() && a.asks.is_empty());
    assert_eq!(a.depends_on[0].value.service, "vpn");
    for (fields, why) in [
        ("network_mode: \"service:vpm\"", "did you mean `vpn`?"),
        ("network_mode: \"service:a\"", "a service has its own namespaces"),
        ("network_mode: \"service:b\"", "`b` has no such namespace of its own"),
        ("network_mode: \"service:vpn\", ports: [\"1:1\"]", "write it at `vpn`"),
        ("network_mode: \"service:vpn\", hostname: h", "write it at `vpn`"),
        ("network_mode: \"service:vpn\", scale: 2", "cannot share one namespace"),
        ("network_mode: \"service:vpn\", deploy: {mode: global}", "one of each on every node"),
        ("network_mode: \"container:x\"", "`network_mode` is refused"),
    ] {
        let text = format!(
            "services:\n  vpn: {{image: v}}\n  b: {{image: x, network_mode: \"service:vpn\"}}\n  \
             a: {{image: x, {fields}}}\n"
        );
        let (_, found) = one(&text);
        assert!(found.iter().any(|one| one.contains(why)), "{fields}: {found:#?}");
    }
}

#[test]
fn what_is_external_is_asked_for_by_the_engines_name() {
    let text = "services:\n  a: {image: x, networks: {front: {aliases: [www]}}, volumes: \
                [\"films:/films:ro\"]}\nnetworks: {front: {external: true, name: proxy_net}}\n\
                volumes: {films: {external: true}}\n";
    let (project, found) = loaded(&[("app/compose.yml", text)], &[]);
    assert_eq!(found, [""; 0]);
    let a = &project.services["a"];
    assert!(a.networks.is_empty() && a.volumes.is_empty());
    let asks: Vec<&Ask> = a.asks.iter().map(|ask| &ask.value).collect();
    let grants: Vec<String> = asks.iter().map(|ask| ask.grant().to_string()).collect();
    assert_eq!(grants, ["volume:films", "network:proxy_net"]);
    assert!(matches!(asks[0], Ask::Volume(it) if it.path == "/films" && it.read_only));
    assert!(matches!(asks[1], Ask::Network(it) if it.aliases == ["a", "www"]));
    let open = refusals(&a.asks, &["network:proxy_net".parse().unwrap()]);
    assert_eq!(open.len(), 1);
    assert!(open[0].message.starts_with("`volume:films` is refused"), "{}", open[0].message);
    assert!("network:a/b".parse::<super::super::Grant>().is_err());
}
