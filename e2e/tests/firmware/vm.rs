//! A virtual machine of the simulator: what Redfish says about its power is true.

use crate::{bmc::Bmc, inside::in_a_network_of_its_own, network::tap};
use anyhow::{Context, Result, bail, ensure};
use e2e::cluster::{Process, binary, eventually, http_client};
use metal_simulator::{Config, Host, Power, Simulator, StartError, Vm};
use serde_json::{Value, json};
use std::{fs, process::Stdio, time::Duration};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_mins(3);

#[test]
fn power_over_redfish_is_that_of_qemu_and_qemu_is_the_machine_that_redfish_describes() {
    in_a_network_of_its_own(async || {
        let folder = tempfile::tempdir().unwrap();
        tap().unwrap();
        let bmc = Bmc::start(Vm::new(folder.path().join("0"), "tap0")).await.unwrap();
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
        // No operating system handles the button.
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
        // A device of that name exists, but it is not a tap device.
        let vm = Vm::new(folder.path().join("0"), "lo");
        let bmc = Bmc::start(vm).await.unwrap();
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

#[tokio::test]
async fn a_virtual_machine_beyond_the_last_machine_is_refused() {
    let vms = [(2, Vm::new("/nowhere", "tap0"))].into();
    let config = Config { machines: 2, vms, ..Config::default() };
    let refused = Simulator::start(config).await.err().unwrap();
    assert!(matches!(refused, StartError::Vm(2, 1)), "{refused}");
}

#[test]
fn a_virtual_machine_ends_with_its_simulator_however_that_ends() {
    in_a_network_of_its_own(async || {
        let folder = tempfile::tempdir().unwrap();
        tap().unwrap();
        let mut command = Command::new(binary("simulator").await.unwrap());
        command.args(["--vm", "0=tap0", "--control", "127.0.0.1:9000", "--vm-folder"]);
        command.arg(folder.path()).stdin(Stdio::null());
        let simulator = Process::start(&mut command, folder.path().join("log")).unwrap();
        let http = http_client().unwrap();
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

/// The command line of a process, which must be a live QEMU.
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
