mod errors;
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
        ("r4e", "1.0.0", "3.3.0"),
        ("r4e", "1.1.0", "3.4.0"),
        ("fiot", "1.0.0", "3.4.0"),
    ];
    for (variant, version, ignition) in versions {
        let translated = json_of(&format!("{{variant: {variant}, version: {version}}}"));
        assert_eq!(translated, json!({"ignition": {"version": ignition}}));
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
        // Block scalars have YAML's line endings, whatever those of the file are.
        assert_eq!(json_of(&form), ignition, "{form}");
    }
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

#[test]
fn what_was_meant_to_be_translated_is_noticed_and_other_content_is_not() {
    let butane = "# a host\nvariant: fcos\nversion: 1.5.0\n";
    let cloud = "#cloud-config\nvariant: x\n";
    for (format, content, expected) in [
        ("fcos\n", butane, None),
        ("", butane, Some(Untranslated::Content)),
        ("ignition", butane, Some(Untranslated::Content)),
        ("raw", butane, None),
        ("", "hostname: a\n  variant: b\n", None),
        ("", cloud, None),
        ("cloud-config", cloud, None),
        ("Fcos", butane, Some(Untranslated::Format)),
        ("butane", "anything", Some(Untranslated::Format)),
        ("flatcar", butane, Some(Untranslated::Format)),
    ] {
        assert_eq!(untranslated(format, content), expected, "{format:?} {content:?}");
    }
}
