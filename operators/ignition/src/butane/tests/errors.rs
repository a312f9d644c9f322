//! What is not translated, and the error for it.

use super::*;

#[test]
fn what_is_not_translated_is_named_and_not_dropped() {
    let cases = [
        ("storage: {disks: []}", "$.storage.disks: line 3: not supported"),
        (
            "storage: {files: [{path: /a, modus: 1}]}",
            "$.storage.files.0.modus: line 3: not supported",
        ),
        ("boot_device: {}", "$.boot_device: line 3: not supported"),
        (
            "storage: {files: [{path: /a, contents: {local: b}}]}",
            "$.storage.files.0.contents.local: line 3: not supported, local files are not \
             available; use inline contents",
        ),
        (
            "systemd: {units: [{name: a.service, contents_local: b}]}",
            "$.systemd.units.0.contents_local: line 3: not supported, local files are not \
             available; use inline contents",
        ),
        ("passwd: {users: [{groups: [a]}]}", "$.passwd.users.0.name: line 3: missing"),
        ("passwd: {users: {name: a}}", "$.passwd.users: line 3: must be a list"),
        ("passwd: {users: [a]}", "$.passwd.users.0: line 3: must be a mapping"),
        (
            "passwd: {users: [{name: []}]}",
            "$.passwd.users.0.name: line 3: must be text; put it in quotes",
        ),
        (
            "storage: {files: [{path: a}]}",
            "$.storage.files.0.path: line 3: must be an absolute path",
        ),
        (
            "storage: {files: [{path: /a, mode: 010000}]}",
            "$.storage.files.0.mode: line 3: must be a mode such as 0644",
        ),
        (
            "storage: {files: [{path: /a, contents: {inline: a, source: b}}]}",
            "$.storage.files.0.contents: line 3: must be either source or inline, not both",
        ),
        (
            "systemd: {units: [{name: a.service}, {name: a.service}]}",
            "$.systemd.units.1.name: line 3: \"a.service\" is duplicated",
        ),
        (
            "storage: {files: [{path: /a}], links: [{path: /a, target: /b}]}",
            "$.storage.links.0.path: line 3: \"/a\" is duplicated",
        ),
        (
            "systemd: {units: [{name: a, enabled: 1}]}",
            "$.systemd.units.0.enabled: line 3: must be true or false",
        ),
    ];
    for (butane, expected) in cases {
        assert_eq!(error_of(&with_header(butane)), expected, "{butane}");
    }
}

#[test]
fn what_ignition_refuses_is_refused_here() {
    let cases = [
        (
            "systemd: {units: [{name: a}]}",
            "$.systemd.units.0.name: line 3: must be the name of a unit",
        ),
        (
            "systemd: {units: [{name: a.serivce}]}",
            "$.systemd.units.0.name: line 3: must be the name of",
        ),
        (
            "systemd: {units: [{name: ''}]}",
            "$.systemd.units.0.name: line 3: must be the name of a unit",
        ),
        (
            "systemd: {units: [{name: .service}]}",
            "$.systemd.units.0.name: line 3: must be the name of a",
        ),
        (
            "systemd: {units: [{name: a/b.service}]}",
            "$.systemd.units.0.name: line 3: must be the name of",
        ),
        (
            "systemd: {units: [{name: a.service, contents: '[Unit'}]}",
            "$.systemd.units.0.contents: line 3: must be a unit with section headers like \
             [Service]",
        ),
        (
            "systemd: {units: [{name: a.service, contents: \"[Unit]\\nAfter\\n\"}]}",
            "$.systemd.units.0.contents: line 3: must be a unit with options like Name=value",
        ),
        (
            "systemd: {units: [{name: a.service, dropins: [{name: b.txt}]}]}",
            "$.systemd.units.0.dropins.0.name: line 3: must be the name of a drop-in",
        ),
        (
            "systemd: {units: [{name: a.service, dropins: [{name: b.conf}, {name: b.conf}]}]}",
            "$.systemd.units.0.dropins.1.name: line 3: \"b.conf\" is duplicated",
        ),
        (
            "storage: {directories: [{path: /a/}]}",
            "$.storage.directories.0.path: line 3: must be a path",
        ),
        (
            "storage: {files: [{path: /a//b}]}",
            "$.storage.files.0.path: line 3: must be a path without //",
        ),
        (
            "storage: {files: [{path: /a/../b}]}",
            "$.storage.files.0.path: line 3: must be a path without //",
        ),
        (
            "storage: {links: [{path: a, target: b}]}",
            "$.storage.links.0.path: line 3: must be an absolute",
        ),
        (
            "storage: {links: [{path: /a, target: /b}], files: [{path: /a/c}]}",
            "$.storage.files.0.path: line 3: must be a path that does not pass through a link",
        ),
        (
            "storage: {links: [{path: /a/b, target: ../c, hard: true}], directories: [{path: /c}]}",
            "$.storage.links.0.target: line 3: must be a file, because a hard link cannot point \
             to a directory",
        ),
        (
            "storage: {files: [{path: /a, overwrite: true}]}",
            "$.storage.files.0.overwrite: line 3: must be false, because there are no contents",
        ),
        (
            "storage: {files: [{path: /a, user: {id: 1, name: a}}]}",
            "$.storage.files.0.user: line 3: must be either an id or a name, not both",
        ),
        (
            "passwd: {users: [{name: a, ssh_authorized_keys: [k, k]}]}",
            "$.passwd.users.0.ssh_authorized_keys.1: line 3: \"k\" is duplicated",
        ),
        (
            "passwd: {groups: [{name: a}, {name: a}]}",
            "$.passwd.groups.1.name: line 3: \"a\" is duplicated",
        ),
    ];
    for (butane, expected) in cases {
        let error = error_of(&with_header(butane));
        assert!(error.starts_with(expected), "{butane}: {error}");
    }
}

