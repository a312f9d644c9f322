//! Which operations are requested.

use metal_api::{Machine, MachineOperationStep, MachineStatus};

/// Counters that are higher than those of completed and failed operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// `spec.operations.rebootCounter`.
    pub reboot: Option<i64>,
    /// `spec.operations.repaveCounter`.
    pub repave: Option<i64>,
}

impl Pending {
    /// Whether nothing is requested.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }
}

/// The requested operations. A missing counter is 0. Nothing is requested until `status.operations`
/// has the initial counters.
pub fn pending(machine: &Machine) -> Pending {
    let none = MachineStatus::default();
    of(machine, machine.status.as_ref().unwrap_or(&none))
}

/// The same, for a status that is not written yet.
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

/// The repave counter for which the machine may boot the installer now; `None` if it must not.
///
/// With a BMC, it may from the time that the host was seen off until the installer reports that it
/// is done, or the attempt ends. Without a BMC, a person power-cycles the machine at an unknown
/// time, so it may install as long as an installation is requested.
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
