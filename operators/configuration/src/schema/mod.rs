//! A subset of JSON Schema 2020-12.
//!
//! | | |
//! |---|---|
//! | structure | `$defs`, `$ref` within the document, `allOf`, `anyOf`, `oneOf`, `not`, `if`, `then`, `else` |
//! | any value | `type`, `enum`, `const` |
//! | objects | `properties`, `patternProperties`, `additionalProperties`, `unevaluatedProperties`, `propertyNames`, `required`, `dependentRequired`, `minProperties`, `maxProperties` |
//! | lists | `items`, `prefixItems`, `contains`, `minContains`, `maxContains`, `minItems`, `maxItems`, `uniqueItems` |
//! | strings | `minLength`, `maxLength`, `pattern`, `format` (`ipv4` and `ipv6`; the others of the specification are for people) |
//! | numbers | `minimum`, `maximum`, `exclusiveMinimum`, `exclusiveMaximum`, `multipleOf` of an integer |
//! | read by people | `$schema`, `$id` and `$comment`, `title`, `description`, `default`, `examples`, `deprecated`, `readOnly`, `writeOnly` |
//!
//! Any other keyword is an error, which names it. Patterns are those of the crate `regex`: no
//! backtracking, and so neither look-around nor back-references; `\d` is a digit of any script.
//!
//! Ours rather than the crate `jsonschema` or `boon`: these ignore keywords that they do not know,
//! quote values in errors, and bound neither the size of a schema nor the work of a check.

mod check;
mod keywords;
mod node;
mod parse;
mod parser;
#[cfg(test)]
mod tests;

use crate::{lines, problem::Problem};
use node::Node;
use serde_json::Value;

/// The largest schema, in bytes.
pub const LARGEST: usize = 256 << 10;
/// Subschemas of one schema.
const NODES: usize = 10_000;
/// Patterns of one schema, the longest, and the memory that one may take when it is compiled.
const PATTERNS: usize = 128;
const PATTERN: usize = 1024;
const COMPILED: usize = 256 << 10;
/// Nesting of a configuration, and of the subschemas that are applied one within the other.
const DEPTH: usize = 64;
const NESTED: usize = 200;
/// Subschemas that are applied, and values that are compared, in one check.
const WORK: usize = 1_000_000;
/// Problems that are reported.
const PROBLEMS: usize = 20;

/// A schema that can be used.
#[derive(Clone, Debug)]
pub struct Schema {
    nodes: Vec<Node>,
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    ///
    /// If it is not JSON or too large, or with the first keyword that cannot be used.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        if text.len() > LARGEST {
            return Err(Problem::new("", format!("more than {LARGEST} bytes")));
        }
        let document: Value = serde_json::from_str(text).map_err(|error| {
            let line = u64::try_from(error.line()).ok();
            Problem::new("", "not JSON").at(line)
        })?;
        parse::parse(&document)
            .map(|nodes| Self { nodes })
            .map_err(|problem| Problem { line: lines::of(text, &problem.pointer), ..problem })
    }

    /// What is wrong with a configuration, without lines; at most twenty problems.
    pub fn check(&self, configuration: &Value) -> Vec<Problem> {
        check::check(&self.nodes, configuration)
    }
}
