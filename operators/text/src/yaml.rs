//! Reads YAML: everything that YAML 1.2 allows, within limits.
//!
//! The parser's own limits would refuse valid files: 33 lines of comment between a key and its
//! list, or a hundred aliases of one anchor. Here a file is limited by its expanded size, not by
//! how it is written.

use metal_base::cut;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_saphyr::{
    DefaultMessageFormatter, MessageFormatter, NonFiniteFloatPolicy, Options, alias_limits, budget,
    options,
};
use std::borrow::Cow;

/// Limit of nodes added by aliases; a typical file has some thousand nodes.
const REPLAYED: usize = 200_000;
/// By how many bytes aliases may make the scalars of a file longer than its text. One of a megabyte
/// could stand for a thousand times as much.
const REPEATED: usize = 1 << 20;
/// How many anchors may stand around each other: the parser keeps a copy for each.
const AROUND: usize = 4;
/// Longest error message in bytes, as a field name in it may have any length.
const MESSAGE: usize = 240;

/// Why a text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not YAML, or not of the expected type. The text, which may contain a password, is not shown.
    #[error("{0}")]
    Malformed(String),
    /// Several documents.
    #[error(
        "there are {0} YAML documents: keep one, and remove the \"---\" line before the others"
    )]
    Documents(usize),
}

/// How integers with a leading zero are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeadingZero {
    /// As in YAML 1.2.
    Decimal,
    /// As in YAML 1.1, for file modes.
    Octal,
}

/// Reads the only document of a text. A byte order mark, document markers, and empty documents are
/// ignored.
///
/// # Errors
///
/// If it is not YAML, has several documents, or does not match `T`.
pub fn read<T: DeserializeOwned>(text: &str, zero: LeadingZero) -> Result<T, Error> {
    let text = text.trim_start_matches('\u{feff}');
    let malformed = |error: serde_saphyr::Error| {
        Error::Malformed(error.render_with_formatter(&RedactingFormatter))
    };
    let all = serde_saphyr::from_multiple_with_options::<T>(text, settings(text.len(), zero));
    let mut all = all.map_err(malformed)?;
    match (all.pop(), all.len()) {
        (Some(one), 0) => Ok(one),
        (Some(_), others) => Err(Error::Documents(others + 1)),
        // `T` decides about an empty text.
        (None, _) => serde_saphyr::from_str_with_options("", settings(0, zero)).map_err(malformed),
    }
}

/// For fields that may be left out: one without a value is, as when all lines below it are comments.
///
/// # Errors
///
/// If the value does not match `T`.
pub fn or_default<'de, T, D>(from: D) -> Result<T, D::Error>
where
    T: Deserialize<'de> + Default,
    D: Deserializer<'de>,
{
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// The same for what is `true` if it is left out.
///
/// # Errors
///
/// If the value is not a boolean.
pub fn or_yes<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Option::deserialize(from).map(|value| value.unwrap_or(true))
}

/// Formats messages with field names, but without values, as a value may be a password.
struct RedactingFormatter;

impl MessageFormatter for RedactingFormatter {
    fn format_message<'a>(&self, error: &'a serde_saphyr::Error) -> Cow<'a, str> {
        use serde_saphyr::Error::{SerdeInvalidType, SerdeInvalidValue, UnsupportedTag};
        if let SerdeInvalidType { unexpected, expected, .. }
        | SerdeInvalidValue { unexpected, expected, .. } = error
        {
            // As in `string "hunter2"` or `` integer `7` ``.
            let kind = unexpected.split([' ', '"', '`']).next().unwrap_or_default();
            return cut(&format!("invalid {kind}, expected {expected}"), MESSAGE)
                .into_owned()
                .into();
        }
        if let UnsupportedTag { .. } = error {
            return "unsupported tag: quote values that begin with !".into();
        }
        let message = DefaultMessageFormatter.format_message(error);
        let message = message.replace(|c: char| c.is_control(), " ");
        cut(&message, MESSAGE).into_owned().into()
    }
}

