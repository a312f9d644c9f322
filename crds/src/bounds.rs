//! How much each list, map and text of a definition may hold.
//!
//! Whoever may write an object decides how much everybody who follows its kind has to keep. A bound
//! that a type states itself counts; every other field gets the one of its name, and a field whose
//! name says nothing the general one. None is below what Kubernetes allows for the same thing, or
//! below what fleets need. `status` is ours to write, and a report is kept whole.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// Characters of a text whose name says nothing.
const TEXT: i64 = 1024;
/// Items of a list whose name says nothing.
const ITEMS: i64 = 128;
/// Entries of a map whose name says nothing.
const ENTRIES: i64 = 64;

/// Bounds everything below a schema but `status`.
pub(crate) fn bound(root: &mut JSONSchemaProps) {
    for (name, property) in root.properties.iter_mut().flatten() {
        if name != "status" && name != "metadata" {
            visit(name, property);
        }
    }
}

fn visit(name: &str, schema: &mut JSONSchemaProps) {
    if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
        return;
    }
    if schema.type_.as_deref() == Some("string") && is_open(schema) {
        schema.max_length.get_or_insert(text(name));
    }
    for (name, property) in schema.properties.iter_mut().flatten() {
        visit(name, property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(of)) = &mut schema.items {
        schema.max_items.get_or_insert(items(name));
        visit(item_of(name), of);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(of)) = &mut schema.additional_properties {
        schema.max_properties.get_or_insert(entries(name));
        visit(item_of(name), of);
    }
}

/// Whether nothing else bounds a text: neither its words nor its format.
fn is_open(schema: &JSONSchemaProps) -> bool {
    schema.enum_.is_none() && schema.format.as_deref() != Some("date-time")
}

/// What an item of this list, or a value of this map, is bounded as.
fn item_of(name: &str) -> &str {
    match name {
        "values" | "matchLabels" => "labelValue",
        other => other,
    }
}

fn text(name: &str) -> i64 {
    match name {
        "namespace" | "labelValue" => 63,
        "operator" => 64,
        "uid" => 128,
        "name" | "value" => 253,
        // A prefix, a slash, a name.
        "key" => 317,
        // An address with what a signature adds to it; the value of a setting.
        "URI" | "ukiURL" | "kernelURL" | "initrdURL" | "squashfsURL" | "ipxeServerURL"
        | "settings" => 4096,
        // Credentials, in base64.
        "data" | "stringData" => 65536,
        _ => TEXT,
    }
}

fn items(name: &str) -> i64 {
    match name {
        "matchExpressions" => 16,
        "values" | "tolerations" | "taints" => 64,
        // Addresses of one machine, those of its virtual functions included.
        "networkIdentifiers" | "systemIPs" => 256,
        _ => ITEMS,
    }
}

fn entries(name: &str) -> i64 {
    match name {
        // A BIOS has some thousand attributes.
        "settings" => 4096,
        _ => ENTRIES,
    }
}
