//! ISC's DHCP client, as the BMC or the machine at the end of a link.

use crate::{inside::Tools, link::Network};
use anyhow::{Context, Result};
use e2e::cluster::{Cluster, Process, eventually};
use std::{fs, net::Ipv4Addr, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

const LIMIT: Duration = Duration::from_mins(1);
const CONFIG: &str = "timeout 30; retry 1; reboot 2; initial-interval 1; backoff-cutoff 2;\n";
/// What dhclient calls whenever something has become of a lease.
const HOOK: &str = r#"#!/bin/sh
case $reason in
BOUND | RENEW | REBIND | REBOOT)
    ip address flush dev "$interface"
    ip address add "$new_ip_address/$new_subnet_mask" dev "$interface"
    echo "$new_ip_address" >>"$bound"
    ;;
EXPIRE | RELEASE) ip address flush dev "$interface" ;;
esac
"#;

/// A machine with one interface.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    network: &'a Network,
    interface: &'static str,
    dhclient: PathBuf,
    folder: PathBuf,
    running: Option<Process>,
}

impl<'a> Client<'a> {
    /// One that is off. What it knew is what the last one with this MAC address did.
    pub(crate) fn new(
        cluster: &Cluster,
        tools: &Tools,
        network: &'a Network,
        interface: &'static str,
        mac: &str,
    ) -> Result<Self> {
        let folder = cluster.scratch().join(mac);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("config"), CONFIG)?;
        let hook = folder.join("hook");
        fs::write(&hook, HOOK)?;
        fs::set_permissions(hook, fs::Permissions::from_mode(0o755))?;
        network.ip(&format!("link set {interface} address {mac}"))?;
        Ok(Self { network, interface, dhclient: tools.dhclient.clone(), folder, running: None })
    }

    /// The address it gets when it is switched on again, with what it knew of its lease.
    pub(crate) async fn reboot(&mut self) -> Result<Ipv4Addr> {
        if let Some(running) = self.running.take() {
            running.kill().await?;
        }
        self.network.ip(&format!("address flush dev {}", self.interface))?;
        let bound = self.folder.join("bound");
        fs::write(&bound, "")?;
        let mut command = self.network.command(&self.dhclient);
        command.args(["-4", "-d", "-e"]).arg(format!("bound={}", bound.display()));
        for (flag, file) in [("-cf", "config"), ("-sf", "hook"), ("-lf", "leases"), ("-pf", "pid")]
        {
            command.arg(flag).arg(self.folder.join(file));
        }
        command.arg(self.interface);
        let mut process = Process::start(&mut command, self.log())?;
        let address = eventually(LIMIT, async || {
            process.check()?;
            let bound = fs::read_to_string(&bound)?;
            Ok(bound.lines().last().context("no lease")?.parse()?)
        })
        .await;
        let address = address.with_context(|| process.printed().unwrap_or_default())?;
        self.running = Some(process);
        Ok(address)
    }

    /// The same, with nothing that it knew.
    pub(crate) async fn reset(&mut self) -> Result<Ipv4Addr> {
        if let Some(running) = self.running.take() {
            running.kill().await?;
        }
        fs::remove_file(self.folder.join("leases"))?;
        self.reboot().await
    }

    /// Beside the folder, where the cluster looks for processes that must end with it.
    fn log(&self) -> PathBuf {
        let mut log = self.folder.clone().into_os_string();
        log.push(".log");
        log.into()
    }
}
