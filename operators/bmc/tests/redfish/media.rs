//! Virtual media slots: where they are, and what is sent to them.

use crate::{
    bmc::{FakeRedfish, Fault, chain},
    documents::SYSTEM,
};
use metal_bmc::Bmc;
use metal_core::redfish::{ImageUrl, MediaSlot, Step};
use serde_json::{Value, json};

const MANAGER: &str = "/redfish/v1/Managers/BMC";
const DRIVES: &str = "/redfish/v1/Managers/BMC/VirtualMedia";
const CD: &str = "/redfish/v1/Managers/BMC/VirtualMedia/CD";
const URL: &str = "http://10.77.0.1:8082/media/TOKEN.iso";

#[tokio::test]
async fn drives_are_found_at_the_manager_or_at_the_system_and_only_those_that_can_insert() {
    let server = machine(cd()).await;
    let expected = vec![MediaSlot { uri: CD.to_owned(), is_cd: true, ..MediaSlot::default() }];
    assert_eq!(server.bmc().media(SYSTEM).await.unwrap(), expected);
    server.edit(SYSTEM, |system| system["Links"] = json!({"ManagedBy": [{"@odata.id": MANAGER}]}));
    assert_eq!(server.bmc().media(SYSTEM).await.unwrap(), expected);
    server.edit(MANAGER, |manager| manager["VirtualMedia"] = Value::Null);
    assert_eq!(server.bmc().media(SYSTEM).await.unwrap(), []);
    server.edit(SYSTEM, |system| system["VirtualMedia"] = json!({"@odata.id": DRIVES}));
    assert_eq!(server.bmc().media(SYSTEM).await.unwrap(), expected);
    server.fault(CD, Fault::Answer(500, String::new()));
    server.bmc().media(SYSTEM).await.unwrap_err();
}

#[tokio::test]
async fn what_is_inserted_is_read_back_and_the_url_is_never_shown() {
    for (change, inserted) in [
        (json!({"Image": URL, "Inserted": true}), true),
        (json!({"Image": URL, "Inserted": null}), true),
        (json!({"Image": URL, "Inserted": false}), false),
        (json!({"ImageName": URL, "Inserted": null, "ConnectedVia": "URI"}), true),
        (json!({"ImageName": URL, "Inserted": null, "ConnectedVia": "NotConnected"}), false),
        (json!({"Image": "", "ImageName": URL, "Inserted": null}), true),
        (
            json!({"Image": URL, "ImageName": "x.iso", "ConnectedVia": "NotConnected",
            "Inserted": true}),
            true,
        ),
    ] {
        let mut cd = cd();
        cd.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let slots = machine(cd).await.bmc().media(SYSTEM).await.unwrap();
        assert_eq!(slots[0].inserted, inserted, "{change}");
        assert_eq!(slots[0].image, Some(ImageUrl::new(URL)));
        assert!(!slots[0].is_applet);
        assert!(!format!("{slots:?}").contains("TOKEN"));
    }
}

#[tokio::test]
async fn a_medium_is_inserted_by_the_action_with_the_parameters_that_it_allows() {
    let server = machine(cd()).await;
    server.bmc().perform(SYSTEM, &insert()).await.unwrap();
    assert_eq!(server.bodies(), [json!({"Image": URL})]);
    assert_eq!(server.log().last().unwrap(), &format!("POST {CD}/Insert"));

    let server = machine(cd()).await;
    server.edit(CD, |cd| {
        let action = &mut cd["Actions"]["#VirtualMedia.InsertMedia"];
        action["TransferProtocolType@Redfish.AllowableValues"] = json!(["CIFS", "HTTP"]);
        action["TransferMethod@Redfish.AllowableValues"] = json!(["stream"]);
    });
    server.bmc().perform(SYSTEM, &insert()).await.unwrap();
    let all = json!({"Image": URL, "TransferProtocolType": "HTTP", "TransferMethod": "stream"});
    assert_eq!(server.bodies(), [all]);
}

