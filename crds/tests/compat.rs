//! Every field that other clients know of a kind exists (`appendix-a.txt`), and the fields that we
//! add are optional.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may; these are its helpers")]

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

/// Fields that the table requires and we do not, because a field of another name may replace them.
const RELAXED: [(&str, &str); 1] = [("Server", "spec.systemUUID")];

#[test]
fn every_kind_of_the_table_has_its_names_and_columns() {
    let kinds = table();
    assert_eq!(kinds.len(), 19);
    for kind in kinds {
        let crd = definition(kind.name);
        let names = &crd.spec.names;
        let short = names.short_names.as_ref().map_or("-".into(), |names| names.join(","));
        let seen = [names.kind.as_str(), &crd.spec.scope, &names.plural, &short];
        assert_eq!(seen, [kind.name, kind.scope, kind.plural, kind.short]);
        let columns: Vec<_> = crd.spec.versions[0]
            .additional_printer_columns
            .iter()
            .flatten()
            .map(|col| (col.name.clone(), col.json_path.clone(), col.priority.unwrap_or(0)))
            .collect();
        assert_eq!(columns, kind.columns, "columns of {}", kind.name);
    }
}

#[test]
fn every_field_of_the_table_has_its_type_and_its_checks() {
    let mut wrong = Vec::new();
    for kind in table() {
        let root = schema(kind.name);
        for row in &kind.rows {
            if let Err(what) = row.check(kind.name, &root) {
                wrong.push(format!("{} {}: {what}", kind.name, row.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_field_of_ours_in_a_kind_of_the_table_is_optional() {
    let mut ours = 0;
    for kind in table() {
        let known: BTreeSet<String> = kind.rows.iter().flat_map(|row| prefixes(row.path)).collect();
        walk(&schema(kind.name), "", &mut |path, required| {
            let is_known = known.contains(path);
            if !is_known && path.contains('.') {
                ours += 1;
                assert!(!required, "{} {path} is ours and required", kind.name);
            }
            is_known
        });
    }
    assert!(ours > 10, "only {ours} fields of ours were found");
}

struct Kind {
    name: &'static str,
    scope: &'static str,
    plural: &'static str,
    short: &'static str,
    columns: Vec<(String, String, i32)>,
    rows: Vec<Row>,
}

struct Row {
    path: &'static str,
    type_: &'static str,
    is_required: bool,
    checks: Vec<&'static str>,
}

impl Row {
    fn check(&self, kind: &str, root: &Value) -> Result<(), String> {
        let (parent, name) = self.path.rsplit_once('.').unwrap_or(("", self.path));
        let parent = find(root, parent).ok_or("the parent is missing")?;
        let node = find(root, self.path).ok_or("it is missing")?;
        type_matches(self.type_, node)?;
        let required = parent["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
        let is_relaxed = RELAXED.contains(&(kind, self.path));
        // `spec` is required of every kind, as an object means nothing without it.
        if required != (self.is_required && !is_relaxed) && self.path != "spec" {
            return Err(format!("required is {required}"));
        }
        self.checks.iter().try_for_each(|check| check_matches(check, node))
    }
}

fn type_matches(expected: &str, node: &Value) -> Result<(), String> {
    let is = |type_: &str| node["type"] == type_;
    let items = |type_: &str| is("array") && node["items"]["type"] == type_;
    let format = |format: &str| node["format"] == format;
    let list_map = || node["x-kubernetes-list-type"] == "map";
    let good = match expected {
        "string" | "integer" | "boolean" | "object" => {
            let extras = ["format", "x-kubernetes-map-type", "x-kubernetes-list-type"];
            is(expected) && extras.iter().all(|extra| node.get(extra).is_none())
        }
        "integer(int32)" => is("integer") && format("int32"),
        "integer(int64)" => is("integer") && format("int64"),
        "string(date-time)" => is("string") && format("date-time"),
        "object atomic" => is("object") && node["x-kubernetes-map-type"] == "atomic",
        // No API server validates the format `ip`, and current ones warn about it.
        "[string]" | "[string(ip)]" => items("string"),
        "[object]" => items("object") && node.get("x-kubernetes-list-type").is_none(),
        "[object] listType=map keys=type" => items("object") && list_map(),
        "[]metav1.Condition" | "[]metav1.Condition keys=type" => {
            let fields = ["lastTransitionTime", "message", "reason", "status", "type"];
            items("object") && list_map() && node["items"]["required"] == json!(fields)
        }
        "map<string>" => is("object") && node["additionalProperties"]["type"] == "string",
        "map<string(byte)>" => node["additionalProperties"]["format"] == "byte",
        "metav1.LabelSelector" => {
            node["properties"]["matchLabels"]["type"] == "object"
                && node["properties"]["matchExpressions"]["type"] == "array"
                && node["x-kubernetes-map-type"] == "atomic"
        }
        "Quantity (int-or-string)" => {
            node["x-kubernetes-int-or-string"] == true && node["pattern"].is_string()
        }
        unknown => return Err(format!("the table has an unknown type {unknown}")),
    };
    if good { Ok(()) } else { Err(format!("expected {expected}, found {node}")) }
}

fn check_matches(check: &str, node: &Value) -> Result<(), String> {
    let (key, value) = check.split_once(' ').ok_or("the table has a check without a value")?;
    let number = || value.parse::<f64>().map_err(|error| error.to_string());
    let good = match key {
        "CEL" => node["x-kubernetes-validations"]
            .as_array()
            .is_some_and(|rules| rules.iter().any(|rule| rule["rule"] == value)),
        "enum" => node["enum"] == json!(value.split('/').collect::<Vec<_>>()),
        "pattern" => node["pattern"] == value,
        "default" => Some(&node["default"]) == serde_json::from_str::<Value>(value).ok().as_ref(),
        _ => node[key].as_f64() == Some(number()?),
    };
    if good { Ok(()) } else { Err(format!("{check} is not in {node}")) }
}

/// The schema at a path of the table, in which `[]` stands for the items of a list.
fn find<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|part| !part.is_empty()).try_fold(root, |node, part| {
        let (name, is_list) = part.strip_suffix("[]").map_or((part, false), |name| (name, true));
        let node = node.get("properties")?.get(name)?;
        if is_list { node.get("items") } else { Some(node) }
    })
}

/// Visits every field. The callback gets its path and whether it is required, and returns whether
/// to visit the fields below it.
fn walk(node: &Value, path: &str, visit: &mut impl FnMut(&str, bool) -> bool) {
    let Some(properties) = node.get("properties").and_then(Value::as_object) else { return };
    let required: BTreeSet<&str> =
        node["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, child) in properties {
        let here = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if !visit(&here, required.contains(name.as_str())) {
            continue;
        }
        if child["x-kubernetes-list-type"] == "map" || child["x-kubernetes-map-type"] == "atomic" {
            continue;
        }
        match child.get("items") {
            Some(items) => walk(items, &format!("{here}[]"), visit),
            None => walk(child, &here, visit),
        }
    }
}

/// A path of the table, and the paths of all its parents.
fn prefixes(path: &str) -> Vec<String> {
    let ends = path.match_indices(['.', '[']).map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| path[..end].to_owned()).collect()
}

static ALL: LazyLock<Vec<CustomResourceDefinition>> = LazyLock::new(metal_api::all_crds);

fn definition(kind: &str) -> &'static CustomResourceDefinition {
    ALL.iter().find(|crd| crd.spec.names.kind == kind).unwrap_or_else(|| panic!("no {kind}"))
}

fn schema(kind: &str) -> Value {
    let schema = definition(kind).spec.versions[0].schema.as_ref().unwrap();
    serde_json::to_value(&schema.open_api_v3_schema).unwrap()
}

fn table() -> Vec<Kind> {
    let mut kinds: BTreeMap<usize, Kind> = BTreeMap::new();
    for line in include_str!("appendix-a.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut cells = line.split('\t');
        let mut cell = || cells.next().unwrap_or_else(|| panic!("a cell is missing: {line}"));
        let first = cell();
        if let Some(name) = first.strip_prefix('=') {
            let (scope, plural, short) = (cell(), cell(), cell());
            let kind = Kind { name, scope, plural, short, columns: vec![], rows: vec![] };
            kinds.insert(kinds.len(), kind);
            continue;
        }
        let mut last = kinds.last_entry().expect("a line comes before the first kind");
        if let Some(name) = first.strip_prefix('>') {
            let column = (name.to_owned(), cell().to_owned(), cell().parse().unwrap());
            last.get_mut().columns.push(column);
        } else {
            let (type_, required) = (cell(), cell());
            let row =
                Row { path: first, type_, is_required: required == "!", checks: cells.collect() };
            last.get_mut().rows.push(row);
        }
    }
    kinds.into_values().collect()
}
