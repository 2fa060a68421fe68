//! A golden for every finding: each case's text, and below it what is found.

use expect_test::expect_file;

use super::*;

/// Compares the findings of several one-file configurations with `golden/NAME.txt`.
fn golden(name: &str, cases: &[(&str, &str)]) {
    let mut transcript = String::new();
    for (file, text) in cases {
        let (state, found) = read(file, text);
        let refused = found.iter().any(Diagnostic::is_error);
        assert_eq!(state.is_none(), refused, "{}", shown(&found));
        let text: String = text.chars().flat_map(visible).collect();
        transcript += &format!("=== {file}\n{}\n---\n{}", text.trim_end(), shown(&found));
    }
    expect_file![format!("golden/{name}.txt")].assert_eq(&transcript);
}

/// A character, escaped when an editor would not show it.
fn visible(c: char) -> Vec<char> {
    let hidden = c != '\n' && (c.is_control() || matches!(c, '\u{202a}'..='\u{202e}'));
    if hidden { c.escape_unicode().collect() } else { vec![c] }
}

/// Findings about what single services say, without their frame.
fn services(name: &str, bodies: &[&str]) {
    let texts: Vec<String> =
        bodies.iter().map(|body| format!("cluster c\nservice a {{\n{body}\n}}")).collect();
    let cases: Vec<(&str, &str)> = texts.iter().map(|text| ("c.kdl", text.as_str())).collect();
    golden(name, &cases);
}

#[test]
fn fields() {
    let kdl = r#"cluster "c" { placement "blance"; colour "red"; sync auto="yes" interval=5; }
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
"#;
    let yaml = r#"cluster: {name: c, sync: {auto: yes, prune: "true"}}
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
"#;
    golden("fields", &[("c.kdl", kdl), ("c.yaml", yaml)]);
    services(
        "fields_of_others",
        &[
            "image x:1\nversion 1\nhealth tcp=80 port=80",
            "component postgres version=17\nversion 17\nset db-name=a\nsecret password",
        ],
    );
}

#[test]
fn syntax_of_kdl() {
    let cases = [
        "",
        "// nothing\n",
        "service a { image x:1; }",
        "cluster c",
        "cluster c {\n  sync auto=true\n",
        "cluster c {\n  sync auto=true interval=5x #yes \"\\q\"\n}\n",
        "cluster \"c\n",
        "cluster c }\n",
        "cluster c /* x\n",
        "cluster c=#\"x\"\n",
        "cluster c d=#\"x\"\n",
        "cluster c d=#\"\"\"x\"\n",
        "cluster \"\"\"\n  c\n\"\"\" \"\"\"\n c\n  \"\"\" \"\"\"c\"\"\"\n",
        "(x)cluster c\n",
        "cluster [c]\n",
        "cluster c d=\n",
        "cluster =c\n",
        "cluster c \"d\"\"e\"\n",
        "cluster c {} d\n",
        "{}\n",
        "1 c\n",
        "cluster c \\ d\n",
        "cluster /c\n",
        "cluster c /-\n",
        "/-cluster c; cluster d\n",
        "cluster c;;\n",
        "cluster c\u{202e}\n",
    ];
    golden("syntax_of_kdl", &cases.map(|text| ("c.kdl", text)));
}

#[test]
fn syntax_of_yaml() {
    let cases = [
        "# nothing\n",
        "just text",
        "cluster: c\ncluster: d\n",
        "cluster: !!str c\nservices: {<<: {}}\n",
        "cluster: c\n---\ncluster: d\n",
        "cluster: c\n bad: [\n",
        "cluster: &a [*a]\n",
        "cluster: *nobody\n",
        "[1]: 2\n",
        "cluster: {'': c}\n",
    ];
    golden("syntax_of_yaml", &cases.map(|text| ("c.yaml", text)));
    golden("syntax_of_neither", &[("c.toml", "x = 1")]);
}

