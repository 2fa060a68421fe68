//! `devnet show -json`: the plan in the shape of Terraform's plan JSON, so that policies written
//! for that carry over, with `placement` and `basis` beside it.
//!
//! Knows the shape. Refuses to hold values of secrets: they are references in the plan already,
//! and `*_sensitive` says where.

use devnet_schema::{
    instance::InstanceSpec,
    plan::{Action, Change, Plan},
    secret::{Part, Text},
};
use serde_json::{Map, Value, json};

/// The document.
pub fn document(plan: &Plan) -> Value {
    let changes: Vec<Value> = plan.changes.iter().map(resource_change).collect();
    let drift: Vec<Value> = plan
        .drift
        .iter()
        .map(|drift| {
            json!({
                "address": drift.instance.address(),
                "change": {"actions": ["update"]},
                "reason": drift.what,
            })
        })
        .collect();
    json!({
        "format_version": plan.format_version,
        "devnet_version": env!("CARGO_PKG_VERSION"),
        "id": plan.id,
        "timestamp": plan.created_at,
        "cluster": plan.cluster,
        "applyable": plan.is_applicable() && !plan.summary.is_empty(),
        "errored": !plan.is_applicable(),
        "resource_changes": changes,
        "resource_drift": drift,
        "placement": plan.placement,
        "basis": plan.basis,
        "steps": plan.steps.iter().map(|step| json!({
            "id": step.id, "do": step.act.word(), "node": step.node, "after": step.after,
        })).collect::<Vec<_>>(),
        "diagnostics": plan.diagnostics,
    })
}

fn actions(action: Action) -> Value {
    match action {
        Action::Create => json!(["create"]),
        Action::Update | Action::Move => json!(["update"]),
        Action::Replace => json!(["delete", "create"]),
        Action::Delete => json!(["delete"]),
        Action::Noop => json!(["no-op"]),
        Action::Forget => json!(["forget"]),
    }
}

fn resource_change(change: &Change) -> Value {
    let (before, before_sensitive) = side(change.before.as_deref());
    let (after, after_sensitive) = side(change.after.as_deref());
    json!({
        "address": change.instance.address(),
        "type": "service",
        "name": change.instance.service,
        "index": change.instance.index,
        "node": change.node,
        "previous_node": change.from,
        "action_reason": change.reason,
        "change": {
            "actions": actions(change.action),
            "before": before,
            "after": after,
            "after_unknown": {},
            "before_sensitive": before_sensitive,
            "after_sensitive": after_sensitive,
            "replace_paths": change.forces_replacement,
        },
    })
}

/// A spec as plain values, and the same shape with `true` wherever a secret is part of the value.
fn side(spec: Option<&InstanceSpec>) -> (Value, Value) {
    let Some(spec) = spec else {
        return (Value::Null, json!(false));
    };
    let raw = serde_json::to_value(spec).unwrap_or(Value::Null);
    (plain(&raw), sensitive(&raw))
}

/// The text that `value` stands for, when it is a list of text parts.
fn as_text(value: &Value) -> Option<Text> {
    let parts = value.as_array()?;
    let looks_like_text = !parts.is_empty()
        && parts.iter().all(|part| {
            part.as_object().is_some_and(|map| {
                map.len() == 1 && (map.contains_key("plain") || map.contains_key("secret"))
            })
        });
    if looks_like_text { serde_json::from_value(value.clone()).ok() } else { None }
}

fn plain(value: &Value) -> Value {
    if let Some(text) = as_text(value) {
        return json!(text.to_string());
    }
    match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(map) => {
            Value::Object(map.iter().map(|(key, value)| (key.clone(), plain(value))).collect())
        }
        other => other.clone(),
    }
}

fn sensitive(value: &Value) -> Value {
    if let Some(text) = as_text(value) {
        return json!(text.0.iter().any(|part| matches!(part, Part::Secret(_))));
    }
    match value {
        Value::Array(items) => items.iter().map(sensitive).collect(),
        Value::Object(map) => {
            let marked: Map<String, Value> = map
                .iter()
                .map(|(key, value)| (key.clone(), sensitive(value)))
                .filter(|(_, mark)| mark != &json!(false) && mark != &json!({}))
                .collect();
            Value::Object(marked)
        }
        _ => json!(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_marked_and_never_shown() {
        let raw = json!({"env": {
            "A": [{"plain": "x"}],
            "B": [{"plain": "p:"}, {"secret": {"name": "pw", "version": 2}}],
        }});
        assert_eq!(plain(&raw)["env"]["B"], "p:(sensitive value pw v2)");
        assert_eq!(sensitive(&raw), json!({"env": {"B": true}}));
    }
}
