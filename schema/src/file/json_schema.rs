//! The fields of the language as a JSON Schema (draft 2020-12) of its YAML form, for editors and
//! for whoever checks files without devnet.
//!
//! Knows what the tables of fields say, and which fields go together. Refuses to know what a file
//! means: names that do not exist and templates that say nothing are found by [`crate::validate`].

use serde_json::{Map, Value, json};

use super::fields::{FILE, Field, Shape, Type};

/// Fields of which a section has exactly one, by the section's name.
const ONE_OF: [(&str, &[&str]); 5] = [
    ("service", &["component", "image", "process", "compose", "kubernetes"]),
    ("file", &["content", "source"]),
    ("health", &["http", "tcp", "exec"]),
    ("selector", &["tag", "zone", "os", "arch", "gpu-model", "node"]),
    ("preference", &["tag", "zone", "os", "arch", "gpu-model", "node"]),
];

/// Fields that make no sense without another one: section, field, the other.
const NEEDS: [(&str, &str, &str); 4] = [
    ("service", "version", "component"),
    ("service", "secrets", "component"),
    ("service", "command", "image"),
    ("health", "port", "http"),
];

/// Fields that a section has only one of: section, field, the other.
const NEVER_BOTH: [(&str, &str, &str); 1] = [("resources", "gpu", "gpu-memory")];

/// The schema of a file. It is the same for the root file and for what it includes, so it does not
/// ask for a `cluster`, and neither for a service.
pub fn json_schema() -> Value {
    let mut sections = Map::new();
    collect(&FILE, &mut sections);
    let mut schema = object(&FILE, "");
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("title".into(), json!("devnet cluster file"));
    schema.insert("description".into(), json!("What a cluster runs, and where it may run."));
    schema.insert("minProperties".into(), json!(1));
    schema.insert("$defs".into(), Value::Object(sections));
    Value::Object(schema)
}

/// Every section within one, by its name. Sections hold each other in a tree, so this ends.
fn collect(shape: &Shape, sections: &mut Map<String, Value>) {
    for field in shape.fields {
        if let Type::Section(inner) | Type::Sections(inner) | Type::Keyed(inner) = field.ty {
            collect(inner, sections);
            sections.insert(slug(inner), section(inner));
        }
    }
}

fn slug(shape: &Shape) -> String {
    shape.name.replace(' ', "-")
}

/// A section: its fields, or the value of the field that is meant when only a value is written.
fn section(shape: &Shape) -> Value {
    let fields = Value::Object(object(shape, shape.name));
    let short = shape.fields.iter().find(|field| Some(field.name) == shape.short);
    match short {
        Some(field) => json!({"anyOf": [value(field), fields]}),
        None => fields,
    }
}

/// The fields, with the rules that the section of this name has.
fn object(shape: &Shape, name: &str) -> Map<String, Value> {
    let fields = shape.fields.iter();
    let properties: Map<String, Value> =
        fields.clone().map(|field| (field.name.to_owned(), property(field))).collect();
    let required: Vec<&str> = fields.filter(|f| f.required).map(|field| field.name).collect();
    let one_of = ONE_OF.iter().find(|(section, _)| *section == name);
    let choices: Vec<Value> = one_of
        .iter()
        .flat_map(|(_, names)| names.iter())
        .map(|name| json!({"required": [name]}))
        .collect();
    let needs: Map<String, Value> = NEEDS
        .iter()
        .filter(|(section, ..)| *section == name)
        .map(|(_, field, other)| ((*field).to_owned(), json!([other])))
        .collect();
    let both = NEVER_BOTH.iter().find(|(section, ..)| *section == name);
    let mut object = Map::new();
    object.insert("type".into(), json!("object"));
    if let Some((_, one, other)) = both {
        object.insert("not".into(), json!({"required": [one, other]}));
    }
    object.insert("properties".into(), Value::Object(properties));
    object.insert("additionalProperties".into(), json!(false));
    if !required.is_empty() {
        object.insert("required".into(), json!(required));
    }
    if !choices.is_empty() {
        object.insert("oneOf".into(), json!(choices));
    }
    if !needs.is_empty() {
        object.insert("dependentRequired".into(), Value::Object(needs));
    }
    object
}

