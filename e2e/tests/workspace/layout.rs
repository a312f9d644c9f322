//! Where modules are: one that has modules of its own is the `mod.rs` of their folder.

use e2e::{cluster::workspace, files::files_below};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

#[test]
fn a_module_with_modules_of_its_own_is_in_their_folder() {
    let sources = crate::crates().into_iter().map(|folder| folder.join("src"));
    for source in sources.chain([workspace().join("e2e/tests")]) {
        let beside = beside(&source);
        assert!(beside.is_empty(), "each should be the mod.rs of its folder: {beside:#?}");
    }
}

#[test]
fn a_file_beside_the_folder_of_its_modules_is_found_and_one_beside_data_is_none() {
    let root = tempfile::tempdir().unwrap();
    for file in ["a.rs", "a/b.rs", "c/mod.rs", "c/d.rs", "c/d/e.rs", "f.rs", "f/data.json", "g.rs"]
    {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let found: Vec<_> = beside(root.path())
        .into_iter()
        .map(|path| path.strip_prefix(root.path()).unwrap().to_owned())
        .collect();
    assert_eq!(found, [PathBuf::from("a.rs"), PathBuf::from("c/d.rs")]);
}

/// Files below a folder whose modules are in a folder beside them, in the order of their paths.
fn beside(folder: &Path) -> Vec<PathBuf> {
    let mut sources = files_below(folder).unwrap();
    sources.retain(|path| path.extension().is_some_and(|it| it == "rs"));
    let beside = sources.iter().filter_map(|path| Some(path.parent()?.with_extension("rs")));
    let beside: BTreeSet<_> = beside.filter(|file| file.is_file()).collect();
    beside.into_iter().collect()
}