#[tokio::test]
async fn what_is_in_the_drive_is_ejected_first() {
    let server = machine(cd()).await;
    server.edit(CD, |cd| cd["Inserted"] = json!(true));
    server.bmc().perform(SYSTEM, &insert()).await.unwrap();
    assert_eq!(server.bodies(), [json!({}), json!({"Image": URL})]);
    server.bmc().perform(SYSTEM, &Step::EjectMedium { slot: CD.to_owned() }).await.unwrap();
    assert_eq!(server.log().last().unwrap(), &format!("POST {CD}/Eject"));
}

#[tokio::test]
async fn a_drive_without_actions_is_changed_by_its_properties() {
    let mut old = cd();
    old["Actions"] = Value::Null;
    let server = machine(old).await;
    server.bmc().perform(SYSTEM, &insert()).await.unwrap();
    server.bmc().perform(SYSTEM, &Step::EjectMedium { slot: CD.to_owned() }).await.unwrap();
    let expected =
        [json!({"Image": URL, "Inserted": true}), json!({"Image": null, "Inserted": false})];
    assert_eq!(server.bodies(), expected);
    assert_eq!(server.log().last().unwrap(), &format!("PATCH {CD}"));
}

#[tokio::test]
async fn what_comes_from_a_console_is_told_apart_from_a_url() {
    let mut cd = cd();
    (cd["Inserted"], cd["ConnectedVia"]) = (json!(true), json!("Applet"));
    let slots = machine(cd).await.bmc().media(SYSTEM).await.unwrap();
    assert!(slots[0].inserted && slots[0].is_applet, "{slots:?}");
}

#[tokio::test]
async fn a_slot_that_only_a_browser_can_fill_is_none_for_images() {
    let eject = json!({"target": format!("{DRIVES}/Slot_0/Eject")});
    let only_eject = json!({"Image": null, "Actions": {"#VirtualMedia.EjectMedia": eject}});
    let no_action = json!({"Image": null});
    let expected = vec![MediaSlot { uri: CD.to_owned(), is_cd: true, ..MediaSlot::default() }];
    for (proxy, counts_alone) in [(only_eject, false), (no_action, true)] {
        let server = machine(cd()).await;
        let slot = format!("{DRIVES}/Slot_0");
        server.edit(&slot, |it| *it = proxy);
        let link = |uri: &str| json!({"@odata.id": uri});
        server.edit(DRIVES, |drives| drives["Members"] = json!([link(&slot), link(CD)]));
        assert_eq!(server.bmc().media(SYSTEM).await.unwrap(), expected);
        server.edit(DRIVES, |drives| drives["Members"] = json!([link(&slot)]));
        let alone = server.bmc().media(SYSTEM).await.unwrap();
        assert_eq!(!alone.is_empty(), counts_alone, "{alone:?}");
    }
}

#[tokio::test]
async fn a_refusal_that_repeats_the_url_of_a_medium_is_told_without_it() {
    let eject = || Step::EjectMedium { slot: CD.to_owned() };
    let long = format!("{}{URL}", "on and on ".repeat(26));
    for (step, action) in [(insert(), "Insert"), (eject(), "Eject"), (insert(), "Eject")] {
        for (said, shown) in [
            ("cannot resolve host", "cannot resolve host"),
            (URL, "/media/***"),
            (long.as_str(), "on and on"),
        ] {
            let server = machine(cd()).await;
            server.edit(CD, |cd| cd["Inserted"] = json!(action == "Eject"));
            let bmc = server.bmc();
            bmc.systems().await.unwrap();
            let body = json!({"error": {"@Message.ExtendedInfo": [{"Message": said}]}});
            server.fault(&format!("{CD}/{action}"), Fault::Answer(400, body.to_string()));
            let error = bmc.perform(SYSTEM, &step).await.unwrap_err();
            let text = format!("{error} {}", chain(&error));
            assert!(text.contains(shown) && !text.contains("TOKEN"), "{action}: {text}");
            assert!(!text.contains("TOK"), "{action}: {text}");
        }
    }
}

