//! JSON as BMCs send it, within a memory limit.
//!
//! A parsed document takes many times the memory of its text: more than tenfold for `[{},{},...]`,
//! and eightyfold for objects with one short field. So memory is counted during parsing. An error
//! of the firmware costs the value that it is in, not the whole resource.

mod object_end;
mod repair;

pub(crate) use object_end::ObjectEnd;

use repair::repair;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use std::{cell::Cell, fmt};

/// Memory of a non-empty object (a node of a B-tree).
const OBJECT: usize = 640;
/// Memory of a value, including the name of its field, or the spare capacity of its array.
const VALUE: usize = 64;

/// A body that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("the response is not a JSON object")]
    NoObject,
    #[error("the response is not valid JSON")]
    NoJson(#[source] serde_json::Error),
    #[error("parsing the response needs more than {0} bytes of memory")]
    TooLarge(usize),
}

/// The object in a body, if it takes no more memory than this.
pub(crate) fn object(body: &[u8], limit: usize) -> Result<Value, JsonError> {
    match value(body, limit)? {
        body @ Value::Object(_) => Ok(body),
        _ => Err(JsonError::NoObject),
    }
}

/// The value in a body, if it takes no more memory than this.
pub(crate) fn value(body: &[u8], limit: usize) -> Result<Value, JsonError> {
    let left = Cell::new(Some(limit));
    let strict = std::str::from_utf8(body).ok().map(|text| parse(text, &left));
    if let Some(Ok(value)) = strict {
        return Ok(value);
    }
    if left.replace(Some(limit)).is_none() {
        return Err(JsonError::TooLarge(limit));
    }
    let repaired = parse(&repair(body), &left);
    match (repaired, left.get()) {
        (Ok(value), _) => Ok(value),
        (Err(_), None) => Err(JsonError::TooLarge(limit)),
        // The error in the text as it was sent is the one to report.
        (Err(error), Some(_)) => {
            Err(JsonError::NoJson(strict.and_then(Result::err).unwrap_or(error)))
        }
    }
}

fn parse(text: &str, left: &Cell<Option<usize>>) -> serde_json::Result<Value> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Counted(left).deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// Deserializes a value as long as memory is left.
#[derive(Clone, Copy)]
struct Counted<'a>(&'a Cell<Option<usize>>);

impl Counted<'_> {
    fn take<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.0.get().and_then(|left| left.checked_sub(bytes));
        self.0.set(left);
        left.map(drop).ok_or_else(|| E::custom("too large"))
    }
}

impl<'de> DeserializeSeed<'de> for Counted<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counted<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.take(text.len())?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut values = vec![];
        while let Some(value) = from.next_element_seed(self)? {
            self.take(VALUE)?;
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            if fields.is_empty() {
                self.take(OBJECT)?;
            }
            self.take(VALUE + name.len())?;
            let value = from.next_value_seed(self)?;
            fields.insert(name, value);
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ENOUGH: usize = 1 << 20;

    #[test]
    fn what_firmware_gets_wrong_costs_the_value_that_it_is_in() {
        for (sent, read) in [
            (&b"\xef\xbb\xbf{\"a\": 1}"[..], json!({"a": 1})),
            (b"\xff\xfe{\0\"\0a\0\"\0:\x001\0}\0", json!({"a": 1})),
            (b"{\"a\": 1}\0\0\r\n", json!({"a": 1})),
            (b"{\"a\": \"caf\xe9\", \"b\": 2}", json!({"a": "café", "b": 2})),
            (b"{\"a\": \"x\ty\nz\x01\", \"b\": 2}", json!({"a": "x y z ", "b": 2})),
            (b"{\"a\": \"C:\\dir\\x\", \"b\": 2}", json!({"a": "C:\\dir\\x", "b": 2})),
            (b"{\"a\": \"\\ud83d\", \"b\": 2}", json!({"a": "\u{fffd}", "b": 2})),
            (b"{\"a\": \"\\ud83d\\ude00\x02\"}", json!({"a": "\u{1f600} "})),
            (b"{\"a\": \"\\u00zz\"}", json!({"a": "\\u00zz"})),
            (b"{\"a\": [1, 2, ], \"b\": 2, }", json!({"a": [1, 2], "b": 2})),
            (b"{\"a\": [1,, 2], \"b\": , \"c\":}", json!({"a": [1, 2], "b": null, "c": null})),
            (b"{\"a\": 1 \"b\": [{} {}]\n\"c\": 2}", json!({"a": 1, "b": [{}, {}], "c": 2})),
        ] {
            let shown = String::from_utf8_lossy(sent);
            assert_eq!(object(sent, ENOUGH).unwrap(), read, "{shown}");
        }
    }

    #[test]
    fn a_word_that_is_no_json_costs_its_value() {
        for word in ["NaN", "-nan", "Infinity", "-Inf", ".5", "01", "0x1F", "None", "N/A", "1e999"]
        {
            let sent = format!("{{\"a\": {word}, \"b\": [{word}], \"c\": 2}}");
            let read = json!({"a": null, "b": [null], "c": 2});
            assert_eq!(object(sent.as_bytes(), ENOUGH).unwrap(), read, "{word}");
        }
        let python = object(b"{'a': True}", ENOUGH);
        assert!(python.is_err(), "a name is not guessed");
        let words = object(b"{\"a\": True, \"b\": FALSE, \"c\": -1.5e3}", ENOUGH).unwrap();
        assert_eq!(words, json!({"a": true, "b": false, "c": -1500.0}));
    }

    #[test]
    fn what_follows_the_object_is_ignored() {
        for after in ["}", "<!-- 12 ms -->", "{\"b\": 2}", "\0\0", "\r\n0\r\n", "]"] {
            let sent = format!("{{\"a\": \"x}}\"}}{after}");
            assert_eq!(object(sent.as_bytes(), ENOUGH).unwrap(), json!({"a": "x}"}), "{after}");
        }
    }

    #[test]
    fn what_is_no_json_even_so_is_told_with_the_error_of_what_was_sent() {
        for garbage in
            [&b""[..], b"<html>", b"{\"a\": ", b"{\"a\": \"\xe9", b"{\"a\": \"\\", b"\xff"]
        {
            assert!(matches!(object(garbage, ENOUGH), Err(JsonError::NoJson(_))), "{garbage:?}");
        }
        assert!(matches!(object(b"[]", ENOUGH), Err(JsonError::NoObject)));
        let deep = "[".repeat(100_000);
        assert!(matches!(object(deep.as_bytes(), ENOUGH), Err(JsonError::NoJson(_))));
    }

    #[test]
    fn a_document_that_takes_more_memory_than_its_limit_is_not_made() {
        let many =
            |entry: &str| format!("{{\"a\": [{entry}{}]}}", format!(",{entry}").repeat(9999));
        for (entry, least) in [("{}", 32), ("0", 32), ("{\"a\":1}", 632), ("[[]]", 64)] {
            let text = many(entry);
            let at_least = 10_000 * least;
            let refused = object(text.as_bytes(), at_least);
            assert!(matches!(refused, Err(JsonError::TooLarge(_))), "{entry}");
            object(text.as_bytes(), 2 * at_least + OBJECT + 10_000 * VALUE).unwrap();
        }
        let long = format!("{{\"a\": \"{}\"}}", "x".repeat(1000));
        assert!(matches!(object(long.as_bytes(), 1000), Err(JsonError::TooLarge(1000))));
        let broken = format!("{{\"a\": \"\x01{}\"}}", "x".repeat(1000));
        assert!(matches!(object(broken.as_bytes(), 1000), Err(JsonError::TooLarge(1000))));
    }
}
