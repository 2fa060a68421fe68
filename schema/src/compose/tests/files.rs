//! Compose files as a repository holds them: variables, merges, profiles, files beside them, and
//! every way to ask for the node.

use expect_test::{ExpectFile, expect_file};
use proptest::prelude::*;

use super::*;
use crate::file::Limits;

/// A Compose file in `app/` with files beside it.
fn files(text: &str) -> MemoryFiles {
    [
        ("app/compose.yml", text),
        ("app/.env", "TAG=1.2\nFROM_ENV=\"a b\"\nPORT=1\n"),
        ("app/web.env", "A=file\nB=${TAG}\nLITERAL='${x}'\nPASSED\n"),
        ("app/conf/a.conf", "listen 80; # $HOME {{ x }}\n"),
        ("app/conf/run.sh", "#!/bin/sh\n"),
        ("app/password.txt", "hunter2\n"),
        ("top.txt", "top\n"),
    ]
    .map(|(path, text)| (path.to_owned(), text.to_owned()))
    .into()
}

/// Reads it with some variables; the normal form, and what was found.
fn loaded(text: &str, profiles: &[&str], grants: &[&str]) -> (String, String) {
    let files = files(text);
    let source = Source::new("app/compose.yml", text);
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    };
    let vars = pairs(&[("PORT", "8080"), ("PASSED", "on"), ("MEDIA", "/srv/../srv/media/")]);
    let set = pairs(&[("PASSWORD", "{{ secret.db-password }}"), ("PLAIN", "p")]);
    let inputs = Inputs {
        project: "shop",
        vars: &vars,
        set: &set,
        profiles: profiles.iter().map(|profile| (*profile).to_owned()).collect(),
        files: &files,
        limits: &Limits::default(),
    };
    let (loaded, mut found) = load(&source, &inputs);
    let grants: Vec<_> = grants.iter().map(|grant| grant.parse().unwrap()).collect();
    for service in loaded.project.services.values() {
        found.extend(refusals(&service.asks, &grants));
    }
    (loaded.templates.text(&shown(&loaded.project)).0, lines(&found))
}

fn both(text: &str) -> String {
    let (project, found) = loaded(text, &[], &[]);
    project + &found
}

fn found(text: &str, expected: &ExpectFile) {
    expected.assert_eq(&loaded(text, &[], &[]).1);
}

#[test]
fn variables_merges_and_files_end_in_one_normal_form() {
    let text = include_str!("../goldens/files-in1.yml");
    expect_file!["../goldens/project.txt"].assert_eq(&both(text));
}

#[test]
fn profiles_choose_services() {
    let text = "services:\n  a: {image: a:1}\n  b: {image: b:1, profiles: [x, y]}\n  c: \
                {image: c:1, profiles: [z], depends_on: [b]}\n";
    let names = |profiles: &[&str]| {
        let (project, found) = loaded(text, profiles, &[]);
        let names = project.lines().filter(|line| !line.starts_with(' ')).collect::<String>();
        (names, found)
    };
    assert_eq!(names(&[]).0, "a: Some(\"a:1\")");
    assert_eq!(names(&["y"]).0, "a: Some(\"a:1\")b: Some(\"b:1\")");
    assert_eq!(names(&["z", "x"]).1, "");
    expect_file!["../goldens/files-1.txt"].assert_eq(&names(&["z"]).1);
}

const BIND: &str = "host-bind:/etc";

