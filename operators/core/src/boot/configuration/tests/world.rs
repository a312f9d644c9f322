//! The objects around one boot configuration, as seen by a test.

use super::{BASES, UUID};
use crate::boot::{
    Ignition, Unavailable,
    configuration::{
        BootConfigs, Change, Decision, Image, Modes, Observation, PxeUrls, Uki, decide, needs_image,
    },
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use metal_api::{
    HttpBootConfig, IpxeBootConfig, LocalObjectReference, NetworkInterface, Server,
    ServerBootConfiguration, ServerBootConfigurationSpec, ServerSpec, ServerStatus,
};

/// The objects around one boot configuration, and an API server that may lose writes.
pub(super) struct World {
    pub(super) configuration: ServerBootConfiguration,
    pub(super) server: Option<Server>,
    pub(super) image: Image,
    pub(super) uki_token: Option<&'static str>,
    pub(super) ignition: Ignition,
    pub(super) ipxe: Option<IpxeBootConfig>,
    pub(super) http: Option<HttpBootConfig>,
    pub(super) now: Timestamp,
    /// One bit for each write: whether it is lost.
    pub(super) lost: u32,
}

impl World {
    pub(super) fn new() -> Self {
        let spec = ServerBootConfigurationSpec {
            server_ref: LocalObjectReference::new("server"),
            image: Some("ghcr.io/a/b:1".to_owned()),
            ignition_secret_ref: Some(LocalObjectReference::new("ignition")),
        };
        let mut configuration = ServerBootConfiguration::new("claim", spec);
        configuration.metadata.namespace = Some("tenant".to_owned());
        configuration.metadata.uid = Some("uid-1".to_owned());
        configuration.metadata.generation = Some(1);
        Self {
            configuration,
            server: Some(server(&["10.0.0.1/24", "2001:db8::1", "fe80::1", "169.254.0.1", "x"])),
            image: offers(),
            uki_token: None,
            ignition: Ignition::Usable,
            ipxe: None,
            http: None,
            now: Timestamp::UNIX_EPOCH,
            lost: 0,
        }
    }

    pub(super) fn seen(&self) -> Observation<'_> {
        Observation {
            configuration: &self.configuration,
            server: self.server.as_ref(),
            image: self.image.clone(),
            uki_token: self.uki_token,
            ignition: self.ignition.clone(),
            there: self.there(),
            now: self.now,
        }
    }

    fn there(&self) -> BootConfigs<'_> {
        BootConfigs { ipxe: self.ipxe.as_ref(), http: self.http.as_ref() }
    }

    /// Runs passes until nothing is left to do; returns what was written, in order.
    pub(super) fn settle(&mut self, modes: Modes) -> Vec<String> {
        let mut written = vec![];
        for _ in 0..20 {
            let decision = decide(&self.seen(), modes);
            if matches!(decision, Decision::Rest(_)) {
                return written;
            }
            let lost = self.lost & 1 == 1;
            self.lost >>= 1;
            if !lost {
                written.push(self.write(decision));
            }
        }
        panic!("does not settle: {written:?}");
    }

    fn write(&mut self, decision: Decision) -> String {
        let written = match decision {
            Decision::Record(status) => {
                let state = status.state.clone().unwrap().to_string();
                self.configuration.status = Some(*status);
                return state;
            }
            Decision::Change(Change::ApplyIpxe(config)) => {
                self.ipxe = Some(*config);
                "apply ipxe"
            }
            Decision::Change(Change::ApplyHttp(config)) => {
                self.http = Some(*config);
                "apply http"
            }
            Decision::Change(Change::DeleteIpxe) => {
                self.ipxe = None;
                "delete ipxe"
            }
            Decision::Change(Change::DeleteHttp) => {
                self.http = None;
                "delete http"
            }
            Decision::Rest(_) => "nothing",
        };
        written.to_owned()
    }

    pub(super) fn needs_image(&self, modes: Modes) -> bool {
        needs_image(&self.configuration, self.there(), modes, BASES)
    }

    pub(super) fn shown(&self) -> Vec<String> {
        let show = |c: &Condition| format!("{}={}/{}: {}", c.type_, c.status, c.reason, c.message);
        self.configuration.status.as_ref().unwrap().conditions.iter().map(show).collect()
    }
}

pub(super) fn offers() -> Image {
    Image::Offers { pxe: Ok(urls()), uki: Ok(uki()) }
}

pub(super) fn urls() -> PxeUrls {
    PxeUrls {
        kernel: "http://boot/kernel".to_owned(),
        initrd: "http://boot/initrd".to_owned(),
        squashfs: None,
    }
}

pub(super) fn uki() -> Uki {
    uki_at("http://images/uki.efi".to_owned())
}

pub(super) fn uki_at(url: String) -> Uki {
    Uki { url, manifest: None }
}

pub(super) fn unavailable(message: &str) -> Unavailable {
    Unavailable { reason: "LayerMissing", message: message.to_owned() }
}

pub(super) fn server(ips: &[&str]) -> Server {
    let spec = ServerSpec { system_uuid: Some(UUID.to_uppercase()), ..ServerSpec::default() };
    let mut server = Server::new("server", spec);
    let interface = |mac: &str| NetworkInterface {
        name: "eth".to_owned(),
        mac_address: mac.to_owned(),
        ..NetworkInterface::default()
    };
    let first = NetworkInterface {
        ips: ips.iter().map(|&ip| ip.to_owned()).collect(),
        ip: Some("10.0.0.7".to_owned()),
        ..interface("02:00:00:00:00:01")
    };
    let second = NetworkInterface {
        ip: ips.first().filter(|ip| **ip != "10.0.0.9").map(|_| "10.0.0.2".to_owned()),
        ..interface("02-00-00-00-00-02")
    };
    server.status = Some(ServerStatus {
        network_interfaces: vec![first, second, interface("none")],
        ..ServerStatus::default()
    });
    server
}
