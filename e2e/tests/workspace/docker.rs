//! The Dockerfile builds from less than there is: what `.dockerignore` leaves.

use e2e::cluster::workspace;
use regex::Regex;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

#[test]
fn what_a_source_includes_is_in_the_context_of_the_dockerfile() {
    let ignored = fs::read_to_string(workspace().join(".dockerignore")).unwrap();
    assert_eq!(ignored.lines().next(), Some("*"), "everything, but for what follows");
    let kept: BTreeSet<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let root = workspace().canonicalize().unwrap();
    let (mut included, mut missing) = (0, BTreeSet::new());
    for source in crate::crates().iter().flat_map(|folder| sources(&folder.join("src"))) {
        for file in includes(&source) {
            included += 1;
            let path = file.strip_prefix(&root).unwrap();
            let top = path.components().next().unwrap().as_os_str().to_str().unwrap();
            if !kept.contains(top) {
                missing.insert(path.to_owned());
            }
        }
    }
    assert!(included > 10, "only {included} files are included");
    assert!(missing.is_empty(), "`docker build` does not find {missing:#?}");
}

/// The sources below a folder, without tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.file_stem().and_then(|name| name.to_str()) {
            Some("tests") => {}
            _ if path.is_dir() => found.extend(sources(&path)),
            _ => found.push(path),
        }
    }
    found
}

/// The files whose content is compiled into a source.
fn includes(source: &Path) -> Vec<PathBuf> {
    let include = Regex::new(r#"include_(?:str|bytes)!\(\s*"([^"]+)""#).unwrap();
    let text = fs::read_to_string(source).unwrap_or_default();
    let named = include.captures_iter(&text).map(|found| source.with_file_name(&found[1]));
    named.filter_map(|file| file.canonicalize().ok()).collect()
}
