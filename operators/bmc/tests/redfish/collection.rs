//! Members that come with their collection or in place of it, and those that do not.

use crate::{
    bmc::FakeRedfish,
    documents::{SYSTEM, documents},
    systems::expected,
};
use metal_bmc::{Bmc, is_about_the_list};
use serde_json::json;

#[tokio::test]
async fn members_come_with_the_collection_where_that_is_offered() {
    let server = FakeRedfish::machine().await;
    server.edit("/redfish/v1/", |root| {
        root["ProtocolFeaturesSupported"] = json!({"ExpandQuery": {"NoLinks": true}});
    });
    let whole = documents()[SYSTEM].clone();
    server.edit("/redfish/v1/Systems?$expand=.", |page| *page = json!({"Members": [whole]}));
    assert_eq!(server.bmc().systems().await.unwrap(), [expected()]);
    let log = server.log();
    assert_eq!(log[2..], ["GET /redfish/v1/Systems?$expand=."]);
}

#[tokio::test]
async fn an_expand_that_was_promised_and_fails_is_not_asked_for_again() {
    let server = FakeRedfish::machine().await;
    server.edit("/redfish/v1/", |root| {
        root["ProtocolFeaturesSupported"] = json!({"ExpandQuery": {"NoLinks": true}});
    });
    let bmc = server.bmc();
    assert_eq!(bmc.systems().await.unwrap(), [expected()]);
    assert_eq!(bmc.systems().await.unwrap(), [expected()]);
    let expanded = server.log().iter().filter(|line| line.contains("$expand")).count();
    assert_eq!(expanded, 1);
}

#[tokio::test]
async fn an_expand_that_yields_links_only_is_followed_by_reads() {
    let server = FakeRedfish::machine().await;
    server.edit("/redfish/v1/", |root| {
        root["ProtocolFeaturesSupported"] = json!({"ExpandQuery": {"ExpandAll": true}});
    });
    let links = documents()["/redfish/v1/Systems"].clone();
    server.edit("/redfish/v1/Systems?$expand=*", |page| *page = links);
    assert_eq!(server.bmc().systems().await.unwrap(), [expected()]);
}

#[tokio::test]
async fn an_expand_that_leaves_members_out_is_not_believed() {
    const OTHER: &str = "/redfish/v1/Systems/2";
    let server = FakeRedfish::machine().await;
    server.edit("/redfish/v1/", |root| {
        root["ProtocolFeaturesSupported"] = json!({"ExpandQuery": {"NoLinks": true}});
    });
    let whole = documents()[SYSTEM].clone();
    server.edit(OTHER, |other| {
        *other = whole.clone();
        other["UUID"] = json!("38947555-7742-3448-3784-82334782383b");
    });
    server.edit("/redfish/v1/Systems", |page| {
        *page = json!({"Members@odata.count": 2, "Members": [
            {"@odata.id": SYSTEM}, {"@odata.id": OTHER}]});
    });
    server.edit("/redfish/v1/Systems?$expand=.", |page| {
        *page = json!({"Members@odata.count": 2, "Members": [whole]});
    });
    let bmc = server.bmc();
    for _ in 0..2 {
        let mut remarks = vec![];
        let systems = bmc.systems_with(&mut remarks).await.unwrap();
        let found: Vec<_> = systems.iter().map(|system| system.uri.as_str()).collect();
        assert_eq!((found, remarks), (vec![SYSTEM, OTHER], vec![]));
    }
    let expanded = server.log().iter().filter(|line| line.contains("$expand")).count();
    assert_eq!(expanded, 1);
}

#[tokio::test]
async fn members_that_come_with_a_wrong_count_are_kept_and_told() {
    let server = FakeRedfish::machine().await;
    server.edit("/redfish/v1/", |root| {
        root["ProtocolFeaturesSupported"] = json!({"ExpandQuery": {"NoLinks": true}});
    });
    let whole = documents()[SYSTEM].clone();
    server.edit("/redfish/v1/Systems?$expand=.", |page| {
        *page = json!({"Members@odata.count": 2, "Members": [whole]});
    });
    let mut remarks = vec![];
    let systems = server.bmc().systems_with(&mut remarks).await.unwrap();
    assert_eq!(systems, [expected()]);
    let told = "/redfish/v1/Systems: Members@odata.count is 2, but there are 1 members";
    assert_eq!(remarks, [told]);
    assert!(
        is_about_the_list(told) && is_about_the_list("/redfish/v1/Systems: 2 links are invalid")
    );
    assert!(!is_about_the_list("/redfish/v1/Systems, after 1: HTTP 503"), "some are unread");
}

/// A machine whose BMC offers `only` and not `$expand`, as OpenBMC does.
async fn with_only() -> FakeRedfish {
    let server = FakeRedfish::machine().await;
    server.edit("/redfish/v1/", |root| {
        root["ProtocolFeaturesSupported"] =
            json!({"ExpandQuery": {"NoLinks": false}, "OnlyMemberQuery": true});
    });
    server
}

#[tokio::test]
async fn an_only_member_comes_in_place_of_its_collection_where_that_is_offered() {
    let server = with_only().await;
    let storage = format!("{SYSTEM}/Storage");
    for (collection, member) in [
        ("/redfish/v1/Systems".to_owned(), SYSTEM.to_owned()),
        (format!("{SYSTEM}/Storage"), format!("{storage}/1")),
        (format!("{storage}/1/Volumes"), format!("{storage}/1/Volumes/1")),
    ] {
        let mut whole = documents()[&member].clone();
        whole["@odata.id"] = json!(member);
        server.edit(&format!("{collection}?only"), |answer| *answer = whole);
    }
    // This one has two.
    let processors = format!("{SYSTEM}/Processors");
    let both = documents()[&processors].clone();
    server.edit(&format!("{processors}?only"), |answer| *answer = both);
    let bmc = server.bmc();
    assert_eq!(bmc.systems().await.unwrap(), [expected()]);
    let parts = bmc.inventory(SYSTEM).await.unwrap();
    assert_eq!(parts, FakeRedfish::machine().await.bmc().inventory(SYSTEM).await.unwrap());
    let drives = "/redfish/v1/Chassis/1/Drives";
    let log = server.log();
    let reads = [
        "/redfish/v1/Systems?only".to_owned(),
        format!("{processors}?only"),
        format!("{processors}/CPU1"),
        format!("{processors}/CPU2"),
        format!("{storage}?only"),
        format!("{drives}/0"),
        format!("{drives}/1"),
        format!("{storage}/1/Volumes?only"),
    ];
    assert_eq!(log[2..], reads.map(|path| format!("GET {path}")));
}

#[tokio::test]
async fn an_only_that_was_promised_and_fails_is_not_asked_for_again() {
    for answer in [None, Some(json!({"@odata.id": "/redfish/v1/Systems/"})), Some(json!({}))] {
        let server = with_only().await;
        if let Some(answer) = answer {
            server.edit("/redfish/v1/Systems?only", |page| *page = answer);
        }
        let bmc = server.bmc();
        for _ in 0..2 {
            assert_eq!(bmc.systems().await.unwrap(), [expected()]);
        }
        bmc.inventory(SYSTEM).await.unwrap();
        let asked = server.log().iter().filter(|line| line.ends_with("?only")).count();
        assert_eq!(asked, 1);
    }
}
