//! The types of each version, and the errors for texts that do not match them.

use super::{
    Error,
    fault::Step,
    position::{Position, known},
};
use ignition_config::{v3_0, v3_1, v3_2, v3_3, v3_4, v3_5, v3_6};
use metal_text::json::ParseError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, error::Category};
use serde_path_to_error::{Path, Segment};
use std::borrow::Cow;

/// Reads a document of one version, without fields that this version does not have.
pub(super) type Reader = fn(&str) -> Result<Value, Error>;

/// For 3.0.0, 3.1.0, and so on.
const READERS: [Reader; 7] = [
    value::<v3_0::Config>,
    value::<v3_1::Config>,
    value::<v3_2::Config>,
    value::<v3_3::Config>,
    value::<v3_4::Config>,
    value::<v3_5::Config>,
    value::<v3_6::Config>,
];

/// Fields that are lists.
const LISTS: [&str; 25] = [
    "append",
    "certificateAuthorities",
    "devices",
    "directories",
    "disks",
    "dropins",
    "files",
    "filesystems",
    "groups",
    "httpHeaders",
    "links",
    "luks",
    "merge",
    "mountOptions",
    "noProxy",
    "openOptions",
    "options",
    "partitions",
    "raid",
    "shouldExist",
    "shouldNotExist",
    "sshAuthorizedKeys",
    "tang",
    "units",
    "users",
];

/// The fields that all versions have.
#[derive(Deserialize)]
struct Document {
    ignition: Option<Header>,
}

#[derive(Deserialize)]
struct Header {
    version: Option<String>,
}

/// Minor version of a document and its reader; `None` for a version that others may know.
pub(super) fn version(text: &str) -> Result<Option<(u8, Reader)>, Error> {
    const VERSION: [Step; 2] = [Step::Field("ignition"), Step::Field("version")];
    let wrong = |what: &'static str| Error::at(Position::of_steps(text, &VERSION), what);
    let document: Document = read(text)?;
    let version = document.ignition.and_then(|header| header.version).unwrap_or_default();
    let minor = version.strip_prefix("3.").and_then(|rest| rest.strip_suffix(".0"));
    let minor = minor.and_then(|minor| (0..).zip(READERS).find(|(at, _)| at.to_string() == minor));
    if let Some(known) = minor {
        return Ok(Some(known));
    }
    if version.is_empty() {
        return Err(wrong("missing: use 3.0.0 to 3.6.0"));
    }
    if is_of_others(&version, READERS.len()) {
        Ok(None)
    } else {
        Err(wrong("must be 3.0.0 to 3.6.0"))
    }
}

/// Whether an older or newer Ignition than those known here may read a version.
fn is_of_others(version: &str, next: usize) -> bool {
    let (numbers, is_experimental) = match version.strip_suffix("-experimental") {
        Some(numbers) => (numbers, true),
        None => (version, false),
    };
    let numbers: Option<Vec<usize>> = numbers.split('.').map(|part| part.parse().ok()).collect();
    match numbers.as_deref() {
        Some([2, _, _]) => true,
        Some([3, minor, _]) => *minor >= next || is_experimental,
        Some(_) | None => false,
    }
}

/// The document, as `T` reads it.
fn value<T: DeserializeOwned + Serialize>(text: &str) -> Result<Value, Error> {
    let whole = |error: serde_json::Error| malformed_typed(text, &error, &[]);
    let typed = serde_json::to_value(read::<T>(text)?).map_err(whole)?;
    let written: Value = serde_json::from_str(text).map_err(whole)?;
    alike(text, &typed, &written, &mut vec![])?;
    Ok(typed)
}

/// Checks that values have the form in which they are written: serde also reads a struct from a
/// list.
fn alike(text: &str, typed: &Value, written: &Value, at: &mut Vec<Step>) -> Result<(), Error> {
    match (typed, written) {
        (Value::Object(typed), Value::Object(written)) => {
            for (name, typed) in typed {
                let (Some(name), Some(written)) = (known(name), written.get(name)) else {
                    continue;
                };
                at.push(Step::Field(name));
                alike(text, typed, written, at)?;
                at.pop();
            }
            Ok(())
        }
        (Value::Array(typed), Value::Array(written)) => {
            for (number, (typed, written)) in typed.iter().zip(written).enumerate() {
                at.push(Step::Item(number));
                alike(text, typed, written, at)?;
                at.pop();
            }
            Ok(())
        }
        (Value::Object(_), _) => Err(Error::at(Position::of_steps(text, at), "must be an object")),
        (_, _) => Ok(()),
    }
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let steps = steps(error.path());
        malformed_typed(text, error.inner(), &steps)
    })
}

/// The error for a text that is not JSON, or exceeds the limits.
pub(super) fn malformed(text: &str, error: &ParseError) -> Error {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // The version is unknown, but they differ in little.
    let typed = serde_path_to_error::deserialize::<_, v3_6::Config>(&mut deserializer);
    let steps = match &typed {
        Err(typed) if !matches!(typed.inner().classify(), Category::Data) => steps(typed.path()),
        Ok(_) | Err(_) => vec![],
    };
    Error::at(Position::reported(error.line(), error.column(), &steps), error.what().to_owned())
}

/// The error for a value at `steps`. From serde's message only what does not come from the text is
/// kept: what was expected, and field names.
fn malformed_typed(text: &str, error: &serde_json::Error, steps: &[Step]) -> Error {
    if let Some(at) = listed(steps) {
        return Error::at(Position::of_steps(text, &steps[..at]), "must be an object");
    }
    let said = error.to_string();
    let quoted = said.split('`').nth(1).and_then(known);
    let field = |name| steps.iter().copied().chain([Step::Field(name)]).collect::<Vec<_>>();
    match (quoted, said.rsplit_once(", expected ")) {
        (Some(name), _) if said.starts_with("missing field") => {
            Error::at(Position::of_steps(text, &field(name)), "missing")
        }
        (Some(name), _) if said.starts_with("duplicate field") => {
            let steps =
                if steps.last() == Some(&Step::Field(name)) { steps.to_vec() } else { field(name) };
            Error::at(Position::reported(error.line(), error.column(), &steps), "is duplicated")
        }
        (_, Some((_, expected))) => {
            Error::at(Position::of_steps(text, steps), format!("must be {}", form(expected)))
        }
        (_, None) => Error::at(Position::of_steps(text, steps), "has the wrong type"),
    }
}

/// The index of a list entry in something that is not a list: serde also reads a struct from a
/// list.
fn listed(steps: &[Step]) -> Option<usize> {
    let is_list = |step: &Step| matches!(step, Step::Field(name) if LISTS.contains(name));
    let mut all = steps.iter().enumerate();
    let found = all.find(|(at, step)| {
        let before = at.checked_sub(1).and_then(|at| steps.get(at));
        matches!(step, Step::Item(_)) && !before.is_some_and(is_list)
    });
    found.map(|(at, _)| at)
}

/// The JSON name of a Rust type.
fn form(expected: &str) -> Cow<'static, str> {
    let expected = expected.split(" at line ").next().unwrap_or_default();
    match expected {
        "a string" => "text".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        "i64" => "a whole number".into(),
        _ if expected.starts_with("struct ") => "an object".into(),
        _ => "of a different type".into(),
    }
}

/// The leading part of a path that consists of Ignition's names.
fn steps(path: &Path) -> Vec<Step> {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Step::Item(*index)),
        Segment::Map { key } => known(key).map(Step::Field),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().map_while(step).collect()
}
