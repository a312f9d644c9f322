//! What every pass may use.

use crate::{
    Error, MANAGER,
    bmc_target::target,
    bmc_users::{BmcUser, BmcUsers},
    macdb::MacPrefixes,
    media::Media,
    memory::Memories,
    unreadable,
    view::View,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{ClusterResourceScope, NamespaceResourceScope},
    runtime::events::{EventType, Recorder},
};
use metal_api::{Bmc, BmcSecret, Endpoint, Server};
use metal_bmc::{Connect, Permit, Pin, Target, Withdrawn};
use metal_core::{
    bmc::{
        CredentialAnnotations, Destination, Login, Missing, Verification, certificate_of_server,
        destination, inline_destination, refused_for, refused_for_server,
    },
    capability::Key,
    redfish::Scheme,
    server::Settings,
};
use metal_ignition::discovery::IgnitionTemplate;
use metal_runtime::{
    Deferred, Writer, Written, clock,
    election::leadership::Leadership,
    index::Index,
    report::{event, publish},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, hash::Hash, sync::Arc, time::Duration};
use tokio::sync::{
    Semaphore,
    mpsc::{Receiver, Sender},
};

/// What every pass may use.
pub(crate) struct Context<C> {
    /// The API server.
    pub client: Client,
    /// What is known of the cluster.
    pub view: Arc<View>,
    /// Publisher of events.
    pub recorder: Recorder,
    /// The BMCs.
    pub bmcs: C,
    /// Who has a connection to which of them.
    pub users: BmcUsers,
    /// What is remembered about servers between passes; all of it may be lost.
    pub memories: Memories,
    /// The settings that the lifecycle depends on.
    pub settings: Settings,
    /// Scheme of BMCs without one.
    pub default_scheme: Scheme,
    /// How BMCs are authenticated.
    pub verification: Verification,
    /// Whether new servers are held until a person admits them.
    pub holds_new: bool,
    /// How many BMCs that have never answered are read at a time.
    pub unanswered: Semaphore,
    /// The current MAC prefix database.
    pub mac_prefixes: Arc<MacPrefixes>,
    /// What a discovery boots.
    pub discovery: DiscoveryBoot,
    /// Where BMCs read media from, if that is configured.
    pub media: Option<Media>,
    /// Objects that cannot be parsed, to be reported.
    pub unreadable: Sender<Unreadable>,
    /// For how long this process may act.
    pub leadership: Leadership,
}

/// For how long a decision about a machine is valid, or a reading right before a write that confirms
/// it. A busy BMC may take this long to answer the request before a write; what waits for longer is
/// decided on again.
const DECISION: Duration = Duration::from_secs(30);

/// An object that cannot be parsed. It is ignored until it can be.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// The object.
    pub object: ObjectReference,
    /// What is wrong, with the path of the field.
    pub error: String,
}

/// What a discovery boots.
pub(crate) struct DiscoveryBoot {
    /// Image of the operating system.
    pub os_image: String,
    /// Image of the agent.
    pub probe_image: String,
    /// Where the agent finds the registry.
    pub registry_url: String,
    /// Template of the ignition.
    pub template: IgnitionTemplate,
    /// Key that issues registration tokens, once it is known; nothing is prepared before that.
    pub key: Deferred<Key>,
}

impl<C: Connect> Context<C> {
    /// The connection to the BMC of a server, pinned to the recorded certificate.
    pub(crate) fn connect(&self, server: &Server, destination: &Destination) -> C::Bmc {
        let target = target(destination);
        let (reference, own) = (server.spec.bmc_ref.as_ref(), BmcUser::Server(server.name_any()));
        if let Some(reference) = reference {
            self.abandon(self.users.leave(&own));
            self.keep_to(BmcUser::Bmc(reference.name.clone()), &target);
        } else {
            self.keep_to(own, &target);
        }
        let bmc = reference.and_then(|reference| self.view.bmcs.named(None, &reference.name));
        let pin = if let Some(bmc) = &bmc {
            self.pin_of(bmc, destination)
        } else {
            let secret = self.secret_of_server(server);
            let certificate = certificate_of_server(server, secret.as_deref(), destination);
            certificate.and_then(|text| text.parse().ok())
        };
        // A field that is missing is no consent to another certificate.
        if pin.is_some() {
            self.bmcs.set_pin(&target, pin);
        }
        match bmc {
            Some(bmc) => {
                self.bmcs.set_host_name(&target, bmc.spec.hostname.as_deref());
                self.recall_refusal(&bmc, &target, destination);
            }
            None => self.recall_refusal_of_server(server, &target, destination),
        }
        self.bmcs.connect(&target, &destination.credentials)
    }

