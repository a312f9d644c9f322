//! Objects that we create with the name of a server or of a claim. If somebody else's object has
//! that name, it is neither changed nor deleted.

use crate::{Context, Error, MANAGER};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, Resource, ResourceExt, api::PostParams};
use metal_runtime::{Expected, apply};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

/// Whether an object belongs to the owner with this UID.
fn belongs_to(object: &ObjectMeta, owner: Option<&str>) -> bool {
    let mut owners = object.owner_references.iter().flatten();
    owner.is_some_and(|owner| owners.any(|it| it.uid == owner))
}

/// Creates an object of `owner`, or updates it.
///
/// # Errors
///
/// Those of the API server; or that somebody else's object has that name.
pub(crate) async fn make<K, O>(
    api: &Api<K>,
    object: &K,
    owner: &O,
    what: &'static str,
) -> Result<(), Error>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
    O: Resource,
{
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let created = api.create(&params, object).await.unless_there();
    if created.map_err(Error::write(what))?.is_some() {
        return Ok(());
    }
    let name = object.name_any();
    let found = api.get_metadata_opt(&name).await.map_err(Error::read(what))?;
    let Some(found) = found else { return Err(Error::Vanished(what)) };
    if !belongs_to(&found.metadata, owner.meta().uid.as_deref()) {
        let namespace = object.namespace().unwrap_or_default();
        return Err(Error::NameTaken { what, namespace, name });
    }
    let mut object = object.clone();
    object.meta_mut().uid = found.metadata.uid;
    apply(api, &object, MANAGER).await.map(drop).map_err(Error::write(what))
}

/// Deletes the boot configuration of this name, if it belongs to `owner`.
///
/// # Errors
///
/// Those of the API server.
pub(crate) async fn delete_configuration<C, O: Resource>(
    ctx: &Context<C>,
    (namespace, name): (&str, &str),
    owner: &O,
) -> Result<(), Error> {
    const WHAT: &str = "ServerBootConfiguration";
    let configurations = ctx.writer_in(&ctx.view.configurations, namespace);
    let cached = ctx.view.configurations.named(Some(namespace), name);
    let found = if let Some(cached) = cached {
        Some(cached.metadata.clone())
    } else {
        // The cache may be behind.
        let found = configurations.api().get_metadata_opt(name).await;
        found.map_err(Error::read(WHAT))?.map(|found| found.metadata)
    };
    let owner = owner.meta().uid.as_deref();
    let Some(found) = found.filter(|found| belongs_to(found, owner)) else { return Ok(()) };
    configurations.delete(&found).await.map(drop).map_err(Error::write(WHAT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::OwnerReference};
    use metal_api::{Server, ServerSpec};
    use metal_runtime::testing::ApiServer;

    #[tokio::test]
    async fn what_somebody_else_made_under_our_name_is_not_changed() {
        for (owner, expected) in [
            (Some("server-uid"), Ok(["POST", "GET", "PATCH"].as_slice())),
            (Some("uid-of-another"), Err(["POST", "GET"].as_slice())),
            (None, Err(["POST", "GET"].as_slice())),
        ] {
            let (made, asked) = make_beside(owner).await;
            match expected {
                Ok(requests) => {
                    made.unwrap();
                    assert_eq!(asked, requests);
                }
                Err(requests) => {
                    let text = made.unwrap_err().to_string();
                    assert!(text.contains("Secret manager/boot-operator-ignition-key"), "{text}");
                    assert_eq!(asked, requests, "{owner:?}");
                }
            }
        }
    }

    /// Creates a Secret whose name is taken by one with that owner; returns the result and the
    /// requests.
    async fn make_beside(owner: Option<&'static str>) -> (Result<(), Error>, Vec<String>) {
        let name = "boot-operator-ignition-key";
        let mut server = Server::new(name, ServerSpec::default());
        server.metadata.uid = Some("server-uid".to_owned());
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some("manager".to_owned()),
            owner_references: owner.map(|uid| {
                vec![OwnerReference { uid: uid.to_owned(), ..OwnerReference::default() }]
            }),
            ..ObjectMeta::default()
        };
        let secret = Secret { metadata, ..Secret::default() };
        let there = ApiServer::default();
        there.put(&secret);
        let api = Api::<Secret>::namespaced(there.client("default"), "manager");
        let made = make(&api, &secret, &server, "Secret").await;
        let method = |request: &str| request.split(' ').next().unwrap_or_default().to_owned();
        let asked = there.sent().iter().map(|sent| method(&sent.request)).collect();
        (made, asked)
    }
}
