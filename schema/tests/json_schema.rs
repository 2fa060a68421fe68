//! The JSON Schema of the YAML form, held against a public validator: what devnet takes, it takes;
//! what devnet refuses, it refuses wherever a schema can tell.

use std::{collections::BTreeMap, fs, path::Path};

use boon::{Compiler, Draft, SchemaIndex, Schemas, ValidationError};
use devnet_schema::{
    file::{Limits, convert, json_schema, parse, tree::Form},
    validate::validate,
};
use serde_json::Value;

struct Validator {
    schemas: Schemas,
    schema: SchemaIndex,
}

/// Compiling holds the schema against the draft's own schema of schemas, too.
fn validator() -> Validator {
    const NAME: &str = "https://devnet.invalid/cluster.schema.json";
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    compiler.set_default_draft(Draft::V2020_12);
    compiler.add_resource(NAME, json_schema()).expect("a name");
    let schema = compiler.compile(NAME, &mut schemas);
    let schema = schema.unwrap_or_else(|error| panic!("the schema is none: {error:#}"));
    Validator { schemas, schema }
}

/// YAML as any program reads it.
fn yaml(text: &str) -> Value {
    serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn errors(validator: &Validator, text: &str) -> Vec<String> {
    let value = yaml(text);
    let verdict = validator.schemas.validate(&value, validator.schema);
    verdict.err().iter().flat_map(|error| leaves(error)).collect()
}

/// The innermost causes, each with its place.
fn leaves(error: &ValidationError<'_, '_>) -> Vec<String> {
    if error.causes.is_empty() {
        return vec![format!("{}: {}", error.instance_location, error.kind)];
    }
    error.causes.iter().flat_map(leaves).collect()
}

/// A file of the repository.
fn text(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every KDL file of the repository that is a cluster file.
const KDL: [&str; 4] = [
    "cluster.kdl.example",
    "examples/homelab/cluster.kdl",
    "examples/quickstart/cluster.kdl",
    "schema/src/validate/tests/full.kdl",
];

#[test]
fn the_schema_is_a_schema() {
    validator();
    let schema = json_schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[test]
fn every_example_is_valid_in_yaml() {
    let validator = validator();
    for path in KDL {
        let bytes = text(path).into_bytes();
        let converted = convert(path, bytes, Form::Kdl, Form::Yaml, &Limits::default())
            .expect("examples are valid");
        assert_eq!(errors(&validator, &converted.text), Vec::<String>::new(), "{path}");
    }
    let full = text("schema/src/validate/tests/full.yaml");
    assert_eq!(errors(&validator, &full), Vec::<String>::new());
}

/// What both take: a service's body, within a file that is otherwise right.
const RIGHT: &[&str] = &[
    "component: redis",
    "component: {name: redis, version: 7}\nset: {a: 1, b: true, c: x, d: 1.5}",
    "component: redis\nversion: 7.4\nsecrets: {password: {}, other: x}",
    "component: redis\nsecrets: {password: , other: null, third: ~}",
    "image: x:1\ncommand: serve",
    "image: x:1\nports: 80",
    "image: x:1\nports: [80, {container: 81, protocol: udp}]",
    "image: x:1\nvolumes: {data: /x, more: {at: /y}}",
    "image: x:1\nresources: {cpu: 250m, memory: 1.5GiB, gpu: 0.5}",
    "image: x:1\nresources: {cpu: 0.25, disk: 20 GB, gpu: 2}",
    "image: x:1\nplace: {require: {tag: ssd}, forbid: [{node: [a, b]}]}",
    "image: x:1\nplace: {prefer: [{zone: x, weight: 5}, {tag: ssd}]}",
    "image: x:1\nplace: {spread: zone, near: db, apart-from: [b], pin: n1}",
    "image: x:1\nfiles: {/x: {content: text, mode: 0444}, /y: {content: '', mode: \"0o644\"}}",
    "image: x:1\nhealth: {http: /, port: 80}\nstop: {grace: 1.5s}",
    "process: [a, 1, true]",
    "image: x:1\nenv: {A: no, B: 1, C: 1e3}\nreplicas: 0\nprotect: false",
];

/// What both refuse, the schema without knowing more than this text.
const WRONG: &[&str] = &[
    "replicas: 1",
    "image: x:1\nprocess: y",
    "image: x:1\nreplcas: 3",
    "image: x:1\nreplicas: many",
    "image: x:1\nreplicas: -1",
    "image: x:1\nreplicas: 1000001",
    "image: x:1\nreplicas: 1.5",
    "image: x:1\nreplicas: [1]",
    "image: x:1\npriority: 101",
    "image: x:1\nprotect: maybe",
    "image: x:1\nprotect: \"true\"",
    "image: x:1\nruntime: podman",
    "image: x:1\nresources: {cpu: lots}",
    "image: x:1\nresources: {memory: 5}",
    "image: x:1\nresources: {memory: 5XB}",
    "image: x:1\nresources: {gpu: 1.5}",
    "image: x:1\nresources: {gpu: 65}",
    "image: x:1\nresources: {gpu: 1, gpu-memory: 2GiB}",
    "image: x:1\nresources: 5",
    "image: x:1\nports: [{host: 80}]",
    "image: x:1\nports: [99999]",
    "image: x:1\nports: [{container: 80, scope: everywhere}]",
    "image: x:1\nvolumes: {D: /x}",
    "image: x:1\nvolumes: {d: }",
    "image: x:1\nvolumes: [/x]",
    "image: x:1\nenv: [A]",
    "image: x:1\nenv: {A: }",
    "image: x:1\nenv: {A: [1]}",
    "image: x:1\nenv: {'': 1}",
    "image: x:1\nfiles: {/x: {}}",
    "image: x:1\nfiles: {/x: {content: a, source: b}}",
    "image: x:1\nfiles: {/x: {content: a, mode: rw}}",
    "image: x:1\nhealth: {port: 80}",
    "image: x:1\nhealth: {http: /, tcp: 80}",
    "image: x:1\nhealth: {tcp: 80, port: 80}",
    "image: x:1\nhealth: {http: no-slash}",
    "image: x:1\nhealth: {tcp: 80, interval: 5}",
    "image: x:1\nplace: {require: {}}",
    "image: x:1\nplace: {require: {tag: a, zone: b}}",
    "image: x:1\nplace: {require: {tag: []}}",
    "image: x:1\nplace: {require: {tag: a, weight: 1}}",
    "image: x:1\nplace: {spread: {by: rack}}",
    "image: x:1\nplace: []",
    "image: x:1\nplace: {near: []}",
    "image: x:1\nplace: {pin: Atlas}",
    "image: x:1\ndepends-on: {x: 1}",
    "image: x:1\ndepends-on: Db",
    "image: x:1\nversion: 1",
    "image: x:1\nstop: {signal: term}",
    "image: x:1\nupdate: {order: both}",
    "process: x\ncommand: y",
    "component: {version: 1}",
    "image: ",
    "component: x\nsecrets: {password: [a]}",
];

fn service(body: &str) -> String {
    let body: String = body.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "cluster: c\nservices:\n  b: {{image: \"x:1\"}}\n  db: {{image: \"x:1\"}}\n  a:\n{body}"
    )
}

/// What devnet has against it. No component is known here, so those are passed over.
fn refusals(text: &str) -> Vec<String> {
    let found = match parse("c.yaml", text.as_bytes().to_vec(), Form::Yaml, &Limits::default()) {
        Ok(file) => validate(&file, &BTreeMap::new(), &BTreeMap::new()).1,
        Err(found) => found,
    };
    let errors = found.iter().filter(|found| found.is_error() && found.code != "DN-E0306");
    errors.map(ToString::to_string).collect()
}

#[test]
fn what_devnet_takes_the_schema_takes() {
    let validator = validator();
    for body in RIGHT {
        let text = service(body);
        assert_eq!(refusals(&text), Vec::<String>::new(), "{text}");
        assert_eq!(errors(&validator, &text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn what_the_schema_refuses_devnet_refuses_too() {
    let validator = validator();
    for body in WRONG {
        let text = service(body);
        assert!(!refusals(&text).is_empty(), "devnet takes\n{text}");
        assert!(!errors(&validator, &text).is_empty(), "the schema takes\n{text}");
    }
    for text in [
        "{}",
        "cluster: My Lab\n",
        "cluster: {sync: {auto: true}}\n",
        "cluster: {name: c, placement: blance}\n",
        "cluster: {name: c, colour: red}\n",
        "cluster: {name: c, sync: {auto: yes please}}\n",
        "cluster: {name: c, vars: [x]}\n",
        "nodes: [x]\n",
        "nodes: {Atlas: {zone: x}}\n",
        "nodes: {atlas: }\n",
        "nodes: {atlas: {reserve: {gpu: 1}}}\n",
        "services: {A_B: {image: 'x:1'}}\n",
        "services: {a: 'x:1'}\n",
        "services: {a: }\n",
        "service: {a: {image: 'x:1'}}\n",
        "moved: {from: x}\n",
    ] {
        assert!(!refusals(text).is_empty(), "devnet takes\n{text}");
        assert!(!errors(&validator, text).is_empty(), "the schema takes\n{text}");
    }
}

/// Editors show the sentence of a field, what it may be and what it is otherwise.
#[test]
fn fields_have_descriptions_and_defaults() {
    let schema = json_schema();
    let service = &schema["$defs"]["service"]["properties"];
    let replicas = &service["replicas"];
    assert_eq!(replicas["description"], "How many instances, or one on each eligible node.");
    assert_eq!(replicas["default"], 1);
    assert_eq!(replicas["anyOf"][0]["maximum"], 1_000_000);
    assert_eq!(replicas["anyOf"][1]["const"], "per-node");
    assert_eq!(service["protect"]["default"], false);
    let update = &schema["$defs"]["update"]["properties"]["order"];
    assert_eq!(update["enum"][0], update["default"]);
    let memory = schema["$defs"]["resources"]["properties"]["memory"]["description"].as_str();
    assert!(memory.is_some_and(|text| text.contains("GiB")), "{memory:?}");
    let sections = schema["$defs"].as_object().expect("sections");
    let all = sections.values().chain([&schema]).filter_map(|section| {
        let object = section["anyOf"][1].as_object().or(section.as_object())?;
        object.get("properties")?.as_object()
    });
    let mut count = 0;
    for (name, property) in all.flatten() {
        assert!(property["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name}");
        count += 1;
    }
    assert!(count > 90, "only {count} fields");
}
