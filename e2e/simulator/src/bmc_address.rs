//! The address of a plugged-in BMC: acquired by DHCP, and renewed.
//!
//! ```text
//!   asking ──ACK──► bound ──T1──► renewing ──T2──► rebinding ──expiry or NAK──► asking
//!                     ▲              └──ACK──┬─────────┘ACK
//!                     └──────────────────────┘
//! ```

use super::{
    dhcp::{Answer, Client, DhcpError, Identity, Link, Renewal},
    fleet::Fleet,
    journal::Event,
    machine::Machine,
};
use metal_base::jitter::{between, number};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until};

/// Never renew sooner than this.
const SHORTEST: Duration = Duration::from_millis(500);

/// Starts DHCP, if this fleet's BMCs use it.
pub(super) fn spawn(fleet: &Arc<Fleet>, machine: &Machine) {
    let Some(link) = fleet.bmc_link.clone() else { return };
    if fleet.bmc_of(machine.index) != machine.index {
        return;
    }
    let ends = fleet.stop.child_token();
    machine.lock().address_ends = ends.clone();
    let (fleet, index) = (Arc::clone(fleet), machine.index);
    fleet.running.clone().spawn(async move {
        ends.run_until_cancelled(keep(&fleet, &link, index)).await;
    });
}

/// Stops DHCP, and gives up the address.
pub(super) fn forget(fleet: &Fleet, machine: &Machine) {
    let mut state = machine.lock();
    state.address_ends.cancel();
    if fleet.bmc_link.is_some()
        && let Some(address) = state.bmc_address.take()
    {
        fleet.release(address, machine.index);
    }
}

async fn keep(fleet: &Fleet, link: &Link, index: u32) {
    let Some(machine) = fleet.machine(index) else { return };
    let identity = Identity {
        client: Client::Bmc,
        mac: machine.hardware.bmc_mac(),
        uuid: machine.hardware.bmc_uuid(),
        hostname: format!("bmc-{}", machine.hardware.serial().to_lowercase()),
    };
    let mut told = String::new();
    loop {
        let lease = {
            let Ok(_turn) = fleet.dhcp_turns.acquire().await else { return };
            link.lease(&identity).await
        };
        match lease {
            Ok(lease) => {
                fleet.lease(lease.address, index);
                bound(machine, &lease);
                let error = hold(link, &identity, machine, lease).await;
                lost(fleet, machine, &error);
                told.clear();
            }
            Err(error) => {
                let error = error.to_string();
                if told != error {
                    machine.lock().journal.note(Event::BmcAddressLost, &error);
                    told = error;
                }
                sleep(link.patience()).await;
            }
        }
    }
}

/// Keeps an address until it is lost; returns why.
async fn hold(link: &Link, identity: &Identity, machine: &Machine, first: Answer) -> DhcpError {
    let (mut lease, mut since) = (first, Instant::now());
    loop {
        sleep_until(since + jittered(lease.renew).max(SHORTEST)).await;
        let asked = Instant::now();
        let whom = if asked < since + lease.rebind { Renewal::Same } else { Renewal::Any };
        match link.renew(identity, &lease, whom).await {
            Ok(answer) if answer.address == lease.address => (lease, since) = (answer, asked),
            Ok(_) => return DhcpError::Refused("another address".to_owned()),
            Err(error @ DhcpError::Refused(_)) => return error,
            Err(error) if asked >= since + lease.lease => return error,
            Err(error) => {
                tracing::debug!(machine = machine.index, %error, "address not renewed");
                lease.renew = asked - since + (lease.lease / 8).max(SHORTEST);
            }
        }
    }
}

/// Up to a tenth earlier, so that a fleet does not renew at the same time.
fn jittered(wait: Duration) -> Duration {
    between(wait / 10 * 9, wait, number())
}

fn bound(machine: &Machine, lease: &Answer) {
    let mut state = machine.lock();
    state.bmc_address = Some(lease.address);
    let detail = format!("{} from {}, {} s", lease.address, lease.server, lease.lease.as_secs());
    state.journal.note(Event::BmcAddress, detail);
}

fn lost(fleet: &Fleet, machine: &Machine, error: &DhcpError) {
    let mut state = machine.lock();
    if let Some(address) = state.bmc_address.take() {
        fleet.release(address, machine.index);
    }
    state.journal.note(Event::BmcAddressLost, error.to_string());
}
