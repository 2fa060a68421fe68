//! A golden for every finding.

use expect_test::{Expect, expect};

use super::*;

fn check(name: &str, text: &str, expected: Expect) {
    let (state, found) = read(name, text);
    assert_eq!(
        state.is_none(),
        found.iter().any(Diagnostic::is_error),
        "{}",
        shown(&found)
    );
    expected.assert_eq(&shown(&found));
}

/// Findings about what one service says, without its frame.
fn service(body: &str, expected: Expect) {
    check(
        "c.kdl",
        &format!("cluster c\nservice a {{\n{body}\n}}"),
        expected,
    );
}

#[test]
fn fields() {
    check(
        "c.kdl",
        r#"cluster "c" { placement "blance"; colour "red"; sync auto="yes" interval=5; }
service "a" {
    image "x:1"
    replcas 3
    replicas "many"
    replicas 2
    resources cpu="lots" memory=5 gpu=1.5
    port
    port 99999
    port 80 81
    volume "d"
    env "x"
    set
    health http="/" tcp=80 port=x
    health port=80
    place { require; require tag=a zone=b; spread by="rack"; near; }
    protect maybe
    file "/x"
    file "/y" content="" source="files/ca.pem" mode="rw"
}
service { image x:1; }
service "b" 1 { image x:1; }
service "c" { compose "x.yml"; }
service "d" { image x:1; process y; }
service "e"
service "f" { image #null; version 1; }
moved from="x"
"#,
        expect![[r#"
            c.kdl:1:25: error[DN-E0205]: `placement`: `blance` is not one of its values
              help: did you mean `balance`?
            c.kdl:1:35: error[DN-E0201]: a cluster has no field `colour`
              help: known are `name`, `catalog`, `include`, `sync`, `vars`, `defaults`, `placement`, `lost-after`, `unplaced`
            c.kdl:1:59: error[DN-E0205]: `auto`: `yes` is a text, not a flag
              help: write #true or #false, without quotes
            c.kdl:1:74: error[DN-E0205]: `interval`: `5` is not a length of time
              help: write a number and ms, s, m, h or d, like "5s"
            c.kdl:4:5: error[DN-E0201]: a service has no field `replcas`
              help: did you mean `replicas`?
            c.kdl:5:14: error[DN-E0205]: `replicas`: `many` is not a whole number from 0 to 1000
              help: write a number such as 3
            c.kdl:6:5: error[DN-E0206]: `replicas` is written twice
              c.kdl:5:5: first here
              help: keep one of the two
            c.kdl:7:19: error[DN-E0205]: `cpu`: `lots` is not an amount of CPU
              help: write cores like 0.5 or "500m"
            c.kdl:7:33: error[DN-E0205]: `memory`: `5` is not a size
              help: write a number and one of B, KiB, MiB, GiB, TiB, KB, MB, GB, TB, like "512MiB"
            c.kdl:7:39: error[DN-E0205]: `gpu`: `1.5` is not an amount of GPUs
              help: write whole devices like 1, or a share below 1 like 0.5
            c.kdl:8:5: error[DN-E0204]: this port has no `container`
              help: add `container`: where the service listens
            c.kdl:9:10: error[DN-E0205]: `container`: 99999 is not between 1 and 65535
              help: write a whole number from 1 to 65535
            c.kdl:10:13: error[DN-E0202]: a port takes no such value
              help: name it: the fields are `container`, `host`, `name`, `scope`, `protocol`
            c.kdl:11:12: error[DN-E0204]: this volume has no `at`
              help: add `at`: where the service sees it
            c.kdl:12:9: error[DN-E0202]: `env` takes names with values
              help: write `env NAME="value"`
            c.kdl:13:5: error[DN-E0202]: `set` takes names with values
              help: write `set NAME="value"`
            c.kdl:14:5: error[DN-E0208]: this health check has 2 ways to check
              help: give it one of `http`, `tcp` and `exec`
            c.kdl:14:33: error[DN-E0205]: `port`: `x` is not a whole number from 1 to 65535
              help: write a number such as 3
            c.kdl:15:5: error[DN-E0206]: `health` is written twice
              c.kdl:14:5: first here
              help: keep one of the two
            c.kdl:16:13: error[DN-E0208]: this line asks nothing of a node
              help: name a `tag`, `zone`, `os`, `arch`, `gpu-model` or `node`
            c.kdl:16:22: error[DN-E0208]: this line asks two things of a node
              help: write a line for each
            c.kdl:16:54: error[DN-E0205]: `by`: `rack` is not one of its values
              help: known are `zone`, `node`
            c.kdl:16:62: error[DN-E0203]: `near` has no value
              help: write a value, or "" for an empty text
            c.kdl:17:13: error[DN-E0205]: `protect`: `maybe` is a text, not a flag
              help: write #true or #false, without quotes
            c.kdl:18:10: error[DN-E0208]: file `/x` has no content
              help: give it either `content` or `source`
            c.kdl:19:10: error[DN-E0208]: file `/y` has two contents
              help: give it either `content` or `source`
            c.kdl:19:53: error[DN-E0205]: `mode`: `rw` is not a file mode
              help: write permission bits in octal, like "0444"
            c.kdl:21:1: error[DN-E0204]: this service has no name
              help: write `service "NAME" …`
            c.kdl:22:13: error[DN-E0202]: a service takes no such value
              help: name it: the fields are `component`, `version`, `image`, `process`, `compose`, `kubernetes`, `model`, `runtime`, `replicas`, `priority`, `set`, `secret`, `env`, `port`, `volume`, `file`, `command`, `resources`, `place`, `depends-on`, `health`, `stop`, `update`, `protect`
            c.kdl:23:15: error[DN-E0210]: this version of devnet does not run `compose` yet
              help: use `component`, `image` or `process`
            c.kdl:24:9: error[DN-E0208]: service `d` runs two things
              help: keep one of `component`, `image` and `process`
            c.kdl:25:9: error[DN-E0208]: service `e` runs nothing
              help: give it a `component`, an `image` or a `process`
            c.kdl:26:21: error[DN-E0203]: `image` has no value
              help: write a value, or "" for an empty text
            c.kdl:27:1: error[DN-E0204]: this moved line has no `to`
              help: add `to`: the new name
        "#]],
    );
}

#[test]
fn fields_of_yaml() {
    check(
        "c.yaml",
        r#"cluster: {name: c, sync: {auto: yes, prune: "true"}}
service: {a: {image: x}}
services:
  a:
    image: x:1
    env: {A: , B: ~, C: [1]}
    ports: 80
    depends-on: {x: 1}
    place: []
    set: 5
    replicas: -1
    model: llama
  b: x:1
  c:
nodes: [x]
"#,
        expect![[r#"
            c.yaml:1:33: error[DN-E0205]: `auto`: `yes` is a text, not a flag
              help: write true or false, without quotes
            c.yaml:1:45: error[DN-E0205]: `prune`: `true` is a text, not a flag
              help: write true or false, without quotes
            c.yaml:2:1: error[DN-E0201]: a file has no field `service`
              help: did you mean `services`?
            c.yaml:6:12: error[DN-E0203]: `A` has no value
              help: write a value, or "" for an empty text
            c.yaml:6:19: error[DN-E0203]: `B` has no value
              help: write a value, or "" for an empty text
            c.yaml:6:25: error[DN-E0202]: `C` takes a single value
              help: write one text or number
            c.yaml:8:17: error[DN-E0202]: `depends-on` takes texts
              help: write one text after the other
            c.yaml:9:12: error[DN-E0202]: a place takes fields, not a single value
              help: its fields are `require`, `forbid`, `prefer`, `pin`, `spread`, `max-per-node`, `apart-from`, `near`
            c.yaml:10:10: error[DN-E0202]: `set` takes names with values
              help: write `set: {NAME: value}`
            c.yaml:11:15: error[DN-E0205]: `replicas`: `-1` is not a whole number from 0 to 1000
              help: write a number such as 3
            c.yaml:12:5: error[DN-E0210]: this version of devnet does not run `model` yet
              help: pull the model when the service starts
            c.yaml:13:6: error[DN-E0202]: a service takes fields, not a single value
              help: its fields are `component`, `version`, `image`, `process`, `compose`, `kubernetes`, `model`, `runtime`, `replicas`, `priority`, `set`, `secrets`, `env`, `ports`, `volumes`, `files`, `command`, `resources`, `place`, `depends-on`, `health`, `stop`, `update`, `protect`
            c.yaml:14:4: error[DN-E0202]: a service takes fields, not a single value
              help: its fields are `component`, `version`, `image`, `process`, `compose`, `kubernetes`, `model`, `runtime`, `replicas`, `priority`, `set`, `secrets`, `env`, `ports`, `volumes`, `files`, `command`, `resources`, `place`, `depends-on`, `health`, `stop`, `update`, `protect`
            c.yaml:15:8: error[DN-E0202]: `nodes` takes names with fields
              help: write `nodes:` and below it `NAME: …`
        "#]],
    );
}

#[test]
fn syntax() {
    for (name, text, expected) in [
        (
            "c.kdl",
            "",
            expect![[r#"
            c.kdl:1:1: error[DN-E0110]: this file declares nothing
              help: an empty file is never taken as the wish to remove everything; restore its content
        "#]],
        ),
        (
            "c.kdl",
            "// nothing\n",
            expect![[r#"
            c.kdl:1:1: error[DN-E0110]: this file declares nothing
              help: an empty file is never taken as the wish to remove everything; restore its content
        "#]],
        ),
        (
            "c.yaml",
            "# nothing\n",
            expect![[r#"
            c.yaml:1:1: error[DN-E0110]: this file declares nothing
              help: an empty file is never taken as the wish to remove everything; restore its content
        "#]],
        ),
        (
            "c.yaml",
            "just text",
            expect![[r#"
            c.yaml:1:1: error[DN-E0115]: this file has no `cluster` section
              help: begin it with `cluster "NAME"` (YAML: `cluster: NAME`)
            c.yaml:1:1: error[DN-E0202]: a file takes fields, not a single value
              help: its fields are `cluster`, `nodes`, `services`, `moved`
        "#]],
        ),
        (
            "c.kdl",
            "service a { image x:1; }",
            expect![[r#"
            c.kdl:1:1: error[DN-E0115]: this file has no `cluster` section
              help: begin it with `cluster "NAME"` (YAML: `cluster: NAME`)
        "#]],
        ),
        (
            "c.kdl",
            "cluster c",
            expect![[r#"
            c.kdl:1:9: error[DN-E0300]: this configuration declares no service
              help: declare one; an empty configuration is never taken as the wish to remove all
        "#]],
        ),
        (
            "c.kdl",
            "cluster c {\n  sync auto=true\n",
            expect![[r#"
                c.kdl:1:11: error[DN-E0104]: this `{` is never closed
                  help: close it with `}`; is the rest of the file missing?
                c.kdl:2:13: error[DN-E0107]: this is not KDL 2: `true` needs a `#`
                  help: write `#true`, or `"true"` for the text
            "#]],
        ),
        (
            "c.kdl",
            "cluster c {\n  sync auto=true\n}\n",
            expect![[r#"
            c.kdl:2:13: error[DN-E0107]: this is not KDL 2: `true` needs a `#`
              help: write `#true`, or `"true"` for the text
        "#]],
        ),
        (
            "c.kdl",
            "cluster \"c\n",
            expect![[r#"
            c.kdl:1:9: error[DN-E0104]: the text that begins here is not closed on its line
              help: close it with `"`
        "#]],
        ),
        (
            "c.kdl",
            "cluster c }\n",
            expect![[r#"
            c.kdl:1:11: error[DN-E0104]: this `}` closes nothing
              help: remove it, or add the `{` that it should close
        "#]],
        ),
        (
            "c.kdl",
            "cluster c /* x\n",
            expect![[r#"
            c.kdl:1:11: error[DN-E0104]: this comment is never closed
              help: close it with `*/`
        "#]],
        ),
        (
            "c.kdl",
            "cluster c=#\"x\"\n",
            expect![[r##"
            c.kdl:1:11: error[DN-E0104]: the text that begins here is not closed
              help: close it with `"#`; it may span lines
        "##]],
        ),
        (
            "c.kdl",
            "(x)cluster c\n",
            expect![[r#"
                c.kdl:1:1: error[DN-E0108]: type annotations mean nothing here
                  help: remove it, or put the text into quotes
            "#]],
        ),
        (
            "c.kdl",
            "cluster c\u{202e}\n",
            expect![[r#"
            c.kdl:1:10: error[DN-E0103]: the character U+202E is not allowed in a file
              help: remove it; inside a quoted text it can be written as an escape
        "#]],
        ),
        (
            "c.yaml",
            "cluster: c\ncluster: d\n",
            expect![[r#"
            c.yaml:2:1: error[DN-E0111]: `cluster` is written twice
              c.yaml:1:1: first here
              help: keep one of the two
        "#]],
        ),
        (
            "c.yaml",
            "cluster: !!str c\nservices: {<<: {}}\n",
            expect![[r#"
            c.yaml:1:16: error[DN-E0108]: tags (`!…`) mean nothing here
              help: remove the tag; quote the value if it must be a text
            c.yaml:2:12: error[DN-E0108]: the merge key `<<` is not part of YAML 1.2
              help: write the fields out, or use `defaults`
        "#]],
        ),
        (
            "c.yaml",
            "cluster: c\n---\ncluster: d\n",
            expect![[r#"
            c.yaml:2:1: error[DN-E0109]: a second document begins here
              help: write one document in a file, and name others with `include`
        "#]],
        ),
        (
            "c.yaml",
            "cluster: c\n bad: [\n",
            expect![[r#"
            c.yaml:2:5: error[DN-E0107]: this is not YAML: mapping values are not allowed in this context
              help: check the indentation, and quote texts that hold `: `, ` #` or begin with a sign
        "#]],
        ),
        (
            "c.yaml",
            "cluster: &a [*a]\n",
            expect![[r#"
            c.yaml:1:14: error[DN-E0106]: this alias stands within what it names, so it would never end
              help: write the value out
        "#]],
        ),
        (
            "c.yaml",
            "cluster: *nobody\n",
            expect![[r#"
            c.yaml:1:10: error[DN-E0107]: this is not YAML: while parsing node, found unknown anchor
              help: check the indentation, and quote texts that hold `: `, ` #` or begin with a sign
        "#]],
        ),
        (
            "c.yaml",
            "[1]: 2\n",
            expect![[r#"
            c.yaml:1:1: error[DN-E0108]: a name must be a text here
              help: write `name: value`
        "#]],
        ),
        (
            "c.toml",
            "x = 1",
            expect![[r#"
            error[DN-E0114]: `c.toml` is neither KDL nor YAML
              help: name it `….kdl`, `….yaml` or `….yml`
        "#]],
        ),
    ] {
        check(name, text, expected);
    }
}

#[test]
fn names() {
    check(
        "c.kdl",
        r#"cluster "My Lab" { vars { "1x" "y"; } }
node "Atlas" { tags " x"; zone ""; }
service "A_B" { image "x:1"; env "A=B"="c" "1"="d"; volume "D" at="/x"; port 80 name="Web"; }
"#,
        expect![[r#"
            c.kdl:1:9: error[DN-E0301]: `My Lab` is not a cluster name
              help: use 1 to 63 lower-case letters, digits and `-`, beginning and ending with a letter or digit
            c.kdl:1:27: error[DN-E0301]: `1x` is not a variable's name
              help: use letters, digits, `_` and `-`, beginning with a letter
            c.kdl:2:6: error[DN-E0301]: `Atlas` is not a node name
              help: use 1 to 63 lower-case letters, digits and `-`, beginning and ending with a letter or digit
            c.kdl:3:9: error[DN-E0301]: `A_B` is not a service name
              help: use 1 to 63 lower-case letters, digits and `-`, beginning and ending with a letter or digit
            c.kdl:3:34: error[DN-E0301]: `A=B` is not an environment variable's name
              help: use letters, digits and `_`, not beginning with a digit
            c.kdl:3:44: error[DN-E0301]: `1` is not an environment variable's name
              help: use letters, digits and `_`, not beginning with a digit
            c.kdl:3:60: error[DN-E0301]: `D` is not a volume name
              help: use lower-case letters, digits and `-`
            c.kdl:3:86: error[DN-E0301]: `Web` is not a port's name
              help: use lower-case letters, digits and `-`
        "#]],
    );
}

#[test]
fn references() {
    check(
        "c.kdl",
        r#"cluster "c"
node "atlas"
service "db" { image "x:1"; depends-on "api"; }
service "api" { image "x:1"; depends-on "web"; }
service "web" { image "x:1"; depends-on "db" "dbb" "web"; }
service "near" {
    image "x:1"
    place { near "db" "db"; apart-from "db" "nobody"; pin "atlsa"; max-per-node 1; require tag="a"; forbid tag="a"; spread by=zone; spread by=zone; }
    replicas 2
}
moved from="db" to="api"
moved from="old" to="nothing"
moved from="older" to="web"
moved from="older" to="near"
"#,
        expect![[r#"
            c.kdl:3:40: error[DN-E0304]: services wait for one another in a circle: api → web → db → api
              help: remove one of these `depends-on`
            c.kdl:5:46: error[DN-E0303]: there is no service `dbb`
              help: did you mean `db`?
            c.kdl:5:52: error[DN-E0305]: service `web` names itself in `depends-on`
              help: name another service, or remove it
            c.kdl:8:18: error[DN-E0305]: `db` is named in both `near` and `apart-from`
              help: remove one of the two
            c.kdl:8:23: warning[DN-W0406]: `db` is named twice in `near`
              help: remove one of the two
            c.kdl:8:45: error[DN-E0303]: there is no service `nobody`
              help: known are `api`, `db`, `near`, `web`
            c.kdl:8:59: warning[DN-W0405]: no node `atlsa` is declared
              help: did you mean `atlas`?
            c.kdl:8:81: error[DN-E0305]: 2 instances are pinned to node `atlsa`, and 1 may be there
              help: raise `max-per-node`, lower `replicas`, or remove the `pin`
            c.kdl:8:101: error[DN-E0305]: the same is required and forbidden
              help: remove one of the two lines
            c.kdl:8:133: error[DN-E0305]: this service is spread twice over the same
              help: keep one of the two lines
            c.kdl:11:12: error[DN-E0319]: `db` was moved and is declared too
              c.kdl:3:9: declared here
              help: remove the declaration, or the `moved` line
            c.kdl:12:21: error[DN-E0303]: there is no service `nothing`
              help: known are `api`, `db`, `near`, `web`
            c.kdl:14:1: error[DN-E0319]: `older` or `near` is moved twice
              help: one service can only become one other
        "#]],
    );
}

#[test]
fn names_that_repeat() {
    check(
        "c.kdl",
        "cluster c\nservice a { image x:1; env A=1 { A 2; }; volume d at=\"/x\"; volume d at=\"/y\"; }\nservice a { image x:1; }\n",
        expect![[r#"
            c.kdl:2:34: error[DN-E0206]: env `A` is written twice
              c.kdl:2:28: first here
              help: give one of them another name, or remove it
            c.kdl:2:67: error[DN-E0206]: volume `d` is written twice
              c.kdl:2:49: first here
              help: give one of them another name, or remove it
            c.kdl:3:9: error[DN-E0206]: service `a` is written twice
              c.kdl:2:9: first here
              help: give one of them another name, or remove it
        "#]],
    );
    let mut files = files(
        "c.kdl",
        "cluster c { include d.kdl; }\nservice a { image x:1; }",
    );
    files.insert(
        "d.kdl".into(),
        "cluster d\nservice a { image x:2; }\nnode n\nnode n".into(),
    );
    let (file, mut found) = load("c.kdl", &files);
    found.extend(crate::validate::validate(&file, &components(), &BTreeMap::new()).1);
    expect![[r#"
        d.kdl:1:9: error[DN-E0115]: an included file has a `cluster` section
          help: move it to the root file
        d.kdl:4:6: error[DN-E0206]: node `n` is written twice
          d.kdl:3:6: first here
          help: give one of them another name, or remove it
        d.kdl:2:9: error[DN-E0302]: service `a` is declared twice
          c.kdl:2:9: first here
          help: give one of them another name, or remove it
    "#]]
    .assert_eq(&shown(&found));
}

#[test]
fn components_and_their_parameters() {
    check(
        "c.kdl",
        r#"cluster "c"
service "a" { component "postgers"; }
service "b" { component "postgres" version="9"; }
service "d" {
    component "postgres"
    runtime "process"
    replicas 2
    command "x"
    set db-nam="x" password="y" max-connections=5000 fsync="yes" buffers="big" wal="all" db-name="{{ var.x }}"
    secret "password" from="Not A Name"
    secret "passwrd"
    resources memory="64MiB"
}
"#,
        expect![[r#"
            c.kdl:2:25: error[DN-E0306]: there is no component `postgers`
              help: did you mean `postgres`?
            c.kdl:3:9: error[DN-E0310]: component `postgres` needs `db-name`
              help: add `set db-name="…"`: said in a sentence
            c.kdl:3:9: error[DN-E0311]: component `postgres` needs the secret `password`
              help: add `secret "password" from="NAME"`: of the owner
            c.kdl:3:44: warning[DN-W0401]: version 9 of `postgres` was never tried
              help: tried are 17, 16
            c.kdl:6:13: error[DN-E0321]: `process` cannot run this service
              help: use docker
            c.kdl:7:14: warning[DN-W0408]: each of the 2 instances of `postgres` keeps data of its own
              help: use one instance unless they are meant to differ
            c.kdl:8:13: error[DN-E0312]: `command` goes with an image
              help: remove it
            c.kdl:9:9: error[DN-E0308]: component `postgres` has no parameter `db-nam`
              help: did you mean `db-name`?
            c.kdl:9:20: error[DN-E0308]: component `postgres` has no parameter `password`
              help: it is a secret: write `secret "password" from="…"`
            c.kdl:9:49: error[DN-E0309]: `5000` is no value for `max-connections`
              help: write a whole number from 1 to 1000
            c.kdl:9:60: error[DN-E0309]: `yes` is no value for `fsync`
              help: write true or false (in KDL #true or #false)
            c.kdl:9:74: error[DN-E0309]: `big` is no value for `buffers`
              help: write a size: write a number and one of B, KiB, MiB, GiB, TiB, KB, MB, GB, TB, like "512MiB"
            c.kdl:9:84: error[DN-E0309]: `all` is no value for `wal`
              help: known are `minimal`, `replica`
            c.kdl:9:98: error[DN-E0320]: there is no variable `x`
              help: none is declared
            c.kdl:10:28: error[DN-E0301]: `Not A Name` is not a secret name
              help: use 1 to 63 lower-case letters, digits and `-`, beginning and ending with a letter or digit
            c.kdl:11:12: error[DN-E0311]: component `postgres` takes no secret `passwrd`
              help: did you mean `password`?
            c.kdl:12:22: warning[DN-W0404]: the component needs at least 256MiB of memory
              help: give it as much, or more
        "#]],
    );
}

#[test]
fn forms() {
    service(
        "image \"two words\"\nset a=b\nsecret \"x\"\nruntime kubernetes",
        expect![[r#"
        c.kdl:3:7: error[DN-E0312]: `two words` is not an image
          help: write `registry/name:tag`
        c.kdl:4:5: error[DN-E0312]: `set` goes with a component
          help: remove it
        c.kdl:5:8: error[DN-E0312]: `secret` goes with a component; use `{{ secret.NAME }}` in `env`
          help: remove it
        c.kdl:6:9: error[DN-E0321]: this version of devnet does not run services in Kubernetes yet
          help: use `docker` or `process`
    "#]],
    );
    service(
        "image \"x\"\nupdate order=\"start-first\" rollback=#true",
        expect![[r#"
        c.kdl:3:7: warning[DN-W0402]: this image's tag may mean another image tomorrow
          help: name a version or a digest
        c.kdl:4:14: warning[DN-W0407]: this version of devnet stops the old instance first
          help: write `stop-first` until it can
        c.kdl:4:37: warning[DN-W0407]: this version of devnet does not go back by itself
          help: revert the commit to go back
    "#]],
    );
    service(
        "process p\ncommand c\nport 80 host=81\nvolume d at=\"/abs\"\nfile \"../x\" content=\"\"",
        expect![[r#"
        c.kdl:4:9: error[DN-E0312]: `command` goes with an image
          help: remove it
        c.kdl:5:1: error[DN-E0315]: a process that listens on 80 cannot be reached on 81
          help: a process has no network of its own: remove `host`, or make it listen there and write that number
        c.kdl:6:13: error[DN-E0323]: `/abs` is no path for this
          help: write a path below the process's own directory, like `data`
        c.kdl:7:6: error[DN-E0323]: `../x` is no path for this
          help: write a path below the process's own directory, like `data`
    "#]],
    );
    service(
        "image x:1\nvolume d at=\"rel\"\nfile \"rel\" source=\"../x\"\nfile \"/a\" source=\"none\"",
        expect![[r#"
        c.kdl:5:19: error[DN-E0116]: `../x` leaves the configuration
          help: write a path below the root file's directory
        c.kdl:6:18: error[DN-E0113]: there is no file `none`
          help: write the file, or correct its name
        c.kdl:4:13: error[DN-E0323]: `rel` is no path for this
          help: write an absolute path without `..`, like `/var/lib/app`
        c.kdl:5:6: error[DN-E0323]: `rel` is no path for this
          help: write an absolute path without `..`, like `/var/lib/app`
    "#]],
    );
    service(
        "image x:1\nresources gpu=1 gpu-memory=\"1GiB\"\nstop signal=\"SIGTEM\"",
        expect![[r#"
        c.kdl:4:28: error[DN-E0316]: `gpu` and `gpu-memory` are two ways to ask for a GPU
          help: keep one of the two
        c.kdl:5:13: error[DN-E0325]: `SIGTEM` is no signal for this
          help: did you mean `SIGTERM`?
    "#]],
    );
    service(
        "image x:1\nhealth http=\"healthz\"",
        expect![[r#"
        c.kdl:4:13: error[DN-E0324]: `healthz` is not a path
          help: begin it with `/`, without blanks
        c.kdl:4:13: error[DN-E0324]: this check names no port, and the service has none
          help: add `port` to the check
    "#]],
    );
    service(
        "image x:1\nhealth exec=\"true && false\" interval=\"0s\"",
        expect![[r#"
        c.kdl:4:13: warning[DN-W0403]: this is one word with blanks; no shell splits it
          help: write program and arguments one by one
        c.kdl:4:38: error[DN-E0317]: `interval` is 0s, which is too short
          help: write "100ms" or longer
    "#]],
    );
}

#[test]
fn fields_that_go_with_others() {
    service(
        "image x:1\nversion 1\nhealth tcp=80 port=80",
        expect![[r#"
        c.kdl:4:9: error[DN-E0207]: `version` is for components
          help: put the version into the image's tag
        c.kdl:5:15: error[DN-E0207]: `port` goes with `http`
          help: name the port with `tcp`, or remove it
    "#]],
    );
    service(
        "component postgres version=17\nversion 17\nset db-name=a\nsecret password",
        expect![[r#"
            c.kdl:4:9: error[DN-E0206]: `version` is written twice
              help: keep one of the two
        "#]],
    );
}

#[test]
fn ports() {
    service(
        "image x:1\nport 80\nport 80\nport 81 name=main\nport 82 host=1000\nport 83 host=1000",
        expect![[r#"
        c.kdl:5:1: error[DN-E0313]: port 80 is declared twice
          c.kdl:4:1: first here
          help: change one of the two
        c.kdl:6:1: error[DN-E0313]: two ports are named `main`
          c.kdl:4:1: first here
          help: change one of the two
        c.kdl:8:1: error[DN-E0313]: two ports take port 1000 of the node
          c.kdl:7:1: first here
          help: change one of the two
    "#]],
    );
    check(
        "c.kdl",
        "cluster c\nservice a { image x:1; port 80 host=80; place { pin n; }; }\nservice b { image x:1; replicas 2; port 80 host=80; place { require node=n; }; }",
        expect![[r#"
            c.kdl:3:36: error[DN-E0314]: 2 instances of `b` on node `n` cannot all take its port 80
              help: remove `host`, the `pin`, or all replicas but one
            c.kdl:3:36: error[DN-E0314]: `a` and `b` both take port 80 of node `n`
              c.kdl:2:24: first here
              help: give one of them another `host` port, or another node
        "#]],
    );
}

#[test]
fn templates() {
    service(
        r#"image "x:{{ var.tag }}"
env Z="\u{0}" A="{{ service.db.address }}" B="{{ service.a.address }}" C="{{ service.a.prot }}" D="{{ secret.X_Y }}"
env E="{{ node.nam }}" F="{{ envv.X }}" G="{{ var }}" H="{{ open" I="{{ \"literal\" }} {{- 1 -}}" J="{{ instance.index }}""#,
        expect![[r#"
            c.kdl:3:7: error[DN-E0320]: there is no variable `tag`
              help: none is declared
            c.kdl:4:7: error[DN-E0322]: an environment variable cannot hold the character NUL
              help: remove it
            c.kdl:4:17: error[DN-E0320]: there is no service `db`
              help: known are `a`
            c.kdl:4:46: error[DN-E0320]: service `a` has no port
              help: add a `port` to `a`
            c.kdl:4:74: error[DN-E0320]: a service has no `prot`
              help: did you mean `port`?
            c.kdl:4:99: error[DN-E0320]: `X_Y` is not a secret name
              help: use lower-case letters, digits and `-`
            c.kdl:5:7: error[DN-E0320]: `node` has no `nam`
              help: did you mean `name`?
            c.kdl:5:26: error[DN-E0320]: templates know no `envv`
              help: known are `instance`, `node`, `secret`, `service`, `var`
            c.kdl:5:43: error[DN-E0320]: `var` is not complete
              help: write `var.NAME`, `secret.NAME`, `service.NAME.address`, `node.name`, `node.ip` or `instance.index`
            c.kdl:5:57: error[DN-E0320]: `{{` is never closed
              help: close it with `}}`
        "#]],
    );
}

#[test]
fn includes() {
    let include = |pattern: &str| {
        let text = format!("cluster c {{ include \"{pattern}\"; }}\nservice a {{ image x:1; }}");
        shown(&read("c.kdl", &text).1)
    };
    let all = [
        "none.kdl",
        "none/*.kdl",
        "../x.kdl",
        "/etc/x.kdl",
        "files/ca.pem",
        "c.kdl",
    ];
    expect![[r#"
        c.kdl:1:21: error[DN-E0113]: there is no file `none.kdl`
          help: write the file, or correct its name
        c.kdl:1:21: error[DN-E0116]: no file is named like `none/*.kdl`
          help: remove the include, or add the files
        c.kdl:1:21: error[DN-E0116]: `../x.kdl` leaves the configuration
          help: write a path below the root file's directory
        c.kdl:1:21: error[DN-E0116]: `/etc/x.kdl` leaves the configuration
          help: write a path below the root file's directory
        c.kdl:1:21: error[DN-E0114]: `files/ca.pem` is neither KDL nor YAML
          help: name it `….kdl`, `….yaml` or `….yml`
    "#]]
    .assert_eq(&all.map(include).concat());
}

#[test]
fn times() {
    check(
        "c.kdl",
        "cluster c { sync interval=\"10ms\"; lost-after \"1s\"; }\nservice a { image x:1; update timeout=\"0s\"; }",
        expect![[r#"
            c.kdl:1:27: error[DN-E0317]: `interval` is 10ms, which is too short
              help: write "1s" or longer
            c.kdl:1:46: error[DN-E0317]: `lost-after` is 1s, which is too short
              help: write "10s" or longer
            c.kdl:2:39: error[DN-E0317]: `timeout` is 0s, which is too short
              help: write "1s" or longer
        "#]],
    );
}

/// Every code that the crate can say is shown by a golden above, or listed here with the test that
/// shows it.
#[test]
fn every_code_has_a_golden() {
    let here = [
        include_str!("errors.rs"),
        include_str!("meaning.rs"),
        include_str!("hostile.rs"),
    ];
    let sources = [
        include_str!("../../file/decode.rs"),
        include_str!("../../file/kdl.rs"),
        include_str!("../../file/load.rs"),
        include_str!("../../file/outline.rs"),
        include_str!("../../file/reader.rs"),
        include_str!("../../file/scan.rs"),
        include_str!("../../file/yaml.rs"),
        include_str!("../component.rs"),
        include_str!("../graph.rs"),
        include_str!("../mod.rs"),
        include_str!("../place.rs"),
        include_str!("../ports.rs"),
        include_str!("../service.rs"),
        include_str!("../settings.rs"),
        include_str!("../template.rs"),
    ];
    let docs = include_str!("../../../../docs/cluster-file.md");
    let codes = sources
        .iter()
        .flat_map(|source| source.split("\"DN-").skip(1));
    for code in codes.map(|rest| format!("DN-{}", rest.split('"').next().unwrap())) {
        assert!(
            here.iter()
                .any(|goldens| goldens.contains(&format!("[{code}]"))),
            "{code}: golden"
        );
        assert!(docs.contains(&code), "{code}: docs/cluster-file.md");
    }
}
