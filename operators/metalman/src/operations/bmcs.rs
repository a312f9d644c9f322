//! The BMCs of Machines: one conversation with each at a time, whoever its Machines are.

use crate::Error;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use metal_api::{Machine, MachineRedfish};
use metal_bmc::{Bmc as _, Connect, Error as BmcError, Permit, Pin, Target, Withdrawn};
use metal_core::{
    bmc::{Destination, Missing},
    machine::operations::{
        Certificate, Place, Reading, Trouble, destination, from_pairs, place, system_uri, to_pairs,
    },
    redfish::{Scheme, Step, SystemReading, Unreachable},
};
use metal_runtime::{clock, leadership::Leadership, report::Chain};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync, time::timeout};

/// For how long a decision about a machine counts: what waits for longer is decided anew.
const DECISION: Duration = Duration::from_secs(30);
/// How long something that is to be done waits for the conversation that is going on.
const TURN: Duration = Duration::from_secs(20);

/// What may be done with BMCs.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// Namespace of the Secrets with their passwords; those of any other are not read.
    pub(crate) namespace: String,
    /// Whether they may be spoken to by plain HTTP.
    pub(crate) plain_http: bool,
    /// For how long this process may act.
    pub(crate) leadership: Leadership,
}

/// The BMCs.
pub(crate) struct Bmcs<C> {
    connect: C,
    secrets: Api<Secret>,
    pub(crate) access: Access,
    lines: Mutex<HashMap<Place, Arc<sync::Mutex<()>>>>,
}

/// The way to the BMC of one Machine.
struct Way {
    destination: Destination,
    pin: Option<Pin>,
}

impl<C: Connect> Bmcs<C> {
    pub(crate) fn new(connect: C, client: &Client, access: Access) -> Self {
        let secrets = Api::namespaced(client.clone(), &access.namespace);
        Self { connect, secrets, access, lines: Mutex::default() }
    }

    /// The certificate that the BMC of a Machine shows; nothing while somebody else talks to it.
    pub(crate) async fn certificate(&self, redfish: &MachineRedfish) -> Option<Certificate> {
        let place = match place(redfish, self.access.plain_http) {
            Ok(place) => place,
            Err(missing) => return Some(Err(missing.message)),
        };
        let _turn = self.line(&place).try_lock_owned().ok()?;
        Some(match self.connect.introduce(&target(&place)).await {
            Ok(shown) => shown
                .and_then(|pin| to_pairs(&pin.to_string()))
                .ok_or_else(|| "the BMC presented no certificate".to_owned()),
            Err(error) => Err(Chain(&error).to_string()),
        })
    }

    /// What the system of a Machine says; nothing while somebody else talks to its BMC.
    ///
    /// # Errors
    ///
    /// Those of the API server. A BMC that does not answer is a fact.
    pub(crate) async fn system(&self, machine: &Machine) -> Result<Option<Reading>, Error> {
        let redfish = redfish(machine)?;
        let way = match self.way(machine, redfish).await? {
            Ok(way) => way,
            Err(missing) => return Ok(Some(Err(Trouble::Unusable(missing)))),
        };
        let Ok(_turn) = self.line(&place_of(&way.destination)).try_lock_owned() else {
            return Ok(None);
        };
        let bmc = self.client(&way).await;
        let found = match system_uri(redfish) {
            Ok(Some(uri)) => bmc.system(&uri).await.map(Ok),
            Ok(None) => bmc.systems().await.map(only),
            Err(missing) => Ok(Err(missing)),
        };
        Ok(Some(match found {
            Ok(found) => found.map_err(Trouble::Unusable),
            Err(error) => Err(self.trouble(error, &way).await),
        }))
    }

    /// Does one thing to the system with this URI.
    ///
    /// # Errors
    ///
    /// Those of the API server and of the BMC. After any of the BMC's it may have been done.
    pub(crate) async fn perform(
        &self,
        machine: &Machine,
        uri: &str,
        step: &Step,
    ) -> Result<(), Error> {
        let permit = self.permit();
        let way = self.way(machine, redfish(machine)?).await?;
        let way = way.map_err(|missing| Error::Unusable(missing.message))?;
        let line = self.line(&place_of(&way.destination));
        let _turn = timeout(TURN, line.lock_owned()).await.map_err(|_| Error::Busy)?;
        let bmc = self.client(&way).await.permitted(permit);
        bmc.perform(uri, step).await.map_err(|error| Error::Bmc(Box::new(error)))
    }

    /// Logs out of the BMC of a Machine that is gone.
    pub(crate) async fn forget(&self, redfish: &MachineRedfish) {
        if let Ok(place) = place(redfish, self.access.plain_http) {
            self.connect.forget(&target(&place)).await;
        }
    }

