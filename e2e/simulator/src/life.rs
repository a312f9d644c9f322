//! What a host does after a reset: a life, which the next reset ends.

use super::{
    bmc_address,
    fetch::Fetcher,
    firmware,
    fleet::Fleet,
    journal::Event,
    machine::{Cables, Host, Machine, State},
    power::{Plan, Power, Reset, Warning, plan},
};
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What came of a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is being done, and takes this long.
    Takes(Duration),
    /// Not in this power state.
    Refused,
}

/// One life of one host.
pub(super) struct Life {
    pub(super) fleet: Arc<Fleet>,
    pub(super) index: u32,
    number: u64,
    ends: CancellationToken,
}

/// Resets a host.
pub(super) fn reset(fleet: &Arc<Fleet>, machine: &Machine, reset: Reset) -> Outcome {
    let mut state = machine.lock();
    let plan = plan(state.power, reset, fleet.config.profile.graceful);
    state.journal.note(Event::Reset, reset.to_string());
    state.counters.resets.count(reset);
    if matches!(plan, Plan::Nothing | Plan::Refused) {
        state.counters.needless_resets += 1;
    }
    let timing = &fleet.config.timing;
    let takes = match plan {
        Plan::Refused => return Outcome::Refused,
        Plan::Nothing | Plan::Reboot(_) => Duration::ZERO,
        Plan::SwitchOn | Plan::Cycle => timing.power_on,
        Plan::ShutDown => timing.shutdown,
        Plan::CutPower => timing.force_off,
    };
    if plan == Plan::Nothing {
        return Outcome::Takes(takes);
    }
    if let Some(orders) = &machine.orders {
        return orders.place(&mut state, plan, takes);
    }
    begin(fleet, machine.index, &mut state, plan, takes);
    Outcome::Takes(takes)
}

fn begin(fleet: &Arc<Fleet>, index: u32, state: &mut State, plan: Plan, takes: Duration) {
    state.life_ends.cancel();
    state.life_ends = fleet.stop.child_token();
    state.life += 1;
    state.last_reset = Timestamp::now();
    match plan {
        Plan::SwitchOn => state.power = Power::PoweringOn,
        Plan::CutPower if takes.is_zero() => return state.power_off(),
        Plan::ShutDown | Plan::CutPower => state.power = Power::PoweringOff,
        Plan::Cycle => state.power_off(),
        Plan::Nothing | Plan::Reboot(_) | Plan::Refused => {}
    }
    let life =
        Life { fleet: Arc::clone(fleet), index, number: state.life, ends: state.life_ends.clone() };
    fleet.running.spawn(life.run(plan, takes));
}

impl Life {
    async fn run(self, plan: Plan, takes: Duration) {
        let ends = self.ends.clone();
        ends.run_until_cancelled(self.live(plan, takes)).await;
    }

    async fn live(&self, plan: Plan, takes: Duration) {
        match plan {
            Plan::Nothing | Plan::Refused => {}
            Plan::ShutDown | Plan::CutPower => {
                sleep(takes).await;
                self.with(State::power_off);
            }
            Plan::SwitchOn | Plan::Cycle => {
                self.with(|state| state.power = Power::PoweringOn);
                sleep(takes).await;
                self.start().await;
            }
            Plan::Reboot(warning) => {
                if warning == Warning::Given {
                    sleep(self.fleet.config.timing.shutdown).await;
                }
                self.start().await;
            }
        }
    }

    async fn start(&self) {
        self.with(|state| {
            state.power = Power::On;
            state.host = Host::Firmware;
            (state.host_address, state.fetcher) = (None, None);
            state.journal.note(Event::PoweredOn, "");
        });
        firmware::boot(self).await;
    }

    /// This machine.
    pub(super) fn machine(&self) -> &Machine {
        &self.fleet.machines()[self.index as usize]
    }

    /// What it asks with over HTTP: from its own address, or else from the one of all machines.
    pub(super) fn fetcher(&self) -> Fetcher {
        let own = self.machine().lock().fetcher.clone();
        own.unwrap_or_else(|| self.fleet.fetcher.clone())
    }

    /// Changes the machine, unless another life has begun by now.
    pub(super) fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> Option<R> {
        let mut state = self.machine().lock();
        (state.life == self.number).then(|| change(&mut state))
    }

    /// Writes to the journal, unless another life has begun by now.
    pub(super) fn note(&self, event: Event, detail: impl Into<String>) {
        self.with(|state| state.journal.note(event, detail));
    }
}

/// Cables are put in: the BMC comes up.
pub(super) fn plug(fleet: &Arc<Fleet>, machine: &Machine) {
    {
        let mut state = machine.lock();
        if state.cables == Cables::Plugged {
            return;
        }
        state.cables = Cables::Plugged;
        state.bmc_last_reset = Timestamp::now();
        state.journal.note(Event::Plugged, "");
    }
    bmc_address::spawn(fleet, machine);
}

/// Cables are pulled out: host and BMC are gone at once.
pub(super) fn unplug(fleet: &Fleet, machine: &Machine) {
    bmc_address::forget(fleet, machine);
    let mut state = machine.lock();
    if state.cables == Cables::Unplugged {
        return;
    }
    state.life_ends.cancel();
    state.life += 1;
    match &machine.orders {
        Some(orders) => {
            orders.place(&mut state, Plan::CutPower, Duration::ZERO);
        }
        None if state.power != Power::Off => state.power_off(),
        None => {}
    }
    state.access.reset();
    state.cables = Cables::Unplugged;
    state.journal.note(Event::Unplugged, "");
}
