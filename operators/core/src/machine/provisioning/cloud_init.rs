//! The two documents that cloud-init merges: the image's (vendor-data), and the administrator's
//! (user-data).
//!
//! In cloud-init, lists of user-data replace those of vendor-data, and user-data can disable
//! vendor-data: an administrator's `runcmd` would silently remove the one that turns the machine
//! into a node. So user-data contains both documents, the administrator's first and then the
//! image's, with a merge type that keeps every existing value and appends to lists (cloud-init,
//! "Merging user-data sections"). Without an administrator's document, it is just the image's.

use base64::{Engine, engine::general_purpose::STANDARD};

/// The document if there is none.
pub const DEFAULT_USER_DATA: &str = "#cloud-config\n{}\n";
/// The largest user-data in bytes: that of a ConfigMap.
pub const LARGEST: usize = 1 << 20;

/// The default key in a ConfigMap.
pub const DEFAULT_KEY: &str = "user-data";

/// Keeps existing values, and appends to lists.
const MERGE_TYPE: &str = "list(append)+dict(no_replace,recurse_list)+str()";
/// The boundary between parts begins with this; a number is appended so that no part contains it.
const BOUNDARY: &str = "bloomery-user-data";
/// How many bytes cloud-init searches for the header of a MIME message.
const HEAD: usize = 4096;
/// Characters per line of base64 (RFC 2045, section 6.8).
const LINE: usize = 76;

/// User-data that keeps all of `vendor`, whatever `user` is.
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
        part(&mut document, content_type(user), "user-data", None, user);
    }
    document.extend(format!("\r\n--{boundary}\r\n").bytes());
    part(&mut document, "text/plain", "vendor-data", Some(MERGE_TYPE), vendor.as_bytes());
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

fn part(to: &mut Vec<u8>, type_: &str, name: &str, merge_type: Option<&str>, content: &[u8]) {
    let mut head = format!(
        "Content-Type: {type_}\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"{name}\"\r\n"
    );
    if let Some(merge_type) = merge_type {
        head.extend(["Merge-Type: ", merge_type, "\r\n"]);
    }
    to.extend(head.bytes());
    for line in STANDARD.encode(content).as_bytes().chunks(LINE) {
        to.extend(b"\r\n");
        to.extend(line);
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
