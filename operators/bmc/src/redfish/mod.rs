//! [`Bmc`] implemented by Redfish.

pub(crate) mod action;
pub(crate) mod boot;
pub(crate) mod collection;
pub(crate) mod forms;
pub(crate) mod inventory;
pub(crate) mod led;
pub(crate) mod manager;
pub(crate) mod media;
pub(crate) mod settings;
pub(crate) mod storage;
pub(crate) mod survey;
pub(crate) mod system;

use crate::{
    Bmc, Error, Limits, Permit,
    transport::{call::Call, session::endpoint::Endpoint},
};
use metal_core::redfish::{Inventory, ManagerReading, MediaSlot, ResetType, Step, SystemReading};
use std::{fmt, sync::Arc, time::Duration};

/// Access to one BMC. Clones, and other instances of the same [`Fleet`](crate::Fleet) for the same
/// BMC, share its session.
#[derive(Clone)]
pub struct Redfish(pub(crate) Arc<Endpoint>, pub(crate) Permit);

impl Redfish {
    fn call(&self, time: impl FnOnce(&Limits) -> Duration) -> Call<'_> {
        Call::new(&self.0, &self.1, time(&self.0.peer.shared.config.limits))
    }
}

impl fmt::Debug for Redfish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redfish").field(&self.0.peer.target).finish()
    }
}

impl Bmc for Redfish {
    fn permitted(self, permit: Permit) -> Self {
        Self(self.0, permit)
    }

    async fn systems_with(&self, remarks: &mut Vec<String>) -> Result<Vec<SystemReading>, Error> {
        system::systems(&self.call(|limits| limits.read), remarks).await
    }

    async fn system(&self, uri: &str) -> Result<SystemReading, Error> {
        system::system(&self.call(|limits| limits.read), uri).await
    }

    async fn inventory(&self, uri: &str) -> Result<Inventory, Error> {
        inventory::inventory(self.call(|limits| limits.inventory), uri).await
    }

    async fn manager(&self, uuid: Option<&str>) -> Result<ManagerReading, Error> {
        manager::manager(&self.call(|limits| limits.read), uuid).await
    }

    async fn media(&self, uri: &str) -> Result<Vec<MediaSlot>, Error> {
        media::slots(&self.call(|limits| limits.inventory), uri).await
    }

    async fn perform(&self, uri: &str, step: &Step) -> Result<(), Error> {
        let call = self.call(|limits| limits.write);
        match step {
            Step::BootOnce { source, mode } => boot::boot_once(&call, uri, *source, *mode).await,
            Step::Reset(reset) => action::reset_system(&call, uri, *reset).await,
            Step::IndicatorLed(led) => led::set_led(&call, uri, *led).await,
            Step::BootOrder(order) => boot::boot_order(&call, uri, order).await,
            Step::InsertMedium { slot, image } => media::insert(&call, slot, image).await,
            Step::EjectMedium { slot } => media::eject(&call, slot).await,
        }
    }

    async fn reset_manager(&self, uri: &str, reset: ResetType) -> Result<(), Error> {
        action::reset_manager(&self.call(|limits| limits.write), uri, reset).await
    }
}
