//! Compose files, manifests and models: what they mean, and everything that can be wrong with them.

use expect_test::{ExpectFile, expect_file};

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
        unit: None,
        required: false,
        description: "said in a sentence".to_owned(),
    };
    ollama.parameters.insert("context-length".to_owned(), context);
    components.insert("ollama".to_owned(), ollama);
    let (state, more) = super::super::validate(&file, &components, &BTreeMap::new());
    found.extend(more);
    (state, shown(&found))
}

fn wrong(text: &str, expected: &ExpectFile) {
    let (state, found) = read_all(text);
    expected.assert_eq(&found);
    assert!(state.is_none() || !found.contains("error["), "{found}");
}

#[test]
fn a_compose_file_is_a_service_for_each_of_its_own() {
    let text = include_str!("golden/forms-in1.kdl");
    let (state, found) = read_all(text);
    expect_file!["golden/forms-1.txt"].assert_eq(&found);
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
            "{} x{} p{} {:?}\n  {ports:?}\n  needs {needs:?} near {near:?} \
             require {require:?} {}\n",
            service.name,
            service.replicas,
            service.priority,
            service.resources,
            matches!(service.form, Form::Compose { .. }),
        );
    }
    expect_file!["golden/forms-2.txt"].assert_eq(&out);
}

#[test]
fn what_is_wrong_around_a_compose_file_is_told() {
    wrong(include_str!("golden/forms-in2.kdl"), &expect_file!["golden/forms-3.txt"]);
}

/// What stands beside a mistake of syntax is judged too, and nothing is unknown that may be
/// declared in what could not be read.
#[test]
fn mistakes_of_syntax_hide_nothing_beside_them() {
    wrong(include_str!("golden/beside-in.kdl"), &expect_file!["golden/beside.txt"]);
}

#[test]
fn manifests_name_what_they_are() {
    let good = "cluster \"c\"\nservice \"w\" { kubernetes \"k8s/\" namespace=\"web\"; }\n==== \
                k8s/a.yaml\n# note\n---\napiVersion: v1\nkind: ConfigMap\n\
                 metadata: {name: a}\n---\n\
                ---\napiVersion: v1\nkind: ConfigMapList\nitems: []\n==== k8s/notes.txt\nx\n";
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
                 ch/Chart.yaml\napiVersion: v2\nname: ch\nversion: 1.0.0\n\
                  ==== ch/templates/a.yaml\n\
                 {{ any }}\n==== v.yaml\nx: 1\n";
    let (state, found) = read_all(chart);
    assert_eq!(found, "");
    assert!(state.is_some());
    wrong(include_str!("golden/forms-in3.kdl"), &expect_file!["golden/forms-4.txt"]);
}

#[test]
fn models_have_names_and_sizes() {
    wrong(include_str!("golden/forms-in4.kdl"), &expect_file!["golden/forms-5.txt"]);
    let text = "cluster \"c\"\nservice \"a\" { component \"ollama\"; model \"llama3.1:8b\" \
                context=9000; model \"llama3.2:3b\"; }\n";
    let (state, _) = read_all(text);
    let service = state.unwrap().services.into_values().next().unwrap();
    let contexts: Vec<u32> = service.models.iter().map(|model| model.context).collect();
    assert_eq!(contexts, [9000, 4096], "its own, else the component's");
    let Form::Component { parameters, .. } = &service.form else { panic!() };
    assert_eq!(parameters["context-length"].value, "9000", "the longest");
}

/// Whatever line of a good file is broken, nothing else is said to be wrong.
#[test]
fn a_mistake_of_syntax_has_no_echo() {
    let lines: Vec<&str> = FULL_YAML.lines().collect();
    let mut echoes = String::new();
    for broken in 0..lines.len() {
        let Some((name, rest)) = lines[broken].split_once(": ") else { continue };
        for value in ["\"x", "[x", "{x", "x: y", "]", "'", "*x", "\"x\" y", "- x"] {
            let mut text = lines.clone();
            let line = format!("{name}: {value} {rest}");
            text[broken] = &line;
            let (_, found) = read("c.yaml", &text.join("\n"));
            let other = |one: &&Diagnostic| one.is_error() && one.code != "DN-E0107";
            for echo in found.iter().filter(other) {
                echoes += &format!("{line}\n  {echo}\n");
            }
        }
    }
    assert_eq!(echoes, "", "{echoes}");
}

#[test]
fn a_mistake_of_syntax_in_kdl_has_no_echo() {
    let lines: Vec<&str> = FULL_KDL.lines().collect();
    let mut echoes = String::new();
    for broken in 0..lines.len() {
        let line = lines[broken];
        let Some((name, rest)) = line.trim_start().split_once(' ') else { continue };
        for value in ["\"x", "[x]", "(t)", "=", "5x", "#yes", "/", "\\x", "true"] {
            let mut text = lines.clone();
            let line = format!("{name} {value} {rest}");
            text[broken] = &line;
            let (_, found) = read("c.kdl", &text.join("\n"));
            let syntax = ["DN-E0104", "DN-E0107", "DN-E0108"];
            let other = |one: &&Diagnostic| one.is_error() && !syntax.contains(&&*one.code);
            for echo in found.iter().filter(other) {
                echoes += &format!("{line}\n  {echo}\n");
            }
        }
    }
    assert_eq!(echoes, "", "{echoes}");
}

/// A character that no file may hold is told, and what stands on other lines is judged as usual.
#[test]
fn a_strange_character_hides_nothing_beside_it() {
    let text = "cluster c\n// \u{202e}note\nservice a { image x:1; replcas 3; }\n\
                service b { image \"x\u{7f}:1\"; replcas 3; }\n";
    let (_, found) = read("c.kdl", text);
    let told: Vec<String> = found
        .iter()
        .map(|one| format!("{} {}", one.at.as_ref().map_or(0, |at| at.line), one.code))
        .collect();
    assert_eq!(told, ["2 DN-E0103", "3 DN-E0201", "4 DN-E0103"]);
}

/// The same in a Compose file; its line may have named what is missing elsewhere.
#[test]
fn a_strange_character_in_a_compose_file_hides_nothing_beside_it() {
    let (_, found) = read_all(
        "cluster c\nservice p { compose y.yml; }\nservice q { image x:1; depends-on p-b p-c; }\n\
         ==== y.yml\nservices:\n  a: {image: x, nope: 1}\n  \u{7f}b: {image: x:1}\n",
    );
    let told: Vec<&str> = found.lines().filter(|line| line.contains("[DN-")).collect();
    assert_eq!(
        told,
        [
            "y.yml:2:14: warning[DN-W0402]: this image's tag may mean another image tomorrow",
            "y.yml:2:17: error[DN-E0550]: a service has no field `nope`",
            "y.yml:3:3: error[DN-E0103]: the character U+007F is not allowed in a file",
        ],
        "{found}"
    );
}

#[test]
fn what_is_set_granted_or_published_in_vain_is_told() {
    wrong(include_str!("golden/forms-in6.kdl"), &expect_file!["golden/forms-6.txt"]);
}

#[test]
fn what_is_asked_for_by_a_variable_without_a_value_is_that_variable_s_mistake() {
    let text = r#"cluster "c"
service "a" { compose "c.yml"; }
==== c.yml
services:
  s: {image: "x:1", volumes: ["/data/$NO:/x", "/srv/$$:/y"]}
"#;
    let (_, found) = read_all(text);
    assert_eq!(found.matches("error[").count(), 2, "{found}");
    assert!(found.contains("the variable `NO`") && found.contains("host-bind:/srv/$"), "{found}");
}
