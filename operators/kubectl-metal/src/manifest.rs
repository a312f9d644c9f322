//! What a site is made of: the files that kustomize makes it of, read into this program.

use anyhow::{Context, Result};
use json_patch::{Patch, patch};
use serde_json::Value;

/// The Machine resource.
const CRD: &str = include_str!("../../../bases/crd/machines.unbounded-cloud.io.yaml");
/// What all sites share.
const SHARED: [&str; 3] = [
    include_str!("../../../bases/metalman/namespaces.yaml"),
    include_str!("../../../bases/metalman/rbac.yaml"),
    include_str!("../../../bases/metalman/people.yaml"),
];
/// A metalman without a site.
const PXE: &str = include_str!("../../../bases/metalman/pxe/deployment.yaml");
/// What one with a site differs in, as a JSON patch (RFC 6902).
const SITE: &str = include_str!("../../../config/metalman-site/filled/site.yaml");
/// In the patch: the name of the site.
const NAME: &str = "SITE";
/// In the patch: the flag that says where machines are answered by DHCP.
const DHCP: &str = "DHCP";

/// The image of metalman, unless another one is named.
pub(crate) const IMAGE: &str = concat!("metalman:", env!("CARGO_PKG_VERSION"));

/// What all sites share, in the order in which it can be applied.
///
/// # Errors
///
/// None, as a test shows.
pub(crate) fn shared() -> Result<Vec<Value>> {
    let all = [CRD].into_iter().chain(SHARED).flat_map(documents);
    all.map(|text| serde_saphyr::from_str(text).context("a file of this program")).collect()
}

/// The metalman of a site: from this image, answering DHCP as `dhcp` says, which is a flag.
///
/// # Errors
///
/// None, as a test shows.
pub(crate) fn pxe(site: &str, dhcp: &str, image: &str) -> Result<Value> {
    let mut deployment: Value = serde_saphyr::from_str(PXE)?;
    let mut changes: Value = serde_saphyr::from_str(SITE)?;
    fill_in(&mut changes, site, dhcp);
    let changes: Patch = serde_json::from_value(changes)?;
    patch(&mut deployment, &changes)?;
    let container = deployment.pointer_mut("/spec/template/spec/containers/0/image");
    *container.context("a container has an image")? = image.into();
    Ok(deployment)
}

/// The documents of a file.
fn documents(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n---\n")
}

/// Puts the name of the site and the flag where the patch leaves room for them.
fn fill_in(value: &mut Value, site: &str, dhcp: &str) {
    match value {
        Value::String(text) if text == DHCP => dhcp.clone_into(text),
        Value::String(text) => *text = text.replace(NAME, site),
        Value::Array(all) => all.iter_mut().for_each(|it| fill_in(it, site, dhcp)),
        Value::Object(all) => all.values_mut().for_each(|it| fill_in(it, site, dhcp)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sites_share_is_read_and_can_be_applied_in_its_order() {
        let all = shared().unwrap();
        let kinds: Vec<_> = all.iter().map(|it| it["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds[0], "CustomResourceDefinition");
        let namespaces: Vec<_> = all
            .iter()
            .filter(|it| it["kind"] == "Namespace")
            .map(|it| &it["metadata"]["name"])
            .collect();
        assert_eq!(
            namespaces,
            ["unbounded-kube", "metalman-machines", "metalman-pull-secrets", "metalman-bmcs"]
        );
        // Every other is in a namespace that is there by then, or was there before, or in none.
        for object in &all[1 + namespaces.len()..] {
            let namespace = &object["metadata"]["namespace"];
            let is_there = namespaces.contains(&namespace)
                || ["kube-public", "kube-system"].iter().any(|it| namespace == it);
            assert!(namespace.is_null() || is_there, "{object}");
        }
    }

    #[test]
    fn a_site_fills_every_gap_of_its_patch() {
        let deployment = pxe("rack-a", "--dhcp-interface=eth1", "registry/metalman:1").unwrap();
        assert_eq!(deployment["metadata"]["name"], "metalman-controller-rack-a");
        let text = deployment.to_string();
        assert!(!text.contains("SITE") && !text.contains("\"DHCP\""), "{text}");
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], "registry/metalman:1");
        let args = [
            "serve-pxe",
            "--cache-dir=/var/cache/metalman",
            "--site=rack-a",
            "--dhcp-interface=eth1",
        ];
        assert_eq!(container["args"], serde_json::json!(args));
        let strategy = &deployment["spec"]["strategy"]["rollingUpdate"];
        assert_eq!((&strategy["maxSurge"], &strategy["maxUnavailable"]), (&0.into(), &1.into()));
    }

    #[test]
    fn what_metalman_keeps_on_the_disk_of_its_node_has_a_bound() {
        let deployment = pxe("rack-a", "--dhcp-interface=eth1", "registry/metalman:1").unwrap();
        let pod = &deployment["spec"]["template"]["spec"];
        for volume in pod["volumes"].as_array().unwrap() {
            let is_bounded =
                volume["emptyDir"].is_null() || volume["emptyDir"]["sizeLimit"].is_string();
            assert!(is_bounded, "{volume}");
        }
        let limit = &pod["containers"][0]["resources"]["limits"]["ephemeral-storage"];
        assert!(limit.is_string(), "{pod}");
    }
}
