//! How long it takes from Endpoints to Available servers.

use crate::{kills, watch, writes::Writes};
use anyhow::{Context, Result, ensure};
use e2e::stack::{Settings, Stack};
use futures::{StreamExt, TryStreamExt, stream};
use metal_simulator::{Config, Timing, duration};
use serde::Serialize;
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How many Endpoints are created at a time.
const PLUGGING: usize = 32;
/// Writes count as settled once there were none for this long.
const QUIET: Duration = Duration::from_secs(3);
/// The resets of a discovery: one to switch on for the report, one to switch off.
const RESETS: u32 = 2;
/// How long to wait for the writes to settle.
const SETTLED: Duration = Duration::from_mins(1);

/// Plugs in all machines at once, and waits until their servers are Available.
///
/// API writes are those that kube-apiserver counts in `apiserver_request_total`, whoever sent them
/// and whatever the result: this includes events, garbage collection and conflicts, until writes
/// have settled. Leases and the Endpoints that the harness creates are subtracted. Memory is the
/// resident memory of metal-operator's last process: its peak, and what is left once writes have
/// settled.
///
/// With --kill-every, both operators are killed (kill -9) and restarted at this interval until all
/// servers are Available; the run fails if one never is, or was reset more often than once on and
/// once off.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// How many machines.
    #[arg(long, default_value_t = 200)]
    servers: u32,
    /// Added to every Redfish answer.
    #[arg(long, default_value = "50ms", value_parser = duration::parse)]
    latency: Duration,
    /// Time from power-on to the first packet of a network boot.
    #[arg(long, default_value = "2s", value_parser = duration::parse)]
    boot_time: Duration,
    /// Time limit for the whole run.
    #[arg(long, default_value = "10m", value_parser = duration::parse)]
    limit: Duration,
    /// Kill both operators at this interval, like 3s.
    #[arg(long, value_parser = duration::parse)]
    kill_every: Option<Duration>,
}

/// Moments, by BMC name.
type Moments = HashMap<String, Instant>;

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
    rss_at_rest_mib: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    kills: Option<u32>,
    /// Machines that were not reset [`RESETS`] times: the number of resets, and how many machines
    /// had it.
    #[serde(skip)]
    odd: Vec<(u32, u32)>,
}

impl Outcome {
    /// Checks the result of a discovery under kills.
    ///
    /// # Errors
    ///
    /// If it did not go well; with what is wrong.
    pub(super) fn verdict(&self) -> Result<()> {
        let Some(kills) = self.kills else { return Ok(()) };
        let (servers, available) = (self.servers, self.available);
        ensure!(
            available as u64 == u64::from(servers),
            "{available} of {servers} servers are Available after {kills} kills"
        );
        ensure!(
            self.odd.is_empty(),
            "after {kills} kills, machines and their resets, which are not {RESETS}: {:?}",
            self.odd
        );
        Ok(())
    }
}

/// Runs it.
pub(super) async fn run(args: Args) -> Result<Outcome> {
    ensure!(args.servers > 0, "--servers must be more than 0");
    ensure!(
        args.kill_every.is_none_or(|pause| !pause.is_zero()),
        "--kill-every must be more than 0"
    );
    eprintln!("starting control plane, registry, operators and {} machines", args.servers);
    let binaries = std::env::current_exe()?.parent().context("a binary is in a folder")?.to_owned();
    let stack = Stack::start(Settings {
        fleets: vec![fleet(&args)],
        binaries: Some(binaries),
        ..Settings::default()
    })
    .await?;
    let before = Writes::counted(&stack.client).await?;
    let begin = Instant::now();
    let (plugged, seen, kills) = discovered(&stack, &args).await?;
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
        rss_at_rest_mib: round(float(stack.metal.memory()?) / 1_048_576.0),
        kills: args.kill_every.map(|_| kills),
        odd: odd(&stack, args.servers)?,
    })
}

/// When each machine was plugged in and when its server was Available, by BMC name; and how many
/// times the operators were killed before all of them were.
async fn discovered(stack: &Stack, args: &Args) -> Result<(Moments, Moments, u32)> {
    let count = usize::try_from(args.servers)?;
    let done = CancellationToken::new();
    let discovery = async {
        let ended = tokio::try_join!(
            plug_in(stack, args.servers),
            watch::available(stack.client.clone(), count, args.limit),
        );
        done.cancel();
        ended
    };
    let ((plugged, seen), kills) =
        tokio::try_join!(discovery, kills::every(args.kill_every, stack, &done))?;
    Ok((plugged, seen, kills))
}

fn odd(stack: &Stack, servers: u32) -> Result<Vec<(u32, u32)>> {
    let mut odd = Vec::new();
    for index in 0..servers {
        let resets = stack.machine(0, index)?.report()?.counters.resets.total();
        if resets != RESETS {
            odd.push((index, resets));
        }
    }
    Ok(odd)
}

fn fleet(args: &Args) -> Config {
    Config {
        machines: args.servers,
        latency: args.latency,
        timing: Timing { post: args.boot_time, ..Timing::default() },
        ..Config::default()
    }
}

/// Creates the Endpoints; returns when each was created, by name.
async fn plug_in(stack: &Stack, servers: u32) -> Result<Moments> {
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

/// What was written since `before`, once writes have settled.
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

/// The given percentile, in seconds.
/// The duration that this share of them does not exceed, in seconds.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0.0, |time| round(time.as_secs_f64()))
}

/// Rounded for people.
pub(super) fn round(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "counts and bytes are far below 2^52")]
pub(super) fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_discovery_under_kills_fails_with_a_server_less_or_a_reset_more() {
        let outcome = |available, odd: &[(u32, u32)], kills| Outcome {
            servers: 3,
            available,
            seconds: 0.0,
            per_minute: 0.0,
            p50_s: 0.0,
            p99_s: 0.0,
            api_writes_per_server: 0.0,
            redfish_per_server: 0.0,
            resets_per_server: 0.0,
            rss_mib: 0.0,
            rss_at_rest_mib: 0.0,
            kills,
            odd: odd.to_vec(),
        };
        let said = |outcome: Outcome| outcome.verdict().map_err(|error| error.to_string());
        assert_eq!(said(outcome(3, &[], Some(9))), Ok(()));
        let less = "2 of 3 servers are Available after 9 kills";
        assert_eq!(said(outcome(2, &[], Some(9))), Err(less.to_owned()));
        let more = "after 9 kills, machines and their resets, which are not 2: [(1, 4)]";
        assert_eq!(said(outcome(3, &[(1, 4)], Some(9))), Err(more.to_owned()));
        // A run that only measures does not fail: the numbers show it.
        assert_eq!(said(outcome(2, &[(1, 4)], None)), Ok(()));
    }

    #[test]
    fn a_percentile_is_the_smallest_value_that_so_many_do_not_exceed() {
        let times: Vec<_> = (1..=200).map(Duration::from_secs).collect();
        let found = [percentile(&times, 50), percentile(&times, 99), percentile(&[], 99)];
        assert_eq!(found.map(|it| it.to_string()), ["100", "198", "0"]);
    }
}
