//! Somebody is not there, or not who they should be.

use crate::{
    machine::{Installed, said},
    site::Site,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use e2e::cluster::Cluster;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::{Api, api::ListParams};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

#[tokio::test]
async fn metalman_and_the_api_server_may_come_later() {
    let cluster = Cluster::start().await.unwrap();
    cluster.install().await.unwrap();
    let site = Site::start(&cluster).await.unwrap();
    site.kill().await.unwrap();
    let mut machine = Installed::new(&site).await.unwrap();
    let agent = machine.start().await.unwrap();
    said(&agent, "is unreachable").await.unwrap();
    site.start_again().await.unwrap();
    machine.joined().await.unwrap();
    agent.kill().await.unwrap();

    // Installed anew, while there is no API server: metalman has no tokens then.
    std::fs::remove_dir_all(machine.kubeconfig().parent().unwrap()).unwrap();
    let outage = cluster.outage().await.unwrap();
    let agent = machine.start().await.unwrap();
    said(&agent, "503 Service Unavailable").await.unwrap();
    assert!(!machine.kubeconfig().exists());
    outage.end().await.unwrap();
    machine.joined().await.unwrap();
    machine.register(&machine.name).await.unwrap();
}

#[tokio::test]
async fn an_api_server_of_another_authority_gets_no_token() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let mut machine = Installed::new(&site).await.unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let other = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
    let pem = format!("{begin}\n{}\n{end}\n", STANDARD.encode(other.der()));
    machine.configure(&STANDARD.encode(pem)).unwrap();
    let agent = machine.start().await.unwrap();
    said(&agent, "its certificate is of no authority").await.unwrap();
    said(&agent, "metalman names other authorities").await.unwrap();
    assert!(!machine.kubeconfig().exists());
    let asked = Api::<CertificateSigningRequest>::all(site.client.clone());
    let asked = asked.list(&ListParams::default()).await.unwrap();
    let user = format!("system:serviceaccount:metalman-machines:{}", machine.name);
    assert!(asked.items.iter().all(|it| it.spec.username.as_deref() != Some(&user)));
}
