//! A token that is bound to a TPM, and agents with TPMs in software.

use super::{
    machine::Machine,
    site::{PATIENCE, Site},
    system::{System, until},
};
use e2e::cluster::Cluster;
use metal_api::{BootBinding, BootTokenPhase};
use metal_attest::{EndorsementKey, testing::Swtpm};
use reqwest::StatusCode;
use tokio::process::Command;

#[tokio::test]
async fn only_the_tpm_that_a_token_is_bound_to_registers() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let (ours, theirs) = (Swtpm::start(), Swtpm::start());
    let [our_hash, their_hash] =
        [&ours, &theirs].map(|tpm| EndorsementKey::parse(&tpm.tpm2_ek()).unwrap().fingerprint());
    let bind = BootBinding { ek_hash: Some(our_hash), ..BootBinding::default() };
    let url = site.token("web-1", |spec| spec.binding = Some(bind)).await.unwrap();
    let machine = Machine::new().unwrap();
    let installed = machine.install(&url).await.unwrap();

    // The disk in another machine.
    let folder = tempfile::tempdir().unwrap();
    let system = System::new(folder.path(), &installed).unwrap();
    let tpm = |tpm: &Swtpm| format!("--tpm=swtpm:{}", tpm.socket().display());
    let flag = tpm(&theirs);
    let agent = system.start_with(|command| with(command, flag)).await.unwrap();
    site.event("web-1", "Unfit", &their_hash).await.unwrap();
    until("it does not say so", || Ok(agent.printed()?.contains("not registered error=\"refused")))
        .await;
    agent.kill().await.unwrap();
    // Somebody who has copied what it registers with, and has no TPM.
    assert_eq!(machine.register(&installed).await.unwrap().0, StatusCode::FORBIDDEN);
    assert_eq!(site.all().await.unwrap(), [""; 0]);
    site.phase("web-1", BootTokenPhase::Installed).await.unwrap();

    let flag = tpm(&ours);
    let agent = system.start_with(|command| with(command, flag)).await.unwrap();
    site.phase("web-1", BootTokenPhase::Consumed).await.unwrap();
    until("it is not told yes", || Ok(system.host()?["credential"].is_null())).await;
    assert_eq!(site.all().await.unwrap(), ["web-1"]);
    // Its key is in the TPM as well, and not the one that it had made in another.
    assert!(system.path("state/key.tpm").exists() && !system.path("state/key").exists());
    agent.terminate(PATIENCE).await.unwrap();
    site.end().await.unwrap();
}

fn with(command: &mut Command, flag: String) {
    command.arg(flag);
}
