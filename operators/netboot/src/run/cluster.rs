//! What is read from and written to the API server.

use super::files::Files;
use crate::{
    args::Args,
    lease_publisher::LeasePublisher,
    machines::Machines,
    recorder::{self, MANAGER, NewBmcs, RecordedBmcs, Recorder, Sightings},
    shared_leases::SharedLeases,
    standby,
};
use anyhow::Context as _;
use kube::{
    Client,
    runtime::events::{Recorder as Events, Reporter as Source},
};
use metal_dhcp::Sharing;
use metal_runtime::{
    args::ElectionArgs,
    client,
    election::lease::Candidate,
    health::{Readiness, ReadinessCondition},
    metrics::Registry,
    report::{self, PassLabels, Reporter},
};
use prometheus_client::metrics::{counter::Counter, family::Family};
use std::sync::Arc;

/// The API server.
pub(super) struct Cluster {
    client: Client,
    /// What machines boot.
    pub(super) machines: Arc<Machines>,
    machines_listed: ReadinessCondition,
    /// Receives sightings of BMCs, and records them.
    pub(super) sightings: Sightings,
    recorder: Arc<Recorder>,
    /// Publishes the leases, and knows whether this instance answers.
    pub(super) published: SharedLeases,
    publisher: Arc<LeasePublisher>,
    leases_listed: ReadinessCondition,
    candidate: Option<Candidate>,
}

impl Cluster {
    /// Connects. Which instances there are does not change while the process runs:
    /// a configuration with others is refused.
    pub(super) async fn connect(
        args: &Args,
        files: &Files,
        readiness: &Readiness,
        registry: &mut Registry,
    ) -> anyhow::Result<Self> {
        let client = client::connect(&args.client, concat!("netboot/", env!("CARGO_PKG_VERSION")))
            .await
            .context(
                "recording Endpoints requires an API server; use --no-endpoints to run without \
                 one",
            )?;
        let passes = report::passes(registry);
        let recorder = recorder(&client, files, readiness, passes.clone());
        let sightings = recorder.sightings.clone();
        sightings.register(registry);
        let published = SharedLeases::new(files.config().borrow().instances);
        let shown = published.clone();
        let writer = LeasePublisher::new(client.clone(), shown, files.config(), passes);
        Ok(Self {
            candidate: candidate(args, files, &client),
            machines: Arc::new(Machines::new(args.boot_url_namespace.clone())),
            machines_listed: readiness.note("machines", "the API server"),
            sightings,
            recorder: Arc::new(recorder),
            published,
            publisher: Arc::new(writer),
            leases_listed: readiness.note("leases", "the API server"),
            client,
        })
    }

    /// The recorded BMCs.
    pub(super) fn recorded(&self) -> RecordedBmcs {
        let Recorder { endpoints, bmcs, .. } = &*self.recorder;
        RecordedBmcs { endpoints: Arc::clone(endpoints), bmcs: Arc::clone(bmcs) }
    }

    /// Reads and writes forever.
    pub(super) async fn follow(&mut self) -> anyhow::Result<()> {
        let Self { client, machines, machines_listed, recorder, .. } = self;
        let Self { publisher, leases_listed, candidate, .. } = self;
        let stand = async {
            match candidate {
                Some(candidate) => standby::stand(candidate, publisher).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ended = Arc::clone(recorder).run() => ended.context("recorder ended"),
            ended = machines.follow(client, machines_listed) => {
                ended.context("watch of machines ended")
            }
            ended = Arc::clone(publisher).run(leases_listed) => ended.context("watch of leases ended"),
            () = stand => Ok(()),
        }
    }

    /// This instance no longer answers: releases the Lease, so that the other one need not wait for
    /// it to expire.
    pub(super) async fn release(self) {
        if let Some(candidate) = self.candidate {
            candidate.release().await;
        }
    }
}

/// The candidate for the Lease, if only one of two instances answers.
fn candidate(args: &Args, files: &Files, client: &Client) -> Option<Candidate> {
    let instances = files.config().borrow().instances;
    let election = ElectionArgs {
        leader_elect: instances.is_some_and(|it| it.mode == Sharing::Standby),
        leader_elect_namespace: args.leader_elect_namespace.clone(),
        leader_elect_identity: None,
    };
    let candidate = election.candidate(client, standby::LEASE);
    candidate.map(|candidate| candidate.lasting(standby::DURATION))
}

fn recorder(
    client: &Client,
    files: &Files,
    readiness: &Readiness,
    passes: Family<PassLabels, Counter>,
) -> Recorder {
    let source = Source { controller: MANAGER.to_owned(), instance: None };
    let reporter =
        Reporter { controller: "endpoint", recorder: Events::new(client.clone(), source), passes };
    Recorder {
        client: client.clone(),
        endpoints: Arc::new(recorder::endpoints()),
        bmcs: Arc::new(recorder::bmcs()),
        database: files.bmcs(),
        sightings: Sightings::default(),
        config: files.config(),
        reporter,
        listed: readiness.note("endpoints", "the API server"),
        new_bmcs: NewBmcs::default(),
    }
}
