//! Describes the configuration, for editors and for people.

use super::raw;
use schemars::{Schema, generate::SchemaSettings};
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// The JSON schema of the configuration (draft 7, which editors support). It covers fields and
/// types; everything else is checked by [`Config::parse`](super::Config::parse).
pub fn json() -> Schema {
    let settings = SchemaSettings::draft07().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<raw::Config>();
    schema.insert("title".to_owned(), "netboot".into());
    schema.as_object_mut().into_iter().for_each(tidy);
    schema
}

/// Removes what only matters to Rust: an omitted field is not `null`, and line breaks in comments.
fn tidy(node: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = node.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            node.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = node.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(only)] = &choices[..] {
            let only = only.clone();
            node.remove("anyOf");
            for (key, value) in only {
                node.entry(key).or_insert(value);
            }
        }
    }
    if let Some(Value::String(text)) = node.get_mut("description") {
        *text = text.replace('\n', " ");
    }
    // Empty is the default of omitted fields, and not worth a mention.
    let is_empty = |value: &Value| match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(_) | Value::Null => true,
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if node.get("default").is_some_and(is_empty) {
        node.remove("default");
    }
    if let Some(Value::Object(fields)) = node.get_mut("properties") {
        fields.values_mut().filter_map(Value::as_object_mut).for_each(tidy);
    }
    if let Some(Value::Object(items)) = node.get_mut("items") {
        tidy(items);
    }
}

/// The fields of the configuration as a table in Markdown.
pub fn table() -> String {
    let mut rows = String::new();
    if let Some(schema) = json().as_object() {
        add_rows(&mut rows, "", schema);
    }
    let head = "| field | type | default | |\n|---|---|---|---|\n";
    format!("{head}{rows}")
}

fn add_rows(rows: &mut String, path: &str, node: &Map<String, Value>) {
    let required = node.get("required").and_then(Value::as_array);
    for (name, field) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let Some(field) = field.as_object() else { continue };
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let is_required = required.is_some_and(|all| all.iter().any(|it| it == name));
        let default = match field.get("default") {
            _ if is_required => "required".to_owned(),
            Some(Value::String(text)) => format!("`{text}`"),
            Some(value) => format!("`{value}`"),
            None => String::new(),
        };
        let text = field.get("description").and_then(Value::as_str).unwrap_or_default();
        // Writing to a string cannot fail.
        writeln!(rows, "| `{path}` | {} | {default} | {text} |", kind(field)).ok();
        let items = field.get("items").and_then(Value::as_object);
        match items.filter(|items| items.contains_key("properties")) {
            Some(items) => add_rows(rows, &format!("{path}[]"), items),
            None => add_rows(rows, &path, field),
        }
    }
}

fn kind(field: &Map<String, Value>) -> String {
    let name = |kind: &Value| kind.as_str().unwrap_or_default().to_owned();
    match field.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().map(name).collect::<Vec<_>>().join(" or "),
        Some(kind) if kind == "array" => {
            let items = field.get("items").and_then(Value::as_object);
            format!("list of {}", items.map(self::kind).unwrap_or_default())
        }
        Some(kind) => name(kind),
        None => String::new(),
    }
}