#[test]
fn what_ignition_alone_refuses_is_told_with_its_place_in_the_butane() {
    let contents = |rest: &str| format!("storage: {{files: [{{path: /a, contents: {{{rest}}}}}]}}");
    let cases = [
        (
            "ignition: {config: {merge: [{inline: hunter2}, {inline: hunter2}]}}".to_owned(),
            "$.ignition.config.merge.1.source: line 3: must be different from the others",
        ),
        (
            "ignition: {config: {merge: [{}]}}".to_owned(),
            "$.ignition.config.merge.0.source: line 3: must be given: there is nothing to fetch",
        ),
        (
            contents("source: 'http://a/', http_headers: [{name: a, value: ''}]"),
            "$.storage.files.0.contents.http_headers.0.value: line 3: must be text that is not empty",
        ),
        (
            contents("source: 'http://a/#%zz'"),
            "$.storage.files.0.contents.source: line 3: must be a URL with a valid host, port and \
             percent-encoding, without control characters",
        ),
        (
            contents("source: 'arn:aws:s3:::bucket'"),
            "$.storage.files.0.contents.source: line 3: must be the ARN of an object in S3, such \
             as arn:aws:s3:::bucket/object",
        ),
    ];
    for (butane, expected) in cases {
        assert_eq!(error_of(&with_header(&butane)), expected, "{butane}");
    }
}

#[test]
fn content_is_named_as_ignition_takes_it() {
    let hash = "sha512-".to_owned() + &"0".repeat(128);
    let file = |contents: &str| {
        with_header(&format!("storage: {{files: [{{path: /a, contents: {{{contents}}}}}]}}"))
    };
    let good = [
        "source: 'http://a/b'".to_owned(),
        "source: 'HTTPS://[::1]:8443/b?c=%'".to_owned(),
        "source: 'tftp://a/b'".to_owned(),
        "source: 's3://bucket/key'".to_owned(),
        "source: 'arn:aws:s3:::bucket/key'".to_owned(),
        "source: 'data:,a%20b'".to_owned(),
        "source: 'data:text/plain;charset=utf-8;base64,aGk='".to_owned(),
        "source: ''".to_owned(),
        "inline: ''".to_owned(),
        "source: 'http://a/b', compression: gzip".to_owned(),
        "source: 'http://a/b', compression: ''".to_owned(),
        format!("source: 'http://a/b', verification: {{hash: '{hash}'}}"),
    ];
    for contents in good {
        let translated = translate(&file(&contents));
        assert!(translated.is_ok(), "{contents}: {translated:?}");
    }
    let bad = [
        ("source: /etc/passwd", "source: must be a URL with the scheme http"),
        ("source: 'ftp://a/b'", "source: must be a URL with the scheme http"),
        ("source: 'file:///a'", "source: must be a URL with the scheme http"),
        ("source: 'http:///b'", "source: must be a URL with a host"),
        ("source: 'http://a b/'", "source: must be a URL with a host"),
        ("source: 'http://a:b/'", "source: must be a URL with a host"),
        ("source: 'http://a/%zz'", "source: must be a URL with a host"),
        ("source: 'data:a'", "source: must be a data: URL with a comma"),
        ("source: 'data:,%4'", "source: must be a data: URL with valid percent"),
        ("source: 'data:;base64,aGk'", "source: must be a data: URL with valid base64"),
        ("source: 'http://a/b', compression: xz", "compression: must be gzip, or absent"),
        ("source: 'http://a/b', compression: GZIP", "compression: must be gzip, or absent"),
        ("source: 'http://a/b', verification: {hash: abc}", "verification.hash: must be sha512-"),
        ("source: 'http://a/b', verification: {hash: sha256-0}", "verification.hash: must be sha5"),
        (
            "source: 'http://a/b', verification: {hash: md5-00}",
            "verification.hash: must be sha512-",
        ),
        ("inline: a, http_headers: [{name: a, value: b}]", "http_headers: must be absent"),
        (
            "source: 'http://a/', http_headers: [{name: a, value: b}, {name: a, value: c}]",
            "http_headers.1.name: \"a\" is duplicated",
        ),
    ];
    for (contents, expected) in bad {
        let error = error_of(&file(contents));
        let (field, expected) = expected.split_once(": ").unwrap();
        let expected = format!("$.storage.files.0.contents.{field}: line 3: {expected}");
        assert!(error.starts_with(&expected), "{contents}: {error}");
    }
    let bare = file(&format!("verification: {{hash: '{hash}'}}"));
    assert!(
        error_of(&bare)
            .contains("verification.hash: line 3: must be absent, because there is no source")
    );
    let sha256 =
        format!("source: 'http://a/b', verification: {{hash: 'sha256-{}'}}", "0".repeat(64));
    let old = file(&sha256).replace("1.5.0", "1.0.0");
    assert!(error_of(&old).contains("verification.hash: line 3: requires version 1.1.0"));
    assert!(translate(&file(&sha256)).is_ok());
}

