use super::*;
use metal_api::EndpointSpec;

const MACDB: &str = "macPrefixes:
  - macPrefix: '23118A'
    manufacturer: Foo
    protocol: Redfish
    protocolScheme: http
    port: 8000
    type: bmc
    defaultCredentials: [{username: foo, password: bar}]
    console: {type: SSH, port: 22}
";

#[test]
fn recognized_endpoint_becomes_a_bmc_with_the_credentials_of_its_prefix() {
    let macdb = MacDb::parse(MACDB).unwrap();
    let endpoint = endpoint("23:11:8a:00:00:01", "127.1.0.1");
    let Decision::Change(Change::Create(wanted)) = decide(&seen(&endpoint, &macdb)) else {
        panic!()
    };
    assert_eq!(wanted.secret.value("username"), Some("foo"));
    assert_eq!(wanted.secret.value("password"), Some("bar"));
    assert_eq!(wanted.bmc.endpoint_ref.unwrap().name, "bmc-1");
    assert_eq!(wanted.bmc.bmc_secret_ref.name, "bmc-1");
    assert_eq!((wanted.bmc.protocol.name, wanted.bmc.protocol.port), (ProtocolName::Redfish, 8000));
}

#[test]
fn bmc_gets_its_first_password_by_https_unless_its_prefix_says_http() {
    for (line, scheme) in [
        ("    protocolScheme: http\n", "http"),
        ("    protocolScheme: https\n", "https"),
        ("    protocolScheme: ''\n", "https"),
        ("", "https"),
    ] {
        let macdb = MacDb::parse(&MACDB.replace("    protocolScheme: http\n", line)).unwrap();
        let endpoint = endpoint("23:11:8a:00:00:01", "127.1.0.1");
        let Decision::Change(Change::Create(wanted)) = decide(&seen(&endpoint, &macdb)) else {
            panic!()
        };
        assert_eq!(wanted.bmc.protocol.scheme, Some(scheme.into()), "{line}");
        assert_eq!(wanted.note["bloomery.dev/known-address"], "127.1.0.1");
    }
}

#[test]
fn conflict_that_netboot_noted_is_shown_until_it_is_over() {
    let macdb = MacDb::parse(MACDB).unwrap();
    let mut endpoint = endpoint("23:11:8a:00:00:01", "127.1.0.1");
    let note = (annotation::ADDRESS_CONFLICT.to_owned(), "seen at 10.66.0.66".to_owned());
    endpoint.metadata.annotations = Some([note].into());
    for (reason, message) in [("AddressConflict", "seen at 10.66.0.66"), ("Settled", "")] {
        let Decision::Record(status) = decide(&seen(&endpoint, &macdb)) else { panic!() };
        let shown = status.conditions.iter().find(|c| c.type_ == condition::ADDRESS_SETTLED);
        let shown = shown.map(|c| (c.reason.as_str(), c.message.as_str()));
        assert_eq!(shown, Some((reason, message)));
        endpoint.status = Some(*status);
        endpoint.metadata.annotations = None;
    }
}

#[test]
fn endpoint_that_cannot_become_a_bmc_says_why() {
    let macdb = MacDb::parse(MACDB).unwrap();
    for (mac, ip, reason) in [
        ("24:11:8a:00:00:01", "127.1.0.1", "UnknownPrefix"),
        ("23:11:8a", "127.1.0.1", "InvalidMACAddress"),
        ("23:11:8a:00:00:01", "bmc.example", "InvalidIP"),
    ] {
        let endpoint = endpoint(mac, ip);
        assert_eq!(refusal(&decide(&seen(&endpoint, &macdb))), reason);
    }
    let endpoint = endpoint("23:11:8a:00:00:01", "127.1.0.1");
    let twins = ["bmc-2".to_owned()];
    let ambiguous = decide(&Observation { twins: &twins, ..seen(&endpoint, &macdb) });
    assert_eq!(refusal(&ambiguous), "Ambiguous");
    let ambiguous = decide(&Observation { same_ip: &twins, ..seen(&endpoint, &macdb) });
    assert_eq!(refusal(&ambiguous), "Ambiguous");
    let nothing = decide(&Observation { macdb: None, ..seen(&endpoint, &macdb) });
    assert_eq!(refusal(&nothing), "NoDatabase");
    let foreign = Bmc::new("bmc-1", BmcSpec::default());
    let taken = decide(&Observation { bmc: Some(&foreign), ..seen(&endpoint, &macdb) });
    assert_eq!(refusal(&taken), "NameTaken");
    let unread = decide(&Observation { is_bmc_unreadable: true, ..seen(&endpoint, &macdb) });
    assert_eq!(refusal(&unread), "BMCUnreadable", "it would be created again and again");
}

#[test]
fn bmc_that_is_there_is_left_as_it_is() {
    let macdb = MacDb::parse(MACDB).unwrap();
    let endpoint = endpoint("23:11:8a:00:00:01", "127.1.0.1");
    let mut bmc = Bmc::new("bmc-1", BmcSpec::default());
    bmc.spec.endpoint_ref = Some(LocalObjectReference { name: "bmc-1".to_owned() });
    bmc.spec.protocol.port = 443;
    let decision = decide(&Observation { bmc: Some(&bmc), ..seen(&endpoint, &macdb) });
    assert!(matches!(decision, Decision::Rest(_)));
}

#[test]
fn reason_goes_away_when_its_cause_does() {
    let macdb = MacDb::parse(MACDB).unwrap();
    let mut endpoint = endpoint("24:11:8a:00:00:01", "127.1.0.1");
    let Decision::Record(status) = decide(&seen(&endpoint, &macdb)) else { panic!() };
    endpoint.status = Some(*status);
    assert!(matches!(decide(&seen(&endpoint, &macdb)), Decision::Rest(_)));
    endpoint.spec.mac_address = Some("23:11:8a:00:00:01".to_owned());
    assert_eq!(refusal(&decide(&seen(&endpoint, &macdb))), "Recognized");
}

fn refusal(decision: &Decision) -> &str {
    let Decision::Record(status) = decision else { panic!("{decision:?}") };
    &status.conditions[0].reason
}

fn seen<'a>(endpoint: &'a Endpoint, macdb: &'a MacDb) -> Observation<'a> {
    Observation {
        endpoint,
        twins: &[],
        same_ip: &[],
        macdb: Some(macdb),
        bmc: None,
        is_bmc_unreadable: false,
        failure: None,
        now: Timestamp::UNIX_EPOCH,
    }
}

fn endpoint(mac: &str, ip: &str) -> Endpoint {
    let spec = EndpointSpec { mac_address: Some(mac.to_owned()), ip: Some(ip.to_owned()) };
    Endpoint::new("bmc-1", spec)
}
