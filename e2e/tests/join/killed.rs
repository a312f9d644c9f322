//! The agent dies at any time.

use crate::{
    PATIENCE,
    machine::{Installed, said},
    site::Site,
};
use anyhow::{Result, ensure};
use e2e::cluster::{Cluster, Process, eventually};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::{Api, api::ListParams};

#[tokio::test]
async fn an_agent_that_is_killed_at_any_step_joins_when_it_starts_again() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let mut machine = Installed::new(&site).await.unwrap();
    for step in [Step::Started, Step::Admitted, Step::Asked, Step::Kept] {
        let before = site.tokens().await.unwrap();
        let agent = machine.start().await.unwrap();
        step.reached(&machine, &agent, before).await.unwrap();
        agent.kill().await.unwrap();
        // As the kernel does for a process that is gone; there is no kernel between it and this TPM.
        machine.tpm.tpm2("tpm2_flushcontext", &["-t"]);
        machine.tpm.tpm2("tpm2_flushcontext", &["-l"]);
        if let Some(folder) = machine.kubeconfig().parent().filter(|_| step != Step::Kept) {
            std::fs::remove_dir_all(folder).ok(); // There may be none yet.
        }
    }
    let certificate = machine.certificate().unwrap();
    std::fs::remove_file(machine.kubeconfig()).ok(); // It may have been written in between.
    let agent = machine.start().await.unwrap();
    machine.joined().await.unwrap();
    assert_eq!(machine.certificate().unwrap(), certificate, "what was kept is used");
    machine.register(&machine.name).await.unwrap();
    agent.terminate(PATIENCE).await.unwrap();
}

/// How far the agent has come when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Started,
    Admitted,
    Asked,
    Kept,
}

impl Step {
    /// Waits until it is that far; `before` tokens were issued when it was started.
    async fn reached(self, machine: &Installed<'_>, agent: &Process, before: usize) -> Result<()> {
        if self == Self::Started {
            return said(agent, "metal-agent started").await;
        }
        eventually(PATIENCE, async || {
            let there = match self {
                Self::Started => true,
                Self::Admitted => machine.site.tokens().await? > before,
                Self::Asked => asked(machine).await?,
                Self::Kept => machine.pem().exists(),
            };
            ensure!(there, "not {self:?} yet");
            Ok(())
        })
        .await
    }
}

/// Whether a certificate was asked for.
async fn asked(machine: &Installed<'_>) -> Result<bool> {
    let all = Api::<CertificateSigningRequest>::all(machine.site.client.clone());
    let user = format!("system:serviceaccount:metalman-machines:{}", machine.name);
    let all = all.list(&ListParams::default()).await?;
    Ok(all.items.iter().any(|it| it.spec.username.as_deref() == Some(&user)))
}
