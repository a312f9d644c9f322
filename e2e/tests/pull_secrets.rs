//! metalman fetches images from a registry that asks for a login, with the Secrets that Machines name.

use anyhow::{Result, ensure};
use e2e::{
    cluster::{Cluster, eventually, unique},
    stack::{
        Login, OciRegistry, ReservedAddress,
        metalman::{Metalman, condition, pxe},
    },
};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use metal_api::{MachinePxe, MachineSecretReference, MachineStatus};
use metal_image::testing::archive;
use reqwest::StatusCode;
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_mins(3);
const NAMESPACE: &str = "metalman-pull-secrets";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const LOGIN: Login = (
    "somebody",
    "open sesame",
    "somebody:$2y$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n",
);

#[tokio::test]
async fn a_machine_gets_the_image_that_its_own_secret_opens_and_another_one_does_not() {
    let cluster = Cluster::shared().await.unwrap();
    let kubeconfig = Metalman::kubeconfig(cluster).await.unwrap();
    let mut site = Metalman::start_with(cluster, &kubeconfig, &[]).await.unwrap();
    let address = ReservedAddress::reserve(&[5000]).unwrap().at(5000).unwrap();
    let registry = OciRegistry::start_for(Some(LOGIN), address, &cluster.scratch()).await.unwrap();
    let files: [(&str, &[u8]); 2] = [
        ("disk/metadata.yaml", b"dhcpBootImageName: shimx64.efi\n"),
        ("disk/shimx64.efi", b"loader"),
    ];
    registry.push("os:1", &[(LAYER, &archive(&files))]).await.unwrap();
    let (right, wrong) = (unique("right"), unique("wrong"));
    for (name, password) in [(&right, LOGIN.1), (&wrong, "hunter2")] {
        make_secret(&site, name, &address.to_string(), password).await.unwrap();
    }
    let cases = [
        (Ipv4Addr::new(127, 31, 0, 1), Some(&right), "Pulled"),
        (Ipv4Addr::new(127, 31, 0, 2), Some(&wrong), "LoginRefused"),
        (Ipv4Addr::new(127, 31, 0, 3), None, "LoginNeeded"),
        (Ipv4Addr::new(127, 31, 0, 4), Some(&"nowhere".to_owned()), "PullSecretMissing"),
    ];
    let mut names = vec![];
    for (at, secret, _) in cases {
        let name = unique("node");
        let image_pull_secrets =
            secret.into_iter().map(|name| MachineSecretReference { name: name.clone() }).collect();
        let image = registry.image("os:1");
        let pxe = MachinePxe { image, image_pull_secrets, ..pxe(&name, at) };
        site.create(&name, pxe).await.unwrap();
        names.push(name);
    }
    for (name, (at, _, reason)) in names.iter().zip(cases) {
        let status = site.is(name, reason, |it| is_image(it, reason)).await.unwrap();
        assert!(!format!("{status:?}").contains("hunter2"), "{status:?}");
        let is_there = reason == "Pulled";
        let expected = if is_there { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        assert_eq!(loader(&site, at).await.unwrap(), expected, "{reason}");
    }
    // A Machine that names another Secret is served at once.
    let patch = json!({ "spec": { "pxe": { "imagePullSecrets": [{ "name": right }] } } });
    site.machines().patch(&names[1], &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    site.is(&names[1], "Pulled", |it| is_image(it, "Pulled")).await.unwrap();
    assert_eq!(loader(&site, cases[1].0).await.unwrap(), StatusCode::OK);

    // Without the registry, after a kill, it is served; but not without the Secret that has opened it.
    let printed = site.process().printed().unwrap();
    assert!(!printed.contains("hunter2") && !printed.contains("open sesame"), "{printed}");
    drop(registry);
    site.kill_and_start_again(&kubeconfig, &[]).await.unwrap();
    let served = eventually(PATIENCE, async || {
        let status = loader(&site, cases[0].0).await?;
        ensure!(status == StatusCode::OK, "{status}");
        Ok(())
    });
    served.await.unwrap();
    let secrets = Api::<Secret>::namespaced(site.client.clone(), NAMESPACE);
    secrets.delete(&right, &DeleteParams::default()).await.unwrap();
    site.kill_and_start_again(&kubeconfig, &[]).await.unwrap();
    site.is(&names[0], "told", |it| is_image(it, "PullSecretMissing")).await.unwrap();
    assert_eq!(loader(&site, cases[0].0).await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    site.end().await.unwrap();
}

fn is_image(status: &MachineStatus, reason: &str) -> bool {
    condition(status, "ImageReady") == Some(reason)
}

/// What a machine gets that asks for its loader.
async fn loader(site: &Metalman, from: Ipv4Addr) -> Result<StatusCode> {
    let http = reqwest::Client::builder().local_address(IpAddr::V4(from)).build()?;
    let url = format!("http://{}/shimx64.efi", site.http);
    Ok(http.get(url).timeout(PATIENCE).send().await?.status())
}

/// What `kubectl create secret docker-registry` makes.
async fn make_secret(site: &Metalman, name: &str, host: &str, password: &str) -> Result<()> {
    let config = json!({ "auths": { host: { "username": LOGIN.0, "password": password } } });
    let mut secret = Secret::default();
    secret.metadata.name = Some(name.to_owned());
    secret.type_ = Some("kubernetes.io/dockerconfigjson".to_owned());
    let config = ByteString(config.to_string().into_bytes());
    secret.data = Some([(".dockerconfigjson".to_owned(), config)].into());
    let secrets = Api::<Secret>::namespaced(site.client.clone(), NAMESPACE);
    secrets.create(&PostParams::default(), &secret).await?;
    Ok(())
}