    /// Where the BMC of a Machine is, and who logs in. The Secret is read each time: it is seldom needed,
    /// and what was deleted counts no more.
    async fn way(
        &self,
        machine: &Machine,
        redfish: &MachineRedfish,
    ) -> Result<Result<Way, Missing>, Error> {
        let place = match place(redfish, self.access.plain_http) {
            Ok(place) => place,
            Err(missing) => return Ok(Err(missing)),
        };
        let reference = &redfish.password_ref;
        if reference.namespace != self.access.namespace {
            let message = format!(
                "spec.pxe.redfish.passwordRef.namespace: Secrets are only read from namespace {}",
                self.access.namespace
            );
            return Ok(Err(Missing { reason: "NamespaceNotAllowed", message }));
        }
        let secret = self.secrets.get_opt(&reference.name).await;
        let secret = secret.map_err(|error| Error::Secret(Box::new(error)))?;
        let key = reference.key.as_deref().unwrap_or_default();
        let data = secret.as_ref().and_then(|secret| secret.data.as_ref());
        let password = data.and_then(|data| data.get(key)).map(|value| &*value.0);
        let destination = match destination(redfish, place, password) {
            Ok(destination) => destination,
            Err(missing) => return Ok(Err(missing)),
        };
        let pin = pin_of(machine);
        if destination.scheme == Scheme::Https && pin.is_none() {
            let message =
                "status.redfish.certFingerprint is not a valid fingerprint: remove it".to_owned();
            return Ok(Err(Missing { reason: "NotPinned", message }));
        }
        Ok(Ok(Way { destination, pin }))
    }

    /// The connection to a BMC that is held to its certificate. One that was made while it was held to
    /// another one is not used any more.
    async fn client(&self, way: &Way) -> C::Bmc {
        let target = target(&place_of(&way.destination));
        if self.connect.pin(&target) != way.pin {
            self.connect.forget(&target).await;
            self.connect.set_pin(&target, way.pin);
        }
        self.connect.connect(&target, &way.destination.credentials)
    }

    /// Why a BMC gave no usable answer: one with another certificate says so to whoever asks for nothing
    /// else.
    async fn trouble(&self, error: BmcError, way: &Way) -> Trouble {
        let unreachable = Unreachable::from(error);
        if let (Unreachable::NoAnswer(_), Some(pin)) = (&unreachable, way.pin) {
            let target = target(&place_of(&way.destination));
            if let Ok(Some(shown)) = self.connect.introduce(&target).await
                && shown != pin
            {
                let shown = to_pairs(&shown.to_string()).unwrap_or_default();
                return Trouble::CertificateDiffers(shown);
            }
        }
        Trouble::Silent(unreachable)
    }

    /// What whoever talks to a BMC holds meanwhile.
    fn line(&self, place: &Place) -> Arc<sync::Mutex<()>> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|known, line| known == place || Arc::strong_count(line) > 1);
        Arc::clone(lines.entry(place.clone()).or_default())
    }

    /// Holds while this process leads and the decision is young.
    fn permit(&self) -> Permit {
        let (leadership, decided) = (self.access.leadership.clone(), clock::since_boot());
        Permit::new(move || {
            if !leadership.holds() {
                return Err(Withdrawn("this process no longer holds the lease"));
            }
            if clock::since_boot().saturating_sub(decided) >= DECISION {
                return Err(Withdrawn("the decision is too old"));
            }
            Ok(())
        })
    }
}

fn redfish(machine: &Machine) -> Result<&MachineRedfish, Error> {
    let redfish = machine.spec.pxe.as_ref().and_then(|pxe| pxe.redfish.as_ref());
    redfish.ok_or_else(|| Error::Unusable("spec.pxe.redfish is not set".to_owned()))
}

/// The certificate that a BMC is held to.
fn pin_of(machine: &Machine) -> Option<Pin> {
    let redfish = machine.status.as_ref()?.redfish.as_ref()?;
    from_pairs(redfish.cert_fingerprint.as_deref()?)?.parse().ok()
}

fn place_of(destination: &Destination) -> Place {
    let Destination { scheme, host, port, .. } = destination;
    Place { scheme: *scheme, host: host.clone(), port: *port }
}

fn target(place: &Place) -> Target {
    Target { scheme: place.scheme, host: place.host.clone(), port: place.port }
}

/// The system of a BMC that has one.
fn only(systems: Vec<SystemReading>) -> Result<SystemReading, Missing> {
    let ids: Vec<_> = systems.iter().map(|it| it.uri.rsplit('/').next().unwrap_or("")).collect();
    let message = format!(
        "spec.pxe.redfish.deviceID is empty, but this BMC has several systems [{}]: set it to one \
         of them",
        ids.join(", ")
    );
    let ambiguous = Missing { reason: "SystemAmbiguous", message };
    let [system] = <[_; 1]>::try_from(systems).map_err(|_| ambiguous)?;
    Ok(system)
}
