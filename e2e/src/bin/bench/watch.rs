//! When each server became Available.

use anyhow::{Context, Result};
use futures::{StreamExt, pin_mut};
use kube::{
    Api, Client,
    runtime::{WatchStreamExt, watcher},
};
use metal_api::{Server, ServerState};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::time::{interval, timeout};

/// How often to print the progress.
const TELL: Duration = Duration::from_secs(2);

/// When each server was first seen Available, by BMC name, once there are `count` of them; fewer if
/// that takes longer than `limit`.
pub(super) async fn available(
    client: Client,
    count: usize,
    limit: Duration,
) -> Result<HashMap<String, Instant>> {
    let mut seen = HashMap::new();
    let ended = timeout(limit, follow(client, count, &mut seen)).await;
    if let Ok(ended) = ended {
        ended?;
    } else {
        eprintln!("not all are Available within {limit:?}");
    }
    Ok(seen)
}

async fn follow(client: Client, count: usize, seen: &mut HashMap<String, Instant>) -> Result<()> {
    let servers = watcher(Api::<Server>::all(client), watcher::Config::default());
    let servers = servers.default_backoff().applied_objects();
    pin_mut!(servers);
    let (begin, mut tell) = (Instant::now(), interval(TELL));
    let mut states = HashMap::new();
    while seen.len() < count {
        let server = tokio::select! {
            server = servers.next() => server.context("the watch ended")?,
            _ = tell.tick() => {
                progress(begin, &states, count);
                continue;
            }
        };
        // The watch restarts after an error.
        let Ok(server) = server else { continue };
        let Some(bmc) = server.spec.bmc_ref.map(|bmc| bmc.name) else { continue };
        let state = server.status.and_then(|status| status.state);
        if state == Some(ServerState::Available) {
            seen.entry(bmc.clone()).or_insert_with(Instant::now);
        }
        states.insert(bmc, state);
    }
    progress(begin, &states, count);
    Ok(())
}

fn progress(begin: Instant, states: &HashMap<String, Option<ServerState>>, count: usize) {
    let of = |wanted: &ServerState| {
        states.values().filter(|state| state.as_ref() == Some(wanted)).count()
    };
    eprintln!(
        "{:5.1} s: {} of {count} servers made, {} in Discovery, {} Available",
        begin.elapsed().as_secs_f64(),
        states.len(),
        of(&ServerState::Discovery),
        of(&ServerState::Available),
    );
}
