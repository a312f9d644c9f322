use super::*;
use metal_runtime::args::try_parse;
use metal_runtime::args::{InvalidSize, size};

#[test]
fn all_controllers_run_by_default_and_the_address_must_be_known() {
    let args = parsed(&["--ipxe-service-url=http://boot:8082/"]);
    let all = Controllers { ipxe_config: true, http_config: true, pxe: true, http: true };
    assert_eq!(args.controllers, all);
    let urls = args.urls().unwrap();
    assert_eq!(urls.service.as_deref(), Some("http://boot:8082"));
    assert_eq!(urls.images.as_deref(), Some("http://boot:8082/httpboot"));
    assert!(matches!(parsed(&[]).urls(), Err(Contradiction::NoServiceUrl)));
}

#[test]
fn controllers_are_named_as_the_peer_names_them() {
    let of = |text: &str| text.parse::<Controllers>();
    let none = Controllers { ipxe_config: false, http_config: false, pxe: false, http: false };
    assert_eq!(of(""), Ok(none));
    assert_eq!(of("serverbootconfigpxe"), Ok(Controllers { pxe: true, ..none }));
    let all_but_http = Controllers { ipxe_config: true, http_config: true, pxe: true, http: false };
    assert_eq!(of("*,-serverbootconfighttp"), Ok(all_but_http));
    assert_eq!(of("-serverbootconfighttp,*"), Ok(all_but_http));
    assert!(of("serverbootconfig").unwrap_err().to_string().contains("\"serverbootconfig\""));
    let args = parsed(&["--controllers", "-httpbootconfig,*", "--ipxe-service-url=http://a"]);
    assert!(!args.controllers.http_config && args.controllers.pxe);
}

#[test]
fn without_pxe_only_the_image_server_must_be_known() {
    let http = "--controllers=serverbootconfighttp,httpbootconfig";
    assert!(matches!(parsed(&[http]).urls(), Err(Contradiction::NoImageUrl)));
    let urls = parsed(&[http, "--image-server-url=http://images:8083"]).urls().unwrap();
    let images = Some("http://images:8083/httpboot".to_owned());
    assert_eq!(urls, Urls { service: None, images });
    let nothing = parsed(&["--controllers="]).urls().unwrap();
    assert_eq!(nothing, Urls { service: None, images: None });
}

#[test]
fn the_address_of_the_peers_variable_is_completed() {
    for (host, url) in [("boot", "http://boot:30007"), ("fd00::1", "http://[fd00::1]:30007")] {
        let address = format!("--ipxe-server-address={host}");
        let args = parsed(&[&address, "--ipxe-service-port=30007"]);
        assert_eq!(args.urls().unwrap().service.as_deref(), Some(url));
    }
}

#[test]
fn a_url_that_would_break_scripts_is_refused_at_start() {
    for url in
        ["boot:8082", "http://", "http:///x", "http://a b", "ftp://a", "http://a?b", "http://:1"]
    {
        let args = parsed(&["--ipxe-service-url", url]);
        let error = args.urls().unwrap_err();
        assert!(matches!(error, Contradiction::NotAUrl { .. }), "{url}: {error}");
        assert!(error.to_string().contains("--ipxe-service-url"), "{error}");
    }
}

#[test]
fn an_ipv6_address_stands_in_brackets_and_a_port_is_a_number() {
    for (address, url) in
        [("fd00::1", "http://[fd00::1]:5000"), ("10.0.0.1", "http://10.0.0.1:5000")]
    {
        let args = parsed(&["--ipxe-server-address", address]);
        assert_eq!(args.urls().unwrap().service.as_deref(), Some(url));
    }
    for good in
        ["http://[fd00::1]", "https://[fd00::1]:8082/x", "http://boot:8082", "http://boot./"]
    {
        assert!(parsed(&["--ipxe-service-url", good]).urls().is_ok(), "{good}");
    }
    for bad in [
        "http://fd00::1:8082",
        "http://[fd00::1",
        "http://[boot]:1",
        "http://a:b",
        "http://a:99999",
    ] {
        let refused = parsed(&["--ipxe-service-url", bad]).urls();
        assert!(matches!(refused, Err(Contradiction::NotAUrl { .. })), "{bad}");
    }
}

