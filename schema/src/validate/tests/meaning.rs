//! What correct files mean.

use expect_test::expect;

use super::*;
use crate::{component::GrantDeclaration, desired::Form};

#[test]
fn both_forms_of_the_full_example_mean_the_same() {
    let (kdl, found) = read("cluster.kdl", FULL_KDL);
    assert_eq!(shown(&found), "");
    let (yaml, found) = read("cluster.yaml", FULL_YAML);
    assert_eq!(shown(&found), "");
    let (kdl, yaml) = (format!("{:#?}", kdl.unwrap()), format!("{:#?}", yaml.unwrap()));
    assert_eq!(without_places(&kdl), without_places(&yaml));
}

#[test]
fn the_full_example_means_what_it_says() {
    let (state, _) = read("cluster.kdl", FULL_KDL);
    let state = state.unwrap();
    let mut out = String::new();
    for service in state.services.values() {
        let r = &service.resources;
        out += &format!(
            "{} x{} {:?} p{} cpu {} memory {} disk {} {:?}\n",
            service.name,
            service.replicas,
            service.runtime,
            service.priority,
            r.cpu,
            r.memory,
            r.disk,
            r.gpu
        );
        for port in &service.ports {
            let p = &port.value;
            out += &format!(
                "  {} {} {:?} {:?} {:?}\n",
                p.name, p.container, p.host, p.scope, p.protocol
            );
        }
        for volume in &service.volumes {
            out += &format!("  {} {}\n", volume.value.name, volume.value.path);
        }
        for (path, file) in &service.files {
            let f = &file.value;
            out += &format!("  {path} {:?} template={} {:o}\n", f.text, f.template, f.mode);
        }
        for (name, value) in &service.env {
            out += &format!("  {name}={}\n", value.value);
        }
    }
    out += &format!("{:?}\n{:?}\n", state.vars, state.moved);
    expect![[r#"
        api x3 Docker p80 cpu 0.5 memory 512MiB disk 0B None
          main 8080 Some(18080) Internal Tcp
          metrics 9090 None Internal Udp
          data /var/lib/api
          /etc/api/api.toml "domain = \"{{ var.domain }}\"\n" template=true 400
          /etc/api/ca.pem "{{ not a template }}" template=false 444
          DATABASE_URL=postgres://app:{{ secret.app-db-password }}@{{ service.db.address }}/app
          FLAG=no
          LOG=info
        batch x1 Docker p50 cpu 0.25 memory 128MiB disk 0B Memory(Bytes(12884901888))
        db x1 Docker p50 cpu 2 memory 4GiB disk 20GiB None
          main 5432 None Internal Tcp
          data /var/lib/postgresql/data
        llm x3 Docker p50 cpu 0.25 memory 128MiB disk 0B Share(500)
        worker x1 Process p50 cpu 0.25 memory 128MiB disk 0B None
          main 8000 Some(8000) Internal Tcp
          cache cache
        {"domain": "lab.example", "image-tag": "3.10"}
        [(ServiceName("postgres-main"), ServiceName("db"))]
    "#]]
    .assert_eq(&out);
}

#[test]
fn scalars_keep_what_was_written() {
    let yaml = "cluster: c\nservices:\n  a:\n    image: x:1\n    \
                env: {V: 3.10, N: no, O: 0777, T: 22:22, X: 0x1F}\n";
    let kdl = "cluster c\nservice a {\n image x:1\n env V=3.10 N=no O=0777 T=\"22:22\" X=0x1F\n}\n";
    for (name, text) in [("c.yaml", yaml), ("c.kdl", kdl)] {
        let (state, found) = read(name, text);
        let state = state.unwrap_or_else(|| panic!("{}", shown(&found)));
        let env = &state.services.values().next().unwrap().env;
        let values: Vec<&str> = env.values().map(|value| value.value.as_str()).collect();
        assert_eq!(values, ["no", "0777", "22:22", "3.10", "0x1F"], "{name}");
    }
}

#[test]
fn variables_are_overridden_and_unknown_ones_refused() {
    let (file, _) = load("cluster.kdl", &files("cluster.kdl", FULL_KDL));
    let vars = |name: &str| BTreeMap::from([(name.to_owned(), "2".to_owned())]);
    let (state, found) = crate::validate::validate(&file, &components(), &vars("image-tag"));
    assert_eq!(shown(&found), "");
    assert_eq!(state.unwrap().vars["image-tag"], "2");
    let (state, found) = crate::validate::validate(&file, &components(), &vars("image-tga"));
    assert!(state.is_none());
    expect![[r#"
        error[DN-E0318]: there is no variable `image-tga` to override
          help: did you mean `image-tag`? else declare it under `vars`, or leave the value out
    "#]]
    .assert_eq(&shown(&found));
}

#[test]
fn secrets_are_warned_of_where_nobody_can_be_asked() {
    let (state, _) = read("cluster.kdl", FULL_KDL);
    let found = crate::validate::unchecked_secrets(&state.unwrap().secrets);
    expect![[r#"
        cluster.kdl:26:28: warning[DN-W0413]: secret `app-db-password` is not known here
          help: see that it is set: `devnet secret set app-db-password`
    "#]]
    .assert_eq(&shown(&found));
}

#[test]
fn includes_are_followed_and_places_name_their_file() {
    let mut files =
        files("cluster.kdl", "cluster \"c\" { include \"services/*.kdl\" \"more.yaml\"; }");
    files.insert(
        "services/b.kdl".into(),
        "service \"b\" { image \"x:1\"; depends-on \"a\"; }".into(),
    );
    files.insert("services/a.kdl".into(), "service \"a\" { image \"x:1\"; }".into());
    files.insert("more.yaml".into(), "services: {c: {image: 'x:1', depends-on: [zz]}}".into());
    let (file, found) = load("cluster.kdl", &files);
    assert_eq!(shown(&found), "");
    let files: Vec<&str> = file.sources.iter().map(|source| &*source.file).collect();
    assert_eq!(files, ["cluster.kdl", "services/a.kdl", "services/b.kdl", "more.yaml"]);
    let (_, found) = crate::validate::validate(&file, &components(), &BTreeMap::new());
    expect![[r#"
        more.yaml:1:43: error[DN-E0303]: there is no service `zz`
          help: known are `a`, `b`, `c`
    "#]]
    .assert_eq(&shown(&found));
}

#[test]
fn one_root_file_is_found_and_two_are_refused() {
    let one = files("cluster.yml", "");
    assert_eq!(crate::file::discover(&one).unwrap(), "cluster.yml");
    let mut two = files("cluster.kdl", "");
    two.insert("cluster.yaml".into(), String::new());
    let all = [crate::file::discover(&two), crate::file::discover(&files("x", ""))];
    let found: Vec<Diagnostic> = all.into_iter().map(Result::unwrap_err).collect();
    expect![[r#"
        error[DN-E0112]: there are two cluster files: cluster.kdl and cluster.yaml
          help: remove one, or name the one you mean with `-f FILE`
        error[DN-E0112]: there is no cluster file here
          help: write `cluster.kdl` or `cluster.yaml`, or name one with `-f FILE`
    "#]]
    .assert_eq(&shown(&found));
}

/// The parameters and secrets that the example uses, and nothing else of its components: the
/// catalog's own test checks it against the real ones.
#[test]
fn the_example_beside_the_readme_is_valid() {
    let text = include_str!("../../../../cluster.kdl.example");
    let (file, found) = load("cluster.kdl", &files("cluster.kdl", text));
    assert_eq!(shown(&found), "");
    let sketch = |name: &str, parameters: &[&str], secrets: &[&str]| {
        let mut signature = postgres();
        let text = signature.parameters["db-name"].clone();
        let secret = signature.secrets["password"].clone();
        signature.name = name.to_owned();
        signature.versions = vec!["17.11-bookworm".to_owned(), "7.4".to_owned()];
        signature.parameters =
            parameters.iter().map(|name| ((*name).to_owned(), text.clone())).collect();
        signature.secrets =
            secrets.iter().map(|name| ((*name).to_owned(), secret.clone())).collect();
        signature.replicable = true;
        (name.to_owned(), signature)
    };
    let components = BTreeMap::from([
        sketch("postgres", &["db-name", "db-user"], &["password"]),
        sketch("redis", &["maxmemory", "maxmemory-policy"], &[]),
        sketch("nginx", &["index-html"], &[]),
        sketch("ollama", &["context-length"], &[]),
    ]);
    let (state, found) = crate::validate::validate(&file, &components, &BTreeMap::new());
    assert_eq!(shown(&found), "");
    assert_eq!(state.unwrap().services.len(), 10);
}

/// What a component needs of its node it gets only where the file allows it.
#[test]
fn what_a_component_needs_of_its_node_has_to_be_allowed() {
    let mut watcher = postgres();
    watcher.parameters.retain(|_, parameter| !parameter.required);
    watcher.secrets.clear();
    let grant = |grant: &str, when: Option<&str>| GrantDeclaration {
        grant: grant.to_owned(),
        why: "it watches".to_owned(),
        when: when.map(str::to_owned),
    };
    watcher.grants = vec![grant("host-pid", None), grant("host-bind:/var/log", Some("fsync"))];
    let components = BTreeMap::from([("watcher".to_owned(), watcher)]);
    let check = |lines: &str| {
        let text = format!("cluster \"c\"\nservice \"a\" {{ component \"watcher\"; {lines} }}");
        let (file, _) = load("c.kdl", &files("c.kdl", &text));
        let (state, found) = crate::validate::validate(&file, &components, &BTreeMap::new());
        (state, shown(&found))
    };
    let (state, found) = check("allow \"host-pid\"");
    assert!(state.is_none());
    assert_eq!(
        found,
        "c.kdl:2:9: error[DN-E0347]: component `postgres` needs `host-bind:/var/log` of its node, \
         which is not allowed\n  help: write `allow \"host-bind:/var/log\"`, if it may have it: it \
         watches\n"
    );
    let (state, found) = check("set fsync=#false; allow \"host-pid\"");
    assert_eq!(found, "");
    let state = state.unwrap();
    let Form::Component { grants, .. } = &state.services.values().next().unwrap().form else {
        panic!()
    };
    assert_eq!(grants.iter().map(ToString::to_string).collect::<Vec<_>>(), ["host-pid"]);
    let (state, found) =
        check("allow \"host-pid\"; allow \"host-bind:/var\"; allow \"privileged\"");
    assert!(state.is_some() && found.contains("[DN-W0420]") && found.contains("`privileged`"));
    let (_, found) = check("allow \"host-pid\" to=\"x\"; allow \"host-bind:/var/log\"");
    assert!(found.contains("`to` goes with a Compose file"), "{found}");
}
