use super::*;

const FILE: &str = r#"
macPrefixes:
  - macPrefix: "23"
    manufacturer: Foo
    protocol: Redfish
    port: 8000
    type: bmc
    defaultCredentials: [{ username: foo, password: swordfish }]
    console: { type: SSH, port: 22 }
  - macPrefix: AA:bb-CC
    protocol: RedfishLocal
    protocolScheme: http
    port: 80
    type: bmc
    futureField: { any: [thing] }
  - macPrefix: aabbcc1
    protocol: Redfish
    port: 443
    type: bmc
"#;

#[test]
fn the_longest_prefix_wins_whatever_its_case_and_separators() {
    let db = MacDb::parse(FILE).unwrap();
    let prefix = |mac: &str| db.lookup(mac.parse().unwrap()).map(|e| e.mac_prefix.to_string());
    assert_eq!(prefix("23:00:00:00:00:01").as_deref(), Some("23"));
    assert_eq!(prefix("aa:bb:cc:00:00:01").as_deref(), Some("aabbcc"));
    assert_eq!(prefix("AA-BB-CC-1f-00-01").as_deref(), Some("aabbcc1"));
    assert_eq!(prefix("aa:bb:cd:00:00:01"), None);
    assert_eq!(MacDb::default().lookup(MacAddr([0; 6])), None);
}

#[test]
fn a_field_without_a_value_is_as_if_it_were_left_out() {
    let entry = "macPrefixes:\n- { macPrefix: aabbcc, protocol: Redfish, port: 443, type: bmc";
    let plain = MacDb::parse(&format!("{entry} }}")).unwrap();
    let optional = "manufacturer: , protocolScheme: , defaultCredentials: , console: ";
    assert_eq!(MacDb::parse(&format!("{entry}, {optional}}}")).unwrap(), plain);
    assert_eq!(MacDb::parse("macPrefixes:\n# - macPrefix: aabbcc\n").unwrap(), MacDb::default());
}

#[test]
fn every_field_is_read_and_unknown_ones_are_ignored() {
    let db = MacDb::parse(FILE).unwrap();
    let foo = Entry {
        mac_prefix: "23".parse().unwrap(),
        manufacturer: "Foo".to_owned(),
        protocol: "Redfish".to_owned(),
        protocol_scheme: None,
        port: 8000,
        default_credentials: vec![Credential {
            username: "foo".to_owned(),
            password: "swordfish".to_owned(),
        }],
        console: Some(Console { kind: "SSH".to_owned(), port: 22 }),
    };
    assert_eq!(db.entries()[0], foo);
    assert_eq!(db.entries()[1].protocol_scheme.as_deref(), Some("http"));
    assert_eq!(db.entries()[1].console, None);
}

/// As in metal-operator's own samples.
#[test]
fn words_of_the_file_are_known_in_any_case() {
    let file = "macPrefixes:\n- macPrefix: 23\n  manufacturer: Foo\n  protocol: RedfishKube\n  \
                protocolScheme: HTTPS\n  port: 8000\n  type: BMC\n  defaultCredentials:\n    - username: \
                foo\n      password: 1234\n  console:\n    type: ssh\n    port: 22\n";
    let db = MacDb::parse(file).unwrap();
    let entry = &db.entries()[0];
    assert_eq!(entry.console, Some(Console { kind: "SSH".to_owned(), port: 22 }));
    assert_eq!(entry.protocol_scheme.as_deref(), Some("https"));
    assert_eq!(entry.default_credentials[0].password, "1234");
    for (written, kind) in [("sshlenovo", "SSHLenovo"), ("ipmi", "IPMI"), ("Ssh", "SSH")] {
        let db = MacDb::parse(&file.replace("type: ssh", &format!("type: {written}"))).unwrap();
        assert_eq!(db.entries()[0].console.as_ref().unwrap().kind, kind);
    }
}

