//! Modules of a crate must not depend on each other in a cycle: such modules can only be read
//! together.

use e2e::cluster::workspace;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Crates without cycles.
const ACYCLIC: &[&str] = &[
    "agent",
    "agent/installer",
    "agent/node",
    "crds",
    "e2e",
    "e2e/simulator",
    "operators/attest",
    "operators/base",
    "operators/bmc",
    "operators/boot",
    "operators/core",
    "operators/dhcp",
    "operators/hosts",
    "operators/image",
    "operators/metal",
    "operators/metalman",
    "operators/netboot",
    "operators/runtime",
    "operators/serve",
];

/// A module, as the names that lead to it.
type Name = Vec<String>;

#[test]
fn no_module_uses_one_that_uses_it() {
    for folder in ACYCLIC {
        let mut modules = BTreeMap::new();
        read(&workspace().join(folder).join("src"), &[], &mut modules);
        assert!(modules.len() > 5, "{folder}");
        let cycles: Vec<_> = siblings(&modules).into_iter().filter_map(cycle).collect();
        assert!(cycles.is_empty(), "{folder}: these modules use each other: {cycles:#?}");
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
            modules.insert(name, fs::read_to_string(path).unwrap());
        }
    }
}

/// For each module, which of its direct children use which.
fn siblings(modules: &BTreeMap<Name, String>) -> Vec<BTreeMap<Name, BTreeSet<Name>>> {
    let mut edges: BTreeMap<Name, BTreeMap<Name, BTreeSet<Name>>> = BTreeMap::new();
    for (user, text) in modules {
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for path in paths(user, text) {
            let mut known = (0..=path.len()).rev().map(|len| &path[..len]);
            let Some(other) = known.find(|name| modules.contains_key(*name)) else { continue };
            let shared = user.iter().zip(other).take_while(|(a, b)| a == b).count();
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
    let code: Vec<&str> =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let code = code.join("\n");
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
    let absolute = |path: Vec<&str>| {
        let up = path.iter().take_while(|name| **name == "super").count();
        let mut name = if path[0] == "crate" { Vec::new() } else { module.to_vec() };
        name.truncate(name.len().saturating_sub(up));
        name.extend(path[up.max(1)..].iter().map(|name| (*name).to_owned()));
        name
    };
    paths.into_iter().map(absolute).collect()
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

/// A cycle of modules, if there is one.
fn cycle(mut uses: BTreeMap<Name, BTreeSet<Name>>) -> Option<Vec<String>> {
    loop {
        let idle: Vec<_> = {
            let is_idle = |used: &BTreeSet<Name>| used.iter().all(|it| !uses.contains_key(it));
            uses.iter().filter(|(_, used)| is_idle(used)).map(|(name, _)| name.clone()).collect()
        };
        if idle.is_empty() {
            break;
        }
        uses.retain(|name, _| !idle.contains(name));
    }
    (!uses.is_empty()).then(|| uses.into_keys().map(|name| name.join("::")).collect())
}
