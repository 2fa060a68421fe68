//! Compose files as a repository holds them: variables, merges, profiles, files beside them, and
//! every way to ask for the node.

use expect_test::{Expect, expect, expect_file};
use proptest::prelude::*;

use super::*;

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
        vars: &vars,
        set: &set,
        profiles: profiles.iter().map(|profile| (*profile).to_owned()).collect(),
        files: &files,
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

fn found(text: &str, expected: &Expect) {
    expected.assert_eq(&loaded(text, &[], &[]).1);
}

#[test]
fn variables_merges_and_files_end_in_one_normal_form() {
    let text = r#"
name: shop
x-base: &base
  restart: unless-stopped
  environment: &env {A: x, TAG: "${TAG}"}
  logging: {driver: none}
services:
  web:
    <<: *base
    logging:
    image: "nginx:${TAG:?}"
    container_name: front
    environment:
      <<: [*env, {A: lost, C: "3"}]
      PASSWORD: "pw=${PASSWORD}"
      PASSED:
    env_file: [web.env, {path: none.env, required: false}]
    ports: ["127.0.0.1:${PORT}:80", "9000-9001:9000-9001/udp", {target: 443, published: "8443"}]
    expose: [81]
    volumes:
      - ./conf:/etc/nginx/conf.d:ro
      - ../top.txt:/top.txt:ro
      - data:/data:ro
      - type: tmpfs
        target: /run
        tmpfs: {size: 64m, mode: 01777}
      - /var/cache/
      - {type: volume, source: data, target: /again, volume: {nocopy: false}}
    tmpfs: /tmp:size=1m
    configs: [{source: inline, target: /etc/app.conf}, filed]
    secrets: [password, token]
    depends_on: {db: {condition: service_healthy}, debug: {condition: service_started, required: false}}
    links: ["db:database"]
    networks: {front: {aliases: [www], ipv4_address: 172.28.0.9}, back: }
    platform: linux/arm64/v8
    ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}
    sysctls: []
    security_opt: [no-new-privileges:true]
    cap_drop: [all, CAP_NET_RAW]
    extra_hosts: ["a:10.0.0.1", "b=[::1]"]
    dns: 1.1.1.1
    read_only: true
    working_dir: /srv
    group_add: [audio, "99"]
    pids_limit: 100
    deploy:
      mode: replicated
      replicas: 2
      resources:
        limits: {cpus: "1.5", memory: 1.5G}
        reservations: {memory: 256m, devices: [{driver: nvidia, count: 1, capabilities: [gpu]}]}
      placement: {max_replicas_per_node: 2}
      update_config: {parallelism: 2}
      restart_policy: {condition: any}
  db:
    image: postgres
    networks: [back]
    command: postgres -c "log=a b" ${PLAIN}
    stop_grace_period: 2m
  debug: {image: busybox, profiles: [debug]}
  child:
    extends: {service: db}
    command: [other]
    environment: {X: "1"}
volumes: {data: {driver: local}}
networks:
  front: {driver: bridge, name: shop-front, ipam: {driver: default, config: [{subnet: 172.28.0.0/16, gateway: 172.28.0.1}]}}
  back: {internal: true, external: false}
configs: {inline: {content: "p=${PASSWORD} {{ .x }}"}, filed: {file: ./conf/a.conf}}
secrets: {password: {external: true, name: db-password}, token: {environment: PASSWORD}}
"#;
    expect_file!["../goldens/project.txt"].assert_eq(&both(text));
}

