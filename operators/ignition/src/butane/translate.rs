//! Walks a document along the schema.

use super::{
    Error, Path, Version, check,
    node::{Kind, Node},
    schema::{DOCUMENT, Entries, Field, Need, Shape},
    since::{ALWAYS, SPECIAL_BITS, Since, ignition},
};
use crate::validation::{
    check::{hash_since, takes_headers},
    fault::{Fault, Requirement, Step},
    rules,
};
use serde_json::{Map, Value, json};
use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write,
};

/// The context of the whole document.
#[derive(Clone, Copy)]
pub(super) struct Translation<'a> {
    pub(super) version: Version,
    /// The text that is translated.
    pub(super) source: &'a str,
}

pub(super) fn document(
    document: &Node,
    root: &Path,
    walk: Translation<'_>,
) -> Result<Map<String, Value>, Error> {
    let translated = Value::Object(object(document, DOCUMENT, root, walk)?);
    let found = rules::check(&translated, walk.version.ignition);
    found.map_err(|fault| placed(fault, document, root))?;
    let Value::Object(translated) = translated else { unreachable!("it is one") };
    Ok(translated)
}

/// Finds the place in the source of a fault in the translation: the fields have the same names, in
/// another case.
fn placed(fault: Fault, document: &Node, root: &Path) -> Error {
    let (mut node, mut path) = (Some(document), root.clone());
    for step in &fault.at {
        (node, path) = match *step {
            Step::Field(name) => {
                let name = snake_case(name);
                (node.and_then(|node| node.get(&name)), path.field(&name))
            }
            Step::Item(at) => (node.and_then(|node| node.item(at)), path.item(at)),
        };
        if let Some(node) = node {
            path = path.on(node.line());
        }
    }
    match fault.must {
        Requirement::Be(expected) => Error::Wrong { path, expected },
        // It may contain a password, or inline content.
        Requirement::BeOnce(_) if fault.at.last() == Some(&Step::Field("source")) => {
            Error::Wrong { path, expected: "different from the others" }
        }
        Requirement::BeOnce(name) => Error::twice(path, &name),
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn object(
    node: &Node,
    fields: &[Field],
    path: &Path,
    walk: Translation<'_>,
) -> Result<Map<String, Value>, Error> {
    let mut translated = Map::new();
    for (name, node) in mapping(node, path)? {
        let path = path.field(name).on(node.line());
        let known = fields.iter().find(|field| field.name == name);
        let field = known.ok_or_else(|| Error::Unsupported(path.clone()))?;
        if node.is_null() {
            continue;
        }
        require(field.since, &path, walk)?;
        let value = shaped(node, &field.shape, &path, walk)?;
        translated.insert(field.becomes.to_owned(), value);
    }
    let missing =
        |field: &&Field| field.need == Need::Required && !translated.contains_key(field.becomes);
    match fields.iter().find(missing) {
        Some(field) => Err(Error::Missing(path.field(field.name))),
        None => Ok(translated),
    }
}

/// Whether the Ignition of the document's version has a feature.
fn require((since, needs): Since, path: &Path, walk: Translation<'_>) -> Result<(), Error> {
    if walk.version.ignition < since {
        return Err(Error::TooNew { path: path.clone(), needs });
    }
    Ok(())
}

fn shaped(node: &Node, shape: &Shape, path: &Path, walk: Translation<'_>) -> Result<Value, Error> {
    let wrong = |expected| Error::Wrong { path: path.clone(), expected };
    match shape {
        Shape::Text => text(node, path, walk).map(|text| json!(text)),
        Shape::Checked(check) => {
            let text = text(node, path, walk)?;
            check(text).map_err(wrong)?;
            Ok(json!(text))
        }
        Shape::Bool => {
            let Kind::Bool(value) = node.kind else { return Err(wrong("true or false")) };
            Ok(value.into())
        }
        Shape::Int => number(node).map(Value::from).ok_or_else(|| wrong("a number")),
        Shape::Mode => {
            let mode = number(node).filter(|mode| *mode <= 0o7777);
            let mode = mode.ok_or_else(|| wrong("a mode such as 0644"))?;
            require(if mode > 0o777 { SPECIAL_BITS } else { ALWAYS }, path, walk)?;
            Ok(mode.into())
        }
        Shape::Texts => texts(node, path, walk),
        Shape::Object(fields) => Ok(Value::Object(object(node, fields, path, walk)?)),
        Shape::Objects(entries) => objects(node, entries, path, walk),
        Shape::Resource(fields) => resource(node, fields, path, walk),
        Shape::Resources(fields) => {
            items(node, path)?.map(|(item, path)| resource(item, fields, &path, walk)).collect()
        }
        Shape::Refused(instead) => Err(Error::Refused { path: path.clone(), instead }),
    }
}

fn texts(node: &Node, path: &Path, walk: Translation<'_>) -> Result<Value, Error> {
    let mut seen = HashSet::new();
    let mut all = vec![];
    for (item, path) in items(node, path)? {
        let text = text(item, &path, walk)?;
        if !seen.insert(text) {
            return Err(Error::twice(path, text));
        }
        all.push(text);
    }
    Ok(json!(all))
}

fn objects(
    node: &Node,
    Entries { fields, unique }: &Entries,
    path: &Path,
    walk: Translation<'_>,
) -> Result<Value, Error> {
    let mut seen = HashSet::new();
    let mut translated = vec![];
    for (item, path) in items(node, path)? {
        let value = object(item, fields, &path, walk)?;
        if let Some(Value::String(name)) = value.get(*unique)
            && !seen.insert(name.clone())
        {
            return Err(Error::twice(inside(item, &path, &[unique]), name));
        }
        translated.push(Value::Object(value));
    }
    Ok(Value::Array(translated))
}

/// Content by URL, or inline as a `data:` URL (RFC 2397).
fn resource(
    node: &Node,
    fields: &[Field],
    path: &Path,
    walk: Translation<'_>,
) -> Result<Value, Error> {
    let mut resource = object(node, fields, path, walk)?;
    let at = |fields: &[&str]| inside(node, path, fields);
    let wrong = |path: Path, expected| Error::Wrong { path, expected };
    if let Some(Value::String(inline)) = resource.remove("inline") {
        if resource.contains_key("source") {
            return Err(wrong(path.clone(), "either source or inline, not both"));
        }
        resource.insert("source".to_owned(), json!(data_url(&inline)));
    }
    let source = resource.get("source").and_then(Value::as_str).unwrap_or_default();
    check::source(source).map_err(|expected| wrong(at(&["source"]), expected))?;
    require(check::since(source).unwrap_or(ALWAYS), &at(&["source"]), walk)?;
    let compression = resource.get("compression").and_then(Value::as_str).unwrap_or_default();
    if !compression.is_empty() && check::is_bucket(source) {
        return Err(wrong(at(&["compression"]), "absent, because the source is in S3"));
    }
    let hash = resource.get("verification").and_then(|it| it.get("hash")).and_then(Value::as_str);
    let of_hash = || at(&["verification", "hash"]);
    if hash.is_some() && source.is_empty() {
        return Err(wrong(of_hash(), "absent, because there is no source"));
    }
    require(ignition(hash.map_or(0, hash_since)), &of_hash(), walk)?;
    let has_headers = resource.get("httpHeaders").is_some_and(|headers| *headers != json!([]));
    if has_headers && !takes_headers(source) {
        return Err(wrong(
            at(&["http_headers"]),
            "absent, because the source is not http or https",
        ));
    }
    Ok(Value::Object(resource))
}

/// The path of a field in a mapping.
fn inside(node: &Node, path: &Path, fields: &[&str]) -> Path {
    let (mut node, mut path) = (Some(node), path.clone());
    for name in fields {
        node = node.and_then(|node| node.get(name));
        path = path.field(name);
        if let Some(node) = node {
            path = path.on(node.line());
        }
    }
    path
}

fn data_url(content: &str) -> String {
    let mut url = "data:,".to_owned();
    for byte in content.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                url.push(char::from(byte));
            }
            _ => write!(url, "%{byte:02X}").expect("a String takes everything"),
        }
    }
    url
}

fn mapping<'a>(node: &'a Node, path: &Path) -> Result<&'a BTreeMap<String, Node>, Error> {
    if let Kind::Map(map) = &node.kind {
        return Ok(map);
    }
    Err(Error::Wrong { path: path.clone(), expected: "a mapping" })
}

fn items<'a>(
    node: &'a Node,
    path: &'a Path,
) -> Result<impl Iterator<Item = (&'a Node, Path)>, Error> {
    let Kind::List(items) = &node.kind else {
        return Err(Error::Wrong { path: path.clone(), expected: "a list" });
    };
    Ok(items.iter().enumerate().map(|(at, item)| (item, path.item(at).on(item.line()))))
}

fn number(node: &Node) -> Option<u64> {
    if let Kind::Int(number) = node.kind { Some(number) } else { None }
}

/// Any scalar, as written: Butane accepts `name: 0123` as a name.
fn text<'a>(node: &'a Node, path: &Path, walk: Translation<'a>) -> Result<&'a str, Error> {
    let wrong = || Error::Wrong { path: path.clone(), expected: "text; put it in quotes" };
    node.text(walk.source).ok_or_else(wrong)
}
