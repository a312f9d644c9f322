//! Modules of a crate depend on each other one way, as crates do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use e2e::cluster::workspace;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The crates that are held to it.
const CRATES: &[&str] =
    &["agent", "crds", "e2e", "e2e/simulator", "operators/base", "operators/dhcp"];

/// A module by the names of those that it is in, and its own.
type Module = Vec<String>;

#[test]
fn no_module_depends_on_one_that_depends_on_it() {
    for folder in CRATES {
        let modules = modules(&workspace().join(folder).join("src"));
        assert!(modules.len() > 1, "{folder}");
        assert_eq!(cycle(&edges(&modules)), None, "{folder}");
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
    let modules = modules.map(|(module, text)| {
        (module.into_iter().map(str::to_owned).collect::<Module>(), text.to_owned())
    });
    let edges = edges(&modules.into());
    assert_eq!(edges[&module("b")], [module("c"), module("d")].into());
    assert_eq!(cycle(&edges).unwrap().len(), 3);
    let to_the_parent = [(vec!["a".to_owned(), "b".to_owned()], "use super::X;".to_owned())];
    assert_eq!(cycle(&self::edges(&to_the_parent.into())), None);
}

fn module(name: &str) -> Module {
    vec![name.to_owned()]
}

/// The text of every module below this folder, without its tests.
fn modules(root: &Path) -> BTreeMap<Module, String> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                // Those of binaries are roots of their own.
                folders.extend((path != root.join("bin")).then_some(path));
            } else if let Some(module) = name(path.strip_prefix(root).unwrap()) {
                let text = fs::read_to_string(&path).unwrap();
                let (text, _) = text.split_once("#[cfg(test)]\nmod ").unwrap_or((&text, ""));
                found.insert(module, text.to_owned());
            }
        }
    }
    found
}

/// What a file is called in `use`; none for roots and tests.
fn name(file: &Path) -> Option<Module> {
    let file = file.to_str()?.strip_suffix(".rs")?;
    let file = file.strip_suffix("/mod").unwrap_or(file);
    let is_other = ["lib", "main", "tests"].contains(&file) || file.ends_with("/tests");
    (!is_other).then(|| file.split('/').map(str::to_owned).collect())
}

/// Which module names which of those that are in the same one.
fn edges(modules: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut edges: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for (from, text) in modules {
        for to in paths(from, text) {
            let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
            let (Some(one), Some(other)) = (from.get(..=shared), to.get(..=shared)) else {
                continue;
            };
            if modules.keys().any(|module| module.starts_with(other)) {
                edges.entry(one.to_owned()).or_default().insert(other.to_owned());
            }
        }
    }
    edges
}

/// Every path of this crate in the text of a module, from the root.
fn paths(module: &Module, text: &str) -> Vec<Module> {
    let words = words(text);
    let (mut paths, mut at) = (Vec::new(), 0);
    while at < words.len() {
        let base = match words[at] {
            "crate" => Some(Vec::new()),
            "super" => Some(module.clone()),
            _ => None,
        };
        match base {
            Some(base) => read(&words, &mut at, base, &mut paths),
            None => at += 1,
        }
    }
    paths
}

/// Reads one path, or the paths of a group.
fn read(words: &[&str], at: &mut usize, mut base: Module, paths: &mut Vec<Module>) {
    loop {
        match words.get(*at).copied() {
            Some("crate") => {}
            Some("super") => drop(base.pop()),
            Some("{") => {
                *at += 1;
                while !matches!(words.get(*at), None | Some(&"}")) {
                    match words[*at] {
                        "," => *at += 1,
                        _ => read(words, at, base.clone(), paths),
                    }
                }
                *at += 1;
                return;
            }
            Some(name) => base.push(name.to_owned()),
            None => return,
        }
        *at += 1;
        if words.get(*at) != Some(&"::") {
            break;
        }
        *at += 1;
    }
    // Whatever is behind `as`.
    while !matches!(words.get(*at), None | Some(&("," | "}" | ";"))) && words[*at] == "as" {
        *at += 2;
    }
    paths.push(base);
}

/// Names, `::`, and what is between them, without comments.
fn words(text: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut words = Vec::new();
    for line in text.lines() {
        let mut rest = line.split_once("//").map_or(line, |(code, _)| code);
        while let Some(first) = rest.chars().next() {
            let name = rest.find(|c| !is_name(c)).unwrap_or(rest.len());
            let length = match first {
                _ if name > 0 => name,
                ':' if rest.starts_with("::") => 2,
                _ => first.len_utf8(),
            };
            let (word, after) = rest.split_at(length);
            words.extend((!word.trim().is_empty()).then_some(word));
            rest = after;
        }
    }
    words
}

/// Modules that depend on each other, if there are any.
fn cycle(edges: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<Module>> {
    edges.keys().find_map(|from| {
        let back = reached(edges, from);
        let both = back.iter().filter(|to| reached(edges, to).contains(from));
        let both: Vec<_> = both.cloned().collect();
        (!both.is_empty()).then_some(both)
    })
}

/// Where one gets from here.
fn reached(edges: &BTreeMap<Module, BTreeSet<Module>>, from: &Module) -> BTreeSet<Module> {
    let (mut reached, mut waiting) = (BTreeSet::new(), vec![from]);
    while let Some(next) = waiting.pop() {
        for to in edges.get(next).into_iter().flatten() {
            if reached.insert(to.clone()) {
                waiting.push(to);
            }
        }
    }
    reached
}
