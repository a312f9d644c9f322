//! Four messages for an address, two to renew it (RFC 2131, 3.1 and 4.4.5).

use super::{
    Link,
    wire::{Answer, BootUri, Client, Identity, encode},
};
use dhcproto::{
    error::EncodeError,
    v4::{Message, MessageType},
};
use metal_base::jitter::{between, number};
use std::{
    io,
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// How many times a message is sent.
const TRIES: u32 = 4;

/// Why a client got no address.
#[derive(Debug, thiserror::Error)]
pub enum DhcpError {
    /// No server answered.
    #[error("DHCP: no {0}")]
    NoAnswer(&'static str),
    /// Servers answered, but not with what the client needs.
    #[error("DHCP: no offer has {0}")]
    Useless(&'static str),
    /// The server refused.
    #[error("DHCP: refused: {0}")]
    Refused(String),
    /// The packet could not be sent.
    #[error("DHCP: {0}")]
    Socket(#[from] io::Error),
    /// The packet could not be made.
    #[error("DHCP: {0}")]
    Encode(#[from] EncodeError),
}

/// Which server a client asks to renew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// The server that assigned the address.
    Same,
    /// Any server.
    Any,
}

/// What a client waits for.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    /// An offer with everything that the client needs.
    Offer,
    /// An acknowledgement, or a refusal.
    Acknowledgement,
}

impl Wanted {
    fn name(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Acknowledgement => "acknowledgement",
        }
    }

    fn is_met_by(self, answer: &Answer, client: Client) -> bool {
        match self {
            Self::Offer => answer.kind == MessageType::Offer && suits(client, answer),
            Self::Acknowledgement => matches!(answer.kind, MessageType::Ack | MessageType::Nak),
        }
    }
}

impl Link {
    /// Acquires an address, and the options that the client needs.
    pub(crate) async fn lease(&self, identity: &Identity) -> Result<Answer, DhcpError> {
        let xid = getrandom::u32().map_err(io::Error::other)?;
        let to = self.config.server;
        let discover = identity.discover(xid);
        let offer = self.talk(identity, discover, to, Wanted::Offer).await?;
        let select = identity.select(xid, &offer);
        let mut answer = self.acknowledged(identity, select, to).await?;
        answer.boot_file = answer.boot_file.or(offer.boot_file);
        Ok(answer)
    }

    /// Renews an address.
    pub(crate) async fn renew(
        &self,
        identity: &Identity,
        held: &Answer,
        whom: Renewal,
    ) -> Result<Answer, DhcpError> {
        let xid = getrandom::u32().map_err(io::Error::other)?;
        let server = self.config.server;
        let to = match whom {
            Renewal::Same if *server.ip() == Ipv4Addr::BROADCAST => {
                SocketAddrV4::new(held.server, server.port())
            }
            Renewal::Same | Renewal::Any => server,
        };
        self.acknowledged(identity, identity.renew(xid, held.address), to).await
    }

    async fn acknowledged(
        &self,
        identity: &Identity,
        message: Message,
        to: SocketAddrV4,
    ) -> Result<Answer, DhcpError> {
        let answer = self.talk(identity, message, to, Wanted::Acknowledgement).await?;
        if answer.kind == MessageType::Nak {
            return Err(DhcpError::Refused(answer.message));
        }
        Ok(answer)
    }

    /// Repeats a message until a suitable answer arrives.
    async fn talk(
        &self,
        identity: &Identity,
        mut message: Message,
        to: SocketAddrV4,
        wanted: Wanted,
    ) -> Result<Answer, DhcpError> {
        let mut listening = self.listen((message.xid(), identity.mac));
        let (begun, mut ignored) = (Instant::now(), false);
        for attempt in 0..TRIES {
            let seconds = begun.elapsed().as_secs();
            message.set_secs(u16::try_from(seconds).unwrap_or(u16::MAX));
            self.send(&encode(&message)?, to).await?;
            let until = Instant::now() + jittered(self.config.patience * 2_u32.pow(attempt));
            while let Ok(Some(packet)) = timeout_at(until, listening.answers.recv()).await {
                let Some(answer) = Answer::read(&packet) else { continue };
                if wanted.is_met_by(&answer, identity.client) {
                    return Ok(answer);
                }
                ignored = true;
            }
        }
        Err(match needs(identity.client) {
            Some(what) if ignored => DhcpError::Useless(what),
            _ => DhcpError::NoAnswer(wanted.name()),
        })
    }
}

/// The option that a client cannot do without.
fn needs(client: Client) -> Option<&'static str> {
    match client {
        Client::Bmc | Client::Http(BootUri::Given) => None,
        Client::Pxe(_) => Some("a boot file"),
        Client::Http(BootUri::Asked) => Some("class HTTPClient and an http URL as boot file"),
        Client::Ipxe(_) => Some("an http URL as boot file"),
    }
}

fn suits(client: Client, offer: &Answer) -> bool {
    let is_url = offer.boot_file.as_deref().is_some_and(|file| file.starts_with("http"));
    match client {
        Client::Bmc | Client::Http(BootUri::Given) => true,
        Client::Pxe(_) => offer.boot_file.is_some(),
        Client::Http(BootUri::Asked) => is_url && offer.class.starts_with("HTTPClient"),
        Client::Ipxe(_) => is_url,
    }
}

/// Up to a quarter longer, so that a fleet does not ask at the same time.
fn jittered(wait: Duration) -> Duration {
    between(wait, wait + wait / 4, number())
}
