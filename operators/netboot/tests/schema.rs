//! The schema and the reference of the configuration are up to date.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use metal_dhcp::config::schema;
use serde_json::Value;
use std::{fs, path::Path};

fn committed(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn the_committed_schema_and_table_match_the_types() {
    let schema = format!("{}\n", serde_json::to_string_pretty(&schema::json()).unwrap());
    let file = "docs/netboot.schema.json";
    assert!(committed(file) == schema, "{file} is stale: `netboot schema > {file}`");
    let file = "docs/netboot-fields.md";
    let head =
        "# Fields of netboot's configuration\n\n<!-- Generated: netboot schema --markdown -->\n\n";
    let expected = format!("{head}{}", schema::table());
    assert!(committed(file) == expected, "{file} is stale: `netboot schema --markdown`");
}

#[test]
fn every_field_is_described_and_no_other_is_allowed() {
    fn check(path: &str, node: &Value) {
        let Some(fields) = node["properties"].as_object() else { return };
        assert_eq!(node["additionalProperties"], false, "{path}");
        for (name, field) in fields {
            let path = format!("{path}.{name}");
            let text = field["description"].as_str().unwrap_or_default();
            assert!(text.len() > 3 && text.ends_with('.'), "{path}: {text:?}");
            assert!(field["type"].is_string() || field["type"].is_array(), "{path} has no type");
            check(&path, field);
            check(&path, &field["items"]);
        }
    }
    let schema = serde_json::to_value(schema::json()).unwrap();
    let (one, other) = (["subnets"], ["dhcp6"]);
    let either = serde_json::json!([{ "required": one }, { "required": other }]);
    assert_eq!((&schema["required"], &schema["anyOf"]), (&Value::Null, &either));
    check("", &schema);
}

/// The fields that serde refuses as unknown or missing, according to its errors, are those in the
/// schema.
#[test]
fn the_example_uses_no_field_that_the_schema_lacks() {
    fn check(path: &str, value: &Value, schema: &Value) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let field = &schema["properties"][name];
                    assert!(!field.is_null(), "{path}.{name} is not in the schema");
                    check(&format!("{path}.{name}"), value, field);
                }
                for name in schema["required"].as_array().into_iter().flatten() {
                    assert!(fields.contains_key(name.as_str().unwrap()), "{path}: {name}");
                }
            }
            Value::Array(items) => {
                for item in items {
                    check(path, item, &schema["items"]);
                }
            }
            Value::String(_) => assert!(has(schema, "string"), "{path}"),
            Value::Number(_) => assert!(has(schema, "integer"), "{path}"),
            Value::Bool(_) => assert!(has(schema, "boolean"), "{path}"),
            Value::Null => panic!("{path} is null"),
        }
    }
    fn has(schema: &Value, kind: &str) -> bool {
        schema["type"] == kind
            || schema["type"].as_array().is_some_and(|all| all.iter().any(|it| it == kind))
    }
    let schema = serde_json::to_value(schema::json()).unwrap();
    let example: Value = serde_saphyr::from_str(include_str!("../example.yaml")).unwrap();
    check("", &example, &schema);
}
