//! Removes secrets from texts of BMCs that we repeat, in whatever form they contain them.

use base64::{
    Engine,
    alphabet::{STANDARD, URL_SAFE},
    engine::general_purpose::{GeneralPurpose, NO_PAD},
};
use std::{fmt::Write, sync::OnceLock};

/// The replacement for a secret.
const HIDDEN: &str = "***";
/// Shorter parts of an encoded secret are not looked for: they could be anything.
const SHORTEST: usize = 4;

/// What comes before the name of a medium in its URL, also as in JSON.
const MEDIA: &str = "/media/";
const MEDIA_ESCAPED: &str = "\\/media\\/";
/// Shorter words are no capabilities: those end with an HMAC-SHA256 in base64.
const TOKEN: usize = 43;

/// A secret, and the forms in which it may appear, which are made when they are first needed: there are many.
pub(crate) struct Secret {
    text: String,
    forms: OnceLock<Forms>,
}

struct Forms {
    /// Parts of encoded words that show that the secret is in the word.
    encoded: Vec<String>,
    /// The secret itself, and its escaped forms.
    escaped: Vec<String>,
}

impl Secret {
    pub(crate) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), forms: OnceLock::new() }
    }

    /// The text without the secret: plain, escaped as in URLs, JSON or HTML, as hexadecimal digits, and
    /// in base64, alone or within something longer, such as `user:password`.
    pub(crate) fn removed_from(&self, mut text: String) -> String {
        if self.text.is_empty() {
            return text;
        }
        let forms = self.forms.get_or_init(|| Forms::of(&self.text));
        for part in &forms.encoded {
            if text.contains(part) {
                text = without_run(&text, part);
            }
        }
        for form in &forms.escaped {
            if text.contains(form) {
                text = text.replace(form, HIDDEN);
            }
        }
        text
    }
}

impl Forms {
    fn of(secret: &str) -> Self {
        let mut encoded: Vec<_> = bodies(secret).iter().flat_map(|text| encoded_in(text)).collect();
        encoded.retain(|part| part.len() >= SHORTEST);
        let mut escaped = escaped_as(secret);
        for forms in [&mut encoded, &mut escaped] {
            // Longest first, as a longer form may contain a shorter one.
            forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
            forms.dedup();
        }
        Self { encoded, escaped }
    }
}

/// The text without the names of media, and without any other capability in a URL: BMCs like to repeat
/// what they were told to insert, or have had inserted, and whoever has the URL gets what it leads to.
pub(crate) fn without_capabilities(text: &str) -> String {
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let (mut left, mut rest) = (String::new(), text);
    while let Some(start) = rest.find(is_of_token) {
        let (before, run) = rest.split_at(start);
        let (run, after) = run.split_at(run.find(|c: char| !is_of_token(c)).unwrap_or(run.len()));
        left.push_str(before);
        let is_long = run.len() >= TOKEN && run.contains(|c: char| c.is_ascii_digit());
        let is_name = left.ends_with(MEDIA) || left.ends_with(MEDIA_ESCAPED);
        left.push_str(if is_long || is_name { HIDDEN } else { run });
        rest = after;
    }
    left + rest
}

/// The text without the encoded words that contain `part`.
fn without_run(text: &str, part: &str) -> String {
    let is_of_run = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '=');
    let mut left = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(part) {
        let (before, found) = rest.split_at(at);
        left.push_str(before.trim_end_matches(is_of_run));
        left.push_str(HIDDEN);
        rest = found[part.len()..].trim_start_matches(is_of_run);
    }
    left + rest
}

/// The parts of base64 and hexadecimal text that are fixed if the encoded bytes contain the secret,
/// at any offset.
fn encoded_in(secret: &str) -> Vec<String> {
    let mut parts = vec![hex(secret), hex(secret).to_ascii_uppercase()];
    for alphabet in [STANDARD, URL_SAFE] {
        let engine = GeneralPurpose::new(&alphabet, NO_PAD);
        for before in 0..3 {
            let bytes = [&[0; 2][..before], secret.as_bytes()].concat();
            let text = engine.encode(&bytes);
            // Leaves out characters that also encode bits of the neighboring bytes.
            let start = [0, 2, 3][before];
            let end = bytes.len() * 8 / 6;
            parts.extend(text.get(start..end).map(str::to_owned));
        }
    }
    parts
}

fn hex(text: &str) -> String {
    let mut digits = String::new();
    for byte in text.bytes() {
        // Writing to a string cannot fail.
        write!(digits, "{byte:02x}").ok();
    }
    digits
}

