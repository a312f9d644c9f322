//! Reads `use` declarations, to find out where a name that a module re-exports comes from.

use super::Name;
use std::collections::BTreeMap;

/// More re-exports of re-exports than any name goes through.
const DEPTH: usize = 8;

/// The names that the modules of a crate import, with the absolute paths of what they are.
pub(super) struct Imports(BTreeMap<(Name, String), Name>);

impl Imports {
    /// Those of all `modules`, whose sources these are.
    pub(super) fn of(modules: &BTreeMap<Name, String>) -> Self {
        let mut imports = BTreeMap::new();
        for (module, text) in modules {
            for (path, name) in declared(text) {
                if let Some(path) = absolute(module, &path, modules) {
                    imports.insert((module.clone(), name), path);
                }
            }
        }
        Self(imports)
    }

    /// The module in which the item at `path` is written, whichever modules re-export it.
    pub(super) fn module_of(&self, mut path: Name, modules: &BTreeMap<Name, String>) -> Name {
        for _ in 0..DEPTH {
            let lengths = (0..=path.len()).rev();
            let length = lengths.into_iter().find(|len| is_module(&path[..*len], modules));
            let length = length.unwrap_or_default();
            let (module, rest) = path.split_at(length);
            let import = rest.first().and_then(|name| self.0.get(&(module.to_vec(), name.clone())));
            match import {
                Some(import) if *import != path[..=length] => {
                    path = [import, &rest[1..]].concat();
                }
                Some(_) | None => return module.to_vec(),
            }
        }
        Name::new()
    }
}

/// The paths of all `use` declarations, and the name that each one brings.
fn declared(text: &str) -> Vec<(Name, String)> {
    let code = super::code(text);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let before = code[..at].trim_end_matches(' ');
        let is_declaration = before.is_empty()
            || before.ends_with(['\n', ')', '}', ';', ']'])
            || before.ends_with("pub");
        if is_declaration {
            tree(&code[at + "use ".len()..], &[], &mut found);
        }
    }
    found
}

/// Parses one tree of a declaration, and returns the text after it.
fn tree<'a>(text: &'a str, above: &[String], found: &mut Vec<(Name, String)>) -> &'a str {
    let mut path = above.to_vec();
    let mut rest = text.trim_start();
    loop {
        if let Some(mut inner) = rest.strip_prefix('{') {
            loop {
                inner = inner.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
                match inner.strip_prefix('}') {
                    Some(rest) => return rest,
                    None if inner.is_empty() => return inner,
                    None => inner = tree(inner, &path, found),
                }
            }
        }
        let (name, behind) = word(rest);
        if name.is_empty() {
            // A glob, or the end of the text.
            return rest.get(1..).unwrap_or_default();
        }
        path.push(name.to_owned());
        rest = behind;
        let Some(next) = rest.strip_prefix("::") else { break };
        rest = next;
    }
    if path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let (alias, behind) = match rest.strip_prefix(" as ") {
        Some(alias) => word(alias),
        None => (path.last().map_or("", String::as_str), rest),
    };
    let alias = alias.to_owned();
    found.push((path, alias));
    behind
}

fn word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at(end)
}

/// Whether this is a module, or a folder of modules.
fn is_module(name: &[String], modules: &BTreeMap<Name, String>) -> bool {
    modules.range(name.to_vec()..).next().is_some_and(|(first, _)| first.starts_with(name))
}

/// The path from the root of the crate, if it is one within the crate.
fn absolute(module: &[String], path: &[String], modules: &BTreeMap<Name, String>) -> Option<Name> {
    let first = path.first()?;
    let child = [module, std::slice::from_ref(first)].concat();
    match first.as_str() {
        "crate" | "self" | "super" => Some(super::absolute(module, path)),
        _ => is_module(&child, modules).then(|| [module, path].concat()),
    }
}