#[test]
fn names() {
    let text = r#"cluster "My Lab" { vars { "1x" "y"; } }
node "Atlas" { tags " x"; zone ""; }
service "A_B" {
    image "x:1"
    env "A=B"="c" "1"="d"
    volume "D" at="/x"
    port 80 name="Web"
}
"#;
    golden("names", &[("c.kdl", text)]);
}

#[test]
fn references() {
    let text = r#"cluster "c"
node "atlas"
service "db" { image "x:1"; depends-on "api"; }
service "api" { image "x:1"; depends-on "web"; }
service "web" { image "x:1"; depends-on "db" "dbb" "web"; }
service "near" {
    image "x:1"
    place {
        near "db" "db"
        apart-from "db" "nobody"
        pin "atlsa"
        max-per-node 1
        require tag="a"
        forbid tag="a"
        spread by=zone
        spread by=zone
    }
    replicas 2
}
moved from="db" to="api"
moved from="old" to="nothing"
moved from="older" to="web"
moved from="older" to="near"
"#;
    golden("references", &[("c.kdl", text)]);
}

#[test]
fn one_path_is_one_path_however_its_slashes_are_written() {
    for other in ["/x/", "//x", "/./x", "/x/."] {
        let text = format!(
            "cluster c\nservice a {{ image x:1; volume d at=\"/x\"; volume e at=\"{other}\"; }}"
        );
        let (_, found) = read("c.kdl", &text);
        let told: Vec<_> = found.iter().map(|it| it.message.as_str()).collect();
        assert_eq!(told, ["volume `e` has the path of another one"], "{other}");
    }
}

#[test]
fn renames_in_a_row_lead_to_a_service_or_are_refused() {
    let file = |lines: &str| format!("cluster c\nservice last {{ image x:1; }}\n{lines}");
    let told = |lines: &str| {
        let (_, found) = read("c.kdl", &file(lines));
        found.iter().map(|it| format!("{} {}", it.code, it.message)).collect::<Vec<_>>()
    };
    let row = "moved from=b to=last\nmoved from=a to=b\n";
    let (state, found) = read("c.kdl", &file(row));
    assert_eq!(found.len(), 0, "{}", shown(&found));
    let moved = state.unwrap().moved;
    let moved: Vec<_> = moved.iter().map(|(from, to)| format!("{from} {to}")).collect();
    assert_eq!(moved, ["b last", "a b"]);
    assert_eq!(
        told("moved from=a to=b\nmoved from=b to=a"),
        ["DN-E0303 there is no service `b`", "DN-E0303 there is no service `a`",]
    );
    assert_eq!(
        told("moved from=a to=b\nmoved from=b to=c"),
        ["DN-E0303 there is no service `b`", "DN-E0303 there is no service `c`",]
    );
}

#[test]
fn names_that_repeat() {
    let text = r#"cluster c
service a {
    image x:1
    env A=1 { A 2; }
    volume d at="/x"
    volume d at="/y"
    volume e at="/x"
}
service a { image x:1; }
"#;
    golden("names_that_repeat", &[("c.kdl", text)]);
    let mut files = files("c.kdl", "cluster c { include d.kdl; }\nservice a { image x:1; }");
    files.insert("d.kdl".into(), "cluster d\nservice a { image x:2; }\nnode n\nnode n".into());
    let (file, mut found) = load("c.kdl", &files);
    found.extend(crate::validate::validate(&file, &components(), &BTreeMap::new()).1);
    expect_file!["golden/names_in_two_files.txt"].assert_eq(&shown(&found));
}

#[test]
fn components_and_their_parameters() {
    let text = r#"cluster "c"
service "a" { component "postgers"; }
service "b" { component "postgres" version="9"; }
service "d" {
    component "postgres"
    runtime "process"
    replicas 2
    command "x"
    set db-nam="x" password="y" max-connections=5000 fsync="yes" buffers="big" wal="all"
    set db-name="{{ var.x }}"
    secret "password" from="Not A Name"
    secret "passwrd"
    resources memory="64MiB"
}
"#;
    golden("components", &[("c.kdl", text)]);
}

