//! The configuration of a host as a person writes it: YAML or JSON, checked before it is encrypted.

mod lines;

use crate::output::warn;
use anyhow::{Context, Result, bail, ensure};
use lines::{Tree, line};
use metal_configuration::{Bundle, LARGEST, Package, Problem};
use metal_text::{
    located::Located,
    yaml::{self, LeadingZero},
};
use serde_json::Value;
use std::{fs, path::Path};

/// What is to be encrypted.
///
/// With a `package` it is a bundle: the configuration as JSON, and what the image says about it. An
/// image of which nothing is known gets the file as it is.
///
/// # Errors
///
/// If the configuration does not fit; each problem is named with its line.
pub(crate) fn plain(file: Option<&Path>, package: Option<Package>) -> Result<Option<Vec<u8>>> {
    let bytes = file.map(read).transpose()?;
    let Some(package) = package else { return Ok(bytes) };
    let name = file.map_or_else(|| "no --config-file".to_owned(), |it| it.display().to_string());
    let (configuration, places) = match bytes {
        Some(bytes) => parse(&bytes).with_context(|| name.clone())?,
        None => (Value::Object(serde_json::Map::new()), None),
    };
    let problems = package.check(&configuration)?;
    for problem in &problems {
        let at = places.as_ref().map(|places| line(places, &problem.pointer));
        warn(&format!("{name}: {}", problem.clone().at(at)));
    }
    match problems.len() {
        0 => {}
        count => bail!("{name}: does not fit the schema of the image: {count} problems"),
    }
    package.render(&configuration).with_context(|| name.clone())?;
    let bundle = Bundle { configuration, package }.encode();
    bundle.map(Some).with_context(|| format!("{name} and the templates: more than {LARGEST} bytes"))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    let name = || file.display().to_string();
    let size = fs::metadata(file).with_context(name)?.len();
    ensure!(size <= LARGEST as u64, "{}: more than {LARGEST} bytes", name());
    fs::read(file).with_context(name)
}

/// The document, and where its fields are.
fn parse(bytes: &[u8]) -> Result<(Value, Option<Located<Tree>>)> {
    let text = std::str::from_utf8(bytes).context("not UTF-8")?;
    let value = yaml::read(text, LeadingZero::Decimal)?;
    Ok((value, yaml::read(text, LeadingZero::Decimal).ok()))
}

/// A package of this schema, and the templates of the image.
///
/// # Errors
///
/// If it is no schema; says on which line.
pub(crate) fn with_schema(file: &Path, of_image: Option<Package>) -> Result<Package> {
    let name = file.display().to_string();
    let schema = fs::read_to_string(file).with_context(|| name.clone())?;
    let problem = |problem: Problem| anyhow::anyhow!("{name}: {problem}");
    metal_configuration::Schema::parse(&schema).map_err(problem)?;
    let templates = of_image.unwrap_or_default().templates;
    Ok(Package { schema, templates, ..Package::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type": "object", "required": ["name"],
        "properties": {"name": {"type": "string"}, "ports": {"items": {"maximum": 10}}}}"#;

    fn package() -> Package {
        Package { schema: SCHEMA.to_owned(), ..Package::default() }
    }

    #[test]
    fn yaml_and_json_become_the_same_bundle() {
        let folder = tempfile::tempdir().unwrap();
        let [yaml, json] = ["c.yaml", "c.json"].map(|name| folder.path().join(name));
        fs::write(&yaml, "# a comment\nname: web\nports:\n- 1\n").unwrap();
        fs::write(&json, r#"{"ports": [1], "name": "web"}"#).unwrap();
        let [yaml, json] = [yaml, json].map(|it| plain(Some(&it), Some(package())).unwrap());
        assert_eq!(yaml, json);
        let bundle = Bundle::decode(&yaml.unwrap()).unwrap().unwrap();
        assert_eq!(bundle.unpack().unwrap().configuration.matches("web").count(), 1);
    }

    #[test]
    fn a_configuration_that_does_not_fit_is_not_encrypted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("c.yaml");
        for bad in ["name: 1", "{}", "name: x\nports: [11]", "name: x\nname: y", "name: {", ""] {
            fs::write(&file, bad).unwrap();
            assert!(plain(Some(&file), Some(package())).is_err(), "{bad}");
        }
        let error = plain(None, Some(package())).unwrap_err().to_string();
        assert!(error.starts_with("no --config-file: does not fit"), "{error}");
        fs::write(&file, "anything: {").unwrap();
        assert_eq!(plain(Some(&file), None).unwrap().unwrap(), b"anything: {", "nothing is known");
        assert_eq!(plain(None, None).unwrap(), None);
        fs::write(&file, " ".repeat(LARGEST + 1)).unwrap();
        assert!(plain(Some(&file), None).is_err());
    }

    #[test]
    fn a_field_has_the_line_on_which_its_value_begins() {
        let text = "# first\nname: web\nlist:\n  - a: 1\n    b/c: |\n      x\n  - [1,\n     2]\n";
        let (_, places) = parse(text.as_bytes()).unwrap();
        let places = places.unwrap();
        for (pointer, expected) in
            [("/name", 2), ("/list/0/a", 4), ("/list/0/b~1c", 6), ("/list/1/1", 8), ("/x", 2)]
        {
            assert_eq!(line(&places, pointer), expected, "{pointer}");
        }
    }
}
