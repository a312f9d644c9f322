//! Controller of [`Endpoint`]: makes a BMC of what a MAC prefix recognises.

use crate::{CAUGHT_UP, Context, Error, MANAGER, failure};
use jiff::Timestamp;
use kube::{Api, ResourceExt, api::PostParams};
use metal_api::{Bmc, BmcSecret, Endpoint, annotation};
use metal_core::endpoint::{Decision, Observation, Wanted, decide};
use metal_runtime::{
    record_status,
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
        Decision::Create(wanted) => {
            create(&ctx, &name, *wanted).await?;
            Ok(Next::After(CAUGHT_UP))
        }
        Decision::Record(status) => {
            let api = Api::<Endpoint>::all(ctx.client.clone());
            record_status(&api, &endpoint, &status, MANAGER).await.map_err(Error::Record)?;
            Ok(Next::After(CAUGHT_UP))
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
async fn create<C>(ctx: &Context<C>, name: &str, wanted: Wanted) -> Result<(), Error> {
    let mut secret = BmcSecret::new(name, wanted.secret);
    secret.metadata.annotations = Some(wanted.note);
    let label = (annotation::MANAGED_BY.to_owned(), MANAGER.to_owned());
    let labels = Some([label].into());
    secret.metadata.labels.clone_from(&labels);
    let secrets = Api::<BmcSecret>::all(ctx.client.clone());
    unless_there(secrets.create(&params(), &secret).await).map_err(Error::write("BMCSecret"))?;
    let bmcs = Api::<Bmc>::all(ctx.client.clone());
    let mut bmc = Bmc::new(name, wanted.bmc);
    bmc.metadata.labels = labels;
    unless_there(bmcs.create(&params(), &bmc).await).map_err(Error::write("BMC"))
}

fn params() -> PostParams {
    PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() }
}

fn unless_there<K>(created: Result<K, kube::Error>) -> Result<(), kube::Error> {
    match created {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(error) => Err(error),
    }
}
