//! The lines of fields in a YAML or JSON text.

use metal_text::located::Located;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use std::fmt;

/// A value whose parts know their lines.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    Leaf,
    List(Vec<Located<Self>>),
    Fields(Vec<(String, Located<Self>)>),
}

/// The line of the value at a JSON pointer, or of the nearest one around it.
pub(super) fn line(of: &Located<Tree>, pointer: &str) -> u64 {
    let mut at = of;
    for part in pointer.split('/').skip(1) {
        let name = part.replace("~1", "/").replace("~0", "~");
        let inner = match &at.value {
            Tree::Leaf => None,
            Tree::List(list) => name.parse().ok().and_then(|it: usize| list.get(it)),
            Tree::Fields(fields) => fields.iter().find(|(it, _)| *it == name).map(|(_, it)| it),
        };
        match inner {
            Some(inner) => at = inner,
            None => break,
        }
    }
    at.line
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Parts)
    }
}

struct Parts;

impl<'de> Visitor<'de> for Parts {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Leaf)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut list = vec![];
        while let Some(it) = from.next_element()? {
            list.push(it);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut fields = vec![];
        while let Some(it) = from.next_entry()? {
            fields.push(it);
        }
        Ok(Tree::Fields(fields))
    }
}
