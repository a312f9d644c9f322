//! Overlays of metalman's sites: two of them side by side, and the same objects from the plugin.

use anyhow::{Result, ensure};
use e2e::{
    cluster::{Cluster, eventually},
    stack::{Overlay, metalman::Metalman, run_plugin},
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use serde_json::{Value, json};
use std::{fs, time::Duration};

/// The ConfigMap of a site, as docs/metalman-sites.md shows it.
fn config(site: &str, dhcp: &str) -> String {
    format!(
        "apiVersion: v1\n\
         kind: ConfigMap\n\
         metadata:\n  \
           name: metalman-site\n\
         data:\n  \
           site: {site}\n  \
           dhcp: {dhcp}\n"
    )
}

/// An overlay of two sites: rack-a, and one whose name has a hyphen more.
async fn two_sites() -> Result<Overlay> {
    let folder = tempfile::tempdir()?;
    let sites = [("rack-a", "--dhcp-interface=eth1"), ("rack-b-2", "--dhcp-auto-interface")];
    for (site, dhcp) in sites {
        let of = folder.path().join(site);
        fs::create_dir(&of)?;
        let text = "resources: [site.yaml]\ncomponents: [CONFIG/metalman-site]\n";
        Overlay::of_site("site", &of, text, &[("site.yaml", &config(site, dhcp))]).await?;
    }
    let text = "resources: [CONFIG/metalman-init, rack-a, rack-b-2]\n";
    Overlay::of_site("sites", folder.path(), text, &[]).await
}

#[tokio::test]
async fn what_the_plugin_applies_is_what_kustomize_renders() {
    let cluster = Cluster::shared().await.unwrap();
    let overlay = two_sites().await.unwrap();
    let printed = async |args: &[&str]| {
        let args = [args, &["--dry-run=client", "-o", "json"]].concat();
        let printed = run_plugin(cluster, &args, "").await.unwrap();
        serde_json::from_str::<Value>(&printed.out).unwrap()
    };
    let shared = printed(&["site", "init", "rack-a"]).await;
    let mut applied = shared["items"].as_array().unwrap().clone();
    let deploy = ["site", "deploy-pxe", "--site"];
    applied.push(printed(&[&deploy[..], &["rack-a", "--interface", "eth1"]].concat()).await);
    applied.push(printed(&[&deploy[..], &["rack-b-2"]].concat()).await);
    let rendered: Vec<_> = overlay.all().iter().cloned().map(plain).collect();
    for object in &applied {
        let is_rendered = rendered.contains(&plain(object.clone()));
        assert!(is_rendered, "not rendered so: {object:#}");
    }
    // Other resources of this repository are no matter of the plugin's.
    let is_its = |object: &&Value| {
        object["kind"] != "CustomResourceDefinition"
            || object["spec"]["group"] == "unbounded-cloud.io"
    };
    assert_eq!(overlay.all().iter().filter(is_its).count(), applied.len());
}

#[tokio::test]
async fn two_sites_in_one_cluster_start_side_by_side() {
    let cluster = Cluster::shared().await.unwrap();
    let overlay = two_sites().await.unwrap();
    let names = ["metalman-controller-rack-a", "metalman-controller-rack-b-2"];
    assert_eq!(overlay.names("Deployment"), names);
    assert_eq!(overlay.names("ConfigMap"), [""; 0], "it is for kustomize alone");
    cluster.apply(&overlay.yaml).await.unwrap();
    let mut sites = vec![];
    for name in names {
        let deployment = overlay.named("Deployment", name).unwrap();
        pods_are_its_own(deployment).unwrap();
        sites.push(Metalman::of_site(cluster, deployment).await.unwrap());
    }
    let leases = Api::<Lease>::namespaced(cluster.client().await.unwrap(), "unbounded-kube");
    for lease in ["metalman-rack-a", "metalman-rack-b-2"] {
        eventually(Duration::from_mins(1), async || Ok(leases.get(lease).await?)).await.unwrap();
    }
    for site in sites {
        site.end().await.unwrap();
    }
}

/// The same with 0 in place of 0.0, which kustomize writes.
fn plain(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 => json!(float),
            _ => Value::Number(number),
        },
        Value::Array(all) => all.into_iter().map(plain).collect(),
        Value::Object(all) => all.into_iter().map(|(key, value)| (key, plain(value))).collect(),
        Value::Null | Value::Bool(_) | Value::String(_) => value,
    }
}

/// The selector of a Deployment takes the pods of no other site.
fn pods_are_its_own(deployment: &Value) -> Result<()> {
    let site = &deployment["metadata"]["labels"]["unbounded-cloud.io/site"];
    let selector = &deployment["spec"]["selector"]["matchLabels"];
    let template = &deployment["spec"]["template"];
    ensure!(site.is_string() && selector["unbounded-cloud.io/site"] == *site, "{selector}");
    for (label, value) in selector.as_object().into_iter().flatten() {
        ensure!(template["metadata"]["labels"][label] == *value, "{label}");
    }
    ensure!(template["spec"]["nodeSelector"]["unbounded-cloud.io/site"] == *site, "{template}");
    Ok(())
}
