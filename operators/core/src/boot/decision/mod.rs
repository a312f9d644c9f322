//! What a machine boots from the network now: the same answer for DHCP, TFTP and HTTP.
//!
//! ```text
//! machine ─► its Server ─► what it refers to ─► Ready? ─► method ─► UKI by HTTP, iPXE, or nothing
//!    └► nobody's ─► what the configuration file has
//! ```
//!
//! What is not ready is waited for in the boot window of its server: there the host boots nothing else,
//! and on its disk may be the system of somebody else.
//!
//! The method is set by an annotation ([`annotation::BOOT_METHOD`]) on the
//! `ServerBootConfiguration`, for this boot, or on the `Server`, for all its boots. Without it, a
//! machine gets whatever its boot configuration offers and its firmware asks for.

use super::{boot_url::BootUrl, url::MAX_URL, window};
use crate::{identity::keep_admitted, ownership::is_controlled_by};
use jiff::Timestamp;
use kube::Resource;
use metal_api::{
    BootState, HttpBootConfig, IpxeBootConfig, MacAddr, ObjectReference, Server,
    ServerBootConfiguration, ServerState, SystemUuid, annotation,
};
use std::borrow::Cow;

/// What iPXE replaces with the system UUID in SMBIOS.
const UUID_SETTING: &str = "${uuid}";

/// How a booting machine identifies itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The MAC address of the interface that it boots from.
    pub mac: Option<MacAddr>,
    /// The system UUID.
    pub uuid: Option<SystemUuid>,
}

/// Boot methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::EnumString, strum::IntoStaticStr)]
#[strum(ascii_case_insensitive)]
pub enum Method {
    /// A unified kernel image, by UEFI HTTP boot.
    Http,
    /// An iPXE script.
    Ipxe,
    /// Whatever its boot configuration offers over the network, each time the host boots, including
    /// boots that it starts itself.
    #[strum(serialize = "network-always")]
    NetworkAlways,
    /// A unified kernel image on a medium that the BMC inserts.
    #[strum(serialize = "virtual-media")]
    VirtualMedia,
    /// The local disk.
    Disk,
    /// Nothing known to us.
    None,
}

impl Method {
    /// How a server boots this boot configuration; `None` if no annotation says so, and any way
    /// that it offers will do.
    ///
    /// # Errors
    ///
    /// If an annotation has an unknown value.
    pub fn of(
        server: Option<&Server>,
        configuration: &ServerBootConfiguration,
    ) -> Result<Option<Self>, Reason> {
        match (annotated(configuration)?, server) {
            (None, Some(server)) => annotated(server),
            (method, _) => Ok(method),
        }
    }

    /// Whether it loads a UKI by UEFI HTTP boot.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::NetworkAlways)
    }

    /// Whether it loads a UKI from a medium.
    pub fn is_virtual_media(self) -> bool {
        self == Self::VirtualMedia
    }

    /// Whether it loads a UKI, and then asks for its ignition.
    pub fn is_uki(self) -> bool {
        self.is_http() || self.is_virtual_media()
    }

    /// Whether it loads iPXE and its script.
    pub fn is_ipxe(self) -> bool {
        matches!(self, Self::Ipxe | Self::NetworkAlways)
    }
}

/// What is known about a machine.
#[derive(Clone, Debug)]
pub enum KnownServers<'a> {
    /// The API server has not been reached yet.
    Nothing,
    /// These servers have its identity.
    Servers(Vec<CandidateServer<'a>>),
}

/// A server, with the objects that it refers to.
#[derive(Clone, Copy, Debug)]
pub struct CandidateServer<'a> {
    /// The server.
    pub server: &'a Server,
    /// The boot configuration that [`current`] names.
    pub configuration: Option<&'a ServerBootConfiguration>,
    /// The `HTTPBootConfig` with the name of the boot configuration.
    pub http: Option<&'a HttpBootConfig>,
    /// The `IPXEBootConfig` with the name of the boot configuration.
    pub ipxe: Option<&'a IpxeBootConfig>,
}