/// The secret itself, and escaped as within other formats, which may in turn be within others.
fn escaped_as(secret: &str) -> Vec<String> {
    let mut forms = vec![secret.split_whitespace().collect::<Vec<_>>().join(" ")];
    for text in bodies(secret) {
        for kept in ["-._~", "-._~!'()*", "-._*", ""] {
            let (upper, plus) = (percent(&text, kept, "%20"), percent(&text, kept, "+"));
            forms.extend([lower_hex(&upper), lower_hex(&plus), upper, plus]);
        }
        forms.extend(["&#39;", "&#x27;", "&apos;"].map(|apostrophe| html(&text, apostrophe)));
        forms.extend([json(&text, false), json(&text, true), text.replace('/', "\\/"), text]);
    }
    forms.retain(|form| !form.is_empty());
    forms
}

/// The secret as plain text, and as in a JSON string.
fn bodies(secret: &str) -> [String; 3] {
    [secret.to_owned(), json(secret, false), json(secret, true)]
}

/// Percent-encoded (RFC 3986, section 2.1), except for letters, digits and the characters in
/// `kept`.
fn percent(secret: &str, kept: &str, space: &str) -> String {
    let mut text = String::new();
    for byte in secret.bytes() {
        let c = char::from(byte);
        if byte == b' ' {
            text.push_str(space);
        } else if c.is_ascii_alphanumeric() || kept.contains(c) {
            text.push(c);
        } else {
            // Writing to a string cannot fail.
            write!(text, "%{byte:02X}").ok();
        }
    }
    text
}

fn lower_hex(text: &str) -> String {
    let mut lower = String::new();
    let mut digits = 0;
    for c in text.chars() {
        lower.push(if digits > 0 { c.to_ascii_lowercase() } else { c });
        digits = if c == '%' { 2 } else { digits.max(1) - 1 };
    }
    lower
}

/// Escaped as in a JSON string; non-ASCII characters unchanged if `is_plain`, else as `\u` escapes.
fn json(secret: &str, is_plain: bool) -> String {
    let mut text = String::new();
    for c in secret.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            c if (c.is_ascii() && !c.is_ascii_control()) || is_plain => text.push(c),
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    write!(text, "\\u{unit:04x}").ok();
                }
            }
        }
    }
    text
}

fn html(secret: &str, apostrophe: &str) -> String {
    let text = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    text.replace('"', "&quot;").replace('\'', apostrophe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE};

    const PASSWORDS: [&str; 4] = ["hunter2", r#"p&"ss\w/rd <1>'"#, "pä ss?€+~!", "\u{1f511}key"];

    #[test]
    fn a_password_is_not_repeated_in_any_form() {
        for password in PASSWORDS {
            let secret = Secret::new(password);
            let pair = format!("root:{password}");
            let body = serde_json::json!({"UserName": "admin", "Password": password}).to_string();
            let mut forms = vec![password.to_owned(), pair.clone(), body.clone()];
            for text in [password, &pair, &format!("a{pair}"), &format!("ab{pair}b"), &body] {
                forms.push(BASE64_STANDARD.encode(text));
                forms.push(BASE64_STANDARD_NO_PAD.encode(text));
                forms.push(BASE64_URL_SAFE.encode(text));
                forms.extend([percent(text, "-._~", "%20"), percent(text, "", "+")]);
                forms.push(lower_hex(&percent(text, "-._~", "%20")));
                forms.extend([serde_json::to_string(text).unwrap(), html(text, "&#39;")]);
                forms.extend([hex(text), hex(text).to_ascii_uppercase()]);
            }
            forms.push(serde_json::to_string(&body).unwrap());
            for form in forms {
                let text = secret.removed_from(format!("the value '{form}' is wrong"));
                assert!(text.contains("***"), "{form}: {text}");
                assert!(text.starts_with("the value '") && text.ends_with("' is wrong"), "{text}");
                let words = ["hunter2", "key", "aHVudGVy", "Mg", "6e74", "%22ss", "w/rd", "ss%3F"];
                for word in words {
                    assert!(!text.contains(word), "{form}: {text}");
                }
            }
        }
    }

    #[test]
    fn a_capability_is_not_repeated_whatever_is_around_it() {
        let token = "AQAAAABqUHq_AnNlcnZlci1hYm9vdC11aWQ-SPyvsKDPuCYbfVkZQZGh3Fzq7CVnYg1tVZk";
        for (text, expected) in [
            (
                format!("bad URL 'http://b:1/media/{token}.iso'."),
                "bad URL 'http://b:1/media/***.iso'.",
            ),
            (format!("{token}.iso is in use"), "***.iso is in use"),
            (format!("http:\\/\\/b\\/media\\/{}", &token[..9]), "http:\\/\\/b\\/media\\/***"),
            (
                "Base.1.18.1.ActionParameterValueTypeError".to_owned(),
                "Base.1.18.1.ActionParameterValueTypeError",
            ),
        ] {
            assert_eq!(without_capabilities(&text), expected);
        }
    }

    #[test]
    fn what_is_no_secret_is_repeated() {
        let text = "The property BootSourceOverrideTarget with the value 'UefiHttp' is not known";
        for secret in ["hunter2", "", "p&\"ss"] {
            assert_eq!(Secret::new(secret).removed_from(text.to_owned()), text);
        }
    }
}
