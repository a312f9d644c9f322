//! What passes and the handlers of requests have in common.

use crate::{
    answered_challenges::AnsweredChallenges,
    cluster::JoinedCluster,
    images::Images,
    live_machines::LiveMachines,
    metrics::{Attested, RefusalLabels},
    progress_limit::ProgressLimit,
    serve_url::ServeUrl,
    tokens::Tokens,
    user_data::UserData,
    view::View,
};
use ipnet::IpNet;
use jiff::Timestamp;
use kube::{
    Api, Client,
    runtime::events::{EventType, Recorder},
};
use metal_api::Machine;
use metal_attest::Roots;
use metal_core::{capability, machine_identity::Address};
use metal_machine::operations::Clocks;
use metal_runtime::{
    Deferred, Writer,
    clock::MonotonicClock,
    controller::reference,
    report::{event, publish},
};
use prometheus_client::metrics::{counter::Counter, family::Family};
use ring::rand::SystemRandom;
use std::{net::Ipv4Addr, sync::Arc};
use tokio::sync::{Mutex, Semaphore, watch};

/// Field manager of our fields in a status.
pub(crate) const MANAGER: &str = "metalman";

/// Namespace of the Secrets with logins for registries, unless a flag says otherwise.
pub(crate) const PULL_SECRETS: &str = "metalman-pull-secrets";

/// How many machines are attested at a time: each costs the API server up to four requests.
const ATTESTATIONS: usize = 32;

/// What every pass and every handler may use.
pub(crate) struct Context {
    /// The API server.
    pub(crate) client: Client,
    /// What is known of the cluster.
    pub(crate) view: Arc<View>,
    /// What the API server has at this moment.
    pub(crate) live: LiveMachines,
    /// Publisher of events.
    pub(crate) recorder: Recorder,
    /// Where tokens come from.
    pub(crate) tokens: Tokens,
    /// Namespace of the ServiceAccounts of machines.
    pub(crate) machine_namespace: String,
    /// Certificates of the cluster's authorities, as PEM.
    pub(crate) cluster_ca: Option<String>,
    /// A clock that nobody sets.
    pub(crate) steady: MonotonicClock,
    /// Randomness.
    pub(crate) random: SystemRandom,
    /// Places for machines that are being attested.
    pub(crate) attestations: Semaphore,
    /// Held while a first key is judged and recorded.
    pub(crate) first_keys: Mutex<()>,
    /// Number of attestations.
    pub(crate) attested: Family<Attested, Counter>,
    /// Authorities for endorsement keys; without any, the first key of a Machine is trusted.
    pub(crate) ek_roots: Option<watch::Receiver<Arc<Roots>>>,
    /// Challenges that were answered.
    pub(crate) spent: AnsweredChallenges,
    /// Limits how often a refused boot is recorded.
    pub(crate) refused: ProgressLimit,
    /// Limits how often the hardware of a machine is recorded.
    pub(crate) hardware: ProgressLimit,
    /// Limits how often it is reported that they get nothing to boot.
    pub(crate) unserved: ProgressLimit,
    /// Limits how often an event log is read.
    pub(crate) logs: ProgressLimit,
    /// Images of the Machines.
    pub(crate) images: Images,
    /// The cluster that machines join, as soon as it is known.
    pub(crate) cluster: JoinedCluster,
    /// The key of tokens in URLs, as soon as it is known.
    pub(crate) key: Deferred<capability::Key>,
    /// Where machines find what is served by HTTP.
    pub(crate) serve_url: ServeUrl,
    /// The only namespace of which Secrets with logins for registries are read.
    pub(crate) pull_secret_namespace: String,
    /// Networks of the proxies that are trusted to name the address of a machine.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// What was read of ConfigMaps.
    pub(crate) user_data: UserData,
    /// The only namespace of which ConfigMaps are served.
    pub(crate) user_data_namespace: String,
    /// The Node that this process runs on, if that is known.
    pub(crate) node_name: Option<String>,
    /// Limits how often machines report their progress.
    pub(crate) progress: ProgressLimit,
    /// Limits how often the verdict about their keys changes.
    pub(crate) verdicts: ProgressLimit,
    /// Limits how often they get a token.
    pub(crate) issued: ProgressLimit,
    /// Limits how often their installers report.
    pub(crate) installs: ProgressLimit,
    /// Limits how often their installers report failures.
    pub(crate) failures: ProgressLimit,
    /// Number of files that were not served.
    pub(crate) refusals: Family<RefusalLabels, Counter>,
}

impl Context {
    /// A context in which nothing is known yet.
    pub(crate) fn new(
        client: Client,
        recorder: Recorder,
        machine_namespace: &str,
        cluster_ca: Option<String>,
    ) -> Self {
        Self {
            view: Arc::default(),
            live: LiveMachines::new(&client),
            recorder,
            tokens: Tokens::new(&client, machine_namespace),
            machine_namespace: machine_namespace.to_owned(),
            cluster_ca,
            steady: MonotonicClock::default(),
            random: SystemRandom::new(),
            attestations: Semaphore::new(ATTESTATIONS),
            first_keys: Mutex::default(),
            attested: Family::default(),
            ek_roots: None,
            spent: AnsweredChallenges::default(),
            refused: ProgressLimit::of_boots(),
            hardware: ProgressLimit::of_boots(),
            unserved: ProgressLimit::of_news(),
            logs: ProgressLimit::of_boots(),
            images: Images::default(),
            cluster: JoinedCluster::default(),
            key: Deferred::default(),
            serve_url: ServeUrl::new(None, Ipv4Addr::UNSPECIFIED.into(), 0),
            trusted_proxies: vec![],
            pull_secret_namespace: PULL_SECRETS.to_owned(),
            user_data: UserData::default(),
            user_data_namespace: client.default_namespace().to_owned(),
            node_name: None,
            progress: ProgressLimit::of_boots(),
            verdicts: ProgressLimit::of_boots(),
            issued: ProgressLimit::of_tokens(),
            installs: ProgressLimit::of_installers(),
            failures: ProgressLimit::of_boots(),
            refusals: Family::default(),
            client,
        }
    }

    /// The time.
    pub(crate) fn now(&self) -> Clocks {
        Clocks { wall: Timestamp::now(), steady: self.steady.now() }
    }

    /// Writes Machines.
    pub(crate) fn machines(&self) -> Writer<'_, Machine, Address> {
        Writer::new(Api::all(self.client.clone()), &self.view.machines, MANAGER)
    }

    /// Publishes an event about a Machine; best effort, because the status is the record.
    pub(crate) async fn publish_event(
        &self,
        machine: &Machine,
        type_: EventType,
        reason: &str,
        note: &str,
    ) {
        let mut object = reference::<Machine>(&machine.metadata.name.clone().unwrap_or_default());
        object.uid.clone_from(&machine.metadata.uid);
        let event = event(type_, reason, "Transition", note);
        publish(&self.recorder, &event, &object).await;
    }
}
