//! Go's text/template, within limits of size and time.
//!
//! gtmpl-ng renders templates as Go does, at least for all of `vectors.json`, which Go itself has
//! written (`hack/templates`). Differences are known: `else with` of Go 1.23, the character `'\\'`, and a text with a
//! backtick that ends with a backslash are not supported.

use crate::literals;
use gtmpl_ng::{Context, Func, FuncError, Limits, Template, Value};
use metal_base::cut;
use std::{collections::HashMap, sync::LazyLock, time::Duration};

/// The largest template, in bytes.
pub const LARGEST: u64 = 256 << 10;

/// The largest output, in bytes.
pub const OUTPUT: usize = 1 << 20;
/// The most iterations of all loops together.
const TURNS: usize = 100_000;
/// The time limit.
const DEADLINE: Duration = Duration::from_secs(2);
/// The longest error, in bytes; errors may contain values.
const ERROR: usize = 512;

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is not valid UTF-8.
    #[error("{0} is not UTF-8")]
    Text(String),
    /// It is not a template, or cannot be rendered; includes the line number.
    #[error("{0}")]
    Template(String),
}

/// Renders the template `name` with these variables. The time and the output are limited.
///
/// # Errors
///
/// If it is not a template, or refers to something that does not exist.
pub fn render(name: &str, template: &[u8], variables: Value) -> Result<String, TemplateError> {
    let template =
        std::str::from_utf8(template).map_err(|_| TemplateError::Text(name.to_owned()))?;
    let unusable = |error: &dyn std::error::Error| {
        let line = error.to_string().replace(char::is_control, " ");
        let line = if line.contains(name) { line } else { format!("{name}: {line}") };
        TemplateError::Template(cut(&line, ERROR).into_owned())
    };
    let limits = Limits::default().with_output_bytes(OUTPUT).with_total_iterations(TURNS);
    let mut parsed = Template::with_limits(limits.with_deadline(DEADLINE));
    name.clone_into(&mut parsed.name);
    for (name, function) in OURS {
        parsed.add_func(name, function);
    }
    parsed.parse(literals::rewritten(template)).map_err(|error| unusable(&error))?;
    parsed.render(&Context::from(variables)).map_err(|error| unusable(&error))
}

/// Functions that take what Go's refuse, or answer otherwise: these stand before them.
const OURS: [(&str, Func); 7] = [
    ("index", index),
    ("eq", |arguments| equality("eq", arguments)),
    ("ne", |arguments| equality("ne", arguments)),
    ("lt", |arguments| order("lt", arguments)),
    ("le", |arguments| order("le", arguments)),
    ("gt", |arguments| order("gt", arguments)),
    ("ge", |arguments| order("ge", arguments)),
];
static BUILTINS: LazyLock<HashMap<String, Func>> = LazyLock::new(|| Template::default().funcs);

fn builtin(name: &str, arguments: &[Value]) -> Result<Value, FuncError> {
    let builtin = BUILTINS.get(name);
    builtin.ok_or_else(|| FuncError::Generic(format!("there is no {name}")))?(arguments)
}

/// Most of our maps have string values, and for these Go returns the empty string if a key is missing;
/// for those of a configuration it would return nil, which is as false. A map has keys that are strings.
fn index(arguments: &[Value]) -> Result<Value, FuncError> {
    if let [Value::Map(_), key, ..] = arguments
        && !matches!(key, Value::String(_))
    {
        return Err(FuncError::Generic("index: the key of a map is a string".to_owned()));
    }
    let found = builtin("index", arguments)?;
    Ok(if found == Value::NoValue { text("") } else { found })
}

/// What Go compares with its like alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Integer,
    Float,
    Text,
    /// Nothing, or a struct, to which pointers lead.
    Other,
    /// A list or a map, which is compared with nothing.
    Many,
}

fn kind(value: &Value) -> Kind {
    match value {
        Value::Bool(_) => Kind::Bool,
        Value::String(_) => Kind::Text,
        Value::Number(number) if number.as_i64().is_some() || number.as_u64().is_some() => {
            Kind::Integer
        }
        Value::Number(_) => Kind::Float,
        Value::Map(_) | Value::Array(_) | Value::Function(_) => Kind::Many,
        Value::NoValue | Value::Nil | Value::Object(_) => Kind::Other,
    }
}

/// Compares as Go does, which takes only what is alike.
fn equality(name: &str, arguments: &[Value]) -> Result<Value, FuncError> {
    let is_nothing = |value: &Value| matches!(value, Value::NoValue | Value::Nil);
    if let [first, others @ ..] = arguments
        && others.iter().any(|other| {
            let is_known = !is_nothing(first) && !is_nothing(other);
            is_known && (kind(first) != kind(other) || kind(first) == Kind::Many)
        })
    {
        return Err(incompatible(name));
    }
    builtin(name, arguments)
}

/// The same for what has an order.
fn order(name: &str, arguments: &[Value]) -> Result<Value, FuncError> {
    let has_order = |kind| matches!(kind, Kind::Integer | Kind::Float | Kind::Text);
    if let [first, second] = arguments
        && (kind(first) != kind(second) || !has_order(kind(first)))
    {
        return Err(incompatible(name));
    }
    builtin(name, arguments)
}

fn incompatible(name: &str) -> FuncError {
    FuncError::Generic(format!("{name}: incompatible types for comparison"))
}

/// A struct: a missing field is an error.
pub fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).into())
}

/// A string.
pub fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// A JSON document as templates see it: a field that is missing has no value.
pub fn value(document: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match document {
        Json::Null => Value::Nil,
        Json::Bool(is) => Value::Bool(*is),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(list) => Value::Array(list.iter().map(value).collect()),
        Json::Object(fields) => {
            Value::Map(fields.iter().map(|(name, it)| (name.clone(), value(it))).collect())
        }
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Value::from(number),
            (_, Some(number), _) => Value::from(number),
            (_, _, Some(number)) => Value::from(number),
            (None, None, None) => Value::NoValue,
        },
    }
}