/// Every way to ask for the node, one service each, with the grant it needs.
const ASKS: [(&str, &str); 31] = [
    ("privileged: true", "privileged"),
    ("pid: host", "host-pid"),
    ("ipc: host", "host-ipc"),
    ("uts: host", "host-uts"),
    ("userns_mode: host", "host-userns"),
    ("cgroup: host", "host-cgroup"),
    ("network_mode: host", "host-network"),
    ("network_mode: \"${NO:-host}\"", "host-network"),
    ("cap_add: [CAP_NET_ADMIN]", "cap:NET_ADMIN"),
    ("cap_add: [all]", "cap:ALL"),
    ("devices: [/dev/kvm]", "device:/dev/kvm"),
    ("devices: [\"/dev/../dev//kvm:/dev/x:rw\"]", "device:/dev/kvm"),
    ("devices: [{source: /dev/kvm, target: /dev/x, permissions: r}]", "device:/dev/kvm"),
    ("security_opt: [\"seccomp:unconfined\"]", "security-opt:seccomp=unconfined"),
    ("security_opt: [\"apparmor=unconfined\"]", "security-opt:apparmor=unconfined"),
    ("sysctls: [net.ipv4.ip_forward=1]", "sysctl:net.ipv4.ip_forward"),
    ("sysctls: {net.ipv4.ip_forward: 1}", "sysctl:net.ipv4.ip_forward"),
    ("volumes: [\"/etc:/x\"]", "host-bind:/etc"),
    ("volumes: [\"/etc/:/x:ro\"]", "host-bind:/etc"),
    ("volumes: [\"/srv/../etc/./:/x\"]", "host-bind:/etc"),
    ("volumes: [\"${MEDIA}:/x\"]", "host-bind:/srv/media"),
    ("volumes: [\"${NO:-/}:/x\"]", "host-bind:/"),
    ("volumes: [\"//etc:/x\"]", "host-bind:/etc"),
    ("volumes: [{type: bind, source: /etc, target: /x}]", "host-bind:/etc"),
    ("volumes: [{type: bind, source: /etc, target: /x, bind: {propagation: rprivate}}]", BIND),
    ("volumes: [{type: volume, source: /etc, target: /x}]", "host-bind:/etc"),
    ("volumes: [{source: /etc, target: /x}]", "host-bind:/etc"),
    ("volumes: [\"disguised:/x\"]", "host-bind:/etc"),
    ("volumes: [{type: volume, source: disguised, target: /x}]", "host-bind:/etc"),
    ("volumes: [\"/var/run/docker.sock:/x\"]", "host-bind:/var/run/docker.sock"),
    ("volumes: [\"/run/podman/podman.sock:/x:ro\"]", "host-bind:/run/podman/podman.sock"),
];

fn asking(field: &str) -> String {
    format!(
        "services:\n  a:\n    image: a:1\n    {field}\nvolumes:\n  disguised: {{driver_opts: \
         {{type: none, o: \"rw,bind\", device: /srv/../etc}}}}\n"
    )
}

#[test]
fn every_way_to_ask_for_the_node_needs_its_grant_and_no_other() {
    for (field, grant) in ASKS {
        let text = asking(field);
        let (_, found) = loaded(&text, &[], &[]);
        let expected = format!("`{grant}` is refused");
        assert!(found.contains("DN-E0563") && found.contains(&expected), "{field}: {found}");
        assert_eq!(loaded(&text, &[], &[grant]).1, "", "{field}");
        for (_, other) in ASKS.into_iter().filter(|(_, other)| *other != grant) {
            let below = other == "host-bind:/" && grant.starts_with("host-bind:");
            let (_, found) = loaded(&text, &[], &[other]);
            assert_eq!(found.is_empty(), below && !grant.ends_with(".sock"), "{field} {other}");
        }
    }
    // The same through `extends` and a merge key.
    let text = "services:\n  a: {image: a:1, extends: b}\n  b: &b {image: b:1, privileged: true, \
                profiles: [no]}\n  c: {<<: *b, profiles: []}\n";
    let (_, found) = loaded(text, &["no"], &[]);
    assert_eq!(found.matches("DN-E0563").count(), 3, "{found}");
}

/// Reads a file that has these volumes, with HOME and PWD; what it asks for and what was found.
fn placed(volumes: &str, set: &[(&str, &str)]) -> (Vec<String>, String) {
    let text = format!("services:\n  a: {{image: a:1, volumes: [{volumes}]}}\n");
    let set = set.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let files = files(&text);
    let inputs = Inputs {
        project: "shop",
        vars: &Default::default(),
        set: &set,
        profiles: BTreeSet::new(),
        files: &files,
        limits: &Limits::default(),
    };
    let (loaded, found) = load(&Source::new("app/compose.yml", text), &inputs);
    let service = &loaded.project.services["a"];
    let asks = service.asks.iter().map(|ask| ask.value.grant().to_string());
    let files = service.files.keys().cloned();
    (asks.chain(files).collect(), lines(&found))
}

