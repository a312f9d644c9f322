//! `kill -9` of metalman after each of its writes, to the API server and to the BMC: a repave wipes once.

use crate::front::{Front, Killer};
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{Cluster, eventually, unique},
    stack::{
        OciRegistry,
        metalman::{Metalman, condition, done, pxe, redfish},
    },
};
use futures::future::try_join_all;
use kube::{Api, Client};
use metal_api::{Machine, MachinePxe, MachineRedfish, MachineStatus};
use metal_image::testing::archive;
use metal_simulator::{Config, Power, Reset, Simulator, Timing};
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_mins(10);
const NAMESPACE: &str = "unbounded-kube";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// What a loader is told: to install, and where from; or to boot the disk.
const GRUB: &str = "{{ if le .Machine.Spec.Operations.RepaveCounter .Machine.Status.Operations.RepaveCounter }}boot\
                    {{ else }}install {{ .ServeURL }}{{ end }}";
/// Cases at a time.
const AT_ONCE: u32 = 8;
/// More writes than a repave takes.
const MOST: u32 = 64;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repave_wipes_once_whichever_write_of_metalman_is_its_last() {
    let cluster = Cluster::shared().await.unwrap();
    let account = Metalman::kubeconfig(cluster).await.unwrap();
    let folder = cluster.scratch().join("kills");
    std::fs::create_dir_all(&folder).unwrap();
    let registry = OciRegistry::start(&folder).await.unwrap();
    let files: [(&str, &[u8]); 1] = [("disk/grub/grub.cfg.tmpl", GRUB.as_bytes())];
    registry.push("os:1", &[(LAYER, &archive(&files))]).await.unwrap();
    let image = registry.image("os:1");
    let account_of = cluster.service_account_client(NAMESPACE, "metalman-controller");
    let rights = Rights { kubeconfig: &account, client: account_of.await.unwrap() };
    let mut first = 1;
    loop {
        assert!(first < MOST, "a repave has no end");
        let cases = (first..first + AT_ONCE).map(|after| case(cluster, &rights, &image, after));
        let were_killed = try_join_all(cases).await.unwrap();
        first += AT_ONCE;
        if were_killed.contains(&false) {
            break;
        }
    }
    assert!(first > AT_ONCE + 1, "there are more writes than these");
}

/// What metalman may do.
struct Rights<'a> {
    kubeconfig: &'a Path,
    client: Client,
}

/// Has a machine installed by a metalman that ends after its write `after`, if it comes to that; says
/// whether it did.
async fn case(cluster: &Cluster, rights: &Rights<'_>, image: &str, after: u32) -> Result<bool> {
    let killer = Arc::<Killer>::default();
    let last = u8::try_from(after)?;
    let bmc = simulator(Ipv4Addr::new(127, 41, 1, last)).await?;
    let at = bmc.bmc(0).context("a BMC has an address")?;
    let front = Front::of_bmcs(vec![at], Arc::clone(&killer)).await?;
    let api = Front::of_api(rights.client.clone(), Arc::clone(&killer)).await?;
    let kubeconfig =
        api.kubeconfig(rights.kubeconfig, cluster.scratch().join(format!("kill-{after}")))?;
    let flags = [
        "--leader-elect=false",
        "--allow-plain-http-bmcs",
        "--apiserver-url=https://api.example:6443",
    ];
    let flags = flags.map(str::to_owned);
    let mut site = Metalman::start_with(cluster, &kubeconfig, &flags).await?;

    let (name, address) = (unique("node"), Ipv4Addr::new(127, 41, 0, last));
    joined(&site, front.address, (&name, address), image).await?;
    let host = Host { bmc: &bmc, from: address, http: site.http, wipes: AtomicU32::new(0) };
    killer.arm(site.process().id().context("it runs")?, after);
    site.raise(&name, json!({ "rebootCounter": 1, "repaveCounter": 1 })).await?;
    let machines = site.machines();
    // One host, whoever switches it.
    let mut boots = pin!(host.boots());
    let run = async {
        loop {
            tokio::select! {
                () = killer.killed.notified() => {
                    site.kill_and_start_again(&kubeconfig, &flags).await?;
                }
                installed = is_done(&machines, &name, (1, 1)) => return installed,
                end = &mut boots => return end,
            }
        }
    };
    let ended = timeout(PATIENCE, run).await.context("it does not end").and_then(|it| it);
    ended.with_context(|| format!("write {after}: {:?}", site.process().printed()))?;
    let wipes = host.wipes.load(Ordering::SeqCst);
    ensure!(wipes == 1, "write {after}: {wipes} wipes");
    // What comes after it, wipes nothing.
    let was_killed = !killer.is_armed();
    site.raise(&name, json!({ "rebootCounter": 2 })).await?;
    let rebooted = timeout(PATIENCE, async {
        tokio::select! {
            () = killer.killed.notified() => Ok(()),
            done = is_done(&machines, &name, (2, 1)) => done,
            end = &mut boots => end,
        }
    });
    rebooted.await.with_context(|| format!("reboot after write {after}"))??;
    let wipes = host.wipes.load(Ordering::SeqCst);
    ensure!(wipes == 1, "a reboot after write {after}: {wipes} wipes");
    // One that was not killed yet can be at any time.
    if was_killed {
        site.end().await?;
    }
    Ok(was_killed)
}