#[test]
fn forms() {
    services(
        "forms",
        &[
            "image \"two words\"\nset a=b\nsecret \"x\"\nruntime kubernetes",
            "image \"x\"\nupdate order=\"start-first\" rollback=#true",
            "process p\ncommand c\nport 80 host=81\nvolume d at=\"/d\"\nfile \"../x\" content=a",
            "image x:1\nvolume d at=\"rel\"\nfile \"rel\" source=\"../x\"\nfile \"/a\" source=b",
            "image x:1\nresources gpu=1 gpu-memory=\"1GiB\"\nstop signal=\"SIGTEM\"",
            "image x:1\nschedule \"0 25 * * *\" timezone=\"../x\"\nhealth tcp=1",
            "image x:1\nhealth http=\"healthz\"",
            "image x:1\nhealth exec=\"true && false\" interval=\"0s\"",
            "image x:1\nplace { pin n; max-per-node 1; }\nreplicas 2\nport 80 host=80",
        ],
    );
}

#[test]
fn ports() {
    let text = r#"cluster c
service a { image x:1; port 80 host=80; place { pin n; }; }
service b { image x:1; replicas 2; port 80 host=80; place { require node=n; }; }
service c {
    image x:1
    port 80
    port 80
    port 81 name=main
    port 82 host=1000
    port 83 host=1000
}
service d { component postgres; port 5432 host=90; port 5432 host=91; }
service e { image 'x:1'; }
service f { image x:1; port 80 host=70; place { near g; }; }
service g { image x:1; port 80 host=70; place { apart-from i; }; }
service h { image x:1; port 80 host=70; replicas 2; }
service i { image x:1; port 80 host=70; place { near h; }; }
service j { image x:1; port 80 host=70; place { near g; }; }
service k { image x:1; port 80 host=71; replicas 2; place { near l; max-per-node 1; }; }
service l { image x:1; place { near m; }; }
service m { image x:1; place { apart-from k; }; }
service n { image x:1; port 80 host=72; place { apart-from p; }; }
service o { image x:1; port 80 host=72; }
service p { image x:1; replicas 0; place { near n o; }; }
"#;
    golden("ports", &[("c.kdl", text)]);
}

#[test]
fn eligible() {
    let text = r#"cluster c
node atlas { tags ssd infra; zone rack-1; }
node vega { tags ssd edge; zone rack-2; cordon; }
node old { drain; }
service zone { image x:1; place { pin atlas; require zone=rack-2; }; }
service tag { image x:1; place { require node="atlas" "vega"; forbid tag=ssd; }; }
service none { image x:1; place { pin atlas; require node=vega; }; }
service few {
    image x:1
    replicas 3
    port 80 host=80
    place { require node="atlas" "nuc"; max-per-node 1; }
}
service closed { image x:1; place { pin vega; }; }
service kept { image x:1; volume data at="/d"; place { pin old; }; }
service edge { image x:1; replicas 2; port 80 host=81; place { require tag=edge; }; }
service typo { image x:1; place { require tag="sdd" "infar"; }; }
service near { image x:1; place { near "apart" "kept"; pin atlas; }; }
service apart { image x:1; place { apart-from "near" "same"; pin vega; }; }
service same { image x:1; place { pin vega; }; }
"#;
    golden("eligible", &[("c.kdl", text)]);
}

