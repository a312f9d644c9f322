//! What firmware does after power-on: it waits for POST, then boots what the settings say.

use super::{
    boot_settings::Source,
    journal::Event,
    life::Life,
    machine::{Host, State},
    netboot::{self, BootError},
    os::{self, System},
};
use tokio::time::sleep;

/// Boots the host; returns when there is nothing left to do.
pub(super) async fn boot(life: &Life) {
    sleep(life.fleet.config.timing.post).await;
    let consumed = life.with(|state| {
        let (enabled, target) = (state.boot.enabled, state.boot.target);
        state.journal.note(Event::BootStarted, format!("override {enabled} {target}"));
        state.boot.consume(&life.fleet.config.profile.boot_targets)
    });
    let mut reason = "nothing to boot".to_owned();
    for source in consumed.unwrap_or_default() {
        let system = match source {
            Source::Disk => {
                life.with(disk_booted);
                return;
            }
            Source::Cd | Source::Pxe | Source::Http(_) => {
                Box::pin(from_network(life, &source)).await
            }
        };
        match system {
            Ok(system) => return os::run(life, system).await,
            Err(error) => reason = error,
        }
    }
    life.with(|state| {
        state.counters.failed_boots += 1;
        state.journal.note(Event::BootFailed, &reason);
        state.host = Host::Failed { reason };
    });
}

fn disk_booted(state: &mut State) {
    state.counters.disk_boots += 1;
    state.host = Host::Disk;
    state.journal.note(Event::Disk, "");
}

/// Tries a few times; returns the last error.
async fn from_network(life: &Life, source: &Source) -> Result<System, String> {
    let timing = &life.fleet.config.timing;
    let mut reason = String::new();
    for number in 1..=timing.boot_tries {
        if number > 1 {
            sleep(timing.boot_retry).await;
        }
        match once(life, source).await {
            Ok(system) => return Ok(system),
            Err(error) => reason = error.to_string(),
        }
        life.note(Event::TryFailed, &reason);
    }
    Err(reason)
}

async fn once(life: &Life, source: &Source) -> Result<System, BootError> {
    let loaded = netboot::load(life, source).await?;
    os::start(life, loaded).await
}
