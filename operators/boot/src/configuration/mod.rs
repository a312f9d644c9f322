//! Controller of `ServerBootConfiguration`: `observe` reads, [`metal_core::boot::configuration`]
//! decides, `act` writes. It is the only writer of the state.

mod act;
mod observe;
#[cfg(test)]
mod tests;

use crate::{Error, config_ref::Named, context::Context, view::ConfigurationKey};
use jiff::Timestamp;
use metal_api::{ServerBootConfiguration, ServerBootConfigurationStatus};
use metal_base::Never;
use metal_core::{
    boot::configuration::{Change, Decision, decide, outdated},
    unsupported::{is_ignored, on_boot},
};
use metal_runtime::{controller::Controller, index::Index, report::Failure, work::Next};
use observe::OwnedObservation;
use std::sync::Arc;

/// The controller.
pub(crate) struct Configurations(pub Arc<Context>);

/// What a pass knows.
pub(crate) enum Facts {
    /// This has to be done before anything is looked at.
    Outdated(Decision),
    /// Everything was looked at.
    Observed(Box<OwnedObservation>),
}

impl Controller for Configurations {
    type Object = ServerBootConfiguration;
    type Key = Named;
    type IndexKey = ConfigurationKey;
    type Facts = Facts;
    type Status = ServerBootConfigurationStatus;
    type Change = Change;
    type Need = Never;
    type Step = Never;
    type Error = Error;

    fn index(&self) -> &Index<ServerBootConfiguration, ConfigurationKey> {
        &self.0.view.configurations
    }

    /// A server or a boot config that has not been listed yet would seem not to exist. And no URL
    /// is written without a token.
    fn is_ready(&self) -> bool {
        self.0.view.is_ready() && self.0.key.get().is_some()
    }

    fn ignores(&self, configuration: &ServerBootConfiguration) -> bool {
        configuration.metadata.deletion_timestamp.is_none() && is_ignored(&configuration.metadata)
    }

    async fn observe(&self, configuration: &Arc<ServerBootConfiguration>) -> Result<Facts, Error> {
        self.0.tell_unsupported(&**configuration, &on_boot(&configuration.metadata)).await;
        if let Some(decision) = outdated(configuration, self.0.modes, Timestamp::now()) {
            return Ok(Facts::Outdated(decision));
        }
        Ok(Facts::Observed(Box::new(observe::observe(&self.0, configuration).await?)))
    }

    fn decide(
        &self,
        _: &Arc<ServerBootConfiguration>,
        facts: &Facts,
        _: Option<&Failure>,
    ) -> Decision {
        match facts {
            Facts::Outdated(decision) => decision.clone(),
            Facts::Observed(seen) => decide(&seen.as_observation(), self.0.modes),
        }
    }

    async fn record(
        &self,
        configuration: &ServerBootConfiguration,
        status: &ServerBootConfigurationStatus,
    ) -> Result<Next, Error> {
        Ok(act::record(&self.0, configuration, status).await?.into())
    }

    async fn change(
        &self,
        configuration: &ServerBootConfiguration,
        change: Change,
    ) -> Result<Next, Error> {
        Ok(act::carry_out(&self.0, configuration, change).await?.into())
    }
}