/// All lines of a service count together. What nodes that nobody declared may have is not judged.
#[test]
fn eligible_together() {
    let text = r#"cluster c
node a { tags x gpu; zone z1; }
node b { tags y; zone z2; cordon; }
service pin-and-forbid { image x:1; place { pin a; forbid tag=x; }; }
service two-tags { image x:1; place { require tag=x; require tag=y; }; }
service tag-and-zone { image x:1; place { require tag=x; require zone=z2; }; }
service pinned { image x:1; place { pin b; require tag=x; }; }
service either {
    image x:1
    replicas 2
    port 80 host=80
    place { require node="a" "b"; require tag="x"; }
}
service most { image x:1; replicas 3; place { require tag=x; max-per-node 2; }; }
service closed { image x:1; place { require tag=y; }; }
service barred { image x:1; place { require tag=x; forbid node=a; }; }
service systems { image x:1; place { require os=linux; require os="macos" "windows"; }; }
service both { image x:1; place { require tag="x" "y"; forbid tag=x; forbid tag=y; }; }
service stranger { image x:1; place { pin else-where; require tag=x; }; }
service slips { image x:1; place { forbid zone=zz1; prefer tag=gpo; forbid tag=y; }; }
service stranger-too { image x:1; replicas 9; place { forbid tag=x; forbid tag=y; }; }
service fine { image x:1; place { require tag=x; require zone="z1" "z2"; forbid tag=y; }; }
"#;
    golden("eligible_together", &[("c.kdl", text)]);
    let text = r#"cluster c
node a { tags x; zone z1; }
node b { tags y; }
service nowhere { image x:1; place { require node="a" "b"; require node="d"; pin c; }; }
service barred { image x:1; place { require node=a; forbid node="a" "b"; }; }
service by-zone { image x:1; place { require node="a" "b"; forbid zone=z1; forbid tag=y; }; }
moved from=one to=nowhere
moved from=one to=barred
moved from=two to=nowhere
"#;
    golden("eligible_nowhere", &[("c.kdl", text)]);
}

/// What stands behind a mistake is read entry by entry, but not within brackets.
const SEVERAL_IN_YAML: [&str; 7] = [
    "cluster: c\nservices:\n  a:\n    image: x:1\n    env:\n      \
     A: {{ var.x }}\n      B: {{ var.x }}/z\n  \
     b: {image: x:1, replcas: 2}\n",
    "cluster: c\nservices:\n\ta:\n    image: x:1\n  b:\n    image: x:1\n",
    "cluster: c\nservices:\n  a:\n    image: x:1\n\treplicas: 2\n\tpriority: 3\n  b:\n    \
     image: x:1\n",
    "cluster: c\nnodes:\n  a: {zone: x]\n  b: &b {zone: y}\n  c: *b\n  d: x: y\nservices:\n  a: \
     {image: x:1}\n  b:\n    image: \"x:1\n    replicas: 2\n  c:\n    image: x\n     - y\n",
    "cluster: c\nservices: {\n  a: {image: x:1, [},\n  b: {image: x:1},\n  c: {image: x:1,\n}\n",
    "cluster: {name: c\nservices:\n  a: {image: x:1}\n# b: [\n---\nc: [\n",
    "cluster: [\nmoved: {\nservices: {\n",
];

#[test]
fn several_mistakes_of_syntax() {
    let kdl = r#"cluster "c" {
    sync auto=true
    vars { a [1 2]; b =3; }
    colour "red"
}
service "a" {
    image "x:1
    replcas 2
}
service "b" (t)"x" { image x:1; }; ; service "d" { image "x" "y" } e
{ f; }
1 g
service h { image x:1 / y; depends-on nobody; }
service i { image x:1; depends-on a b d h; }
}
service j { image x:1; depends-on nothing; }
"#;
    let open = "cluster c\nservice a {\n  imag x:1\nservice b { image x:1; depends-on nobody; }\n";
    let yaml = "cluster: c\nservices:\n  a: {image: x:1, replcas: 2}\n  b:\n    env: [\n";
    golden("several_mistakes", &[("c.kdl", kdl), ("c.kdl", open), ("c.yaml", yaml)]);
    golden("several_mistakes_in_yaml", &SEVERAL_IN_YAML.map(|text| ("c.yaml", text)));
    let mut files = files("c.kdl", "cluster c { include \"*.yaml\" \"d.kdl\"; }\n");
    files.insert("b.yaml".into(), "services: {b: {image: 'x:1', depends-on: [d, e]}}\n[".into());
    files
        .insert("d.kdl".into(), "service d [x] { image x:1; }\nservice e { depends-on f; }".into());
    let (file, mut found) = load("c.kdl", &files);
    found.extend(crate::validate::validate(&file, &components(), &BTreeMap::new()).1);
    expect_file!["golden/several_mistakes_in_files.txt"].assert_eq(&shown(&found));
}

