//! A netboot that records BMC objects, a BMC, and the operator that manages them.

use super::{DATABASE, Lab, PASSWORD, REDFISH, USER};
use anyhow::Result;
use e2e::{cluster::Process, stack::Operator};
use std::{fs, path::Path, process::Stdio};

/// Parts of the near network that contain the range, but no address of our side.
const ADDRESSES: [&str; 3] = ["10.77.1.64/26", "10.77.1.128/26", "10.77.1.192/29"];

impl Lab {
    /// Replaces netboot with one that records BMC objects, with these reservations on the near
    /// link.
    pub(crate) async fn record_bmcs(&self, reservations: &str) -> Result<()> {
        let database = format!(
            "macPrefixes:\n\
             - macPrefix: '02:BB:CC'\n  \
               protocol: Redfish\n  \
               protocolScheme: http\n  \
               port: {REDFISH}\n  \
               type: bmc\n  \
               defaultCredentials: [{{ username: {USER}, password: {PASSWORD} }}]\n",
        );
        self.write_database(&database)?;
        // The simulator answers at every address that a BMC may get, pings included.
        let sections = "conflictProbe: false\nendpoints: { mode: bmc }\n";
        Self::write_configuration(&self.scratch, sections, reservations)?;
        self.netboot.kill().await?;
        self.start_netboot().await
    }

    /// Starts metal-operator, as the pod of its Deployment.
    pub(crate) async fn metal_operator(&self) -> Result<Operator> {
        let operator = self.pod("metal-operator", &self.scratch).await?;
        let operator = operator
            .flag("--mac-prefixes-file", self.scratch.join(DATABASE).display())
            .flag("--registry-url", "http://10.77.1.1:10000")
            .flag("--registry-bind-address", "10.77.1.1:10000");
        operator.start()?;
        Ok(operator)
    }

    /// Plugs in a simulated BMC on the near link, which asks for its address.
    pub(crate) fn simulator(&self) -> Result<Process> {
        self.links.near.ip("address add 10.77.1.2/24 dev near")?;
        for addresses in ADDRESSES {
            self.links.near.ip(&format!("route add local {addresses} dev lo"))?;
        }
        let mut command = self.links.near.command(Path::new("setpriv"));
        command.args(["--pdeathsig", "KILL"]).arg(self.tools.server.with_file_name("simulator"));
        command.args(["--bmc-dhcp=near", "--bmc-mac-prefix=02:bb:cc"]);
        command.arg(format!("--listen=0.0.0.0:{REDFISH}")).arg(format!("--username={USER}"));
        command.env("SIMULATOR_PASSWORD", PASSWORD).stdin(Stdio::null());
        Process::start(&mut command, self.scratch.join("simulator.log"))
    }

    /// All logs.
    pub(crate) fn logs(&self) -> String {
        let names = ["netboot.log", "metal-operator.log", "simulator.log"];
        let logs = names.iter().filter_map(|name| fs::read_to_string(self.scratch.join(name)).ok());
        logs.collect::<Vec<_>>().join("\n")
    }
}