#[test]
fn an_image_server_under_a_path_that_is_never_served_is_refused() {
    let of = |url: &str| parsed(&["--ipxe-service-url=http://a", "--image-server-url", url]).urls();
    for url in ["http://a", "http://a/", "https://a/httpboot", "https://a/x/httpboot/"] {
        assert!(of(url).unwrap().images.unwrap().ends_with("/httpboot"), "{url}");
    }
    for url in ["http://a/images", "http://a/httpboot/x", "http://a/myhttpboot"] {
        assert!(matches!(of(url), Err(Contradiction::ImagePath(_))), "{url}");
    }
}

#[test]
fn the_default_image_must_be_allowed() {
    let service = "--ipxe-service-url=http://a";
    let of = |words: &[&str]| parsed(&[&[service], words].concat()).allowed_registries();
    let image = "--default-httpboot-oci-image=quay.io/a/b:1";
    assert!(matches!(of(&[image]), Err(Contradiction::ImageNotAllowed(_))));
    assert!(of(&[image, "--allowed-registries=quay.io,ghcr.io"]).is_ok());
    assert!(matches!(of(&["--default-httpboot-oci-image=A"]), Err(Contradiction::Image(_))));
}

#[test]
fn the_secret_with_logins_is_one_of_our_own_namespace() {
    let args = parsed(&["--ipxe-service-url=http://a", "--image-pull-secret=pull"]);
    assert_eq!(args.image_pull_secret.as_deref(), Some("pull"));
    for name in ["--image-pull-secret=../pull", "--image-pull-secret=other/pull"] {
        assert!(try_parse::<Args>(ACCEPTED, line(&[name]), |_| false).is_err(), "{name}");
    }
}

#[test]
fn sizes_are_read_as_kubernetes_reads_them() {
    assert_eq!(size("10Gi"), Ok(10 << 30));
    assert_eq!(size("1048576"), Ok(1 << 20));
    for text in ["", "0", "10G", "-1", "1.5Gi", "99999999999999Ti", "Gi"] {
        assert_eq!(size(text), Err(InvalidSize), "{text}");
    }
}

#[test]
fn a_window_of_nothing_is_refused() {
    let args = parsed(&["--ipxe-service-url=http://a", "--ignition-window=0"]);
    assert!(matches!(args.urls(), Err(Contradiction::NoWindow)));
}

#[test]
fn by_default_nobody_asks_for_another_and_nothing_opens_by_uuid_or_outside_of_a_window() {
    let args = parsed(&["--ipxe-service-url=http://a"]);
    assert!(args.trusted_proxies.is_empty() && args.dhcp_servers.is_empty());
    assert_eq!(args.ignition_by_uuid, ByUuid::Never);
    assert_eq!(args.outside_boot_window, OutsideWindow::Refuse);
    let words = ["--trusted-proxies=10.0.0.1/32,::1/128", "--outside-boot-window=answer"];
    let args = parsed(&words);
    assert_eq!((args.trusted_proxies.len(), args.outside_boot_window), (2, OutsideWindow::Answer));
}

#[test]
fn flags_of_the_peer_are_accepted() {
    let words = [
        "--ipxe-service-url=http://a",
        "--metrics-secure=false",
        "--metrics-cert-path=/tls",
        "--enable-http2",
        "--leader-elect",
        "--health-probe-bind-address=:8081",
        "--zap-log-level=debug",
        "--zap-devel",
        "--kubeconfig=/k",
    ];
    let parsed = try_parse::<Args>(ACCEPTED, line(&words), |_| false).unwrap();
    assert!(parsed.args.runtime.election.leader_elect);
    assert_eq!(parsed.ignored.len(), 3);
}

fn parsed(words: &[&str]) -> Args {
    try_parse::<Args>(ACCEPTED, line(words), |_| false).unwrap().args
}

fn line(words: &[&str]) -> Vec<std::ffi::OsString> {
    ["boot-operator"].iter().chain(words).map(Into::into).collect()
}
