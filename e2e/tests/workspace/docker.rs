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
    let folders: Vec<_> = crate::crates().iter().map(|folder| folder.join("src")).collect();
    let is_test = |path: &Path| path.iter().any(|part| part == "tests" || part == "tests.rs");
    let relative =
        |path: &Path| path.canonicalize().unwrap().strip_prefix(&root).unwrap().to_owned();
    let sources = crate::source_files(&folders);
    for source in sources.iter().filter(|path| !is_test(&relative(path))) {
        for file in includes(source) {
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

/// The files whose content is compiled into a source.
fn includes(source: &Path) -> Vec<PathBuf> {
    let include = Regex::new(r#"include_(?:str|bytes)!\(\s*"([^"]+)""#).unwrap();
    let text = fs::read_to_string(source).unwrap_or_default();
    let named = include.captures_iter(&text).map(|found| source.with_file_name(&found[1]));
    named.filter_map(|file| file.canonicalize().ok()).collect()
}
