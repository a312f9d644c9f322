//! The BMCs of Machines: only one request at a time to each BMC, even if it has several Machines.

use super::{absent_bmcs::AbsentBmcs, systems};
use crate::Error;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use metal_api::{Machine, MachineRedfish};
use metal_base::Locked;
use metal_bmc::{
    Bmc as _, Connect, Error as BmcError, Permit, Pin, Target, Withdrawn, is_about_no_host,
    is_about_the_list,
};
use metal_core::{
    bmc::{Destination, Missing},
    machine_identity::{BmcAddress, bmc_address, system_uri, uuid_by_bmc},
    pull_secret::is_name,
    redfish::{Scheme, Step, SystemReading, Unreachable},
};
use metal_machine::operations::{
    Certificate, ReadError, Reading, destination, from_pairs, refused_for, to_pairs,
};
use metal_runtime::{OkIf, clock, election::leadership::Leadership, report::Chain};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync, time::timeout};

/// How long a decision is valid; after that it has to be made again.
const DECISION: Duration = Duration::from_secs(30);
/// How long an action waits for the request in progress.
const TURN: Duration = Duration::from_secs(20);

/// Restrictions for access to BMCs.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    /// Namespace of the Secrets with their passwords; Secrets in other namespaces are not read.
    pub(crate) namespace: String,
    /// Whether plain HTTP is allowed.
    pub(crate) plain_http: bool,
    /// The lease, which allows this process to act.
    pub(crate) leadership: Leadership,
}

/// The BMCs.
pub(crate) struct Bmcs<C> {
    connect: C,
    secrets: Api<Secret>,
    pub(crate) access: Access,
    lines: Mutex<HashMap<BmcAddress, Arc<sync::Mutex<()>>>>,
    absent: AbsentBmcs,
}

/// Access to the BMC of one Machine.
struct BmcLogin {
    destination: Destination,
    pin: Option<Pin>,
    /// For how long the credentials are held back, because another process was refused with them.
    rest: Option<SignedDuration>,
}

impl<C: Connect> Bmcs<C> {
    pub(crate) fn new(connect: C, client: &Client, access: Access) -> Self {
        let secrets = Api::namespaced(client.clone(), &access.namespace);
        let (lines, absent) = (Mutex::default(), AbsentBmcs::default());
        Self { connect, secrets, access, lines, absent }
    }

