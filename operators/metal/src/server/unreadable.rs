//! Servers that are being deleted, but cannot be parsed. No pass sees such an object.

use super::look::are_claims_unknown;
use crate::{Context, Error};
use kube::{
    Api,
    api::{ApiResource, DynamicObject},
    runtime::events::EventType,
};
use metal_api::{Server, ServerClaim, ServerSpec, finalizer};
use metal_core::server::StillClaimed;
use metal_runtime::{OkIf, controller::reference, work::Next};
use std::time::Duration;

/// How soon to look again for the claim that has the server: no watch finds the server by it.
const HELD: Duration = Duration::from_mins(1);

/// Removes our finalizer, as soon as no claim has the server. Its host is left as it is, as nobody
/// knows what is in the object.
///
/// # Errors
///
/// Those of the API server.
pub(super) async fn release<C>(ctx: &Context<C>, name: &str) -> Result<Next, Error> {
    let resource = ApiResource::erase::<Server>(&());
    let servers = Api::<DynamicObject>::all_with(ctx.client.clone(), &resource);
    let found = servers.get(name).await.ok_if_not_found().map_err(Error::read("Server"))?;
    let Some(found) = found.filter(|it| it.metadata.deletion_timestamp.is_some()) else {
        return Ok(Next::Wait);
    };
    if let Some(held) = held_by(ctx, &found).await? {
        let (server, note) = (reference::<Server>(&name.to_owned()), held.to_string());
        ctx.publish(&server, EventType::Warning, "Claimed", note).await;
        return Ok(Next::After(HELD));
    }
    let mut server = Server::new(name, ServerSpec::default());
    server.metadata = found.metadata;
    let removed = ctx.writer(&ctx.view.servers).remove_finalizer(&server, finalizer::SERVER).await;
    removed.map_err(Error::write("Server"))?;
    Ok(Next::Wait)
}

/// The claim that the server refers to, if that very one exists.
async fn held_by<C>(
    ctx: &Context<C>,
    server: &DynamicObject,
) -> Result<Option<StillClaimed>, Error> {
    let referred = &server.data["spec"]["serverClaimRef"];
    let text = |field: &str| referred[field].as_str();
    let (Some(namespace), Some(name)) = (text("namespace"), text("name")) else { return Ok(None) };
    let claims = Api::<ServerClaim>::namespaced(ctx.client.clone(), namespace);
    let claim = claims.get_metadata(name).await.ok_if_not_found();
    if claim.is_err() && are_claims_unknown(ctx).await {
        return Ok(None);
    }
    let claim = claim.map_err(Error::read("ServerClaim"))?;
    let is_it = |uid: Option<&str>| text("uid").is_none_or(|known| uid == Some(known));
    let claim = claim.filter(|claim| is_it(claim.metadata.uid.as_deref()));
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    Ok(claim.map(|_| StillClaimed { namespace, name }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        server::{
            Servers,
            tests::{context, context_at},
        },
        view::View,
    };
    use ::http::StatusCode;
    use futures::stream;
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
    use kube::{
        core::{DeserializeGuard, error_boundary::InvalidObject},
        runtime::{
            events::{Recorder, Reporter as Source},
            watcher::Event,
        },
    };
    use metal_api::{ClaimReference, ServerClaimSpec};
    use metal_bmc::fake::FakeBmc;
    use metal_core::redfish::SystemReading;
    use metal_runtime::{controller::Pass, report::Reporter, testing::ApiServer, work::Work};
    use serde_json::{Value, json};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_server_that_cannot_be_read_goes_when_it_is_deleted_and_no_claim_has_it() {
        for (is_deleted, claim, goes) in [
            (false, None, false),
            (true, None, true),
            (true, Some("claim-uid"), false),
            (true, Some("uid-of-another-claim"), true),
        ] {
            let api = ApiServer::default();
            api.put_raw::<Server>(server(is_deleted));
            if let Some(uid) = claim {
                let mut claim = ServerClaim::new("claim", ServerClaimSpec::default());
                claim.metadata.namespace = Some("tenant".to_owned());
                claim.metadata.uid = Some(uid.to_owned());
                api.put(&claim);
            }
            let next = pass(&api).await;
            let written = api.written().into_iter().filter(|sent| !sent.is_event());
            let finalizers = written.map(|sent| sent.body["metadata"]["finalizers"].clone());
            let expected = if goes { vec![json!(["other"])] } else { vec![] };
            assert_eq!(finalizers.collect::<Vec<_>>(), expected, "{is_deleted} {claim:?}");
            let waits = if is_deleted && !goes { Next::After(HELD) } else { Next::Wait };
            assert_eq!(next, waits, "{is_deleted} {claim:?}");
        }
    }

    #[tokio::test]
    async fn a_server_that_a_proxy_does_not_find_is_looked_for_again() {
        let api = ApiServer::default();
        let ctx = context_at(&api);
        assert_eq!(release(&ctx, "a").await.unwrap(), Next::Wait);
        api.fail(Some(StatusCode::NOT_FOUND));
        release(&ctx, "a").await.unwrap_err();
    }

    /// A server with a port that no server can have.
    fn server(is_deleted: bool) -> Value {
        let (namespace, name) = ("tenant".to_owned(), "claim".to_owned());
        let reference = ClaimReference { namespace, name, uid: Some("claim-uid".to_owned()) };
        let spec = ServerSpec { server_claim_ref: Some(reference), ..ServerSpec::default() };
        let mut server = Server::new("a", spec);
        let finalizers = ["other", finalizer::SERVER].map(str::to_owned);
        server.metadata = ObjectMeta {
            resource_version: Some("7".to_owned()),
            uid: Some("u".to_owned()),
            finalizers: Some(finalizers.into()),
            deletion_timestamp: is_deleted.then_some(Time(Timestamp::UNIX_EPOCH)),
            ..server.metadata
        };
        let mut server = serde_json::to_value(server).unwrap();
        server["spec"]["bmc"] = json!({ "protocol": { "port": "https" } });
        assert!(serde_json::from_value::<Server>(server.clone()).is_err());
        server
    }

    /// A pass over the server, which the watch could not read.
    async fn pass(api: &ApiServer) -> Next {
        let metadata = ObjectMeta { name: Some("a".to_owned()), ..ObjectMeta::default() };
        let broken = InvalidObject { error: "spec: too large".to_owned(), metadata };
        let broken = Event::InitApply(DeserializeGuard(Err(broken)));
        let view = Arc::new(View::default());
        let list = [Event::Init, broken, Event::InitDone].map(Ok);
        view.servers.follow(stream::iter(list)).await.unwrap_err();
        let client = api.client("default");
        let recorder = Recorder::new(client.clone(), Source::from("test"));
        let reporter = Reporter {
            controller: "server",
            recorder: recorder.clone(),
            passes: prometheus_client::metrics::family::Family::default(),
        };
        let bmcs = FakeBmc::new(SystemReading::default());
        let servers = Servers(Arc::new(context(client, view, recorder, bmcs)));
        servers.pass(&Work::new(reporter), "a".to_owned()).await.unwrap()
    }
}
