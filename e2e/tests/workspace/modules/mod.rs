//! Modules of a crate must not depend on each other in a cycle: such modules can only be read
//! together. Where a module imports an item from one that only re-exports it, it depends on the module
//! in which the item is written.

mod imports;

use imports::Imports;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// A module, as the names that lead to it.
type Name = Vec<String>;

#[test]
fn no_module_uses_one_that_uses_it() {
    for folder in crate::crates() {
        let mut modules = BTreeMap::new();
        read(&folder.join("src"), &[], &mut modules);
        let cycles: Vec<_> = siblings(&modules).into_iter().filter_map(cycle).collect();
        let folder = folder.display();
        assert!(cycles.is_empty(), "{folder}: these modules use each other: {cycles:?}");
    }
}

#[test]
fn a_cycle_of_modules_is_found_however_it_is_written() {
    for (a, b, is_cycle) in [
        ("use super::b::It;", "use crate::a;", true),
        ("use crate::{\n    b::{self, It},\n};", "fn f() { super::a::g() }", true),
        ("use crate::{c, b};", "use super::c;", false),
        ("use super::b;", "#[cfg(test)]\nmod tests {\n    use crate::a;\n}", false),
    ] {
        let modules = [("a", a), ("b", b), ("c", "")];
        let modules = modules.map(|(name, text)| (vec![name.to_owned()], text.to_owned())).into();
        let found = siblings(&modules).into_iter().find_map(cycle);
        assert_eq!(found.is_some(), is_cycle, "{a} {b}: {found:?}");
    }
}

#[test]
fn a_cycle_is_found_over_groups_of_imports_and_through_folders() {
    let modules = [
        (vec!["a"], "use super::{c::X, b};"),
        (vec!["b", "inner"], "use crate::{\n    c::{self, Y},\n    d,\n};"),
        (vec!["c"], "fn f() { super::a::g() } // crate::nothing::else"),
        (vec!["d"], ""),
    ];
    let name = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Name>();
    let modules = modules.map(|(module, text)| (name(module), text.to_owned()));
    let [edges] = siblings(&modules.into()).try_into().unwrap();
    assert_eq!(edges[&name(vec!["b"])], [name(vec!["c"]), name(vec!["d"])].into());
    assert_eq!(cycle(edges).unwrap().len(), 3);
    let to_the_parent = [(name(vec!["a", "b"]), "use super::X;".to_owned())];
    assert_eq!(siblings(&to_the_parent.into()).into_iter().find_map(cycle), None);
}

#[test]
fn a_cycle_is_found_through_names_that_a_parent_re_exports() {
    for (root, a, b, is_cycle) in [
        ("pub use b::It;", "use crate::It;", "use crate::a;", true),
        ("pub use b::It;", "use super::It;", "use crate::Other;", false),
        (
            "pub(crate) use b::{self, Other, It as Its};",
            "fn f(_: crate::Its) \
                                                         {}",
            "use super::a;",
            true,
        ),
        ("use c::It;", "use crate::{Other, It};", "use crate::a;", true),
        ("pub use c::It;", "use crate::It;", "use super::a;", true),
        ("pub use b::It as Own;", "use crate::It;", "use crate::a;", false),
        ("// pub use b::It;", "use crate::It;", "use crate::a;", false),
    ] {
        let c = "pub use super::b::It;";
        let modules = [(vec![], root), (vec!["a"], a), (vec!["b"], b), (vec!["c"], c)];
        let name = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Name>();
        let modules = modules.map(|(module, text)| (name(module), text.to_owned()));
        let found = siblings(&modules.into()).into_iter().find_map(cycle);
        assert_eq!(found.is_some(), is_cycle, "{root} {a} {b}: {found:?}");
    }
}

