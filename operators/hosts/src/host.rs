//! Controller of [`Host`].

use crate::{Error, context::Context, view::Named};
use jiff::Timestamp;
use kube::ResourceExt;
use metal_api::{Host, HostRelease, HostStatus};
use metal_base::Never;
use metal_core::rented_host::pass::{Decision, decide};
use metal_runtime::{controller::Controller, index::Index, report::Failure, work::Next};
use std::sync::Arc;

/// The controller.
pub(crate) struct Hosts(pub(crate) Arc<Context>);

impl Controller for Hosts {
    type Object = Host;
    type Key = Named;
    type IndexKey = ();
    type Facts = ();
    type Status = HostStatus;
    type Change = Never;
    type Need = Never;
    type Step = Never;
    type Error = Error;

    fn index(&self) -> &Index<Host, ()> {
        &self.0.view.hosts
    }

    fn is_ready(&self) -> bool {
        self.0.view.is_ready()
    }

    async fn observe(&self, _: &Arc<Host>) -> Result<(), Error> {
        Ok(())
    }

    fn decide(&self, host: &Arc<Host>, (): &(), _: Option<&Failure>) -> Decision {
        decide(host, release(&self.0, host).as_deref(), Timestamp::now())
    }

    async fn record(&self, host: &Host, status: &HostStatus) -> Result<Next, Error> {
        let namespace = host.namespace().unwrap_or_default();
        let hosts = self.0.hosts(&namespace);
        let recorded = hosts.record_status(host, status).await;
        Ok(recorded.map_err(|error| Error::Record(Box::new(error)))?.into())
    }

    async fn change(&self, _: &Host, never: Never) -> Result<Next, Error> {
        match never {}
    }
}

/// The release that a Host is to run, whether it is for that Host or not.
pub(crate) fn release(ctx: &Context, host: &Host) -> Option<Arc<HostRelease>> {
    let name = host.spec.active_release.as_deref()?;
    ctx.view.releases.named(host.namespace().as_deref(), name)
}
