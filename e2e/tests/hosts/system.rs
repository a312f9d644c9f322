//! A machine, as far as its agent sees it: a hook and a health command that are scripts.

use super::{
    cli::kubectl,
    machine::Machine,
    site::{PATIENCE, Site},
};
use anyhow::{Result, ensure};
use e2e::cluster::{Process, binary, eventually};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use metal_api::{BootTokenPhase, HostRelease, HostReleaseSpec};
use metal_base::testing::script;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tokio::process::Command;

pub(crate) struct System(PathBuf);

impl System {
    /// Installs a machine, and starts its agent, which has registered and forgotten with what.
    pub(crate) async fn registered(site: &Site<'_>, folder: &Path) -> (Self, Process) {
        let url = site.token("web-1", |_| {}).await.unwrap();
        let installed = Machine::new().unwrap().install(&url).await.unwrap();
        let system = Self::new(folder, &installed).unwrap();
        let agent = system.start().await.unwrap();
        site.phase("web-1", BootTokenPhase::Consumed).await.unwrap();
        let forgotten = || Ok(system.host()?["credential"].is_null());
        until("what it registered with is still there", forgotten).await;
        (system, agent)
    }

    /// A machine that was installed with this, and has not started yet.
    pub(crate) fn new(folder: &Path, installed: &Value) -> Result<Self> {
        let system = Self(folder.to_owned());
        fs::write(system.path("host.json"), installed.to_string())?;
        system.restart(1)?;
        let hook = r#"
            if [ -e hold ]; then
                touch held
                while [ -e hold ]; do sleep 0.1; done
                exit 1
            fi
            cat ${BLOOMERY_CONFIG:+"$BLOOMERY_CONFIG"} < /dev/null > configuration
            rm -rf files; if [ -n "$BLOOMERY_FILES" ]; then cp -r "$BLOOMERY_FILES" files; fi
            echo $BLOOMERY_RELEASE >> ran
            if [ -e on-$BLOOMERY_RELEASE ]; then . ./on-$BLOOMERY_RELEASE; fi"#;
        system.script("hook", hook)?;
        system.script("health", "! grep -qx -f <(tail -n 1 ran) broken")?;
        fs::write(system.path("broken"), "nothing\n")?;
        Ok(system)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn script(&self, name: &str, body: &str) -> Result<()> {
        Ok(script(&self.path(name), &format!("cd {}\n{body}", self.0.display()))?)
    }

    /// What the hook does for a release besides.
    pub(crate) fn on(&self, release: &str, body: &str) -> Result<()> {
        Ok(fs::write(self.path(&format!("on-{release}")), body)?)
    }

    /// Another boot.
    pub(crate) fn restart(&self, number: u32) -> Result<()> {
        Ok(fs::write(self.path("boot"), format!("boot-{number}\n"))?)
    }

    /// Releases that the hook had run, in order.
    pub(crate) fn ran(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("ran")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The configuration that the hook was given last.
    pub(crate) fn configuration(&self) -> String {
        fs::read_to_string(self.path("configuration")).unwrap_or_default()
    }

    /// What the agent keeps of its host.
    pub(crate) fn host(&self) -> Result<Value> {
        Ok(serde_json::from_slice(&fs::read(self.path("host.json"))?)?)
    }

    pub(crate) fn break_with(&self, release: &str) -> Result<()> {
        Ok(fs::write(self.path("broken"), format!("{release}\n"))?)
    }

    pub(crate) fn hold(&self, is_held: bool) -> Result<()> {
        if is_held {
            return Ok(fs::write(self.path("hold"), "")?);
        }
        Ok(fs::remove_file(self.path("hold"))?)
    }

    pub(crate) async fn start(&self) -> Result<Process> {
        // Whatever this computer has.
        self.start_with(|command| _ = command.arg("--key=file")).await
    }

    /// Starts the agent by a command that `change` may change.
    pub(crate) async fn start_with(&self, change: impl FnOnce(&mut Command)) -> Result<Process> {
        let mut command = Command::new(binary("metal-host").await?);
        command.arg("--config").arg(self.path("host.json"));
        command.arg("--state-dir").arg(self.path("state"));
        command.arg("--hook").arg(self.path("hook")).arg("--boot-id").arg(self.path("boot"));
        command.arg("--health-command").arg(self.path("health")).arg("--health-timeout=15s");
        command.arg("--rollback-pause=1s");
        change(&mut command);
        Process::start(&mut command, self.path("agent.log"))
    }

    /// Activates a release with this configuration, as a person does.
    pub(crate) async fn configured(&self, site: &Site<'_>, plain: &str) -> Result<String> {
        let target = format!("{}/web-1:v1", site.org);
        fs::write(self.path("plain"), plain)?;
        let config = format!("--config-file={}", self.path("plain").display());
        let image = format!("--image={}", image());
        kubectl(site, &["releases", "create", &target, &image, &config, "--activate"]).await
    }
}

pub(crate) async fn until(otherwise: &str, holds: impl Fn() -> Result<bool>) {
    let waited = eventually(PATIENCE, async || {
        ensure!(holds()?, "{otherwise}");
        Ok(())
    });
    waited.await.unwrap();
}

/// An image that nobody needs to fetch, in a registry that does not answer.
pub(crate) fn image() -> String {
    format!("127.0.0.1:1/example/web@sha256:{}", "b".repeat(64))
}

pub(crate) async fn activate(site: &Site<'_>, name: &str) {
    let spec =
        HostReleaseSpec { host_name: "web-1".to_owned(), image: image(), configuration: None };
    let releases = Api::<HostRelease>::namespaced(site.client.clone(), &site.org);
    releases.create(&PostParams::default(), &HostRelease::new(name, spec)).await.unwrap();
    let patch = Patch::Merge(json!({ "spec": { "activeRelease": name } }));
    site.hosts().patch("web-1", &PatchParams::default(), &patch).await.unwrap();
}

/// Waits until the Host says this of its release.
pub(crate) async fn shown(site: &Site<'_>, reason: &str, running: &str, message: Option<&str>) {
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
