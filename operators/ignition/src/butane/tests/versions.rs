//! Fields that the Ignition of a version does not have, and would refuse or drop at the first boot.

use super::*;

#[test]
fn a_field_of_a_later_version_says_which() {
    let butane =
        "{variant: fcos, version: 1.1.0, passwd: {users: [{name: a, should_exist: false}]}}";
    assert_eq!(error_of(butane), "$.passwd.users.0.should_exist: line 1: requires version 1.2.0");
}

/// From the migration notes of Ignition, 3.0.0 to 3.6.0.
#[test]
fn what_the_ignition_of_that_version_does_not_know_is_too_new() {
    let file =
        |contents: &str| format!("storage: {{files: [{{path: /a, contents: {{{contents}}}}}]}}");
    let merge = |rest: &str| format!("ignition: {{config: {{merge: [{{{rest}}}]}}}}");
    let mode =
        |kind: &str, mode: &str| format!("storage: {{{kind}: [{{path: /a, mode: {mode}}}]}}");
    let cases = [
        (file("source: 'gs://bucket/o'"), "contents.source", "fcos 1.1.0", "fcos 1.2.0"),
        (merge("source: 'GS://bucket/o'"), "merge.0.source", "fcos 1.0.0", "fcos 1.2.0"),
        (file("source: 'arn:aws:s3:::b/o'"), "contents.source", "fcos 1.4.0", "fcos 1.5.0"),
        (file("source: 'arn:aws:s3:::b/o'"), "contents.source", "flatcar 1.0.0", "flatcar 1.1.0"),
        (file("source: 'arn:aws:s3:::b/o'"), "contents.source", "r4e 1.0.0", "fiot 1.0.0"),
        (
            merge("source: 'http://a/b', compression: gzip"),
            "merge.0.compression",
            "fcos 1.0.0",
            "fcos 1.1.0",
        ),
        (mode("files", "04755"), "files.0.mode", "fcos 1.6.0", "fcos 1.7.0"),
        (mode("directories", "01777"), "directories.0.mode", "flatcar 1.1.0", "fcos 1.7.0"),
    ];
    for (rest, field, old, new) in cases {
        let document = |of: &str| {
            let (variant, version) = of.split_once(' ').unwrap();
            format!("variant: {variant}\nversion: {version}\n{rest}\n")
        };
        let error = error_of(&document(old));
        assert!(
            error.contains(&format!(
                "{field}: line 3: requires version \
                                         1."
            )),
            "{rest}: {error}"
        );
        assert!(translate(&document(new)).is_ok(), "{rest}: {new}");
    }
    // Supported for files from the beginning.
    let gzip = file("source: 'http://a/b', compression: gzip");
    for rest in [gzip, mode("files", "0755"), file("source: 's3://bucket/o'")] {
        let document = format!("variant: fcos\nversion: 1.0.0\n{rest}\n");
        assert!(translate(&document).is_ok(), "{document}");
    }
}

#[test]
fn of_what_lies_in_s3_nothing_is_unpacked() {
    for source in ["s3://bucket/key", "S3://bucket/key", "arn:aws:s3:::bucket/key"] {
        let document = |compression: &str| {
            let contents = format!("{{source: '{source}', compression: {compression}}}");
            with_header(&format!("storage: {{files: [{{path: /a, contents: {contents}}}]}}"))
        };
        let error = error_of(&document("gzip"));
        let expected = "contents.compression: line 3: must be absent, because the source is in S3";
        assert!(error.contains(expected), "{source}: {error}");
        assert!(translate(&document("''")).is_ok(), "{source}");
    }
}
