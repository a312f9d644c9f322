//! A site with a metalman, which the plugin has deployed, and a machine.

use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{Cluster, eventually, unique},
    kubelet::Kubelet,
    stack::{Printed, metalman::Metalman, run_plugin},
};
use k8s_openapi::api::core::v1::Node;
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use metal_api::{Machine, MachineStatus};
use metal_runtime::client::install_crypto_provider;
use metal_simulator::{Config, MachineReport, Power, Profile, Reset, Simulator, Transport};
use serde_json::{Value, json};
use std::{net::Ipv4Addr, time::Duration};
use tokio::sync::OnceCell;

pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// A site of this name alone.
pub(crate) struct Site {
    pub(crate) cluster: &'static Cluster,
    pub(crate) client: Client,
    pub(crate) name: String,
}

impl Site {
    /// A site in the cluster that all tests share, which is prepared by the plugin.
    pub(crate) async fn new() -> Result<Self> {
        static PREPARED: OnceCell<()> = OnceCell::const_new();
        install_crypto_provider();
        let cluster = Cluster::shared().await?;
        PREPARED.get_or_try_init(async || prepare(cluster).await).await?;
        Ok(Self { cluster, client: cluster.client().await?, name: unique("site") })
    }

    /// Starts the metalman that the plugin deploys for this site.
    pub(crate) async fn metalman(&self) -> Result<Metalman> {
        let deploy = ["site", "deploy-pxe", "--site", &self.name, "-o", "json"];
        let printed = self.plugin(&deploy).await?;
        ensure!(printed.code == Some(0), "{printed:?}");
        Metalman::of_site(self.cluster, &serde_json::from_str(&printed.out)?).await
    }

    pub(crate) async fn plugin(&self, args: &[&str]) -> Result<Printed> {
        run_plugin(self.cluster, args, "").await
    }

    /// Registers a machine behind this BMC by the plugin, and returns its name.
    pub(crate) async fn register(&self, bmc: &Simulator, address: Ipv4Addr) -> Result<String> {
        self.register_with(bmc, address, "registry.example/image:1").await
    }

    /// The same, with this image.
    pub(crate) async fn register_with(
        &self,
        bmc: &Simulator,
        address: Ipv4Addr,
        image: &str,
    ) -> Result<String> {
        let (name, ipv4, mac) = (unique("node"), format!("{address}/8"), mac(address));
        let url = format!("https://{}", bmc.bmc(0).context("the BMC has no address")?);
        let args = [
            "machine",
            "register",
            "--pxe",
            &name,
            "--image",
            image,
            "--mac",
            &mac,
            "--ipv4",
            &ipv4,
            "--site",
            &self.name,
            "--redfish-url",
            &url,
            "--redfish-username",
            "foo",
            "--redfish-password-stdin",
        ];
        let printed = run_plugin(self.cluster, &args, "bar\n").await?;
        ensure!(printed.code == Some(0), "{printed:?}");
        ensure!(
            printed.out == format!("machine.unbounded-cloud.io/{name} created\n"),
            "{printed:?}"
        );
        Ok(name)
    }

    /// Creates a Machine of the site without the plugin.
    pub(crate) async fn create(&self, pxe: Value) -> Result<String> {
        let name = unique("node");
        let machine = json!({
            "apiVersion": "unbounded-cloud.io/v1alpha3",
            "kind": "Machine",
            "metadata": { "name": name, "labels": { "unbounded-cloud.io/site": self.name } },
            "spec": { "pxe": pxe },
        });
        self.machines().create(&PostParams::default(), &serde_json::from_value(machine)?).await?;
        Ok(name)
    }

    pub(crate) fn machines(&self) -> Api<Machine> {
        Api::all(self.client.clone())
    }

    /// Writes the status of a Machine, as metalman does.
    pub(crate) async fn says(&self, name: &str, status: Value) -> Result<()> {
        let patch = Patch::Merge(json!({ "status": status }));
        self.machines().patch_status(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// The Machine, once this holds.
    pub(crate) async fn is(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&Machine, &MachineStatus) -> bool,
    ) -> Result<Machine> {
        eventually(PATIENCE, async || {
            let machine = self.machines().get(name).await?;
            let status = machine.status.clone().unwrap_or_default();
            ensure!(holds(&machine, &status), "{name} is not {what}: {status:?}");
            Ok(machine)
        })
        .await
    }

    /// What the kubelet of a machine does that has booted: its Node is there, and ready.
    pub(crate) async fn boots(&self, name: &str, address: Ipv4Addr, boot: &str) -> Result<()> {
        let kubelet = Kubelet { boot_id: boot.to_owned(), ..Kubelet::new(name, address.into()) };
        kubelet.report(&self.client).await
    }

    pub(crate) async fn has_node(&self, name: &str) -> Result<bool> {
        Ok(Api::<Node>::all(self.client.clone()).get_opt(name).await?.is_some())
    }
}

/// `site init`, twice: nothing is wrong with that.
async fn prepare(cluster: &Cluster) -> Result<()> {
    for _ in 0..2 {
        let printed = run_plugin(cluster, &["site", "init", "rack-a"], "").await?;
        ensure!(printed.code == Some(0), "{printed:?}");
        ensure!(printed.out.contains("namespace/metalman-bmcs applied\n"), "{printed:?}");
    }
    cluster.rights_count().await
}

/// A MAC address that nobody else has.
pub(crate) fn mac(address: Ipv4Addr) -> String {
    let [a, b, c, d] = address.octets();
    format!("02:22:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// A machine that is on, behind a BMC that speaks TLS.
pub(crate) async fn bmc(base: Ipv4Addr) -> Simulator {
    let profile = Profile { transport: Transport::Https, ..Profile::default() };
    let config = Config {
        bmc_base: base,
        seed: u32::from(base).into(),
        power: Power::On,
        profile,
        ..Config::default()
    };
    Simulator::start(config).await.unwrap()
}

/// How often the host was reset, and how.
pub(crate) fn resets(bmc: &Simulator) -> Vec<(Reset, u32)> {
    let report: MachineReport = bmc.machine(0).unwrap();
    let all = [Reset::GracefulShutdown, Reset::ForceOff, Reset::On]
        .map(|it| (it, report.counters.resets.of(it)));
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}
