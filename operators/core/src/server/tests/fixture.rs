//! A server, its machine and its cluster, as one decision sees them.

use super::*;
use crate::capability::{self, Claims, Key};
use crate::claim::misses;
use crate::redfish::{BootReading, MediaSlot, SystemReading};
use crate::report::InventorySummarySpec;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, OwnerReference, Time};
use metal_api::{
    ClaimReference, LocalObjectReference, ObjectReference, Power, ServerBootConfigurationSpec,
    ServerBootConfigurationStatus, ServerClaimSpec, ServerSpec, finalizer,
};

pub(super) const T0: Timestamp = Timestamp::UNIX_EPOCH;

pub(super) fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

pub(super) fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

/// Everything that a decision sees.
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Scene {
    pub(super) server: Server,
    pub(super) access: Result<(), String>,
    pub(super) certificate: Option<String>,
    pub(super) note: Option<CredentialAnnotations>,
    pub(super) unstored: Option<String>,
    pub(super) reading: Option<Result<SystemReading, Unreachable>>,
    pub(super) read_at: Timestamp,
    pub(super) took: SignedDuration,
    pub(super) media: Option<Vec<MediaSlot>>,
    /// Why nobody knows the key of media, if nobody does.
    pub(super) no_url: Option<String>,
    pub(super) inventory: Option<Inventory>,
    pub(super) twins: Vec<String>,
    pub(super) machines: Vec<String>,
    pub(super) configuration: Option<ServerBootConfiguration>,
    pub(super) claim: Option<ServerClaim>,
    pub(super) claim_is_gone: bool,
    pub(super) report: Option<InventorySummary>,
    pub(super) interfaces: Option<Vec<NetworkInterface>>,
    pub(super) was_off: bool,
    pub(super) off_for: Option<SignedDuration>,
    pub(super) last_step: Option<LastStep>,
    pub(super) recorded: Option<Timestamp>,
    pub(super) failure: Option<Failure>,
    /// Whether a host that is on during its discovery reports.
    pub(super) reports: bool,
    /// Whether boot configurations have something for UEFI.
    pub(super) has_uki: bool,
    pub(super) settings: Settings,
    pub(super) started: Timestamp,
    pub(super) now: Timestamp,
}

impl Scene {
    /// A server that was just made from a BMC, whose host is off.
    pub(super) fn new() -> Self {
        let spec = ServerSpec {
            system_uuid: Some("38947555-7742-3448-3784-823347823834".to_owned()),
            boot_configuration_ref: Some(reference("manager", "server-a")),
            ..ServerSpec::default()
        };
        let mut server = Server::new("server-a", spec);
        server.metadata.uid = Some("uid-1".to_owned());
        server.metadata.finalizers = Some(vec![finalizer::SERVER.to_owned()]);
        let boot = BootReading {
            mode: Some(BootMode::Uefi),
            allowable: vec![BootSource::Pxe, BootSource::Hdd],
            ..BootReading::default()
        };
        let uuid = server.spec.effective_uuid();
        let system =
            SystemReading { uuid, power: PowerState::Off, boot, ..SystemReading::default() };
        Self {
            server,
            access: Ok(()),
            certificate: None,
            note: None,
            unstored: None,
            reading: Some(Ok(system)),
            read_at: T0,
            took: SignedDuration::ZERO,
            media: None,
            no_url: None,
            inventory: Some(Inventory::default()),
            twins: vec![],
            machines: vec![],
            configuration: None,
            claim: None,
            claim_is_gone: false,
            report: None,
            interfaces: None,
            was_off: true,
            off_for: None,
            last_step: None,
            recorded: None,
            failure: None,
            reports: true,
            has_uki: false,
            settings: settings(),
            started: T0 - seconds(1),
            now: T0,
        }
    }

    /// In `Discovery`, with everything in place.
    pub(super) fn in_discovery(state: BootState) -> Self {
        let mut scene = Self::new();
        scene.record();
        scene.prepare(state);
        scene
    }

    /// Like [`Scene::new`], with a virtual CD and no other way to boot.
    pub(super) fn with_drives() -> Self {
        let mut scene = Self::new();
        scene.system().boot.allowable = vec![BootSource::Hdd, BootSource::Cd];
        let cd = MediaSlot { uri: "/cd".to_owned(), is_cd: true, ..MediaSlot::default() };
        scene.media = Some(vec![cd]);
        scene.has_uki = true;
        scene
    }

    /// `Available`, and at rest.
    pub(super) fn available() -> Self {
        let mut scene = Self::in_discovery(BootState::Ready);
        scene.report_for("uid-1.1");
        scene.server.spec.boot_configuration_ref = None;
        scene.configuration = None;
        scene.record();
        scene
    }

