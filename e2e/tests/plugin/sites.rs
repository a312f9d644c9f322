//! Two sites in one cluster, each with a metalman of its own.

use crate::{given_up::pxe, site::Site};
use k8s_openapi::api::{apps::v1::Deployment, coordination::v1::Lease};
use kube::{Api, api::DeleteParams};

#[tokio::test]
async fn two_sites_have_a_lease_each_and_look_after_their_own_machines() {
    let (one, other) = (Site::new().await.unwrap(), Site::new().await.unwrap());
    let machines = (
        one.create(pxe("10.22.5.1")).await.unwrap(),
        other.create(pxe("10.22.5.2")).await.unwrap(),
    );
    let first = one.metalman().await.unwrap();
    one.is(&machines.0, "seen", |_, it| it.observed_generation.is_some()).await.unwrap();
    // Nobody looks after the other one yet.
    assert_eq!(one.machines().get(&machines.1).await.unwrap().status, None);
    let second = other.metalman().await.unwrap();
    other.is(&machines.1, "seen", |_, it| it.observed_generation.is_some()).await.unwrap();
    let leases = Api::<Lease>::namespaced(one.client.clone(), "unbounded-kube");
    for site in [&one, &other] {
        let lease = leases.get(&format!("metalman-{}", site.name)).await.unwrap();
        assert!(lease.spec.unwrap().holder_identity.is_some_and(|it| !it.is_empty()));
    }
    first.end().await.unwrap();
    second.end().await.unwrap();
}

#[tokio::test]
async fn nothing_of_a_site_is_taken_from_another_tool_by_force() {
    let site = Site::new().await.unwrap();
    let deploy = ["site", "deploy-pxe", "--site", &site.name, "--interface", "eth1"];
    let printed = site.plugin(&deploy).await.unwrap();
    let name = format!("metalman-controller-{}", site.name);
    assert_eq!(printed.out, format!("deployment.apps/{name} applied\n"));
    let label = format!("unbounded-cloud.io/site={}", site.name);
    assert!(printed.err.contains(&format!("no node has the label {label}")), "{printed:?}");
    // Another time it is the same, and it may be changed by us.
    let image = [&deploy[..], &["--image", "registry.example/metalman:2"]].concat();
    assert_eq!(site.plugin(&image).await.unwrap().code, Some(0));
    let set = [
        "set",
        "image",
        "-n",
        "unbounded-kube",
        &format!("deployment/{name}"),
        "metalman=theirs:1",
    ];
    site.cluster.kubectl(&set).await.unwrap();
    let printed = site.plugin(&deploy).await.unwrap();
    assert_eq!(printed.code, Some(1), "{printed:?}");
    assert!(
        printed.err.contains("conflict") && printed.err.contains("nothing was taken"),
        "{printed:?}"
    );
    let deployments = Api::<Deployment>::namespaced(site.client.clone(), "unbounded-kube");
    deployments.delete(&name, &DeleteParams::default()).await.unwrap();
}
