//! Compose files, manifests and models: what they mean, and everything that can be wrong with them.

use expect_test::{Expect, expect};

use super::*;
use crate::{component::ParameterKind, desired::Form};

/// A cluster file, and behind lines of `==== PATH` what stands beside it.
fn read_all(text: &str) -> (Option<DesiredState>, String) {
    let mut parts = text.split("==== ");
    let root = parts.next().unwrap_or_default().to_owned();
    let mut files = MemoryFiles::from([("c.kdl".to_owned(), root)]);
    files.extend(parts.filter_map(|part| {
        let (path, text) = part.split_once('\n')?;
        Some((path.to_owned(), text.to_owned()))
    }));
    let (file, mut found) = load("c.kdl", &files);
    let mut components = components();
    let mut ollama = postgres();
    ollama.name = "ollama".to_owned();
    ollama.secrets.clear();
    ollama.parameters.retain(|_, parameter| !parameter.required);
    let context = Parameter {
        kind: ParameterKind::Integer { min: 1, max: 100_000 },
        default: Some("4096".to_owned()),
        required: false,
        description: "said in a sentence".to_owned(),
    };
    ollama.parameters.insert("context-length".to_owned(), context);
    components.insert("ollama".to_owned(), ollama);
    let (state, more) = super::super::validate(&file, &components, &BTreeMap::new());
    found.extend(more);
    (state, shown(&found))
}

fn wrong(text: &str, expected: &Expect) {
    let (state, found) = read_all(text);
    expected.assert_eq(&found);
    assert!(state.is_none() || !found.contains("error["), "{found}");
}