/// For a text of this length.
fn settings(length: usize, zero: LeadingZero) -> Options {
    options! {
        with_snippet: false,
        emit_comments: false,
        legacy_octal_numbers: zero == LeadingZero::Octal,
        // Accepted where a string is expected, and refused there if a number is.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        budget: budget! {
            enforce_alias_anchor_ratio: false,
            max_total_scalar_bytes: length.saturating_add(REPEATED),
            max_recorded_anchor_bytes: length.saturating_mul(AROUND).saturating_add(REPEATED),
        },
        alias_limits: alias_limits! { max_total_replayed_events: REPLAYED },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::fmt::Write;

    fn value(text: &str) -> Value {
        read(text, LeadingZero::Decimal).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn every_legal_form_of_a_file_is_read() {
        let is = json!({ "list": [{ "a": 1 }, { "a": 2 }], "text": "x y\n" });
        let plain = "list:\n  - a: 1\n  - a: 2\ntext: |\n  x y\n";
        let forms = [
            plain.to_owned(),
            plain.replace('\n', "\r\n"),
            format!("\u{feff}{plain}"),
            format!("---\n{plain}"),
            format!("{plain}---\n"),
            format!("{plain}...\n"),
            format!("# a\n\n---\n{plain}---\n# nothing\n"),
            format!("%YAML 1.2\n---\n{plain}...\n"),
            plain.replace("list:\n", "list: #\ta tab\n\t# and another\n"),
            "{\n\t\"list\": [{\"a\": 1},\n\t\t{\"a\": 2}],\n\t\"text\": \"x y\\n\"\n}".to_owned(),
            json!(is).to_string(),
            "list: [{a: 1}, {a: 2},]\ntext: \"x\\\n  \\ y\\n\"\n".to_owned(),
            "list:\n- &first\n  a: 1\n- {<<: *first, a: 2}\ntext: >\n  x\n  y\n".to_owned(),
            "? list\n: - a: 1\n  - a: 2\n? text\n: !!str |+\n  x y\n".to_owned(),
            "\"list\":\n- a: 1 # one\n# two\n-\n  a: 2\n'text': \"x y\\n\"".to_owned(),
        ];
        for form in forms {
            assert_eq!(value(&form), is, "{form}");
        }
    }

    #[test]
    fn comments_stand_anywhere_in_any_number() {
        let comments = |indent: &str| format!("{indent}# comment\n").repeat(5_000);
        let (outer, inner) = (comments(""), comments("    "));
        let list =
            format!("{outer}list:\n{inner}{outer}  - a: 1\n{inner}  - a:\n{inner}      2\n{outer}");
        assert_eq!(value(&list), json!({ "list": [{ "a": 1 }, { "a": 2 }] }));
        let map = format!("map: # here\n{inner}  a:\n{outer}    b: 1\n{inner}");
        assert_eq!(value(&map), json!({ "map": { "a": { "b": 1 } } }));
        let flow = format!("list: [\n{inner}1,\n{inner}2\n{inner}]\n");
        assert_eq!(value(&flow), json!({ "list": [1, 2] }));
        let long = format!("a: 1 # {}\n", "x".repeat(100_000));
        assert_eq!(value(&long), json!({ "a": 1 }));
    }

    #[test]
    fn one_anchor_may_be_used_often() {
        let mut text = "one: &one {a: 1}\nlist:\n".to_owned();
        (0..1_000).for_each(|_| text.push_str("  - *one\n"));
        assert_eq!(value(&text)["list"].as_array().map(Vec::len), Some(1_000));
    }

    #[test]
    fn a_text_that_grows_without_bound_is_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
            writeln!(bomb, "a{level}: &a{level} [{aliases}]").unwrap();
        }
        assert!(read::<Value>(&bomb, LeadingZero::Decimal).is_err());
        assert!(read::<Value>(&"[".repeat(10_000), LeadingZero::Decimal).is_err());
    }

    #[test]
    fn aliases_make_a_text_longer_by_a_megabyte_and_no_more() {
        let long = "x".repeat(64 << 10);
        let text = |aliases: usize| format!("a: &a {long}\nlist:\n{}", "- *a\n".repeat(aliases));
        let whole = value(&text(15)).to_string().len();
        assert!(whole > 16 * long.len(), "{whole}");
        for aliases in [17, 1_000] {
            assert!(read::<Value>(&text(aliases), LeadingZero::Decimal).is_err(), "{aliases}");
        }
        // Without aliases a text has any length.
        let plain = format!("list:\n{}", format!("- {long}\n").repeat(100));
        assert_eq!(value(&plain)["list"].as_array().map(Vec::len), Some(100));
        // Each anchor around another one is a copy.
        let around = |anchors: usize| {
            let begin = (0..anchors).map(|at| format!("&a{at} [")).collect::<Vec<_>>().concat();
            format!("{begin}\"\\x41{}\"{}", long.repeat(16), "]".repeat(anchors))
        };
        assert!(read::<Value>(&around(3), LeadingZero::Decimal).is_ok());
        assert!(read::<Value>(&around(30), LeadingZero::Decimal).is_err());
    }

    #[test]
    fn several_documents_are_counted_and_none_is_picked() {
        let error = read::<Value>("a: 1\n---\nb: 2\n", LeadingZero::Decimal).unwrap_err();
        assert_eq!(error, Error::Documents(2));
        assert_eq!(value("# nothing\n---\n"), Value::Null);
        assert!(read::<Vec<u8>>("a: 1", LeadingZero::Decimal).is_err());
    }

    #[test]
    fn an_error_says_where_it_is_and_shows_no_value() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only errors are looked at")]
        struct Login {
            user: String,
            port: u16,
            password: Vec<String>,
        }
        for (text, says) in [
            ("port: hunter2", "at line 1"),
            ("port: 'hunter2'", "at line 1"),
            ("user: x\nport: -7777777", "at line 2"),
            ("user: !hunter2 x", "at line 1"),
            ("user: !hunter2", "at line 1"),
            ("user: *hunter2", "at line 1"),
            ("password: hunter2", "at line 1"),
            ("password: [hunter2, [hunter2]]", "at line 1"),
            ("user: {hunter2: x}", "at line 1"),
            ("user: 'hunter2", "at line 1"),
            ("user: @hunter2", "at line 1"),
            ("user: \"hunter2\\x\"", "at line 1"),
            ("user: hunter2: hunter2", "at line 1"),
        ] {
            let error = read::<Login>(text, LeadingZero::Decimal).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
            assert!(!error.contains("hunter2") && !error.contains("7777"), "{text}: {error}");
        }
        let long = "x".repeat(100_000);
        for text in
            [format!("{long}: 1"), format!("{{{long}: 1, {long}: 2}}"), format!("port: {long}")]
        {
            let error = read::<Login>(&text, LeadingZero::Decimal).unwrap_err().to_string();
            assert!(error.len() < MESSAGE + 60, "{error}");
        }
    }

    #[test]
    fn a_field_without_a_value_is_as_if_it_were_left_out() {
        #[derive(Debug, PartialEq, Eq, Deserialize)]
        struct File {
            #[serde(default, deserialize_with = "or_default")]
            list: Vec<crate::located::Text>,
            #[serde(default, deserialize_with = "or_default")]
            text: String,
            #[serde(default = "yes", deserialize_with = "or_yes")]
            flag: bool,
        }
        fn yes() -> bool {
            true
        }
        let file = |text: &str| read::<File>(text, LeadingZero::Decimal).unwrap();
        let empty = file("{}");
        for text in ["list:\n#  - a\ntext:\nflag:\n", "list: ~\ntext: null\nflag: ~"] {
            assert_eq!(file(text), empty, "{text}");
        }
        let full = file("text: x\nflag: false\nlist:\n  - a\n");
        assert_eq!((full.text.as_str(), full.flag, full.list[0].line), ("x", false, 4));
        assert!(read::<File>("list: a", LeadingZero::Decimal).is_err());
    }

    #[test]
    fn a_leading_zero_is_octal_where_that_is_asked_for() {
        assert_eq!(read("0644", LeadingZero::Octal), Ok(0o644));
    }
}
