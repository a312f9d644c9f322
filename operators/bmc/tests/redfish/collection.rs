//! Members that come with their collection, and those that do not.

use crate::{
    bmc::FakeRedfish,
    documents::{SYSTEM, documents},
    systems::expected,
};
use metal_bmc::Bmc;
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
}
