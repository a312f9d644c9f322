//! Size limits of every list, map and string of a definition.
//!
//! Whoever may write an object decides how much every client that watches its kind has to hold in
//! memory. A limit that the type itself declares takes precedence; any other field gets the limit
//! for its name, or the general one. No limit is below that of Kubernetes for the same thing, or
//! below what fleets need. `status` is written by us only, and a report is kept whole.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

/// Characters of a string, unless there is a limit for its name.
const TEXT: i64 = 1024;
/// Items of a list, unless there is a limit for its name.
const ITEMS: i64 = 128;
/// Entries of a map, unless there is a limit for its name.
const ENTRIES: i64 = 64;

/// Limits everything in a schema except `status` and `metadata`.
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

/// Whether a string is limited neither by an enumeration nor by its format.
fn is_open(schema: &JSONSchemaProps) -> bool {
    schema.enum_.is_none() && schema.format.as_deref() != Some("date-time")
}

/// The name by which an item of this list, or a value of this map, is limited.
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
        // Prefix, slash, name.
        "key" => 317,
        // A URL with a signature; the value of a setting.
        "URI" | "ukiURL" | "kernelURL" | "initrdURL" | "squashfsURL" | "ipxeServerURL"
        | "settings" => 4096,
        // Credentials, base64-encoded.
        "data" | "stringData" => 65536,
        _ => TEXT,
    }
}

fn items(name: &str) -> i64 {
    match name {
        "matchExpressions" => 16,
        "values" | "tolerations" | "taints" => 64,
        // Addresses of one machine, including its virtual functions.
        "networkIdentifiers" | "systemIPs" => 256,
        _ => ITEMS,
    }
}

fn entries(name: &str) -> i64 {
    match name {
        // A BIOS has several thousand attributes.
        "settings" => 4096,
        _ => ENTRIES,
    }
}
