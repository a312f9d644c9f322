//! The discovery image: posts what metalprobe would report, repeatedly.

use super::{
    fetch::{Agent, FetchError},
    ignition::AgentFlags,
    inventory::report,
    journal::Event,
    life::Life,
};
use metal_api::inventory::Registration;
use metal_base::jitter::{between, number};
use std::time::Duration;
use tokio::time::sleep;

/// Pause after the first failure; doubled up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_secs(1);
/// systemd restarts the agent after this long.
const LONGEST: Duration = Duration::from_secs(20);

/// Reports until the host loses power.
pub(super) async fn run(life: &Life, flags: &AgentFlags) {
    let url = format!("{}/register", flags.registry_url.trim_end_matches('/'));
    let (mut pause, mut last) = (SHORTEST, None);
    loop {
        // Boxed: a machine that waits for its next turn is small.
        let outcome = Box::pin(post(life, flags, &url)).await.map_err(|error| error.to_string());
        let wait = if outcome.is_ok() {
            pause = SHORTEST;
            life.with(|state| state.counters.reports += 1);
            life.fleet.config.timing.agent_interval
        } else {
            let wait = pause;
            pause = (pause * 2).min(LONGEST);
            wait
        };
        if last.as_ref() != Some(&outcome) {
            match &outcome {
                Ok(()) => life.note(Event::Registered, &url),
                Err(error) => life.note(Event::RegistrationFailed, error),
            }
            last = Some(outcome);
        }
        sleep(jittered(wait)).await;
    }
}

async fn post(life: &Life, flags: &AgentFlags, url: &str) -> Result<(), FetchError> {
    let registration = Registration {
        system_uuid: flags.server_uuid.clone(),
        data: report(&life.machine().hardware, life.machine().lock().host_address),
    };
    life.fetcher().post(Agent::Probe, url, &registration).await
}

/// Up to a tenth longer, so that a fleet does not post at the same time.
fn jittered(wait: Duration) -> Duration {
    between(wait, wait + wait / 10, number())
}
