//! What is known of one BMC: where it is, how to log in, what it is held to.

use crate::{
    Target,
    transport::{
        limits::{
            budget::{Budget, Traffic},
            shared::Shared,
        },
        memory::Memory,
        pin::Pin,
        redact::Secret,
    },
};
use metal_base::Locked;
use metal_core::redfish::Credentials;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::time::Instant;

/// One BMC, and what is known of it.
pub(crate) struct Peer {
    pub(crate) target: Target,
    pub(crate) shared: Arc<Shared>,
    credentials: Mutex<Option<Credentials>>,
    pin: Mutex<Option<Pin>>,
    held_back: Mutex<Option<(Credentials, Instant)>>,
    host_name: Mutex<Option<String>>,
    traffic: Traffic,
    pub(crate) memory: Memory,
}

impl Peer {
    pub(crate) fn new(target: Target, shared: Arc<Shared>) -> Self {
        let (credentials, pin, held_back, host_name) = Default::default();
        let (traffic, memory) = Default::default();
        Self { target, shared, credentials, pin, held_back, host_name, traffic, memory }
    }

    /// A budget for one call.
    pub(crate) fn budget(&self) -> Budget<'_> {
        Budget::new(&self.shared.config.limits, &self.traffic, &self.shared.long_calls)
    }

    pub(crate) fn credentials(&self) -> MutexGuard<'_, Option<Credentials>> {
        self.credentials.locked()
    }

    /// The current password, so that it can be removed from texts. It is not kept in this form: there may be
    /// thousands of BMCs, and the form in which it is found takes some kilobytes.
    pub(crate) fn password(&self) -> Secret {
        Secret::new(self.credentials().as_ref().map_or("", |known| &known.password))
    }

    pub(crate) fn pin(&self) -> MutexGuard<'_, Option<Pin>> {
        self.pin.locked()
    }

    /// The host name that its certificate may be issued for.
    pub(crate) fn host_name(&self) -> MutexGuard<'_, Option<String>> {
        self.host_name.locked()
    }

    /// Credentials that another process had refused, and until when they are held back.
    pub(crate) fn held_back(&self) -> MutexGuard<'_, Option<(Credentials, Instant)>> {
        self.held_back.locked()
    }
}
