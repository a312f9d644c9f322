//! A machine of the simulator that is a virtual one: what Redfish says about its power is so.

use crate::inside::{in_a_network_of_its_own, ip};
use anyhow::{Context, Result, bail, ensure};
use e2e::{
    cluster::{Process, eventually},
    sim::{BootTarget, Config, Host, Power, Profile, Simulator, Vm},
};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Stdio, time::Duration};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_mins(1);

#[test]
fn power_over_redfish_is_that_of_qemu_and_qemu_is_the_machine_that_redfish_describes() {
    in_a_network_of_its_own(async || {
        let folder = tempfile::tempdir().unwrap();
        let bmc = Bmc::start(folder.path()).await.unwrap();
        bmc.patch(
            &json!({ "BootSourceOverrideTarget": "Hdd", "BootSourceOverrideEnabled": "Once" }),
        )
        .await
        .unwrap();
        assert_eq!(bmc.system().await.unwrap()["PowerState"], "Off");

        bmc.reset("On").await.unwrap();
        let first = bmc.process_other_than(0).await.unwrap();
        let system = bmc.system().await.unwrap();
        assert_eq!(system["PowerState"], "On");
        assert_eq!(system["Boot"]["BootSourceOverrideEnabled"], "Disabled", "once is used up");
        let args = command_line(first).unwrap();
        for part in ["UUID", "SerialNumber"] {
            let value = system[part].as_str().unwrap();
            assert!(args.contains(value), "{part} {value} is not in {args}");
        }
        let mac = bmc.simulator.hardware(0).unwrap().nics()[0].mac.to_string();
        assert!(args.contains(&mac), "{mac} is not in {args}");

        bmc.reset("ForceRestart").await.unwrap();
        let second = bmc.process_other_than(first).await.unwrap();
        bmc.reset("PowerCycle").await.unwrap();
        let third = bmc.process_other_than(second).await.unwrap();
        // No system listens to the button.
        bmc.reset("GracefulShutdown").await.unwrap();
        assert_eq!(bmc.system().await.unwrap()["PowerState"], "On");
        bmc.reset("ForceOff").await.unwrap();
        bmc.is("Off").await.unwrap();
        for id in [first, second, third] {
            assert!(command_line(id).is_err(), "process {id} is still there");
        }

        bmc.reset("On").await.unwrap();
        let fourth = bmc.process_other_than(third).await.unwrap();
        end(fourth).await.unwrap();
        bmc.is("Off").await.unwrap();
    });
}

#[test]
fn a_virtual_machine_that_cannot_start_is_off_and_says_why() {
    in_a_network_of_its_own(async || {
        let folder = tempfile::tempdir().unwrap();
        // There is such a device, and it is something else.
        let vm = Vm::new(folder.path().join("0"), "lo");
        let bmc = Bmc::start_with(vm).await.unwrap();
        bmc.reset("On").await.unwrap();
        let failed = eventually(LIMIT, async || match bmc.simulator.machine(0)?.host {
            Host::Failed { reason } => Ok(reason),
            other => bail!("{other:?}"),
        });
        assert!(failed.await.unwrap().contains("QEMU ended"));
        assert_eq!(bmc.simulator.machine(0).unwrap().power, Power::Off);
        let console = fs::read_to_string(folder.path().join("0/console.log")).unwrap();
        assert!(console.contains("could not configure"), "{console}");
    });
}

#[test]
fn a_virtual_machine_ends_with_its_simulator_however_that_ends() {
    in_a_network_of_its_own(async || {
        let folder = tempfile::tempdir().unwrap();
        tap().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_simulator"));
        command.args(["--vm", "0=tap0", "--control", "127.0.0.1:9000", "--vm-folder"]);
        command.arg(folder.path()).stdin(Stdio::null());
        let simulator = Process::start(&mut command, folder.path().join("log")).unwrap();
        let http = client();
        let machine = "http://127.0.0.1:9000/machines/0";
        eventually(LIMIT, async || {
            let on = http.post(format!("{machine}/reset")).json(&json!({ "ResetType": "On" }));
            Ok(on.send().await?.error_for_status()?)
        })
        .await
        .unwrap();
        let id = eventually(LIMIT, async || {
            let report: Value = http.get(machine).send().await?.json().await?;
            let process = report["host"]["process"].as_u64().context("no process")?;
            Ok(u32::try_from(process)?)
        })
        .await
        .unwrap();
        command_line(id).unwrap();
        simulator.kill().await.unwrap();
        eventually(LIMIT, async || {
            ensure!(command_line(id).is_err(), "QEMU is still there");
            Ok(())
        })
        .await
        .unwrap();
    });
}

/// The BMC of a virtual machine.
struct Bmc {
    simulator: Simulator,
    http: reqwest::Client,
    url: String,
}

impl Bmc {
    async fn start(folder: &Path) -> Result<Self> {
        tap()?;
        Self::start_with(Vm::new(folder.join("0"), "tap0")).await
    }

    async fn start_with(vm: Vm) -> Result<Self> {
        let boot_targets = vec![BootTarget::None, BootTarget::Pxe, BootTarget::Hdd];
        let profile = Profile { boot_targets, ..Profile::default() };
        let config = Config { vms: [(0, vm)].into(), profile, ..Config::default() };
        let simulator = Simulator::start(config).await?;
        let bmc = simulator.bmc(0).context("a BMC has an address")?;
        let url = format!("http://{bmc}/redfish/v1/Systems/1");
        Ok(Self { simulator, http: client(), url })
    }

    async fn system(&self) -> Result<Value> {
        let get = self.http.get(&self.url).basic_auth("foo", Some("bar"));
        Ok(get.send().await?.error_for_status()?.json().await?)
    }

    async fn patch(&self, boot: &Value) -> Result<()> {
        let patch = self.http.patch(&self.url).basic_auth("foo", Some("bar"));
        patch.json(&json!({ "Boot": boot })).send().await?.error_for_status()?;
        Ok(())
    }

    async fn reset(&self, reset: &str) -> Result<()> {
        let url = format!("{}/Actions/ComputerSystem.Reset", self.url);
        let post = self.http.post(url).basic_auth("foo", Some("bar"));
        post.json(&json!({ "ResetType": reset })).send().await?.error_for_status()?;
        Ok(())
    }

    async fn is(&self, power: &str) -> Result<()> {
        eventually(LIMIT, async || {
            let is = &self.system().await?["PowerState"];
            ensure!(is == power, "it is {is}");
            Ok(())
        })
        .await
    }

    /// The number of the QEMU that runs, once it is another one.
    async fn process_other_than(&self, id: u32) -> Result<u32> {
        eventually(LIMIT, async || match self.simulator.machine(0)?.host {
            Host::Vm { process, .. } if process != id => Ok(process),
            other => bail!("{other:?}"),
        })
        .await
    }
}

fn client() -> reqwest::Client {
    metal_runtime::client::install_crypto_provider();
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn tap() -> Result<()> {
    ip("tuntap add dev tap0 mode tap")?;
    ip("link set tap0 up")
}

/// The command line of a process, which must be QEMU and no zombie.
fn command_line(id: u32) -> Result<String> {
    let line = fs::read_to_string(format!("/proc/{id}/cmdline"))?.replace('\0', " ");
    ensure!(line.contains("qemu"), "process {id} is {line:?}");
    Ok(line)
}

/// `kill -9`.
async fn end(id: u32) -> Result<()> {
    let status = Command::new("kill").args(["-9", &id.to_string()]).status().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}
