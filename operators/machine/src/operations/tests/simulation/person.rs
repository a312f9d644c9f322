//! What a person does.

use super::{super::super::*, world::World};

impl World {
    /// Raises counters.
    pub(super) fn asks(&mut self, reboot: i64, repave: i64) {
        let wanted = self.machine.spec.operations.get_or_insert_default();
        wanted.reboot_counter = Some(wanted.reboot_counter.unwrap_or(0) + reboot);
        wanted.repave_counter = Some(wanted.repave_counter.unwrap_or(0) + repave);
        self.version += 1;
    }

    /// A Node that joins before its BMC is known looks older than the Machine to a clock that is ahead: a person
    /// vouches for the BMC.
    pub(super) fn vouch(&mut self) {
        let status = self.machine.status.clone().unwrap_or_default();
        let asks = status.conditions.iter().any(|it| it.reason == "PinMissing");
        if asks && status.redfish.is_none_or(|it| it.cert_fingerprint.is_none()) {
            let accept = [(annotation::ACCEPT_CERTIFICATE.to_owned(), shown())];
            self.machine.metadata.annotations = Some(accept.into());
            self.version += 1;
        }
    }
}

/// The certificate of the BMC.
pub(super) fn shown() -> String {
    ["ab"; 32].join(":")
}
