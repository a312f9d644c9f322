//! What docs/gitops.md says for Argo CD and Flux.

use crate::{parts::site, pod::kinds};
use e2e::cluster::workspace;
use std::fs;

/// By which the two tools are told to keep an object.
const ARGO_CD: &str = "argocd.argoproj.io/sync-options";
const FLUX: &str = "kustomize.toolkit.fluxcd.io/prune";

/// Kinds whose objects take servers or leases with them.
const KEPT: [&str; 3] = ["CustomResourceDefinition", "Namespace", "PersistentVolumeClaim"];

#[tokio::test]
async fn no_tool_deletes_what_takes_servers_with_it() {
    for overlay in ["production", "hosts", "metalman"] {
        let text = format!("resources: [CONFIG/{overlay}]\ncomponents: [CONFIG/gitops]\n");
        for object in site(&text, &[]).await.all() {
            let annotations = &object["metadata"]["annotations"];
            let is_kept = annotations[ARGO_CD] == "Prune=false,Delete=false"
                && annotations[FLUX] == "disabled";
            let kind = object["kind"].as_str().unwrap();
            assert_eq!(is_kept, KEPT.contains(&kind), "{overlay}: {kind}");
        }
    }
}

#[tokio::test]
async fn definitions_may_come_from_a_folder_of_their_own() {
    let page = fs::read_to_string(workspace().join("docs/gitops.md")).unwrap();
    let blocks = page.split("```yaml\n").skip(1);
    let blocks: Vec<_> = blocks.filter_map(|block| Some(block.split_once("```")?.0)).collect();
    let without = blocks.iter().find(|block| block.starts_with("patches:")).unwrap();
    let overlay = site(&format!("resources: [CONFIG/production]\n{without}"), &[]).await;
    assert_eq!(overlay.of("CustomResourceDefinition").count(), 0);
    assert_eq!(overlay.of("Deployment").count(), 3);
    let alone = blocks.iter().find(|block| block.contains("../bases/crd")).unwrap();
    let alone = alone.replace("../config", "CONFIG").replace("../bases", "CONFIG/../bases");
    let overlay = site(&alone, &[]).await;
    assert_eq!(overlay.names("CustomResourceDefinition").len(), kinds().len());
    assert_eq!(overlay.all().len(), kinds().len());
}
