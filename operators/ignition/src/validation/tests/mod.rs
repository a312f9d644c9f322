use super::*;
use Content::{Foreign, OtherVersion, Valid};

const FLATCAR: &str = include_str!("flatcar.json");
const GARDEN_LINUX: &str = include_str!("garden-linux.json");
const DISKS: &str = include_str!("disks.json");

fn said(text: &[u8]) -> String {
    check(text).map_or_else(|error| error.to_string(), |content| format!("{content:?}"))
}

#[test]
fn what_machines_take_is_taken_in_every_version() {
    for text in [FLATCAR, GARDEN_LINUX, DISKS] {
        assert_eq!(check(text.as_bytes()), Ok(Valid), "{}", said(text.as_bytes()));
        let windows = text.replace('\n', "\r\n");
        assert_eq!(check(windows.as_bytes()), Ok(Valid));
    }
    for minor in 0..=6 {
        for text in [
            format!(r#"{{"ignition":{{"version":"3.{minor}.0"}}}}"#),
            format!(
                r#"{{"ignition":{{"version":"3.{minor}.0"}},
                "storage":{{"files":[{{"path":"/a","mode":420,"contents":{{"source":"data:,a"}}}}]}},
                "passwd":null,"systemd":{{"units":[{{"name":"a@b.service","contents":null}}]}}}}"#
            ),
        ] {
            assert_eq!(check(text.as_bytes()), Ok(Valid), "{text}: {}", said(text.as_bytes()));
        }
    }
}

