//! What the API server does to objects when they are created, updated and deleted.

use anyhow::{Context, Result, ensure};
use e2e::cluster::{Cluster, eventually, unique, workspace};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use metal_api::{
    BootState, ClaimReference, LocalObjectReference, ObjectReference, Server,
    ServerBootConfiguration, ServerBootConfigurationSpec, ServerSpec,
};
use serde_json::json;
use std::time::Duration;

const LIMIT: Duration = Duration::from_mins(3);
const COLLECTOR: &str = "--as=system:serviceaccount:kube-system:generic-garbage-collector";

#[tokio::test]
async fn a_boot_configuration_is_pending_from_its_creation_on() {
    let cluster = Cluster::shared().await.unwrap();
    let api = Api::<ServerBootConfiguration>::default_namespaced(cluster.client().await.unwrap());
    let (name, params) = (unique("pending"), PostParams::default());
    let spec = ServerBootConfigurationSpec {
        server_ref: LocalObjectReference { name: "server".to_owned() },
        ..ServerBootConfigurationSpec::default()
    };
    api.create(&params, &ServerBootConfiguration::new(&name, spec)).await.unwrap();
    let found = api.get(&name).await.unwrap();
    assert_eq!(found.status.unwrap().state, Some(BootState::Pending));
    // A client may write to the status without repeating the state.
    let condition = json!({
        "type": "Seen", "status": "True", "reason": "Seen", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let patch = Patch::Merge(json!({ "status": { "conditions": [condition] } }));
    let status = api.patch_status(&name, &PatchParams::default(), &patch).await.unwrap().status;
    assert_eq!(status.unwrap().state, Some(BootState::Pending));
}

#[tokio::test]
async fn a_server_that_is_claimed_or_in_maintenance_is_not_deleted_in_passing() {
    let cluster = Cluster::shared().await.unwrap();
    let folder = workspace().join("bases/admission");
    let folder = folder.to_str().unwrap();
    cluster.kubectl(&["apply", "--server-side", "-k", folder]).await.unwrap();
    let servers = Api::<Server>::all(cluster.client().await.unwrap());

    let name = unique("claimed");
    let (namespace, claim) = ("tenant".to_owned(), "claim".to_owned());
    let held = Some(ClaimReference { namespace, name: claim, uid: None });
    create(&servers, &name, ServerSpec { server_claim_ref: held, ..spec() }).await;
    let collect = ["delete", "server", &name, COLLECTOR];
    let trial = [&collect[..], &["--dry-run=server"]].concat();
    refused(async || cluster.kubectl(&trial).await, "a claim holds this server").await;
    assert!(cluster.kubectl(&collect).await.is_err());
    let free = Patch::Merge(json!({ "spec": { "serverClaimRef": null } }));
    servers.patch(&name, &PatchParams::default(), &free).await.unwrap();
    cluster.kubectl(&collect).await.unwrap();

    let name = unique("maintained");
    let reference = Some(ObjectReference::new("metal", "update"));
    create(&servers, &name, ServerSpec { server_maintenance_ref: reference, ..spec() }).await;
    let state = |state: &str| Patch::Merge(json!({ "status": { "state": state } }));
    servers.patch_status(&name, &PatchParams::default(), &state("Maintenance")).await.unwrap();
    let trial = DeleteParams { dry_run: true, ..DeleteParams::default() };
    refused(async || Ok(servers.delete(&name, &trial).await?), "this server is in maintenance")
        .await;
    let free = Patch::Merge(json!({ "spec": { "serverMaintenanceRef": null } }));
    servers.patch(&name, &PatchParams::default(), &free).await.unwrap();
    servers.delete(&name, &DeleteParams::default()).await.unwrap();
}

/// Waits until something is refused with these words: a policy takes a moment to come into force.
async fn refused<T>(attempt: impl AsyncFn() -> Result<T>, words: &str) {
    let refused = eventually(LIMIT, async || {
        let error = attempt().await.err().context("it is let through")?;
        ensure!(format!("{error:#}").contains(words), "{error:#}");
        Ok(())
    });
    refused.await.unwrap();
}

fn spec() -> ServerSpec {
    let uuid = Some("123e4567-e89b-12d3-a456-426614174abc".to_owned());
    ServerSpec { system_uuid: uuid, ..ServerSpec::default() }
}

async fn create(servers: &Api<Server>, name: &str, spec: ServerSpec) {
    servers.create(&PostParams::default(), &Server::new(name, spec)).await.unwrap();
}
