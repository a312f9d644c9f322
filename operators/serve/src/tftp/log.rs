//! What the log tells of requests and transfers.

use super::{handshake::Handshake, transfer::Outcome};
use metal_runtime::report::Chain;
use std::{fmt::Display, net::SocketAddr};

/// Logs how a request or a transfer has ended.
pub(super) fn tell(handshake: &Handshake, outcome: &Outcome, bytes: u64, is_told: bool) {
    let (client, file) = (handshake.client, &handshake.name);
    let milliseconds = handshake.began.elapsed().as_millis();
    match outcome {
        Outcome::Done => tracing::info!(%client, file, bytes, milliseconds, "file sent"),
        // Firmware asks for the size first, and then for the file.
        Outcome::Aborted { .. } | Outcome::Replaced if bytes == 0 => {
            tracing::debug!(%client, file, ?outcome, "client asked for the size only");
        }
        Outcome::Unreadable(error) => {
            tracing::error!(%client, file, bytes, error = %Chain(error), "could not read the file");
        }
        Outcome::Aborted { code, message } => {
            tracing::warn!(%client, file, bytes, code, message, "the client aborted its transfer");
        }
        Outcome::Forgotten => tracing::debug!(
            %client,
            file,
            "transfer dropped in favor of other clients",
        ),
        Outcome::GaveUp | Outcome::Vanished if !is_told => {
            tracing::debug!(%client, file, ?outcome, "the client did not respond");
        }
        Outcome::Replaced
        | Outcome::GaveUp
        | Outcome::Vanished
        | Outcome::TooLong
        | Outcome::TooSlow
        | Outcome::Displaced
        | Outcome::Stopped => tracing::warn!(%client, file, bytes, ?outcome, "transfer failed"),
    }
}

pub(super) fn tell_unreachable(client: SocketAddr, error: &dyn Display) {
    tracing::debug!(%client, %error, "could not reach the client");
}
