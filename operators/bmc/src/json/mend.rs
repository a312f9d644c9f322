//! Repairs text that is not quite JSON.

/// The repaired text: no byte order mark, and nothing after the end; every byte that is not UTF-8
/// read as Latin-1; no control character or unknown escape in a string; one comma between two
/// values and none elsewhere; `null` in place of words that are not values.
pub(super) fn mend(body: &[u8]) -> String {
    let text = decoded(body);
    let text = text.trim_start_matches('\u{feff}').trim_matches(|c: char| c <= ' ');
    let mut mended = Mended::default();
    let mut rest = text.chars();
    loop {
        let at = rest.as_str();
        let Some(c) = rest.next() else { break };
        match c {
            '"' => {
                mended.value();
                rest = string(rest, &mut mended.text);
            }
            '{' | '[' => mended.open(c),
            '}' | ']' => {
                mended.close(c);
                if mended.depth == 0 {
                    break;
                }
            }
            ',' => mended.comma(),
            ':' => mended.colon(),
            c if c <= ' ' => {}
            _ => {
                let length = at.find(|c: char| c <= ' ' || "{}[],:\"".contains(c));
                let (word, after) = at.split_at(length.unwrap_or(at.len()));
                mended.value();
                // A word outside of any object or array is not JSON at all.
                mended.text.push_str(if mended.depth == 0 { word } else { meaning(word) });
                rest = after.chars();
            }
        }
    }
    mended.text
}

/// What was written last.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Last {
    #[default]
    Start,
    Value,
    Comma,
    Colon,
}

#[derive(Default)]
struct Mended {
    text: String,
    last: Last,
    depth: usize,
}

impl Mended {
    /// Prepares for a value or a name.
    fn value(&mut self) {
        if self.last == Last::Value {
            self.text.push(if self.depth == 0 { ' ' } else { ',' });
        }
        self.last = Last::Value;
    }

    fn open(&mut self, c: char) {
        self.value();
        self.text.push(c);
        (self.last, self.depth) = (Last::Start, self.depth + 1);
    }

    fn close(&mut self, c: char) {
        match self.last {
            Last::Comma => {
                self.text.pop();
            }
            Last::Colon => self.text.push_str("null"),
            Last::Start | Last::Value => {}
        }
        self.text.push(c);
        (self.last, self.depth) = (Last::Value, self.depth.saturating_sub(1));
    }

    fn comma(&mut self) {
        match self.last {
            Last::Value => self.text.push(','),
            Last::Colon => self.text.push_str("null,"),
            Last::Start | Last::Comma => return,
        }
        self.last = Last::Comma;
    }

    fn colon(&mut self) {
        self.text.push(':');
        self.last = Last::Colon;
    }
}

/// The word if JSON has it, else `null`.
fn meaning(word: &str) -> &str {
    let known = ["true", "false", "null"].into_iter().find(|it| it.eq_ignore_ascii_case(word));
    let is_number = || serde_json::from_str::<serde_json::Number>(word).is_ok();
    known.unwrap_or_else(|| if is_number() { word } else { "null" })
}

/// Copies a string, from after its opening quote.
fn string<'a>(mut rest: std::str::Chars<'a>, mended: &mut String) -> std::str::Chars<'a> {
    mended.push('"');
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                mended.push('"');
                break;
            }
            '\\' => rest = escape(rest, mended),
            c if c.is_control() => mended.push(' '),
            c => mended.push(c),
        }
    }
    rest
}

/// Copies what follows a backslash, as an escape that JSON has.
fn escape<'a>(mut rest: std::str::Chars<'a>, mended: &mut String) -> std::str::Chars<'a> {
    let text = rest.as_str();
    match rest.next() {
        Some(c @ ('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => mended.extend(['\\', c]),
        Some('u') => {
            let unit = |text: &str| {
                let digits = text.strip_prefix('u')?.get(..4)?;
                let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)
            };
            let Some(first) = unit(text) else {
                mended.push_str("\\\\u");
                return rest;
            };
            let second = text.get(5..).and_then(|text| unit(text.strip_prefix('\\')?));
            let units: Vec<u16> = [Some(first), second].into_iter().flatten().collect();
            let Some(Ok(c)) = char::decode_utf16(units).next() else {
                // One half of a surrogate pair.
                mended.push_str("\\ufffd");
                return text[5..].chars();
            };
            let length = if c.len_utf16() == 1 { 5 } else { 11 };
            mended.push('\\');
            mended.push_str(&text[..length]);
            return text[length..].chars();
        }
        Some(c) if !c.is_control() => mended.extend(['\\', '\\', c]),
        Some(_) => mended.push_str("\\\\ "),
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
