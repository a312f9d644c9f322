//! Why a packet is not answered, and how that is reported.

use metal_api::MacAddr;
use metal_dhcp::{
    reservations,
    v4::{self, Packet},
};
use metal_machine::attest::MachineLookupError;

/// Why a packet is not answered.
#[derive(Debug, strum::IntoStaticStr)]
pub(super) enum DropReason {
    /// Not everything is listed yet.
    NotListed,
    /// It was a broadcast, and only relays are answered.
    NotRelayed,
    /// It has no MAC address.
    Unidentified,
    /// None of our addresses is suitable as the server's address.
    NoServerAddress,
    /// Whether an installation is pending is not known at the moment: another replica may know.
    #[strum(serialize = "Behind")]
    StaleCache,
    /// Too many new addresses are being answered.
    Overloaded,
    /// It belongs to no Machine, or to several.
    #[strum(disabled)]
    Lookup(MacAddr, MachineLookupError),
    /// It belongs to a Machine.
    #[strum(disabled)]
    Machine {
        /// Its name.
        name: String,
        /// The reason.
        why: reservations::DropReason,
    },
}

impl DropReason {
    /// Its metric label, from a small fixed set.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Lookup(_, why) => why.into(),
            Self::Machine { why, .. } => why.label(),
            other => other.into(),
        }
    }

    /// Whether somebody uses an address that belongs to another client.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Machine { why: reservations::DropReason::Declined, .. })
    }

    /// Whether it belongs to an existing Machine.
    pub(super) fn is_of_a_machine(&self) -> bool {
        matches!(self, Self::Machine { .. } | Self::Lookup(_, MachineLookupError::Ambiguous))
    }

    /// Logs it, if it `is_due` for this machine.
    pub(super) fn tell(&self, packet: &Packet, mut is_due: impl FnMut(String) -> bool) {
        match self {
            Self::Lookup(mac, MachineLookupError::Unknown) if is_due(mac.to_string()) => {
                tracing::info!(
                    %mac,
                    "DHCP request from a MAC address that belongs to no Machine of this site",
                );
            }
            Self::Lookup(mac, MachineLookupError::Ambiguous) if is_due(mac.to_string()) => {
                tracing::warn!(
                    %mac,
                    "DHCP request not answered: several Machines share an address, or the UUID that \
                     was told is that of another Machine or of a Server",
                );
            }
            Self::Machine { name, why: reservations::DropReason::Declined }
                if is_due(name.clone()) =>
            {
                tracing::warn!(
                    machine = name,
                    "the address of this machine is in use by another host"
                );
            }
            Self::Machine { name, why: reservations::DropReason::ImageMissing }
                if is_due(name.clone()) =>
            {
                tracing::info!(
                    machine = name,
                    "network boot request not answered: the image has not been downloaded yet"
                );
            }
            Self::Machine {
                name,
                why: reservations::DropReason::Packet(v4::DropReason::NoSubnet),
            } if is_due(name.clone()) => {
                let hint = "none of its dhcpLeases is in the subnet of this link or relay: \
                            correct subnetMask, or add an address of that subnet to this host";
                tracing::warn!(machine = name, giaddr = %packet.giaddr, hint, "not answered");
            }
            other => tracing::debug!(why = ?other, "not answered"),
        }
    }
}
