//! The agent of an installed machine, with a hook and a health command that are scripts.

use super::{
    cli::kubectl,
    machine::Machine,
    site::{PATIENCE, Site},
};
use anyhow::{Result, ensure};
use e2e::cluster::{Cluster, Process, binary, eventually};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use metal_api::{BootTokenPhase, HostRelease, HostReleaseSpec};
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tokio::process::Command;

#[tokio::test]
async fn an_agent_registers_runs_its_release_and_rolls_back_one_that_is_not_healthy() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (system, agent) = registered(&site, folder.path()).await;

    // Only the person and the host know the configuration.
    let plain = r#"{"password":"correct horse"}"#;
    configured(&site, &system, plain).await.unwrap();
    shown(&site, "Active", "web-1-v1", None).await;
    assert_eq!((system.ran(), system.configuration()), (vec!["web-1-v1".into()], plain.into()));

    // The hook has v2 run, which is not healthy.
    system.break_with("v2").unwrap();
    activate(&site, "v2").await;
    shown(&site, "RolledBack", "web-1-v1", Some("not healthy within")).await;
    assert_eq!(system.ran(), ["web-1-v1", "v2", "web-1-v1"]);
    assert_eq!(system.configuration(), plain, "of the release that runs again");
    agent.terminate(PATIENCE).await.unwrap();
    site.end().await.unwrap();
}

#[tokio::test]
async fn an_agent_goes_on_where_it_was_killed_or_its_hook_has_restarted_the_machine() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (system, agent) = registered(&site, folder.path()).await;
    system.hold(true).unwrap();
    activate(&site, "v1").await;
    until("the hook does not run", || Ok(system.path("held").exists())).await;
    agent.kill().await.unwrap();
    system.hold(false).unwrap();
    fs::write(system.path("reboot"), "").unwrap();
    let agent = system.start().await.unwrap();
    let waits = || Ok(agent.printed()?.contains("waiting for the reboot"));
    until("it does not wait", waits).await;
    assert_eq!(system.ran(), ["v1"]);

    agent.kill().await.unwrap();
    let agent = system.start().await.unwrap();
    shown(&site, "Active", "v1", None).await;
    assert_eq!((system.ran(), system.configuration()), (vec!["v1".into()], String::new()));
    agent.terminate(PATIENCE).await.unwrap();
    site.end().await.unwrap();
}

/// Installs a machine, and starts its agent, which has registered and forgotten with what.
async fn registered(site: &Site<'_>, folder: &Path) -> (System, Process) {
    let url = site.token("web-1", |_| {}).await.unwrap();
    let installed = Machine::new().unwrap().install(&url).await.unwrap();
    let system = System::new(folder, &installed).unwrap();
    let agent = system.start().await.unwrap();
    site.phase("web-1", BootTokenPhase::Consumed).await.unwrap();
    let forgotten = || {
        let left: Value = serde_json::from_slice(&fs::read(system.path("host.json"))?)?;
        Ok(left["credential"].is_null())
    };
    until("what it registered with is still there", forgotten).await;
    (system, agent)
}

/// Activates a release with this configuration, as a person does.
async fn configured(site: &Site<'_>, system: &System, plain: &str) -> Result<String> {
    let target = format!("{}/web-1:v1", site.org);
    fs::write(system.path("plain"), plain)?;
    let config = format!("--config-file={}", system.path("plain").display());
    let image = format!("--image={}", image());
    kubectl(site, &["releases", "create", &target, &image, &config, "--activate"]).await
}

async fn until(otherwise: &str, holds: impl Fn() -> Result<bool>) {
    let waited = eventually(PATIENCE, async || {
        ensure!(holds()?, "{otherwise}");
        Ok(())
    });
    waited.await.unwrap();
}

/// A machine, as far as its agent sees it.
struct System(PathBuf);

impl System {
    fn new(folder: &Path, installed: &Value) -> Result<Self> {
        let system = Self(folder.to_owned());
        fs::write(system.path("host.json"), installed.to_string())?;
        // One that was held is cut off with its agent, as systemd does it.
        let hook = r#"
            if [ -e hold ]; then
                touch held
                while [ -e hold ]; do sleep 0.1; done
                exit 1
            fi
            cat ${BLOOMERY_CONFIG:+"$BLOOMERY_CONFIG"} < /dev/null > configuration
            echo $BLOOMERY_RELEASE >> ran
            if [ -e reboot ]; then rm reboot; exit 75; fi"#;
        system.script("hook", hook)?;
        system.script("health", "! grep -qx -f <(tail -n 1 ran) broken")?;
        fs::write(system.path("broken"), "nothing\n")?;
        Ok(system)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn script(&self, name: &str, body: &str) -> Result<()> {
        let text = format!("#!/bin/bash\ncd {}\n{body}\n", self.0.display());
        fs::write(self.path(name), text)?;
        Ok(fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755))?)
    }

    /// Releases that the hook had run, in order.
    fn ran(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("ran")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The configuration that the hook was given last.
    fn configuration(&self) -> String {
        fs::read_to_string(self.path("configuration")).unwrap_or_default()
    }

    fn break_with(&self, release: &str) -> Result<()> {
        Ok(fs::write(self.path("broken"), format!("{release}\n"))?)
    }

    fn hold(&self, is_held: bool) -> Result<()> {
        if is_held {
            return Ok(fs::write(self.path("hold"), "")?);
        }
        Ok(fs::remove_file(self.path("hold"))?)
    }

    async fn start(&self) -> Result<Process> {
        let mut command = Command::new(binary("metal-host").await?);
        command.arg("--config").arg(self.path("host.json"));
        command.arg("--state-dir").arg(self.path("state"));
        command.arg("--hook").arg(self.path("hook"));
        command.arg("--health-command").arg(self.path("health")).arg("--health-timeout=5s");
        Process::start(&mut command, self.path("agent.log"))
    }
}

fn image() -> String {
    format!("quay.io/example/web@sha256:{}", "b".repeat(64))
}

async fn activate(site: &Site<'_>, name: &str) {
    let spec =
        HostReleaseSpec { host_name: "web-1".to_owned(), image: image(), configuration: None };
    let releases = Api::<HostRelease>::namespaced(site.client.clone(), &site.org);
    releases.create(&PostParams::default(), &HostRelease::new(name, spec)).await.unwrap();
    let patch = Patch::Merge(json!({ "spec": { "activeRelease": name } }));
    site.hosts().patch("web-1", &PatchParams::default(), &patch).await.unwrap();
}

/// Waits until the Host says this of its release.
async fn shown(site: &Site<'_>, reason: &str, running: &str, message: Option<&str>) {
    let shown = eventually(PATIENCE, async || {
        let status = site.hosts().get("web-1").await?.status.unwrap_or_default();
        ensure!(status.running_release.as_deref() == Some(running), "{status:?}");
        let condition = status.conditions.iter().find(|it| it.type_ == "ReleaseActive");
        let says = condition.is_some_and(|it| {
            it.reason == reason && message.is_none_or(|text| it.message.contains(text))
        });
        ensure!(says, "{condition:?}");
        Ok(())
    });
    shown.await.unwrap();
}