#[test]
fn a_path_that_is_not_absolute_is_of_the_node_where_a_variable_says_where() {
    let set = [("HOME", "/home/anna/"), ("PWD", "/srv/./app")];
    for (volume, grant) in [
        ("\"~/data:/x\"", "host-bind:/home/anna/data"),
        ("\"~:/x\"", "host-bind:/home/anna"),
        ("\"~/../../etc:/x\"", "host-bind:/etc"),
        ("\"./data:/x\"", "host-bind:/srv/app/data"),
        ("\".:/x\"", "host-bind:/srv/app"),
        ("\"../media:/x\"", "host-bind:/srv/media"),
        ("\"../../../../etc:/x\"", "host-bind:/etc"),
        ("\"./conf:/x\"", "host-bind:/srv/app/conf"),
        ("\"${PWD}/conf:/x\"", "host-bind:/srv/app/conf"),
        ("{type: bind, source: data, target: /x}", "host-bind:/srv/app/data"),
    ] {
        assert_eq!(placed(volume, &set), (vec![grant.to_owned()], String::new()), "{volume}");
    }
    // What names no place of a node says none.
    for set in [[("HOME", "home"), ("PWD", "app")], [("HOME", "{{ secret.a }}"), ("PWD", ".")]] {
        assert!(placed("\"~/data:/x\"", &set).1.contains("`set` and `HOME`"));
        assert!(placed("\"./data:/x\"", &set).1.contains("`set` and `PWD`"));
        assert_eq!(placed("\"./conf/a.conf:/x:ro\"", &set), (vec!["/x".to_owned()], String::new()));
    }
    let known = "\"~/d:/a\", \"~anna/d:/b\", \"./d:/c\", \"../../d:/d\", \"./C:\\\\d:/e\"";
    expect_file!["../goldens/files-4.txt"].assert_eq(&placed(known, &[]).1);
}

#[test]
fn a_bind_in_the_clothes_of_a_volume_is_as_open_as_it_is_written() {
    let of = |options: &str| {
        let text = format!(
            "services:\n  a: {{image: a:1, volumes: [\"d:/x\"]}}\nvolumes:\n  d: {{driver_opts: \
             {options}}}\n"
        );
        loaded(&text, &[], &["host-bind:/srv"])
    };
    for (o, read_only) in [("bind", false), ("\"rbind,rw\"", false), ("\"ro,bind\"", true)] {
        let (project, found) = of(&format!("{{type: none, device: /srv, o: {o}}}"));
        let bind = format!("read_only: {read_only}");
        assert!(found.is_empty() && project.contains(&bind), "{o}: {project}{found}");
    }
    let wrong = of("{type: none, device: /srv, o: \"bind,ro,noexec,nosuid\"}").1
        + &of("{type: ext4, device: /srv, o: bind}").1
        + &of("{type: none, device: /srv, o: bind, size: 1}").1
        + &of("{type: none, device: /srv}").1
        + &of("{type: none, device: /srv, o: \"${PASSWORD}\"}").1;
    expect_file!["../goldens/files-11.txt"].assert_eq(&wrong);
}

/// A repository with a file that is no text, and one that cannot be read.
struct Odd;

impl crate::file::Files for Odd {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        match path {
            "app/site/logo.png" => Ok(Some(vec![0x89, 0xff])),
            "app/site/index.html" => Ok(Some(b"hello".to_vec())),
            "app/link" => Err("app/link is a symbolic link".to_owned()),
            "" => Err("it has no name".to_owned()),
            _ => Ok(None),
        }
    }

    fn list(&self) -> Result<Vec<String>, String> {
        Ok(["app/link", "app/site/index.html", "app/site/logo.png"].map(str::to_owned).into())
    }
}

#[test]
fn what_cannot_be_taken_from_the_repository_is_told_once() {
    let text = "services:\n  a:\n    image: a:1\n    volumes:\n      - ./site:/a:ro\n      - \
                ./link:/b:ro\n      - ..:/c:ro\n      - ./site/index.html:/d:ro\n";
    let (vars, set) = Default::default();
    let inputs = Inputs {
        project: "shop",
        vars: &vars,
        set: &set,
        profiles: BTreeSet::new(),
        files: &Odd,
        limits: &Limits::default(),
    };
    let (loaded, found) = load(&Source::new("app/compose.yml", text), &inputs);
    assert_eq!(loaded.project.services["a"].files.keys().collect::<Vec<_>>(), ["/d"]);
    expect_file!["../goldens/files-5.txt"].assert_eq(&lines(&found));
}

