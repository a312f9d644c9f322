use crate::{metrics::Attested, tokens::Tokens, view::View};
use kube::{
    Api, Client,
    runtime::events::{EventType, Recorder},
};
use metal_api::Machine;
use metal_core::machine::Address;
use metal_runtime::{
    Writer,
    controller::reference,
    report::{Chain, event},
};
use prometheus_client::metrics::{counter::Counter, family::Family};
use ring::rand::SystemRandom;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Field manager of what is ours in a status.
pub(crate) const MANAGER: &str = "metalman";

/// How many machines are attested at a time: each costs the API server up to four requests.
const ATTESTATIONS: usize = 32;

/// What every pass and every handler may use.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// What is known of the cluster.
    pub view: Arc<View>,
    /// Publisher of events.
    pub recorder: Recorder,
    /// Where tokens come from.
    pub(crate) tokens: Tokens,
    /// Namespace of the ServiceAccounts of machines.
    pub(crate) machine_namespace: String,
    /// Certificates of the cluster's authorities, as PEM.
    pub(crate) cluster_ca: Option<String>,
    /// Randomness.
    pub(crate) random: SystemRandom,
    /// Places for machines that are being attested.
    pub(crate) attestations: Semaphore,
    /// Number of attestations.
    pub(crate) attested: Family<Attested, Counter>,
}

impl Context {
    /// A context in which nothing is known yet.
    pub fn new(
        client: Client,
        recorder: Recorder,
        machine_namespace: &str,
        cluster_ca: Option<String>,
    ) -> Self {
        Self {
            view: Arc::default(),
            recorder,
            tokens: Tokens::new(&client, machine_namespace),
            machine_namespace: machine_namespace.to_owned(),
            cluster_ca,
            random: SystemRandom::new(),
            attestations: Semaphore::new(ATTESTATIONS),
            attested: Family::default(),
            client,
        }
    }

    /// Writes Machines.
    pub(crate) fn machines(&self) -> Writer<'_, Machine, Address> {
        Writer::new(Api::all(self.client.clone()), &self.view.machines, MANAGER)
    }

    /// Tells of a Machine; best effort, because the status is the record.
    pub(crate) async fn tell(&self, machine: &Machine, type_: EventType, reason: &str, note: &str) {
        let mut object = reference::<Machine>(&machine.metadata.name.clone().unwrap_or_default());
        object.uid.clone_from(&machine.metadata.uid);
        let event = event(type_, reason, "Transition", note);
        if let Err(error) = self.recorder.publish(&event, &object).await {
            tracing::warn!(error = %Chain(&error), "event not published");
        }
    }
}
