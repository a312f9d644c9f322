//! What keywords are read with: subschemas are numbered, and patterns are counted.

use super::{COMPILED, NODES, PATTERN, PATTERNS, node::Id};
use crate::{lines::escaped, problem::Problem};
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// What was found so far.
pub(super) struct Parser {
    known: HashMap<String, Id>,
    open: Vec<String>,
    patterns: usize,
}

impl Parser {
    pub(super) fn new() -> Self {
        Self { known: HashMap::new(), open: vec![], patterns: 0 }
    }

    /// The place of the subschema of this number.
    pub(super) fn place(&self, id: Id) -> Option<String> {
        self.open.get(id).cloned()
    }

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

    /// A list of names.
    pub(super) fn names(&self, value: &Value) -> Result<Vec<String>, Problem> {
        let names = value.as_array().into_iter().flatten().map(Value::as_str);
        let names = names.map(|name| name.map(str::to_owned)).collect::<Option<Vec<_>>>();
        let names = names.filter(|_| value.is_array());
        names.ok_or_else(|| self.problem("must be a list of strings"))
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
