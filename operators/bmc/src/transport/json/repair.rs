//! Repairs text that is not quite JSON.

/// The repaired text: no byte order mark, and nothing after the end; every byte that is not UTF-8
/// read as Latin-1; no control character or unknown escape in a string; one comma between two
/// values and none elsewhere; `null` in place of words that are not values.
pub(super) fn repair(body: &[u8]) -> String {
    let text = decoded(body);
    let text = text.trim_start_matches('\u{feff}').trim_matches(|c: char| c <= ' ');
    let mut repaired = Repaired::default();
    let mut rest = text.chars();
    loop {
        let at = rest.as_str();
        let Some(c) = rest.next() else { break };
        match c {
            '"' => {
                repaired.value();
                rest = string(rest, &mut repaired.text);
            }
            '{' | '[' => repaired.open(c),
            '}' | ']' => {
                repaired.close(c);
                if repaired.depth == 0 {
                    break;
                }
            }
            ',' => repaired.comma(),
            ':' => repaired.colon(),
            c if c <= ' ' => {}
            _ => {
                let length = at.find(|c: char| c <= ' ' || "{}[],:\"".contains(c));
                let (word, after) = at.split_at(length.unwrap_or(at.len()));
                repaired.value();
                // A word outside of any object or array is not JSON at all.
                repaired.text.push_str(if repaired.depth == 0 { word } else { meaning(word) });
                rest = after.chars();
            }
        }
    }
    repaired.text
}

/// What was written last.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum LastToken {
    #[default]
    Start,
    Value,
    Comma,
    Colon,
}

#[derive(Default)]
struct Repaired {
    text: String,
    last: LastToken,
    depth: usize,
}

impl Repaired {
    /// Prepares for a value or a name.
    fn value(&mut self) {
        if self.last == LastToken::Value {
            self.text.push(if self.depth == 0 { ' ' } else { ',' });
        }
        self.last = LastToken::Value;
    }

    fn open(&mut self, c: char) {
        self.value();
        self.text.push(c);
        (self.last, self.depth) = (LastToken::Start, self.depth + 1);
    }

    fn close(&mut self, c: char) {
        match self.last {
            LastToken::Comma => {
                self.text.pop();
            }
            LastToken::Colon => self.text.push_str("null"),
            LastToken::Start | LastToken::Value => {}
        }
        self.text.push(c);
        (self.last, self.depth) = (LastToken::Value, self.depth.saturating_sub(1));
    }

    fn comma(&mut self) {
        match self.last {
            LastToken::Value => self.text.push(','),
            LastToken::Colon => self.text.push_str("null,"),
            LastToken::Start | LastToken::Comma => return,
        }
        self.last = LastToken::Comma;
    }

    fn colon(&mut self) {
        self.text.push(':');
        self.last = LastToken::Colon;
    }
}

/// The word if JSON has it, else `null`.
fn meaning(word: &str) -> &str {
    let known = ["true", "false", "null"].into_iter().find(|it| it.eq_ignore_ascii_case(word));
    let is_number = || serde_json::from_str::<serde_json::Number>(word).is_ok();
    known.unwrap_or_else(|| if is_number() { word } else { "null" })
}

/// Copies a string, from after its opening quote.
fn string<'a>(mut rest: std::str::Chars<'a>, repaired: &mut String) -> std::str::Chars<'a> {
    repaired.push('"');
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                repaired.push('"');
                break;
            }
            '\\' => rest = escape(rest, repaired),
            c if c.is_control() => repaired.push(' '),
            c => repaired.push(c),
        }
    }
    rest
}

/// Copies what follows a backslash, as an escape that JSON has.
fn escape<'a>(mut rest: std::str::Chars<'a>, repaired: &mut String) -> std::str::Chars<'a> {
    let text = rest.as_str();
    match rest.next() {
        Some(c @ ('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => repaired.extend(['\\', c]),
        Some('u') => {
            let unit = |text: &str| {
                let digits = text.strip_prefix('u')?.get(..4)?;
                let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
            };
            let Some(first) = unit(text) else {
                repaired.push_str("\\\\u");
                return rest;
            };
            let second = text.get(5..).and_then(|text| unit(text.strip_prefix('\\')?));
            let units: Vec<u16> = [Some(first), second].into_iter().flatten().collect();
            let Some(Ok(c)) = char::decode_utf16(units).next() else {
                // One half of a surrogate pair.
                repaired.push_str("\\ufffd");
                return text[5..].chars();
            };
            let length = if c.len_utf16() == 1 { 5 } else { 11 };
            repaired.push('\\');
            repaired.push_str(&text[..length]);
            return text[length..].chars();
        }
        Some(c) if !c.is_control() => repaired.extend(['\\', '\\', c]),
        Some(_) => repaired.push_str("\\\\ "),
        None => {}
    }
    rest
}

fn decoded(body: &[u8]) -> String {
    let utf16 = |of: fn([u8; 2]) -> u16| {
        let units = body.chunks_exact(2).map(|pair| of([pair[0], pair[1]]));
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match body {
        [0xff, 0xfe, ..] => utf16(u16::from_le_bytes),
        [0xfe, 0xff, ..] => utf16(u16::from_be_bytes),
        _ => {
            let mut text = String::with_capacity(body.len());
            for chunk in body.utf8_chunks() {
                text.push_str(chunk.valid());
                text.extend(chunk.invalid().iter().map(|byte| char::from(*byte)));
            }
            text
        }
    }
}
