//! How fast the server for rented servers gives out scripts, and takes registrations.

use crate::discovery::{float, percentile, round};
use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use e2e::{
    cluster::{Cluster, eventually},
    stack::{
        rented::{Hosts, Machine},
        sha256,
    },
};
use futures::{StreamExt, TryStreamExt, stream};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use metal_api::{BootToken, BootTokenSpec, Host};
use metal_simulator::duration;
use reqwest::{Client, StatusCode};
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// How many objects are made, and how many scripts are asked for, at a time.
const AT_A_TIME: usize = 64;
/// How long a machine tries again what was not answered.
const PATIENCE: Duration = Duration::from_mins(5);
const MIB: f64 = 1_048_576.0;

/// Has a machine boot from each token, and some of them be installed and registered, all at once.
///
/// `script_per_s` and `p99_ms` are of the first script of each token; `seconds` is from the first boot of
/// the machines that are installed to the last Host.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// How many tokens.
    #[arg(long, default_value_t = 10_000)]
    tokens: u32,
    /// How many machines are installed.
    #[arg(long, default_value_t = 1000)]
    machines: u32,
    /// Time limit for the whole run.
    #[arg(long, default_value = "20m", value_parser = duration::parse)]
    limit: Duration,
}

/// The result.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    tokens: u32,
    machines: u32,
    script_per_s: f64,
    p99_ms: f64,
    registered: usize,
    seconds: f64,
    rss_mib: f64,
}

impl Outcome {
    /// # Errors
    ///
    /// If not every machine is a Host.
    pub(super) fn verdict(&self) -> Result<()> {
        let Self { registered, machines, .. } = self;
        ensure!(u32::try_from(*registered)? == *machines, "{registered} of {machines} are Hosts");
        Ok(())
    }
}

/// Runs it.
pub(super) async fn run(args: Args) -> Result<Outcome> {
    ensure!(args.machines <= args.tokens, "--machines must not be more than --tokens");
    timeout(args.limit, measured(&args)).await.context("--limit")?
}

async fn measured(args: &Args) -> Result<Outcome> {
    eprintln!("starting control plane and hosts");
    let binary = std::env::current_exe()?.with_file_name("hosts");
    let cluster = Cluster::start().await?;
    let hosts = Hosts::start(&cluster, &binary).await?;
    let (client, org) = (cluster.client().await?, cluster.namespace().await?);
    eprintln!("making {} BootTokens", args.tokens);
    let root = format!("http://{}/api/ipxe", hosts.address);
    let urls = issued(&Api::namespaced(client.clone(), &org), args.tokens, &root).await?;
    let http = Client::builder().no_proxy().build()?;
    // The last ones are known last.
    fetched(&http, &urls[urls.len().saturating_sub(AT_A_TIME)..]).await?;

    eprintln!("fetching their scripts");
    let begin = Instant::now();
    let times = fetched(&http, &urls).await?;
    let scripts = begin.elapsed().as_secs_f64();

    eprintln!("installing {} machines", args.machines);
    let count = usize::try_from(args.machines)?;
    let begin = Instant::now();
    let installed = urls.iter().take(count).map(async |url| becomes_host(url).await);
    let ended: Vec<_> = stream::iter(installed).buffer_unordered(count.max(1)).collect().await;
    let seconds = begin.elapsed().as_secs_f64();
    for error in ended.iter().filter_map(|it| it.as_ref().err()).take(5) {
        eprintln!("a machine is no Host: {error:#}");
    }
    let all = Api::<Host>::namespaced(client, &org).list(&ListParams::default()).await?;
    Ok(Outcome {
        tokens: args.tokens,
        machines: args.machines,
        script_per_s: round(f64::from(args.tokens) / scripts),
        p99_ms: round(percentile_ms(&times)),
        registered: all.items.len(),
        seconds: round(seconds),
        rss_mib: round(float(hosts.process().peak_memory()?) / MIB),
    })
}

/// Makes tokens, and returns their URLs.
async fn issued(tokens: &Api<BootToken>, count: u32, root: &str) -> Result<Vec<String>> {
    let org = tokens.namespace().context("tokens are in a namespace")?;
    let made = (0..count).map(async |number| {
        let (secret, token) = token(org, number)?;
        tokens.create(&PostParams::default(), &token).await?;
        Ok::<_, anyhow::Error>(format!("{root}/{secret}"))
    });
    stream::iter(made).buffer_unordered(AT_A_TIME).try_collect().await
}

/// Fetches the script of each token, and returns how long each took, the shortest first.
async fn fetched(http: &Client, urls: &[String]) -> Result<Vec<Duration>> {
    let fetched = urls.iter().map(async |url| {
        let since = Instant::now();
        eventually(PATIENCE, async || is_script(http, url).await).await?;
        Ok::<_, anyhow::Error>(since.elapsed())
    });
    let mut times: Vec<_> = stream::iter(fetched).buffer_unordered(AT_A_TIME).try_collect().await?;
    times.sort();
    Ok(times)
}

/// The 99th percentile, in milliseconds.
fn percentile_ms(sorted: &[Duration]) -> f64 {
    let thousandfold: Vec<_> = sorted.iter().map(|time| *time * 1000).collect();
    percentile(&thousandfold, 99)
}

/// A secret, and a token of it.
fn token(org: &str, number: u32) -> Result<(String, BootToken)> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    let secret = format!("metal_ipxe_{org}.{}", URL_SAFE_NO_PAD.encode(random));
    let name = format!("web-{number}");
    let spec = BootTokenSpec {
        token_sha256: sha256(secret.as_bytes()),
        host_name: name.clone(),
        ttl: "24h".to_owned(),
        image: format!("quay.io/example/base@sha256:{}", "a".repeat(64)),
        ..BootTokenSpec::default()
    };
    Ok((secret, BootToken::new(&name, spec)))
}

async fn is_script(http: &Client, url: &str) -> Result<()> {
    let script = http.get(url).timeout(PATIENCE).send().await?.error_for_status()?.text().await?;
    ensure!(script.contains("set base "), "{script}");
    Ok(())
}

/// From its firmware to the answer to its registration.
async fn becomes_host(url: &str) -> Result<()> {
    let machine = Machine::new()?;
    let installed = eventually(PATIENCE, async || machine.install(url).await).await?;
    eventually(PATIENCE, async || {
        let (status, text) = machine.register(&installed).await?;
        ensure!(status == StatusCode::OK, "{status}: {text}");
        Ok(())
    })
    .await
}
