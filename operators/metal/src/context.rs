//! What every pass may use.

use crate::{macdb::MacPrefixes, server::Memories, view::View};
use jiff::Timestamp;
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder},
};
use metal_api::{Bmc, Server};
use metal_core::{
    bmc::{Destination, Missing, destination, inline_destination},
    capability::Key,
    discovery::IgnitionTemplate,
    redfish::Scheme,
    server::Settings,
};
use metal_runtime::report::Chain;
use std::sync::Arc;

/// What every pass may use.
pub struct Context<C> {
    /// The API server.
    pub client: Client,
    /// What is known of the cluster.
    pub view: Arc<View>,
    /// Publisher of events.
    pub recorder: Recorder,
    /// The BMCs.
    pub bmcs: C,
    /// What is remembered of servers between passes; all of it may be lost.
    pub memories: Memories,
    /// What the lifecycle depends on.
    pub settings: Settings,
    /// Scheme of BMCs that name none.
    pub default_scheme: Scheme,
    /// The MAC prefix database, as it is now.
    pub mac_prefixes: Arc<MacPrefixes>,
    /// What a discovery boots.
    pub discovery: DiscoveryBoot,
    /// When this process started.
    pub started: Timestamp,
}

/// What a discovery boots.
pub struct DiscoveryBoot {
    /// Image of the operating system.
    pub os_image: String,
    /// Image of the agent.
    pub probe_image: String,
    /// Where the agent finds the registry.
    pub registry_url: String,
    /// Template of the ignition.
    pub template: IgnitionTemplate,
    /// Key that issues registration tokens.
    pub key: Key,
}

impl<C> Context<C> {
    /// Where a BMC is, and who logs in.
    ///
    /// # Errors
    ///
    /// What is missing, or malformed.
    pub fn destination_of_bmc(&self, bmc: &Bmc) -> Result<Destination, Missing> {
        let endpoint = bmc.spec.endpoint_ref.as_ref();
        let endpoint = endpoint.and_then(|it| self.view.endpoints.named(None, &it.name));
        let secret = self.view.secrets.named(None, &bmc.spec.bmc_secret_ref.name);
        destination(bmc, endpoint.as_deref(), secret.as_deref(), self.default_scheme)
    }

    /// Where the BMC of a server is, and who logs in.
    ///
    /// # Errors
    ///
    /// What is missing, or malformed.
    pub fn destination_of(&self, server: &Server) -> Result<Destination, Missing> {
        let missing = |message| Missing { reason: "NoBMC", message };
        match (&server.spec.bmc_ref, &server.spec.bmc) {
            (Some(reference), _) => match self.view.bmcs.named(None, &reference.name) {
                Some(bmc) => self.destination_of_bmc(&bmc),
                None => {
                    let name = &reference.name;
                    Err(missing(format!("spec.bmcRef: there is no BMC {name}: create it")))
                }
            },
            (None, Some(access)) => {
                let secret = self.view.secrets.named(None, &access.bmc_secret_ref.name);
                inline_destination(access, secret.as_deref(), self.default_scheme)
            }
            (None, None) => Err(missing("set spec.bmcRef or spec.bmc".to_owned())),
        }
    }

    /// Publishes an event; best effort, because the status is the record.
    pub async fn announce<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        type_: EventType,
        reason: &str,
        note: String,
    ) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(note.chars().take(1000).collect()),
            action: "Transition".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::warn!(error = %Chain(&error), "event not published");
        }
    }
}
