mod versions;

use super::*;
use std::fmt::Write;

const DISCOVERY: &str = r#"
variant: fcos
version: "1.3.0"
systemd:
  units:
  - name: containerd.service
    enabled: true
    dropins:
    - name: 10-wait.conf
      contents: |
        [Unit]
        After=var-lib-containerd.mount
  - name: metalprobe.service
    enabled: true
    contents: |-
      [Service]
      ExecStart=/bin/true
  - {name: sshd.socket, mask: true}
storage:
  files: []
passwd:
  users:
  - name: metal
    password_hash: $2a$10$abc
    groups: [ "wheel" ]
    ssh_authorized_keys: [ ssh-ed25519 AAAA ]
"#;

#[test]
fn the_discovery_configuration_becomes_ignition() {
    let ignition = json!({
        "ignition": {"version": "3.2.0"},
        "systemd": {"units": [
            {
                "name": "containerd.service", "enabled": true,
                "dropins": [{
                    "name": "10-wait.conf",
                    "contents": "[Unit]\nAfter=var-lib-containerd.mount\n",
                }],
            },
            {
                "name": "metalprobe.service", "enabled": true,
                "contents": "[Service]\nExecStart=/bin/true",
            },
            {"name": "sshd.socket", "mask": true},
        ]},
        "storage": {"files": []},
        "passwd": {"users": [{
            "name": "metal", "passwordHash": "$2a$10$abc", "groups": ["wheel"],
            "sshAuthorizedKeys": ["ssh-ed25519 AAAA"],
        }]},
    });
    assert_eq!(json_of(DISCOVERY), ignition);
}

#[test]
fn files_keep_their_mode_and_carry_their_content() {
    let hash = "0f".repeat(32);
    let storage = r"
storage:
  directories:
  - {path: /opt/a, mode: 0755, user: {name: core}, group: {id: 100}}
  files:
  - path: /etc/hostname
    overwrite: true
    mode: 0644
    contents: {inline: 'höst 1%'}
    append:
    - source: http://example.com/a
      compression: gzip
      verification: {hash: sha256-HASH}
      http_headers: [{name: X-A, value: b}]
  links:
  - {path: /etc/b, target: /opt/a, hard: false}
";
    assert_eq!(
        json_of(&with_header(&storage.replace("HASH", &hash)))["storage"],
        json!({
            "directories": [{
                "path": "/opt/a", "mode": 0o755, "user": {"name": "core"}, "group": {"id": 100},
            }],
            "files": [{
                "path": "/etc/hostname", "overwrite": true, "mode": 0o644,
                "contents": {"source": "data:,h%C3%B6st%201%25"},
                "append": [{
                    "source": "http://example.com/a", "compression": "gzip",
                    "verification": {"hash": format!("sha256-{hash}")},
                    "httpHeaders": [{"name": "X-A", "value": "b"}],
                }],
            }],
            "links": [{"path": "/etc/b", "target": "/opt/a", "hard": false}],
        })
    );
}

#[test]
fn further_configurations_are_fetched_by_the_machine() {
    let config = "ignition: {config: {merge: [{source: http://a/b}], replace: {inline: '{}'}}}";
    assert_eq!(
        json_of(&with_header(config))["ignition"],
        json!({
            "version": "3.4.0",
            "config": {
                "merge": [{"source": "http://a/b"}], "replace": {"source": "data:,%7B%7D"},
            },
        })
    );
}

#[test]
fn each_version_has_its_ignition() {
    let versions = [
        ("fcos", "1.0.0", "3.0.0"),
        ("fcos", "1.1.0", "3.1.0"),
        ("fcos", "1.2.0", "3.2.0"),
        ("fcos", "1.3.0", "3.2.0"),
        ("fcos", "1.4.0", "3.3.0"),
        ("fcos", "1.5.0", "3.4.0"),
        ("fcos", "1.6.0", "3.5.0"),
        ("fcos", "1.7.0", "3.6.0"),
        ("flatcar", "1.0.0", "3.3.0"),
        ("flatcar", "1.1.0", "3.4.0"),
    ];
    for (variant, version, ignition) in versions {
        let translated = json_of(&format!("{{variant: {variant}, version: {version}}}"));
        assert_eq!(translated, json!({"ignition": {"version": ignition}}));
    }
}

