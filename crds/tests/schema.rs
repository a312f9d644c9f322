//! The manifests in `bases/crd` match the types, and the schema says what we mean.

#![allow(clippy::unwrap_used, reason = "a test may; these are its helpers")]

use kube::ResourceExt;
use serde_json::{Value, json};
use std::{collections::BTreeSet, fs, path::Path};

#[test]
fn committed_manifests_match_the_types() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bases/crd");
    let generated = metal_api::manifests().unwrap();
    for (name, text) in &generated {
        let committed = fs::read_to_string(dir.join(name)).unwrap_or_default();
        assert!(committed == *text, "bases/crd/{name} is stale: run crdgen");
    }
    let committed: BTreeSet<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected: BTreeSet<_> = generated.into_keys().collect();
    assert_eq!(committed, expected, "a file in bases/crd belongs to no kind");
}

#[test]
fn every_kind_has_a_status_subresource_and_moves_with_clusterctl() {
    let all = metal_api::all_crds();
    assert_eq!(all.len(), 25);
    for crd in &all {
        let status = crd.spec.versions[0].subresources.as_ref().and_then(|sub| sub.status.as_ref());
        assert!(status.is_some(), "{}", crd.name_any());
        assert_eq!(crd.labels()["clusterctl.cluster.x-k8s.io/move"], "", "{}", crd.name_any());
    }
}

#[test]
fn conditions_merge_by_type_wherever_they_are() {
    let mut seen = 0;
    for crd in metal_api::all_crds() {
        each_schema(&serde_json::to_value(&crd).unwrap(), &mut |name, schema| {
            if name == "conditions" {
                seen += 1;
                assert_eq!(schema["x-kubernetes-list-type"], "map", "{}", crd.name_any());
                assert_eq!(schema["x-kubernetes-list-map-keys"], json!(["type"]));
            }
        });
    }
    assert!(seen >= 15, "only {seen} lists of conditions found");
}

#[test]
fn every_list_map_and_text_that_somebody_may_write_is_bounded() {
    let mut open = Vec::new();
    for crd in metal_api::all_crds() {
        let crd_name = crd.name_any();
        let crd = serde_json::to_value(&crd).unwrap();
        let root = crd.pointer("/spec/versions/0/schema/openAPIV3Schema/properties").unwrap();
        for (part, schema) in root.as_object().unwrap() {
            if !["status", "metadata", "apiVersion", "kind"].contains(&part.as_str()) {
                unbounded(&format!("{crd_name} {part}"), schema, &mut open);
            }
        }
    }
    assert!(open.is_empty(), "{open:#?}");
}

#[test]
fn bounds_leave_what_kubernetes_allows() {
    let claim = schema_of("ServerClaim");
    let at = |path: &str| claim.pointer(path).unwrap().clone();
    let selector = "/spec/properties/serverSelector/properties";
    assert_eq!(at(&format!("{selector}/matchLabels/additionalProperties/maxLength")), 63);
    assert_eq!(at(&format!("{selector}/matchExpressions/items/properties/values/maxItems")), 64);
    let key = at(&format!("{selector}/matchExpressions/items/properties/key/maxLength"));
    assert_eq!(key, 317, "a prefix of 253, a slash, a name of 63");
    assert_eq!(at("/spec/properties/image/maxLength"), 1024);
    assert_eq!(at("/spec/properties/serverRef/properties/name/maxLength"), 253);
}

/// Functions that Kubernetes 1.30, the oldest that we promise, does not know in the rules of a new
/// definition: it compiles these with the libraries of 1.29, and refuses the whole definition.
const TOO_NEW: [&str; 7] = ["isIP(", "ip(", "isCIDR(", "cidr(", "format.", "isSemver(", "semver("];

