//! An API server that hangs while machines boot.

use crate::{
    boot::{get, http, tenants_ignition},
    ports::Target,
    site::Site,
};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// Longer than an operator keeps its lease without the API server.
const AWAY: Duration = Duration::from_secs(20);
const EVERY: Duration = Duration::from_millis(250);
const READY: Duration = Duration::from_mins(2);

pub(crate) async fn api_server(site: &Site) {
    let outcome = silent(site).await;
    let what = format!("API server silent for {} s while a machine fetches", AWAY.as_secs());
    site.tell(&what, Target::Boot, outcome);
}

async fn silent(site: &Site) -> Result<Duration> {
    let http = http()?;
    let url = tenants_ignition(site, &http).await?;
    // It can only serve what it has read before.
    http.get(&url).send().await?.error_for_status().context("before")?;
    let mut slowest = Duration::ZERO;
    let outage = site.stack.cluster.outage().await?;
    let began = Instant::now();
    while began.elapsed() < AWAY {
        let asked = Instant::now();
        let (status, _) = get(&http, "ipxe/", None).await?;
        ensure!(status.is_success(), "/ipxe/: {status}");
        // A boot may fetch its Ignition configuration only a few times.
        let answer = http.head(&url).send().await?;
        ensure!(answer.status().is_success(), "ignition: {}", answer.status());
        slowest = slowest.max(asked.elapsed());
        sleep(EVERY).await;
    }
    let answer = http.get(&url).send().await?.error_for_status().context("at the end")?;
    ensure!(answer.text().await?.contains("3.4.0"), "that is not its ignition");
    outage.end().await?;
    tokio::try_join!(site.stack.metal.ready(READY), site.stack.boot.ready(READY))?;
    site.one_more_server().await.context("an honest machine, after it")?;
    Ok(slowest)
}