    /// Records that this user connects to this BMC now, and to no other.
    pub(crate) fn keep_to(&self, user: BmcUser, target: &Target) {
        self.abandon(self.users.keep_to(user, target));
    }

    /// A BMC at this address has no user any more. Something else may have the address by now.
    fn abandon(&self, unused: Option<Target>) {
        if let Some(unused) = unused {
            self.bmcs.abandon(&unused);
        }
    }

    /// Logs out of the BMC of a user that is gone, unless somebody else has it as well.
    pub(crate) async fn leave(&self, user: &BmcUser) {
        if let Some(unused) = self.users.leave(user) {
            self.bmcs.forget(&unused).await;
        }
    }

    /// Holds back credentials that a previous process was refused with.
    pub(crate) fn recall_refusal(&self, bmc: &Bmc, target: &Target, destination: &Destination) {
        let secret = self.secret_of(bmc);
        let rest = secret.and_then(|secret| refused_for(bmc, &secret, Timestamp::now()));
        self.hold_back(target, destination, rest);
    }

    fn recall_refusal_of_server(
        &self,
        server: &Server,
        target: &Target,
        destination: &Destination,
    ) {
        let secret = self.secret_of_server(server);
        let rest = secret.and_then(|it| refused_for_server(server, &it, Timestamp::now()));
        self.hold_back(target, destination, rest);
    }

    fn hold_back(&self, target: &Target, to: &Destination, rest: Option<SignedDuration>) {
        if let Some(rest) = rest {
            self.bmcs.hold_back(target, &to.credentials, rest.unsigned_abs());
        }
    }
}

