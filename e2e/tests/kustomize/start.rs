//! What an overlay installs starts: an API server accepts every object, and every binary becomes
//! ready with the arguments of its pod, under its ServiceAccount.

use crate::OVERLAYS;
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::Cluster,
    stack::{Node, Overlay, name, pod, pod_alone},
};
use futures::future::try_join_all;
use serde_json::Value;
use std::{fs, path::Path, time::Duration};

const READY: Duration = Duration::from_mins(3);
const END: Duration = Duration::from_mins(1);

#[tokio::test]
async fn every_overlay_starts_with_its_defaults() {
    let cluster = Cluster::shared().await.unwrap();
    for overlay in OVERLAYS {
        let overlay = &Overlay::build(overlay).await.unwrap();
        cluster.apply(&overlay.yaml).await.with_context(|| overlay.name).unwrap();
        // All at once, as in a cluster.
        let started = overlay.of("Deployment").map(|deployment| async move {
            let started = start(cluster, overlay, deployment).await;
            started.with_context(|| format!("{} of {}", name(deployment), overlay.name))
        });
        try_join_all(started).await.unwrap();
    }
}

#[tokio::test]
async fn a_pod_has_the_variables_of_its_image_and_of_its_deployment() {
    let overlay = Overlay::build("default").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let node = Node { binaries: Some(folder.path()), ..Node::of_this_machine(folder.path()) };
    let deployment = overlay.named("Deployment", "metal-operator").unwrap();
    let operator = pod_alone(&overlay, deployment, node).await.unwrap();
    assert_eq!(operator.given_variable("MALLOC_ARENA_MAX"), Some("1"));
    assert_eq!(operator.given_variable("POD_NAME"), Some("metal-operator-0"));
}

/// Starts the process of a pod, waits until it is ready, and ends it.
async fn start(cluster: &Cluster, overlay: &Overlay, deployment: &Value) -> Result<()> {
    let folder = cluster.scratch().join(overlay.name);
    let node = Node::of_this_machine(&folder);
    let operator = pod(cluster, overlay, deployment, node).await?;
    if name(deployment) == "netboot" {
        give_port_67_away(&folder)?;
    }
    operator.start()?;
    let ready = operator.ready(READY).await;
    let printed = operator.printed()?;
    ready.with_context(|| printed.clone())?;
    ensure!(!printed.contains("orbidden"), "{printed}");
    operator.terminate(END).await
}

/// Moves netboot off port 67, which other tests on this machine use.
fn give_port_67_away(folder: &Path) -> Result<()> {
    let file = folder.join("netboot/config/netboot.yaml");
    let text = fs::read_to_string(&file)?;
    Ok(fs::write(file, text.replace("interfaces: [lo]", "listen: [\"127.0.0.1:0\"]"))?)
}
