use crate::validation::{Content, check};

#[test]
fn a_proxy_that_ignition_refuses_is_told_with_its_place() {
    for (proxy, is_valid) in [
        ("http://10.0.0.1:3128", true),
        ("HTTPS://proxy.example", true),
        ("10.0.0.1:3128", false),
        ("proxy.example:3128", false),
        ("proxy.example", false),
        ("socks5://proxy.example", false),
        ("", false),
    ] {
        for field in ["httpProxy", "httpsProxy"] {
            let text =
                format!(r#"{{"ignition":{{"version":"3.1.0","proxy":{{"{field}":"{proxy}"}}}}}}"#);
            let older = text.replacen("3.1.0", "3.0.0", 1);
            assert_eq!(check(older.as_bytes()), Ok(Content::Valid), "{older}");
            let said = check(text.as_bytes());
            assert_eq!(said == Ok(Content::Valid), is_valid, "{text}");
            let Err(error) = said else { continue };
            let place = format!("$.ignition.proxy.{field}: line 1, column ");
            assert!(error.to_string().starts_with(&place), "{error}");
        }
    }
}

/// What is said of a document of version 3.`minor` with these fields of `ignition`, and these beside it.
fn said(minor: u8, header: &str, rest: &str) -> String {
    let text = format!(r#"{{"ignition":{{"version":"3.{minor}.0"{header}}}{rest}}}"#);
    match check(text.as_bytes()) {
        Ok(content) => format!("{content:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_merged_or_trusted_has_a_source_of_its_own() {
    let lists = [
        ("config.merge", r#""config":{"merge":[ITEMS]}"#),
        (
            "security.tls.certificateAuthorities",
            r#""security":{"tls":{"certificateAuthorities":[ITEMS]}}"#,
        ),
    ];
    let one = r#"{"source":"https://a/b"}"#;
    for (place, list) in lists {
        let of =
            |minor: u8, items: &str| said(minor, &format!(",{}", list.replace("ITEMS", items)), "");
        for minor in 0..=6 {
            assert_eq!(of(minor, one), "Valid");
            let twice = of(minor, &format!("{one},{one}"));
            assert!(twice.starts_with(&format!("$.ignition.{place}.1.source: ")), "{twice}");
            assert!(twice.ends_with("is duplicated"), "{twice}");
        }
        for minor in 1..=6 {
            for none in ["{}", r#"{"source":""}"#, r#"{"source":null}"#] {
                let refused = of(minor, none);
                assert!(refused.starts_with(&format!("$.ignition.{place}.0")), "{refused}");
                assert!(refused.ends_with("must be given: there is nothing to fetch"));
            }
        }
    }
    assert_eq!(said(0, r#","config":{"merge":[{}]}"#, ""), "Valid");
}

#[test]
fn entries_that_ignition_takes_once_only_are_refused_twice() {
    let contents = |headers: &str| {
        format!(
            r#","storage":{{"files":[{{"path":"/a","contents":{{"source":"http://a/",
            "httpHeaders":[{headers}]}}}}]}}"#
        )
    };
    let twice = contents(r#"{"name":"A","value":"b"},{"name":"A","value":"c"}"#);
    let cases: [(&str, &str, &str); 7] = [
        ("", &twice, "httpHeaders.1.name: "),
        ("", &contents(r#"{"name":"","value":"b"}"#), "httpHeaders.0.name: "),
        ("", &contents(r#"{"name":"A","value":""}"#), "httpHeaders.0.value: "),
        (r#","proxy":{"noProxy":["a","b","a"]}"#, "", "noProxy.2: "),
        (
            "",
            r#","kernelArguments":{"shouldExist":["a","a"]}"#,
            "$.kernelArguments.shouldExist.1: ",
        ),
        (
            "",
            r#","kernelArguments":{"shouldExist":["a"],"shouldNotExist":["b","a"]}"#,
            "$.kernelArguments.shouldNotExist.1: ",
        ),
        (
            "",
            r#","storage":{"raid":[{"name":"a","level":"raid1","devices":["/a","/a"]}]}"#,
            "devices.1: ",
        ),
    ];
    for (header, rest, place) in cases {
        let refused = said(4, header, rest);
        assert!(refused.contains(place), "{header}{rest}: {refused}");
    }
    let two = contents(r#"{"name":"A","value":"b"},{"name":"B"}"#);
    assert_eq!(said(4, "", &two), "Valid");
    let arguments = r#","kernelArguments":{"shouldExist":["a","a"]}"#;
    assert_eq!(said(2, "", arguments), "Valid", "it is no field of that version");
}

#[test]
fn an_address_that_ignition_cannot_read_is_refused() {
    for (source, is_valid) in [
        ("http://a/b c?d=%zz", true),
        ("http://user:pass%20word@a:8080/%C3%A9#b", true),
        ("https://[fd00::1]:8443/a", true),
        ("http://[fd00::1]/a", true),
        ("http:///a", true),
        ("http://\u{e9}.example/", true),
        ("s3://bucket/o?versionId=a", true),
        ("arn:aws:s3:::bucket/o?versionId=a", true),
        ("arn:aws:s3:eu-west-1:1:accesspoint/a/object/o", true),
        ("http://a/%zz", false),
        ("http://a/%4", false),
        ("http://a/#%zz", false),
        ("http://a b/", false),
        ("http://a:b/", false),
        ("http://[fd00::1/", false),
        ("http://[fd00::1]8443/", false),
        ("http://us er@a/", false),
        ("http://a/\\u0007", false),
        ("s3://bucket/o?versionId=", false),
        ("s3://bucket/o?a=b&versionId", false),
        ("arn:aws:s3:::bucket", false),
        ("arn:aws:ec2:::bucket/o", false),
        ("arn:aws:s3:::bucket/o?versionId=", false),
        ("arn:bucket/o", false),
        ("arn:aws:s3:eu-west-1:1:accesspoint/a", false),
    ] {
        let rest = format!(
            r#","storage":{{"files":[{{"path":"/a","contents":{{"source":"{source}"}}}}]}}"#
        );
        let said = said(4, "", &rest);
        assert_eq!(said == "Valid", is_valid, "{source}: {said}");
        assert!(is_valid || said.starts_with("$.storage.files.0.contents.source: "), "{said}");
    }
}