/// Makes a Machine of this image, with this BMC, which is in the cluster and installs nothing yet.
async fn joined(
    site: &Metalman,
    bmc: SocketAddr,
    (name, address): (&str, Ipv4Addr),
    image: &str,
) -> Result<()> {
    site.password(name).await?;
    let redfish = MachineRedfish { url: format!("http://{bmc}"), ..redfish(bmc, name) };
    let image = image.to_owned();
    let pxe = MachinePxe { image, redfish: Some(redfish), ..pxe(name, address) };
    site.create(name, pxe).await?;
    let is_there = |it: &MachineStatus| {
        condition(it, "ImageReady") == Some("Pulled") && it.operations.is_some()
    };
    site.is(name, "there", is_there).await?;
    site.join(name, address).await
}

async fn simulator(base: Ipv4Addr) -> Result<Simulator> {
    let timing = Timing { shutdown: Duration::from_millis(100), ..Timing::default() };
    let config = Config {
        bmc_base: base,
        seed: u32::from(base).into(),
        power: Power::On,
        timing,
        ..Config::default()
    };
    Ok(Simulator::start(config).await?)
}

/// Waits until everything that was asked for is done.
async fn is_done(machines: &Api<Machine>, name: &str, counters: (i64, i64)) -> Result<()> {
    eventually(PATIENCE, async || {
        let status = machines.get(name).await?.status.unwrap_or_default();
        let is_done = condition(&status, "OperationsDone") == Some("Done");
        ensure!(is_done && done(&status) == counters, "{status:?}");
        Ok(())
    })
    .await
}

/// The host behind the BMC: whenever it is switched on, its loader asks what to do.
struct Host<'a> {
    bmc: &'a Simulator,
    from: Ipv4Addr,
    http: SocketAddr,
    wipes: AtomicU32,
}

impl Host<'_> {
    /// Boots as often as it is switched on, and never ends.
    async fn boots(&self) -> Result<()> {
        let client = reqwest::Client::builder()
            .local_address(IpAddr::V4(self.from))
            .timeout(Duration::from_secs(5))
            .build()?;
        let ons = || Ok::<_, anyhow::Error>(self.bmc.machine(0)?.counters.resets.of(Reset::On));
        let mut booted = 0;
        loop {
            sleep(Duration::from_millis(50)).await;
            if ons()? <= booted {
                continue;
            }
            booted += 1;
            let grub = self.get(&client, "/grub/grub.cfg").await?;
            let Some(url) = grub.strip_prefix("install ") else { continue };
            self.wipes.fetch_add(1, Ordering::SeqCst);
            let path = url.strip_prefix(&format!("http://{}", self.http)).context("our URL")?;
            self.get(&client, &format!("{path}/pxe/disable")).await?;
        }
    }

    /// Asks until there is an answer: what boots tries again.
    async fn get(&self, client: &reqwest::Client, path: &str) -> Result<String> {
        let url = format!("http://{}{path}", self.http);
        eventually(PATIENCE, async || {
            let answer = client.get(&url).send().await?.error_for_status()?;
            Ok(answer.text().await?)
        })
        .await
    }
}