    /// The certificate that the BMC of a Machine presents; `None` while the BMC is busy with
    /// another request.
    pub(crate) async fn certificate(&self, redfish: &MachineRedfish) -> Option<Certificate> {
        let place = match bmc_address(redfish, self.access.plain_http) {
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

    /// A reading of the system of a Machine; `None` while its BMC is busy with another request.
    ///
    /// # Errors
    ///
    /// Those of the API server. A BMC that does not answer is a fact.
    pub(crate) async fn system(&self, machine: &Machine) -> Result<Option<Reading>, Error> {
        let redfish = redfish(machine)?;
        let way = match self.way(machine, redfish).await? {
            Ok(way) => way,
            Err(missing) => return Ok(Some(Err(ReadError::Unusable(missing)))),
        };
        let Ok(_turn) = self.line(&place_of(&way.destination)).try_lock_owned() else {
            return Ok(None);
        };
        let bmc = self.client(&way).await;
        let found = match system_uri(redfish) {
            Ok(Some(uri)) => systems::named(&bmc, &uri).await,
            Ok(None) => {
                let mut remarks = vec![];
                let systems = bmc.systems_with(&mut remarks).await;
                // Once it is known which one it is, another one in its place is noticed.
                let is_known = is_known(machine);
                remarks.retain(|remark| !is_known && is_about_the_unread(remark));
                systems.map(|systems| only(systems, &remarks))
            }
            Err(missing) => Ok(Err(missing)),
        };
        Ok(Some(match found {
            Ok(found) => found.map_err(ReadError::Unusable),
            Err(error) => Err(self.trouble(error, &way).await),
        }))
    }

    /// Executes one action on the system with this URI.
    ///
    /// # Errors
    ///
    /// Those of the API server and of the BMC. After an error of the BMC, the action may have been
    /// executed.
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

    /// Logs out of a BMC that is not needed any more.
    pub(crate) async fn forget(&self, redfish: &MachineRedfish) {
        if let Ok(place) = bmc_address(redfish, self.access.plain_http) {
            self.connect.forget(&target(&place)).await;
        }
    }

    /// The address and credentials of the BMC of a Machine. The Secret is read each time, because
    /// that is rare, and a deleted Secret must not be used.
    async fn way(
        &self,
        machine: &Machine,
        redfish: &MachineRedfish,
    ) -> Result<Result<BmcLogin, Missing>, Error> {
        let place = match bmc_address(redfish, self.access.plain_http) {
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
        // A name that is a path may lead to another Secret, where a proxy shortens it. None has such a name.
        let secret = if is_name(&reference.name) {
            let secret = self.secrets.get(&reference.name).await.ok_if_not_found();
            secret.map_err(|error| Error::Secret(Box::new(error)))?
        } else {
            None
        };
        let key = reference.key.as_deref().unwrap_or_default();
        let data = secret.as_ref().and_then(|secret| secret.data.as_ref());
        let password = data.and_then(|data| data.get(key)).map(|value| &*value.0);
        let destination = match destination(redfish, place, password) {
            Ok(destination) => destination,
            Err(missing) => return Ok(Err(missing)),
        };
        let rest = secret.as_ref().and_then(|it| refused_for(machine, it, Timestamp::now()));
        let pin = pin_of(machine);
        if destination.scheme == Scheme::Https && pin.is_none() {
            let message =
                "status.redfish.certFingerprint is not a valid fingerprint: remove it".to_owned();
            return Ok(Err(Missing { reason: "NotPinned", message }));
        }
        Ok(Ok(BmcLogin { destination, pin, rest }))
    }

    /// The connection to a BMC with a pinned certificate. A connection that was made with another
    /// pin is not used any more.
    async fn client(&self, way: &BmcLogin) -> C::Bmc {
        let target = target(&place_of(&way.destination));
        if self.connect.pin(&target) != way.pin {
            self.connect.forget(&target).await;
            self.connect.set_pin(&target, way.pin);
        }
        let credentials = &way.destination.credentials;
        if let Some(rest) = way.rest {
            self.connect.hold_back(&target, credentials, rest.unsigned_abs());
        }
        self.connect.connect(&target, credentials)
    }

    /// Why a BMC gave no usable response; a different certificate is detected by reading it.
    async fn trouble(&self, error: BmcError, way: &BmcLogin) -> ReadError {
        let unreachable = Unreachable::from(error);
        if let (Unreachable::NoAnswer(_), Some(pin)) = (&unreachable, way.pin) {
            let target = target(&place_of(&way.destination));
            if let Some(shown) = self.shown(&target).await
                && shown != pin
            {
                let shown = to_pairs(&shown.to_string()).unwrap_or_default();
                return ReadError::CertificateDiffers(shown);
            }
        }
        ReadError::Silent(unreachable)
    }

    /// The certificate of a BMC that does not answer otherwise. One that is absent is not asked again and again:
    /// each time takes seconds, for which requests to other BMCs wait.
    async fn shown(&self, target: &Target) -> Option<Pin> {
        if self.absent.has(target) {
            return None;
        }
        let shown = self.connect.introduce(target).await;
        if shown.is_err() {
            self.absent.note(target);
        }
        shown.ok().flatten()
    }

    /// Held while a request to a BMC is in progress.
    fn line(&self, place: &BmcAddress) -> Arc<sync::Mutex<()>> {
        let mut lines = self.lines.locked();
        lines.retain(|known, line| known == place || Arc::strong_count(line) > 1);
        Arc::clone(lines.entry(place.clone()).or_default())
    }

    /// Valid while this process leads and the decision is recent.
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

/// The pinned certificate of a BMC.
fn pin_of(machine: &Machine) -> Option<Pin> {
    let redfish = machine.status.as_ref()?.redfish.as_ref()?;
    from_pairs(redfish.cert_fingerprint.as_deref()?)?.parse().ok()
}

fn place_of(destination: &Destination) -> BmcAddress {
    let Destination { scheme, host, port, .. } = destination;
    BmcAddress { scheme: *scheme, host: host.clone(), port: *port }
}

fn target(place: &BmcAddress) -> Target {
    Target { scheme: place.scheme, host: place.host.clone(), port: place.port }
}

/// Whether it was recorded which system a Machine is.
fn is_known(machine: &Machine) -> bool {
    uuid_by_bmc(machine).is_some()
}

/// Whether a remark is about a system that may be there, and could not be read. Firmware that miscounts
/// its systems has told all of them.
fn is_about_the_unread(remark: &str) -> bool {
    !is_about_no_host(remark) && !is_about_the_list(remark)
}

/// The system of a BMC with only one. If the BMC does not tell all of its systems, as `unread` says, it
/// may have another one.
fn only(systems: Vec<SystemReading>, unread: &[String]) -> Result<SystemReading, Missing> {
    let ids = systems::ids(&systems);
    let (has, todo) = match (systems.as_slice(), unread) {
        ([], []) => ("has no systems".to_owned(), "check the BMC".to_owned()),
        (_, []) => (format!("has several systems [{ids}]"), "set it to one of them".to_owned()),
        (_, [first, ..]) => (
            format!("does not tell all of its systems ({first})"),
            format!("set it to that of this machine, if that stays so; [{ids}] can be read"),
        ),
    };
    let message = format!("spec.pxe.redfish.deviceID is empty, but this BMC {has}: {todo}");
    let ambiguous = Missing { reason: "SystemAmbiguous", message };
    match <[_; 1]>::try_from(systems) {
        Ok([system]) if unread.is_empty() => Ok(system),
        Ok(_) | Err(_) => Err(ambiguous),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::{MachineKeyReference, MachineSystemStatus};
    use metal_bmc::{Config, Fleet};
    use metal_runtime::testing::ApiServer;

    #[tokio::test]
    async fn a_password_whose_secret_is_named_by_a_path_is_asked_of_nobody() {
        let server = ApiServer::default();
        let access = Access {
            namespace: "bmcs".to_owned(),
            plain_http: false,
            leadership: Leadership::default(),
        };
        let bmcs = Bmcs::new(Fleet::new(Config::default()), &server.client("bmcs"), access);
        let password_ref = MachineKeyReference {
            name: "../../other/secrets/a".to_owned(),
            namespace: "bmcs".to_owned(),
            key: Some("key".to_owned()),
        };
        let url = "https://192.0.2.1".to_owned();
        let redfish = MachineRedfish { url, password_ref, ..MachineRedfish::default() };
        let machine = crate::fixture::machine("node-01", crate::fixture::OURS, 1);
        let way = bmcs.way(&machine, &redfish).await.unwrap();
        assert_eq!(way.err().map(|missing| missing.reason), Some("PasswordMissing"));
        assert!(server.sent().is_empty());
    }

    #[test]
    fn a_bmc_that_does_not_tell_all_of_its_systems_may_have_another_one() {
        let system = |id: u32| SystemReading {
            uri: format!("/redfish/v1/Systems/{id}"),
            ..SystemReading::default()
        };
        let unread = ["/redfish/v1/Systems/2: HTTP 503".to_owned()];
        assert_eq!(only(vec![system(1)], &[]), Ok(system(1)));
        for (systems, unread, told) in [
            (vec![], &[][..], "has no systems: check the BMC"),
            (vec![system(1), system(2)], &[], "has several systems [1, 2]: set it to one"),
            (vec![system(1)], &unread, "systems (/redfish/v1/Systems/2: HTTP 503): set it to"),
        ] {
            let Missing { reason, message } = only(systems, unread).unwrap_err();
            assert_eq!(reason, "SystemAmbiguous");
            assert!(message.contains(told), "{message}");
        }
    }

    #[test]
    fn firmware_that_miscounts_its_systems_leaves_none_unread() {
        for (remark, is_unread) in [
            ("/redfish/v1/Systems: Members@odata.count is 2, but there are 1 members", false),
            ("/redfish/v1/Systems: 1 links are invalid", false),
            ("/redfish/v1/Systems/2 has nothing to boot from, so it is not a host", false),
            ("/redfish/v1/Systems/2: HTTP 503", true),
            ("/redfish/v1/Systems, after 1: HTTP 503", true),
        ] {
            assert_eq!(is_about_the_unread(remark), is_unread, "{remark}");
        }
    }

    #[test]
    fn which_system_a_machine_is_counts_for_the_url_that_it_was_read_at() {
        let mut machine = crate::fixture::machine("node-01", crate::fixture::OURS, 1);
        let url = "https://192.0.2.1".to_owned();
        let redfish = MachineRedfish { url: url.clone(), ..MachineRedfish::default() };
        machine.spec.pxe.as_mut().unwrap().redfish = Some(redfish);
        assert!(!is_known(&machine));
        let uuid = "38947555-7742-3448-3784-82334782383a".to_owned();
        let system = MachineSystemStatus { url, device_id: None, uuid };
        let status = machine.status.get_or_insert_default();
        status.redfish.get_or_insert_default().system = Some(system);
        assert!(is_known(&machine));
        let redfish = machine.spec.pxe.as_mut().unwrap().redfish.as_mut().unwrap();
        redfish.url = "https://192.0.2.2".to_owned();
        assert!(!is_known(&machine));
    }
}