/// Reads the sources of a folder by module, except for tests.
fn read(folder: &Path, above: &[String], modules: &mut BTreeMap<Name, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let name = match stem {
            "lib" | "main" | "mod" => above.to_vec(),
            _ => [above, &[stem.to_owned()]].concat(),
        };
        if stem.starts_with("test") || stem == "fixture" {
            continue;
        }
        if path.is_dir() {
            read(&path, &name, modules);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            // A library and a program share the root.
            *modules.entry(name).or_default() += &fs::read_to_string(path).unwrap();
        }
    }
}

/// For each module, which of its direct children use which.
fn siblings(modules: &BTreeMap<Name, String>) -> Vec<BTreeMap<Name, BTreeSet<Name>>> {
    let mut edges: BTreeMap<Name, BTreeMap<Name, BTreeSet<Name>>> = BTreeMap::new();
    let imports = Imports::of(modules);
    for (user, text) in modules {
        for path in paths(user, text) {
            let other = imports.module_of(path, modules);
            let shared = user.iter().zip(&other).take_while(|(a, b)| a == b).count();
            // A module and its descendants count as one.
            if shared < user.len() && shared < other.len() {
                let below = edges.entry(user[..shared].to_vec()).or_default();
                let user = user[..=shared].to_vec();
                below.entry(user).or_default().insert(other[..=shared].to_vec());
            }
        }
    }
    edges.into_values().collect()
}

/// The absolute paths that a text names by `crate` or `super`.
fn paths(module: &[String], text: &str) -> Vec<Name> {
    let code = code(text);
    let mut paths = Vec::new();
    for start in ["crate", "super"] {
        for (at, _) in code.match_indices(&format!("{start}::")) {
            let is_word =
                code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            // Skips what is nested in a path that was already read.
            if !is_word {
                tree(&code[at..], &mut Vec::new(), &mut paths);
            }
        }
    }
    paths.into_iter().map(|path| absolute(module, &path)).collect()
}

/// The path from the root of the crate for one that begins with `crate`, `super` or `self`.
fn absolute(module: &[String], path: &[impl AsRef<str>]) -> Name {
    let up = path.iter().take_while(|name| name.as_ref() == "super").count();
    let mut name = if path[0].as_ref() == "crate" { Vec::new() } else { module.to_vec() };
    name.truncate(name.len().saturating_sub(up));
    name.extend(path[up.max(1)..].iter().map(|name| name.as_ref().to_owned()));
    name
}

/// A text without comments and tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Parses a path, which may have braces, and returns the text after it.
fn tree<'a>(text: &'a str, above: &mut Vec<&'a str>, paths: &mut Vec<Vec<&'a str>>) -> &'a str {
    let depth = above.len();
    let mut rest = text.trim_start();
    loop {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        above.push(name);
        rest = behind;
        let Some(next) = rest.strip_prefix("::") else { break };
        let Some(inner) = next.strip_prefix('{') else {
            rest = next;
            continue;
        };
        let to_next = |c: char| !c.is_alphanumeric() && !"_}".contains(c);
        rest = inner.trim_start_matches(to_next);
        while !rest.starts_with('}') && !rest.is_empty() {
            rest = tree(rest, above, paths).trim_start_matches(to_next);
        }
        above.truncate(depth);
        return rest.strip_prefix('}').unwrap_or(rest);
    }
    paths.push(above.clone());
    above.truncate(depth);
    rest
}

/// The modules that use each other, if there are any.
fn cycle(mut uses: BTreeMap<Name, BTreeSet<Name>>) -> Option<Vec<String>> {
    loop {
        let is_used = |name: &Name| uses.values().any(|used| used.contains(name));
        let is_using = |used: &BTreeSet<Name>| used.iter().any(|name| uses.contains_key(name));
        let is_outside =
            |(name, used): &(&Name, &BTreeSet<Name>)| !is_used(name) || !is_using(used);
        let outside: Vec<_> =
            uses.iter().filter(is_outside).map(|(name, _)| name.clone()).collect();
        if outside.is_empty() {
            break;
        }
        uses.retain(|name, _| !outside.contains(name));
    }
    (!uses.is_empty()).then(|| uses.into_keys().map(|name| name.join("::")).collect())
}
