//! A configuration to begin with: what the schema of an image demands, and what it has defaults for.

use super::new_release::ReleaseArgs;
use crate::{
    Outcome,
    cmd::names,
    image::Known,
    output::{print, warn},
};
use anyhow::{Context, Result, bail};
use metal_configuration::Package;
use serde_json::{Map, Value, json};
use std::{fs::File, io::Write as _, path::Path};

/// How deep a schema is followed; one may contain itself.
const DEPTH: usize = 16;
/// Fields of a starter, at most.
const FIELDS: usize = 1024;

/// Writes a starter for an image to a file that is not there yet, or to standard output.
///
/// # Errors
///
/// If nothing is known of the image, it is not configurable, or the file is there.
pub(super) async fn write(what: &ReleaseArgs) -> Result<Outcome> {
    let image = what.registry.pin("--image", &what.image).await?;
    let package = match what.registry.ask(&image).await? {
        Known::Configurable(package) => package,
        Known::Plain => bail!("--image: {image} says nothing of a configuration"),
        Known::Unknown(why) => bail!("--image: {why}"),
    };
    let starter = of_package(&package)?;
    let name = what.release.as_str();
    let text = if names::extension(name) == Some("json") {
        serde_json::to_string_pretty(&starter)? + "\n"
    } else {
        serde_saphyr::to_string(&starter).context("YAML")?
    };
    if name == "-" {
        print(&text)?;
        return Ok(Outcome::Done);
    }
    // What somebody has written is not lost.
    let mut file = File::create_new(Path::new(name)).with_context(|| name.to_owned())?;
    file.write_all(text.as_bytes()).with_context(|| name.to_owned())?;
    warn(&format!(
        "{name} is a configuration for {image}: fill it in, and give it as --config-file"
    ));
    Ok(Outcome::Done)
}

/// A starter for an image, or for each of its parts.
fn of_package(package: &Package) -> Result<Value> {
    let of = |schema: &str| {
        let schema = serde_json::from_str(schema).context("the schema of the image")?;
        anyhow::Ok(starter(&schema))
    };
    if package.parts.is_empty() {
        return of(&package.schema);
    }
    let parts = package.parts.iter().map(|(name, schema)| Ok((name.clone(), of(schema)?)));
    parts.collect::<Result<Map<_, _>>>().map(Value::Object)
}

/// What a schema demands, and what it has defaults for.
fn starter(schema: &Value) -> Value {
    let mut fields = 0;
    Builder { root: schema, fields: &mut fields }.value(schema, 0)
}

struct Builder<'a> {
    root: &'a Value,
    fields: &'a mut usize,
}

impl Builder<'_> {
    fn value(&mut self, schema: &Value, depth: usize) -> Value {
        if depth >= DEPTH {
            return Value::Null;
        }
        if let Some(there) = self.referred(schema) {
            return self.value(&there.clone(), depth + 1);
        }
        let said = ["default", "const"].iter().find_map(|name| schema.get(name));
        let first = |name: &str| schema.get(name)?.as_array()?.first();
        if let Some(said) = said.or_else(|| first("enum")).or_else(|| first("examples")) {
            return said.clone();
        }
        let type_ = match &schema["type"] {
            Value::Array(all) => all.first().and_then(Value::as_str),
            one => one.as_str(),
        };
        match type_ {
            Some("object") => self.object(schema, depth),
            None if schema.get("properties").is_some() => self.object(schema, depth),
            Some("array") => json!([]),
            Some("boolean") => json!(false),
            Some("string") => json!(""),
            Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(0)),
            _ => Value::Null,
        }
    }

    fn object(&mut self, schema: &Value, depth: usize) -> Value {
        let required = schema["required"].as_array().into_iter().flatten();
        let required: Vec<_> = required.filter_map(Value::as_str).collect();
        let mut all = Map::new();
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            let target = self.referred(schema).unwrap_or(schema).clone();
            let has_default = [schema, &target].iter().any(|it| it.get("default").is_some());
            if !has_default && !required.contains(&name.as_str()) {
                continue;
            }
            *self.fields += 1;
            if *self.fields > FIELDS {
                break;
            }
            let value = match schema.get("default") {
                Some(default) => default.clone(),
                None => self.value(&target, depth + 1),
            };
            all.insert(name.clone(), value);
        }
        Value::Object(all)
    }

    /// What a schema refers to within the document.
    fn referred(&self, schema: &Value) -> Option<&Value> {
        self.root.pointer(schema.get("$ref")?.as_str()?.strip_prefix('#')?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_starter_has_what_is_required_and_what_has_a_default() {
        let schema = json!({
            "type": "object", "required": ["name", "tls", "mode", "ports", "port"],
            "$defs": {"port": {"type": "integer", "minimum": 1}},
            "properties": {
                "name": {"type": "string"}, "note": {"type": "string"},
                "workers": {"type": "integer", "default": 4},
                "tls": {"type": "object", "required": ["on"], "properties": {
                    "on": {"type": "boolean"}, "key": {"type": "string"}}},
                "mode": {"enum": ["fast", "safe"]},
                "ports": {"type": "array", "items": {"$ref": "#/$defs/port"}},
                "port": {"$ref": "#/$defs/port"},
            },
        });
        let expected = json!({
            "name": "", "workers": 4, "tls": {"on": false}, "mode": "fast", "ports": [], "port": 1,
        });
        assert_eq!(starter(&schema), expected);
        let package = Package { schema: schema.to_string(), ..Package::default() };
        assert_eq!(package.check(&expected).unwrap(), []);
    }

    #[test]
    fn an_image_with_parts_has_a_starter_with_that_of_each() {
        let part = |field: &str| json!({ "type": "object", "required": [field], "properties": { field: { "type": "string" } } });
        let parts = [("dns", "zone"), ("web", "name")];
        let parts = parts.map(|(name, field)| (name.to_owned(), part(field).to_string()));
        let package = Package { parts: parts.into(), ..Package::default() };
        let expected = json!({ "dns": { "zone": "" }, "web": { "name": "" } });
        assert_eq!(of_package(&package).unwrap(), expected);
        assert_eq!(package.check(&expected).unwrap(), []);
    }

    #[test]
    fn a_schema_that_contains_itself_has_an_end() {
        let schema = json!({
            "required": ["next", "other"], "properties": {"next": {"$ref": "#"}, "other": {"$ref": "#"}},
        });
        starter(&schema);
        assert_eq!(starter(&json!({ "$ref": "#" })), Value::Null);
    }
}
