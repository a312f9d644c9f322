//! The path itself: from a BMC that is plugged in to a server that is claimed and released.

use super::{
    Demo,
    control::Machine,
    rack,
    screen::INDENT,
    seen::{Seen, complaints},
};
use crate::{
    cluster::{Process, binary, workspace},
    namespace::Network,
    stack::sha256,
};
use anyhow::{Context, Result, ensure};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use metal_api::{ClaimPhase, IpxeBootConfig, Server, ServerClaim, condition::SCHEDULED};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::symlink,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// Beginnings of the complaints that the founding documents cause.
const LACKING: [&str; 5] = [
    "Endpoint device-12345 ",
    "BMC my-bmc ",
    "BMC my-bmc-inline ",
    "Server my-server ",
    "ServerBootConfiguration my-server-boot-config ",
];
/// Name of the claim, and of the objects that belong to it.
const CLAIM: &str = "demo";
const NAMESPACE: &str = "default";
const IGNITION: &str = "demo-ignition";
/// Address of the simulator's control API.
const CONTROL: u16 = 9000;
/// With more machines than this, only their number is shown.
const SHOWN: u32 = 12;
/// Lines of the console that are shown.
const CONSOLE: usize = 6;
/// Columns of the console that are shown.
const COLUMNS: usize = 110;

