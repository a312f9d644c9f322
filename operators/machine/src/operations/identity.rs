//! Which system a Machine is: the UUID of the first reading is recorded. A BMC of a chassis numbers its
//! systems by their slots, so a number may be another host from one day to the next.

use super::{
    super::{Observation, accepted},
    Change, Decision,
};
use metal_api::{MachineRedfish, MachineStatus, MachineSystemStatus, SystemUuid, annotation};
use metal_core::redfish::SystemReading;

/// Why a system is not accepted as that of the Machine.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Unidentified {
    /// It is accepted, but the annotation of the person who has vouched for it has to be removed first.
    Settle(Decision),
    /// It is another one; the message names it.
    Differs(String),
}

/// Records which hardware it is, before anything is done to it: the system that is read first at
/// `spec.pxe.redfish`, or that a person vouches for. A system without a UUID is not compared.
///
/// # Errors
///
/// If another one is recorded for the same URL and ID.
pub(super) fn check(
    new: &mut MachineStatus,
    seen: &Observation<'_>,
    system: &SystemReading,
) -> Result<(), Unidentified> {
    let redfish = seen.machine.spec.pxe.as_ref().and_then(|pxe| pxe.redfish.as_ref());
    let (Some(redfish), Some(uuid)) = (redfish, system.uuid) else { return Ok(()) };
    let annotations = seen.machine.metadata.annotations.as_ref();
    let accepted = annotations.and_then(|all| all.get(annotation::ACCEPT_SYSTEM));
    let is_accepted = accepted.and_then(|it| it.parse().ok()).is_some_and(|it| uuid.is_same(it));
    match recorded(new, redfish) {
        Some(pin) if pin.is_same(uuid) && is_accepted => {
            let annotation = annotation::ACCEPT_SYSTEM;
            Err(Unidentified::Settle(Decision::Change(Change::Settle { annotation })))
        }
        Some(pin) if pin.is_same(uuid) => Ok(()),
        Some(pin) if !is_accepted => Err(Unidentified::Differs(format!(
            "the system {} has the UUID {uuid}, and this Machine had {pin}; check \
             spec.pxe.redfish.deviceID, and if it is the same machine, annotate this Machine with \
             {}={uuid}{}",
            system.uri,
            annotation::ACCEPT_SYSTEM,
            accepted::unread(seen.machine, annotation::ACCEPT_SYSTEM, |it| it
                .parse::<SystemUuid>()
                .is_ok())
        ))),
        Some(_) | None => {
            let (url, device_id) = (redfish.url.clone(), redfish.device_id.clone());
            let system = MachineSystemStatus { url, device_id, uuid: uuid.to_string() };
            new.redfish.get_or_insert_default().system = Some(system);
            Ok(())
        }
    }
}

/// The UUID that was read at this URL by this ID.
pub(super) fn recorded(status: &MachineStatus, redfish: &MachineRedfish) -> Option<SystemUuid> {
    let read = status.redfish.as_ref()?.system.as_ref()?;
    read.uuid_at(&redfish.url, redfish.device_id.as_deref())
}
