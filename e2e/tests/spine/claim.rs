//! A tenant.

use e2e::stack::{Claimed, IGNITION, Machine, PXE_TENANT, Stack, claim, deleted, sha256, until};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use metal_api::{ClaimPhase, ServerBootConfiguration, ServerClaim, ServerState};
use serde_json::json;

/// A claim for one machine, in a namespace of its own.
pub(crate) struct Claim {
    claims: Api<ServerClaim>,
    configurations: Api<ServerBootConfiguration>,
    name: String,
}

impl Claim {
    /// Claims this machine, switched on, with this image.
    pub(crate) async fn of(stack: &Stack, machine: &Machine<'_>, image: &str) -> Self {
        let Claimed { namespace, name } = claim(stack, machine, image).await.unwrap();
        Self::named(stack, &namespace, &name)
    }

    /// Plugs in this machine, discovers it, and claims it; it has booted its tenant's image then.
    pub(crate) async fn booted(stack: &Stack, machine: &Machine<'_>) -> Self {
        machine.plug_in().await.unwrap();
        machine.enters(ServerState::Available).await.unwrap();
        let claim = Self::of(stack, machine, &stack.registry.image(PXE_TENANT)).await;
        claim.is_bound().await;
        machine.boots_tenant().await.unwrap();
        claim
    }

    /// The claim with this name.
    pub(crate) fn named(stack: &Stack, namespace: &str, name: &str) -> Self {
        let claims = Api::namespaced(stack.client.clone(), namespace);
        let configurations = Api::namespaced(stack.client.clone(), namespace);
        Self { claims, configurations, name: name.to_owned() }
    }

    /// The claim, once it `holds`.
    pub(crate) async fn is(&self, what: &str, holds: impl Fn(&ServerClaim) -> bool) -> ServerClaim {
        until(&self.claims, &self.name, what, holds).await.unwrap()
    }

    /// The API of claims, and its name.
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

    /// Changes its image.
    pub(crate) async fn wants(&self, image: &str) {
        let patch = Patch::Merge(json!({ "spec": { "image": image } }));
        self.claims.patch(&self.name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Requests its deletion, and returns at once.
    pub(crate) async fn delete(&self) {
        self.claims.delete(&self.name, &DeleteParams::default()).await.unwrap();
    }

    /// Waits until it is gone, and its boot configuration with it.
    pub(crate) async fn is_gone(&self) {
        deleted(&self.claims, &self.name).await.unwrap();
        deleted(&self.configurations, &self.name).await.unwrap();
    }
}

/// SHA-256 of the Ignition configuration of a tenant's machine.
pub(crate) fn ignition_digest() -> String {
    sha256(IGNITION.as_bytes())
}