/// A field with what editors show of it.
fn property(field: &Field) -> Value {
    let mut schema = match value(field) {
        Value::Object(schema) => schema,
        other => return other,
    };
    schema.insert("description".into(), json!(description(field)));
    if let Some(default) = field.default {
        let default = match field.ty {
            Type::Flag => json!(default == "true"),
            Type::Integer { .. } | Type::IntegerOr { .. } => {
                default.parse::<u64>().map_or(Value::Null, |n| json!(n))
            }
            _ => json!(default),
        };
        schema.insert("default".into(), default);
    }
    Value::Object(schema)
}

/// The field's sentence, and how to write what it takes.
fn description(field: &Field) -> String {
    let unit = match field.ty {
        Type::Cpu => " (cores: 2, 0.25 or \"250m\")",
        Type::Size => " (a size: B, KiB, MiB, GiB, TiB, KB, MB, GB or TB)",
        Type::Period => " (a time: ms, s, m, h or d)",
        _ => "",
    };
    let mut letters = field.doc.chars();
    let first = letters.next().map(char::to_uppercase).into_iter().flatten();
    format!("{}{}{unit}.", first.collect::<String>(), letters.as_str())
}

/// What a field takes. Numbers and flags are read from texts too, wherever a text is wanted.
fn value(field: &Field) -> Value {
    match field.ty {
        Type::Text => text(field),
        Type::Flag => json!({"type": "boolean"}),
        Type::Integer { min, max } => {
            json!({"type": "integer", "minimum": min, "maximum": max})
        }
        Type::IntegerOr { min, max, word } => json!({
            "anyOf": [{"type": "integer", "minimum": min, "maximum": max}, {"const": word}],
        }),
        Type::Cpu => json!({
            "type": ["number", "string"], "minimum": 0, "pattern": "^[0-9]+(\\.[0-9]+)?m?$",
        }),
        Type::Size => json!({
            "type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?[ ]*([KMGT]i?)?B$",
        }),
        Type::Period => json!({"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(ms|s|m|h|d)$"}),
        Type::Gpu => json!({
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 64},
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                {"type": "string", "pattern": "^([1-9]|[1-5][0-9]|6[0-4]|0\\.[0-9]+)$"},
            ],
        }),
        Type::Mode => json!({
            "type": ["string", "integer"], "minimum": 0, "maximum": 777,
            "pattern": "^(0o)?[0-7]{1,4}$",
        }),
        Type::Choice(words) => json!({"enum": words}),
        Type::Words | Type::Names => json!({
            "anyOf": [text(field), {"type": "array", "items": text(field), "minItems": 1}],
        }),
        Type::Section(shape) => reference(shape),
        Type::Sections(shape) => json!({
            "anyOf": [{"type": "array", "items": reference(shape)}, reference(shape)],
        }),
        Type::Keyed(shape) => keyed(field, shape),
        Type::Free => json!({
            "type": "object",
            "propertyNames": {"minLength": 1},
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        }),
    }
}

/// A text is taken as it is written, so what looks like a number or a flag is one too; but not
/// where only some texts are right, because those have letters in them.
fn text(field: &Field) -> Value {
    match field.pattern {
        Some(pattern) => json!({"type": ["string", "integer"], "pattern": pattern}),
        None => json!({"type": ["string", "number", "boolean"]}),
    }
}

fn keyed(field: &Field, shape: &Shape) -> Value {
    let mut schema = Map::new();
    schema.insert("type".into(), json!("object"));
    if let Some(pattern) = field.pattern {
        schema.insert("propertyNames".into(), json!({"pattern": pattern}));
    }
    // A name alone says enough where no field has to be written.
    let alone = shape.short.is_some() && !shape.fields.iter().any(|field| field.required);
    let body = match alone {
        true => json!({"anyOf": [reference(shape), {"type": "null"}]}),
        false => reference(shape),
    };
    schema.insert("additionalProperties".into(), body);
    Value::Object(schema)
}

fn reference(shape: &Shape) -> Value {
    json!({"$ref": format!("#/$defs/{}", slug(shape))})
}
