//! Controller of [`Endpoint`]: makes a BMC from an Endpoint with a known MAC prefix.

use crate::{Context, Error, MANAGER, failure, view::EndpointKey};
use jiff::Timestamp;
use kube::ResourceExt;
use metal_api::{Bmc, BmcSecret, Endpoint, EndpointStatus, annotation};
use metal_base::Never;
use metal_core::endpoint::{Change, Decision, Observation, Wanted, decide};
use metal_runtime::{Written, controller::Controller, index::Index, report, work::Next};
use std::sync::Arc;

/// The controller.
pub(crate) struct Endpoints<C>(pub Arc<Context<C>>);

impl<C: Send + Sync + 'static> Controller for Endpoints<C> {
    type Object = Endpoint;
    type Key = String;
    type IndexKey = EndpointKey;
    type Facts = ();
    type Status = EndpointStatus;
    type Change = Change;
    type Need = Never;
    type Step = Never;
    type Error = Error;

    fn index(&self) -> &Index<Endpoint, EndpointKey> {
        &self.0.view.endpoints
    }

    fn is_ready(&self) -> bool {
        self.0.view.is_ready()
    }

    async fn observe(&self, _: &Arc<Endpoint>) -> Result<(), Error> {
        Ok(())
    }

    fn decide(
        &self,
        endpoint: &Arc<Endpoint>,
        (): &(),
        failed: Option<&report::Failure>,
    ) -> Decision {
        let view = &self.0.view;
        decide(&Observation {
            endpoint,
            twins: &twins(&self.0, endpoint),
            same_ip: &view.endpoints_at(endpoint),
            macdb: self.0.mac_prefixes.current().as_deref(),
            bmc: view.bmcs.named(None, &endpoint.name_any()).as_deref(),
            failure: failure(failed).as_ref(),
            now: Timestamp::now(),
        })
    }

    async fn record(&self, endpoint: &Endpoint, status: &EndpointStatus) -> Result<Next, Error> {
        let endpoints = self.0.writer(self.index());
        let recorded = endpoints.record_status(endpoint, status).await;
        Ok(recorded.map_err(Error::Record)?.into())
    }

    async fn change(&self, endpoint: &Endpoint, change: Change) -> Result<Next, Error> {
        let Change::Create(wanted) = change;
        Ok(create(&self.0, &endpoint.name_any(), *wanted).await?.into())
    }
}

/// Other Endpoints with the same MAC address, in a fixed order.
fn twins<C>(ctx: &Context<C>, endpoint: &Endpoint) -> Vec<String> {
    let Some(mac) = endpoint.spec.mac() else { return vec![] };
    let all = ctx.view.endpoints.get(&EndpointKey::Mac(mac));
    let mut names: Vec<_> = all.iter().map(|other| other.name_any()).collect();
    names.retain(|name| *name != endpoint.name_any());
    names.sort();
    names
}

/// Creates the credentials, then the BMC; existing objects are left as they are. The BMC comes
/// last, so that an interrupted pass is continued.
async fn create<C>(ctx: &Context<C>, name: &str, wanted: Wanted) -> Result<Written, Error> {
    let mut secret = BmcSecret::new(name, wanted.secret);
    secret.metadata.annotations = Some(wanted.note);
    let label = (annotation::MANAGED_BY.to_owned(), MANAGER.to_owned());
    let labels = Some([label].into());
    secret.metadata.labels.clone_from(&labels);
    let created = ctx.writer(&ctx.view.secrets).create(&secret).await;
    created.map_err(Error::write("BMCSecret"))?;
    let mut bmc = Bmc::new(name, wanted.bmc);
    bmc.metadata.labels = labels;
    ctx.writer(&ctx.view.bmcs).create(&bmc).await.map_err(Error::write("BMC"))
}
