//! Controller of [`Host`].

use crate::{
    Error,
    context::Context,
    view::{Named, TokenKey, named},
};
use kube::ResourceExt;
use metal_api::{BootToken, Host, HostRelease, HostStatus};
use metal_base::Never;
use metal_core::rented_host::decide::{self, Decision, Observation, decide};
use metal_runtime::{controller::Controller, index::Index, report::Failure, work::Next};
use std::sync::Arc;

/// The controller.
pub(crate) struct Hosts(pub(crate) Arc<Context>);

impl Controller for Hosts {
    type Object = Host;
    type Key = Named;
    type IndexKey = Named;
    type Facts = ();
    type Status = HostStatus;
    type Change = Never;
    type Need = Never;
    type Step = Never;
    type Error = Error;

    fn index(&self) -> &Index<Host, Named> {
        &self.0.view.hosts
    }

    fn is_ready(&self) -> bool {
        self.0.view.is_ready()
    }

    async fn observe(&self, _: &Arc<Host>) -> Result<(), Error> {
        Ok(())
    }

    fn decide(&self, host: &Arc<Host>, (): &(), _: Option<&Failure>) -> Decision {
        let (release, token) = (release(&self.0, host), token(&self.0, host));
        let release = match &release {
            Some(release) => decide::Named::Here(release),
            None if is_unreadable(&self.0, host) => decide::Named::Unreadable,
            None => decide::Named::Missing,
        };
        let token = token.as_deref();
        decide(&Observation { host, release, token, now: self.0.now() })
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

fn is_unreadable(ctx: &Context, host: &Host) -> bool {
    let name = host.spec.active_release.as_deref().unwrap_or_default();
    ctx.view.releases.is_withdrawn(host.namespace().as_deref(), name)
}

/// The token that a Host has registered with.
fn token(ctx: &Context, host: &Host) -> Option<Arc<BootToken>> {
    let (namespace, name) = named(host);
    let tokens = ctx.view.tokens.get(&TokenKey::Host(namespace, name));
    let uid = |token: &BootToken| token.status.as_ref()?.registration.as_ref()?.host_uid.clone();
    tokens.into_iter().find(|it| uid(it).is_some() && uid(it) == host.metadata.uid)
}
