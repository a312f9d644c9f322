use super::*;
use metal_api::{
    BmcAccess, BmcSpec, BootOrder, ConsoleProtocol, EndpointSpec, IpxeBootConfigSpec,
    LocalObjectReference, ObjectReference, Power, ServerClaimSpec, ServerSpec, ServerStatus, Taint,
    annotation,
};
use strum::IntoEnumIterator;

#[test]
fn every_field_of_a_server_that_has_no_effect_is_named() {
    type Set = fn(&mut ServerSpec);
    let fields: [(&str, Set); 8] = [
        ("spec.bootOrder", |spec| spec.boot_order = vec![BootOrder::default()]),
        ("spec.power", |spec| spec.power = Some(Power::On)),
        ("spec.serverMaintenanceRef", |spec| {
            spec.server_maintenance_ref = Some(ObjectReference::new("metal", "update"));
        }),
        ("spec.biosSettingsRef", |spec| {
            spec.bios_settings_ref = Some(LocalObjectReference::default());
        }),
        ("spec.maintenanceBootConfigurationRef", |spec| {
            let rescue = ObjectReference::new("metal", "rescue");
            spec.maintenance_boot_configuration_ref = Some(rescue);
        }),
        ("spec.indicatorLED", |spec| spec.indicator_led = Some("Unknown".into())),
        ("spec.bmc ", |spec| {
            spec.bmc = Some(BmcAccess::default());
            spec.bmc_ref = Some(LocalObjectReference::default());
        }),
        ("Evict", |spec| {
            spec.taints = vec![Taint { effect: Some(TaintEffect::Evict), ..Taint::default() }];
        }),
    ];
    for (field, set) in fields {
        let mut server = Server::new("server-a", ServerSpec::default());
        assert_eq!(on_server(&server), Vec::<String>::new());
        set(&mut server.spec);
        let [line] = on_server(&server).try_into().unwrap();
        assert!(line.contains(field), "{line}");
    }
}

#[test]
fn a_server_in_maintenance_is_told_by_its_state() {
    let mut server = Server::new("server-a", ServerSpec::default());
    server.spec.server_maintenance_ref = Some(ObjectReference::new("metal", "update"));
    let state = Some(ServerState::Maintenance);
    server.status = Some(ServerStatus { state, ..ServerStatus::default() });
    assert_eq!(on_server(&server), Vec::<String>::new());
}

#[test]
fn every_field_of_bmcs_and_claims_that_has_no_effect_is_named() {
    let mut bmc = Bmc::new("bmc-a", BmcSpec::default());
    bmc.spec.bmc_settings_ref = Some(LocalObjectReference::default());
    bmc.spec.console_protocol =
        Some(ConsoleProtocol { name: metal_api::ConsoleProtocolName::Ssh, port: 22 });
    let [console, settings] = told_on_bmc(&bmc).try_into().unwrap();
    assert!(console.contains("spec.consoleProtocol"), "{console}");
    assert!(settings.contains("spec.bmcSettingsRef"), "{settings}");
    let mut claim = ServerClaim::new("claim-a", ServerClaimSpec::default());
    assert_eq!(on_claim(&claim), Vec::<String>::new());
    claim.spec.user_data_ref = Some(LocalObjectReference::default());
    let [line] = on_claim(&claim).try_into().unwrap();
    assert!(line.contains("spec.userDataRef"), "{line}");
}

#[test]
fn every_field_of_a_boot_config_that_has_no_effect_is_named() {
    let mut config = IpxeBootConfig::new("claim-a", IpxeBootConfigSpec::default());
    assert_eq!(on_ipxe(&config), Vec::<String>::new());
    config.spec.image = Some("ghcr.io/a/b:1".to_owned());
    config.spec.ipxe_server_url = Some("http://boot".to_owned());
    let [image, service] = on_ipxe(&config).try_into().unwrap();
    assert!(image.starts_with("spec.image has no effect"), "{image}");
    assert!(service.starts_with("spec.ipxeServerURL has no effect"), "{service}");
}

#[test]
fn a_boot_method_where_nobody_looks_for_it_is_told_with_the_place_where_it_counts() {
    let method = || Some([(BOOT_METHOD.to_owned(), "http".to_owned())].into());
    let mut claim = ServerClaim::new("claim-a", ServerClaimSpec::default());
    let mut bmc = Bmc::new("bmc-a", BmcSpec::default());
    let mut config = IpxeBootConfig::new("claim-a", IpxeBootConfigSpec::default());
    let mut server = Server::new("a", ServerSpec::default());
    for meta in [&mut claim.metadata, &mut bmc.metadata, &mut config.metadata, &mut server.metadata]
    {
        meta.annotations = method();
    }
    for (lines, place) in [
        (on_claim(&claim), "the ServerBootConfiguration claim-a"),
        (told_on_bmc(&bmc), "the Server"),
        (on_ipxe(&config), "its ServerBootConfiguration"),
        (on_config(&config.metadata), "its ServerBootConfiguration"),
    ] {
        let [line] = lines.try_into().unwrap();
        assert!(line.ends_with(&format!("has no effect here: set it on {place}")), "{line}");
    }
    assert_eq!(on_server(&server), Vec::<String>::new(), "it counts there");
    assert_eq!(on_boot(&server.metadata), Vec::<String>::new(), "and on a boot configuration");
}

