//! A tenant.

use e2e::{
    cluster::unique,
    stack::{Machine, Stack, deleted, sha256, until},
};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use metal_api::{
    ClaimPhase, LocalObjectReference, Power, ServerBootConfiguration, ServerClaim, ServerClaimSpec,
};
use serde_json::json;

/// What a tenant's machine is told.
const IGNITION: &str = r#"{"ignition":{"version":"3.4.0"},"storage":{"files":[]}}"#;

/// A claim for one machine, in a namespace of its own.
pub(crate) struct Claim {
    claims: Api<ServerClaim>,
    configurations: Api<ServerBootConfiguration>,
    name: String,
}

impl Claim {
    /// Wants this machine on, and this image on it.
    pub(crate) async fn of(stack: &Stack, machine: &Machine<'_>, image: &str) -> Self {
        let namespace = stack.cluster.namespace().await.unwrap();
        let name = unique("claim");
        let secrets = Api::<Secret>::namespaced(stack.client.clone(), &namespace);
        let mut secret = Secret {
            data: Some([("ignition".to_owned(), ByteString(IGNITION.into()))].into()),
            ..Secret::default()
        };
        secret.metadata.name = Some("ignition".to_owned());
        secrets.create(&PostParams::default(), &secret).await.unwrap();
        let reference = |name: String| Some(LocalObjectReference { name });
        let spec = ServerClaimSpec {
            power: Power::On,
            server_ref: reference(machine.server_name()),
            ignition_secret_ref: reference("ignition".to_owned()),
            image: image.to_owned(),
            ..ServerClaimSpec::default()
        };
        let claims = Api::namespaced(stack.client.clone(), &namespace);
        claims.create(&PostParams::default(), &ServerClaim::new(&name, spec)).await.unwrap();
        let configurations = Api::namespaced(stack.client.clone(), &namespace);
        Self { claims, configurations, name }
    }

    /// The claim, once it `holds`.
    pub(crate) async fn is(&self, what: &str, holds: impl Fn(&ServerClaim) -> bool) -> ServerClaim {
        until(&self.claims, &self.name, what, holds).await.unwrap()
    }

    /// Where claims are, and its name.
    pub(crate) fn objects(&self) -> (&Api<ServerClaim>, &str) {
        (&self.claims, &self.name)
    }

    /// Waits until it has its server.
    pub(crate) async fn is_bound(&self) -> ServerClaim {
        let phase = |claim: &ServerClaim| claim.status.as_ref()?.phase.clone();
        self.is("Bound", |claim| phase(claim) == Some(ClaimPhase::Bound)).await
    }

    /// Its boot configuration, once it `holds`.
    pub(crate) async fn configuration(
        &self,
        what: &str,
        holds: impl Fn(&ServerBootConfiguration) -> bool,
    ) -> ServerBootConfiguration {
        until(&self.configurations, &self.name, what, holds).await.unwrap()
    }

    /// Wants another image.
    pub(crate) async fn wants(&self, image: &str) {
        let patch = Patch::Merge(json!({ "spec": { "image": image } }));
        self.claims.patch(&self.name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Asks for its end, and returns at once.
    pub(crate) async fn delete(&self) {
        self.claims.delete(&self.name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until it is gone, and its boot configuration with it.
    pub(crate) async fn is_gone(&self) {
        deleted(&self.claims, &self.name).await.unwrap();
        deleted(&self.configurations, &self.name).await.unwrap();
    }
}

/// SHA-256 of what a tenant's machine is told.
pub(crate) fn ignition_digest() -> String {
    sha256(IGNITION.as_bytes())
}
