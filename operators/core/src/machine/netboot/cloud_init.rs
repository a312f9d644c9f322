//! The two documents that cloud-init merges: what the image says (vendor-data), and what a person says
//! (user-data).
//!
//! cloud-init lets lists of user-data replace those of vendor-data, and lets user-data switch vendor-data
//! off: a `runcmd` of a person would silently take away the one that makes the machine a node. So
//! user-data holds both: what the person says first, and then what the image says, with the merge type
//! that leaves every value of the first and appends to its lists (cloud-init, "Merging user-data
//! sections"). The image's document alone is what there is without a person's.

use base64::{Engine, engine::general_purpose::STANDARD};

/// What there is where nobody says anything.
pub const DEFAULT_USER_DATA: &str = "#cloud-config\n{}\n";
/// Bytes of user-data at most: those of a ConfigMap.
pub const LARGEST: usize = 1 << 20;

/// Key of a ConfigMap where none is named.
pub const DEFAULT_KEY: &str = "user-data";

/// Values that are there stay, lists get more entries behind theirs.
const MERGE_TYPE: &str = "list(append)+dict(no_replace,recurse_list)+str()";
/// Between parts; its beginning is in none of them.
const BOUNDARY: &str = "bloomery-user-data";
/// How far cloud-init looks for the header of a MIME message.
const HEAD: usize = 4096;
/// Characters of a line of base64 (RFC 2045, section 6.8).
const LINE: usize = 76;

/// User-data that leaves nothing of `vendor` out, whatever `user` is.
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
        // Its own parts become parts of this one.
        document.extend(user);
    } else {
        part(&mut document, content_type(user), "user-data", None, user);
    }
    document.extend(format!("\r\n--{boundary}\r\n").bytes());
    part(&mut document, "text/plain", "vendor-data", Some(MERGE_TYPE), vendor.as_bytes());
    document.extend(format!("\r\n--{boundary}--\r\n").bytes());
    document
}

/// A boundary that is nowhere in `user`.
fn boundary(user: &[u8]) -> String {
    let is_in = |boundary: &str| user.windows(boundary.len()).any(|at| at == boundary.as_bytes());
    let numbers = (0_u32..).map(|number| format!("{BOUNDARY}-{number}"));
    numbers.into_iter().find(|boundary| !is_in(boundary)).unwrap_or_else(|| BOUNDARY.to_owned())
}

/// As cloud-init tells it.
fn is_message(user: &[u8]) -> bool {
    let head = user[..user.len().min(HEAD)].to_ascii_lowercase();
    head.windows(13).any(|at| at == b"mime-version:")
}

/// Of plain text cloud-init finds out itself what it is; of what is compressed it has to be told.
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
