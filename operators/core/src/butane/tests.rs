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
      verification: {hash: sha256-00}
      http_headers: [{name: X-A, value: b}]
  links:
  - {path: /etc/b, target: /opt/a, hard: false}
";
    assert_eq!(
        json_of(&with_header(storage))["storage"],
        json!({
            "directories": [{
                "path": "/opt/a", "mode": 0o755, "user": {"name": "core"}, "group": {"id": 100},
            }],
            "files": [{
                "path": "/etc/hostname", "overwrite": true, "mode": 0o644,
                "contents": {"source": "data:,h%C3%B6st%201%25"},
                "append": [{
                    "source": "http://example.com/a", "compression": "gzip",
                    "verification": {"hash": "sha256-00"},
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
        ("passwd: {users: [{name: 0123}]}", "passwd.users[0].name: must be text; put it in quotes"),
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
fn a_field_of_a_later_version_says_which() {
    let butane =
        "{variant: fcos, version: 1.1.0, passwd: {users: [{name: a, should_exist: false}]}}";
    assert_eq!(error_of(butane), "passwd.users[0].should_exist: needs version 1.2.0");
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
