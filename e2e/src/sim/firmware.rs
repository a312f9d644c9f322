//! What firmware does after power-on: it waits for POST, then boots what the settings say.

use super::{
    boot_settings::Source,
    journal::Event,
    life::Life,
    machine::{Host, State},
};
use tokio::time::sleep;

/// Boots the host; returns when nothing is left to do.
pub(super) async fn boot(life: &Life) {
    sleep(life.fleet.config.timing.post).await;
    let consumed = life.with(|state| {
        state.journal.note(Event::BootStarted, state.boot.target.to_string());
        state.boot.consume()
    });
    let mut reason = "nothing to boot".to_owned();
    for source in consumed.unwrap_or_default() {
        match source {
            Source::Disk => {
                life.with(disk_booted);
                return;
            }
            Source::NoMedium => "the drive has no medium".clone_into(&mut reason),
            Source::Pxe | Source::Http(_) => "there is no boot service".clone_into(&mut reason),
        }
        life.note(Event::TryFailed, &reason);
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
