//! Untrusted JSON: counted before anything is built from it.
//!
//! A value of two bytes, such as `{}`, takes hundreds once it is typed. So a text is first parsed
//! without keeping anything, and refused if it has more values, longer lists or deeper nesting than
//! its content can need.

use metal_base::cut;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use std::{cell::Cell, fmt};

/// Limits of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Values in total: strings, numbers, objects and lists, at any depth.
    pub values: usize,
    /// Entries of one object or one list.
    pub entries: usize,
    /// Nesting depth of objects and lists.
    pub depth: usize,
}

/// Longest error message in bytes; it may contain untrusted text.
const MESSAGE: usize = 240;

/// Why a text is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at line {line}, column {column}")]
pub struct ParseError {
    /// On one line, of limited length.
    what: String,
    line: usize,
    column: usize,
}

impl ParseError {
    /// What is wrong.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column, from 1.
    pub fn column(&self) -> usize {
        self.column
    }
}

impl From<serde_json::Error> for ParseError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let text = error.to_string();
        let what = text.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&text);
        let what = what.replace(|c: char| c.is_control(), " ");
        Self { what: cut(&what, MESSAGE).into_owned(), line, column }
    }
}

/// Parses a text that respects `bounds`.
///
/// # Errors
///
/// If it exceeds them, with the place; or if it is not JSON of the right form.
pub fn parse<T: DeserializeOwned>(text: &[u8], bounds: Bounds) -> Result<T, ParseError> {
    check(text, bounds)?;
    parse_checked(text)
}

/// Parses a text that [`check`] has accepted.
///
/// # Errors
///
/// If it is not JSON of the right form.
pub fn parse_checked<T: DeserializeOwned>(text: &[u8]) -> Result<T, ParseError> {
    Ok(serde_json::from_slice(text)?)
}

/// What a text contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Values in total, as in [`Bounds::values`], and keys of objects.
    pub values: usize,
    /// Of those, objects.
    pub objects: usize,
}

/// Checks that a text respects `bounds`, and returns its size. The only memory that this takes is
/// for the longest string with escapes.
///
/// # Errors
///
/// If it exceeds them, with the place; or if it is not JSON.
pub fn check(text: &[u8], bounds: Bounds) -> Result<Size, ParseError> {
    let size = Cell::default();
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    Count { bounds, size: &size, depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(size.get())
}

/// Counts one value and its contents.
#[derive(Clone, Copy)]
struct Count<'a> {
    bounds: Bounds,
    size: &'a Cell<Size>,
    depth: usize,
}

impl Count<'_> {
    /// The counter for the values in this one.
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth >= self.bounds.depth {
            return Err(E::custom(format_args!(
                "nested more than {} levels deep",
                self.bounds.depth
            )));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    /// Counts another entry of an object or a list.
    fn entry<E: serde::de::Error>(self, entries: &mut usize) -> Result<(), E> {
        *entries += 1;
        if *entries > self.bounds.entries {
            return Err(E::custom(format_args!(
                "a list or object has more than {} entries",
                self.bounds.entries
            )));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Count<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let (size, most) = (self.size.get(), self.bounds.values);
        if size.values >= most {
            return Err(D::Error::custom(format_args!("more than {most} values")));
        }
        self.size.set(Size { values: size.values + 1, ..size });
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Count<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let (inner, mut entries) = (self.inner()?, 0);
        while list.next_element_seed(inner)?.is_some() {
            self.entry(&mut entries)?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let (inner, mut entries) = (self.inner()?, 0);
        let size = self.size.get();
        self.size.set(Size { objects: size.objects + 1, ..size });
        // A key counts as well, since it may be kept.
        while object.next_key_seed(inner)?.is_some() {
            self.entry(&mut entries)?;
            object.next_value_seed(inner)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const BOUNDS: Bounds = Bounds { values: 20, entries: 5, depth: 3 };

    #[test]
    fn what_keeps_to_the_bounds_is_read_as_it_is() {
        for text in [
            "{}",
            r#"{"a":[1,-2,3.5,null,true],"b":{"c":["x","\u00fc"]}}"#,
            "[[[]]]",
            "[1,2,3,4,5]",
            "18446744073709551615",
        ] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(parse::<Value>(text.as_bytes(), BOUNDS).unwrap(), value, "{text}");
        }
    }

    #[test]
    fn values_entries_and_nesting_are_bounded_wherever_they_are() {
        for (text, why) in [
            ("[1,2,3,4,5,6]", "more than 5 entries"),
            (r#"{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1}"#, "more than 5 entries"),
            ("[[[[]]]]", "nested more than 3"),
            (r#"{"a":{"a":{"a":{}}}}"#, "nested more than 3"),
            ("[[1,2,3,4,5],[1,2,3,4,5],[1,2,3,4,5],[1,2,3,4,5]]", "more than 20 values"),
            (r#"{"unknown":[{},{},{},{},{},{}]}"#, "more than 5 entries"),
        ] {
            let error = parse::<Value>(text.as_bytes(), BOUNDS).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn the_size_of_a_text_is_counted_with_its_keys() {
        let size = |text: &str| check(text.as_bytes(), BOUNDS).unwrap();
        assert_eq!(size("[1,[],\"x\"]"), Size { values: 4, objects: 0 });
        assert_eq!(size(r#"{"a":[{},{"b":1}]}"#), Size { values: 7, objects: 3 });
    }

    #[test]
    fn an_error_is_short_whatever_the_text_is() {
        for value in ["x".repeat(1 << 20), "\\n\\u001b".repeat(1 << 18), "é".repeat(1 << 19)] {
            let error =
                parse::<Vec<u8>>(format!("[\n\"{value}\"]").as_bytes(), BOUNDS).unwrap_err();
            let error = error.to_string();
            assert!(error.len() < 300 && error.contains(" at line 2, column "), "{error}");
            assert!(!error.contains(char::is_control), "{error:?}");
        }
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for text in ["", "{", "[1,]", "{} {}", "nul"] {
            assert!(check(text.as_bytes(), BOUNDS).is_err(), "{text}");
        }
        let deep = "[".repeat(1 << 20);
        assert!(check(deep.as_bytes(), Bounds { depth: usize::MAX, ..BOUNDS }).is_err());
    }
}
