//! Servers with valid tokens that report as much as they may, all at once.

use crate::{
    connections::served_until,
    ports::{self, Target},
    site::{Site, soon},
};
use anyhow::{Context, Result, bail, ensure};
use e2e::stack::{NAMESPACE, Stack, until};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use metal_api::{
    BootState, ServerBootConfiguration, ServerInventory, ServerState,
    inventory::{
        BlockDevice, Lldp, MemoryDevice, Neighbor, NetworkInterface, PciDevice, Registration,
        Report,
    },
};
use metal_simulator::{Action, Fault};
use reqwest::{Client, Method, StatusCode};
use std::time::Duration;
use tokio::time::sleep;

/// What metal-operator allows for the report of a server, in bytes (`docs/security.md`): for an
/// object and for any other value, in addition to the text.
const ALLOWED: usize = 8 << 20;
const OBJECT: usize = 1024;
const VALUE: usize = 64;
/// Most entries of a list.
const ENTRIES: usize = 4096;
const INTERFACES: usize = 1024;
const NEIGHBORS: usize = 2048;
/// The API server takes 3 MiB, and etcd half of that.
const TEXT: usize = 1_300_000;
/// How soon an agent tries again.
const AGAIN: Duration = Duration::from_millis(500);

pub(crate) async fn post_all_at_once(site: &Site) {
    let number = site.scale.of(8, 64);
    let outcome = Box::pin(posted(site, number)).await;
    // Also if it failed: the attacks after this one need hosts that start.
    site.stack.fleets[0].clear_faults(None);
    let what = format!("{number} servers with valid tokens, the largest report of each at once");
    site.tell(&what, Target::Metal, outcome);
}

/// A server that may report.
struct Reporter {
    index: u32,
    server: String,
    url: String,
    body: String,
    uuid: String,
}

async fn posted(site: &Site, number: u32) -> Result<Duration> {
    // Keeps the hosts from starting, and so from reporting themselves.
    let fault = Fault::new("/redfish/v1/Systems/", Action::Status(503)).on(&Method::PATCH);
    let simulator = &site.stack.fleets[0];
    let fault = simulator.fault(fault).context("a fault")?;
    let mut reporters = vec![];
    for number in 0..number {
        let machine = site.next_machine()?;
        machine.plug_in().await?;
        let (index, uuid) = (machine.index(), machine.report()?.uuid.to_string());
        let body =
            if number % 2 == 0 { many_objects(&uuid, index)? } else { long_texts(&uuid, index)? };
        let server = machine.server_name();
        reporters.push(Reporter { index, server, url: String::new(), body, uuid });
    }
    for it in &mut reporters {
        it.url = registry_url_of(&site.stack, &it.server).await?;
    }
    let http = Client::builder().no_proxy().build()?;
    let inventories = Api::<ServerInventory>::all(site.stack.client.clone());
    let all = try_join_all(reporters.iter().map(|it| report(&http, &inventories, it)));
    let waited = served_until(&ports::registry(), all).await?;
    site.stack.fleets[0].clear_faults(Some(fault));
    for it in &reporters {
        let (machine, name) = (site.stack.machine(0, it.index)?, &it.server);
        machine.enters(ServerState::Available).await?;
        let kept = inventories.get(name).await?.spec;
        // The boot of the token is over.
        for (method, path) in [
            (Method::POST, "register".to_owned()),
            (Method::GET, format!("systems/{}", it.uuid)),
            (Method::DELETE, format!("delete/{}", it.uuid)),
        ] {
            let again = http.request(method.clone(), format!("{}/{path}", it.url));
            let again = again.header("content-type", "application/json").body(it.body.clone());
            let status = soon(async || {
                let again = again.try_clone().context("a body that can be sent again")?;
                Ok(again.send().await?.status())
            });
            let status = status.await?;
            ensure!(status == StatusCode::CONFLICT, "{method} with an ended token: {status}");
        }
        ensure!(inventories.get(name).await?.spec == kept, "the inventory of {name} was changed");
    }
    Ok(waited)
}

