//! What has to be done before an object is deleted.

use super::{Key, reference};
use crate::{Context, Error};
use kube::{
    Api, ResourceExt,
    core::{DeserializeGuard, error_boundary::InvalidObject},
    runtime::events::EventType,
};
use metal_api::{IndicatorLed, Server, ServerMaintenance, ServerReadinessRule, Taint};
use metal_core::foreign_cleanup::{
    Kind, holds, labels_to_remove, must_turn_off_led, taints_without,
};
use metal_runtime::{MetadataChange, OkIf, list_in_pages};
use serde::Serialize;
use std::fmt::Debug;

/// Does what the object's finalizer was there for.
///
/// # Errors
///
/// Those of the API server: then the object stays, and this is repeated.
pub(super) async fn run<C>(ctx: &Context<C>, key: &Key) -> Result<(), Error> {
    match key.kind {
        Kind::ServerMaintenance => release_server(ctx, key).await,
        Kind::ServerReadinessRule => remove_taint(ctx, key).await,
        Kind::BmcUser => {
            let note = "the account remains on the BMC, because this version does not delete \
                        accounts";
            ctx.publish(&reference(key), EventType::Warning, "AccountKept", note.into()).await;
            Ok(())
        }
        Kind::Endpoint
        | Kind::Bmc
        | Kind::BmcSecret
        | Kind::BiosSettings
        | Kind::BiosSettingsSet
        | Kind::BiosVersion
        | Kind::BiosVersionSet
        | Kind::BmcSettings
        | Kind::BmcSettingsSet
        | Kind::BmcVersion
        | Kind::BmcVersionSet => Ok(()),
    }
}

/// The spec of a server without its maintenance.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Released {
    server_maintenance_ref: Option<()>,
    maintenance_boot_configuration_ref: Option<()>,
    #[serde(rename = "indicatorLED", skip_serializing_if = "Option::is_none")]
    indicator_led: Option<IndicatorLed>,
}

/// Asks the API server, because an object that the cache does not show yet would hold the server
/// forever.
async fn release_server<C>(ctx: &Context<C>, key: &Key) -> Result<(), Error> {
    let namespace = key.namespace.as_deref().unwrap_or_default();
    let api = Api::<DeserializeGuard<ServerMaintenance>>::namespaced(ctx.client.clone(), namespace);
    let found = api.get(&key.name).await.ok_if_not_found();
    let found = found.map_err(Error::read("ServerMaintenance"))?;
    let Some(DeserializeGuard(maintenance)) = found else { return Ok(()) };
    let maintenance = maintenance.ok();
    let mut servers = match &maintenance {
        Some(maintenance) => named(ctx, &maintenance.spec.server_ref.name).await?,
        None => list(ctx, "Server").await?,
    };
    servers.retain(|server| holds(server, namespace, &key.name));
    for server in servers {
        // The claim first, because it cannot be found without the reference.
        ask_no_longer(ctx, &server, namespace, &key.name).await?;
        let is_led_on = maintenance.as_ref().is_some_and(|it| must_turn_off_led(&server, it));
        let released = Released {
            server_maintenance_ref: None,
            maintenance_boot_configuration_ref: None,
            indicator_led: is_led_on.then_some(IndicatorLed::Off),
        };
        patch_server(ctx, &server, &released).await?;
    }
    Ok(())
}

/// The server of this name, if there is one.
async fn named<C>(ctx: &Context<C>, name: &str) -> Result<Vec<Server>, Error> {
    let server = Api::<Server>::all(ctx.client.clone()).get(name).await;
    server.ok_if_not_found().map(Vec::from_iter).map_err(Error::read("Server"))
}

/// Removes the labels of a maintenance from the claim that holds the server.
async fn ask_no_longer<C>(
    ctx: &Context<C>,
    server: &Server,
    namespace: &str,
    name: &str,
) -> Result<(), Error> {
    let Some(claim) = &server.spec.server_claim_ref else { return Ok(()) };
    let claims = ctx.writer_in(&ctx.view.claims, &claim.namespace);
    let claim = claims.api().get(&claim.name).await.ok_if_not_found();
    let Some(claim) = claim.map_err(Error::read("ServerClaim"))? else { return Ok(()) };
    let all = list::<ServerMaintenance, C>(ctx, "ServerMaintenance").await?;
    let is_going = |it: &ServerMaintenance| {
        it.metadata.deletion_timestamp.is_some()
            || (it.namespace().as_deref() == Some(namespace) && it.name_any() == name)
    };
    let is_other =
        |it: &&ServerMaintenance| it.spec.server_ref.name == server.name_any() && !is_going(it);
    let others: Vec<_> = all.iter().filter(is_other).collect();
    let labels = labels_to_remove(&claim, &others).into_iter().map(|key| (key, None)).collect();
    let change = MetadataChange { labels, ..MetadataChange::default() };
    if change.labels.is_empty() {
        return Ok(());
    }
    let patched = claims.patch_metadata(&claim.metadata, &change).await;
    patched.map(drop).map_err(Error::write("ServerClaim"))
}

