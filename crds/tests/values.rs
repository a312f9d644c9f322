//! How types read values that another version, another client or a person wrote.

use metal_api::{
    BmcSecretSpec, BmcState, Operation, PowerState, Server, ServerSpec, ServerState, Taint,
    TaintEffect, Toleration, TolerationOperator,
    inventory::{Registration, Report},
};
use serde_json::{Value, json};

#[test]
fn words_of_another_version_survive() {
    let doc = json!({
        "apiVersion": "metal.ironcore.dev/v1alpha1", "kind": "Server", "metadata": {},
        "spec": { "systemUUID": "x", "power": "Maybe", "indicatorLED": "Purple" },
        "status": {
            "state": "Sanitizing", "powerState": "Hibernating", "indicatorLED": "",
            "pending": { "kind": "Wipe", "since": "2026-01-02T03:04:05Z" },
            "networkInterfaces": [{ "name": "eth0", "macAddress": "no mac", "ips": ["no ip"] }],
        },
    });
    let server: Server = serde_json::from_value(doc.clone()).unwrap();
    let state = server.status.as_ref().unwrap().state.clone();
    assert_eq!(state, Some(ServerState::Other("Sanitizing".into())));
    assert_eq!(serde_json::to_value(server).unwrap(), doc);
}

#[test]
fn words_that_are_known_become_variants() {
    assert_eq!(ServerState::from("Available"), ServerState::Available);
    assert_eq!(PowerState::from("PoweringOff"), PowerState::PoweringOff);
    assert_eq!(BmcState::from("Enabled").as_str(), "Enabled");
    assert_eq!(ServerState::Maintenance.to_string(), "Maintenance");
}

#[test]
fn both_spellings_of_the_uuid_count_and_case_does_not() {
    let uuid = |text: Value| {
        let uuid = serde_json::from_value::<ServerSpec>(text).unwrap().effective_uuid();
        uuid.map(|uuid| uuid.to_string())
    };
    let one = "38947555-7742-3448-3784-82334782383a";
    for text in [one, "3894755577423448378482334782383A", " {38947555-7742-3448-3784-82334782383A}"]
    {
        for said in [json!({ "systemUUID": text }), json!({ "uuid": text })] {
            assert_eq!(uuid(said).as_deref(), Some(one), "{text}");
        }
        let said = json!({ "systemUUID": " ", "uuid": text });
        assert_eq!(uuid(said).as_deref(), Some(one), "{text}");
    }
    for none in ["", "abcd", "00000000-0000-0000-0000-000000000000"] {
        assert_eq!(uuid(json!({ "systemUUID": none })), None);
    }
    assert_eq!(uuid(json!({})), None);
}

#[test]
fn a_quantity_may_be_a_number() {
    let read = |memory: Value| {
        let status = json!({ "totalSystemMemory": memory });
        let status: metal_api::ServerStatus = serde_json::from_value(status).unwrap();
        status.total_system_memory.map(|quantity| quantity.0)
    };
    assert_eq!(read(json!("96Gi")).as_deref(), Some("96Gi"));
    assert_eq!(read(json!(1024)).as_deref(), Some("1024"));
    assert_eq!(read(json!(null)), None);
}

#[test]
fn a_password_is_not_in_the_debug_form() {
    let text = r#"{ "data": { "password": "c2VjcmV0" }, "stringData": { "username": "root" } }"#;
    let secret: BmcSecretSpec = serde_json::from_str(text).unwrap();
    assert_eq!(secret.value(BmcSecretSpec::PASSWORD), Some("secret"));
    assert_eq!(secret.value(BmcSecretSpec::USERNAME), Some("root"));
    assert_eq!(secret.value("token"), None);
    let debug = format!("{:?} {:?}", secret, metal_api::BmcSecret::new("bmc", secret.clone()));
    let values = ["secret", "c2VjcmV0", "root", "115, 101"];
    assert!(!values.iter().any(|value| debug.contains(value)), "{debug}");
    assert!(debug.contains("password"), "{debug}");
}

#[test]
fn what_an_agent_found_is_kept_whole() {
    let body = json!({
        "systemUUID": "ABCD",
        "data": {
            "timestamp": "2026-01-02T03:04:05.678+02:00",
            "cpu": [{ "id": 0, "totalCores": 8, "temperature": { "celsius": 40.5 } }],
            "storage": [{ "name": "sda", "rotational": false, "hWSectorSize": 512, "numaNodeID": -1 }],
            "somethingNew": [1, 2],
        },
    });
    let registration: Registration = serde_json::from_value(body.clone()).unwrap();
    assert_eq!(registration.data.cpu[0].total_cores, Some(8));
    assert_eq!(serde_json::to_value(registration).unwrap(), body);
}

#[test]
fn lists_that_go_writes_as_null_are_empty() {
    let text =
        r#"{ "systemInfo": null, "cpu": null, "lldp": [{ "name": "eth0", "neighbors": null }] }"#;
    let report: Report = serde_json::from_str(text).unwrap();
    assert!(report.cpu.is_empty());
    assert_eq!(serde_json::to_value(report).unwrap(), json!({ "lldp": [{ "name": "eth0" }] }));
}

#[test]
fn a_report_of_the_wrong_shape_is_refused_and_the_error_says_what_is_wrong() {
    let text = r#"{ "systemUUID": "ABCD", "data": { "cpu": [{ "totalCores": "eight" }] } }"#;
    let error = serde_json::from_str::<Registration>(text).unwrap_err().to_string();
    assert!(error.contains(r#"invalid type: string "eight""#), "{error}");
    let error = serde_json::from_str::<Registration>(r#"{ "data": {} }"#).unwrap_err().to_string();
    assert!(error.contains("systemUUID"), "{error}");
}

#[test]
fn an_enumeration_that_the_schema_enforces_takes_no_other_word() {
    let spec = json!({ "systemUUID": "x", "reclaimPolicy": "Burn" });
    assert!(serde_json::from_value::<ServerSpec>(spec).is_err());
}

#[test]
fn a_toleration_accepts_what_it_says() {
    let taint = |value: Option<&str>, effect| Taint {
        key: "rack".into(),
        value: value.map(Into::into),
        effect,
    };
    let tolerates = |operator, value: Option<&str>, effect, taint: &Taint| {
        let value = value.map(Into::into);
        Toleration { key: "rack".into(), operator, value, effect }.tolerates(taint)
    };
    let (equal, exists) = (Some(TolerationOperator::Equal), Some(TolerationOperator::Exists));
    let (bind, evict) = (Some(TaintEffect::NoBind), Some(TaintEffect::Evict));

    assert!(tolerates(exists, None, None, &taint(Some("r1"), evict)));
    assert!(tolerates(None, Some("r1"), None, &taint(Some("r1"), None)));
    assert!(tolerates(equal, None, bind, &taint(None, None)), "no effect means NoBind");
    assert!(!tolerates(equal, Some("r2"), None, &taint(Some("r1"), None)));
    assert!(!tolerates(exists, None, evict, &taint(None, bind)));
    let other = Taint { key: "row".into(), ..Taint::default() };
    assert!(!tolerates(exists, None, None, &other));
}

#[test]
fn an_operation_says_whether_the_object_is_left_alone() {
    assert!(Operation::Ignore.ignores_self());
    assert!(Operation::IgnoreChildAndSelf.ignores_self());
    assert!(!Operation::IgnoreChild.ignores_self());
    assert!(!Operation::Park.ignores_self());
}
