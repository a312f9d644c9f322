//! The reference page of the conditions is up to date.

#![allow(clippy::unwrap_used, reason = "a test may; these are its helpers")]

use std::{env, fmt::Write as _, fs, path::Path};

/// The constants that everybody who writes a condition names.
const SOURCE: &str = include_str!("../src/condition.rs");

const HEAD: &str = "# Conditions\n\n\
    <!-- Generated: BLESS=1 cargo test -p metal-api --test conditions -->\n\n\
    What a condition means when it is `True`. For the reasons when it is `False`, and what to do, see \
    [not-available.md](../not-available.md), for claims [claim.md](../claim.md), for Machines \
    [metalman-repave.md](../metalman-repave.md) and the pages next to it, for BootTokens \
    [hosts-first.md](../hosts-first.md#what-becomes-of-it), for Hosts \
    [hosts-releases.md](../hosts-releases.md#what-a-host-says).\n\n\
    | condition | kind | meaning |\n|---|---|---|\n";

#[test]
fn the_page_of_conditions_is_what_they_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/conditions.md");
    let mut rows: Vec<_> = conditions().iter().map(Condition::row).collect();
    rows.sort();
    let page = format!("{HEAD}{}", rows.concat());
    if env::var_os("BLESS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let is_same = fs::read_to_string(path).unwrap_or_default() == page;
    assert!(is_same, "docs/reference/conditions.md is out of date: run this again with BLESS=1");
}

#[test]
fn every_constant_is_a_condition_that_says_what_it_means() {
    let all = conditions();
    assert_eq!(all.len(), SOURCE.matches("pub const ").count());
    for Condition { name, means, .. } in all {
        let is_word = name.starts_with(|c: char| c.is_ascii_uppercase())
            && name.chars().all(|c| c.is_ascii_alphanumeric());
        assert!(is_word && means.ends_with('.'), "{name}: {means}");
    }
}

/// A condition, as its constant and the comment above it describe it.
struct Condition {
    name: String,
    /// The kind that has it, if only one does.
    of: Option<String>,
    means: String,
}

impl Condition {
    fn row(&self) -> String {
        let of = self.of.as_deref().unwrap_or("several kinds");
        let mut row = String::new();
        writeln!(row, "| `{}` | {of} | {} |", self.name, self.means).unwrap();
        row
    }
}

fn conditions() -> Vec<Condition> {
    let (mut all, mut comment) = (Vec::new(), Vec::new());
    for line in SOURCE.lines() {
        if let Some(text) = line.strip_prefix("/// ") {
            comment.push(text);
        } else if let Some(constant) = line.strip_prefix("pub const ") {
            let text = std::mem::take(&mut comment).join(" ");
            let (of, means) = match text.split_once(": ") {
                Some((of, means)) if !of.contains('.') => (Some(of.to_owned()), sentence(means)),
                _ => (None, text),
            };
            let name = constant.split('"').nth(1).unwrap().to_owned();
            all.push(Condition { name, of, means });
        }
    }
    all
}

/// With a capital, but for names such as iPXE.
fn sentence(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    let is_name = rest.starts_with(|c: char| c.is_uppercase());
    if is_name { text.to_owned() } else { first.to_uppercase() + rest }
}