impl Demo<'_> {
    /// Applies the documents that the product was founded on, as they were written.
    pub(super) async fn documents(&self) -> Result<()> {
        let since = Instant::now();
        let folder = workspace().join("config/samples/documents");
        let mut files: Vec<_> =
            fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        files.sort();
        let mut applied = Vec::new();
        for file in files {
            let text = fs::read_to_string(&file)?;
            if let Some(namespace) = text.lines().find_map(|it| it.strip_prefix("  namespace: ")) {
                self.cluster.kubectl(&["create", "namespace", namespace.trim()]).await?;
            }
            let said = self.cluster.apply(&text).await?;
            applied.push(said.split(' ').next().unwrap_or_default().to_owned());
        }
        let applied = applied.join(" ");
        self.screen.done(since, &format!("the founding documents are applied: {applied}"));
        let title = "each of them says what it lacks";
        let (since, lines) = self
            .wait(60, title, async |_| {
                let lines = complaints(&self.client).await?;
                let says = |of: &&str| lines.iter().any(|line| line.starts_with(of));
                let number = LACKING.iter().filter(|of| says(of)).count();
                ensure!(number == LACKING.len(), "{number} of {}", LACKING.len());
                Ok(lines)
            })
            .await?;
        for line in lines {
            self.screen.tell(&format!("{INDENT}{line}"));
        }
        self.screen.done(since, &format!("{title}: their machines are not here"));
        Ok(())
    }

    /// Plugs in the machines, and waits until they are Available. They exist as long as the
    /// returned process.
    pub(super) async fn discover(&self, rack: &Network) -> Result<Process> {
        let servers = self.settings.servers;
        let begun = Instant::now();
        let simulator = self.simulator(rack).await?;
        let tell = |text: &str| self.screen.tell(&format!("{INDENT}{text}"));
        tell(&format!("{servers} machines are plugged in: their BMCs ask for an address"));
        let console = self.cluster.scratch().join("vm/0/console.log");
        if self.settings.vm {
            let console = console.display();
            tell(&format!("one of them is a virtual machine; its console: {console}"));
        }
        // Firmware is slow without KVM, and much slower on a busy machine.
        let limit = 120 + u64::from(servers) + if self.settings.vm { 300 } else { 0 };
        let title = format!("{servers} servers become Available");
        self.wait(limit, &title, async |since| {
            let seen = Seen::now(&self.client).await?;
            self.show(since, &title, &seen);
            ensure!(seen.in_state("Available") == usize::try_from(servers)?, "{}", seen.sum());
            Ok(())
        })
        .await?;
        self.screen.done(begun, &format!("{servers} servers are Available"));
        if servers <= SHOWN {
            self.cluster.kubectl(&["get", "servers"]).await?.lines().for_each(tell);
        }
        if self.settings.vm {
            self.mark_vm(&console).await?;
        }
        Ok(simulator)
    }

    async fn simulator(&self, rack: &Network) -> Result<Process> {
        let scratch = self.cluster.scratch();
        // A process with a path of the cluster on its command line ends with the cluster.
        let simulator = scratch.join("simulator");
        symlink(binary("simulator").await?, &simulator)?;
        let mut command = rack.command(&simulator);
        command.arg(format!("--machines={}", self.settings.servers));
        command.args(["--bmc-dhcp=oob", "--dhcp=boot"]);
        command.arg(format!("--control={}:{CONTROL}", rack::RACK));
        if self.settings.vm {
            command.arg(format!("--vm=0={}", rack::TAP));
            command.arg(format!("--vm-folder={}", scratch.join("vm").display()));
        }
        command.stdin(Stdio::null()).process_group(0);
        Process::start(&mut command, scratch.join("simulator.log"))
    }

    /// Excludes the virtual machine from the claim: what the claim boots is not an operating
    /// system.
    async fn mark_vm(&self, console: &PathBuf) -> Result<()> {
        let uuid = self.control.machine(0).await?.uuid;
        let servers = Api::<Server>::all(self.client.clone());
        let all = servers.list(&ListParams::default()).await?;
        let found = all.into_iter().find(|server| uuid_of(server) == Some(uuid));
        let name = found.context("the virtual machine has no Server")?.name_any();
        let label = Patch::Merge(json!({ "metadata": { "labels": { "demo": "vm" } } }));
        servers.patch(&name, &PatchParams::default(), &label).await?;
        self.screen
            .tell(&format!("{INDENT}{name} is the virtual machine; what it said on its console:"));
        let printed = fs::read(console)?;
        let printed = String::from_utf8_lossy(&printed).replace('\r', "");
        let lines: Vec<_> = printed.lines().collect();
        for line in &lines[lines.len().saturating_sub(CONSOLE)..] {
            let line: String = line.chars().take(COLUMNS).collect();
            self.screen.tell(&format!("{INDENT}{line}"));
        }
        Ok(())
    }

    /// Claims one of the servers, with an image and an Ignition configuration, and releases it.
    pub(super) async fn claim_and_release(&self) -> Result<()> {
        let server = self.claim().await?;
        self.boots_image(&server).await?;
        let claims = Api::<ServerClaim>::namespaced(self.client.clone(), NAMESPACE);
        claims.delete(CLAIM, &DeleteParams::default()).await?;
        let title = format!("the claim is gone, and {server} off and Available");
        let (since, ()) = self
            .wait(120, &title, async |since| {
                let seen = Seen::now(&self.client).await?;
                self.show(since, &title, &seen);
                let now = seen.state_and_power(&server);
                ensure!(now == "Available Off", "{now}");
                ensure!(claims.get_opt(CLAIM).await?.is_none(), "the claim is there");
                Ok(())
            })
            .await?;
        self.screen.done(since, &format!("the claim is deleted: {server} is off, and Available"));
        Ok(())
    }

    /// Creates the claim; returns the name of the server that it binds.
    async fn claim(&self) -> Result<String> {
        self.cluster
            .apply(&fs::read_to_string(workspace().join("hack/demo.d/claim.yaml"))?)
            .await?;
        let claims = Api::<ServerClaim>::namespaced(self.client.clone(), NAMESPACE);
        let (since, server) = self
            .wait(30, "the claim gets a server", async |_| {
                let claim = claims.get(CLAIM).await?;
                let status = claim.status.unwrap_or_default();
                let scheduled = status.conditions.iter().find(|it| it.type_ == SCHEDULED);
                let says = scheduled.map(|it| it.message.clone()).unwrap_or_default();
                ensure!(status.phase == Some(ClaimPhase::Bound), "{says}");
                Ok(claim.spec.server_ref.context("bound to no server")?.name)
            })
            .await?;
        self.screen.done(since, &format!("claim {NAMESPACE}/{CLAIM} holds server {server}"));
        Ok(server)
    }

    /// Waits until the server is up with the claim's image, both in the API and on the machine
    /// itself.
    async fn boots_image(&self, server: &str) -> Result<()> {
        let title = format!("{server} boots the image of its claim");
        let (since, machine) = self
            .wait(60, &title, async |since| {
                let seen = Seen::now(&self.client).await?;
                self.show(since, &title, &seen);
                let machine = self.machine_of(server).await?;
                let (now, host) = (seen.state_and_power(server), machine.host.text());
                ensure!(now == "Reserved On" && self.runs(&machine).await?, "{now} {host}");
                Ok(machine)
            })
            .await?;
        self.journal(&machine);
        let what = "is Reserved and On, and runs demo-os:1 with the ignition of its claim";
        self.screen.done(since, &format!("{server} {what}"));
        Ok(())
    }

    /// Whether the machine runs the claim's image and Ignition configuration.
    async fn runs(&self, machine: &Machine) -> Result<bool> {
        let configs = Api::<IpxeBootConfig>::namespaced(self.client.clone(), NAMESPACE);
        let secrets = Api::<Secret>::namespaced(self.client.clone(), NAMESPACE);
        let kernel = configs.get(CLAIM).await?.spec.kernel_url;
        let data = secrets.get(IGNITION).await?.data.unwrap_or_default();
        let ByteString(ignition) = data.get("ignition").context("no ignition")?;
        let host = &machine.host;
        let digest = sha256(ignition);
        Ok(host.state == "tenant"
            && host.images.contains(&kernel)
            && host.ignition.as_ref() == Some(&digest))
    }

    /// The machine of this Server.
    async fn machine_of(&self, server: &str) -> Result<Machine> {
        let server = Api::<Server>::all(self.client.clone()).get(server).await?;
        self.control.with_uuid(uuid_of(&server).context("a server has a UUID")?).await
    }

    fn journal(&self, machine: &Machine) {
        for line in machine.since_power_on() {
            self.screen.tell(&format!("{INDENT}{line}"));
        }
    }

    /// Prints what was wrong when something did not come true in time.
    pub(super) async fn postmortem(&self) {
        // Nothing that fails here may hide the original failure.
        for line in complaints(&self.client).await.unwrap_or_default() {
            eprintln!("{line}");
        }
        let seen = Seen::now(&self.client).await.unwrap_or_default();
        for name in seen.unavailable().take(3) {
            let Ok(machine) = self.machine_of(&format!("{name}-system-0")).await else { continue };
            eprintln!("the host of {name}, since it was switched on:");
            for line in machine.since_power_on() {
                eprintln!("{INDENT}{line}");
            }
        }
    }

    /// Shows a line for each machine, or totals if there are many.
    fn show(&self, since: Instant, title: &str, seen: &Seen) {
        if self.settings.servers > SHOWN {
            self.screen.goes_on(since, title, &seen.sum());
        } else {
            self.screen.machines(since, title, seen.rows());
        }
    }
}

fn uuid_of(server: &Server) -> Option<Uuid> {
    let uuid = server.spec.system_uuid.as_ref().or(server.spec.uuid.as_ref())?;
    uuid.parse().ok()
}

/// Address of the simulator's control API.
pub(super) fn control() -> std::net::SocketAddr {
    (rack::RACK, CONTROL).into()
}

/// Pause between checks.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
