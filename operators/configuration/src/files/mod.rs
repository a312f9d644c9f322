//! The files of an image that are about its configuration, and what is rendered from them.

mod header;

pub use header::Permissions;

use crate::{
    lines::escaped,
    problem::Problem,
    schema::Schema,
    template::{self, TemplateError, render, value},
};
use metal_base::cut;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Annotation of the manifest of an image that has a schema; its value is `1`.
pub const MARKER: &str = "dev.bloomery.configurable";
/// The folder in the image.
pub const FOLDER: &str = "usr/share/bloomery/config";
/// The schema, in that folder.
const SCHEMA: &str = "schema.json";
/// The folder of the schemas of parts, in that folder: `PART.json`.
const PARTS: &str = "schema.d/";
/// The folder of the templates, in that folder.
const TEMPLATES: &str = "templates/";
/// Suffix of templates; the rendered files have names without it.
const SUFFIX: &str = ".tmpl";

/// How many templates, and how many parts, one image may have.
const COUNT: usize = 64;
/// The longest name of a part, in bytes.
const PART: usize = 63;
const JSON: &str = ".json";
/// The longest path of one, in bytes.
const LONGEST: usize = 200;
/// The largest template, in bytes.
const TEMPLATE: usize = 64 << 10;
/// All rendered files together, in bytes.
const RENDERED: usize = 4 << 20;
/// What Go prints for a missing field.
const NOTHING: &str = "<no value>";

/// The schema and the templates of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The schema, as text; empty for an image that has schemas of parts.
    pub schema: String,
    /// Schemas by the part of the configuration that they are for: each layer of an image may bring its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, String>,
    /// Templates by the path of what is rendered, which is relative.
    #[serde(default)]
    pub templates: BTreeMap<String, String>,
}

/// A file that was rendered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// Its content.
    pub text: String,
    /// Its mode and owner.
    pub permissions: Permissions,
}

/// Why a configuration cannot be used with an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpackable {
    /// The image has a marker, but no schema.
    #[error("the image has no {FOLDER}/{SCHEMA}, and no {PARTS}PART.json")]
    NoSchema,
    /// A file that is neither a schema nor a template.
    #[error(
        "{0:?} in {FOLDER} is neither {SCHEMA}, {PARTS}PART.json nor a template {TEMPLATES}PATH{SUFFIX}"
    )]
    Strange(String),
    /// A file is not text, or is too large; or there are too many files.
    #[error("{0} in {FOLDER}: {1}")]
    File(String, String),
    /// A schema is invalid.
    #[error("{FOLDER}/{0}: {1}")]
    Schema(String, Problem),
    /// The configuration does not match it.
    #[error("{}", all(.0))]
    Configuration(Vec<Problem>),
    /// A template cannot be rendered with it.
    #[error("{1}")]
    Template(String, TemplateError),
}

fn all(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems.iter().map(Problem::to_string).collect();
    lines.join("; ")
}

impl Unpackable {
    /// The same, but without anything of the configuration except names of its fields: errors of
    /// templates may quote values.
    pub fn without_values(&self) -> String {
        match self {
            Self::Template(name, error) => {
                let text = error.to_string();
                let line = text.split_once(&format!("{name}:")).map(|(_, rest)| rest);
                let line = line.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
                let line = line.filter(|line| !line.is_empty());
                let at = line.map(|line| format!("line {line}: ")).unwrap_or_default();
                format!("{at}{name}: the template cannot be rendered with this configuration")
            }
            other => other.to_string(),
        }
    }
}