    /// `Reserved` by the claim `tenant/claim`, which wants it on.
    pub(super) fn reserved() -> Self {
        let mut scene = Self::available();
        let uid = Some("claim-uid".to_owned());
        let (namespace, name) = ("tenant".to_owned(), "claim".to_owned());
        scene.server.spec.server_claim_ref =
            Some(ClaimReference { namespace, name, uid: uid.clone() });
        let spec = ServerClaimSpec { power: Power::On, ..ServerClaimSpec::default() };
        let mut claim = ServerClaim::new("claim", spec);
        claim.metadata.namespace = Some("tenant".to_owned());
        claim.metadata.uid = uid;
        scene.claim = Some(claim);
        scene.claim_configuration(BootState::Ready);
        scene.settle();
        scene
    }

    /// Creates the discovery's boot configuration, in this state.
    pub(super) fn prepare(&mut self, state: BootState) {
        self.configuration = Some(configuration("manager", "server-a", state));
        let attempt = self.server.status.as_ref().and_then(|s| s.discovery.as_ref()?.attempts);
        let attempt = attempt.unwrap_or(0).to_string();
        let annotations = [(annotation::DISCOVERY_ATTEMPT.to_owned(), attempt)].into();
        let metadata = &mut self.configuration.as_mut().unwrap().metadata;
        metadata.annotations = Some(annotations);
        metadata.uid = Some("boot-uid".to_owned());
        if self.has_uki {
            self.configuration_condition(condition::HTTP_BOOT_READY, "True");
        }
    }

    /// Changes the state of the boot configuration.
    pub(super) fn configure(&mut self, state: BootState) {
        let configuration = self.configuration.as_mut().unwrap();
        configuration.status.as_mut().unwrap().state = Some(state);
    }