#[test]
fn an_error_says_on_which_line_the_field_is() {
    let document = r"variant: fcos
version: 1.5.0
# Nothing.
passwd:
  users:
  - name: core

    uid: none
storage:
  directories:
  - path: /b
  files:
  - path: /a
    contents:
      inline: |
        one
        two
      compression: xz
  - mode: 0644
    path:
      /a
  - {path: /b, overwrite:
      true}
";
    let without = |lines: std::ops::RangeInclusive<usize>| {
        let kept = document.lines().enumerate().filter(|(at, _)| !lines.contains(&(at + 1)));
        kept.flat_map(|(_, line)| [line, "\n"]).collect::<String>()
    };
    assert_eq!(error_of(document), "$.passwd.users.0.uid: line 8: must be a number");
    let document = without(8..=8);
    let cases = [
        (document.clone(), "$.storage.files.0.contents.compression: line 17: must be gzip"),
        (document.replace("xz", "gzip"), "$.storage.files.1.path: line 19: \"/a\" is duplicated"),
        (
            document.replace("xz", "gzip").replace("      /a", "      /c"),
            "$.storage.files.2.path: line 21: \"/b\" is duplicated",
        ),
        (
            document
                .replace("xz", "gzip")
                .replace("      /a", "      /c")
                .replace(": /b,", ": /d,"),
            "$.storage.files.2.overwrite: line 21: must be false",
        ),
        (
            document.replace("  - path: /b", "  - mode: 1"),
            "$.storage.directories.0.path: line 10: missing",
        ),
        (document.replace("storage:", "storages:"), "$.storages: line 8: not supported"),
        (
            document.replace("inline: |", "source: &a |").replace("xz", "*a"),
            "$.storage.files.0.contents.compression: line 17: must be gzip",
        ),
    ];
    for (document, expected) in cases {
        let error = error_of(&document);
        assert!(error.starts_with(expected), "{error}: {document}");
    }
}

#[test]
fn what_an_error_shows_of_a_text_is_short() {
    let long = "x".repeat(10_000);
    for document in [
        format!("{{variant: {long}, version: {long}}}"),
        with_header(&format!("{long}: 1")),
        with_header(&format!("passwd: {{groups: [{{name: {long}}}, {{name: {long}}}]}}")),
        with_header(&format!("passwd: {{users: [{{name: a, groups: [{long}, {long}]}}]}}")),
        with_header(&format!("storage: {{links: [{{path: /{long}}}, {{path: /{long}}}]}}")),
        format!("{{{long}: 1, {long}: 2}}"),
    ] {
        let error = error_of(&document);
        assert!(error.len() < 400, "{error}");
    }
    let error = error_of(&with_header("\"a\\nb\\e[1m\": 1"));
    assert_eq!(error, "$.a b [1m: line 3: not supported");
}

#[test]
fn a_text_that_is_no_butane_says_why() {
    let cases = [
        ("", "must be a mapping"),
        ("[]", "must be a mapping"),
        ("{version: 1.3.0}", "$.variant: line 1: missing"),
        ("{variant: fcos, version: 1}", "$.version: line 1: must be text; put it in quotes"),
        ("{\"ignition\": {\"version\": \"3.2.0\"}}", "$.variant: line 1: missing"),
        ("{variant: openshift, version: 4.8.0}", "variant \"openshift\" version \"4.8.0\" is not"),
        ("{variant: fcos, version: 9.9.9}", "version \"9.9.9\" is not supported: use fcos 1.0.0"),
        ("a: [", "not valid YAML"),
        ("{variant: fcos, variant: fcos}", "not valid YAML"),
    ];
    for (butane, expected) in cases {
        let error = error_of(butane);
        assert!(error.contains(expected), "{butane}: {error}");
    }
    assert_eq!(translate(&" ".repeat(MAX_TEXT + 1)), Err(Error::TooLong));
}

#[test]
fn an_error_does_not_show_the_text() {
    let error = error_of("passwd: {users: [{name: a, password_hash: 'hunter2");
    assert!(!error.contains("hunter2"), "{error}");
}