impl<C> Context<C> {
    /// A writer of cluster-scoped objects that are in this index.
    pub(crate) fn writer<'a, K, Key>(&self, index: &'a Index<K, Key>) -> Writer<'a, K, Key>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + Debug,
        Key: Eq + Hash,
    {
        Writer::new(Api::all(self.client.clone()), index, MANAGER)
    }

    /// Like [`Self::writer`], for objects in one namespace.
    pub(crate) fn writer_in<'a, K, Key>(
        &self,
        index: &'a Index<K, Key>,
        namespace: &str,
    ) -> Writer<'a, K, Key>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + Clone
            + DeserializeOwned
            + Serialize
            + Debug,
        Key: Eq + Hash,
    {
        Writer::new(Api::namespaced(self.client.clone(), namespace), index, MANAGER)
    }

    /// The permit for a write to a BMC that was decided on now: it holds while this process leads
    /// and the decision is recent.
    pub(crate) fn permit(&self) -> Permit {
        permit(self.leadership.clone(), clock::since_boot, DECISION)
    }

    /// The address of a BMC, and the credentials for it.
    ///
    /// # Errors
    ///
    /// What is missing or malformed, or that it is not known which BMC is there.
    pub(crate) fn destination_of_bmc(&self, bmc: &Bmc) -> Result<Destination, Missing> {
        let endpoint = bmc.spec.endpoint_ref.as_ref();
        let endpoint = endpoint.and_then(|it| self.view.endpoints.named(None, &it.name));
        if let Some(endpoint) = endpoint.as_deref().filter(|_| bmc.spec.access.is_none()) {
            let others = self.view.endpoints_at(endpoint);
            if !others.is_empty() {
                return Err(ambiguous(endpoint, &others));
            }
        }
        let secret = self.secret_of(bmc);
        let secret = secret.as_deref();
        let destination = destination(bmc, endpoint.as_deref(), secret, self.default_scheme)
            .map_err(|missing| unreadable::of_bmc(&self.view, bmc, missing))?;
        let login = Login { bmc, secret, at: &destination };
        login.is_allowed(self.verification, Timestamp::now())?;
        Ok(destination)
    }

    /// The credentials of a BMC.
    pub(crate) fn secret_of(&self, bmc: &Bmc) -> Option<Arc<BmcSecret>> {
        self.view.secrets.named(None, &bmc.spec.bmc_secret_ref.name)
    }

    /// The credentials of the BMC in `spec.bmc`.
    pub(crate) fn secret_of_server(&self, server: &Server) -> Option<Arc<BmcSecret>> {
        let access = server.spec.bmc.as_ref().filter(|_| server.spec.bmc_ref.is_none())?;
        self.view.secrets.named(None, &access.bmc_secret_ref.name)
    }

    /// Records with the credentials which BMC they belong to.
    ///
    /// # Errors
    ///
    /// Errors of the API server; a conflict is expected now and then.
    pub(crate) async fn note(
        &self,
        secret: Option<Arc<BmcSecret>>,
        note: &CredentialAnnotations,
    ) -> Result<Written, Error> {
        let Some(secret) = secret else { return Ok(Written::Unseen) };
        let annotations = note.iter().map(|(key, value)| (&**key, value.as_deref())).collect();
        let noted = self.writer(&self.view.secrets).patch_annotations(&secret, &annotations).await;
        noted.map_err(Error::write("BMCSecret"))
    }

    /// The certificate that a BMC is pinned to.
    pub(crate) fn pin_of(&self, bmc: &Bmc, at: &Destination) -> Option<Pin> {
        let secret = self.secret_of(bmc);
        Login { bmc, secret: secret.as_deref(), at }.certificate()?.parse().ok()
    }

    /// The certificate that the BMC in `spec.bmc` has presented.
    pub(crate) fn shown_by(&self, server: &Server, destination: &Destination) -> Option<String>
    where
        C: Connect,
    {
        let target = target(destination);
        server
            .spec
            .bmc_ref
            .is_none()
            .then(|| self.bmcs.pin(&target))
            .flatten()
            .map(|pin| pin.to_string())
    }

    /// The address of the BMC of a server, and the credentials for it.
    ///
    /// # Errors
    ///
    /// What is missing or malformed.
    pub(crate) fn destination_of(&self, server: &Server) -> Result<Destination, Missing> {
        let missing = |message| Missing { reason: "NoBMC", message };
        match (&server.spec.bmc_ref, &server.spec.bmc) {
            (Some(reference), _) => {
                let name = &reference.name;
                let absent = || missing(unreadable::no_bmc(&self.view, name));
                self.destination_of_bmc(&*self.view.bmcs.named(None, name).ok_or_else(absent)?)
            }
            (None, Some(access)) => {
                let name = &access.bmc_secret_ref.name;
                let secret = self.view.secrets.named(None, name);
                let (scheme, verification) = (self.default_scheme, self.verification);
                inline_destination(access, secret.as_deref(), scheme, verification)
                    .map_err(|missing| unreadable::of_secret(&self.view, name, missing))
            }
            (None, None) => Err(missing("set spec.bmcRef or spec.bmc".to_owned())),
        }
    }

    /// Reports objects that cannot be parsed, forever.
    pub(crate) async fn tell_unreadable(&self, mut objects: Receiver<Unreadable>) {
        while let Some(Unreadable { object, error }) = objects.recv().await {
            let note = format!("ignored until it is corrected: {error}");
            self.publish(&object, EventType::Warning, "Unreadable", note).await;
        }
    }

    /// Publishes an event; best effort, because the status is the record.
    pub(crate) async fn announce<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        type_: EventType,
        reason: &str,
        note: String,
    ) {
        self.publish(&object.object_ref(&()), type_, reason, note).await;
    }

    /// Like `announce`, for an object given by reference.
    pub(crate) async fn publish(
        &self,
        object: &ObjectReference,
        type_: EventType,
        reason: &str,
        note: String,
    ) {
        let event = event(type_, reason, "Transition", &note);
        publish(&self.recorder, &event, object).await;
    }
}

/// Two BMCs cannot have the same address: it is not known which of them is there, so nobody logs
/// in.
fn ambiguous(endpoint: &Endpoint, others: &[String]) -> Missing {
    let (name, others) = (endpoint.name_any(), others.join(", "));
    let ip = endpoint.spec.ip.as_deref().unwrap_or_default();
    let message = format!(
        "spec.ip {ip} of Endpoint {name} is also used by Endpoint {others}: keep only the \
         Endpoint whose BMC has this address, and correct or delete the others"
    );
    Missing { reason: "Ambiguous", message }
}

fn permit(leadership: Leadership, clock: fn() -> Duration, lasts: Duration) -> Permit {
    let leads = move || {
        let lost = Withdrawn("this process no longer holds the lease");
        if leadership.holds() { Ok(()) } else { Err(lost) }
    };
    Permit::new(leads).lasting(lasts, clock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    static NOW: AtomicU64 = AtomicU64::new(100);

    #[test]
    fn a_write_that_waits_too_long_is_withdrawn() {
        let clock = || Duration::from_secs(NOW.load(SeqCst));
        let permit = permit(Leadership::default(), clock, DECISION);
        for (now, holds) in [(100, true), (129, true), (130, false), (10_000, false)] {
            NOW.store(now, SeqCst);
            assert_eq!(permit.check().is_ok(), holds, "at {now}");
        }
    }
}