#[tokio::test]
async fn parameters_that_the_action_info_requires_are_sent() {
    for link in [json!("/info"), json!({"@odata.id": "/info"})] {
        let server = machine(cd()).await;
        server.edit(CD, |cd| {
            cd["Actions"]["#VirtualMedia.InsertMedia"]["@Redfish.ActionInfo"] = link;
        });
        server.edit("/info", |info| {
            *info = json!({"Parameters": [
                {"Name": "Image", "Required": true},
                {"Name": "Inserted", "Required": true, "DataType": "Boolean"},
                {"Name": "TransferProtocolType", "AllowableValues": ["CIFS", "HTTP"]},
                {"Name": "TransferMethod", "AllowableValues": ["Upload"]},
                {"Name": "Slot", "Required": true, "AllowableValues": ["A", "B"]},
            ]});
        });
        server.bmc().perform(SYSTEM, &insert()).await.unwrap();
        let mut all = json!({"Image": URL, "Inserted": true, "Slot": "A"});
        all["TransferProtocolType"] = json!("HTTP");
        assert_eq!(server.bodies(), [all]);
    }
}

#[tokio::test]
async fn a_parameter_is_sent_to_a_bmc_that_says_at_the_parameter_that_it_is_missing() {
    let server = machine(cd()).await;
    // OpenBMC.
    let missing = json!({"MediaType@Message.ExtendedInfo": [{
        "MessageId": "Base.1.8.1.PropertyMissing",
        "Message": "The property MediaType is a required property.",
    }]});
    server.judge(move |_, path, _, body| {
        let is_missing = path.ends_with("/Insert") && body.get("MediaType").is_none();
        is_missing.then(|| (400, missing.clone()))
    });
    server.bmc().perform(SYSTEM, &insert()).await.unwrap();
    assert_eq!(server.bodies(), [json!({"Image": URL}), json!({"Image": URL, "MediaType": "CD"})]);
}

#[tokio::test]
async fn a_slot_for_uploads_comes_after_those_for_urls() {
    let uris = ["RDOC1", "RDOC2", "EXT1"].map(|id| format!("{DRIVES}/{id}"));
    let server = machine(cd()).await;
    let links: Vec<_> = uris.iter().map(|uri| json!({"@odata.id": uri})).collect();
    server.edit(DRIVES, |drives| drives["Members"] = json!(links));
    for uri in &uris {
        server.edit(uri, |slot| *slot = json!({"MediaTypes": ["CD", "DVD"], "Image": null}));
    }
    let slots = server.bmc().media(SYSTEM).await.unwrap();
    let found: Vec<_> = slots.into_iter().map(|slot| slot.uri).collect();
    assert_eq!(found, [&uris[2], &uris[0], &uris[1]].map(String::clone));
}

#[tokio::test]
async fn a_parameter_that_the_refusal_names_is_sent_and_remembered() {
    let all = [
        "Inserted",
        "WriteProtected",
        "TransferProtocolType",
        "TransferMethod",
        "UserName",
        "Password",
        "MediaType",
    ];
    for wanted in all {
        for is_named in [true, false] {
            let server = machine(cd()).await;
            server.judge(move |_, path, _, body| {
                let missing = path.ends_with("/Insert") && body.get(wanted).is_none();
                let args: &[&str] = if is_named { &["InsertMedia", wanted] } else { &[] };
                missing.then(|| (400, crate::bmc::refusal("ActionParameterMissing", args)))
            });
            let bmc = server.bmc();
            bmc.perform(SYSTEM, &insert()).await.unwrap();
            let tries = server.bodies().len();
            assert!(tries == 2 || !is_named && tries <= 5, "{wanted}: {tries}");
            bmc.perform(SYSTEM, &insert()).await.unwrap();
            assert_eq!(server.bodies().len(), tries + 1, "{wanted} is remembered");
        }
    }
}