/// Reports as an agent does: again, if there is no room.
async fn report(
    http: &Client,
    inventories: &Api<ServerInventory>,
    reporter: &Reporter,
) -> Result<()> {
    soon(async || {
        let post = http.post(format!("{}/register", reporter.url));
        let post = post.header("content-type", "application/json").body(reporter.body.clone());
        let answer = post.send().await?;
        match answer.status() {
            StatusCode::CREATED => Ok(()),
            StatusCode::SERVICE_UNAVAILABLE => {
                sleep(AGAIN).await;
                bail!("there is never room: {}", answer.text().await?)
            }
            // It was stored, although the answer that said so came too late.
            StatusCode::CONFLICT => {
                let stored = inventories.get(&reporter.server).await?.spec;
                ensure!(stored.system_uuid == reporter.uuid, "{}", answer.text().await?);
                Ok(())
            }
            status => bail!("{status}: {}", answer.text().await?),
        }
    })
    .await
}

/// The report that becomes most in memory: lists as long as they may be.
fn many_objects(uuid: &str, server: u32) -> Result<String> {
    let interface = |number| interface(server, number);
    let lldp = |number: usize| Lldp {
        name: format!("eth{number}"),
        neighbors: vec![Neighbor::default(); NEIGHBORS / 64],
        ..Lldp::default()
    };
    let data = Report {
        network_interfaces: (0..INTERFACES).map(interface).collect(),
        lldp: (0..64).map(lldp).collect(),
        storage: vec![BlockDevice::default(); ENTRIES / 4],
        memory: vec![MemoryDevice::default(); ENTRIES / 4],
        pci_devices: vec![PciDevice::default(); ENTRIES / 4],
        ..Report::default()
    };
    let objects = INTERFACES + 64 + NEIGHBORS + 3 * (ENTRIES / 4);
    let body = written(uuid, data)?;
    let values = body.matches(':').count();
    let room = body.len() + objects * OBJECT + values * VALUE;
    ensure!((ALLOWED / 2..ALLOWED).contains(&room), "{room} bytes of {ALLOWED}");
    Ok(body)
}

/// A report of few values, as large as can be stored.
fn long_texts(uuid: &str, server: u32) -> Result<String> {
    let (network_interfaces, kernel) = (vec![interface(server, 0)], "x".repeat(TEXT));
    written(uuid, Report { network_interfaces, kernel, ..Report::default() })
}

/// An interface that no other server has.
fn interface(server: u32, number: usize) -> NetworkInterface {
    let (high, low) = (number / 256, number % 256);
    NetworkInterface {
        name: format!("eth{number}"),
        mac_address: format!("02:77:00:{server:02x}:{high:02x}:{low:02x}"),
        ..NetworkInterface::default()
    }
}

fn written(uuid: &str, data: Report) -> Result<String> {
    Ok(serde_json::to_string(&Registration { system_uuid: uuid.to_owned(), data })?)
}

/// Where this server's agent is to send its report, once its boot configuration is Ready.
async fn registry_url_of(stack: &Stack, server: &str) -> Result<String> {
    let client = stack.client.clone();
    let configurations = Api::<ServerBootConfiguration>::namespaced(client.clone(), NAMESPACE);
    let is_ready = |it: &ServerBootConfiguration| {
        it.status.as_ref().and_then(|status| status.state.as_ref()) == Some(&BootState::Ready)
    };
    until(&configurations, server, "Ready", is_ready).await?;
    let data = Api::<Secret>::namespaced(client, NAMESPACE).get(server).await?.data;
    let ignition = data.unwrap_or_default().remove("ignition").context("no ignition")?;
    let ignition = String::from_utf8(ignition.0)?;
    let (_, rest) = ignition.split_once("--registry-url=").context("no registry")?;
    Ok(rest.split_whitespace().next().unwrap_or_default().to_owned())
}
