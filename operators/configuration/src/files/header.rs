//! The first line of a template, with mode and owner of the rendered file:
//! `{{/* file: mode=0644 owner=root:app */}}`.

use std::fmt;

const BEGIN: &str = "{{/*";
const END: &str = "*/}}";
const WORD: &str = "file:";
/// Mode of a file without a header.
const MODE: u16 = 0o600;
/// All bits except those that give a program the rights of its owner.
const MOST: u16 = 0o777;
/// The longest name of a user or a group, in bytes (useradd(8)).
const NAME: usize = 32;

/// Mode and owner of a file. Without a header, only root may access it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// The mode.
    pub mode: u16,
    /// `USER`, or `USER:GROUP`, which the system of the release knows.
    pub owner: String,
}

impl Default for Permissions {
    fn default() -> Self {
        Self { mode: MODE, owner: "root:root".to_owned() }
    }
}

impl fmt::Display for Permissions {
    /// In the form that the hook gets: `0644 root:app`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o} {}", self.mode, self.owner)
    }
}

/// What the first line of a template says, if it is a header.
///
/// # Errors
///
/// If it is a header that cannot be read; why.
pub(super) fn permissions(template: &str) -> Result<Option<Permissions>, &'static str> {
    let (mut found, line) = (Permissions::default(), template.lines().next().unwrap_or_default());
    let comment = line.strip_prefix(BEGIN).and_then(|it| it.split_once(END)).map(|(it, _)| it);
    let Some(words) = comment.and_then(|it| it.trim().strip_prefix(WORD)) else { return Ok(None) };
    for word in words.split_whitespace() {
        match word.split_once('=') {
            Some(("mode", mode)) => found.mode = octal(mode).ok_or("mode: give it as 0644")?,
            Some(("owner", owner)) if is_owner(owner) => owner.clone_into(&mut found.owner),
            Some(("owner", _)) => return Err("owner: give it as USER or USER:GROUP"),
            _ => return Err("a file has mode=MODE and owner=USER:GROUP"),
        }
    }
    Ok(Some(found))
}

fn octal(text: &str) -> Option<u16> {
    let is_octal = !text.is_empty() && text.bytes().all(|it| (b'0'..b'8').contains(&it));
    u16::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= MOST)
}

fn is_owner(text: &str) -> bool {
    let is_name = |name: &str| {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        (1..=NAME).contains(&name.len()) && !name.starts_with('-') && name.chars().all(is_fine)
    };
    match text.split_once(':') {
        Some((user, group)) => is_name(user) && is_name(group),
        None => is_name(text),
    }
}