#[test]
fn prefixes_that_look_like_numbers_are_text() {
    for (yaml, digits) in [("23", "23"), ("0023", "0023"), ("1e5", "1e5"), ("00", "00")] {
        let db = MacDb::parse(&FILE.replace("\"23\"", yaml)).unwrap();
        assert_eq!(db.entries()[0].mac_prefix.to_string(), digits);
    }
}

#[test]
fn equal_prefixes_are_an_error_that_names_both_lines() {
    let file = FILE.replace("aabbcc1", "aa.bb.cc");
    let prefix = "aabbcc".parse().unwrap();
    let duplicate = ParseError::Duplicate { prefix, first: 10, line: 16 };
    assert_eq!(MacDb::parse(&file), Err(duplicate.clone()));
    assert_eq!(
        duplicate.to_string(),
        "line 16: macPrefix `aabbcc` is already used in line 10; remove one of the two entries"
    );
}

#[test]
fn bad_prefixes_are_named_with_their_line() {
    use ParsePrefixError::{Empty, NotHex, TooLong};
    let cases = [("''", Empty), ("aa:bx", NotHex('x')), ("aabbccddeeff0", TooLong), (":", Empty)];
    for (text, reason) in cases {
        let Err(ParseError::Prefix { line, source, .. }) =
            MacDb::parse(&FILE.replace("aabbcc1", &format!("'{}'", text.trim_matches('\''))))
        else {
            panic!("{text}");
        };
        assert_eq!((line, source), (16, reason), "{text}");
    }
}

/// The file may be shared with a program that has more types.
#[test]
fn an_entry_of_another_type_costs_only_itself() {
    let other =
        FILE.replacen("    type: bmc\n    defaultCred", "    type: switch\n    defaultCred", 1);
    let (all, rest) = (MacDb::parse(FILE).unwrap(), MacDb::parse(&other).unwrap());
    assert_eq!(rest.entries(), &all.entries()[1..]);
    let lines: Vec<_> = rest.skipped().iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["line 7: type `switch` is not known"]);
    // A console has no effect yet.
    let other = MacDb::parse(&FILE.replacen("type: SSH", "type: VNC", 1)).unwrap();
    assert_eq!((other.entries().len(), &other.entries()[0].console), (all.entries().len(), &None));
    let lines: Vec<_> = other.skipped().iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["line 9: console.type `VNC` is not known"]);
    assert!(all.skipped().is_empty());
}

#[test]
fn bad_values_are_named_with_line_field_and_fix() {
    let cases = [
        ("port: 443", "port: 70000", "line 18: invalid port `70000`; use a port from"),
        ("port: 443", "port: 0", "line 18: invalid port `0`; use a port from"),
        ("protocolScheme: http", "protocolScheme: ftp", "line 12: invalid protocolScheme `ftp`"),
        ("port: 22", "port: 0", "line 9: invalid console.port `0`; use a port from"),
    ];
    for (good, bad, text) in cases {
        assert!(FILE.contains(good), "{good}");
        let error = MacDb::parse(&FILE.replacen(good, bad, 1)).unwrap_err().to_string();
        assert!(error.starts_with(text), "{error}");
    }
}

#[test]
fn missing_and_malformed_fields_are_named_and_no_password_is_shown() {
    let cases = [
        (FILE.replace("    port: 443\n", ""), "port"),
        (FILE.replace("port: 8000", "port: often"), "line 6"),
        (FILE.replace("macPrefixes", "prefixes"), "macPrefixes"),
        (FILE.replace("username: foo, ", ""), "username"),
        (FILE.replace("password: swordfish", "password: [swordfish]"), "line 8"),
        (FILE.replace("swordfish }]", "swordfish"), "line"),
    ];
    for (file, hint) in cases {
        let error = MacDb::parse(&file).unwrap_err().to_string();
        assert!(error.contains(hint), "{error}");
        assert!(!error.contains("swordfish"), "{error}");
    }
}

#[test]
fn passwords_do_not_show_in_debug_output() {
    let db = MacDb::parse(FILE).unwrap();
    assert!(format!("{db:?}").contains("foo"));
    assert!(!format!("{db:?}").contains("swordfish"));
}