/// From the migration notes of Ignition, 3.0.0 to 3.4.0.
#[test]
fn what_the_ignition_of_that_version_does_not_fetch_or_verify_is_refused() {
    let sha256 = format!("sha256-{}", "0".repeat(64));
    let hashed = format!(r#""source":"https://a/b","verification":{{"hash":"{sha256}"}}"#);
    let cases = [
        (hashed.as_str(), "contents.verification.hash", 1),
        (r#""source":"gs://bucket/o""#, "contents.source", 2),
        (r#""source":"arn:aws:s3:::b/o""#, "contents.source", 4),
    ];
    for (contents, field, since) in cases {
        for minor in 0..=6 {
            let text = format!(
                r#"{{"ignition":{{"version":"3.{minor}.0"}},
                "storage":{{"files":[{{"path":"/a","contents":{{{contents}}}}}]}}}}"#
            );
            let said = said(text.as_bytes());
            let refused = format!("must be used with version 3.{since}.0 or later");
            let is_refused = said.contains(field) && said.ends_with(&refused);
            assert_eq!(is_refused, minor < since, "{text}: {said}");
            assert_eq!(said == "Valid", minor >= since, "{text}: {said}");
        }
    }
}

#[test]
fn what_ignition_only_warns_of_is_handed_on() {
    for rest in [
        r#""storage":{"file":[]}"#,
        r#""storage":{"files":[{"path":"/a","modus":"0644"}]}"#,
        r#""storage":{"files":[{"path":"/a","mode":2541}]}"#,
        r#""systemd":{"units":[{"name":"a b.service","enable":true}]}"#,
        r#""comment":{"a":[1,{"b":null}]}"#,
        r#""storage":{"files":[{"path":"/a","contents":{"source":"oem:///a"}}]}"#,
        r#""storage":{"files":[{"path":"/a","contents":{"source":"http://a/b c"}}]}"#,
    ] {
        let text = document(rest);
        assert_eq!(check(text.as_bytes()), Ok(Valid), "{text}: {}", said(text.as_bytes()));
    }
}

#[test]
fn text_that_is_not_ignition_is_passed_through() {
    for text in [
        &b"#cloud-config\nusers: [{name: a}]\n"[..],
        b"#!/bin/sh\ncat > /a <<E\n{\"ignition\": {\"version\": \"3.4.0\"},}\nE\n",
        b"Content-Type: multipart/mixed; boundary=a\n\n--a\n",
        b"<powershell>\n</powershell>",
        b"[section]\nkey = 1\n",
        b"variant: flatcar\nversion: 1.1.0\n",
        b"{variant: fcos, version: 1.3.0}",
        b"{\"variant\": fcos, \"version\": 1.3.0}",
        b"{\"variant\": \"fcos\", \"version\": \"1.3.0\", \"storage_\": 1}",
        b"{{ user_data }}",
        b"{% if a %}{% endif %}",
        b"{\"users\": [{\"name\": \"a\"}]}",
        b"",
        b" \n",
        b"anything",
        b"\x1f\x8b\x08\0\0\xff\xfe{\"ignition\"",
        b"\xff\xfe<\0p\0",
    ] {
        assert_eq!(check(text), Ok(Foreign), "{}", String::from_utf8_lossy(text));
    }
    let large = "# a\n".repeat(MAX_TEXT);
    assert_eq!(check(large.as_bytes()), Ok(Foreign));
}

#[test]
fn a_version_that_others_read_is_handed_on_and_one_that_nobody_reads_is_not() {
    for version in ["2.0.0", "2.2.0", "2.4.0-experimental", "3.6.0-experimental", "3.7.0", "3.12.0"]
    {
        let text = format!(r#"{{"ignition":{{"version":"{version}"}},"storage":{{"files":1}}}}"#);
        assert_eq!(check(text.as_bytes()), Ok(OtherVersion), "{version}");
    }
    for version in ["3.4.1", "3.4", "3", "v3.4.0", "0.1.0", "1.0.0", "9.9.9", "3.4.0-rc1", "x"] {
        let text = format!(r#"{{"ignition":{{"version":"{version}"}}}}"#);
        let expected = "$.ignition.version: line 1, column 24: must be 3.0.0 to 3.6.0";
        assert_eq!(said(text.as_bytes()), expected, "{version}");
    }
}

#[test]
fn what_a_machine_would_refuse_is_told_with_its_place() {
    for (text, expected) in [
        ("{}", "$.ignition.version: line 1, column 1: missing: use 3.0.0 to 3.6.0"),
        ("{\n", "$: line 2, column 1: EOF while parsing an object"),
        (r#"{"ignition":{}}"#, "$.ignition.version: line 1, column 13: missing: use 3.0.0 to"),
        (r#"{"ignition":null}"#, "$.ignition.version: line 1, column 13: missing: use"),
        (r#"{"storage":{}}"#, "$.ignition.version: line 1, column 1: missing: use"),
        (r#"{"ignition":{"version":3}}"#, "$.ignition.version: line 1, column 24: must be text"),
        (r#"{"ignition":"3.4.0"}"#, "$.ignition: line 1, column 13: must be an object"),
        (r#"{"ignition":["3.4.0"]}"#, "$.ignition: line 1, column 13: must be an object"),
        (
            "{\"ignition\": {\n\"version\": \"3.4.0\",\n}}",
            "$.ignition: line 3, column 1: trailing comma",
        ),
        (r#"{"a":1,,"ignition":{}}"#, "$: line 1, column 8: key must be a string"),
        (r#"{"ignition":{"version":"3.4.0"}} x"#, "$: line 1, column 34: trailing characters"),
        (r#"{"ignition":{"version":"3.4.0"}"#, "$: line 1, column 31: EOF while parsing an object"),
        (
            r#"{"ignition":{"version":"3.4.0","version":"3.4.0"}}"#,
            "$.ignition.version: line 1, column 40: is duplicated",
        ),
        (
            r#"{"ignition":{"version":"3.4.0"},"ignition":{}}"#,
            "$.ignition: line 1, column 42: is duplicated",
        ),
    ] {
        let said = said(text.as_bytes());
        assert!(said.starts_with(expected), "{text}: {said}");
    }
}

#[test]
fn a_value_of_another_type_is_told_with_its_place() {
    refused(&[
        (r#""storage":[]"#, "$.storage: line 2, column 11: must be an object"),
        (r#""storage":[[{}]]"#, "$.storage: line 2, column 11: must be an object"),
        (r#""storage":{"files":{}}"#, "$.storage.files: line 2, column 20: must be a list"),
        (r#""storage":{"files":[["/a"]]}"#, "$.storage.files.0: line 2, column 21: must be an"),
        (
            r#""storage":{"files":[{"path":"/a","user":[]}]}"#,
            "$.storage.files.0.user: line 2, column 41: must be an object",
        ),
        (
            r#""storage":{"files":[{"mode":420}]}"#,
            "$.storage.files.0.path: line 2, column 21: missing",
        ),
        (
            r#""storage":{"files":[{"path":"/a","mode":"0644"}]}"#,
            "$.storage.files.0.mode: line 2, column 41: must be a whole number",
        ),
        (
            r#""storage":{"files":[{"path":"/a","mode":-1}]}"#,
            "$.storage.files.0.mode: line 2, column 41: must be a mode in decimal",
        ),
        (
            r#""storage":{"files":[{"path":"/a","mode":4096}]}"#,
            "$.storage.files.0.mode: line 2, column 41: must be a mode in decimal",
        ),
        (
            r#""storage":{"files":[{"path":"/a","mode":1,"mode":2}]}"#,
            "$.storage.files.0.mode: line 2, column 48: is duplicated",
        ),
    ]);
}

#[test]
fn a_value_that_a_machine_would_refuse_is_told_with_its_place() {
    refused(&[
        (
            r#""storage":{"files":[{"path":"a"}]}"#,
            "$.storage.files.0.path: line 2, column 29: must be an absolute path",
        ),
        (
            r#""storage":{"directories":[{"path":"/a/../b"}]}"#,
            "$.storage.directories.0.path: line 2, column 35: must be a path without",
        ),
        (
            r#""storage":{"files":[{"path":"/a"},{"path":"/a"}]}"#,
            "$.storage.files.1.path: line 2, column 43: is duplicated",
        ),
        (
            r#""storage":{"files":[{"path":"/a"}],"links":[{"path":"/a","target":"/b"}]}"#,
            "$.storage.links.0.path: line 2, column 53: is duplicated",
        ),
        (
            r#""storage":{"files":[{"path":"/a/b"}],"links":[{"path":"/a","target":"/b"}]}"#,
            "$.storage.files.0.path: line 2, column 29: must be a path that does not pass through \
             a link",
        ),
        (
            r#""storage":{"files":[{"path":"/a","overwrite":true}]}"#,
            "$.storage.files.0.overwrite: line 2, column 46: must be false",
        ),
        (
            r#""storage":{"files":[{"path":"/a","contents":{"source":"ftp://a/b"}}]}"#,
            "$.storage.files.0.contents.source: line 2, column 55: must be a URL",
        ),
        (
            r#""storage":{"files":[{"path":"/a","contents":{"source":"data:;base64,A"}}]}"#,
            "$.storage.files.0.contents.source: line 2, column 55: must be a data: URL with valid base64",
        ),
        (
            r#""storage":{"files":[{"path":"/a","contents":{"verification":{"hash":"sha512-0"}}}]}"#,
            "$.storage.files.0.contents.verification.hash: line 2, column 69: must be sha512-",
        ),
        (
            r#""storage":{"files":[{"path":"/a","append":[{"compression":"xz"}]}]}"#,
            "$.storage.files.0.append.0.compression: line 2, column 59: must be gzip",
        ),
        (
            r#""storage":{"disks":[{"device":"sda"}]}"#,
            "$.storage.disks.0.device: line 2, column 31: must be an absolute path",
        ),
        (
            r#""storage":{"disks":[{"device":"/dev/sda","wipeTable":"yes"}]}"#,
            "$.storage.disks.0.wipeTable: line 2, column 54: must be true or false",
        ),
        (
            r#""systemd":{"units":[{"name":"a"}]}"#,
            "$.systemd.units.0.name: line 2, column 29: must be the name of a unit",
        ),
        (
            r#""systemd":{"units":[{"name":"a.service","contents":"[Unit"}]}"#,
            "$.systemd.units.0.contents: line 2, column 52: must be a unit",
        ),
        (
            r#""systemd":{"units":[{"name":"a.service"},{"name":"a.service"}]}"#,
            "$.systemd.units.1.name: line 2, column 50: is duplicated",
        ),
        (
            r#""systemd":{"units":[{"name":"a.service","dropins":[{"name":"b.txt"}]}]}"#,
            "$.systemd.units.0.dropins.0.name: line 2, column 60: must be the name of a drop-in",
        ),
        (
            r#""systemd":{"units":[{"name":"a.service","contents":"[Unit]"}]},"storage":{"files":[{"path":"/etc/systemd/system/a.service"}]}"#,
            "$.storage.files.0.path: line 2, column 92: must be different from the units",
        ),
        (r#""passwd":{"users":[{"uid":1}]}"#, "$.passwd.users.0.name: line 2, column 20: missing"),
        (
            r#""passwd":{"users":[{"name":"a","groups":["b","b"]}]}"#,
            "$.passwd.users.0.groups.1: line 2, column 46: is duplicated",
        ),
        (
            r#""passwd":{"users":[{"name":"a"} {}]}"#,
            "$.passwd.users: line 2, column 33: expected `,` or `]`",
        ),
    ]);
}

#[test]
fn a_text_that_is_not_utf_8_or_begins_with_a_mark_is_told_so() {
    let good = document(r#""systemd":{}"#);
    let latin = document(r#""passwd":{"users":[{"name":"j~rg"}]}"#).into_bytes();
    let latin: Vec<u8> =
        latin.into_iter().map(|byte| if byte == b'~' { 0xf6 } else { byte }).collect();
    assert_eq!(said(&latin), "$: line 2, column 30: must be UTF-8");
    let marked = format!("\u{feff}{good}");
    let expected = "$: line 1, column 1: must begin with {: remove the byte order mark";
    assert_eq!(said(marked.as_bytes()), expected);
    let wide: Vec<u8> = marked.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(said(&wide), "$: line 1, column 1: must be UTF-8: this is UTF-16");
    let wide: Vec<u8> = marked.encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(said(&wide), "$: line 1, column 1: must be UTF-8: this is UTF-16");
}

#[test]
fn nothing_is_made_of_a_text_without_bounds() {
    let users =
        |item: &str, times| format!(r#""passwd":{{"users":[{}]}}"#, vec![item; times].join(","));
    let many = document(&users("{}", 30_000));
    assert!(said(many.as_bytes()).contains("more than 20000 entries"), "{}", said(many.as_bytes()));
    let deep = document(&format!(r#""a":{}{}"#, "[".repeat(90), "]".repeat(90)));
    assert!(
        said(deep.as_bytes()).contains("nested more than 64 levels"),
        "{}",
        said(deep.as_bytes())
    );
    let deeper = document(&format!(r#""a":{}"#, "[".repeat(500_000)));
    assert!(said(deeper.as_bytes()).contains("nested more than 64 levels"));
    let long = document(&format!(r#""a":"{}""#, "x".repeat(MAX_TEXT)));
    assert_eq!(said(long.as_bytes()), "$: line 1, column 1: longer than 1 MiB");
}

/// Compared with each other, or put together, they would take minutes and gigabytes.
#[test]
fn long_names_and_paths_are_checked_one_by_one() {
    let unit = format!("{}.service", "u".repeat(150_000));
    let dropin = |at: usize| format!(r#"{{"name":"{at}.conf","contents":"[Unit]"}}"#);
    let dropins = (0..10_000).map(dropin).collect::<Vec<_>>().join(",");
    let units = format!(r#""systemd":{{"units":[{{"name":"{unit}","dropins":[{dropins}]}}]}}"#);
    let file = |path: &str| {
        let link = r#""links":[{"path":"/b","target":"c"}]"#;
        format!(r#""storage":{{{link},"files":[{{"path":"{path}"}}]}}"#)
    };
    let below = "/a".repeat(100_000);
    assert_eq!(said(document(&format!("{units},{}", file(&below))).as_bytes()), "Valid");
    let said_of = |rest: &str| said(document(rest).as_bytes());
    let through = said_of(&file(&format!("/b{below}")));
    let expected = "$.storage.files.0.path: line 2, column 66: must be a path that does not pass through \
                    a link";
    assert_eq!(through, expected);
    let taken = format!("/etc/systemd/system/{unit}.d/9999.conf");
    let taken = said_of(&format!("{units},{}", file(&taken)));
    assert!(taken.contains("must be different from the units and drop-ins"), "{taken}");
    // Their order is near that of what is below the link.
    for path in ["/b!", "/b-/c", "/b0", "/bb", "/a", "/c"] {
        assert_eq!(said_of(&file(path)), "Valid", "{path}");
    }
}

#[test]
fn no_error_shows_anything_of_the_text_but_fields_of_ignition() {
    const SECRET: &str = "hunter2";
    let documents = [FLATCAR, GARDEN_LINUX, DISKS].map(|text| serde_json::from_str(text).unwrap());
    let values = [
        SECRET.into(),
        serde_json::json!({ SECRET: SECRET }),
        serde_json::json!([SECRET, SECRET]),
        serde_json::json!(7_777_777.5),
    ];
    let mut refused = 0;
    for document in documents {
        for at in 0..count(&document) {
            for value in &values {
                let mut broken: serde_json::Value = document.clone();
                replace(&mut broken, &mut at.clone(), value);
                let pretty = serde_json::to_string_pretty(&broken).unwrap();
                for text in [pretty.replacen("\",", "\" \"hunter2\",", at % 7), pretty] {
                    if let Err(error) = check(text.as_bytes()) {
                        let said = error.to_string();
                        refused += 1;
                        assert!(!said.contains(SECRET) && !said.contains("7777"), "{text}\n{said}");
                        assert!(said.starts_with('$') && said.contains(": line "), "{said}");
                    }
                }
            }
        }
    }
    assert!(refused > 300, "{refused}");
    for text in [
        r#"{"ignition":{"version":"3.4.0"},"passwd":{"hunter2"}}"#,
        r#"{"ignition":{"version":"3.4.0"},"passwd":{"hunter2":{"hunter2":,}}}"#,
        r#"{"ignition":{"version":"hunter2"}}"#,
        r#"{"hunter2":hunter2,"ignition":{}}"#,
        r#"{"ignition":{"version":"3.4.0"},"passwd":{"users":"a, expected hunter2"}}"#,
    ] {
        let said = check(text.as_bytes()).unwrap_err().to_string();
        assert!(!said.contains(SECRET), "{text}: {said}");
    }
}

/// Checks the errors for documents with these fields.
fn refused(cases: &[(&str, &str)]) {
    for (rest, expected) in cases {
        let text = document(rest);
        let said = said(text.as_bytes());
        assert!(said.starts_with(expected), "{text}\n{said}");
    }
}

/// A document of version 3.4 with these fields on its second line.
fn document(rest: &str) -> String {
    format!("{{\"ignition\":{{\"version\":\"3.4.0\"}},\n{rest}}}")
}

/// The number of values in a value.
fn count(value: &serde_json::Value) -> usize {
    let items = value.as_array().into_iter().flatten();
    let fields = value.as_object().into_iter().flat_map(serde_json::Map::values);
    1 + items.chain(fields).map(count).sum::<usize>()
}

/// Replaces the value with this index.
fn replace(value: &mut serde_json::Value, at: &mut usize, with: &serde_json::Value) -> bool {
    if *at == 0 {
        *value = with.clone();
        return true;
    }
    *at -= 1;
    if let Some(items) = value.as_array_mut() {
        return items.iter_mut().any(|item| replace(item, at, with));
    }
    let Some(fields) = value.as_object_mut() else { return false };
    fields.values_mut().any(|field| replace(field, at, with))
}
