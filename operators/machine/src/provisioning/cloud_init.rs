//! The two documents that cloud-init merges: the image's (vendor-data), and the administrator's
//! (user-data).
//!
//! In cloud-init, lists of user-data replace those of vendor-data, and user-data can disable
//! vendor-data: an administrator's `runcmd` would silently remove the one that turns the machine
//! into a node. So user-data contains both documents, the administrator's first and then the
//! image's, with a merge type that keeps every existing value and appends to lists (cloud-init,
//! "Merging user-data sections"). A key of the administrator's without a value would keep the image's list
//! away, so it becomes an empty list in a part between the two. Without an administrator's document, it is just the
//! image's.

use base64::{Engine, engine::general_purpose::STANDARD};
use metal_text::yaml::{self, LeadingZero};
use serde_json::{Map, Value};

/// The document if there is none.
pub const DEFAULT_USER_DATA: &str = "#cloud-config\n{}\n";
/// The largest user-data in bytes: that of a ConfigMap.
pub const LARGEST: usize = 1 << 20;

/// The default key in a ConfigMap.
pub const DEFAULT_KEY: &str = "user-data";

/// First line of a document that is merged.
const CLOUD_CONFIG: &str = "#cloud-config";
/// Keeps existing values, and appends to lists.
const MERGE_TYPE: &str = "list(append)+dict(no_replace,recurse_list)+str()";
/// The boundary between parts begins with this; a number is appended so that no part contains it.
const BOUNDARY: &str = "bloomery-user-data";
/// How many bytes cloud-init searches for the header of a MIME message.
const HEAD: usize = 4096;
/// Characters per line of base64 (RFC 2045, section 6.8).
const LINE: usize = 76;

/// A document of a person has something else where that of the image has a list, which would be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedList(pub String);

/// What is wrong with a `#cloud-config` of a person, as the image has one with lists under the same keys.
/// cloud-init appends a list to a list, puts it in place of a text, and drops it where there is anything else. A
/// key with nothing behind it is fine, since [`user_data`] makes an empty list of it.
///
/// # Errors
///
/// The key that has something else.
pub fn check(user: &[u8], vendor: Option<&str>) -> Result<(), ExpectedList> {
    let other = shared(user, vendor).into_iter().find(|(_, value)| !fits(value));
    other.map_or(Ok(()), |(key, _)| Err(ExpectedList(key)))
}

/// Whether a list can be appended to it, or stand in its place.
fn fits(value: &Value) -> bool {
    is_nothing(value) || value.is_array() || value.is_string()
}

/// Whether a key has no value, for example if all lines below it are comments.
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_object().is_some_and(Map::is_empty)
}

/// What a person says under keys under which the image has a list. What cannot be read, or is no
/// `#cloud-config`, says nothing.
fn shared(user: &[u8], vendor: Option<&str>) -> Vec<(String, Value)> {
    let (Some(ours), Some(theirs)) = (vendor.and_then(config), std::str::from_utf8(user).ok())
    else {
        return vec![];
    };
    let is_list = |key: &String| ours.get(key).is_some_and(Value::is_array);
    config(theirs).unwrap_or_default().into_iter().filter(|(key, _)| is_list(key)).collect()
}

/// The content of a `#cloud-config`.
fn config(text: &str) -> Option<Map<String, Value>> {
    let text = text.trim_start();
    let (kind, _) = text.split_at(text.find(char::is_whitespace)?);
    if !kind.eq_ignore_ascii_case(CLOUD_CONFIG) {
        return None;
    }
    yaml::read::<Option<Map<String, Value>>>(text, LeadingZero::Octal).ok()?
}

/// User-data that keeps all of `vendor`, whatever `user` is, unless [`check`] says otherwise.
pub fn user_data(user: &[u8], vendor: Option<&str>) -> Vec<u8> {
    let Some(vendor) = vendor.filter(|vendor| !vendor.trim().is_empty()) else {
        return user.to_vec();
    };
    let boundary = boundary(user);
    let mut document = format!(
        "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n"
    )
    .into_bytes();
    if is_message(user) {
        // The parts of a MIME message become parts of this one.
        document.extend(user);
    } else {
        let type_ = content_type(user);
        let part = Part { type_, name: "user-data", merge_type: None, content: user };
        part.write_to(&mut document);
    }
    document.extend(format!("\r\n--{boundary}\r\n").bytes());
    let nothing = shared(user, Some(vendor)).into_iter().filter(|(_, value)| is_nothing(value));
    let empty: Map<_, _> = nothing.map(|(key, _)| (key, Value::Array(vec![]))).collect();
    if !empty.is_empty() {
        // Without a merge type of its own it replaces what is there. JSON is YAML.
        let empty = format!("{CLOUD_CONFIG}\n{}\n", Value::Object(empty));
        let content = empty.as_bytes();
        let part = Part { type_: "text/plain", name: "empty-lists", merge_type: None, content };
        part.write_to(&mut document);
        document.extend(format!("\r\n--{boundary}\r\n").bytes());
    }
    let (merge_type, content) = (Some(MERGE_TYPE), vendor.as_bytes());
    Part { type_: "text/plain", name: "vendor-data", merge_type, content }.write_to(&mut document);
    document.extend(format!("\r\n--{boundary}--\r\n").bytes());
    document
}

/// A boundary that does not occur in `user`.
fn boundary(user: &[u8]) -> String {
    let is_in = |boundary: &str| user.windows(boundary.len()).any(|at| at == boundary.as_bytes());
    let numbers = (0_u32..).map(|number| format!("{BOUNDARY}-{number}"));
    numbers.into_iter().find(|boundary| !is_in(boundary)).unwrap_or_else(|| BOUNDARY.to_owned())
}

