//! Reads one object from the API server within a memory limit, before any of it is kept.
//!
//! Whoever writes an object decides how large it is, and every client that watches its kind has to
//! hold all of them. What is not used here (managed fields, long annotations) is skipped and does
//! not count. Once the limit is reached, the rest is skipped as well, except for the few fields
//! that identify the object.

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::{
    cell::{Cell, RefCell},
    fmt,
};

/// Memory of a value in addition to its text, in bytes.
pub(crate) const NODE: usize = 48;
/// Longest annotation that is kept. Ours are short; some tools store whole objects in theirs.
const ANNOTATION: usize = 4096;
/// Longest path in an error message.
const PATH: usize = 200;
/// The copy of the object that `kubectl apply` stores in it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Fields that identify an object, whose size the API server limits.
const IDENTITY: [&str; 7] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
];

/// The remaining memory for one object.
#[derive(Debug)]
pub(crate) struct Budget {
    left: Cell<Option<usize>>,
    spent_at: RefCell<String>,
}

impl Budget {
    /// A budget of this many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self { left: Cell::new(Some(bytes)), spent_at: RefCell::default() }
    }

    /// Reads an object; afterwards, `self` knows whether it is complete.
    ///
    /// # Errors
    ///
    /// If it is not JSON.
    pub(crate) fn read<'de, D: Deserializer<'de>>(&self, from: D) -> Result<Value, D::Error> {
        Metered { budget: self, part: Part::Root }.deserialize(from)
    }

    /// The field at which the limit was reached, if it was.
    pub(crate) fn overrun(&self) -> Option<String> {
        self.is_spent().then(|| self.spent_at.borrow().clone())
    }

    fn is_spent(&self) -> bool {
        self.left.get().is_none()
    }

    /// Spends some of the budget; returns whether it was enough.
    fn affords(&self, cost: usize) -> bool {
        self.left.set(self.left.get().and_then(|left| left.checked_sub(cost)));
        !self.is_spent()
    }

    /// Records, from the inside out, where the limit was reached.
    fn passed(&self, step: &str) {
        let inner = self.spent_at.borrow();
        let dot = if inner.is_empty() || inner.starts_with('[') { "" } else { "." };
        let mut path = format!("{step}{dot}{inner}");
        drop(inner);
        path.truncate(path.floor_char_boundary(PATH));
        self.spent_at.replace(path);
    }
}

/// Where in an object a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Root,
    Metadata,
    Identity,
    Annotations,
    Annotation,
    Other,
}

impl Part {
    /// The part that a field belongs to, or `None` if it is not used.
    fn of(self, field: &str) -> Option<Self> {
        match (self, field) {
            (Self::Root, "metadata") => Some(Self::Metadata),
            (Self::Metadata, "managedFields") | (Self::Annotations, LAST_APPLIED) => None,
            (Self::Metadata, "annotations") => Some(Self::Annotations),
            (Self::Metadata, field) if IDENTITY.contains(&field) => Some(Self::Identity),
            (Self::Annotations, _) => Some(Self::Annotation),
            _ => Some(Self::Other),
        }
    }

    /// Whether it is read even if nothing is left.
    fn is_essential(self) -> bool {
        matches!(self, Self::Metadata | Self::Identity)
    }
}

#[derive(Clone, Copy)]
struct Metered<'a> {
    budget: &'a Budget,
    part: Part,
}

impl<'de> DeserializeSeed<'de> for Metered<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Metered<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        self.deserialize(from)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        let is_kept = match self.part {
            Part::Identity => true,
            Part::Annotation if text.len() > ANNOTATION => false,
            _ => self.budget.affords(text.len()),
        };
        Ok(if is_kept { text.into() } else { Value::Null })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while self.budget.affords(NODE) {
            let item = Self { part: Part::Other, ..self };
            match from.next_element_seed(item)? {
                Some(value) => list.push(value),
                None => return Ok(list.into()),
            }
        }
        self.budget.passed("[]");
        while from.next_element::<IgnoredAny>()?.is_some() {}
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(field) = from.next_key::<String>()? {
            let Some(part) = self.part.of(&field) else {
                from.next_value::<IgnoredAny>()?;
                continue;
            };
            let was_spent = self.budget.is_spent();
            if !part.is_essential() && !self.budget.affords(field.len() + NODE) {
                from.next_value::<IgnoredAny>()?;
            } else {
                let value = from.next_value_seed(Self { part, ..self })?;
                if part != Part::Annotation || !value.is_null() {
                    map.insert(field.clone(), value);
                }
            }
            if !was_spent && self.budget.is_spent() {
                self.budget.passed(&field);
            }
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(document: &Value, bytes: usize) -> (Value, Option<String>) {
        let text = document.to_string();
        let budget = Budget::new(bytes);
        let value = budget.read(&mut serde_json::Deserializer::from_str(&text)).unwrap();
        (value, budget.overrun())
    }

    #[test]
    fn an_object_within_its_budget_is_read_whole() {
        let document = json!({
            "a": [1, -2, 2.5, null, true, "x\n"], "metadata": {"name": "a", "labels": {"b": "c"}},
        });
        assert_eq!(read(&document, 10_000), (document, None));
    }

    #[test]
    fn an_object_beyond_its_budget_names_the_field_and_still_says_which_object_it_is() {
        let values = vec!["x"; 42_000];
        let expressions = json!([{ "key": "rack", "operator": "In", "values": values }]);
        let selector = json!({ "matchExpressions": expressions });
        let document = json!({
            "metadata": {"annotations": {"a": "b"}, "name": "c", "namespace": "n"},
            "spec": {"serverSelector": selector, "image": "i"},
        });
        let (value, overrun) = read(&document, 100_000);
        assert_eq!(overrun.as_deref(), Some("spec.serverSelector.matchExpressions[].values[]"));
        assert_eq!(value["metadata"]["name"], "c");
        assert!(value.to_string().len() < 100_000);

        let labels: Map<_, _> = (0..10_000).map(|n| (format!("l{n}"), json!("v"))).collect();
        let document = json!({
            "metadata": {"labels": labels, "name": "c", "uid": "u"}, "spec": {"image": "i"},
        });
        let (value, overrun) = read(&document, 100_000);
        assert!(overrun.unwrap().starts_with("metadata.labels.l"));
        let metadata = (&value["metadata"]["name"], &value["metadata"]["uid"]);
        assert_eq!(metadata, (&json!("c"), &json!("u")));

        let document = json!({"metadata": {"name": "c"}, "spec": {"image": "i".repeat(900_000)}});
        assert_eq!(read(&document, 100_000).1.as_deref(), Some("spec.image"));
    }

    #[test]
    fn what_nobody_reads_costs_nothing() {
        let long = "x".repeat(100_000);
        let annotations = json!({ LAST_APPLIED: "{}", "tool": long, "ours": "yes" });
        let fields = json!([{ "manager": long }]);
        let metadata = json!({ "annotations": annotations, "managedFields": fields, "name": "a" });
        let kept = json!({ "metadata": { "annotations": { "ours": "yes" }, "name": "a" } });
        assert_eq!(read(&json!({ "metadata": metadata }), 1_000), (kept, None));
    }
}
