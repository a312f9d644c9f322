//! Finds the end of an object.

/// Whether an object that arrives in pieces is complete.
#[derive(Debug, Default)]
pub(crate) struct ObjectEnd {
    within: Position,
    /// Number of open braces and brackets.
    depth: usize,
}

/// The position in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Position {
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

impl ObjectEnd {
    /// Takes the next piece.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        for byte in piece {
            self.within = self.after(*byte);
        }
    }

    /// Whether the object is complete. Nothing after it belongs to it.
    pub(crate) fn is_closed(&self) -> bool {
        self.within == Position::End
    }

    fn after(&mut self, byte: u8) -> Position {
        match (self.within, byte) {
            (Position::Start | Position::Object, b'{') | (Position::Object, b'[') => {
                self.depth += 1;
                Position::Object
            }
            // A byte order mark, or whitespace.
            (Position::Start, 0xef | 0xbb | 0xbf | 0..=b' ') => Position::Start,
            (Position::Start, _) => Position::Other,
            (Position::Object, b'}' | b']') => {
                self.depth -= 1;
                if self.depth == 0 { Position::End } else { Position::Object }
            }
            (Position::Object, b'"') | (Position::Escape, _) => Position::String,
            (Position::String, b'"') => Position::Object,
            (Position::String, b'\\') => Position::Escape,
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
            let mut object_end = ObjectEnd::default();
            text[..end].chunks(3).for_each(|piece| object_end.feed(piece));
            assert!(!object_end.is_closed(), "{end}");
        }
        for after in ["", "\r\n", "0", "}"] {
            let mut object_end = ObjectEnd::default();
            object_end.feed(text);
            object_end.feed(after.as_bytes());
            assert!(object_end.is_closed(), "{after}");
        }
    }

    #[test]
    fn what_is_no_object_has_no_end() {
        for other in ["", "[]", "<html>", "3", "x{}", "\"{}\"", "{\"a\": \"}"] {
            let mut object_end = ObjectEnd::default();
            object_end.feed(other.as_bytes());
            assert!(!object_end.is_closed(), "{other}");
        }
    }
}