/// What a machine may load from the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Boot {
    /// What the configuration file has for every machine.
    #[default]
    Default,
    /// These. With neither, the machine goes on to its next boot device.
    Assigned {
        /// The UKI for UEFI HTTP boot.
        uki: Option<String>,
        /// iPXE and its script.
        script: bool,
        /// The UUID of the server, which its firmware may not know.
        uuid: Option<SystemUuid>,
    },
    /// It was powered on to boot what is not ready yet, so it waits.
    Waits {
        /// For a UKI: firmware that boots by UEFI HTTP is not answered, so that it asks again.
        http: bool,
        /// For a script: it gets iPXE, which waits.
        script: bool,
        /// The UUID of the server, as in [`Boot::Assigned`].
        uuid: Option<SystemUuid>,
    },
    /// iPXE, and the script at a URL of its own.
    Url(BootUrl),
    /// Nothing: it goes on to its next boot device.
    Nothing(Reason),
}

/// Why a machine gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::IntoStaticStr)]
pub enum Reason {
    /// Several objects have its identity: a wrong guess could wipe a disk.
    Ambiguous,
    /// Its server has nothing to boot.
    NotReferred,
    /// What its server is to boot is not ready, and it was not powered on to boot it.
    NotReady,
    /// It is to boot without us.
    OtherMethod,
    /// The boot method is unknown.
    UnknownMethod,
}

impl Boot {
    /// Whether it gets iPXE and a script.
    pub fn has_script(&self) -> bool {
        match self {
            Self::Default | Self::Url(_) => true,
            Self::Assigned { script, .. } | Self::Waits { script, .. } => *script,
            Self::Nothing(_) => false,
        }
    }

    /// Whether firmware that boots by UEFI HTTP should ask again, which it does if it gets no answer.
    /// After one without a URL it goes on to its next boot device.
    pub fn awaits_http(&self) -> bool {
        matches!(self, Self::Waits { http: true, .. })
    }

    /// The URL of the script for iPXE; `default` is that in the configuration file. The UUID in that of
    /// a server is its own: boards are shipped with placeholders, and BMCs report other UUIDs than
    /// firmware does.
    pub fn script<'a>(&'a self, default: Option<&'a str>) -> Option<Cow<'a, str>> {
        match self {
            Self::Url(url) => Some(url.as_str().into()),
            Self::Assigned { script: true, uuid: Some(uuid), .. }
            | Self::Waits { script: true, uuid: Some(uuid), .. } => {
                let url = default?;
                let own = url.replace(UUID_SETTING, &uuid.to_string());
                Some(if own.len() <= MAX_URL { own.into() } else { url.into() })
            }
            Self::Default | Self::Assigned { .. } | Self::Waits { .. } | Self::Nothing(_) => {
                default.filter(|_| self.has_script()).map(Cow::Borrowed)
            }
        }
    }

    /// The URL of what firmware loads by UEFI HTTP boot; `default` and `ipxe` are those in the configuration
    /// file. Firmware runs no script, so a machine with a URL of its own loads iPXE.
    pub fn loaded<'a>(
        &'a self,
        default: Option<&'a str>,
        ipxe: Option<&'a str>,
    ) -> Option<&'a str> {
        match self {
            Self::Url(_) => ipxe,
            Self::Default | Self::Assigned { .. } | Self::Waits { .. } | Self::Nothing(_) => {
                self.uki(default)
            }
        }
    }

    /// The URL of the UKI for UEFI HTTP boot; `default` is that in the configuration file.
    pub fn uki<'a>(&'a self, default: Option<&'a str>) -> Option<&'a str> {
        match self {
            Self::Default => default,
            Self::Assigned { uki, .. } => uki.as_deref(),
            Self::Waits { .. } | Self::Url(_) | Self::Nothing(_) => None,
        }
    }
}

