//! Who vouches for a TPM.

use crate::{
    machine::{Installed, said},
    site::Site,
};
use anyhow::Result;
use base64::{Engine, engine::general_purpose::STANDARD};
use e2e::cluster::Cluster;
use kube::api::{Patch, PatchParams};
use metal_attest::{
    EndorsementKey,
    testing::{Maker, Swtpm},
};
use serde_json::json;
use std::{fs, path::Path};

#[tokio::test]
async fn a_tpm_whose_certificates_chain_to_a_root_joins_and_keeps_its_place() {
    let maker = Maker::new();
    let tpm = maker.tpm();
    // As makers do whose authorities are many: the certificate between is in the TPM, too.
    tpm.write_nv("0x01c00100", &der(&maker.between()).unwrap());
    let site = trusting(&maker.root()).await.unwrap();
    let mut machine = Installed::with(&site, tpm, None).await.unwrap();
    assert!(machine.once().await.unwrap().success());
    machine.register(&machine.name).await.unwrap();

    // Another TPM of the same maker is not this machine.
    machine.tpm = maker.tpm();
    fs::remove_dir_all(machine.kubeconfig().parent().unwrap()).unwrap();
    let agent = machine.start().await.unwrap();
    said(&agent, "403 Forbidden: the endorsement key is not the pinned one").await.unwrap();
    site.reason(&machine.name, "KeyDiffers").await.unwrap();
}

#[tokio::test]
async fn a_tpm_that_nobody_vouches_for_joins_only_when_a_person_names_its_key() {
    let (maker, other) = (Maker::new(), Maker::new());
    maker.tpm();
    let site = trusting(&maker.between()).await.unwrap();
    let mut machine = Installed::with(&site, other.tpm(), None).await.unwrap();
    let agent = machine.start().await.unwrap();
    let needs = "403 Forbidden: the endorsement key needs a certificate";
    said(&agent, &format!("{needs}: none of the roots")).await.unwrap();
    site.reason(&machine.name, "CertificateRefused").await.unwrap();
    agent.kill().await.unwrap();

    machine.tpm = Swtpm::start();
    let agent = machine.start().await.unwrap();
    said(&agent, &format!("{needs}: the machine presented no certificate")).await.unwrap();
    let status = site.reason(&machine.name, "CertificateMissing").await.unwrap();
    assert!(status.tpm.is_none() && !machine.kubeconfig().exists(), "{status:?}");

    let key = EndorsementKey::parse(&machine.tpm.tpm2_ek()).unwrap().fingerprint();
    let named = json!({"spec": {"pxe": {"attestation": {"ekHash": key}}}});
    let params = PatchParams::default();
    site.machines().patch(&machine.name, &params, &Patch::Merge(named)).await.unwrap();
    machine.joined().await.unwrap();
    machine.register(&machine.name).await.unwrap();
}

/// A site whose metalman trusts what is in this file.
async fn trusting(roots: &Path) -> Result<Site<'static>> {
    let flags = vec![format!("--ek-roots-path={}", roots.display())];
    Site::start_with(Cluster::shared().await?, flags).await
}

/// The only certificate of a PEM file.
fn der(path: &Path) -> Result<Vec<u8>> {
    let pem = fs::read_to_string(path)?;
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    Ok(STANDARD.decode(body)?)
}
