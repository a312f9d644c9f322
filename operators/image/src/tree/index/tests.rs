use super::*;

#[test]
fn a_path_is_found_through_links_that_stay_in_the_image() {
    let mut index = index(&["disk/a/b", "disk/c"]);
    for (name, target) in [
        ("disk/to-b", "a/b"),
        ("disk/absolute", "/disk/a/b"),
        ("disk/a/up", "../c"),
        ("disk/folder", "a"),
        ("disk/twice", "folder/up"),
        ("disk/above", "../../../disk/c"),
    ] {
        index.add_link(&parts(name), 1, target.as_bytes()).unwrap();
    }
    let (b, c) = (index.find("a/b"), index.find("c"));
    assert!(b.is_some() && c.is_some() && b != c);
    for (path, file) in [
        ("to-b", b),
        ("absolute", b),
        ("a/up", c),
        ("folder/b", b),
        ("twice", c),
        ("above", c),
        ("/a//./b", b),
        ("a/../c", c),
        ("../disk/c", c),
    ] {
        assert_eq!(index.find(path), file, "{path}");
    }
}

#[test]
fn where_disk_is_a_file_nothing_is_found() {
    let index = index(&["disk"]);
    for path in ["", "/", "disk", "../disk", "disk/.."] {
        assert_eq!(index.find(path), None, "{path}");
    }
}

#[test]
fn a_link_that_leads_out_of_the_image_or_in_circles_leads_nowhere() {
    let mut index = index(&["disk/a"]);
    for (name, target) in [
        ("disk/passwd", "/etc/passwd"),
        ("disk/up", "../../../../etc/passwd"),
        ("disk/root", "/"),
        ("disk/circle", "circle"),
        ("disk/one", "other"),
        ("disk/other", "one"),
        ("disk/through", "a/b"),
    ] {
        index.add_link(&parts(name), 1, target.as_bytes()).unwrap();
    }
    for path in [
        "passwd",
        "up",
        "root",
        "root/etc/passwd",
        "circle",
        "one",
        "through",
        "a/b",
        "",
        "..",
        "a/",
    ] {
        let found = index.find(path);
        assert_eq!(found.is_some(), path == "a/", "{path}");
    }
    // A link that doubles with every step is no way to spend memory.
    for step in 0..40 {
        let next = format!("l{}/", step + 1).repeat(100);
        index.add_link(&parts(&format!("disk/l{step}")), 1, next.as_bytes()).unwrap();
    }
    assert_eq!(index.find("l0"), None);
}

#[test]
fn a_hard_link_is_another_name_of_a_file_below_disk() {
    let mut index = index(&["disk/a"]);
    index.add_name(&parts("disk/b"), 1, &parts("disk/a")).unwrap();
    assert_eq!(index.find("b"), index.find("a"));
    index.add_link(&parts("disk/link"), 1, b"/etc").unwrap();
    for target in
        ["disk", "disk/missing", "etc/passwd", "disk/link/passwd", "disk/link", "disk/a/b", ""]
    {
        let refused = index.add_name(&parts("disk/c"), 1, &parts(target));
        assert!(matches!(refused, Err(Unusable::Path { .. })), "{target}");
    }
}

#[test]
fn nothing_is_put_behind_a_link() {
    let mut index = index(&["disk/a"]);
    index.add_link(&parts("disk/etc"), 1, b"/etc").unwrap();
    for path in ["disk/etc/passwd", "disk/a/b"] {
        assert!(index.add_file(&parts(path), 2, file(9)).is_err(), "{path}");
        assert!(index.add_folder(&parts(path), 2).is_err(), "{path}");
        assert!(index.add_link(&parts(path), 2, b"x").is_err(), "{path}");
    }
}

#[test]
fn a_layer_replaces_what_is_below_it() {
    let mut index = index(&["disk/a", "disk/b/c"]);
    index.add_file(&parts("disk/a"), 2, file(9)).unwrap();
    assert_eq!(index.find("a"), Some(file(9)));
    index.add_folder(&parts("disk/b"), 2).unwrap();
    assert!(index.find("b/c").is_some(), "a folder is the one that is there");
    index.add_file(&parts("disk/b"), 2, file(10)).unwrap();
    assert_eq!((index.find("b"), index.find("b/c")), (Some(file(10)), None));
    index.add_folder(&parts("disk/b"), 3).unwrap();
    assert_eq!(index.find("b"), None);
    assert_eq!(index.files(), [file(9)]);
}

#[test]
fn whiteouts_hide_what_is_below_their_layer_and_nothing_of_it() {
    let mut index = index(&["disk/a", "disk/b/c", "disk/b/d", "disk/e/f"]);
    assert!(index.hide(&parts("disk/.wh.a"), 2));
    assert_eq!(index.find("a"), None);
    index.add_file(&parts("disk/b/new"), 2, file(9)).unwrap();
    assert!(index.hide(&parts("disk/b/.wh..wh..opq"), 2));
    assert_eq!((index.find("b/c"), index.find("b/new")), (None, Some(file(9))));
    // The other way round in the archive, it is the same.
    index.add_file(&parts("disk/e"), 2, file(10)).unwrap();
    assert!(index.hide(&parts("disk/.wh.e"), 2));
    assert_eq!(index.find("e"), Some(file(10)));
    for path in ["disk/missing/.wh.a", "disk/e/.wh.a", "disk/.wh.", "disk/.wh..wh.plnk"] {
        assert!(index.hide(&parts(path), 2), "{path}");
    }
    assert!(!index.hide(&parts("disk/a"), 2) && !index.hide(&[], 2));
    assert!(index.hide(&parts(".wh.disk"), 3));
    assert!(!index.has_disk());
}

fn index(files: &[&str]) -> Index {
    let mut index = Index::default();
    for (number, path) in files.iter().enumerate() {
        index.add_file(&parts(path), 1, file(u32::try_from(number).unwrap())).unwrap();
    }
    index
}

fn file(number: u32) -> File {
    File { number, size: 0 }
}

fn parts(path: &str) -> Vec<String> {
    path::parts(path.as_bytes()).unwrap()
}