/// The boot configuration of a server now: during a maintenance that of the maintenance, otherwise
/// that of its claim or its discovery.
pub fn current(server: &Server) -> Option<&ObjectReference> {
    let spec = &server.spec;
    if is_held_back(server) {
        return None;
    }
    let state = server.status.as_ref().and_then(|status| status.state.as_ref());
    let maintenance = spec.maintenance_boot_configuration_ref.as_ref();
    let maintenance = maintenance.filter(|_| state == Some(&ServerState::Maintenance));
    maintenance.or(spec.boot_configuration_ref.as_ref())
}

/// Whether a server must not boot anything of a claim, because nobody has admitted it. It is
/// discovered all the same.
pub fn is_held_back(server: &Server) -> bool {
    let state = server.status.as_ref().and_then(|status| status.state.as_ref());
    let is_discovered = matches!(state, Some(ServerState::Initial | ServerState::Discovery));
    server.spec.is_held() && !is_discovered
}

/// Decides about one machine. One that is not a Server gets what the configuration file has; the
/// boot server then decides whether there is anything for it.
pub fn decide(known: &KnownServers<'_>, now: Timestamp) -> Boot {
    let KnownServers::Servers(servers) = known else { return Boot::Default };
    let mut servers = servers.clone();
    keep_admitted(&mut servers, |candidate| candidate.server);
    match servers.as_slice() {
        [] => Boot::Default,
        [candidate] => assigned(*candidate, now).unwrap_or_else(Boot::Nothing),
        _ => Boot::Nothing(Reason::Ambiguous),
    }
}

/// What a machine boots for which there are these URLs, and as many `others`: Servers and Machines.
/// None of several objects that contradict each other counts. `None` if there is no URL.
pub fn by_url(urls: &[BootUrl], others: usize) -> Option<Boot> {
    match (urls, others) {
        ([], _) => None,
        ([url], 0) => Some(Boot::Url(url.clone())),
        ([_, ..], _) => Some(Boot::Nothing(Reason::Ambiguous)),
    }
}

fn assigned(candidate: CandidateServer<'_>, now: Timestamp) -> Result<Boot, Reason> {
    let CandidateServer { server, configuration, http, ipxe } = candidate;
    let configuration = configuration.ok_or(Reason::NotReferred)?;
    let state = configuration.status.as_ref().and_then(|status| status.state.as_ref());
    let is_ready = state == Some(&BootState::Ready);
    if !is_ready && window::closes(server, configuration, now).is_none() {
        return Err(Reason::NotReady);
    }
    let method = Method::of(Some(server), configuration)?;
    let http = http.filter(|config| is_controlled_by(&config.metadata, configuration));
    let uki = http.and_then(|config| config.spec.uki_url.clone()).filter(|url| !url.is_empty());
    let script = ipxe.is_some_and(|config| is_controlled_by(&config.metadata, configuration));
    if matches!(method, Some(Method::VirtualMedia | Method::Disk | Method::None)) {
        return Err(Reason::OtherMethod);
    }
    let uki = uki.filter(|_| method.is_none_or(Method::is_http));
    let script = script && method.is_none_or(Method::is_ipxe);
    let uuid = server.spec.effective_uuid();
    match (is_ready, uki) {
        (true, uki) => Ok(Boot::Assigned { uki, script, uuid }),
        // Neither firmware nor iPXE would get anything in the end.
        (false, None) if !script => Err(Reason::NotReady),
        (false, uki) => Ok(Boot::Waits { http: uki.is_some(), script, uuid }),
    }
}

fn annotated(object: &impl Resource) -> Result<Option<Method>, Reason> {
    let annotations = object.meta().annotations.as_ref();
    let word = annotations.and_then(|annotations| annotations.get(annotation::BOOT_METHOD));
    let parse = |word: &String| word.parse().map_err(|_| Reason::UnknownMethod);
    word.filter(|word| !word.is_empty()).map(parse).transpose()
}

#[cfg(test)]
mod tests;
