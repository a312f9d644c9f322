//! A Redfish client for the BMC of a virtual machine.

use anyhow::{Context, Result, bail, ensure};
use e2e::cluster::{eventually, http_client};
use metal_simulator::{BootTarget, Config, Host, Profile, Simulator, Vm};
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_mins(3);

/// The BMC of a virtual machine.
pub(crate) struct Bmc {
    pub(crate) simulator: Simulator,
    http: reqwest::Client,
    url: String,
}

impl Bmc {
    /// Starts a fleet of one machine, which is off.
    pub(crate) async fn start(vm: Vm) -> Result<Self> {
        let boot_targets = vec![BootTarget::None, BootTarget::Hdd, BootTarget::UefiHttp];
        let profile = Profile { boot_targets, ..Profile::default() };
        let config = Config { vms: [(0, vm)].into(), profile, ..Config::default() };
        let simulator = Simulator::start(config).await?;
        let bmc = simulator.bmc(0).context("a BMC has an address")?;
        let url = format!("http://{bmc}/redfish/v1/Systems/1");
        Ok(Self { simulator, http: http_client()?, url })
    }

    /// The ComputerSystem resource.
    pub(crate) async fn system(&self) -> Result<Value> {
        let get = self.http.get(&self.url).basic_auth("foo", Some("bar"));
        Ok(get.send().await?.error_for_status()?.json().await?)
    }

    /// Changes the boot settings.
    pub(crate) async fn patch(&self, boot: &Value) -> Result<()> {
        let patch = self.http.patch(&self.url).basic_auth("foo", Some("bar"));
        patch.json(&json!({ "Boot": boot })).send().await?.error_for_status()?;
        Ok(())
    }

    /// Resets the host.
    pub(crate) async fn reset(&self, reset: &str) -> Result<()> {
        let url = format!("{}/Actions/ComputerSystem.Reset", self.url);
        let post = self.http.post(url).basic_auth("foo", Some("bar"));
        post.json(&json!({ "ResetType": reset })).send().await?.error_for_status()?;
        Ok(())
    }

    /// Waits until the host has this power state.
    pub(crate) async fn is(&self, power: &str) -> Result<()> {
        eventually(LIMIT, async || {
            let is = &self.system().await?["PowerState"];
            ensure!(is == power, "it is {is}");
            Ok(())
        })
        .await
    }

    /// The pid of the running QEMU, once it differs from `id`.
    pub(crate) async fn process_other_than(&self, id: u32) -> Result<u32> {
        eventually(LIMIT, async || match self.simulator.machine(0)?.host {
            Host::Vm { process, .. } if process != id => Ok(process),
            other => bail!("{other:?}"),
        })
        .await
    }
}
