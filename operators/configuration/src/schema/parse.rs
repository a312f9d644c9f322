//! From a document to subschemas: each is known by its place, to which `$ref` points.

use super::{
    COMPILED, NODES, PATTERN, PATTERNS,
    keywords::apply,
    node::{Id, Node, Rules},
};
use crate::{lines::escaped, problem::Problem};
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// Reads all subschemas, the document as the first of them.
pub(super) fn parse(document: &Value) -> Result<Vec<Node>, Problem> {
    let mut parser = Parser { known: HashMap::new(), open: vec![], patterns: 0 };
    parser.id("")?;
    let mut nodes = vec![];
    // Subschemas are numbered in the order in which they are found.
    while let Some(place) = parser.open.get(nodes.len()).cloned() {
        let value = document.pointer(&place);
        let value = value.ok_or_else(|| Problem::new(&place, "$ref points to nothing"))?;
        nodes.push(parser.node(&place, value)?);
    }
    Ok(nodes)
}

/// What was found so far.
pub(super) struct Parser {
    known: HashMap<String, Id>,
    open: Vec<String>,
    patterns: usize,
}

impl Parser {
    /// The number of the subschema at this place.
    pub(super) fn id(&mut self, place: &str) -> Result<Id, Problem> {
        if let Some(id) = self.known.get(place) {
            return Ok(*id);
        }
        let id = self.open.len();
        if id == NODES {
            return Err(Problem::new(place, format!("more than {NODES} subschemas")));
        }
        self.known.insert(place.to_owned(), id);
        self.open.push(place.to_owned());
        Ok(id)
    }

    fn node(&mut self, place: &str, value: &Value) -> Result<Node, Problem> {
        match value {
            Value::Bool(always) => Ok(Node::Always(*always)),
            Value::Object(fields) => {
                let mut rules = Rules::default();
                for (name, value) in fields {
                    let at = format!("{place}/{}", escaped(name));
                    let field = Field { name, value, place: at, is_root: place.is_empty() };
                    apply(self, &mut rules, &field)?;
                }
                Ok(Node::Rules(Box::new(rules)))
            }
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(Problem::new(place, "a schema is an object, true or false"))
            }
        }
    }

    pub(super) fn regex(&mut self, place: &str, text: &str) -> Result<Regex, Problem> {
        self.patterns += 1;
        if self.patterns > PATTERNS {
            return Err(Problem::new(place, format!("more than {PATTERNS} patterns")));
        }
        if text.len() > PATTERN {
            return Err(Problem::new(place, format!("a pattern of more than {PATTERN} bytes")));
        }
        let built = RegexBuilder::new(text).size_limit(COMPILED).dfa_size_limit(COMPILED).build();
        built.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => Problem::new(place, "the pattern is too costly"),
            _ => {
                Problem::new(place, "not a pattern: look-around and back-references are not known")
            }
        })
    }
}

/// A keyword and its value.
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a Value,
    pub(super) place: String,
    /// Whether it is one of the document.
    pub(super) is_root: bool,
}

impl Field<'_> {
    pub(super) fn problem(&self, what: impl Into<String>) -> Problem {
        Problem::new(&self.place, what)
    }

    pub(super) fn text(&self) -> Result<&str, Problem> {
        self.value.as_str().ok_or_else(|| self.problem("must be a string"))
    }

    pub(super) fn count(&self) -> Result<Option<u64>, Problem> {
        let count = self.value.as_u64();
        count.map(Some).ok_or_else(|| self.problem("must be an integer that is not negative"))
    }

    pub(super) fn list(&self) -> Result<&Vec<Value>, Problem> {
        self.value.as_array().ok_or_else(|| self.problem("must be a list"))
    }

    pub(super) fn object(&self) -> Result<&Map<String, Value>, Problem> {
        self.value.as_object().ok_or_else(|| self.problem("must be an object"))
    }

    /// The subschemas of a list.
    pub(super) fn schemas(&self, parser: &mut Parser) -> Result<Vec<Id>, Problem> {
        let count = self.list()?.len();
        if count == 0 {
            return Err(self.problem("must not be empty"));
        }
        (0..count).map(|at| parser.id(&format!("{}/{at}", self.place))).collect()
    }

    /// The subschemas of an object, by name.
    pub(super) fn named(&self, parser: &mut Parser) -> Result<Vec<(String, Id)>, Problem> {
        let names = self.object()?.keys();
        let inner = |name: &String| {
            let place = format!("{}/{}", self.place, escaped(name));
            Ok((name.clone(), parser.id(&place)?))
        };
        names.map(inner).collect()
    }
}
