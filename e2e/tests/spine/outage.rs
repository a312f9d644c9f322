//! An API server that is unavailable for longer than a lease lasts.

use crate::{
    claim::Claim,
    path::{is_free_again, resets_are},
    shared::{pxe, run, settings},
};
use e2e::{
    cluster::eventually,
    stack::{NAMESPACE, PXE_TENANT, Settings, Stack, sha256},
};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use metal_api::ServerState;
use std::{fs, time::Duration};
use tokio::time::sleep;

/// Longer than a lease lasts, and than a Secret that was read counts as fresh.
const AWAY: Duration = Duration::from_secs(40);
const SOON: Duration = Duration::from_mins(2);

#[test]
fn operators_outlive_the_api_server_and_go_on_with_the_path_when_it_is_back() {
    run(async {
        let stack = Stack::start(Settings { fleets: vec![pxe()], ..settings() }).await.unwrap();
        let machine = stack.machine(0, 0).unwrap();
        let claim = Claim::booted(&stack, &machine).await;

        let outage = stack.cluster.outage().await.unwrap();
        sleep(AWAY).await;
        for operator in [&stack.metal, &stack.boot] {
            operator.ready(SOON).await.unwrap();
            let stopped = eventually(SOON, async || {
                let printed = operator.printed()?;
                anyhow::ensure!(printed.contains("controllers stopped"), "{printed}");
                Ok(())
            });
            stopped.await.unwrap();
        }
        outage.end().await.unwrap();
        claim.delete().await;
        claim.is_gone().await;
        is_free_again(&machine).await;
        resets_are(&machine, 2);
    });
}

#[test]
fn a_machine_in_its_window_boots_from_operators_that_start_while_the_api_server_is_away() {
    run(async {
        let stack = Stack::start(Settings { fleets: vec![pxe()], ..settings() }).await.unwrap();
        mount(&stack, "boot-operator-ignition-key", "boot-operator").await;
        mount(&stack, "metal-operator-registration-key", "metal-operator").await;
        let machine = stack.machine(0, 0).unwrap();
        machine.plug_in().await.unwrap();
        let server = machine.enters(ServerState::Available).await.unwrap();
        kept_boots_are(&stack, 0).await;
        let claim = Claim::of(&stack, &machine, &stack.registry.image(PXE_TENANT)).await;
        claim.is_bound().await;
        machine.boots_tenant().await.unwrap();
        let uuid = server.spec.effective_uuid().unwrap().to_string();
        let before = boot(&stack, &uuid).await;

        kept_boots_are(&stack, 1).await;
        let outage = stack.cluster.outage().await.unwrap();
        stack.boot.kill().await.unwrap();
        stack.metal.kill().await.unwrap();
        stack.boot.start().unwrap();
        stack.metal.start().unwrap();
        stack.boot.ready(SOON).await.unwrap();
        assert_eq!(boot(&stack, &uuid).await, before);
        let others = get(&stack, "ipxe/11111111-2222-3333-4444-555555555555").await;
        assert_eq!(others.status(), 503);
        assert!(stack.boot.printed().unwrap().contains("stored boots"));
        let report = stack.reports_url.join("t/x/register").unwrap();
        eventually(SOON, async || {
            let answer = http().post(report.clone()).body("{}").send().await?;
            anyhow::ensure!(answer.status() == 403, "{}", answer.status());
            Ok(())
        })
        .await
        .unwrap();

        outage.end().await.unwrap();
        claim.delete().await;
        claim.is_gone().await;
        is_free_again(&machine).await;
        resets_are(&machine, 2);
        // boot-operator may still be on its way back to the API server.
        let is_over = eventually(SOON, async || {
            let status = get(&stack, &format!("ipxe/{uuid}")).await.status();
            anyhow::ensure!(status != 200, "its boot is over");
            Ok(())
        });
        is_over.await.unwrap();
    });
}

/// Stands in for the kubelet: updates the volume of a Secret that the operator has created.
async fn mount(stack: &Stack, name: &str, operator: &str) {
    let secrets = Api::<Secret>::namespaced(stack.client.clone(), NAMESPACE);
    let secret = secrets.get(name).await.unwrap();
    let file = stack.cluster.scratch().join(operator).join("key/key");
    fs::write(file, &secret.data.unwrap()["key"].0).unwrap();
}

/// Waits until boot-operator, in the background, has saved this many boots.
async fn kept_boots_are(stack: &Stack, number: usize) {
    let folder = stack.cluster.scratch().join("boot-operator/cache/images/boots");
    eventually(SOON, async || {
        let files = fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()?;
        let whole = files.iter().filter(|file| file.path().extension().is_none()).count();
        anyhow::ensure!(whole == number, "{whole} boots are kept");
        Ok(())
    })
    .await
    .unwrap();
}

async fn get(stack: &Stack, path: &str) -> reqwest::Response {
    http().get(stack.boot_url.join(path).unwrap()).send().await.unwrap()
}

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

/// What a machine gets by PXE: its Ignition configuration, and the digest of its kernel.
async fn boot(stack: &Stack, uuid: &str) -> (String, String) {
    let script = get(stack, &format!("ipxe/{uuid}")).await;
    assert_eq!(script.status(), 200);
    let script = script.text().await.unwrap();
    let after = |word: &str| {
        let (_, rest) = script.split_once(word).unwrap();
        rest.split_whitespace().next().unwrap().to_owned()
    };
    let token = after("/ignition/t/");
    let token = token.split('/').next().unwrap();
    let ignition = get(stack, &format!("ignition/t/{token}/{uuid}")).await;
    assert_eq!(ignition.status(), 200);
    let kernel = http().get(after("set kernel-url ")).send().await.unwrap();
    assert_eq!(kernel.status(), 200);
    (ignition.text().await.unwrap(), sha256(&kernel.bytes().await.unwrap()))
}
