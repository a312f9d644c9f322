//! Which counters ask for something.

use metal_api::{Machine, MachineOperationStep, MachineStatus};

/// Counters that are above what was done, and above what was given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// `spec.operations.rebootCounter`.
    pub reboot: Option<i64>,
    /// `spec.operations.repaveCounter`.
    pub repave: Option<i64>,
}

impl Pending {
    /// Whether nothing is asked for.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// What is asked for. A counter that is absent is 0. Nothing is, as long as `status.operations` does not
/// say where counting began.
pub fn pending(machine: &Machine) -> Pending {
    let none = MachineStatus::default();
    of(machine, machine.status.as_ref().unwrap_or(&none))
}

/// The same, where the status is about to be this.
pub(super) fn of(machine: &Machine, status: &MachineStatus) -> Pending {
    let wanted = machine.spec.operations.clone().unwrap_or_default();
    let Some(done) = &status.operations else { return Pending::default() };
    let given_up = done.given_up.as_ref();
    let above = |wanted: Option<i64>, done: Option<i64>, given_up: Option<i64>| {
        wanted.filter(|wanted| *wanted > done.unwrap_or(0).max(given_up.unwrap_or(0)))
    };
    Pending {
        reboot: above(
            wanted.reboot_counter,
            done.reboot_counter,
            given_up.and_then(|it| it.reboot_counter),
        ),
        repave: above(
            wanted.repave_counter,
            done.repave_counter,
            given_up.and_then(|it| it.repave_counter),
        ),
    }
}

/// The repave counter for which the machine may be given an installer now; without one it gets none,
/// whatever it asks for.
///
/// Where there is a BMC, that is from when its host was seen off until the installer has said that it
/// is done, or the attempt is over. Where there is none, a person switches the machine on, and nobody
/// knows when: it may install as long as that is asked for.
pub fn installs(machine: &Machine) -> Option<i64> {
    let pxe = machine.spec.pxe.as_ref()?;
    if machine.metadata.deletion_timestamp.is_some() {
        return None;
    }
    if pxe.redfish.is_none() {
        return pending(machine).repave;
    }
    let current = machine.status.as_ref()?.operations.as_ref()?.current.as_ref()?;
    match current.step {
        MachineOperationStep::PoweringOn | MachineOperationStep::Installing => {
            current.repave_counter
        }
        MachineOperationStep::Draining
        | MachineOperationStep::PoweringOff
        | MachineOperationStep::Finishing
        | MachineOperationStep::Failed
        | MachineOperationStep::Other(_) => None,
    }
}
