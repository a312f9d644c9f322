//! Whose TPM it is.

use crate::{
    machine::{Installed, said},
    site::Site,
};
use e2e::cluster::{Cluster, unique};
use kube::api::{DeleteParams, Patch, PatchParams};
use metal_api::MachineAttestation;
use metal_attest::{EndorsementKey, testing::Swtpm};
use serde_json::json;

#[tokio::test]
async fn another_tpm_gets_nothing_until_a_person_vouches_for_it() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let mut machine = Installed::new(&site).await.unwrap();
    assert!(machine.once().await.unwrap().success());

    // The board was replaced, and the disk is a new one.
    machine.tpm = Swtpm::start();
    std::fs::remove_dir_all(machine.kubeconfig().parent().unwrap()).unwrap();
    let agent = machine.start().await.unwrap();
    said(&agent, "403 Forbidden: the endorsement key is not the pinned one").await.unwrap();
    site.reason(&machine.name, "KeyDiffers").await.unwrap();
    assert!(!machine.kubeconfig().exists());

    let key = EndorsementKey::parse(&machine.tpm.tpm2_ek()).unwrap().fingerprint();
    let vouch = json!({"metadata": {"annotations": {"bloomery.dev/accept-endorsement-key": key}}});
    let params = PatchParams::default();
    site.machines().patch(&machine.name, &params, &Patch::Merge(vouch)).await.unwrap();
    machine.joined().await.unwrap();
    let once = agent.printed().unwrap().matches("is not the pinned one").count();
    assert_eq!(once, 1, "a refusal is told once, however often it tries again");
}

#[tokio::test]
async fn whoever_comes_first_is_not_taken_for_a_machine_that_names_its_key() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let known = Swtpm::start();
    let ek_hash = Some(EndorsementKey::parse(&known.tpm2_ek()).unwrap().fingerprint());
    let attestation = Some(MachineAttestation { ek_hash, ..MachineAttestation::default() });
    let mut machine = Installed::with(&site, Swtpm::start(), attestation).await.unwrap();
    let stranger = machine.start().await.unwrap();
    said(&stranger, "403 Forbidden").await.unwrap();
    let status = site.reason(&machine.name, "KeyDiffers").await.unwrap();
    assert!(status.tpm.is_none(), "{status:?}");
    stranger.kill().await.unwrap();
    machine.tpm = known;
    assert!(machine.once().await.unwrap().success());
    machine.register(&machine.name).await.unwrap();
}

#[tokio::test]
async fn of_two_machines_with_one_address_neither_joins() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let twin = unique("node");
    site.create(&twin, None).await.unwrap();
    let mut machine = Installed::new(&site).await.unwrap();
    site.reason(&machine.name, "Ambiguous").await.unwrap();
    let agent = machine.start().await.unwrap();
    said(&agent, "409 Conflict").await.unwrap();
    assert!(!machine.kubeconfig().exists());
    site.machines().delete(&twin, &DeleteParams::default()).await.unwrap();
    machine.joined().await.unwrap();
}

#[tokio::test]
async fn a_password_of_the_owner_is_named_and_waited_for() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let mut machine = Installed::new(&site).await.unwrap();
    machine.tpm.tpm2("tpm2_changeauth", &["-c", "owner", "secret"]);
    let agent = machine.start().await.unwrap();
    said(&agent, "the owner hierarchy of the TPM has a password").await.unwrap();
    // Between two attempts the TPM is free.
    machine.tpm.tpm2("tpm2_changeauth", &["-c", "owner", "-p", "secret", ""]);
    machine.joined().await.unwrap();
}
