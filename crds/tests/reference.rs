//! The reference page of the custom resources is up to date.

#![allow(clippy::unwrap_used, reason = "a test may; these are its helpers")]

use serde_json::Value;
use std::{env, fmt::Write as _, fs, path::Path};

const HEAD: &str = "# Custom resources\n\n\
    <!-- Generated: BLESS=1 cargo test -p metal-api --test reference -->\n\n\
    Which fields have no effect yet is said on the object that has them \
    ([not-available.md](../not-available.md)).\n";

#[test]
fn the_page_of_custom_resources_is_what_they_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/crds.md");
    let page = page();
    if env::var_os("BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let is_same = fs::read_to_string(path).unwrap_or_default() == page;
    assert!(is_same, "docs/reference/crds.md is out of date: run this again with BLESS=1");
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for crd in metal_api::all_crds() {
        let spec = serde_json::to_value(&crd.spec).unwrap();
        let (names, version) = (&spec["names"], &spec["versions"][0]);
        let schema = &version["schema"]["openAPIV3Schema"];
        let short = names["shortNames"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let short: Vec<_> = short.map(|name| format!("`{name}`")).collect();
        let of = format!("`{}/{}`", text(&spec["group"]), text(&version["name"]));
        writeln!(page, "\n## {}\n\n{}\n", text(&names["kind"]), cell(schema)).unwrap();
        let scope = text(&spec["scope"]).to_lowercase();
        let plural = format!("`{}`", text(&names["plural"]));
        let all: Vec<_> = [of, scope, plural].into_iter().chain(short).collect();
        writeln!(page, "{}\n", all.join(", ")).unwrap();
        page += "| field | type | what it says |\n|---|---|---|\n";
        for part in ["spec", "status"] {
            fields(&mut page, part, &schema["properties"][part]);
        }
        // Inventories have fields next to `spec`.
        for (name, schema) in schema["properties"].as_object().unwrap() {
            if !["apiVersion", "kind", "metadata", "spec", "status"].contains(&name.as_str()) {
                row(&mut page, name, schema, false);
                fields(&mut page, name, schema);
            }
        }
    }
    page
}

/// The fields below `path`, each followed by its own fields.
fn fields(page: &mut String, path: &str, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, schema) in properties {
        let items = &schema["items"];
        let path = format!("{path}.{name}{}", if items.is_null() { "" } else { "[]" });
        // The fields of conditions are well known.
        let is_known = name == "conditions";
        row(page, &path, schema, required.contains(&name.as_str()));
        if !is_known {
            fields(page, &path, if items.is_null() { schema } else { items });
        }
    }
}

fn row(page: &mut String, path: &str, schema: &Value, required: bool) {
    let mut kind = match schema["type"].as_str() {
        Some("array") => format!("list of {}", schema["items"]["type"].as_str().unwrap_or("any")),
        Some("object") if schema["additionalProperties"].is_object() => "map".to_owned(),
        Some(kind) => kind.to_owned(),
        None if schema["x-kubernetes-int-or-string"] == true => "integer or string".to_owned(),
        None => "any".to_owned(),
    };
    if required {
        kind += ", required";
    }
    let values = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let values: Vec<_> = values.map(|value| format!("`{value}`")).collect();
    if !values.is_empty() {
        write!(kind, ": {}", values.join(", ")).unwrap();
    }
    if !schema["default"].is_null() {
        write!(kind, "; default `{}`", schema["default"]).unwrap();
    }
    writeln!(page, "| `{path}` | {kind} | {} |", cell(schema)).unwrap();
}

/// The description in a schema, on one line.
fn cell(schema: &Value) -> String {
    let words: Vec<_> = text(&schema["description"]).split_whitespace().collect();
    words.join(" ").replace('|', "\\|")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