#[tokio::test]
async fn a_parameter_that_is_not_known_is_left_out() {
    let server = machine(cd()).await;
    server.edit(CD, |cd| {
        let action = &mut cd["Actions"]["#VirtualMedia.InsertMedia"];
        action["TransferMethod@Redfish.AllowableValues"] = json!(["Stream"]);
    });
    server.judge(|_, _, _, body| {
        let sent = body.get("TransferMethod").is_some();
        let named = crate::bmc::refusal("ActionParameterNotSupported", &["TransferMethod"]);
        sent.then_some((400, named))
    });
    server.bmc().perform(SYSTEM, &insert()).await.unwrap();
    assert_eq!(server.bodies().last().unwrap(), &json!({"Image": URL}));
    assert_eq!(server.bodies().len(), 2);
}

#[tokio::test]
async fn a_dead_collection_of_drives_costs_no_other() {
    let dead = "/redfish/v1/Systems/1/VirtualMedia";
    let expected = vec![MediaSlot { uri: CD.to_owned(), is_cd: true, ..MediaSlot::default() }];
    for fault in [Some(Fault::Answer(404, String::new())), Some(Fault::Cut), None] {
        let server = machine(cd()).await;
        server.edit(SYSTEM, |system| system["VirtualMedia"] = json!({"@odata.id": dead}));
        server.edit(dead, |drives| *drives = json!({"Members": []}));
        if let Some(fault) = fault.clone() {
            server.fault(dead, fault);
        }
        assert_eq!(server.bmc().media(SYSTEM).await.unwrap(), expected, "{fault:?}");
    }
    // The first of two managers has a slot that does not answer.
    let server = machine(cd()).await;
    let (other, drives) = ("/redfish/v1/Managers/EM", "/redfish/v1/Managers/EM/VirtualMedia");
    server.edit(other, |manager| manager["VirtualMedia"] = json!({"@odata.id": drives}));
    server.fault(drives, Fault::Answer(500, String::new()));
    assert_eq!(server.bmc().media(SYSTEM).await.unwrap(), expected);
    // If no slot is left, the reason is returned.
    server.fault(DRIVES, Fault::Answer(500, String::new()));
    let error = server.bmc().media(SYSTEM).await.unwrap_err();
    assert!(chain(&error).contains("HTTP 500"), "{}", chain(&error));
}

#[tokio::test]
async fn a_drive_that_shows_its_image_only_is_emptied_first() {
    let mut cd = cd();
    (cd["Inserted"], cd["Image"]) = (Value::Null, json!("http://10.0.0.1/other.iso"));
    let server = machine(cd).await;
    server.bmc().perform(SYSTEM, &insert()).await.unwrap();
    let log = server.log();
    let posts: Vec<_> = log.iter().filter(|it| it.starts_with("POST /redfish/v1/M")).collect();
    assert_eq!(posts, [&format!("POST {CD}/Eject"), &format!("POST {CD}/Insert")]);
    // It never shows that it is empty, which some take a time for.
    let looks = log.rsplit(|it| it.ends_with("/Eject")).next().unwrap();
    assert_eq!(looks.iter().filter(|it| **it == format!("GET {CD}")).count(), 6);
}

fn insert() -> Step {
    Step::InsertMedium { slot: CD.to_owned(), image: ImageUrl::new(URL) }
}

fn cd() -> Value {
    json!({
        "Id": "CD", "MediaTypes": ["CD", "DVD"], "Image": null, "Inserted": false,
        "Actions": {
            "#VirtualMedia.InsertMedia": {"target": format!("{CD}/Insert")},
            "#VirtualMedia.EjectMedia": {"target": format!("{CD}/Eject")},
        },
    })
}

/// A machine with this slot, and one for floppies.
async fn machine(cd: Value) -> FakeRedfish {
    let server = FakeRedfish::machine().await;
    let floppy = format!("{DRIVES}/Floppy");
    server.edit(MANAGER, |manager| manager["VirtualMedia"] = json!({"@odata.id": DRIVES}));
    let members = json!({"Members": [{"@odata.id": &floppy}, {"@odata.id": CD}]});
    server.edit(DRIVES, |drives| *drives = members);
    server.edit(&floppy, |drive| *drive = json!({"MediaTypes": ["Floppy"], "Image": null}));
    server.edit(CD, |drive| *drive = cd);
    server
}
