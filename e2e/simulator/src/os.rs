//! What the loaded operating system does first: it reads its Ignition configuration.

use super::{
    agent,
    fetch::{Agent, FetchError},
    ignition::{self, IgnitionEffect},
    journal::Event,
    life::Life,
    machine::Host,
    netboot::{self, BootError, Loaded},
};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use url::Url;

/// Kernel argument with the URL of the Ignition configuration.
const IGNITION_ARG: &str = "ignition.config.url=";
/// Kernel arguments with the URL of a root file system.
const ROOT_ARGS: [&str; 2] = ["gl.url=", "coreos.live.rootfs_url="];

/// Ignition's pauses between attempts grow from this
const SHORTEST: Duration = Duration::from_millis(200);
/// to this.
const LONGEST: Duration = Duration::from_secs(5);
/// After this long, the system fails to start.
const PATIENCE: Duration = Duration::from_mins(5);

/// A running system.
pub(super) struct System {
    images: Vec<String>,
    meaning: Option<IgnitionEffect>,
}

/// Starts what was loaded.
pub(super) async fn start(life: &Life, loaded: Loaded) -> Result<System, BootError> {
    match loaded {
        Loaded::Kernel { mut images, args } => {
            let named = |wanted: &str| {
                args.iter().find_map(|arg| arg.strip_prefix(wanted)).map(str::to_owned)
            };
            for url in ROOT_ARGS.iter().filter_map(|arg| named(arg)) {
                let size = life.fetcher().drain(Agent::Ignition, &url).await?;
                life.note(Event::Initrd, format!("{url} {size} bytes"));
                images.push(url);
            }
            let meaning = match named(IGNITION_ARG) {
                Some(url) => Some(read(life, &url).await?),
                None => None,
            };
            Ok(System { images, meaning })
        }
        Loaded::Uki { url } => {
            let ignition = ignition_of_uki(life, &url)?;
            let meaning = match read(life, ignition.as_str()).await {
                Err(BootError::Fetch(FetchError::Status { status, .. }))
                    if status == StatusCode::NOT_FOUND =>
                {
                    life.note(Event::NoIgnition, ignition.as_str());
                    None
                }
                other => Some(other?),
            };
            Ok(System { images: vec![url], meaning })
        }
    }
}

/// The command line of a UKI has the URL of the boot service; without one, that is where the UKI
/// came from. The boot's token is in the URL of the UKI.
fn ignition_of_uki(life: &Life, uki: &str) -> Result<Url, BootError> {
    let uuid = life.machine().hardware.uuid();
    let path = match token(uki) {
        Some(token) => format!("ignition/t/{token}/{uuid}"),
        None => format!("ignition/{uuid}"),
    };
    match netboot::service(life, &path) {
        Err(BootError::NoService) => {
            let joined = Url::parse(uki).and_then(|uki| uki.join(&format!("/{path}")));
            joined.map_err(|_| FetchError::Url(uki.to_owned()).into())
        }
        other => other,
    }
}

/// The token in the URL of a UKI.
fn token(uki: &str) -> Option<&str> {
    uki.split_once("/httpboot/t/")?.1.split('/').next()
}

async fn read(life: &Life, url: &str) -> Result<IgnitionEffect, BootError> {
    let text = fetch(life, url).await?;
    let meaning = ignition::read(&text)?;
    life.note(Event::Ignition, format!("{url} sha256:{}", meaning.digest));
    Ok(meaning)
}

/// Fetches as Ignition does: temporary failures are retried.
async fn fetch(life: &Life, url: &str) -> Result<Bytes, FetchError> {
    let (begun, mut pause) = (Instant::now(), SHORTEST);
    loop {
        match life.fetcher().get(Agent::Ignition, url, HeaderMap::new()).await {
            Err(error) if error.is_temporary() && begun.elapsed() < PATIENCE => {
                if pause == SHORTEST {
                    life.note(Event::FetchFailed, error.to_string());
                }
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
            }
            other => return other,
        }
    }
}

/// Runs the system until the host loses power.
pub(super) async fn run(life: &Life, system: System) {
    let System { images, meaning } = system;
    let (agent, ignition) = meaning.map(|meaning| (meaning.agent, meaning.digest)).unzip();
    let agent = agent.flatten();
    let (event, host) = match &agent {
        Some(flags) => {
            let (registry_url, server_uuid) =
                (flags.registry_url.clone(), flags.server_uuid.clone());
            (Event::Discovery, Host::Discovery { registry_url, server_uuid })
        }
        None => (Event::Tenant, Host::Tenant { images: images.clone(), ignition }),
    };
    life.with(|state| {
        state.counters.network_boots += 1;
        state.host = host;
        state.journal.note(event, images.join(" "));
    });
    if let Some(flags) = agent {
        agent::run(life, &flags).await;
    }
}