#[test]
fn rules_call_nothing_that_the_oldest_kubernetes_does_not_know() {
    let mut rules = Vec::new();
    for crd in metal_api::all_crds() {
        rules_of(&serde_json::to_value(&crd).unwrap(), &mut rules);
    }
    assert!(rules.len() > 40, "only {} rules found", rules.len());
    let is_new = |rule: &&String| TOO_NEW.iter().any(|function| calls(rule, function));
    assert_eq!(rules.iter().filter(is_new).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// Whether the rule has this, and not as the end of a longer name.
fn calls(rule: &str, function: &str) -> bool {
    let is_word = |before: char| before.is_alphanumeric() || before == '_';
    rule.match_indices(function).any(|(at, _)| !rule[..at].ends_with(is_word))
}

/// The texts of all rules in a schema.
fn rules_of(schema: &Value, rules: &mut Vec<String>) {
    match schema {
        Value::Object(map) => {
            let own = map.get("x-kubernetes-validations").and_then(Value::as_array);
            let own = own.into_iter().flatten().filter_map(|rule| rule["rule"].as_str());
            rules.extend(own.map(str::to_owned));
            map.values().for_each(|value| rules_of(value, rules));
        }
        Value::Array(list) => list.iter().for_each(|value| rules_of(value, rules)),
        _ => {}
    }
}

/// The properties of a kind's schema.
fn schema_of(kind: &str) -> Value {
    let all = metal_api::all_crds();
    let crd = all.iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let mut root = serde_json::to_value(crd).unwrap();
    root["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"].take()
}

/// Collects every field below `schema` that has no size limit.
fn unbounded(path: &str, schema: &Value, open: &mut Vec<String>) {
    if schema["x-kubernetes-preserve-unknown-fields"] == true {
        return;
    }
    let lacks = |bound: &str| schema.get(bound).is_none();
    let is_open = match schema["type"].as_str() {
        Some("string") => lacks("maxLength") && lacks("enum") && schema["format"] != "date-time",
        Some("array") => lacks("maxItems"),
        Some("object") => schema.get("additionalProperties").is_some() && lacks("maxProperties"),
        _ => false,
    };
    if is_open {
        open.push(path.to_owned());
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        unbounded(&format!("{path}.{name}"), property, open);
    }
    for below in ["items", "additionalProperties"] {
        if let Some(schema) = schema.get(below) {
            unbounded(&format!("{path}.{below}"), schema, open);
        }
    }
}

#[test]
fn no_schema_says_what_openapi_does_not_know() {
    for crd in metal_api::all_crds() {
        let text = serde_json::to_string(&crd).unwrap();
        for word in ["\"nullable\"", "\"uint", "\"anyOf\"", "\"oneOf\"", "\"$ref\"", "\"title\""] {
            assert!(!text.contains(word), "{} has {word}", crd.name_any());
        }
    }
}

#[test]
fn unknown_fields_of_a_report_stay_at_every_level() {
    let all = metal_api::all_crds();
    let inventory = all.iter().find(|crd| crd.spec.names.kind == "ServerInventory").unwrap();
    let crd = serde_json::to_value(inventory).unwrap();
    let root = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/report";
    let report = crd.pointer(root).unwrap();
    assert_eq!(report["x-kubernetes-preserve-unknown-fields"], true);
    each_schema(report, &mut |name, schema| {
        let record = if schema["type"] == "array" { &schema["items"] } else { schema };
        if record["type"] == "object" {
            assert_eq!(record["x-kubernetes-preserve-unknown-fields"], true, "{name}");
            assert_eq!(record.get("required"), None, "{name}");
        }
    });
}

/// Calls `found` for every property below `value`, with its name.
fn each_schema(value: &Value, found: &mut impl FnMut(&str, &Value)) {
    if let Some(properties) = value.get("properties").and_then(Value::as_object) {
        for (name, schema) in properties {
            found(name, schema);
        }
    }
    match value {
        Value::Object(map) => map.values().for_each(|value| each_schema(value, found)),
        Value::Array(list) => list.iter().for_each(|value| each_schema(value, found)),
        _ => {}
    }
}
