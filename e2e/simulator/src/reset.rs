//! What can be done to a host: resets, each of which begins a life, and cables.

use super::{
    bmc_address, firmware,
    fleet::Fleet,
    journal::Event,
    life::Life,
    machine::{Cables, Host, Machine, State},
    orders::Orders,
    power::{Plan, Power, Reset, Warning, plan},
};
use jiff::Timestamp;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// The outcome of a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was started, and takes this long.
    Takes(Duration),
    /// Not possible in this power state.
    Refused,
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
        return order(orders, &mut state, plan, takes);
    }
    let life = Life::begin(fleet, machine.index, &mut state);
    begin(life, &mut state, plan, takes);
    Outcome::Takes(takes)
}

fn begin(life: Life, state: &mut State, plan: Plan, takes: Duration) {
    state.last_reset = Timestamp::now();
    match plan {
        Plan::SwitchOn => state.power = Power::PoweringOn,
        Plan::CutPower if takes.is_zero() => return state.power_off(),
        Plan::ShutDown | Plan::CutPower => state.power = Power::PoweringOff,
        Plan::Cycle => state.power_off(),
        Plan::Nothing | Plan::Reboot(_) | Plan::Refused => {}
    }
    let fleet = Arc::clone(&life.fleet);
    fleet.running.spawn(run(life, plan, takes));
}

/// Passes the order on to a virtual machine, and updates the power state.
fn order(orders: &Orders, state: &mut State, plan: Plan, takes: Duration) -> Outcome {
    if !orders.place(plan) {
        return Outcome::Refused;
    }
    state.last_reset = Timestamp::now();
    match plan {
        Plan::SwitchOn => state.power = Power::PoweringOn,
        Plan::CutPower => state.power = Power::PoweringOff,
        // The power state changes only when the guest has ended.
        Plan::ShutDown | Plan::Reboot(_) | Plan::Cycle | Plan::Nothing | Plan::Refused => {}
    }
    Outcome::Takes(takes)
}

async fn run(life: Life, plan: Plan, takes: Duration) {
    life.ends().run_until_cancelled(live(&life, plan, takes)).await;
}

async fn live(life: &Life, plan: Plan, takes: Duration) {
    match plan {
        Plan::Nothing | Plan::Refused => {}
        Plan::ShutDown | Plan::CutPower => {
            sleep(takes).await;
            life.with(State::power_off);
        }
        Plan::SwitchOn | Plan::Cycle => {
            life.with(|state| state.power = Power::PoweringOn);
            sleep(takes).await;
            start(life).await;
        }
        Plan::Reboot(warning) => {
            if warning == Warning::Given {
                sleep(life.fleet.config.timing.shutdown).await;
            }
            start(life).await;
        }
    }
}

async fn start(life: &Life) {
    life.with(|state| {
        state.power = Power::On;
        state.host = Host::Firmware;
        (state.host_address, state.fetcher) = (None, None);
        state.journal.note(Event::PoweredOn, "");
    });
    firmware::boot(life).await;
}

/// The cables are plugged in: the BMC starts.
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

/// The cables are unplugged: host and BMC are gone at once.
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
            order(orders, &mut state, Plan::CutPower, Duration::ZERO);
        }
        None if state.power != Power::Off => state.power_off(),
        None => {}
    }
    state.access.reset();
    state.cables = Cables::Unplugged;
    state.journal.note(Event::Unplugged, "");
}