#[test]
fn templates() {
    services(
        "templates",
        &[r#"image "x:{{ var.tag }}"
env Z="\u{0}" A="{{ service.db.address }}" B="{{ service.a.address }}"
env C="{{ service.a.prot }}" D="{{ secret.X_Y }}" E="{{ node.nam }}" F="{{ envv.X }}"
env G="{{ var }}" H="{{ open" I="{{ \"literal\" }} {{- 1 -}}" J="{{ instance.index }}""#],
    );
}

/// Each mistake is at its own line, however the text was written; at the text where what it says
/// is spelled otherwise.
#[test]
fn templates_on_several_lines() {
    let kdl = r##"cluster "c"
service "a" {
    image "x:1"
    file "/a" content="""
        one {{ node.name }} é {{ node.nam }}
          {{ var.x }} {{ var.x }}

        {{ 1 | nosuch }}
        """
    file "/b" content="one\n{{ node.nam }} \u{e9}{{ secret[\"UP\"] }}"
    file "/c" content=#"""
        {% if node.name %}
        {{ 1 + }}
        {% endif %}
        """#
    env A="{{ node.nam }}{{ node.name }}{{ node.nam }}" B=#"{{ secret["UP"] }}"#
}
"##;
    let yaml = r#"cluster: c
services:
  a:
    image: x:1
    files:
      /a:
        content: |
          one {{ node.name }} é {{ node.nam }}
            {{ var.x }} {{ var.x }}

          {{ 1 | nosuch }}
      /b:
        content: >-
          one
          {{ node.nam }} {{
          node.nam }}
      /c: {content: "one
          {{ node.nam }} \x7b{ node.ip2 }}"}
    env: {A: '{{ node.nam }} {{ secret[''UP''] }}', B: "{{ open"}
"#;
    golden("templates_on_several_lines", &[("c.kdl", kdl), ("c.yaml", yaml)]);
}

/// Of what an unknown component takes nothing is said, and everything else is.
#[test]
fn services_of_unknown_components() {
    let text = r#"cluster "c"
service "a" {
    component "postgers" version="9"
    set "x" y="{{ var.nope }}"
    secret "password"
    depends-on "b"
    volume "data" at="rel/ative/../.."
    model "llama3.1:8b"
    health http="/"
    place { pin "n"; }
    port 80 host=80
    port 80 host=81
    command "x"
}
service "b" { component "nothing"; depends-on "a"; port 81 host=80; place { pin "n"; }; }
service "c" { component "nothing"; volume "d" at="data"; health http="/"; port 1; }
service "d" { component "nothing"; runtime "process"; volume "d" at="/data"; file "c" content="x"; }
"#;
    golden("unknown_components", &[("c.kdl", text)]);
}

#[test]
fn languages_of_templates() {
    services(
        "language",
        &[r#"image "x:{{ secret.s }}"
env A="{{ 'x' ~ service.nope.address }}" B="{{ var.x ~ var.nope }}" C="{{}}" D="{{ }}"
env E="{{{ var.x }}}" F="{{ .Values.x }}" G="{% include 'x' %}" H="100{%"
env I="{{ secret.s | upper }}"
env J="{% if secret.s == 'a' %}1{% endif %}" K="{% if var.nope %}1{% endif %}"
env L="{{ secret.a\u{202E} }}"
env M="{{ secret['a\u{202E}'] }}" N="{{ 1 | nosuch }}" O="{{ 1 | indent(width=9) }}" P="{{ now() }}"
env Q="{{ 1 is nosuch }}" R="{% if 1 %}" S="{% endif %}" T="{{ param.x }}" U="\u{10DE70}"
env V="{% for a in range(end=2) %}{{ a ~ b }}{% endfor %}" W="{{ secret }}" X="{{ service.a }}"
volume "data" "/{{ node.name }}"; file "/etc/{{ node.name }}" content="x"
health { exec "x" "{{ service.a.host }}" "{{.State}}"; }"#],
    );
}

#[test]
fn includes() {
    let all = ["none.kdl", "none/*.kdl", "../x.kdl", "/etc/x.kdl", "files/ca.pem", "c.kdl"];
    let texts = all.map(|pattern| {
        format!("cluster c {{ include \"{pattern}\"; }}\nservice a {{ image x:1; }}")
    });
    let cases: Vec<(&str, &str)> = texts.iter().map(|text| ("c.kdl", text.as_str())).collect();
    golden("includes", &cases);
}

#[test]
fn times() {
    let text = r#"cluster c { sync interval="10ms"; lost-after "1s"; }
service a { image x:1; update timeout="0s"; }
"#;
    golden("times", &[("c.kdl", text)]);
}

/// Every code that this part of the crate can say is in a golden and in the reference.
#[test]
fn every_code_is_shown_and_explained() {
    let goldens = [
        include_str!("golden/components.txt"),
        include_str!("golden/eligible.txt"),
        include_str!("golden/eligible_together.txt"),
        include_str!("golden/fields.txt"),
        include_str!("golden/fields_of_others.txt"),
        include_str!("golden/forms.txt"),
        include_str!("golden/includes.txt"),
        include_str!("golden/language.txt"),
        include_str!("golden/names.txt"),
        include_str!("golden/names_in_two_files.txt"),
        include_str!("golden/names_that_repeat.txt"),
        include_str!("golden/ports.txt"),
        include_str!("golden/references.txt"),
        include_str!("golden/syntax_of_kdl.txt"),
        include_str!("golden/syntax_of_neither.txt"),
        include_str!("golden/syntax_of_yaml.txt"),
        include_str!("golden/templates.txt"),
        include_str!("golden/times.txt"),
        include_str!("meaning.rs"),
        include_str!("hostile.rs"),
    ];
    let sources = [
        include_str!("../../file/decode.rs"),
        include_str!("../../file/kdl.rs"),
        include_str!("../../file/load.rs"),
        include_str!("../../file/outline.rs"),
        include_str!("../../file/outline/texts.rs"),
        include_str!("../../file/reader.rs"),
        include_str!("../../file/scan.rs"),
        include_str!("../../file/yaml.rs"),
        include_str!("../../file/yaml/mend.rs"),
        include_str!("../component.rs"),
        include_str!("../eligible.rs"),
        include_str!("../graph.rs"),
        include_str!("../mod.rs"),
        include_str!("../place.rs"),
        include_str!("../ports.rs"),
        include_str!("../service.rs"),
        include_str!("../settings.rs"),
        include_str!("../template.rs"),
    ];
    let docs = include_str!("../../../../docs/errors.md");
    let codes = sources.iter().flat_map(|source| source.split("\"DN-").skip(1));
    for code in codes.map(|rest| format!("DN-{}", rest.split('"').next().unwrap())) {
        let tag = format!("[{code}]");
        assert!(goldens.iter().any(|golden| golden.contains(&tag)), "{code} is in no golden");
        assert!(docs.contains(&format!("## {code}\n")), "{code} is not in docs/errors.md");
    }
}
