//! What a machine has booted.

use crate::{
    machine::{Installed, said},
    site::Site,
};
use e2e::cluster::Cluster;
use kube::api::{Patch, PatchParams};
use metal_api::{MachineAttestation, MachinePcr};
use metal_attest::{
    EventLog,
    testing::{FirmwareLog, Swtpm},
};
use serde_json::json;

#[tokio::test]
async fn a_machine_joins_only_with_a_boot_that_its_machine_allows() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let tpm = Swtpm::start();
    let firmware = measure(&tpm, FirmwareLog::default(), "SecureBoot").unwrap();
    let pcrs = vec![pcr(&tpm, 0), pcr(&tpm, 7)];
    let attestation = Some(MachineAttestation { pcrs, ..MachineAttestation::default() });
    let mut machine = Installed::with(&site, tpm, attestation).await.unwrap();
    machine.keep_event_log(&firmware).unwrap();
    assert!(machine.once().await.unwrap().success());
    machine.register(&machine.name).await.unwrap();
    assert_eq!(machine.tpm.loaded(), "", "its keys are not left in the TPM");

    // It boots something else, and needs another certificate.
    machine.keep_event_log(&measure(&machine.tpm, firmware, "dbx").unwrap()).unwrap();
    std::fs::remove_dir_all(machine.kubeconfig().parent().unwrap()).unwrap();
    let agent = machine.start().await.unwrap();
    said(&agent, "403 Forbidden: no proof of a boot that is allowed: PCRDiffers").await.unwrap();
    let status = site.reason(&machine.name, "PCRDiffers").await.unwrap();
    let found = pcr(&machine.tpm, 7).sha256.remove(0);
    let message = status.message.unwrap();
    let new = "new since the last boot that was allowed #2 EV_EFI_VARIABLE_DRIVER_CONFIG";
    assert!(message.ends_with(&format!("(PCR 7 is {found}: {new})")), "{message}");
    assert_eq!(site.tokens().await.unwrap(), 1);
    assert!(!machine.kubeconfig().exists());

    // A person allows it.
    let pcrs = [pcr(&machine.tpm, 0), pcr(&machine.tpm, 7)];
    let allowed = json!({"spec": {"pxe": {"attestation": {"pcrs": pcrs}}}});
    let params = PatchParams::default();
    site.machines().patch(&machine.name, &params, &Patch::Merge(allowed)).await.unwrap();
    machine.joined().await.unwrap();
    machine.kubectl(&["get", "node", &machine.name]).await.unwrap();
}

/// Measures something into PCR 7, as firmware does, which writes a log.
fn measure(tpm: &Swtpm, log: FirmwareLog, what: &str) -> Option<FirmwareLog> {
    let log = log.measured(7, 0x8000_0001, what.as_bytes());
    let event = EventLog::parse(log.octets()).ok()?.of(7).last().cloned()?;
    let digits = event.digest.iter().map(|octet| format!("{octet:02x}"));
    tpm.tpm2("tpm2_pcrextend", &[&format!("7:sha256={}", digits.collect::<String>())]);
    Some(log)
}

/// A PCR with the value that it has, as tpm2-tools read it.
fn pcr(tpm: &Swtpm, index: i32) -> MachinePcr {
    tpm.tpm2("tpm2_pcrread", &[&format!("sha256:{index}"), "-o", "pcr"]);
    let digits = tpm.read("pcr").into_iter().map(|octet| format!("{octet:02x}"));
    MachinePcr { index, sha256: vec![digits.collect()] }
}
