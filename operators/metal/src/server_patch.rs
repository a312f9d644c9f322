//! Patches of a Server's spec: one field at a time, as the other fields have other writers.

use crate::{Context, Error};
use metal_api::{ClaimReference, ObjectReference, Server, SystemUuid};
use metal_runtime::Written;
use serde::Serialize;

/// One field of a Server's spec as a merge patch (RFC 7396): `None` removes it.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) enum ServerPatch<'a> {
    /// The claim that holds the server.
    #[serde(rename = "serverClaimRef")]
    Claim(Option<&'a ClaimReference>),
    /// The boot configuration.
    #[serde(rename = "bootConfigurationRef")]
    BootConfiguration(Option<&'a ObjectReference>),
    /// Its system UUID.
    #[serde(rename = "systemUUID", serialize_with = "as_text")]
    SystemUuid(SystemUuid),
    /// The URI of its system at the BMC.
    #[serde(rename = "systemURI")]
    SystemUri(&'a str),
}

fn as_text<S: serde::Serializer>(uuid: &SystemUuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(uuid)
}

/// Writes one field of a server's spec, provided that its version is the one that was judged.
///
/// # Errors
///
/// Errors of the API server; a conflict is expected now and then.
pub(crate) async fn patch<C>(
    ctx: &Context<C>,
    server: &Server,
    field: ServerPatch<'_>,
) -> Result<Written, Error> {
    let patched = ctx.writer(&ctx.view.servers).patch_spec(server, &field).await;
    patched.map_err(Error::write("Server"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_has_one_field_and_null_where_it_is_removed() {
        let (namespace, name) = ("n".to_owned(), "a".to_owned());
        let claim = ClaimReference {
            namespace: namespace.clone(),
            name: name.clone(),
            uid: Some("u".to_owned()),
        };
        let boots = ObjectReference { namespace, name };
        let uuid = "38947555-7742-3448-3784-82334782383a";
        for (patch, expected) in [
            (
                ServerPatch::Claim(Some(&claim)),
                json!({ "serverClaimRef": { "namespace": "n", "name": "a", "uid": "u" } }),
            ),
            (ServerPatch::Claim(None), json!({ "serverClaimRef": null })),
            (
                ServerPatch::BootConfiguration(Some(&boots)),
                json!({ "bootConfigurationRef": { "namespace": "n", "name": "a" } }),
            ),
            (ServerPatch::BootConfiguration(None), json!({ "bootConfigurationRef": null })),
            (ServerPatch::SystemUuid(uuid.parse().unwrap()), json!({ "systemUUID": uuid })),
            (ServerPatch::SystemUri("/x"), json!({ "systemURI": "/x" })),
        ] {
            assert_eq!(serde_json::to_value(patch).unwrap(), expected);
        }
    }
}
