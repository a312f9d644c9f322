//! The walk over a document, guided by the schema.

use super::{
    Error, Path, Version,
    schema::{DOCUMENT, Field, Need, RESOURCE, Shape},
};
use serde_json::{Map, Value, json};
use std::{collections::HashSet, fmt::Write};

pub(super) fn document(
    document: &Map<String, Value>,
    version: Version,
) -> Result<Map<String, Value>, Error> {
    let root = Path::default();
    let translated = object(document, DOCUMENT, &root, version)?;
    one_node_per_path(&translated)?;
    Ok(translated)
}

fn object(
    map: &Map<String, Value>,
    fields: &[Field],
    path: &Path,
    version: Version,
) -> Result<Map<String, Value>, Error> {
    let mut translated = Map::new();
    for (name, value) in map {
        let path = path.field(name);
        let known = fields.iter().find(|field| field.name == name);
        let field = known.ok_or_else(|| Error::Unsupported(path.clone()))?;
        let (since, needs) = field.since;
        if value.is_null() {
            continue;
        }
        if version.ignition < since {
            return Err(Error::TooNew { path, needs });
        }
        let value = shaped(value, &field.shape, &path, version)?;
        translated.insert(field.becomes.to_owned(), value);
    }
    let missing =
        |field: &&Field| field.need == Need::Required && !translated.contains_key(field.becomes);
    match fields.iter().find(missing) {
        Some(field) => Err(Error::Missing(path.field(field.name))),
        None => Ok(translated),
    }
}

fn shaped(value: &Value, shape: &Shape, path: &Path, version: Version) -> Result<Value, Error> {
    let wrong = |expected| Error::Wrong { path: path.clone(), expected };
    match shape {
        Shape::Text => text(value, path).map(|text| json!(text)),
        Shape::FilePath => match text(value, path)? {
            absolute if absolute.starts_with('/') => Ok(json!(absolute)),
            _ => Err(wrong("an absolute path")),
        },
        Shape::Bool => value.as_bool().map(Value::from).ok_or_else(|| wrong("true or false")),
        Shape::Int => value.as_u64().map(Value::from).ok_or_else(|| wrong("a number")),
        Shape::Mode => {
            let mode = value.as_u64().filter(|mode| *mode <= 0o7777);
            mode.map(Value::from).ok_or_else(|| wrong("a mode such as 0644"))
        }
        Shape::Texts => items(value, path)?
            .map(|(item, path)| text(item, &path).map(|text| json!(text)))
            .collect(),
        Shape::Object(fields) => {
            Ok(Value::Object(object(mapping(value, path)?, fields, path, version)?))
        }
        Shape::Objects(fields, unique) => objects(value, fields, unique, path, version),
        Shape::Resource => resource(value, path, version),
        Shape::Resources => {
            items(value, path)?.map(|(item, path)| resource(item, &path, version)).collect()
        }
        Shape::Refused(instead) => Err(Error::Refused { path: path.clone(), instead }),
    }
}

fn objects(
    value: &Value,
    fields: &[Field],
    unique: &str,
    path: &Path,
    version: Version,
) -> Result<Value, Error> {
    let mut seen = HashSet::new();
    let mut translated = vec![];
    for (item, path) in items(value, path)? {
        let item = object(mapping(item, &path)?, fields, &path, version)?;
        if let Some(Value::String(name)) = item.get(unique)
            && !seen.insert(name.clone())
        {
            return Err(Error::Twice { path: path.field(unique), name: name.clone() });
        }
        translated.push(Value::Object(item));
    }
    Ok(Value::Array(translated))
}

/// Content by address, or in line as a `data:` URL (RFC 2397).
fn resource(value: &Value, path: &Path, version: Version) -> Result<Value, Error> {
    let mut resource = object(mapping(value, path)?, RESOURCE, path, version)?;
    if let Some(Value::String(inline)) = resource.remove("inline") {
        if resource.contains_key("source") {
            let path = path.clone();
            return Err(Error::Wrong { path, expected: "either source or inline, not both" });
        }
        resource.insert("source".to_owned(), json!(data_url(&inline)));
    }
    Ok(Value::Object(resource))
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

/// A file, a directory and a link of one path are one too many as well.
fn one_node_per_path(document: &Map<String, Value>) -> Result<(), Error> {
    let mut seen = HashSet::new();
    for kind in ["directories", "files", "links"] {
        let nodes = document.get("storage").and_then(|storage| storage.get(kind));
        for (at, node) in nodes.and_then(Value::as_array).into_iter().flatten().enumerate() {
            let Some(Value::String(name)) = node.get("path") else { continue };
            if !seen.insert(name) {
                let path = Path::default().field("storage").field(kind).item(at).field("path");
                return Err(Error::Twice { path, name: name.clone() });
            }
        }
    }
    Ok(())
}

fn mapping<'a>(value: &'a Value, path: &Path) -> Result<&'a Map<String, Value>, Error> {
    let wrong = || Error::Wrong { path: path.clone(), expected: "a mapping" };
    value.as_object().ok_or_else(wrong)
}

fn items<'a>(
    value: &'a Value,
    path: &'a Path,
) -> Result<impl Iterator<Item = (&'a Value, Path)>, Error> {
    let wrong = || Error::Wrong { path: path.clone(), expected: "a list" };
    let items = value.as_array().ok_or_else(wrong)?;
    Ok(items.iter().enumerate().map(|(at, item)| (item, path.item(at))))
}

/// Numbers and the like are not taken for text: `0123` has already become another number.
fn text<'a>(value: &'a Value, path: &Path) -> Result<&'a str, Error> {
    let wrong = || Error::Wrong { path: path.clone(), expected: "text; put it in quotes" };
    value.as_str().ok_or_else(wrong)
}