    pub(super) fn configuration_condition(&mut self, type_: &str, status: &str) {
        let status = Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: "Test".to_owned(),
            message: String::new(),
            observed_generation: None,
            last_transition_time: Time(T0),
        };
        let configuration = self.configuration.as_mut().unwrap();
        configuration.status.as_mut().unwrap().conditions.push(status);
    }

    /// Creates the claim's boot configuration in this state, and refers to it.
    pub(super) fn claim_configuration(&mut self, state: BootState) {
        let mut configuration = configuration("tenant", "claim", state);
        let owner = OwnerReference { controller: Some(true), ..OwnerReference::default() };
        configuration.metadata.owner_references = Some(vec![owner]);
        self.configuration = Some(configuration);
        self.server.spec.boot_configuration_ref = Some(reference("tenant", "claim"));
    }

    /// The host reported a second ago, from this boot.
    pub(super) fn report_for(&mut self, boot: &str) {
        let eth0 = NetworkInterface {
            name: "eth0".to_owned(),
            mac_address: "23:11:8a:00:00:01".to_owned(),
            ..NetworkInterface::default()
        };
        let spec = InventorySummarySpec {
            boot_configuration_uid: Some(boot.to_owned()),
            received_time: Some(Time(self.now - seconds(1))),
            is_complete: true,
        };
        self.report = Some(InventorySummary { spec, ..InventorySummary::default() });
        self.interfaces = Some(vec![eth0]);
    }

    pub(super) fn annotate(&mut self, key: &str, value: &str) {
        let annotations = [(key.to_owned(), value.to_owned())].into();
        self.server.metadata.annotations = Some(annotations);
    }

    /// The system.
    pub(super) fn system(&mut self) -> &mut SystemReading {
        self.reading.as_mut().unwrap().as_mut().unwrap()
    }

    /// The system was read just now.
    pub(super) fn refresh(&mut self) {
        self.read_at = self.now;
        self.was_off |= matches!(&self.reading, Some(Ok(it)) if it.power == PowerState::Off);
        if let (Some(last_step), Some(Ok(system))) = (&mut self.last_step, &self.reading) {
            last_step.saw(system.power);
        }
    }

    /// This step was carried out just now.
    pub(super) fn carried_out(&mut self, step: Step) {
        self.requested(step, true);
    }

    /// The BMC refused this step just now.
    pub(super) fn refused(&mut self, step: Step) {
        self.requested(step, false);
    }

    /// The same, in these words.
    pub(super) fn refused_with(&mut self, step: Step, why: &str) {
        self.refused(step);
        self.last_step = self.last_step.take().map(|it| it.failed_with(why.to_owned()));
    }

    fn requested(&mut self, step: Step, taken: bool) {
        let pending = self.server.status.as_ref().and_then(|status| status.pending.as_ref());
        let since = pending.map(|pending| pending.since.0);
        let done = Done { step, at: self.now, taken, since };
        self.last_step = Some(LastStep::after(self.last_step.as_ref(), done));
    }

    pub(super) fn decide(&self) -> Decision {
        self.observe(decide)
    }

    pub(super) fn observe<T>(&self, judge: impl FnOnce(&Observation<'_>, &Settings) -> T) -> T {
        let reading = self.reading.clone().map(|result| Reading {
            at: self.read_at - self.took,
            took: self.took,
            result,
        });
        let claim = match (&self.server.spec.server_claim_ref, &self.claim) {
            (None, _) => ClaimSeen::Unclaimed,
            (Some(_), Some(claim)) => ClaimSeen::Holds(claim),
            (Some(_), None) if self.claim_is_gone => ClaimSeen::Gone,
            (Some(_), None) => ClaimSeen::NotCached,
        };
        let media = self.media.clone().map(|slots| MediaReading {
            at: self.read_at,
            result: Ok(slots),
            no_url: self.no_url.clone(),
        });
        let medium = medium_of(&self.server).filter(|_| self.no_url.is_none());
        let medium = medium.map(|claims| medium_url(&claims));
        let referred = self.server.spec.boot_configuration_ref.is_some();
        let observation = Observation {
            server: &self.server,
            access: self.access.as_ref().copied().map_err(String::as_str),
            certificate: self.certificate.as_deref(),
            note: self.note.as_ref(),
            unstored: self.unstored.as_deref(),
            system: reading.as_ref(),
            media: media.as_ref(),
            medium: medium.as_ref(),
            inventory: self.inventory.as_ref(),
            twins: &self.twins,
            machines: &self.machines,
            configuration: self.configuration.as_ref().filter(|_| referred),
            claim,
            missed_by: self.claim.as_ref().filter(|claim| misses(claim, &self.server)),
            report: self.report.as_ref(),
            interfaces: self.interfaces.as_deref(),
            was_off: self.was_off,
            off_for: self.off_for,
            last_step: self.last_step.as_ref(),
            recorded: self.recorded,
            failure: self.failure.as_ref(),
            started: self.started,
            now: self.now,
        };
        judge(&observation, &self.settings)
    }

    /// Decides, and records the status; any other decision is a failure.
    pub(super) fn record(&mut self) {
        let decision = self.decide();
        let Decision::Record(status) = decision else { panic!("{decision:?} is no record") };
        self.server.status = Some(*status);
        self.recorded = Some(self.now);
    }

    /// Records until there is nothing left to record.
    pub(super) fn settle(&mut self) {
        for _ in 0..5 {
            let Decision::Record(status) = self.decide() else { return };
            self.server.status = Some(*status);
        }
        panic!("records forever");
    }

    /// Stores an object as the API server would.
    pub(super) fn store(&mut self) {
        let stored = serde_json::to_value(&self.server).unwrap();
        self.server = serde_json::from_value(stored).unwrap();
    }

    pub(super) fn state(&self) -> ServerState {
        self.server.status.as_ref().and_then(|status| status.state.clone()).unwrap()
    }

    pub(super) fn pending(&self) -> Option<PendingKind> {
        Some(self.server.status.as_ref()?.pending.as_ref()?.kind.clone())
    }

    /// Message of one condition.
    pub(super) fn message(&self, type_: &str) -> &str {
        let conditions = &self.server.status.as_ref().unwrap().conditions;
        &conditions.iter().find(|c| c.type_ == type_).unwrap().message
    }

    /// Status and reason of one condition.
    pub(super) fn condition(&self, type_: &str) -> (&str, &str) {
        let conditions = &self.server.status.as_ref().unwrap().conditions;
        let found = conditions.iter().find(|c| c.type_ == type_).unwrap();
        (&found.status, &found.reason)
    }
}

/// The URL of a medium, as the boot-operator makes it.
pub(super) fn medium_url(claims: &Claims) -> ImageUrl {
    let key = Key::new(&[7; Key::MIN]).unwrap();
    let token = capability::issue(&key, claims).unwrap();
    ImageUrl::new(format!("http://boot/media/{}.iso", token.as_str()))
}

fn settings() -> Settings {
    Settings {
        namespace: "manager".to_owned(),
        boot_window: minutes(30),
        discovery_timeout: minutes(30),
        discovery_attempts: 3,
        shutdown_grace: minutes(2),
        power_polling: seconds(5),
        resync: minutes(2),
        enforce_first_boot: false,
        enforce_power_off: false,
        virtual_media: true,
    }
}

fn configuration(namespace: &str, name: &str, state: BootState) -> ServerBootConfiguration {
    let spec = ServerBootConfigurationSpec {
        server_ref: LocalObjectReference { name: "server-a".to_owned() },
        image: Some(ServerClaimSpec::default().image),
        ignition_secret_ref: None,
    };
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()),
        ..ObjectMeta::default()
    };
    let status = ServerBootConfigurationStatus { state: Some(state), ..Default::default() };
    ServerBootConfiguration { metadata, spec, status: Some(status) }
}

fn reference(namespace: &str, name: &str) -> ObjectReference {
    ObjectReference { namespace: namespace.to_owned(), name: name.to_owned() }
}
