//! A tenant: a claim for one machine, in a namespace of its own.

use super::{Machine, Stack};
use crate::cluster::unique;
use anyhow::Result;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, api::PostParams};
use metal_api::{LocalObjectReference, Power, ServerClaim, ServerClaimSpec};

/// The Ignition configuration of the tenant's machine.
pub const IGNITION: &str = r#"{"ignition":{"version":"3.4.0"},"storage":{"files":[]}}"#;

/// A claim that was created.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// Its namespace, in which there is nothing else.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Claims this machine, switched on, with this image and [`IGNITION`].
///
/// # Errors
///
/// Errors of the API server.
pub async fn claim(stack: &Stack, machine: &Machine<'_>, image: &str) -> Result<Claimed> {
    let namespace = stack.cluster.namespace().await?;
    let data = Some([("ignition".to_owned(), ByteString(IGNITION.into()))].into());
    let mut secret = Secret { data, ..Secret::default() };
    secret.metadata.name = Some("ignition".to_owned());
    let secrets = Api::<Secret>::namespaced(stack.client.clone(), &namespace);
    secrets.create(&PostParams::default(), &secret).await?;
    let reference = |name: String| Some(LocalObjectReference { name });
    let spec = ServerClaimSpec {
        power: Power::On,
        server_ref: reference(machine.server_name()),
        ignition_secret_ref: reference("ignition".to_owned()),
        image: image.to_owned(),
        ..ServerClaimSpec::default()
    };
    let claims = Api::<ServerClaim>::namespaced(stack.client.clone(), &namespace);
    let name = unique("claim");
    claims.create(&PostParams::default(), &ServerClaim::new(&name, spec)).await?;
    Ok(Claimed { namespace, name })
}
