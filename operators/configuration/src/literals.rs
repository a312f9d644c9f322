//! Texts in templates, written so that the engine reads them as Go does. It reads escapes in raw strings as well, and
//! loses its way behind some of those in interpreted strings: `"\\"`, `"\u00e9, and more"`.

use std::borrow::Cow;

/// What the engine may read otherwise. Go has no carriage returns in raw strings.
const ODD: [char; 2] = ['\\', '\r'];

/// The same template for the engine, line by line.
pub(crate) fn rewritten(template: &str) -> Cow<'_, str> {
    if !template.contains(ODD) {
        return Cow::Borrowed(template);
    }
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((text, action)) = rest.split_once("{{") {
        out.push_str(text);
        out.push_str("{{");
        rest = if is_comment(action) {
            write_comment(action, &mut out)
        } else {
            write_action(action, &mut out)
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn is_comment(action: &str) -> bool {
    let trims = action.starts_with('-') && action[1..].starts_with([' ', '\t', '\r', '\n']);
    let body = if trims { &action[2..] } else { action };
    body.starts_with("/*")
}

/// Writes a comment, and returns what follows it.
fn write_comment<'a>(action: &'a str, out: &mut String) -> &'a str {
    let begin = action.find("/*").map_or(0, |at| at + 2);
    let end = action[begin..].find("*/").map_or(action.len(), |at| begin + at + 2);
    let (comment, rest) = action.split_at(end);
    out.push_str(comment);
    rest
}

/// Writes an action to its end, and returns what follows it.
fn write_action<'a>(action: &'a str, out: &mut String) -> &'a str {
    let mut rest = action;
    while let Some(at) = rest.find(['"', '`', '\'', '}']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        if let Some(after) = from.strip_prefix("}}") {
            out.push_str("}}");
            return after;
        }
        let (literal, after) = from.split_at(literal_len(from));
        match other(literal) {
            Some(other) => out.push_str(&other),
            None => out.push_str(literal),
        }
        rest = after;
    }
    out.push_str(rest);
    ""
}

/// How long the literal is that begins here, with both quotes. A brace is one of its own.
fn literal_len(from: &str) -> usize {
    let mut letters = from.char_indices();
    let quote = letters.next().map(|(_, c)| c);
    if quote == Some('}') {
        return 1;
    }
    let mut is_escaped = false;
    for (at, c) in letters {
        if is_escaped {
            is_escaped = false;
        } else if c == '\\' && quote != Some('`') {
            is_escaped = true;
        } else if Some(c) == quote {
            return at + 1;
        }
    }
    from.len()
}

/// Another way to write a string that the engine may read otherwise.
fn other(literal: &str) -> Option<String> {
    if !literal.contains(ODD) {
        return None;
    }
    if let Some(raw) = literal.strip_prefix('`').and_then(|it| it.strip_suffix('`')) {
        return Some(format!("`{}`", raw.replace('\r', "").replace('\\', "\\\\")));
    }
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    written(&decoded(inner).filter(|_| !inner.contains('\n'))?)
}

/// A text as a literal of one line: in a raw string the engine takes these escapes as well, and a quote as it is.
fn written(text: &str) -> Option<String> {
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n").replace('\r', "\\r");
    if !text.contains('`') {
        return Some(format!("`{escaped}`"));
    }
    // Behind a backslash it does not see the end.
    (!text.ends_with('\\')).then(|| format!("\"{}\"", escaped.replace('"', "\\\"")))
}

/// What is between the quotes of an interpreted string (The Go Programming Language Specification, "String
/// literals"); nothing, if Go takes it for none, or it is not UTF-8.
fn decoded(inner: &str) -> Option<String> {
    let (mut bytes, mut rest) = (vec![], inner);
    while let Some((before, mut after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let kind = after.chars().next()?;
        if kind.is_digit(8) {
            bytes.push(u8::try_from(number(&mut after, 3, 8)?).ok()?);
        } else {
            after = after.strip_prefix(kind)?;
            match kind {
                'a' => bytes.push(7),
                'b' => bytes.push(8),
                't' => bytes.push(b'\t'),
                'n' => bytes.push(b'\n'),
                'v' => bytes.push(11),
                'f' => bytes.push(12),
                'r' => bytes.push(b'\r'),
                '\\' => bytes.push(b'\\'),
                '"' => bytes.push(b'"'),
                'x' => bytes.push(u8::try_from(number(&mut after, 2, 16)?).ok()?),
                'u' | 'U' => {
                    let digits = if kind == 'u' { 4 } else { 8 };
                    let c = char::from_u32(number(&mut after, digits, 16)?)?;
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                _ => return None,
            }
        }
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

/// Takes a number of so many digits.
fn number(rest: &mut &str, digits: usize, radix: u32) -> Option<u32> {
    let (number, after) = rest.split_at_checked(digits)?;
    let is_number = number.chars().all(|c| c.is_digit(radix));
    let value = u32::from_str_radix(number, radix).ok().filter(|_| is_number)?;
    *rest = after;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_with_a_backslash_is_written_so_that_the_engine_reads_it_right() {
        for (template, expected) in [
            (r"{{ `a\tb` }}", r"{{ `a\\tb` }}"),
            (r#"{{ "a\\" "b" }}"#, r#"{{ `a\\` "b" }}"#),
            (r#"{{- "\u00e9abcdef12\n" -}}"#, r"{{- `éabcdef12\n` -}}"),
            (r#"{{ "\x41bc41 \101\"" }}"#, r#"{{ `Abc41 A"` }}"#),
            (r#"{{ "`\\d\"" }}"#, r#"{{ "`\\d\"" }}"#),
            ("{{ `a\r\n\\` }}", "{{ `a\n\\\\` }}"),
            ("a\r\n{{ `b\r\nc` }}\r\n{{\r\n\"d\" }}", "a\r\n{{ `b\nc` }}\r\n{{\r\n\"d\" }}"),
            // What is no string, or none of Go's, stays as it is.
            (r#"\u00e9 "\x41" {{/* `\` */}}"#, r#"\u00e9 "\x41" {{/* `\` */}}"#),
            (r#"{{- /* "\x41" */ -}} \ "#, r#"{{- /* "\x41" */ -}} \ "#),
            (r"{{ '\n' }}{{ `}}\` }}", r"{{ '\n' }}{{ `}}\\` }}"),
            (r#"{{ "\q" "\xff" "\ud800" "\8" }}"#, r#"{{ "\q" "\xff" "\ud800" "\8" }}"#),
            (r#"{{ "\x+1" "\400" }}"#, r#"{{ "\x+1" "\400" }}"#),
            ("{{ \"a\\\nb\" }}", "{{ \"a\\\nb\" }}"),
            (r#"{{ "a\"#, r#"{{ "a\"#),
            (r"{{ `a\", r"{{ `a\"),
            (r"{{ {\} }}{{", r"{{ {\} }}{{"),
        ] {
            assert_eq!(rewritten(template), expected, "{template}");
        }
    }
}
