//! Endpoints with the addresses of BMCs.

use super::{Error, MANAGER, Recorder};
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Api, ResourceExt, api::PostParams};
use metal_api::{Bmc, Endpoint, EndpointSpec, MacAddr, annotation};
use metal_core::endpoint::{
    Existing, Sighting,
    inline::mac_of,
    recording::{Answer, Conflict, Recording, name, recording},
};
use metal_dhcp::Sharing;
use metal_runtime::{patch_annotations, patch_spec};
use std::{collections::BTreeSet, io::ErrorKind, net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

/// How long a BMC may take to respond to a connection at its previous address.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many times it is tried, because packets may be lost.
const TIMES: u32 = 3;
/// The time between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// Port of a BMC if no other is known.
const HTTPS: u16 = 443;
/// How many ports of BMC objects are tried.
const PORTS: usize = 4;

impl Recorder {
    pub(super) async fn record_endpoint(&self, seen: &Sighting) -> Result<&'static str, Error> {
        let prefix = self.config.borrow().endpoint_prefix.clone();
        let decide = |answer| {
            let name = name(&prefix, seen.mac);
            let named = self.endpoints.named(None, &name);
            let existing = Existing { name, named, holders: self.endpoints.get(&seen.mac) };
            recording(seen, existing, answer, Timestamp::now())
        };
        let mut decision = decide(Answer::Unasked);
        if let Recording::Ask(known) = decision {
            if seen.is_recalled && !self.has_set_address(seen.mac).await? {
                return Ok("Unchanged");
            }
            decision = decide(self.ask(seen, known).await);
        }
        match decision {
            // The instance beside this one may have given it a later lease.
            Recording::Nothing if seen.is_recalled && self.is_beside_another() => Ok("Unchanged"),
            Recording::Nothing => self.settle(seen).await,
            Recording::Create(endpoint) => {
                self.admit(seen)?;
                self.create(seen, &endpoint).await
            }
            Recording::Readdress(endpoint) => self.readdress(seen, &endpoint).await,
            // It was asked already, but the known address has changed in between.
            Recording::Ask(_) => Err(Error::Deadline),
            Recording::Conflict(endpoint, why) => Err(self.conflict(seen, endpoint, why).await),
            Recording::Ambiguous(endpoints) => Err(Error::Ambiguous { mac: seen.mac, endpoints }),
            Recording::NameTaken(endpoint) => Err(Error::NameTaken { mac: seen.mac, endpoint }),
        }
    }

    /// Whether netboot has set the address in the Endpoint of a BMC. If it was a person, or an instance beside this one,
    /// then maybe since the BMC got its lease.
    async fn has_set_address(&self, mac: MacAddr) -> Result<bool, Error> {
        if self.is_beside_another() {
            return Ok(false);
        }
        let holders = self.endpoints.get(&mac);
        let [endpoint] = holders.as_slice() else { return Ok(false) };
        let api = Api::<Endpoint>::all(self.client.clone());
        // What is watched comes without managed fields.
        let there = api.get_metadata_opt(&endpoint.name_any()).await.map_err(Error::Readdress)?;
        Ok(there.is_some_and(|there| is_address_ours(&there.metadata)))
    }

    /// Whether another instance answers as well, and does not tell its leases.
    fn is_beside_another(&self) -> bool {
        self.config.borrow().instances.is_some_and(|it| it.mode == Sharing::Split)
    }

    /// Whether anything responds at the BMC's previous address.
    async fn ask(&self, seen: &Sighting, known: IpAddr) -> Answer {
        let ports = self.ports(seen.mac);
        for time in 0..TIMES {
            if time > 0 {
                sleep(PAUSE).await;
            }
            let probes = ports.iter().map(|port| responds(known, *port));
            if join_all(probes).await.contains(&true) {
                return Answer::Given;
            }
        }
        Answer::Missing
    }

    /// Ports at which a BMC may respond: of its BMC objects, and of the database.
    pub(super) fn ports(&self, mac: MacAddr) -> Vec<u16> {
        let of_endpoint = self.endpoints.get(&mac).into_iter().map(|it| it.name_any());
        let names: Vec<_> = of_endpoint.collect();
        let is_its = |bmc: &Bmc| {
            let endpoint = bmc.spec.endpoint_ref.as_ref();
            endpoint.is_some_and(|it| names.contains(&it.name)) || mac_of(bmc) == Some(mac)
        };
        let bmcs = self.bmcs.all();
        let its = bmcs.iter().filter(|bmc| is_its(bmc));
        let its = its.filter_map(|bmc| u16::try_from(bmc.spec.protocol.port).ok());
        let of_database = self.database.borrow().lookup(mac).map(|entry| entry.port);
        let ports: BTreeSet<_> = its.take(PORTS).chain(of_database).collect();
        if ports.is_empty() { vec![HTTPS] } else { ports.into_iter().collect() }
    }

    async fn create(&self, seen: &Sighting, new: &Endpoint) -> Result<&'static str, Error> {
        let api = Api::<Endpoint>::all(self.client.clone());
        // Not by server-side apply, which would take over an object of somebody else with that
        // name.
        let params =
            PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        api.create(&params, new).await.map_err(Error::Create)?;
        self.made(&new.name_any());
        tracing::info!(
            mac = %seen.mac,
            ip = %seen.address,
            endpoint = new.name_any(),
            "Endpoint created",
        );
        Ok("Created")
    }

    async fn readdress(&self, seen: &Sighting, old: &Endpoint) -> Result<&'static str, Error> {
        let api = Api::<Endpoint>::all(self.client.clone());
        let spec = EndpointSpec { ip: Some(seen.address.to_string()), ..EndpointSpec::default() };
        let new = patch_spec(&api, old, &spec, MANAGER).await.map_err(Error::Readdress)?;
        tracing::info!(
            mac = %seen.mac,
            ip = %seen.address,
            endpoint = old.name_any(),
            "address of an Endpoint updated",
        );
        if conflict_of(old).is_some() {
            let mut written = old.clone();
            written.metadata.resource_version = new.metadata.resource_version;
            self.note(&written, None).await?;
        }
        Ok("Readdressed")
    }

    /// A BMC is at the address in its Endpoint, so a conflict, if there was one, is over.
    async fn settle(&self, seen: &Sighting) -> Result<&'static str, Error> {
        let holders = self.endpoints.get(&seen.mac);
        let [endpoint] = holders.as_slice() else { return Ok("Unchanged") };
        let known = endpoint.spec.ip.as_deref().and_then(|ip| ip.parse().ok());
        if known == Some(seen.address) && conflict_of(endpoint).is_some() {
            self.note(endpoint, None).await?;
            return Ok("Settled");
        }
        Ok("Unchanged")
    }

    /// Shows on the Endpoint that its BMC was seen elsewhere.
    async fn conflict(&self, seen: &Sighting, endpoint: Arc<Endpoint>, why: Conflict) -> Error {
        let error = Error::AddressConflict { ip: seen.address, endpoint, why };
        let Error::AddressConflict { endpoint, .. } = &error else { return error };
        let text = error.to_string();
        if conflict_of(endpoint) != Some(&text)
            && let Err(failed) = self.note(endpoint, Some(&text)).await
        {
            return failed;
        }
        error
    }

    async fn note(&self, endpoint: &Endpoint, text: Option<&str>) -> Result<(), Error> {
        let api = Api::<Endpoint>::all(self.client.clone());
        let annotations = [(annotation::ADDRESS_CONFLICT, text)].into();
        let noted = patch_annotations(&api, endpoint, &annotations, MANAGER).await;
        noted.map(drop).map_err(Error::Note)
    }
}

/// Whether a host is there: one that refuses a connection is, too.
async fn responds(address: IpAddr, port: u16) -> bool {
    match timeout(PATIENCE, TcpStream::connect((address, port))).await {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => {
            matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset)
        }
        Err(_) => false,
    }
}

/// Whether `spec.ip` was set by netboot and nobody else (`metadata.managedFields`).
fn is_address_ours(meta: &ObjectMeta) -> bool {
    let setters = meta.managed_fields.iter().flatten().filter(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        fields.is_some_and(|it| it["f:spec"].get("f:ip").is_some())
    });
    let mut managers = setters.map(|entry| entry.manager.as_deref()).peekable();
    managers.peek().is_some() && managers.all(|manager| manager == Some(MANAGER))
}

fn conflict_of(endpoint: &Endpoint) -> Option<&String> {
    endpoint.metadata.annotations.as_ref()?.get(annotation::ADDRESS_CONFLICT)
}
