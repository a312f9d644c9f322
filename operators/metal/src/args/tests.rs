use super::*;
use metal_runtime::args::try_parse;
use std::ffi::OsString;

#[test]
fn command_line_of_the_peer_is_taken_and_what_means_nothing_is_named() {
    let parsed = parse(&[
        "--leader-elect",
        "--probe-image=probe:1",
        "-probe-os-image",
        "os:1",
        "--registry-url=http://registry:10000/",
        "--registry-resync-interval=10s",
        "--event-port=10001",
        "--bios-setting-timeout",
        "2h",
        "--insecure=false",
        "--discovery-timeout=1m30s",
        "--zap-log-level=debug",
    ]);
    assert!(parsed.args.runtime.election.leader_elect);
    assert_eq!(parsed.args.advertised_registry(), Ok("http://registry:10000".to_owned()));
    assert_eq!(parsed.args.default_scheme(), Scheme::Https);
    assert_eq!(parsed.args.settings().discovery_timeout, SignedDuration::from_secs(90));
    assert_eq!(parsed.args.check(), Ok(()));
    let ignored: Vec<_> = parsed.ignored.iter().map(|ignored| ignored.name).collect();
    assert_eq!(ignored, ["registry-resync-interval", "event-port", "bios-setting-timeout"]);
}

#[test]
fn bmcs_that_name_no_scheme_are_spoken_to_by_https_unless_a_flag_says_otherwise() {
    for (flags, scheme) in [
        (&[][..], Scheme::Https),
        (&["--insecure"], Scheme::Http),
        (&["--insecure=true"], Scheme::Http),
        (&["--insecure=false"], Scheme::Https),
        (&["--protocol=http"], Scheme::Http),
        (&["--protocol=https", "--insecure"], Scheme::Https),
    ] {
        let parsed = parse(&[REQUIRED, flags].concat());
        assert_eq!(parsed.args.default_scheme(), scheme, "{flags:?}");
    }
}

#[test]
fn flags_that_contradict_each_other_are_refused_by_name() {
    let check = |flags: &[&str]| parse(&[REQUIRED, flags].concat()).args.check();
    let url = "--registry-url=http://r:1";
    assert_eq!(check(&[url]), Ok(()));
    assert_eq!(check(&[]), Err(Contradiction::NoRegistry));
    let odd = Contradiction::RegistryUrl("registry:10000".to_owned());
    assert_eq!(check(&["--registry-url=registry:10000"]), Err(odd));
    let odd = Contradiction::VirtualMediaUrl("boot:8082".to_owned());
    assert_eq!(check(&[url, "--virtual-media-url=boot:8082"]), Err(odd));
    assert_eq!(check(&[url, "--virtual-media-url="]), Ok(()));
    let both = [url, "--skip-cert-validation", "--bmc-ca-file=ca.pem"];
    assert_eq!(check(&both), Err(Contradiction::Verification));
    let zero = Contradiction::Zero("--discovery-timeout");
    assert_eq!(check(&[url, "--discovery-timeout=0s"]), Err(zero));
    let zero = Contradiction::Zero("--discovery-attempts");
    assert_eq!(check(&[url, "--discovery-attempts=0"]), Err(zero), "no server was ever discovered");
}

#[test]
fn what_no_server_could_reach_or_boot_is_refused_at_the_start() {
    let url = "--registry-url=http://r:1";
    let check = |flags: &[&str]| {
        let checked = parse(&[REQUIRED, flags].concat()).args.check();
        checked.map_err(|error| error.to_string())
    };
    for (flags, flag) in [
        (&["--registry-url=http://"][..], "--registry-url: "),
        (&["--registry-url=http://r r:1"], "--registry-url: "),
        (&["--registry-url=http://$(HOST):1"], "--registry-url: "),
        (&[url, "--virtual-media-url=http://"], "--virtual-media-url: "),
        (&[url, "--probe-image="], "--probe-image: "),
        (&[url, "--probe-image=$(PROBE_IMAGE)"], "--probe-image: `$(PROBE_IMAGE)` is not"),
        (&[url, "--probe-os-image=a b"], "--probe-os-image: "),
    ] {
        let error = check(flags).unwrap_err();
        assert!(error.starts_with(flag), "{flags:?}: {error}");
    }
    let namespace = words(&[REQUIRED, &[url, "--manager-namespace=$(POD_NAMESPACE)"]].concat());
    let error = try_parse::<Args>(ACCEPTED, namespace, |_| false).unwrap_err().to_string();
    assert!(error.contains("--manager-namespace"), "{error}");
    let mut args = parse(&[REQUIRED, &["--registry-protocol=htp"]].concat()).args;
    args.registry_address = Some("10.0.0.1".to_owned());
    let error = args.check().unwrap_err().to_string();
    assert!(error.contains("--registry-protocol") && error.contains("htp://10.0.0.1"), "{error}");
}

#[test]
fn missing_images_are_an_error_that_names_the_flag() {
    let error = try_parse::<Args>(ACCEPTED, words(&["--probe-image=p"]), |_| false).unwrap_err();
    assert!(error.to_string().contains("--probe-os-image"), "{error}");
}

#[test]
fn address_of_the_registry_is_put_together_where_no_url_is_given() {
    for (address, url) in [
        ("10.0.0.1", "http://10.0.0.1:30000"),
        ("registry.example", "http://registry.example:30000"),
        ("fd00::1", "http://[fd00::1]:30000"),
    ] {
        let mut args = parse(REQUIRED).args;
        args.registry_address = Some(address.to_owned());
        args.registry_port = 30000;
        assert_eq!(args.advertised_registry(), Ok(url.to_owned()));
    }
}

const REQUIRED: &[&str] = &["--probe-image=p", "--probe-os-image=o"];

fn parse(flags: &[&str]) -> args::Parsed<Args> {
    try_parse(ACCEPTED, words(flags), |_| false).unwrap()
}

fn words(flags: &[&str]) -> Vec<OsString> {
    ["metal-operator"].iter().chain(flags).map(OsString::from).collect()
}
