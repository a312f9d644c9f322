//! A subschema, ready to be applied.

use regex::Regex;
use serde_json::{Number, Value};

/// Number of a subschema.
pub(super) type Id = usize;

/// A subschema.
#[derive(Clone, Debug)]
pub(super) enum Node {
    /// `true` or `false`.
    Always(bool),
    Rules(Box<Rules>),
}

/// Its keywords.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    /// Empty for any.
    pub(super) types: Vec<Type>,
    pub(super) allowed: Option<Vec<Value>>,
    pub(super) constant: Option<Value>,
    pub(super) reference: Option<Id>,
    pub(super) combined: Combined,
    pub(super) object: Object,
    pub(super) list: List,
    pub(super) text: Text,
    pub(super) number: Bounds,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Combined {
    pub(super) all: Vec<Id>,
    pub(super) any: Option<Vec<Id>>,
    pub(super) one: Option<Vec<Id>>,
    pub(super) not: Option<Id>,
    pub(super) condition: Option<Id>,
    pub(super) then: Option<Id>,
    pub(super) otherwise: Option<Id>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Object {
    pub(super) properties: Vec<(String, Id)>,
    pub(super) patterns: Vec<(Regex, Id)>,
    pub(super) additional: Option<Id>,
    pub(super) names: Option<Id>,
    /// What those fields have to fit that nothing else was applied to.
    pub(super) unevaluated: Option<Id>,
    pub(super) required: Vec<String>,
    /// Fields that have to be there if another one is.
    pub(super) dependent: Vec<(String, Vec<String>)>,
    pub(super) count: Count,
}

#[derive(Clone, Debug, Default)]
pub(super) struct List {
    pub(super) first: Vec<Id>,
    pub(super) items: Option<Id>,
    pub(super) contains: Option<Id>,
    /// How many entries have to fit that; one at least, unless it says otherwise.
    pub(super) contained: Count,
    pub(super) count: Count,
    pub(super) is_unique: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    pub(super) length: Count,
    pub(super) pattern: Option<Regex>,
    pub(super) format: Option<Format>,
}

/// A least and a greatest count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub(super) least: Option<u64>,
    pub(super) most: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Bounds {
    pub(super) minimum: Option<Number>,
    pub(super) maximum: Option<Number>,
    pub(super) above: Option<Number>,
    pub(super) below: Option<Number>,
    pub(super) multiple: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Ipv4,
    Ipv6,
}

/// A type of a value (JSON Schema 2020-12 core, section 4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Null,
    Boolean,
    Object,
    Array,
    Number,
    Integer,
    String,
}

impl Type {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "null" => Self::Null,
            "boolean" => Self::Boolean,
            "object" => Self::Object,
            "array" => Self::Array,
            "number" => Self::Number,
            "integer" => Self::Integer,
            "string" => Self::String,
            _ => return None,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Object => "an object",
            Self::Array => "a list",
            Self::Number => "a number",
            Self::Integer => "an integer",
            Self::String => "a string",
        }
    }

    pub(super) fn has(self, value: &Value) -> bool {
        match value {
            Value::Null => self == Self::Null,
            Value::Bool(_) => self == Self::Boolean,
            Value::Object(_) => self == Self::Object,
            Value::Array(_) => self == Self::Array,
            Value::String(_) => self == Self::String,
            Value::Number(number) => {
                self == Self::Number || (self == Self::Integer && is_integer(number))
            }
        }
    }
}

/// `1.0` is one as well.
fn is_integer(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|it| it.fract() == 0.0)
}