#[test]
fn what_is_not_translated_is_named_and_not_dropped() {
    let cases = [
        ("storage: {disks: []}", "storage.disks: not supported"),
        ("storage: {files: [{path: /a, modus: 1}]}", "storage.files[0].modus: not supported"),
        ("boot_device: {}", "boot_device: not supported"),
        (
            "storage: {files: [{path: /a, contents: {local: b}}]}",
            "storage.files[0].contents.local: not supported, there are no local files: \
             write the content in line",
        ),
        (
            "systemd: {units: [{name: a.service, contents_local: b}]}",
            "systemd.units[0].contents_local: not supported, there are no local files: \
             write the content in line",
        ),
        ("passwd: {users: [{groups: [a]}]}", "passwd.users[0].name: missing"),
        ("passwd: {users: {name: a}}", "passwd.users: must be a list"),
        ("passwd: {users: [a]}", "passwd.users[0]: must be a mapping"),
        ("passwd: {users: [{name: []}]}", "passwd.users[0].name: must be text; put it in quotes"),
        ("storage: {files: [{path: a}]}", "storage.files[0].path: must be an absolute path"),
        (
            "storage: {files: [{path: /a, mode: 010000}]}",
            "storage.files[0].mode: must be a mode such as 0644",
        ),
        (
            "storage: {files: [{path: /a, contents: {inline: a, source: b}}]}",
            "storage.files[0].contents: must be either source or inline, not both",
        ),
        (
            "systemd: {units: [{name: a.service}, {name: a.service}]}",
            "systemd.units[1].name: \"a.service\" is there twice",
        ),
        (
            "storage: {files: [{path: /a}], links: [{path: /a, target: /b}]}",
            "storage.links[0].path: \"/a\" is there twice",
        ),
        (
            "systemd: {units: [{name: a, enabled: 1}]}",
            "systemd.units[0].enabled: must be true or false",
        ),
    ];
    for (butane, expected) in cases {
        assert_eq!(error_of(&with_header(butane)), expected, "{butane}");
    }
}