#[test]
fn a_compose_file_is_a_service_for_each_of_its_own() {
    let text = r#"
cluster "c" { vars { TAG "1"; }; defaults { resources cpu=0.25 memory="64MiB"; }; }
service "a" {
    compose "./x/c.yml" profile="p"
    place { require tag="ssd"; apart-from "other"; }
    priority 70
    protect
    depends-on "other"
    update max-unavailable=1
}
service "other" { image "o:1"; depends-on "a-web-front"; env W="{{ service.a-web-front.port }}"; }
==== x/c.yml
services:
  Web_front:
    image: "w:${TAG}"
    ports: ["80", "8081:81", "8082:81/udp", "0.0.0.0:90:90"]
    depends_on: [db]
    platform: linux/amd64
    deploy: {replicas: 2, update_config: {parallelism: 2}, resources: {limits: {memory: 1G}}}
  db: {image: "d:1", volumes: ["d:/d"], stop_signal: SIGINT, gpus: 1}
  alone: {image: "l:1", network_mode: none, profiles: [p]}
volumes: {d: }
"#;
    let (state, found) = read_all(text);
    expect![[r#"
        c.kdl:8:16: error[DN-E0304]: services wait in a circle: other → a-web-front → other
          help: remove one of these `depends-on`
        c.kdl:8:16: error[DN-E0304]: services wait in a circle: other → a-web-front → a-db → other
          help: remove one of these `depends-on`
    "#]]
    .assert_eq(&found);
    let fixed = text.replace("depends-on \"a-web-front\"; ", "");
    let (state_fixed, found) = read_all(&fixed);
    assert!(state.is_none());
    assert_eq!(found, "");
    let mut out = String::new();
    for service in state_fixed.unwrap().services.values() {
        let ports: Vec<_> = service.ports.iter().map(|port| &port.value).collect();
        let needs: Vec<_> = service.depends_on.iter().map(|need| need.value.as_str()).collect();
        let near: Vec<_> = service.place.near.iter().map(|near| near.value.as_str()).collect();
        let require: Vec<_> = service.place.require.iter().map(|line| &line.value.any_of).collect();
        out += &format!(
            "{} x{} p{} {:?}\n  {ports:?}\n  needs {needs:?} near {near:?} require {require:?} {}\n",
            service.name,
            service.replicas,
            service.priority,
            service.resources,
            matches!(service.form, Form::Compose { .. }),
        );
    }
    expect![[r#"
        a-alone x1 p70 Resources { cpu: Cpu { milli: 250 }, memory: Bytes(67108864), disk: Bytes(0), gpu: None }
          []
          needs ["other"] near [] require [["ssd"]] true
        a-db x1 p70 Resources { cpu: Cpu { milli: 250 }, memory: Bytes(67108864), disk: Bytes(0), gpu: Whole(1) }
          []
          needs ["other"] near [] require [["ssd"]] true
        a-web-front x2 p70 Resources { cpu: Cpu { milli: 250 }, memory: Bytes(1073741824), disk: Bytes(0), gpu: None }
          [PortDeclaration { name: "main", container: 80, host: None, scope: Internal, protocol: Tcp }, PortDeclaration { name: "port-81", container: 81, host: Some(8081), scope: Internal, protocol: Tcp }, PortDeclaration { name: "port-81-udp", container: 81, host: Some(8082), scope: Internal, protocol: Udp }, PortDeclaration { name: "port-90", container: 90, host: Some(90), scope: Public, protocol: Tcp }]
          needs ["other", "a-db"] near ["a-db"] require [["ssd"], ["linux"], ["x86_64"]] true
        other x1 p50 Resources { cpu: Cpu { milli: 250 }, memory: Bytes(67108864), disk: Bytes(0), gpu: None }
          []
          needs [] near [] require [] false
    "#]].assert_eq(&out);
}

#[test]
fn what_is_wrong_around_a_compose_file_is_told() {
    wrong(
        r#"
cluster "c"
service "a" {
    compose "c.yml"
    env A="1"
    secret "x"
    port 80
    volume "v" at="/v"
    file "/f" content="x"
    command "x"
    resources cpu=1
    replicas 2
    health tcp=80
    stop grace="1s"
    runtime "process"
    model "llama3.1:8b"
    allow "everything"
    allow "host-bind:/srv/"
    allow "cap:NET_ADMIN" to="wbe"
    allow "privileged"
    depends-on "b" "a"
    set X="{{ secret.UPPER }}"
}
service "a-web" { image "x:1"; env A="{{ service.a.address }}{{ service.a-db.port }}"; allow "privileged"; }
service "b" { compose "gone.yml"; }
service "d" { compose "empty.yml"; }
service "e" { compose "c.yml" "two"; }
moved from="old" to="a"
==== c.yml
services:
  web: {image: "w:1", cap_add: [NET_ADMIN]}
  db: {ports: ["10.0.0.1:1:1", "5:5", "5:6"], stop_signal: SIGX, environment: {"a b": x}}
  a_b: {image: "x:1"}
  a.b: {image: "x:1"}
==== empty.yml
services: {a: {image: "a:1", profiles: [x]}}
"#,
        &expect![[r#"
            c.kdl:25:23: error[DN-E0113]: there is no file `gone.yml`
              help: write the file, or correct its name
            c.kdl:27:31: error[DN-E0202]: a compose line takes no such value
              help: name it: the fields are `file`, `profile`
            c.kdl:5:9: error[DN-E0312]: `env` is said in the Compose file, of each service
              help: write `environment` there, or `set` for its `${…}`
            c.kdl:6:12: error[DN-E0312]: `secret` is said in the Compose file, of each service
              help: write `set NAME="{{ secret.NAME }}"`
            c.kdl:7:5: error[DN-E0312]: `port` is said in the Compose file, of each service
              help: write `ports` there
            c.kdl:8:12: error[DN-E0312]: `volume` is said in the Compose file, of each service
              help: write `volumes` there
            c.kdl:9:10: error[DN-E0312]: `file` is said in the Compose file, of each service
              help: write `configs` there
            c.kdl:10:13: error[DN-E0312]: `command` is said in the Compose file, of each service
              help: write `command` there
            c.kdl:11:5: error[DN-E0312]: `resources` is said in the Compose file, of each service
              help: write `deploy.resources` there
            c.kdl:12:14: error[DN-E0312]: `replicas` is said in the Compose file, of each service
              help: write `deploy.replicas` there
            c.kdl:13:5: error[DN-E0312]: `health` is said in the Compose file, of each service
              help: write `healthcheck` there
            c.kdl:14:5: error[DN-E0312]: `stop` is said in the Compose file, of each service
              help: write `stop_signal` and `stop_grace_period` there
            c.kdl:15:13: error[DN-E0321]: `process` cannot run a Compose file
              help: use docker
            c.kdl:16:5: error[DN-E0312]: `model` is said in the Compose file, of each service
              help: use a component
            c.kdl:17:11: error[DN-E0341]: `everything` is nothing that can be granted
              help: grants are `privileged`, `host-network`, `host-pid`, `host-ipc`, `host-uts`, `host-userns`, `host-cgroup`, `cap:NAME`, `device:/dev/NAME`, `security-opt:NAME=VALUE`, `sysctl:NAME` and `host-bind:/PATH`; paths are clean
            c.kdl:18:11: error[DN-E0341]: `host-bind:/srv/` is nothing that can be granted
              help: grants are `privileged`, `host-network`, `host-pid`, `host-ipc`, `host-uts`, `host-userns`, `host-cgroup`, `cap:NAME`, `device:/dev/NAME`, `security-opt:NAME=VALUE`, `sysctl:NAME` and `host-bind:/PATH`; paths are clean
            c.kdl:19:5: warning[DN-W0420]: nothing in the Compose file asks for `cap:NET_ADMIN`
              help: remove the line; grants should be few
            c.kdl:19:30: error[DN-E0342]: the Compose file runs no service `wbe`
              help: did you mean `web`?
            c.kdl:20:5: warning[DN-W0420]: nothing in the Compose file asks for `privileged`
              help: remove the line; grants should be few
            c.kdl:21:20: error[DN-E0305]: service `a` names itself in `depends-on`
              help: name another service, or remove it
            c.kdl:22:11: error[DN-E0320]: `UPPER` is not a secret name
              help: use lower-case letters, digits and `-`
            c.kdl:24:38: error[DN-E0320]: `a` is a Compose file, and has no address of its own
              help: name one of `a-a-b`, `a-db`
            c.kdl:24:88: error[DN-E0312]: `allow` goes with a Compose file: nothing else can ask for its node
              help: remove it
            c.kdl:28:21: error[DN-E0319]: `a` is a Compose file, not one service
              help: move each service by itself: `a-a-b`, `a-db`
            c.yml:2:3: error[DN-E0343]: two services are called `a-web`
              c.kdl:24:9: the other one
              help: give one of them another name
            c.yml:2:33: error[DN-E0563]: `cap:NET_ADMIN` is refused: it would have rights over the node's kernel
              c.kdl:3:9: as service `web` of this file
              help: leave it out; or grant it in the cluster file: `allow "cap:NET_ADMIN"`
            c.yml:2:33: error[DN-E0563]: `cap:NET_ADMIN` is refused: it would have rights over the node's kernel
              c.kdl:27:9: as service `web` of this file
              help: leave it out; or grant it in the cluster file: `allow "cap:NET_ADMIN"`
            c.yml:3:3: error[DN-E0555]: this service has no image
              help: write `image: …`
            c.yml:3:3: error[DN-E0555]: this service has no image
              help: write `image: …`
            c.yml:3:16: error[DN-E0313]: `10.0.0.1` is an address of one node, and nodes differ
              help: leave it out for the node's address; 127.0.0.1 is the node alone, 0.0.0.0 is everyone
            c.yml:3:16: error[DN-E0313]: `10.0.0.1` is an address of one node, and nodes differ
              help: leave it out for the node's address; 127.0.0.1 is the node alone, 0.0.0.0 is everyone
            c.yml:3:39: error[DN-E0313]: two ports take port 5 of the node
              c.yml:3:32: first here
              help: change one of the two
            c.yml:3:39: error[DN-E0313]: two ports take port 5 of the node
              c.yml:3:32: first here
              help: change one of the two
            c.yml:3:60: error[DN-E0325]: `SIGX` is no signal for this
              help: known are `SIGTERM`, `SIGINT`, `SIGQUIT`, `SIGHUP`, `SIGUSR1`, `SIGUSR2`, `SIGWINCH`, `SIGKILL`
            c.yml:3:60: error[DN-E0325]: `SIGX` is no signal for this
              help: known are `SIGTERM`, `SIGINT`, `SIGQUIT`, `SIGHUP`, `SIGUSR1`, `SIGUSR2`, `SIGWINCH`, `SIGKILL`
            c.yml:3:87: error[DN-E0301]: `a b` is not the name of an environment variable
              help: use letters, digits and `_`, not beginning with a digit
            c.yml:3:87: error[DN-E0301]: `a b` is not the name of an environment variable
              help: use letters, digits and `_`, not beginning with a digit
            c.yml:4:3: error[DN-E0343]: two services are called `a-a-b`
              c.yml:5:3: the other one
              help: give one of them another name
            c.yml:4:3: error[DN-E0343]: two services are called `e-a-b`
              c.yml:5:3: the other one
              help: give one of them another name
        "#]],
    );
}

#[test]
fn manifests_name_what_they_are() {
    let good = "cluster \"c\"\nservice \"w\" { kubernetes \"k8s/\" namespace=\"web\"; }\n==== \
                k8s/a.yaml\n# note\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n---\n\
                apiVersion: v1\nkind: ConfigMapList\nitems: []\n==== k8s/notes.txt\nx\n";
    let (state, found) = read_all(good);
    assert_eq!(found, "");
    let Form::Kubernetes(manifests) =
        &state.unwrap().services.values().next().unwrap().form.clone()
    else {
        panic!()
    };
    assert_eq!(
        (manifests.namespace.as_str(), manifests.chart, manifests.files.len()),
        ("web", false, 1)
    );
    let chart = "cluster \"c\"\nservice \"w\" { kubernetes \"ch\" { values \"v.yaml\"; }; }\n==== \
                 ch/Chart.yaml\napiVersion: v2\nname: ch\nversion: 1.0.0\n==== ch/templates/a.yaml\n{{ \
                 any }}\n==== v.yaml\nx: 1\n";
    let (state, found) = read_all(chart);
    assert_eq!(found, "");
    assert!(state.is_some());
    wrong(
        r#"
cluster "c"
service "a" { kubernetes "a" namespace="No" { values "v.yaml"; }; env A="1"; replicas 2; allow "privileged"; runtime "docker"; }
service "b" { kubernetes "nosuch"; }
service "d" { kubernetes "ch"; }
service "e" { kubernetes "../x"; }
service "f" { kubernetes "f.yaml"; }
==== a/x.yaml
apiVersion: v1
kind: Pod
---
kind: [
==== v.yaml
x: 1
==== ch/Chart.yaml
name: ch
==== f.yaml
# nothing
"#,
        &expect![[r#"
            c.kdl:4:26: error[DN-E0113]: no manifest is at `nosuch`
              help: name a manifest, a directory of `.yaml` files, or a chart
            c.kdl:6:26: error[DN-E0116]: `../x` leaves the configuration
              help: write a path below the root file's directory
            a/x.yaml:1:1: error[DN-E0340]: this object has no `metadata.name`
              c.kdl:3:26: this service uses the file
              help: write `apiVersion`, `kind` and `metadata.name`; keep other files elsewhere
            a/x.yaml:4:7: error[DN-E0107]: this is not YAML: unclosed bracket '['
              help: check the indentation, and quote texts that hold `: `, ` #` or begin with a sign
            c.kdl:3:40: error[DN-E0301]: `No` is not the name of a namespace
              help: use 1 to 63 lower-case letters, digits and `-`
            c.kdl:3:54: error[DN-E0340]: `values` are for a chart, and these are plain manifests
              help: remove it
            c.kdl:3:71: error[DN-E0312]: `env` is said in the manifests
              help: say it there, and remove it here
            c.kdl:3:87: error[DN-E0312]: `replicas` is said in the manifests
              help: say it there, and remove it here
            c.kdl:3:90: error[DN-E0312]: `allow` is said in the manifests
              help: say it there, and remove it here
            c.kdl:3:118: error[DN-E0321]: `docker` cannot run manifests
              help: use kubernetes, or leave it out
            ch/Chart.yaml:1:1: error[DN-E0340]: the chart has no `apiVersion`
              c.kdl:5:26: this service uses the file
              help: write `apiVersion`, `kind` and `metadata.name`; keep other files elsewhere
            ch/Chart.yaml:1:1: error[DN-E0340]: the chart has no `version`
              c.kdl:5:26: this service uses the file
              help: write `apiVersion`, `kind` and `metadata.name`; keep other files elsewhere
            f.yaml:1:1: error[DN-E0340]: the file declares nothing
              c.kdl:7:26: this service uses the file
              help: write `apiVersion`, `kind` and `metadata.name`; keep other files elsewhere
            v.yaml:1:1: error[DN-E0340]: this object has no `apiVersion`
              c.kdl:3:26: this service uses the file
              help: write `apiVersion`, `kind` and `metadata.name`; keep other files elsewhere
            v.yaml:1:1: error[DN-E0340]: this object has no `kind`
              c.kdl:3:26: this service uses the file
              help: write `apiVersion`, `kind` and `metadata.name`; keep other files elsewhere
            v.yaml:1:1: error[DN-E0340]: this object has no `metadata.name`
              c.kdl:3:26: this service uses the file
              help: write `apiVersion`, `kind` and `metadata.name`; keep other files elsewhere
        "#]],
    );
}

#[test]
fn models_have_names_and_sizes() {
    wrong(
        r#"
cluster "c"
service "a" { component "ollama"; model "llama3.1:8b" context=8192; model "llama3.1:8b"; model "x y"; model "llama3.1"; }
service "b" { component "ollama"; model "qwen2.5:14b" context=200000; resources gpu-memory="4GiB"; }
service "d" { component "ollama"; model "llama3.1:8b"; resources memory="2GiB"; }
service "e" { image "x:1"; model "llama3.1:8b"; }
service "f" { component "ollama"; model "llama3.1:8b" context=0; model; }
"#,
        &expect![[r#"
            c.kdl:7:63: error[DN-E0205]: `context`: 0 is not between 1 and 10000000
              help: write a whole number from 1 to 10000000
            c.kdl:7:66: error[DN-E0204]: this model has no `name`
              help: add `name`: its name and tag, like "llama3.1:8b"
            c.kdl:3:75: error[DN-E0344]: the model `llama3.1:8b` is named twice
              help: remove one of the two
            c.kdl:3:96: error[DN-E0344]: `x y` is not a model's name
              help: write a name and a tag, like `llama3.1:8b`
            c.kdl:3:109: error[DN-E0344]: `llama3.1` does not say how large the model is
              help: write the tag that says the size, like `:8b`
            c.kdl:4:41: warning[DN-W0421]: what `qwen2.5:14b` takes is guessed from its name: 40.5GiB
              help: write `gpu-memory` (or `memory`) in `resources` if you know it
            c.kdl:4:63: error[DN-E0344]: `context-length` of the component goes up to 100000
              help: write at most 100000
            c.kdl:4:92: warning[DN-W0422]: a slice of 4.0GiB does not hold the models, which take 40.5GiB
              help: take a larger slice, or serve a smaller model
            c.kdl:5:73: warning[DN-W0422]: a memory of 2.0GiB does not hold the models, which take 6.3GiB
              help: reserve more, use a GPU, or serve a smaller model
            c.kdl:6:28: error[DN-E0344]: what this service runs serves no models
              help: use a component that does, like `ollama`
        "#]],
    );
    let text = "cluster \"c\"\nservice \"a\" { component \"ollama\"; model \"llama3.1:8b\" context=9000; \
                model \"llama3.2:3b\"; }\n";
    let (state, _) = read_all(text);
    let service = state.unwrap().services.into_values().next().unwrap();
    let contexts: Vec<u32> = service.models.iter().map(|model| model.context).collect();
    assert_eq!(contexts, [9000, 4096], "its own, else the component's");
    let Form::Component { parameters, .. } = &service.form else { panic!() };
    assert_eq!(parameters["context-length"].value, "9000", "the longest");
}
