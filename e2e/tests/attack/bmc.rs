//! Attackers who pretend to be a BMC.

use crate::{
    dhcp::{Message, exchange},
    ports::Target,
    recorder::Recorder,
    site::{KNOWN, KNOWN_MAC, NETBOOT, NETBOOT_AT_BMCS, Site, TEMPTED, soon},
};
use anyhow::{Context, Result, ensure};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use metal_api::Endpoint;
use serde_json::json;
use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};
use tokio::{task::block_in_place, time::sleep};

/// The initial password in the MAC prefix database.
pub(crate) const PASSWORD: &str = "calvin";
/// Where an attacker wants the password sent, in the network that machines boot from.
const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 66, 100, 66);
/// The same, in the network of the BMCs.
const FALSE_BMC: Ipv4Addr = Ipv4Addr::new(10, 67, 1, 66);

pub(crate) async fn speak_for_a_bmc(site: &Site) {
    let outcome = moved(site).await;
    site.tell("DHCP in the name of a known BMC, from elsewhere", Target::Metal, outcome);
}

async fn moved(site: &Site) -> Result<Duration> {
    let bmc = Recorder::at(KNOWN.into()).await?;
    let (stranger, neighbor) =
        (Recorder::at(STRANGER.into()).await?, Recorder::at(FALSE_BMC.into()).await?);
    let frames = site.bmcs.frames()?;
    let asked = Instant::now();
    let address = block_in_place(|| exchange(&frames, KNOWN_MAC, None)).context("the BMC")?;
    let waited = asked.elapsed();
    ensure!(address == KNOWN, "the BMC got {address}");
    let name = soon(async || {
        ensure!(bmc.knows(PASSWORD), "nobody logs in at the BMC");
        Ok(endpoint(site).await?.0)
    })
    .await?;

    let boot = site.boot.frames()?;
    // Like any machine that boots.
    block_in_place(|| exchange(&boot, KNOWN_MAC, Some(STRANGER))).ok();
    // By unicast, naming relays that would be in the network of the BMCs.
    for giaddr in [FALSE_BMC, NETBOOT_AT_BMCS, KNOWN] {
        let forged = Message {
            giaddr,
            wanted: Some(FALSE_BMC),
            ..Message::discover(KNOWN_MAC, getrandom::u32()?)
        };
        for message in [forged, forged.selecting(FALSE_BMC, NETBOOT_AT_BMCS)] {
            message.unicast(&boot, STRANGER, NETBOOT)?;
            message.unicast(&boot, giaddr, NETBOOT)?;
        }
    }
    // From the link of the BMCs itself, for another address.
    Message::discover(KNOWN_MAC, 7).selecting(FALSE_BMC, NETBOOT_AT_BMCS).broadcast(&frames)?;
    sleep(TEMPTED).await;
    // A change that makes metal-operator look at the BMC again.
    touch(site, &name).await?;
    sleep(TEMPTED / 3).await;
    let (_, address) = endpoint(site).await?;
    ensure!(address == KNOWN.to_string(), "the Endpoint is at {address} now");
    ensure!(!stranger.knows(PASSWORD), "a stranger has the password of the BMC");
    ensure!(!neighbor.knows(PASSWORD), "another BMC has the password of the BMC");
    Ok(waited)
}

/// Name and address of the known BMC's Endpoint.
pub(crate) async fn endpoint(site: &Site) -> Result<(String, String)> {
    endpoint_of(site, KNOWN_MAC).await
}

/// Name and address of the Endpoint of a BMC.
pub(crate) async fn endpoint_of(site: &Site, mac: [u8; 6]) -> Result<(String, String)> {
    let endpoints = Api::<Endpoint>::all(site.stack.client.clone());
    let known = mac.map(|byte| format!("{byte:02x}")).join(":");
    let all = endpoints.list(&ListParams::default()).await?;
    let of_mac = |it: &Endpoint| it.spec.mac_address.as_deref() == Some(&*known);
    let found = all.items.into_iter().find(of_mac).context("no Endpoint")?;
    Ok((found.metadata.name.context("no name")?, found.spec.ip.unwrap_or_default()))
}

pub(crate) async fn touch(site: &Site, name: &str) -> Result<()> {
    let endpoints = Api::<Endpoint>::all(site.stack.client.clone());
    let patch = Patch::Merge(json!({ "metadata": { "labels": { "example.com/seen": "1" } } }));
    endpoints.patch(name, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Hundreds of BMCs that were never seen before.
pub(crate) async fn crowd(site: &Site) {
    let number = site.scale.of(160, 400);
    let outcome = crowded(site, number).await;
    site.tell(&format!("{number} BMCs that nobody knows, by DHCP"), Target::Netboot, outcome);
}

async fn crowded(site: &Site, number: u16) -> Result<Duration> {
    let began = Instant::now();
    let frames = site.bmcs.frames()?;
    let mut slowest = Duration::ZERO;
    for one in 0..number {
        let [high, low] = one.to_be_bytes();
        let asked = Instant::now();
        block_in_place(|| exchange(&frames, [2, 0xbb, 0xcc, 1, high, low], None))?;
        slowest = slowest.max(asked.elapsed());
    }
    let (more, ()) = tokio::join!(site.one_more_server(), sleep(TEMPTED));
    more.context("an honest machine")?;
    let endpoints = Api::<Endpoint>::all(site.stack.client.clone());
    let all = endpoints.list(&ListParams::default()).await?.items;
    let of_crowd = |it: &&Endpoint| {
        it.spec.mac_address.as_deref().is_some_and(|mac| mac.starts_with("02:bb:cc:01:"))
    };
    let made = all.iter().filter(of_crowd).count();
    let minutes = usize::try_from(began.elapsed().as_secs() / 60 + 1)?;
    let most = site.scale.new_bmcs_per_minute() * (minutes + 1);
    ensure!(made > 0, "no BMC of the crowd is known: nothing was attacked");
    ensure!(made <= most, "{made} Endpoints, of which at most {most} should be there");
    Ok(slowest)
}
