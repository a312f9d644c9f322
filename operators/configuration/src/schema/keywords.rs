//! The keywords, one by one.

use super::{
    node::{Format, Id, Rules, Type},
    parser::{Field, Parser},
};
use crate::problem::Problem;
use serde_json::{Number, Value};

type Done = Result<(), Problem>;

/// Formats that are for people and are not checked (JSON Schema 2020-12 validation, section 7.3).
const ANNOTATIONS: [&str; 17] = [
    "date-time",
    "date",
    "time",
    "duration",
    "email",
    "idn-email",
    "hostname",
    "idn-hostname",
    "uri",
    "uri-reference",
    "iri",
    "iri-reference",
    "uuid",
    "uri-template",
    "json-pointer",
    "relative-json-pointer",
    "regex",
];

/// Notes what a keyword says.
pub(super) fn apply(parser: &mut Parser, rules: &mut Rules, field: &Field<'_>) -> Done {
    let applied = combining(parser, rules, field)?
        || any_value(rules, field)?
        || object(parser, rules, field)?
        || list(parser, rules, field)?
        || text(parser, rules, field)?
        || number(rules, field)?
        || is_for_people(field)?;
    if applied { Ok(()) } else { Err(field.problem("this keyword is not known")) }
}

fn combining(parser: &mut Parser, rules: &mut Rules, field: &Field<'_>) -> Result<bool, Problem> {
    let combined = &mut rules.combined;
    match field.name {
        "$defs" => {
            field.named(parser)?;
        }
        "$ref" => rules.reference = Some(reference(parser, field)?),
        "allOf" => combined.all = field.schemas(parser)?,
        "anyOf" => combined.any = Some(field.schemas(parser)?),
        "oneOf" => combined.one = Some(field.schemas(parser)?),
        "not" => combined.not = Some(parser.id(&field.place)?),
        "if" => combined.condition = Some(parser.id(&field.place)?),
        "then" => combined.then = Some(parser.id(&field.place)?),
        "else" => combined.otherwise = Some(parser.id(&field.place)?),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Only places within the document: nothing is fetched.
fn reference(parser: &mut Parser, field: &Field<'_>) -> Result<Id, Problem> {
    let place = field.text()?.strip_prefix('#');
    let place = place.filter(|place| place.is_empty() || place.starts_with('/'));
    let place = place.filter(|place| !place.contains('%'));
    let place =
        place.ok_or_else(|| field.problem("must point into this document, as #/$defs/…"))?;
    parser.id(place)
}

fn any_value(rules: &mut Rules, field: &Field<'_>) -> Result<bool, Problem> {
    match field.name {
        "type" => {
            let one = std::slice::from_ref(field.value);
            let names = field.value.as_array().map_or(one, Vec::as_slice);
            let types = names.iter().map(|name| name.as_str().and_then(Type::named));
            let types = types.collect::<Option<Vec<_>>>().filter(|types| !types.is_empty());
            rules.types =
                types.ok_or_else(|| field.problem("must be a type, or a list of them"))?;
        }
        "enum" => rules.allowed = Some(field.list()?.clone()),
        "const" => rules.constant = Some(field.value.clone()),
        _ => return Ok(false),
    }
    Ok(true)
}

fn object(parser: &mut Parser, rules: &mut Rules, field: &Field<'_>) -> Result<bool, Problem> {
    let object = &mut rules.object;
    match field.name {
        "properties" => object.properties = field.named(parser)?,
        "patternProperties" => {
            for (pattern, id) in field.named(parser)? {
                object.patterns.push((parser.regex(&field.place, &pattern)?, id));
            }
        }
        "additionalProperties" => object.additional = Some(parser.id(&field.place)?),
        "unevaluatedProperties" => object.unevaluated = Some(parser.id(&field.place)?),
        "propertyNames" => object.names = Some(parser.id(&field.place)?),
        "required" => object.required = field.names(field.value)?,
        "dependentRequired" => {
            let all = field.object()?.iter();
            let all = all.map(|(name, names)| Ok((name.clone(), field.names(names)?)));
            object.dependent = all.collect::<Result<_, Problem>>()?;
        }
        "minProperties" => object.count.least = field.count()?,
        "maxProperties" => object.count.most = field.count()?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn list(parser: &mut Parser, rules: &mut Rules, field: &Field<'_>) -> Result<bool, Problem> {
    let list = &mut rules.list;
    match field.name {
        "items" => list.items = Some(parser.id(&field.place)?),
        "contains" => list.contains = Some(parser.id(&field.place)?),
        "minContains" => list.contained.least = field.count()?,
        "maxContains" => list.contained.most = field.count()?,
        "prefixItems" => list.first = field.schemas(parser)?,
        "minItems" => list.count.least = field.count()?,
        "maxItems" => list.count.most = field.count()?,
        "uniqueItems" => {
            let is_unique = field.value.as_bool();
            list.is_unique = is_unique.ok_or_else(|| field.problem("must be true or false"))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn text(parser: &mut Parser, rules: &mut Rules, field: &Field<'_>) -> Result<bool, Problem> {
    let text = &mut rules.text;
    match field.name {
        "minLength" => text.length.least = field.count()?,
        "maxLength" => text.length.most = field.count()?,
        "pattern" => text.pattern = Some(parser.regex(&field.place, field.text()?)?),
        "format" => {
            text.format = match field.text()? {
                "ipv4" => Some(Format::Ipv4),
                "ipv6" => Some(Format::Ipv6),
                other if ANNOTATIONS.contains(&other) => None,
                _ => return Err(field.problem("this format is not known: use pattern")),
            };
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn number(rules: &mut Rules, field: &Field<'_>) -> Result<bool, Problem> {
    let bounds = &mut rules.number;
    let limit = || match field.value {
        Value::Number(limit) => Ok(Some(Number::clone(limit))),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            Err(field.problem("must be a number"))
        }
    };
    match field.name {
        "minimum" => bounds.minimum = limit()?,
        "maximum" => bounds.maximum = limit()?,
        "exclusiveMinimum" => bounds.above = limit()?,
        "exclusiveMaximum" => bounds.below = limit()?,
        "multipleOf" => {
            let multiple = field.value.as_u64().filter(|it| *it > 0);
            let multiple = multiple.ok_or_else(|| field.problem("must be an integer above 0"))?;
            bounds.multiple = Some(multiple);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Whether a keyword says nothing about configurations.
fn is_for_people(field: &Field<'_>) -> Result<bool, Problem> {
    let is_draft = || field.value.as_str().is_some_and(|it| it.contains("draft/2020-12/schema"));
    match field.name {
        // Another base for $ref.
        "$schema" | "$id" if !field.is_root => Err(field.problem("only the document has one")),
        "$schema" if !is_draft() => {
            Err(field.problem("must be https://json-schema.org/draft/2020-12/schema"))
        }
        "$schema" | "$id" | "$comment" | "title" | "description" | "default" | "examples"
        | "deprecated" | "readOnly" | "writeOnly" => Ok(true),
        _ => Ok(false),
    }
}
