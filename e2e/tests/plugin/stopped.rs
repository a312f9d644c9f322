//! Waiting ends when a person says so, and outlives the API server.

use crate::{given_up::pxe, site::Site};
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{Cluster, eventually},
    stack::{ended, plugin},
};
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test]
async fn ctrl_c_ends_waiting_and_not_the_reboot() {
    let site = Site::new().await.unwrap();
    let name = site.create(pxe("10.22.4.1")).await.unwrap();
    site.says(&name, json!({ "operations": { "rebootCounter": 0 } })).await.unwrap();
    let (mut child, mut lines) = waiting(site.cluster, &name, &[]).await.unwrap();
    told(&mut lines, "has not seen it yet").await.unwrap();
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    told(&mut lines, "interrupted").await.unwrap();
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(130));
    let operations = site.machines().get(&name).await.unwrap().spec.operations.unwrap();
    assert_eq!(operations.reboot_counter, Some(1));
}

#[tokio::test]
async fn an_api_server_that_is_away_is_waited_for() {
    let cluster = Cluster::start().await.unwrap();
    cluster.install().await.unwrap();
    let machine = json!({
        "apiVersion": "unbounded-cloud.io/v1alpha3",
        "kind": "Machine",
        "metadata": { "name": "a" },
        "spec": { "pxe": pxe("10.22.4.2") },
    });
    cluster.apply(&machine.to_string()).await.unwrap();
    says(&cluster, &json!({ "operations": { "rebootCounter": 0 } }).to_string()).await.unwrap();
    let (child, mut lines) = waiting(&cluster, "a", &[]).await.unwrap();
    told(&mut lines, "has not seen it yet").await.unwrap();
    let outage = cluster.outage().await.unwrap();
    told(&mut lines, "the API server does not answer").await.unwrap();
    outage.end().await.unwrap();
    told(&mut lines, "has not seen it yet").await.unwrap();
    let status = json!({ "observedGeneration": 2, "operations": { "rebootCounter": 1 } });
    says(&cluster, &status.to_string()).await.unwrap();
    let printed = ended(child).await.unwrap();
    assert_eq!(
        (printed.code, printed.out.as_str()),
        (Some(0), "machine.unbounded-cloud.io/a rebooted\n")
    );
}

/// Writes the status of the Machine `a`, as metalman does.
async fn says(cluster: &Cluster, status: &str) -> Result<()> {
    let patch = format!("{{\"status\": {status}}}");
    let patch = ["patch", "machine", "a", "--subresource=status", "--type=merge", "-p", &patch];
    eventually(PATIENCE, async || cluster.kubectl(&patch).await).await.map(drop)
}

/// The plugin that reboots a machine, and what it says.
pub(crate) async fn waiting(
    cluster: &Cluster,
    name: &str,
    also: &[&str],
) -> Result<(Child, Lines<BufReader<ChildStderr>>)> {
    let kubeconfig = cluster.kubeconfig();
    let kubeconfig = kubeconfig.to_str().context("a path is text")?;
    let reboot = ["machine", "reboot", name, "--timeout=5m", "--kubeconfig", kubeconfig];
    let mut child = plugin(&[&reboot, also].concat()).await?.spawn()?;
    let lines = BufReader::new(child.stderr.take().context("it has one")?).lines();
    Ok((child, lines))
}

/// Waits until it says this.
pub(crate) async fn told(lines: &mut Lines<BufReader<ChildStderr>>, what: &str) -> Result<()> {
    let mut said = vec![];
    let told = async {
        while let Some(line) = lines.next_line().await? {
            if line.contains(what) {
                return Ok(true);
            }
            said.push(line);
        }
        anyhow::Ok(false)
    };
    let is_told = timeout(PATIENCE, told).await;
    ensure!(matches!(is_told, Ok(Ok(true))), "{what} is not said, but {said:?}");
    Ok(())
}