#[test]
fn what_a_person_vouches_for_where_or_in_a_form_that_does_not_count_is_told() {
    let pin = format!("sha256:{}", "a".repeat(64));
    let vouch = |meta: &mut ObjectMeta, key: &str, value: &str| {
        meta.annotations = Some([(key.to_owned(), value.to_owned())].into());
    };
    let (mut endpoint, mut inline) =
        (Endpoint::new("a", EndpointSpec::default()), Server::new("a", ServerSpec::default()));
    let mut server = inline.clone();
    server.spec.bmc_ref = Some(LocalObjectReference::default());
    let mut bmc = Bmc::new("a", BmcSpec::default());
    for (key, value, told) in [
        (ACCEPT_CERTIFICATE, pin.as_str(), [true, true, false, false]),
        (ACCEPT_CERTIFICATE, &pin[7..], [true; 4]),
        (ACCEPT_ADDRESS, " 10.77.0.5 ", [true, true, false, false]),
        (ACCEPT_ADDRESS, "10.77.0.5/24", [true, true, false, true]),
    ] {
        vouch(&mut endpoint.metadata, key, value);
        vouch(&mut server.metadata, key, value);
        vouch(&mut inline.metadata, key, value);
        vouch(&mut bmc.metadata, key, value);
        let lines =
            [on_endpoint(&endpoint), on_server(&server), on_server(&inline), told_on_bmc(&bmc)];
        assert_eq!(lines.each_ref().map(|it| it.len() == 1), told, "{key} {value}: {lines:?}");
        assert!(lines.iter().flatten().all(|line| line.contains(key)), "{lines:?}");
    }
}

#[test]
fn a_host_name_that_nothing_compares_is_told() {
    use Scheme::{Http, Https};
    use Verification::{Authorities, Off, Pinned};
    let mut bmc = Bmc::new("bmc-a", BmcSpec::default());
    for (own, default, verification, is_compared) in [
        (None, Https, Authorities, true),
        (None, Http, Authorities, false),
        (Some("https"), Http, Authorities, true),
        (Some("http"), Https, Authorities, false),
        (None, Https, Pinned, false),
        (None, Https, Off, false),
    ] {
        bmc.spec.protocol.scheme = own.map(Into::into);
        bmc.spec.hostname = Some("bmc-a.example".to_owned());
        let lines = on_bmc(&bmc, verification, default);
        let case = format!("{own:?} {default:?} {verification:?}: {lines:?}");
        assert_eq!(lines.is_empty(), is_compared, "{case}");
        assert!(lines.iter().all(|line| line.starts_with("spec.hostname has no effect")), "{case}");
        bmc.spec.hostname = None;
        assert_eq!(on_bmc(&bmc, verification, default), Vec::<String>::new());
    }
}

#[test]
fn labels_and_annotations_of_the_peer_that_have_no_effect_are_named() {
    let marked = |key: &str| Some([(key.to_owned(), String::new())].into());
    for label in [true, false] {
        let mut server = Server::new("a", ServerSpec::default());
        let marks = marked("metadata.metal.ironcore.dev/rack");
        if label {
            server.metadata.labels = marks;
        } else {
            server.metadata.annotations = marks;
        }
        let [line] = on_server(&server).try_into().unwrap();
        assert!(line.contains("metadata.metal.ironcore.dev/rack"), "{line}");
    }
    for label in ["maintenance-approved", "maintenance-requested"] {
        let mut claim = ServerClaim::new("a", ServerClaimSpec::default());
        claim.metadata.labels = marked(&format!("metal.ironcore.dev/{label}"));
        let [line] = on_claim(&claim).try_into().unwrap();
        assert!(line.contains(label), "{line}");
    }
    // Those that mean something only to others.
    let mut server = Server::new("a", ServerSpec::default());
    server.metadata.labels = marked(annotation::INSTANCE_TYPE);
    assert_eq!(on_server(&server), Vec::<String>::new());
}

#[test]
fn an_operation_that_nobody_carries_out_is_told_on_every_kind() {
    let asks = |operation: &str| {
        let annotations = [(annotation::OPERATION.to_owned(), operation.to_owned())].into();
        ObjectMeta { annotations: Some(annotations), ..ObjectMeta::default() }
    };
    let told = |operation: &str| {
        let mut server = Server::new("a", ServerSpec::default());
        let mut bmc = Bmc::new("a", BmcSpec::default());
        let mut claim = ServerClaim::new("a", ServerClaimSpec::default());
        let mut endpoint = Endpoint::new("a", EndpointSpec::default());
        server.metadata = asks(operation);
        bmc.metadata = asks(operation);
        claim.metadata = asks(operation);
        endpoint.metadata = asks(operation);
        [on_server(&server), told_on_bmc(&bmc), on_claim(&claim), on_endpoint(&endpoint)]
            .map(|lines| lines.len())
    };
    assert_eq!(told("ignore"), [0; 4]);
    assert_eq!(told("retry"), [0, 1, 1, 1]);
    assert_eq!(told("explode"), [1; 4]);
    for operation in Operation::iter().filter(|it| !it.ignores_self() && *it != Operation::Retry) {
        assert_eq!(told(&operation.to_string()), [1; 4], "{operation}");
    }
}

#[test]
fn a_kind_that_nobody_acts_on_says_what_does_not_happen() {
    let works = [Kind::Endpoint, Kind::Bmc, Kind::BmcSecret];
    for kind in Kind::iter() {
        assert_eq!(on_kind(kind).is_none(), works.contains(&kind), "{kind:?}");
    }
}

fn told_on_bmc(bmc: &Bmc) -> Vec<String> {
    on_bmc(bmc, Verification::Pinned, Scheme::Https)
}