#[test]
fn profiles_choose_services() {
    let text = "services:\n  a: {image: a:1}\n  b: {image: b:1, profiles: [x, y]}\n  c: {image: c:1, \
                profiles: [z], depends_on: [b]}\n";
    let names = |profiles: &[&str]| {
        let (project, found) = loaded(text, profiles, &[]);
        let names = project.lines().filter(|line| !line.starts_with(' ')).collect::<String>();
        (names, found)
    };
    assert_eq!(names(&[]).0, "a: Some(\"a:1\")");
    assert_eq!(names(&["y"]).0, "a: Some(\"a:1\")b: Some(\"b:1\")");
    assert_eq!(names(&["z", "x"]).1, "");
    expect![[r#"
        app/compose.yml:4:47: error[DN-E0566]: `b` belongs to a profile that is not wanted
          help: want the profile too, or write `required: false`
    "#]]
    .assert_eq(&names(&["z"]).1);
}

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
    (
        "volumes: [{type: bind, source: /etc, target: /x, bind: {create_host_path: true}}]",
        "host-bind:/etc",
    ),
    ("volumes: [{type: volume, source: /etc, target: /x}]", "host-bind:/etc"),
    ("volumes: [{source: /etc, target: /x}]", "host-bind:/etc"),
    ("volumes: [\"disguised:/x\"]", "host-bind:/etc"),
    ("volumes: [{type: volume, source: disguised, target: /x}]", "host-bind:/etc"),
    ("volumes: [\"/var/run/docker.sock:/x\"]", "host-bind:/var/run/docker.sock"),
    ("volumes: [\"/run/podman/podman.sock:/x:ro\"]", "host-bind:/run/podman/podman.sock"),
];

fn asking(field: &str) -> String {
    format!(
        "services:\n  a:\n    image: a:1\n    {field}\nvolumes:\n  disguised: {{driver_opts: {{type: \
         none, o: \"rw,bind\", device: /srv/../etc}}}}\n"
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

#[test]
fn what_nobody_can_grant_is_refused_with_its_reason() {
    found(
        r#"
include: [other.yml]
services:
  built: {build: ., privileged: true}
  a:
    extends: {file: other.yml, service: x}
    cgroup_parent: /x
    device_cgroup_rules: ["c 1:3 mr"]
    pid: "service:b"
    ipc: "container:x"
    network_mode: "service:b"
    volumes_from: [b]
    external_links: [x]
    logging: {driver: none}
    runtime: nvidia
    cpuset: "0"
    pull_policy: build
    post_start: [{command: x}]
    develop: {watch: []}
    restart: on-failure:3
    gpus: all
    depends_on: {b: {condition: service_completed_successfully, restart: true}}
    deploy:
      mode: global
      endpoint_mode: vip
      placement: {constraints: [node.role == manager]}
      resources: {reservations: {devices: [{capabilities: [tpu], device_ids: ["0"]}]}}
    volumes:
      - ~/data:/data
      - ./none:/none
      - ../../etc:/etc
      - data:/data:rshared
      - {type: npipe, source: x, target: /x}
      - {type: bind, source: /x, target: /x, bind: {propagation: shared}}
      - ./conf:/conf
      - relative
    configs: [{source: outside, uid: "0"}]
    nonsense: 1
  b: {image: b:1}
volumes: {data: {external: true}, other: {driver: nfs, driver_opts: {type: nfs, device: ":/x"}}}
networks: {n: {driver: overlay}, e: {external: true}}
configs: {outside: {file: ../../etc/passwd}, gone: {file: ./gone}, two: {file: a, content: b}}
secrets: {s: {file: ./password.txt}, S_x: {external: true}}
"#,
        &expect![[r#"
            app/compose.yml:2:1: error[DN-E0554]: `include` is refused: what runs has to be said in this file
              help: copy the services here
            app/compose.yml:4:11: error[DN-E0554]: `build` is refused: devnet runs images that a registry has
              help: build and push the image first, and write `image: …` alone
            app/compose.yml:6:15: error[DN-E0554]: `extends: file` is refused: what runs has to be said in this file
              help: copy the service here, and extend it by its name
            app/compose.yml:7:5: error[DN-E0554]: `cgroup_parent` is refused: it reaches into the node's kernel, and devnet cannot grant that
              help: leave it out
            app/compose.yml:8:5: error[DN-E0554]: `device_cgroup_rules` is refused: it reaches into the node's kernel, and devnet cannot grant that
              help: leave it out
            app/compose.yml:9:5: error[DN-E0554]: `pid` is refused: a container has its own, or with a grant the node's
              help: leave it out
            app/compose.yml:10:5: error[DN-E0554]: `ipc` is refused: a container has its own, or with a grant the node's
              help: leave it out
            app/compose.yml:11:5: error[DN-E0554]: `network_mode` is refused: a service has its own network, none, or with a grant the node's
              help: leave it out
            app/compose.yml:12:5: error[DN-E0554]: `volumes_from` is refused: what a service sees has to be said of itself: name the volumes
              help: leave it out
            app/compose.yml:13:5: error[DN-E0554]: `external_links` is refused: a service reaches those of its own file by name, and others at `{{ service.NAME.address }}`
              help: leave it out
            app/compose.yml:14:5: error[DN-E0554]: `logging` is refused: `devnet logs` reads the engine's own log: no other driver is used
              help: leave it out
            app/compose.yml:15:5: error[DN-E0554]: `runtime` is refused: what runs containers is the engine's business; for a GPU write `gpus: 1`
              help: leave it out
            app/compose.yml:16:5: error[DN-E0554]: `cpuset` is refused: devnet does not carry it; limits are `deploy.resources.limits`
              help: leave it out
            app/compose.yml:17:5: error[DN-E0554]: `pull_policy` is refused: devnet pulls images that a node has not
              help: leave it out
            app/compose.yml:18:5: error[DN-E0554]: `post_start` is refused: devnet runs nothing beside the service; use its image
              help: leave it out
            app/compose.yml:19:5: warning[DN-W0560]: `develop` is ignored: nothing is rebuilt here
              help: leave it out
            app/compose.yml:20:5: warning[DN-W0560]: `restart` is ignored: the agent starts again whatever ends, however it ended
              help: leave it out
            app/compose.yml:21:11: error[DN-E0554]: all GPUs of a node are asked for, and nodes differ
              help: write how many: `count: 1`
            app/compose.yml:22:33: error[DN-E0554]: a service that ends is started again: none is ever completed
              help: let the service do by itself what it needs before it serves
            app/compose.yml:22:65: error[DN-E0554]: `depends_on.restart` is refused: devnet does not restart a service because of another
              help: leave it out
            app/compose.yml:24:7: error[DN-E0554]: `deploy.mode` is refused: devnet runs a number of instances: write `replicas`
              help: leave it out
            app/compose.yml:25:7: error[DN-E0554]: `deploy.endpoint_mode` is refused: it is for Swarm; there is none here
              help: leave it out
            app/compose.yml:26:19: error[DN-E0554]: `deploy.placement.constraints` is refused: the cluster file says where services run: see `place`
              help: leave it out
            app/compose.yml:27:44: error[DN-E0554]: a reserved device is not a GPU
              help: write `capabilities: [gpu]`
            app/compose.yml:27:66: error[DN-E0554]: `devices.device_ids` is refused: devnet picks the devices, so that no two services are given one: write `count`
              help: leave it out
            app/compose.yml:29:9: error[DN-E0558]: `~/data` is in the home of whoever runs Compose; nobody does here
              help: for data use a named volume, for a file commit it; a path of every node can be granted when it is absolute: `allow "host-bind:/PATH"`
            app/compose.yml:30:9: error[DN-E0558]: the repository has no `./none`, and a node has none either
              help: for data use a named volume, for a file commit it; a path of every node can be granted when it is absolute: `allow "host-bind:/PATH"`
            app/compose.yml:31:9: error[DN-E0558]: `../../etc` is a path of the node that depends on where Compose runs
              help: for data use a named volume, for a file commit it; a path of every node can be granted when it is absolute: `allow "host-bind:/PATH"`
            app/compose.yml:32:9: error[DN-E0554]: the option `rshared` is refused
              help: `ro` and `rw` are carried to the engine, and no other
            app/compose.yml:33:9: error[DN-E0554]: a mount of type `npipe` is refused
              help: use `volume`, `bind` or `tmpfs`
            app/compose.yml:34:53: error[DN-E0554]: `bind.propagation` is refused: devnet does not carry it to the engine
              help: leave it out
            app/compose.yml:35:9: warning[DN-W0562]: `./conf` is the repository's and cannot be written by the service
              help: write `:ro` behind it; for what the service writes, use a volume
            app/compose.yml:36:9: error[DN-E0551]: `relative` is not an absolute path
              help: write where the service sees the volume, without `..`
            app/compose.yml:37:33: error[DN-E0554]: `uid` is refused: files belong to the agent's user; `mode` says who may read
              help: leave it out
            app/compose.yml:38:5: error[DN-E0550]: a service has no field `nonsense`
              help: the fields are image, entrypoint, command, environment, env_file, ports, expose, volumes, tmpfs, configs, secrets, healthcheck, stop_signal, stop_grace_period, shm_size, user, hostname, init, labels, depends_on, links, networks, deploy, restart and more: see docs/cluster-file.md
            app/compose.yml:40:18: error[DN-E0554]: `external` of a volume is refused
              help: a volume is a name and nothing more: `data: {}`; where it is kept is the engine's business
            app/compose.yml:40:43: error[DN-E0554]: `driver` of a volume is refused
              help: a volume is a name and nothing more: `data: {}`; where it is kept is the engine's business
            app/compose.yml:40:56: error[DN-E0554]: `driver_opts` of a volume is refused: it mounts what no commit names
              help: a volume is a name and nothing more; a path of the node is a bind
            app/compose.yml:41:16: error[DN-E0554]: `networks.driver` is refused: devnet makes bridges on one node; others it knows not
              help: leave it out
            app/compose.yml:41:38: error[DN-E0554]: `networks.external` is refused: devnet makes the networks; services that share one stand in one Compose file
              help: leave it out
            app/compose.yml:42:27: error[DN-E0565]: `../../etc/passwd` is not a file of this repository
              help: name a file beside this one; what is on a node is not in the commit
            app/compose.yml:42:59: error[DN-E0565]: there is no file `app/gone`
              help: commit the file, or correct its name
            app/compose.yml:42:68: error[DN-E0555]: the config `two` has several contents
              help: write one of `content: …`, `file: ./…` and `environment: NAME`
            app/compose.yml:42:80: error[DN-E0565]: there is no file `app/a`
              help: commit the file, or correct its name
            app/compose.yml:43:21: warning[DN-W0563]: this secret stands in the repository for everyone to read
              help: write `external: true` and `devnet secret set NAME`
            app/compose.yml:43:38: error[DN-E0569]: `S_x` is not the name of a secret of the cluster
              help: add `name:` with lower-case letters, digits and `-`
            app/compose.yml:34:9: error[DN-E0563]: `host-bind:/x` is refused: what is on a node is not in the commit, and it would leave its box
              help: leave it out; or grant it in the cluster file: `allow "host-bind:/x"`
        "#]],
    );
}

#[test]
fn variables_that_cannot_be_filled_in_are_told() {
    found(
        r#"
services:
  a:
    image: "a:$NO"
    command: "echo $"
    environment: {A: "${NO:?set it}", B: "${A!}"}
    env_file: missing.env
    healthcheck: {test: [CMD, "${PASSWORD}"]}
    ports: ["${PASSWORD}:80"]
    volumes: ["${PASSWORD}:/x"]
    hostname: "${PASSWORD}"
    depends_on: [nobody]
    networks: [nowhere]
    extends: nobody
  b: {image: b, extends: c}
  c: {image: c, extends: {service: b}}
  "-d": {image: d}
"#,
        &expect![[r#"
            app/compose.yml:4:12: error[DN-E0561]: the variable `NO` has no value
              help: give it a value: `set NAME="…"` in the service, or `vars` of the cluster; or write `${NAME:-default}`
            app/compose.yml:5:14: error[DN-E0562]: this `$` begins no variable
              help: write `${NAME}`, `${NAME:-default}`, or `$$` for a dollar sign
            app/compose.yml:6:22: error[DN-E0561]: `NO`: set it
              help: give it a value: `set NAME="…"` in the service, or `vars` of the cluster; or write `${NAME:-default}`
            app/compose.yml:6:42: error[DN-E0562]: a name is followed by something that means nothing
              help: write `${NAME}`, `${NAME:-default}`, or `$$` for a dollar sign
            app/compose.yml:7:15: error[DN-E0565]: there is no file `app/missing.env`
              help: commit the file, or correct its name
            app/compose.yml:8:31: error[DN-E0552]: `test` cannot hold a template: it has to be known in advance
              help: write the text, or take it from a variable that is no template
            app/compose.yml:9:13: error[DN-E0551]: what the template gives a port is not a port like 8080, "80:8080", "127.0.0.1:80:8080/udp" or "8000-8010:8000-8010" (at most 100, as many here as there)
              help: write a port like 8080, "80:8080", "127.0.0.1:80:8080/udp" or "8000-8010:8000-8010" (at most 100, as many here as there)
            app/compose.yml:10:15: error[DN-E0552]: a volume cannot hold a template: it has to be known in advance
              help: write the text, or take it from a variable that is no template
            app/compose.yml:12:18: error[DN-E0566]: there is no service `nobody` to wait for
              help: name a service of this file
            app/compose.yml:13:16: error[DN-E0559]: the network `nowhere` is not declared
              help: declare it at the top: `networks: {NAME: {}}`
            app/compose.yml:14:14: error[DN-E0564]: there is no service `nobody` to extend
              help: name a service of this file
            app/compose.yml:15:26: error[DN-E0564]: services extend in a circle: c → b → c
              help: remove one of these `extends`
            app/compose.yml:16:26: error[DN-E0564]: services extend in a circle: b → c → b
              help: remove one of these `extends`
            app/compose.yml:17:3: error[DN-E0569]: `-d` is not a service's name
              help: use letters, digits, `-`, `_` and `.`, beginning with a letter or digit
        "#]],
    );
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
        let text = "services: {a: {image: a, environment: {A: \"<${V}>\"}, command: [x, \"${V}\"]}}";
        let vars = [("V".to_owned(), value.clone())].into();
        let inputs = Inputs {
            vars: &vars,
            set: &Default::default(),
            profiles: BTreeSet::new(),
            files: &MemoryFiles::new(),
        };
        let (loaded, found) = load(&Source::new("c.yml", text), &inputs);
        prop_assert!(found.is_empty(), "{found:?}");
        let service = &loaded.project.services["a"];
        prop_assert_eq!(&service.env["A"].value, &format!("<{value}>"));
        prop_assert_eq!(&service.command.as_ref().unwrap()[1].value, &value);
        prop_assert!(service.asks.is_empty());
    }
}
