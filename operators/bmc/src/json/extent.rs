//! Finds the end of an object.

/// Whether an object that arrives in pieces is complete.
#[derive(Debug, Default)]
pub(crate) struct Extent {
    within: Within,
    /// Number of open braces and brackets.
    depth: usize,
}

/// The position in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Within {
    #[default]
    Start,
    Object,
    String,
    /// In a string, after a backslash.
    Escape,
    End,
    /// Not an object.
    Other,
}

impl Extent {
    /// Takes the next piece.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        for byte in piece {
            self.within = self.after(*byte);
        }
    }

    /// Whether the object is complete. Nothing after it belongs to it.
    pub(crate) fn is_closed(&self) -> bool {
        self.within == Within::End
    }

    fn after(&mut self, byte: u8) -> Within {
        match (self.within, byte) {
            (Within::Start | Within::Object, b'{') | (Within::Object, b'[') => {
                self.depth += 1;
                Within::Object
            }
            // A byte order mark, or whitespace.
            (Within::Start, 0xef | 0xbb | 0xbf | 0..=b' ') => Within::Start,
            (Within::Start, _) => Within::Other,
            (Within::Object, b'}' | b']') => {
                self.depth -= 1;
                if self.depth == 0 { Within::End } else { Within::Object }
            }
            (Within::Object, b'"') | (Within::Escape, _) => Within::String,
            (Within::String, b'"') => Within::Object,
            (Within::String, b'\\') => Within::Escape,
            (within, _) => within,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_whole_at_its_last_brace_and_not_before() {
        let text = r#" {"a": [1, {"b": "}\\\"]"}], "c": "\\"}"#.as_bytes();
        for end in 0..text.len() {
            let mut extent = Extent::default();
            text[..end].chunks(3).for_each(|piece| extent.feed(piece));
            assert!(!extent.is_closed(), "{end}");
        }
        for after in ["", "\r\n", "0", "}"] {
            let mut extent = Extent::default();
            extent.feed(text);
            extent.feed(after.as_bytes());
            assert!(extent.is_closed(), "{after}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_end() {
        for other in ["", "[]", "<html>", "3", "x{}", "\"{}\"", "{\"a\": \"}"] {
            let mut extent = Extent::default();
            extent.feed(other.as_bytes());
            assert!(!extent.is_closed(), "{other}");
        }
    }
}
