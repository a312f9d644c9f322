//! The lines of fields in a JSON text.

use serde::Deserialize as _;
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::HashMap};

/// A name as one part of a JSON pointer (RFC 6901, section 3).
pub fn escaped(name: &str) -> Cow<'_, str> {
    if name.contains(['~', '/']) {
        Cow::Owned(name.replace('~', "~0").replace('/', "~1"))
    } else {
        Cow::Borrowed(name)
    }
}

/// The line on which the value at this pointer begins, from 1. If there is none, that of the nearest
/// value around it.
pub fn of(text: &str, pointer: &str) -> Option<u64> {
    let mut value: &RawValue = serde_json::from_str(text).ok()?;
    for part in pointer.split('/').skip(1) {
        let name = part.replace("~1", "/").replace("~0", "~");
        match inner(value, &name) {
            Some(found) => value = found,
            None => break,
        }
    }
    // Both are parts of one text.
    let offset = (value.get().as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    Some(text.get(..offset)?.matches('\n').count() as u64 + 1)
}

fn inner<'a>(value: &'a RawValue, name: &str) -> Option<&'a RawValue> {
    let mut from = serde_json::Deserializer::from_str(value.get());
    if value.get().starts_with('[') {
        let list = Vec::<&RawValue>::deserialize(&mut from).ok()?;
        return list.get(name.parse::<usize>().ok()?).copied();
    }
    let fields = HashMap::<Cow<'_, str>, &RawValue>::deserialize(&mut from).ok()?;
    fields.get(name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_on_the_line_on_which_its_value_begins() {
        let text = "\n{\n  \"a/b\": [\n    1,\n    {\"~c\": \"\\n\"},\n 2]\n}\n";
        for (pointer, line) in [
            ("", 2),
            ("/a~1b", 3),
            ("/a~1b/0", 4),
            ("/a~1b/1/~0c", 5),
            ("/a~1b/2", 6),
            ("/a~1b/1/missing", 5),
            ("/a~1b/9", 3),
            ("/missing/x", 2),
        ] {
            assert_eq!(of(text, pointer), Some(line), "{pointer}");
        }
        assert_eq!(of("{", "/a"), None);
    }
}