#[test]
fn a_scalar_is_a_text_where_a_text_is_wanted() {
    let texts = [
        ("42", "42"),
        ("0123", "0123"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("-7", "-7"),
        ("1.50", "1.50"),
        ("1e3", "1e3"),
        (".inf", ".inf"),
        ("true", "true"),
        ("yes", "yes"),
        ("2020-01-01", "2020-01-01"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("&a 42", "42"),
        ("!!int 42", "42"),
        ("42 # answer", "42"),
        ("'42'", "42"),
    ];
    for (written, text) in texts {
        let butane = with_header(&format!("passwd:\n  users:\n  - name: {written}\n"));
        assert_eq!(json_of(&butane)["passwd"]["users"][0]["name"], text, "{written}");
    }
    let butane = "storage:\n  files:\n  - {path: /é, contents: {inline: 42}}\n  - path: /b\n    contents: {inline: *n}\n";
    let butane =
        with_header(&format!("ignition:\npasswd: {{users: [{{name: &n 007}}]}}\n{butane}"));
    let files = &json_of(&butane)["storage"]["files"];
    assert_eq!(files[0]["contents"]["source"], "data:,42");
    assert_eq!(files[1]["contents"]["source"], "data:,007");
}

#[test]
fn markers_of_documents_and_comments_do_not_count() {
    let ignition = json_of(DISCOVERY);
    let comments = "# comment\n".repeat(100);
    for form in [
        format!("---{DISCOVERY}---\n"),
        format!("\u{feff}{DISCOVERY}...\n"),
        DISCOVERY.replace('\n', "\r\n"),
        DISCOVERY.replace("units:\n", &format!("units:\n{comments}")),
    ] {
        // Text blocks have the ends of lines of YAML, whatever those of the file are.
        assert_eq!(json_of(&form), ignition, "{form}");
    }
}

#[test]
fn what_ignition_refuses_is_refused_here() {
    let cases = [
        ("systemd: {units: [{name: a}]}", "systemd.units[0].name: must be the name of a unit"),
        ("systemd: {units: [{name: a.serivce}]}", "systemd.units[0].name: must be the name of"),
        ("systemd: {units: [{name: ''}]}", "systemd.units[0].name: must be the name of a unit"),
        ("systemd: {units: [{name: .service}]}", "systemd.units[0].name: must be the name of a"),
        ("systemd: {units: [{name: a/b.service}]}", "systemd.units[0].name: must be the name of"),
        (
            "systemd: {units: [{name: a.service, contents: '[Unit'}]}",
            "systemd.units[0].contents: must be a unit whose sections are like [Service]",
        ),
        (
            "systemd: {units: [{name: a.service, contents: \"[Unit]\\nAfter\\n\"}]}",
            "systemd.units[0].contents: must be a unit whose options are like Name=value",
        ),
        (
            "systemd: {units: [{name: a.service, dropins: [{name: b.txt}]}]}",
            "systemd.units[0].dropins[0].name: must be the name of a drop-in",
        ),
        (
            "systemd: {units: [{name: a.service, dropins: [{name: b.conf}, {name: b.conf}]}]}",
            "systemd.units[0].dropins[1].name: \"b.conf\" is there twice",
        ),
        ("storage: {directories: [{path: /a/}]}", "storage.directories[0].path: must be a path"),
        ("storage: {files: [{path: /a//b}]}", "storage.files[0].path: must be a path without //"),
        ("storage: {files: [{path: /a/../b}]}", "storage.files[0].path: must be a path without //"),
        ("storage: {links: [{path: a, target: b}]}", "storage.links[0].path: must be an absolute"),
        (
            "storage: {links: [{path: /a, target: /b}], files: [{path: /a/c}]}",
            "storage.files[0].path: must be a path that leads through no link",
        ),
        (
            "storage: {links: [{path: /a/b, target: ../c, hard: true}], directories: [{path: /c}]}",
            "storage.links[0].target: must be no directory, as the link is hard",
        ),
        (
            "storage: {files: [{path: /a, overwrite: true}]}",
            "storage.files[0].overwrite: must be false, as there are no contents",
        ),
        (
            "storage: {files: [{path: /a, user: {id: 1, name: a}}]}",
            "storage.files[0].user: must be either an id or a name, not both",
        ),
        (
            "passwd: {users: [{name: a, ssh_authorized_keys: [k, k]}]}",
            "passwd.users[0].ssh_authorized_keys[1]: \"k\" is there twice",
        ),
        ("passwd: {groups: [{name: a}, {name: a}]}", "passwd.groups[1].name: \"a\" is there twice"),
    ];
    for (butane, expected) in cases {
        let error = error_of(&with_header(butane));
        assert!(error.starts_with(expected), "{butane}: {error}");
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
        ("source: /etc/passwd", "source: must be an address of http"),
        ("source: 'ftp://a/b'", "source: must be an address of http"),
        ("source: 'file:///a'", "source: must be an address of http"),
        ("source: 'http:///b'", "source: must be an address with a host"),
        ("source: 'http://a b/'", "source: must be an address with a host"),
        ("source: 'http://a:b/'", "source: must be an address with a host"),
        ("source: 'http://a/%zz'", "source: must be an address with a host"),
        ("source: 'data:a'", "source: must be a data: address with a comma"),
        ("source: 'data:,%4'", "source: must be a data: address in which %"),
        ("source: 'data:;base64,aGk'", "source: must be a data: address whose base64 is whole"),
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
            "http_headers[1].name: \"a\" is there twice",
        ),
    ];
    for (contents, expected) in bad {
        let error = error_of(&file(contents));
        let expected = format!("storage.files[0].contents.{expected}");
        assert!(error.starts_with(&expected), "{contents}: {error}");
    }
    let bare = file(&format!("verification: {{hash: '{hash}'}}"));
    assert!(error_of(&bare).contains("verification.hash: must be absent, as there is no source"));
    let sha256 =
        format!("source: 'http://a/b', verification: {{hash: 'sha256-{}'}}", "0".repeat(64));
    let old = file(&sha256).replace("1.5.0", "1.0.0");
    assert!(error_of(&old).contains("verification.hash: needs version 1.1.0"));
    assert!(translate(&file(&sha256)).is_ok());
}

#[test]
fn a_text_that_is_no_butane_says_why() {
    let cases = [
        ("", "must be a mapping"),
        ("[]", "must be a mapping"),
        ("{version: 1.3.0}", "variant: missing"),
        ("{variant: fcos, version: 1}", "version: must be text; put it in quotes"),
        ("{\"ignition\": {\"version\": \"3.2.0\"}}", "variant: missing"),
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

#[test]
fn a_text_that_grows_without_bound_is_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = level - 1;
        let aliases = vec![format!("*a{inner}"); 9].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    assert!(error_of(&bomb).starts_with("not valid YAML"));
}

fn with_header(rest: &str) -> String {
    format!("variant: fcos\nversion: 1.5.0\n{rest}\n")
}

fn json_of(butane: &str) -> Value {
    serde_json::from_str(&translate(butane).unwrap()).unwrap()
}

fn error_of(butane: &str) -> String {
    translate(butane).unwrap_err().to_string()
}
