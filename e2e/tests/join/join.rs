//! From nothing to a node.

use crate::{
    PATIENCE,
    machine::{Installed, said},
    site::Site,
};
use e2e::cluster::Cluster;
use std::{fs, os::unix::fs::MetadataExt};

#[tokio::test]
async fn a_machine_without_a_secret_becomes_its_own_node_and_no_other() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let mut machine = Installed::new(&site).await.unwrap();
    let agent = machine.start().await.unwrap();
    machine.joined().await.unwrap();

    let who = machine.kubectl(&["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"]);
    assert_eq!(who.await.unwrap(), format!("system:node:{}", machine.name));
    machine.register(&machine.name).await.unwrap();
    let other = machine.register("node-of-somebody-else").await.unwrap_err().to_string();
    assert!(other.contains("is not allowed to modify node"), "{other}");
    let status = site.reason(&machine.name, "NodeNotReady").await.unwrap();
    assert_eq!(status.node_ref.unwrap().name, machine.name);

    // Nobody else reads what it has written, and its log holds no token and no key.
    for file in [machine.kubeconfig(), machine.pem()] {
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600, "{}", file.display());
    }
    said(&agent, "certificate until").await.unwrap();
    let printed = agent.printed().unwrap();
    assert!(!printed.contains("eyJ") && !printed.contains("PRIVATE"), "{printed}");
    assert_eq!(site.tokens().await.unwrap(), 1);
    agent.terminate(PATIENCE).await.unwrap();
    assert_eq!(machine.tpm.loaded(), "", "its keys are not left in the TPM");
}

#[tokio::test]
async fn once_ends_with_a_certificate_and_asks_for_no_second_one() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let machine = Installed::new(&site).await.unwrap();
    assert!(machine.once().await.unwrap().success());
    let certificate = machine.certificate().unwrap();
    // A kubeconfig that is lost is written again, without asking anybody.
    fs::remove_file(machine.kubeconfig()).unwrap();
    assert!(machine.once().await.unwrap().success());
    assert!(machine.kubeconfig().exists());
    assert_eq!((machine.certificate().unwrap(), site.tokens().await.unwrap()), (certificate, 1));
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_ends_it_with_the_name_of_the_field() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let mut machine = Installed::new(&site).await.unwrap();
    machine.configure("").unwrap();
    assert_eq!(machine.once().await.unwrap().code(), Some(2));
    let agent = machine.start().await.unwrap();
    said(&agent, "Cluster.CaCertBase64 is missing").await.unwrap();
}
