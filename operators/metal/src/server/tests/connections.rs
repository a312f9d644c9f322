//! Which connections to BMCs are given up, and how.

use super::*;
use crate::bmc::Bmcs;
use metal_api::{Bmc, BmcSpec, InlineAccess};
use metal_bmc::Target;

#[tokio::test]
async fn the_bmc_of_a_server_that_is_gone_is_logged_out_of() {
    let scene = Scene::recorded().await;
    scene.pass().await.unwrap();
    scene.pass().await.unwrap();
    assert_eq!(scene.bmc.left(), [], "it is in use");
    list(&scene.ctx.view.servers, vec![]).await;
    assert_eq!(scene.pass().await.unwrap(), Next::Wait);
    assert_eq!(scene.bmc.left(), [(at("192.0.2.9"), true)]);
}

#[tokio::test]
async fn an_address_that_a_server_no_longer_has_is_told_no_session() {
    let scene = Scene::recorded().await;
    scene.pass().await.unwrap();
    let seen = scene.ctx.view.servers.named(None, "server-a").unwrap();
    let mut moved = Server::clone(&seen);
    moved.spec.bmc.as_mut().unwrap().address = "192.0.2.10".to_owned();
    moved.metadata.resource_version = Some("99".to_owned());
    show(&scene.ctx.view.servers, moved).await;
    scene.pass().await.unwrap();
    assert_eq!(scene.bmc.left(), [(at("192.0.2.9"), false)]);
}

#[tokio::test]
async fn a_bmc_that_others_have_as_well_is_kept_until_the_last_has_left() {
    let scene = Scene::recorded().await;
    scene.pass().await.unwrap();
    let ip = Some("192.0.2.9".to_owned());
    let spec = BmcSpec {
        protocol: server().spec.bmc.unwrap().protocol,
        access: Some(InlineAccess { ip, ..InlineAccess::default() }),
        bmc_secret_ref: LocalObjectReference { name: "secret-a".to_owned() },
        ..BmcSpec::default()
    };
    let bmc = Bmc::new("bmc-1", spec);
    scene.server.put(&bmc);
    list(&scene.ctx.view.bmcs, vec![bmc]).await;
    let (bmcs, name, calls) = (Bmcs::new(Arc::clone(&scene.ctx)), "bmc-1", scene.bmc.calls());
    bmcs.pass(&scene.work, name.to_owned()).await.unwrap();
    assert!(scene.bmc.calls() > calls, "it was not read");
    bmcs.gone(&name.to_owned()).await.unwrap();
    assert_eq!(scene.bmc.left(), [], "a server has it");
    list(&scene.ctx.view.servers, vec![]).await;
    scene.pass().await.unwrap();
    assert_eq!(scene.bmc.left(), [(at("192.0.2.9"), true)]);
}

fn at(address: &str) -> Target {
    Target { scheme: Scheme::Http, host: address.parse().unwrap(), port: 8000 }
}