/// A service that has to be built is that and nothing more, whatever else is written of it, and
/// whoever waits for it or binds the engine's socket beside it is read as always.
#[test]
fn what_has_to_be_built_is_told_once_and_alone() {
    let text = include_str!("../goldens/files-in4.yml");
    let set = [("PWD".to_owned(), "/srv/app".to_owned())].into();
    let (vars, files) = (Default::default(), files(text));
    let inputs = Inputs {
        project: "shop",
        vars: &vars,
        set: &set,
        profiles: BTreeSet::new(),
        files: &files,
        limits: &Limits::default(),
    };
    let (loaded, found) = load(&Source::new("app/compose.yml", text), &inputs);
    assert_eq!(found.len(), 1, "{}", lines(&found));
    assert!(lines(&found).contains(":7:5: error[DN-E0554]: `build` is refused"));
    assert_eq!(loaded.project.services.keys().collect::<Vec<_>>(), ["proxy"]);
    let asks = loaded.project.services["proxy"].asks.iter().map(|ask| ask.value.grant());
    let asks: Vec<String> = asks.map(|grant| grant.to_string()).collect();
    assert_eq!(asks, ["host-bind:/srv/app/none", "host-bind:/var/run/docker.sock"]);
}

#[test]
fn what_is_read_and_not_done_is_a_warning() {
    let text = "services:\n  a:\n    image: a:1\n    networks: [n]\n    volumes:\n      - {type: \
                bind, source: /srv, target: /srv, bind: {create_host_path: true}}\n      - {type: \
                bind, source: /etc, target: /etc, bind: {create_host_path: false}}\nnetworks: {n: \
                {name: shop, attachable: true}}\n";
    let (_, found) = loaded(text, &[], &["host-bind:/srv", BIND]);
    expect_file!["../goldens/files-6.txt"].assert_eq(&found);
}

#[test]
fn what_nobody_can_grant_is_refused_with_its_reason() {
    found(include_str!("../goldens/files-in2.yml"), &expect_file!["../goldens/files-2.txt"]);
}

#[test]
fn variables_that_cannot_be_filled_in_are_told() {
    found(include_str!("../goldens/files-in3.yml"), &expect_file!["../goldens/files-3.txt"]);
}

/// What is found in a file.
pub(super) fn found_in(text: &str) -> String {
    loaded(text, &[], &[]).1
}

#[test]
fn a_chain_of_extends_may_be_long_and_a_circle_is_told_once() {
    let mut text = "services:\n  s0: {image: x:1, environment: {A: \"1\"}}\n".to_owned();
    for at in 1..9000 {
        let base = at - 1;
        let _ = writeln!(text, "  s{at}: {{extends: s{base}}}");
    }
    let (project, found) = loaded(&text, &[], &[]);
    assert_eq!(found, "");
    assert_eq!(project.matches("  A=\"1\"\n").count(), 9000);
    // The same against the order of the file, and closed to a circle.
    let mut text = "services:\n".to_owned();
    for at in 0..9000 {
        let base = (at + 1) % 9000;
        let _ = writeln!(text, "  s{at}: {{image: x:1, extends: {{service: s{base}}}}}");
    }
    text.push_str("  into: {extends: s5}\n");
    expect_file!["../goldens/files-7.txt"].assert_eq(&found_in(&text));
    // What every link adds counts once for each that has it.
    let mut text = "services:\n  s0: {image: x:1}\n".to_owned();
    for at in 1..2000 {
        let base = at - 1;
        let _ = writeln!(text, "  s{at}: {{extends: s{base}, labels: {{l{at}: x}}}}");
    }
    let found = found_in(&text);
    assert_eq!(found.matches("DN-E0567").count(), 1, "{found}");
}

#[test]
fn a_list_of_gpus_needs_no_capability_and_a_choice_of_ports_is_told_as_one() {
    for gpus in ["[{driver: nvidia, count: 2}]", "[{count: 2}]", "[{count: 2, capabilities: [x]}]"]
    {
        let (project, found) =
            loaded(&format!("services: {{a: {{image: x:1, gpus: {gpus}}}}}"), &[], &[]);
        assert_eq!(found, "", "{gpus}");
        assert!(project.contains("Some(2)"), "{project}");
    }
    let ports = |published: &str| {
        found_in(&format!(
            "services:\n  a:\n    image: x:1\n    ports: [{{target: 80, published: {published}}}]\n"
        ))
    };
    assert_eq!(ports("8000-8000"), "");
    expect_file!["../goldens/files-8.txt"].assert_eq(&(ports("8000-8005") + &ports("9-8")));
}

