//! New BMCs, which are recorded without proof: their number and lifetime are limited.

use super::{Error, Recorder};
use jiff::Timestamp;
use kube::{Api, ResourceExt};
use metal_api::{Bmc, BmcSecret, Endpoint, MacAddr};
use metal_base::Locked;
use metal_core::{
    endpoint::{Sighting, inline},
    ownership::{NETBOOT, is_made_by},
    unanswered::{can_be_made_again, has_answered, has_certificate, is_over},
};
use metal_dhcp::{NewBmcRate, config::Record};
use metal_runtime::{OkIf, delete_seen, report::Chain};
use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How often expired entries are collected.
const COLLECT_EVERY: Duration = Duration::from_mins(10);
/// How long it may take until a created object appears in the watch.
const SHOWN: Duration = Duration::from_mins(1);

/// The recently recorded BMCs.
#[derive(Debug, Default)]
pub(crate) struct NewBmcs(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    rate: NewBmcRate,
    /// Objects that were created and have not appeared in the watch yet.
    made: HashMap<String, Instant>,
    told: Option<Instant>,
}

impl NewBmcs {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.locked()
    }
}

impl Recorder {
    /// Admits a new BMC.
    pub(super) fn admit(&self, seen: &Sighting) -> Result<(), Error> {
        let config = self.config.borrow().clone();
        let shown: HashSet<String> = self.unanswered(config.record).collect();
        let mut state = self.new_bmcs.state();
        state.made.retain(|name, at| at.elapsed() < SHOWN && !shown.contains(name));
        let unanswered = shown.len() + state.made.len();
        let admitted = state.rate.admit(&config, seen.address, unanswered, Timestamp::now());
        admitted.map_err(|wait| {
            if state.told.is_none_or(|at| at.elapsed() > SHOWN) {
                state.told = Some(Instant::now());
                let hint = "if these BMCs are legitimate, increase endpoints.newPerMinute or \
                            endpoints.maxUnanswered";
                tracing::warn!(
                    unanswered,
                    hint,
                    "not recording more BMCs: too many are new or have never responded"
                );
            }
            Error::TooManyNew { wait: wait.unsigned_abs() }
        })
    }

    /// Records that an object for a new BMC was created.
    pub(super) fn made(&self, name: &str) {
        self.new_bmcs.state().made.insert(name.to_owned(), Instant::now());
    }

    /// Names of objects that we created for BMCs that have not answered.
    fn unanswered(&self, record: Record) -> impl Iterator<Item = String> {
        let bmcs = self.bmcs.all();
        match record {
            Record::Bmc => {
                let ours = bmcs.into_iter().filter(|bmc| is_made_by(&**bmc, NETBOOT));
                let ours = ours.filter(|bmc| !has_answered(bmc)).map(|bmc| bmc.name_any());
                ours.collect::<Vec<_>>().into_iter()
            }
            Record::Endpoint => {
                let answered = bmcs.iter().filter(|bmc| has_answered(bmc));
                let of =
                    answered.filter_map(|bmc| Some(bmc.spec.endpoint_ref.as_ref()?.name.as_str()));
                let answered: HashSet<&str> = of.collect();
                let ours = self.endpoints.all().into_iter();
                let ours = ours.filter(|endpoint| is_made_by(&**endpoint, NETBOOT));
                let ours = ours.map(|endpoint| endpoint.name_any());
                ours.filter(|name| !answered.contains(name.as_str()))
                    .collect::<Vec<_>>()
                    .into_iter()
            }
        }
    }

    pub(super) async fn collect_for_ever(&self) {
        loop {
            sleep(COLLECT_EVERY).await;
            self.collect(Timestamp::now()).await;
        }
    }

    /// Removes what was created for BMCs that never answered, a day after their leases. If one has
    /// answered in between, the resource version prevents that.
    pub(super) async fn collect(&self, now: Timestamp) {
        if !(self.endpoints.is_ready() && self.bmcs.is_ready()) {
            return;
        }
        self.sightings.follow_clock();
        let record = self.config.borrow().record;
        for name in self.unanswered(record) {
            match record {
                Record::Endpoint => {
                    let Some(endpoint) = self.endpoints.named(None, &name) else { continue };
                    if endpoint.spec.mac().is_some_and(|mac| self.is_over(mac, now)) {
                        let api = Api::<Endpoint>::all(self.client.clone());
                        log_removal(&name, delete_seen(&api, &*endpoint).await);
                    }
                }
                Record::Bmc => {
                    let Some(bmc) = self.bmcs.named(None, &name) else { continue };
                    if inline::mac_of(&bmc).is_some_and(|mac| self.is_over(mac, now))
                        && self.delete_credentials(&name).await
                    {
                        let api = Api::<Bmc>::all(self.client.clone());
                        log_removal(&name, delete_seen(&api, &*bmc).await);
                    }
                }
            }
        }
    }

    /// Another instance may know of a lease that we do not.
    fn is_over(&self, mac: MacAddr, now: Timestamp) -> bool {
        let alone = self.config.borrow().instances.is_none();
        self.sightings.ended(mac, alone).is_some_and(|ended| is_over(ended, now))
    }

    /// Deletes credentials for a BMC of this name that we created and nobody has changed. Returns whether they do not
    /// show that the BMC has answered after all.
    async fn delete_credentials(&self, name: &str) -> bool {
        let api = Api::<BmcSecret>::all(self.client.clone());
        match api.get(name).await.ok_if_not_found() {
            Ok(Some(secret)) if has_certificate(&secret) => return false,
            Ok(Some(secret))
                if is_made_by(&secret, NETBOOT)
                    && can_be_made_again(&secret, &self.database.borrow()) =>
            {
                log_removal(name, delete_seen(&api, &secret).await);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(error = %Chain(&error), name, "could not read credentials");
                return false;
            }
        }
        true
    }
}

fn log_removal(name: &str, deleted: Result<(), kube::Error>) {
    match deleted {
        Ok(()) => tracing::info!(name, "removed an Endpoint whose BMC never responded"),
        // It is retried.
        Err(error) => tracing::debug!(error = %Chain(&error), name, "not removed"),
    }
}