/// Whether it is a MIME message, by cloud-init's rules.
fn is_message(user: &[u8]) -> bool {
    let head = user[..user.len().min(HEAD)].to_ascii_lowercase();
    head.windows(13).any(|at| at == b"mime-version:")
}

/// cloud-init detects the type of plain text by itself, but not that of compressed data.
fn content_type(user: &[u8]) -> &'static str {
    if user.starts_with(b"\x1f\x8b") { "application/gzip" } else { "text/plain" }
}

/// A part of a document, with what it is.
struct Part<'a> {
    type_: &'a str,
    name: &'a str,
    merge_type: Option<&'a str>,
    content: &'a [u8],
}

impl Part<'_> {
    fn write_to(&self, document: &mut Vec<u8>) {
        let Self { type_, name, merge_type, content } = self;
        let mut head = format!(
            "Content-Type: {type_}\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\n"
        );
        if let Some(merge_type) = merge_type {
            head.extend(["Merge-Type: ", merge_type, "\r\n"]);
        }
        document.extend(head.bytes());
        for line in STANDARD.encode(content).as_bytes().chunks(LINE) {
            document.extend(b"\r\n");
            document.extend(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VENDOR: &str = "#cloud-config\nruncmd: [join]\n";

    #[test]
    fn both_documents_are_parts_and_the_second_only_adds() {
        let text = String::from_utf8(user_data(b"#!/bin/sh\nexit\n", Some(VENDOR))).unwrap();
        let expected = "MIME-Version: 1.0\r\n\
             Content-Type: multipart/mixed; boundary=\"bloomery-user-data-0\"\r\n\r\n\
             --bloomery-user-data-0\r\n\
             Content-Type: text/plain\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"user-data\"\r\n\r\n\
             IyEvYmluL3NoCmV4aXQK\r\n\
             --bloomery-user-data-0\r\n\
             Content-Type: text/plain\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"vendor-data\"\r\n\
             Merge-Type: list(append)+dict(no_replace,recurse_list)+str()\r\n\r\n\
             I2Nsb3VkLWNvbmZpZwpydW5jbWQ6IFtqb2luXQo=\r\n\
             --bloomery-user-data-0--\r\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_key_without_a_value_does_not_keep_the_list_of_the_image_away() {
        let vendor =
            "#cloud-config\nruncmd: [join]\nwrite_files:\n- {path: /a}\nssh_pwauth: false\n";
        let empties = |user: &str| {
            let text = String::from_utf8(user_data(user.as_bytes(), Some(vendor))).unwrap();
            let (_, part) = text.split_once("filename=\"empty-lists\"\r\n")?;
            let body: String = part.split("\r\n--").next().unwrap().split_whitespace().collect();
            Some(String::from_utf8(STANDARD.decode(body).unwrap()).unwrap())
        };
        let empty = |keys: &str| Some(format!("#cloud-config\n{{{keys}}}\n"));
        for (user, expected, wrong) in [
            ("#cloud-config\nruncmd:\n#  - echo later\n", empty("\"runcmd\":[]"), None),
            ("#cloud-config\nruncmd: null\n", empty("\"runcmd\":[]"), None),
            ("#cloud-config\nwrite_files: {}\n", empty("\"write_files\":[]"), None),
            (
                "\n#cloud-config\nruncmd: ~\nwrite_files:\n",
                empty("\"runcmd\":[],\"write_files\":[]"),
                None,
            ),
            ("#cloud-config\nruncmd: [a]\nssh_pwauth:\n", None, None),
            ("#cloud-config\nruncmd: a\n", None, None),
            ("#cloud-config\nruncmd: {a: b}\n", None, Some("runcmd")),
            ("#cloud-config\nwrite_files: 5\n", None, Some("write_files")),
            // What is no cloud-config has no keys.
            ("#cloud-config-archive\n- runcmd:\n", None, None),
            ("#!/bin/sh\nruncmd:\n", None, None),
            ("#cloud-config\nruncmd: [\n", None, None),
            ("#cloud-config", None, None),
            ("", None, None),
        ] {
            assert_eq!(empties(user), expected, "{user}");
            let refused = check(user.as_bytes(), Some(vendor)).err().map(|ExpectedList(key)| key);
            assert_eq!(refused.as_deref(), wrong, "{user}");
            assert_eq!(check(user.as_bytes(), None), Ok(()));
        }
    }

    #[test]
    fn what_the_image_does_not_say_is_not_added() {
        for vendor in [None, Some(""), Some(" \n")] {
            assert_eq!(user_data(b"#cloud-config\n", vendor), b"#cloud-config\n");
        }
    }

    #[test]
    fn a_message_of_a_person_is_a_part_as_it_is() {
        let message = b"Content-Type: multipart/mixed; boundary=\"b\"\nMIME-Version: 1.0\n\n--b\n\nx\n--b--\n";
        let document = user_data(message, Some(VENDOR));
        assert!(document.windows(message.len()).any(|at| at == message));
        let gzip = user_data(b"\x1f\x8b\x08rest", Some(VENDOR));
        assert!(String::from_utf8(gzip).unwrap().contains("Content-Type: application/gzip\r\n"));
    }

    #[test]
    fn nobody_ends_a_part_by_saying_its_boundary() {
        let message = b"MIME-Version: 1.0\n\n--bloomery-user-data-0--\n bloomery-user-data-1";
        let document = String::from_utf8(user_data(message, Some(VENDOR))).unwrap();
        assert!(document.ends_with("\r\n--bloomery-user-data-2--\r\n"), "{document}");
    }
}
