//! From a document to subschemas: each is known by its place, to which `$ref` points.

use super::{
    keywords::apply,
    node::{Node, Rules},
    parser::{Field, Parser},
};
use crate::{lines::escaped, problem::Problem};
use serde_json::Value;

/// Reads all subschemas, the document as the first of them.
pub(super) fn parse(document: &Value) -> Result<Vec<Node>, Problem> {
    let mut parser = Parser::new();
    parser.id("")?;
    let mut nodes = vec![];
    // Subschemas are numbered in the order in which they are found.
    while let Some(place) = parser.place(nodes.len()) {
        let value = document.pointer(&place);
        let value = value.ok_or_else(|| Problem::new(&place, "$ref points to nothing"))?;
        nodes.push(node(&mut parser, &place, value)?);
    }
    Ok(nodes)
}

fn node(parser: &mut Parser, place: &str, value: &Value) -> Result<Node, Problem> {
    match value {
        Value::Bool(always) => Ok(Node::Always(*always)),
        Value::Object(fields) => {
            let mut rules = Rules::default();
            for (name, value) in fields {
                let at = format!("{place}/{}", escaped(name));
                let field = Field { name, value, place: at, is_root: place.is_empty() };
                apply(parser, &mut rules, &field)?;
            }
            Ok(Node::Rules(Box::new(rules)))
        }
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Problem::new(place, "a schema is an object, true or false"))
        }
    }
}
