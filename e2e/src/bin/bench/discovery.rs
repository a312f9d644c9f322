//! From Endpoints to Available servers.

use crate::{watch, writes::Writes};
use anyhow::{Context, Result, ensure};
use e2e::{
    sim::{Config, Timing, duration},
    stack::{Settings, Stack},
};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How many Endpoints are made at a time.
const PLUGGING: usize = 32;
/// Nothing is written any more if nothing was for this long.
const QUIET: Duration = Duration::from_secs(3);
/// How long to wait for that.
const SETTLED: Duration = Duration::from_mins(1);

/// Plugs all machines in at once, and waits until their servers are Available.
///
/// API writes are those that kube-apiserver counts in `apiserver_request_total`, whoever sent them
/// and whatever came of them: events, garbage collection and conflicts too, until nothing is
/// written any more. Leases and the Endpoints, which the harness makes, are taken off. Memory is
/// the most that the metal-operator ever had resident.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// How many machines.
    #[arg(long, default_value_t = 200)]
    servers: u32,
    /// Added to every Redfish answer.
    #[arg(long, default_value = "50ms", value_parser = duration::parse)]
    latency: Duration,
    /// From power-on to the first packet of a network boot.
    #[arg(long, default_value = "2s", value_parser = duration::parse)]
    boot_time: Duration,
    /// How long all of it may take.
    #[arg(long, default_value = "10m", value_parser = duration::parse)]
    limit: Duration,
}

/// The result.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    servers: u32,
    available: usize,
    seconds: f64,
    per_minute: f64,
    p50_s: f64,
    p99_s: f64,
    api_writes_per_server: f64,
    redfish_per_server: f64,
    resets_per_server: f64,
    rss_mib: f64,
}

/// Runs it.
pub(super) async fn run(args: Args) -> Result<Outcome> {
    ensure!(args.servers > 0, "--servers must be more than 0");
    eprintln!("starting control plane, registry, operators and {} machines", args.servers);
    let binaries = std::env::current_exe()?.parent().context("a binary is in a folder")?.to_owned();
    let stack = Stack::start(Settings {
        fleets: vec![fleet(&args)],
        binaries: Some(binaries),
        ..Settings::default()
    })
    .await?;
    let count = usize::try_from(args.servers)?;
    let before = Writes::counted(&stack.client).await?;
    let begin = Instant::now();
    let (plugged, seen) = tokio::try_join!(
        plug_in(&stack, args.servers),
        watch::available(stack.client.clone(), count, args.limit),
    )?;
    let last = seen.values().max().copied().unwrap_or_else(Instant::now);
    let writes = settled(&stack, &before).await?;
    let writes = writes.without("endpoints", "POST", u64::from(args.servers))?;
    tell(&writes, args.servers);
    let mut times: Vec<_> = seen.iter().map(|(bmc, at)| *at - plugged[bmc]).collect();
    times.sort();
    let counters = stack.fleets[0].summary().counters;
    let per_server = |number: f64| round(number / f64::from(args.servers));
    let seconds = (last - begin).as_secs_f64();
    Ok(Outcome {
        servers: args.servers,
        available: seen.len(),
        seconds: round(seconds),
        per_minute: round(float(seen.len() as u64) * 60.0 / seconds),
        p50_s: percentile(&times, 50),
        p99_s: percentile(&times, 99),
        api_writes_per_server: per_server(float(writes.total())),
        redfish_per_server: per_server(f64::from(counters.requests)),
        resets_per_server: per_server(f64::from(counters.resets.total())),
        rss_mib: round(float(stack.metal.peak_memory()?) / 1_048_576.0),
    })
}

fn fleet(args: &Args) -> Config {
    Config {
        machines: args.servers,
        latency: args.latency,
        timing: Timing { post: args.boot_time, ..Timing::default() },
        ..Config::default()
    }
}

/// Makes the Endpoints; returns when each was made, by name.
async fn plug_in(stack: &Stack, servers: u32) -> Result<HashMap<String, Instant>> {
    stream::iter(0..servers)
        .map(async |index| {
            let machine = stack.machine(0, index)?;
            let at = Instant::now();
            machine.plug_in().await?;
            Ok((machine.name(), at))
        })
        .buffer_unordered(PLUGGING)
        .try_collect()
        .await
}

/// What was written since `before`, once nothing is written any more.
async fn settled(stack: &Stack, before: &Writes) -> Result<Writes> {
    let deadline = Instant::now() + SETTLED;
    let mut last = Writes::counted(&stack.client).await?;
    while Instant::now() < deadline {
        sleep(QUIET).await;
        let now = Writes::counted(&stack.client).await?;
        if now == last {
            break;
        }
        last = now;
    }
    Ok(last.since(before))
}

fn tell(writes: &Writes, servers: u32) {
    eprintln!("API writes per server:");
    for (resource, verb, count) in writes.by_kind() {
        let each = float(count) / f64::from(servers);
        eprintln!("  {each:6.3} {verb:9} {resource}");
    }
}

/// Seconds below which so many of a hundred are.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0.0, |time| round(time.as_secs_f64()))
}

fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes are far below 2^52")]
fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_smallest_value_that_so_many_do_not_exceed() {
        let times: Vec<_> = (1..=200).map(Duration::from_secs).collect();
        let found = [percentile(&times, 50), percentile(&times, 99), percentile(&[], 99)];
        assert_eq!(found.map(|it| it.to_string()), ["100", "198", "0"]);
    }
}