#[test]
fn names_and_words_show_what_they_are() {
    found(include_str!("../goldens/files-in5.yml"), &expect_file!["../goldens/files-9.txt"]);
    let good = "services:\n  a:\n    image: x:1\n    hostname: \"h-${PASSWORD}\"\n    user: \
                \"${PASSWORD}\"\n    domainname: \"\"\n    container_name: My_app.1\n    labels: \
                {\"a b/c\": x}\n    cap_drop: [ALL, cap_net_raw]\n    dns: [1.1.1.1, \"::1\"]\n    \
                dns_search: [.]\n    ulimits: {nofile: 1024}\n    networks: {default: {aliases: \
                [s3.example.org]}}\n";
    let found = found_in(good);
    assert_eq!(found.matches("DN-").count(), found.matches("DN-W0561").count(), "{found}");
}

#[test]
fn a_name_that_is_there_twice_hides_nothing_else() {
    let text = "services:\n  a:\n    image: x:1\n    image: [y]\n    imagee: z\n  a: {build: .}\n  \
                b: {image: b:1, hostname: !tag h, privileged: true}\n";
    let (project, found) = loaded(text, &[], &[]);
    assert!(project.starts_with("a: Some(\"x:1\")"), "{project}");
    expect_file!["../goldens/files-10.txt"].assert_eq(&found);
}

/// Words that Compose files are made of, so that what is tried is near the language.
fn yaml() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "services",
        "a",
        "b",
        "image",
        "volumes",
        "ports",
        "command",
        "environment",
        "deploy",
        "resources",
        "limits",
        "networks",
        "configs",
        "secrets",
        "file",
        "extends",
        "<<",
        "x-a",
        "healthcheck",
        "test",
        "env_file",
        "tmpfs",
        "devices",
        "sysctls",
        "depends_on",
        "profiles",
    ]);
    let leaf = prop_oneof![
        Just("/etc:/x".to_owned()),
        Just("${A:-${B:?x}}".to_owned()),
        Just("$".to_owned()),
        Just("~".to_owned()),
        Just("80-90:80-90".to_owned()),
        Just("'a: b'".to_owned()),
        "[a-z0-9$:/.{}-]{0,12}".prop_map(|text| format!("\"{text}\"")),
        any::<u16>().prop_map(|number| number.to_string()),
    ];
    let tree = leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec((key.clone(), inner.clone()), 0..6).prop_map(|entries| {
                let entries = entries.into_iter().map(|(key, value)| format!("{key}: {value}"));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }),
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
        ]
    });
    tree.prop_map(|services| format!("services: {{a: {services}, b: {{image: b, extends: a}}}}\n"))
}

proptest! {
    #[test]
    fn no_document_makes_the_reader_panic(text in yaml()) {
        let _ = loaded(&text, &["x"], &[]);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in any::<String>()) {
        let _ = loaded(&text, &[], &[]);
        let _ = loaded(&format!("services: {{a: {{image: {text:?}}}}}"), &[], &[]);
    }

    /// Whatever a value holds, it arrives as it is, and what is around it stays what it was.
    #[test]
    fn values_are_data(value in "[^\u{10DE72}\u{10DE73}\u{0}]{0,40}") {
        let text =
            "services: {a: {image: a, environment: {A: \"<${V}>\"}, command: [x, \"${V}\"]}}";
        let vars = [("V".to_owned(), value.clone())].into();
        let inputs = Inputs {
            project: "shop",
            vars: &vars,
            set: &Default::default(),
            profiles: BTreeSet::new(),
            files: &MemoryFiles::new(), limits: &Limits::default() };
        let (loaded, found) = load(&Source::new("c.yml", text), &inputs);
        prop_assert!(found.is_empty(), "{found:?}");
        let service = &loaded.project.services["a"];
        prop_assert_eq!(&service.env["A"].value, &format!("<{value}>"));
        prop_assert_eq!(&service.command.as_ref().unwrap()[1].value, &value);
        prop_assert!(service.asks.is_empty());
    }
}
