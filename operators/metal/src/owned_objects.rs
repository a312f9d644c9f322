//! Objects that we create with the name of a server or of a claim. If somebody else's object has
//! that name, it is neither changed nor deleted.

use crate::{Context, Error, MANAGER};
use k8s_openapi::{
    api::core::v1::Secret,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Api, Resource, ResourceExt, api::PostParams};
use metal_api::{Server, ServerBootConfiguration};
use metal_runtime::{MetadataChange, OkIf, apply, patch_metadata};

/// Whether an object belongs to the owner with this UID.
fn belongs_to(object: &ObjectMeta, owner: Option<&str>) -> bool {
    let mut owners = object.owner_references.iter().flatten();
    owner.is_some_and(|owner| owners.any(|it| it.uid == owner))
}

/// Whether a Secret was made for the discovery of this server: it belongs to the server or, if
/// ironcore's metal-operator made it, to the server's boot configuration. One without owners was
/// restored from a backup if it has what ours has.
fn is_of_discovery(there: &Secret, ours: &Secret, server: &Server) -> bool {
    let name = server.name_any();
    let is_configuration = |it: &OwnerReference| {
        let group = it.api_version.split('/').next().unwrap_or_default();
        it.name == name
            && it.kind == ServerBootConfiguration::kind(&())
            && group == ServerBootConfiguration::group(&())
    };
    let keys =
        |it: &Secret| it.data.iter().flatten().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    match there.metadata.owner_references.as_deref().unwrap_or_default() {
        [] => keys(there) == keys(ours),
        [owner] if is_configuration(owner) => true,
        _ => belongs_to(&there.metadata, server.metadata.uid.as_deref()),
    }
}

/// Creates a Secret of a server's discovery, or updates it.
///
/// # Errors
///
/// Those of the API server; or that somebody else's object has that name.
pub(crate) async fn make(api: &Api<Secret>, secret: &Secret, server: &Server) -> Result<(), Error> {
    const WHAT: &str = "Secret";
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    let created = api.create(&params, secret).await.ok_if_already_exists();
    if created.map_err(Error::write(WHAT))?.is_some() {
        return Ok(());
    }
    let name = secret.name_any();
    let found = api.get_opt(&name).await.map_err(Error::read(WHAT))?;
    let Some(found) = found else { return Err(Error::Vanished(WHAT)) };
    if !is_of_discovery(&found, secret, server) {
        let namespace = secret.namespace().unwrap_or_default();
        return Err(Error::NameTaken { what: WHAT, namespace, name });
    }
    if !belongs_to(&found.metadata, server.metadata.uid.as_deref()) {
        // Applying would add a second controller, which the API server refuses.
        let owner_references = secret.metadata.owner_references.as_deref();
        let change = MetadataChange { owner_references, ..MetadataChange::default() };
        let owned = patch_metadata(api, &found.metadata, &change, MANAGER).await;
        owned.map_err(Error::write(WHAT))?;
    }
    let mut secret = secret.clone();
    secret.metadata.uid = found.metadata.uid;
    apply(api, &secret, MANAGER).await.map(drop).map_err(Error::write(WHAT))
}

/// Deletes the boot configuration of this name, if it belongs to `owner`, or was restored from a
/// backup without owners.
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
        let found = configurations.api().get_metadata(name).await.ok_if_not_found();
        found.map_err(Error::read(WHAT))?.map(|found| found.metadata)
    };
    let owner = owner.meta().uid.as_deref();
    let has_none = |found: &ObjectMeta| found.owner_references.iter().flatten().next().is_none();
    let is_ours = |found: &ObjectMeta| belongs_to(found, owner) || has_none(found);
    let Some(found) = found.filter(is_ours) else { return Ok(()) };
    configurations.delete(&found).await.map(drop).map_err(Error::write(WHAT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use metal_api::{ServerBootConfigurationSpec, ServerSpec};
    use metal_core::ownership::owned_by;
    use metal_runtime::testing::ApiServer;
    use serde_json::json;

    const NAME: &str = "boot-operator-ignition-key";

    #[tokio::test]
    async fn what_somebody_else_made_under_our_name_is_not_changed() {
        for (owner, key, expected) in [
            (Some(server_owner("server-uid")), "pem", Ok(["POST", "GET", "PATCH"].as_slice())),
            (Some(server_owner("uid-of-another")), "pem", Err(["POST", "GET"].as_slice())),
            (Some(configuration_owner("another")), "pem", Err(["POST", "GET"].as_slice())),
            (None, "key", Err(["POST", "GET"].as_slice())),
        ] {
            let (made, there) = make_beside(owner.clone(), key).await;
            match expected {
                Ok(requests) => {
                    made.unwrap();
                    assert_eq!(asked(&there), requests);
                }
                Err(requests) => {
                    let text = made.unwrap_err().to_string();
                    assert!(text.contains("Secret manager/boot-operator-ignition-key"), "{text}");
                    assert_eq!(asked(&there), requests, "{owner:?}");
                }
            }
        }
    }

    #[tokio::test]
    async fn what_ironcore_made_for_the_discovery_or_a_backup_restored_gets_the_server_as_owner() {
        for owner in [Some(configuration_owner(NAME)), None] {
            let (made, there) = make_beside(owner, "pem").await;
            made.unwrap();
            assert_eq!(asked(&there), ["POST", "GET", "PATCH", "PATCH"]);
            let owners = &there.sent()[2].body["metadata"]["ownerReferences"];
            assert_eq!(owners[0]["uid"], json!("server-uid"));
            assert_eq!(owners.as_array().unwrap().len(), 1);
        }
    }

    fn asked(there: &ApiServer) -> Vec<String> {
        let method = |request: &str| request.split(' ').next().unwrap_or_default().to_owned();
        there.sent().iter().map(|sent| method(&sent.request)).collect()
    }

    fn server(uid: &str) -> Server {
        let mut server = Server::new(NAME, ServerSpec::default());
        server.metadata.uid = Some(uid.to_owned());
        server
    }

    fn server_owner(uid: &str) -> OwnerReference {
        owned_by(&server(uid)).unwrap().remove(0)
    }

    fn configuration_owner(name: &str) -> OwnerReference {
        let mut configuration =
            ServerBootConfiguration::new(name, ServerBootConfigurationSpec::default());
        configuration.metadata.uid = Some("configuration-uid".to_owned());
        owned_by(&configuration).unwrap().remove(0)
    }

    /// Creates a Secret whose name is taken by one with that owner and that key.
    async fn make_beside(
        owner: Option<OwnerReference>,
        key: &str,
    ) -> (Result<(), Error>, ApiServer) {
        let secret = |key: &str, owner_references| Secret {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                namespace: Some("manager".to_owned()),
                owner_references,
                ..ObjectMeta::default()
            },
            data: Some([(key.to_owned(), ByteString(vec![1]))].into()),
            ..Secret::default()
        };
        let there = ApiServer::default();
        there.put(&secret(key, owner.map(|owner| vec![owner])));
        let api = Api::<Secret>::namespaced(there.client("default"), "manager");
        let server = server("server-uid");
        let made = make(&api, &secret("pem", owned_by(&server)), &server).await;
        (made, there)
    }
}
