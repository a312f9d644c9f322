//! A stand-in for the kubelet on the disk of a virtual machine: registers the Node with the kubeconfig
//! that metal-agent has written, and goes on saying that it is ready, through the real API server.

use anyhow::{Context, Result};
use clap::Parser;
use e2e::kubelet::Kubelet;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fs,
    net::{IpAddr, UdpSocket},
    path::PathBuf,
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// As often as a kubelet.
const INTERVAL: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_secs(1);
const LIMIT: Duration = Duration::from_secs(30);

/// Registers a Node, and keeps it ready.
#[derive(Debug, Parser)]
struct Args {
    /// Read anew each time: its certificate is renewed.
    #[arg(long)]
    kubeconfig: PathBuf,
    /// metal-agent's configuration, which says name, labels and taints of the Node.
    #[arg(long)]
    config: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Agent {
    machine_name: String,
    kubelet: Options,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Options {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    register_with_taints: Option<Vec<String>>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    metal_runtime::client::install_crypto_provider();
    let args = Args::parse();
    let mut said = None;
    loop {
        let told = timeout(LIMIT, report(&args)).await.context("no answer").flatten();
        let text = match &told {
            Ok(name) => format!("node {name} is ready"),
            Err(error) => format!("{error:#}"),
        };
        if said.as_ref() != Some(&text) {
            eprintln!("kubelet: {text}");
            said = Some(text);
        }
        sleep(if told.is_ok() { INTERVAL } else { RETRY }).await;
    }
}

async fn report(args: &Args) -> Result<String> {
    let agent: Agent = serde_json::from_str(&fs::read_to_string(&args.config)?)?;
    let kubeconfig = Kubeconfig::read_from(&args.kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let host = config.cluster_url.host().context("the API server has no address")?;
    let kubelet = Kubelet {
        labels: agent.kubelet.labels,
        taints: agent.kubelet.register_with_taints.unwrap_or_default(),
        boot_id: fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned(),
        ..Kubelet::new(agent.machine_name, own_address(host)?)
    };
    kubelet.report(&Client::try_from(config)?).await?;
    Ok(kubelet.name)
}

/// Our address on the way to this host. Nothing is sent.
fn own_address(host: &str) -> Result<IpAddr> {
    let host: IpAddr = host.trim_matches(['[', ']']).parse().context("not an IP address")?;
    let any = if host.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect((host, 443))?;
    Ok(socket.local_addr()?.ip())
}
