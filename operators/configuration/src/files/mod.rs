//! What an image brings for its configuration, and what is made of it.

use crate::{
    problem::Problem,
    schema::Schema,
    template::{self, Unusable, render, value},
};
use metal_base::cut;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Annotation of the manifest of an image that has a schema; its value is `1`.
pub const MARKER: &str = "dev.bloomery.configurable";
/// The folder in the image.
pub const FOLDER: &str = "usr/share/bloomery/config";
/// The schema, in that folder.
pub const SCHEMA: &str = "schema.json";
/// The folder of the templates, in that folder.
pub const TEMPLATES: &str = "templates/";
/// What names of templates end with; the rendered files have names without it.
pub const SUFFIX: &str = ".tmpl";

/// Templates of one image.
const COUNT: usize = 64;
/// The longest path of one, in bytes.
const LONGEST: usize = 200;
/// The largest template, in bytes.
const TEMPLATE: usize = 64 << 10;
/// All rendered files together, in bytes.
const RENDERED: usize = 4 << 20;
/// What Go prints for a field that is not there.
const NOTHING: &str = "<no value>";

/// The schema and the templates of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// The schema, as text.
    pub schema: String,
    /// Templates by the path of what is rendered, which is relative.
    #[serde(default)]
    pub templates: BTreeMap<String, String>,
}

/// Why a configuration cannot be used with an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unpackable {
    /// The image has a marker, but no schema.
    #[error("the image has no {FOLDER}/{SCHEMA}")]
    NoSchema,
    /// A file that is neither.
    #[error("{0:?} in {FOLDER} is neither {SCHEMA} nor a template {TEMPLATES}PATH{SUFFIX}")]
    Strange(String),
    /// A file is not text, or too large; or there are too many of them.
    #[error("{0} in {FOLDER}: {1}")]
    File(String, String),
    /// The schema is none.
    #[error("{FOLDER}/{SCHEMA}: {0}")]
    Schema(Problem),
    /// The configuration does not fit it.
    #[error("{}", all(.0))]
    Configuration(Vec<Problem>),
    /// A template cannot be rendered with it.
    #[error("{1}")]
    Template(String, Unusable),
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
            let path = name.strip_prefix(TEMPLATES).and_then(|it| it.strip_suffix(SUFFIX));
            let path = path.ok_or_else(|| Unpackable::Strange(shown(&name)))?;
            package.templates.insert(path.to_owned(), text);
        }
        package.parsed().map(|_| package)
    }

    /// What is wrong with a configuration, or with the package. Lines are not known.
    ///
    /// # Errors
    ///
    /// If the package cannot be used.
    pub fn check(&self, configuration: &Value) -> Result<Vec<Problem>, Unpackable> {
        Ok(self.parsed()?.check(configuration))
    }

    /// The files that are rendered with a configuration, by their paths, which are relative and lead
    /// nowhere else.
    ///
    /// # Errors
    ///
    /// If a template is none, or prints a field that the configuration does not have.
    pub fn render(&self, configuration: &Value) -> Result<BTreeMap<String, String>, Unpackable> {
        let (variables, mut size) = (value(configuration), 0);
        let mut files = BTreeMap::new();
        for (path, text) in &self.templates {
            let name = format!("{TEMPLATES}{path}{SUFFIX}");
            let failed = |error| Unpackable::Template(name.clone(), error);
            let file = render(&name, text.as_bytes(), variables.clone()).map_err(failed)?;
            let refuse = |why: &str| failed(Unusable::Template(format!("{name}: {why}")));
            if file.contains(NOTHING) {
                return Err(refuse("prints a field that the configuration does not have"));
            }
            size += file.len();
            if size > RENDERED {
                return Err(refuse("the rendered files are more than 4 MiB"));
            }
            files.insert(path.clone(), file);
        }
        Ok(files)
    }

    /// The schema, after the limits were checked.
    fn parsed(&self) -> Result<Schema, Unpackable> {
        if self.schema.is_empty() {
            return Err(Unpackable::NoSchema);
        }
        let refuse = |name: &str, why: String| Unpackable::File(shown(name), why);
        if self.templates.len() > COUNT {
            return Err(refuse(TEMPLATES, format!("more than {COUNT} templates")));
        }
        for (path, text) in &self.templates {
            if !is_path(path) {
                return Err(refuse(path, "not a path that is relative and plain".to_owned()));
            }
            let is_below = |other: &String| other.starts_with(&format!("{path}/"));
            if self.templates.keys().any(is_below) {
                return Err(refuse(path, "a file and a folder".to_owned()));
            }
            if text.len() > TEMPLATE {
                return Err(refuse(path, format!("more than {TEMPLATE} bytes")));
            }
        }
        Schema::parse(&self.schema).map_err(Unpackable::Schema)
    }
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