/// The spec of a server without a taint.
#[derive(Debug, Serialize)]
struct Taints {
    taints: Vec<Taint>,
}

async fn remove_taint<C>(ctx: &Context<C>, key: &Key) -> Result<(), Error> {
    let all = list::<ServerReadinessRule, C>(ctx, "ServerReadinessRule").await?;
    let Some(rule) = all.iter().find(|rule| rule.name_any() == key.name) else { return Ok(()) };
    let lives = |it: &&ServerReadinessRule| it.metadata.deletion_timestamp.is_none();
    let others: Vec<_> = all.iter().filter(lives).collect();
    for server in list::<Server, C>(ctx, "Server").await? {
        if let Some(taints) = taints_without(&server, rule, &others) {
            patch_server(ctx, &server, &Taints { taints }).await?;
        }
    }
    Ok(())
}

async fn patch_server<C, S: Serialize + Debug + Sync>(
    ctx: &Context<C>,
    server: &Server,
    spec: &S,
) -> Result<(), Error> {
    let patched = ctx.writer(&ctx.view.servers).patch_spec(server, spec).await;
    patched.ok_if_not_found().map(drop).map_err(Error::write("Server"))
}

/// All objects that can be parsed: one that cannot keeps no other one.
async fn list<K, C>(ctx: &Context<C>, what: &'static str) -> Result<Vec<K>, Error>
where
    K: kube::Resource<DynamicType = ()> + Clone + Debug + serde::de::DeserializeOwned,
{
    let api = Api::<DeserializeGuard<K>>::all(ctx.client.clone());
    let all = list_in_pages(&api).await.map_err(Error::read(what))?;
    let parsed = all.into_iter().filter_map(|DeserializeGuard(object)| {
        let ignored = |broken: &InvalidObject| {
            let object = broken.metadata.name.as_deref();
            tracing::warn!(kind = what, object, error = broken.error, "object ignored");
        };
        object.inspect_err(ignored).ok()
    });
    Ok(parsed.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::tests::context_at;
    use ::http::StatusCode;
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use kube::{
        Client, Resource,
        api::{ApiResource, DynamicObject, Patch, PatchParams},
    };
    use metal_api::{ServerReadinessRuleSpec, ServerSpec};
    use metal_runtime::testing::ApiServer;
    use serde_json::json;

    #[tokio::test]
    async fn an_object_that_cannot_be_read_keeps_no_other_one() {
        let (api, taint) =
            (ApiServer::default(), Taint { key: "not-ready".to_owned(), ..Taint::default() });
        let client = api.client("default");
        for name in ["broken", "tainted"] {
            let spec = ServerSpec { taints: vec![taint.clone()], ..ServerSpec::default() };
            api.put(&Server::new(name, spec));
            let taint = taint.clone();
            let spec = ServerReadinessRuleSpec { taint, ..ServerReadinessRuleSpec::default() };
            let mut rule = ServerReadinessRule::new(name, spec);
            rule.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
            api.put(&rule);
        }
        spoil::<Server>(&client).await;
        spoil::<ServerReadinessRule>(&client).await;
        let ctx = context_at(&api);
        let name = "tainted".to_owned();
        run(&ctx, &Key { kind: Kind::ServerReadinessRule, namespace: None, name }).await.unwrap();
        assert!(api.object::<Server>(None, "tainted").unwrap().spec.taints.is_empty());
    }

    #[tokio::test]
    async fn a_maintenance_that_a_proxy_does_not_find_keeps_its_finalizer() {
        let api = ApiServer::default();
        let ctx = context_at(&api);
        let namespace = Some("default".to_owned());
        let key = Key { kind: Kind::ServerMaintenance, namespace, name: "update".to_owned() };
        run(&ctx, &key).await.unwrap();
        api.fail(Some(StatusCode::NOT_FOUND));
        run(&ctx, &key).await.unwrap_err();
    }

    /// Makes the object `broken` one that cannot be parsed.
    async fn spoil<K: Resource<DynamicType = ()>>(client: &Client) {
        let resource = ApiResource::erase::<K>(&());
        let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
        let patch = Patch::Merge(json!({ "spec": { "taint": 1, "taints": 1 } }));
        api.patch("broken", &PatchParams::default(), &patch).await.unwrap();
    }
}
