//! Controller of [`Endpoint`]: makes a BMC of what a MAC prefix recognises.

use crate::{Context, Error, MANAGER, failure};
use jiff::Timestamp;
use kube::ResourceExt;
use metal_api::{Bmc, BmcSecret, Endpoint, annotation};
use metal_core::endpoint::{Decision, Observation, Wanted, decide};
use metal_runtime::{
    Written,
    work::{NOT_LISTED, Next, Work},
};
use std::sync::Arc;

/// One pass over one Endpoint.
///
/// # Errors
///
/// Those of the API server.
pub async fn pass<C>(
    ctx: Arc<Context<C>>,
    work: Arc<Work<String>>,
    name: String,
) -> Result<Next, Error> {
    let Some(endpoint) = ctx.view.endpoints.named(None, &name) else {
        work.failures.succeeded(&name);
        return Ok(Next::Wait);
    };
    if !ctx.view.is_ready() {
        return Ok(Next::After(NOT_LISTED));
    }
    if endpoint.metadata.deletion_timestamp.is_some() {
        return Ok(Next::Wait);
    }
    let (twins, bmc) = (twins(&ctx, &endpoint), ctx.view.bmcs.named(None, &name));
    let same_ip = ctx.view.endpoints_at(&endpoint);
    let (macdb, failure) = (ctx.mac_prefixes.current(), failure(&work, &name));
    match decide(&Observation {
        endpoint: &endpoint,
        twins: &twins,
        same_ip: &same_ip,
        macdb: macdb.as_deref(),
        bmc: bmc.as_deref(),
        failure: failure.as_ref(),
        now: Timestamp::now(),
    }) {
        Decision::Create(wanted) => Ok(create(&ctx, &name, *wanted).await?.into()),
        Decision::Record(status) => {
            let endpoints = ctx.writer(&ctx.view.endpoints);
            let written = endpoints.record_status(&endpoint, &status).await;
            Ok(written.map_err(Error::Record)?.into())
        }
        Decision::Rest(time) => Ok(Next::Rested(time.unsigned_abs())),
    }
}

/// Other Endpoints with the same MAC address, in one order.
fn twins<C>(ctx: &Context<C>, endpoint: &Endpoint) -> Vec<String> {
    let mac = endpoint.spec.mac_address.as_deref().and_then(crate::view::canonical_mac);
    let Some(mac) = mac else { return vec![] };
    let all = ctx.view.endpoints.get(&mac);
    let mut names: Vec<_> = all.iter().map(|other| other.name_any()).collect();
    names.retain(|name| *name != endpoint.name_any());
    names.sort();
    names
}

/// Creates the credentials, then the BMC; what exists is left as it is. The BMC comes last, so
/// that a pass that died in between is taken up again.
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