impl Package {
    /// From the files of an image, by their paths in [`FOLDER`].
    ///
    /// # Errors
    ///
    /// If there is no schema that can be used, or a file that is neither it nor a template.
    pub fn of(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Result<Self, Unpackable> {
        let mut package = Self::default();
        for (name, bytes) in files {
            let text = String::from_utf8(bytes);
            let text = text.map_err(|_| Unpackable::File(shown(&name), "not UTF-8".to_owned()))?;
            if name == SCHEMA {
                package.schema = text;
                continue;
            }
            if let Some(part) = name.strip_prefix(PARTS).and_then(|it| it.strip_suffix(JSON)) {
                package.parts.insert(part.to_owned(), text);
                continue;
            }
            let path = name.strip_prefix(TEMPLATES).and_then(|it| it.strip_suffix(SUFFIX));
            let path = path.ok_or_else(|| Unpackable::Strange(shown(&name)))?;
            package.templates.insert(path.to_owned(), text);
        }
        package.parsed()?;
        Ok(package)
    }

    /// What is wrong with a configuration, or with the package. Lines are not known.
    ///
    /// # Errors
    ///
    /// If the package cannot be used.
    pub fn check(&self, configuration: &Value) -> Result<Vec<Problem>, Unpackable> {
        let (parts, mut problems) = match self.parsed()? {
            Schemas::Whole(schema) => return Ok(schema.check(configuration)),
            Schemas::Parts(parts) => (parts, vec![]),
        };
        let Value::Object(fields) = configuration else {
            return Ok(vec![Problem::new("", "must be an object")]);
        };
        for name in fields.keys().filter(|name| !self.parts.contains_key(*name)) {
            problems.push(Problem::new(format!("/{}", escaped(name)), "this field is not known"));
        }
        let nothing = Value::Object(Map::new());
        for (name, schema) in parts {
            let found = schema.check(fields.get(name).unwrap_or(&nothing));
            problems.extend(found.into_iter().map(|it| it.within(name)));
        }
        Ok(problems)
    }

    /// With all missing parts, which templates see as empty.
    fn completed(&self, configuration: &Value) -> Value {
        let mut whole = configuration.clone();
        if let Value::Object(fields) = &mut whole {
            for name in self.parts.keys() {
                fields.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            }
        }
        whole
    }

    /// The files that are rendered with a configuration, by their paths, which are relative and lead
    /// nowhere else.
    ///
    /// # Errors
    ///
    /// If a template is none, or prints a field that the configuration does not have.
    pub fn render(&self, configuration: &Value) -> Result<BTreeMap<String, Rendered>, Unpackable> {
        let (variables, mut size) = (value(&self.completed(configuration)), 0);
        let mut files = BTreeMap::new();
        for (path, text) in &self.templates {
            let name = format!("{TEMPLATES}{path}{SUFFIX}");
            let failed = |error| Unpackable::Template(name.clone(), error);
            let file = render(&name, text.as_bytes(), variables.clone()).map_err(failed)?;
            let refuse = |why: &str| failed(TemplateError::Template(format!("{name}: {why}")));
            if file.contains(NOTHING) {
                return Err(refuse("prints a field that the configuration does not have"));
            }
            size += file.len();
            if size > RENDERED {
                return Err(refuse("the rendered files are more than 4 MiB"));
            }
            let permissions = header::permissions(text);
            let permissions = permissions.map_err(|why| refuse(&format!("line 1: {why}")))?;
            // The line of the header is none of the file.
            let text = file.strip_prefix('\n').filter(|_| permissions.is_some());
            let text = text.unwrap_or(&file).to_owned();
            let permissions = permissions.unwrap_or_default();
            files.insert(path.clone(), Rendered { text, permissions });
        }
        Ok(files)
    }

    /// The schemas, after the limits were checked.
    fn parsed(&self) -> Result<Schemas<'_>, Unpackable> {
        self.check_limits()?;
        let parse = |name: &str, text: &str| {
            Schema::parse(text).map_err(|problem| Unpackable::Schema(name.to_owned(), problem))
        };
        if self.parts.is_empty() {
            return parse(SCHEMA, &self.schema).map(Schemas::Whole);
        }
        let parts = self
            .parts
            .iter()
            .map(|(name, text)| Ok((name.as_str(), parse(&format!("{PARTS}{name}{JSON}"), text)?)));
        parts.collect::<Result<_, Unpackable>>().map(Schemas::Parts)
    }

    fn check_limits(&self) -> Result<(), Unpackable> {
        let refuse = |name: &str, why: String| Err(Unpackable::File(shown(name), why));
        match (self.schema.is_empty(), self.parts.is_empty()) {
            (true, true) => return Err(Unpackable::NoSchema),
            (false, false) => return refuse(SCHEMA, format!("there is {PARTS} as well")),
            (true, false) | (false, true) => {}
        }
        if self.templates.len() > COUNT || self.parts.len() > COUNT {
            return refuse(TEMPLATES, format!("more than {COUNT} templates or parts"));
        }
        if let Some(part) = self.parts.keys().find(|name| !is_part(name)) {
            return refuse(part, "a part is named by letters, digits and _".to_owned());
        }
        for (path, text) in &self.templates {
            if !is_path(path) {
                return refuse(path, "not a path that is relative and plain".to_owned());
            }
            let is_below = |other: &String| other.starts_with(&format!("{path}/"));
            if self.templates.keys().any(is_below) {
                return refuse(path, "a file and a folder".to_owned());
            }
            if text.len() > TEMPLATE {
                return refuse(path, format!("more than {TEMPLATE} bytes"));
            }
            if let Err(why) = header::permissions(text) {
                return refuse(path, format!("line 1: {why}"));
            }
        }
        Ok(())
    }
}

/// What a configuration has to fit.
enum Schemas<'a> {
    Whole(Schema),
    Parts(Vec<(&'a str, Schema)>),
}

/// Whether a template can name it, as `.PART`.
fn is_part(name: &str) -> bool {
    name.len() <= PART
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a path leads to a file below the folder that it is relative to.
fn is_path(path: &str) -> bool {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "-_.+@:".contains(c);
    path.len() <= LONGEST
        && path.split('/').all(|part| !matches!(part, "" | "." | "..") && part.chars().all(is_fine))
}

fn shown(name: &str) -> String {
    cut(&name.replace(char::is_control, " "), LONGEST).into_owned()
}

const _: () = assert!(TEMPLATE as u64 <= template::LARGEST);

#[cfg(test)]
mod tests;
