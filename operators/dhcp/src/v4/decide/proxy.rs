//! Boot files alongside another DHCP server that assigns the addresses (PXE 2.1, section 2.2).

use super::{Decision, DropReason, Request};
use crate::v4::{BOOT_SERVER_PORT, reply};
use metal_wire::v4::MessageType;

impl Request<'_> {
    /// Answers clients that want to boot and have a boot file; everything else is left to the other
    /// server.
    pub(super) fn proxy(&self) -> Decision {
        let is_boot_server = self.arrival.port == BOOT_SERVER_PORT;
        let kind = match MessageType::of(self.packet) {
            Some(MessageType::Discover) if !is_boot_server => MessageType::Offer,
            Some(MessageType::Inform) => MessageType::Ack,
            Some(MessageType::Discover | MessageType::Request) if is_boot_server => {
                MessageType::Ack
            }
            Some(
                MessageType::Discover
                | MessageType::Request
                | MessageType::Decline
                | MessageType::Release,
            ) => return Decision::dropped(DropReason::OtherServer),
            Some(MessageType::Offer | MessageType::Ack | MessageType::Nak) | None => {
                return Decision::dropped(DropReason::NotRequest);
            }
        };
        match reply::boot_only(self, kind) {
            Some(reply) => Decision { answer: Ok(Box::new(reply)), ..Decision::default() },
            None => Decision::dropped(DropReason::NothingToBoot),
        }
    }
}
