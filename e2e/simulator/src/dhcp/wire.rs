//! A client's messages, and the parts of the answers that it understands.

use crate::{boot_settings::BootMode, mac::Mac};
use dhcproto::{
    Decodable, Decoder, Encodable,
    error::EncodeError,
    v4::{
        Architecture, DhcpOption, DhcpOptions, Flags, Message, MessageType, OptionCode,
        UnknownOption,
    },
};
use std::{net::Ipv4Addr, time::Duration};
use uuid::Uuid;

/// BOOTP messages are never shorter (RFC 1542, 2.1).
const SHORTEST: usize = 300;

/// The program that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// Firmware of a BMC.
    Bmc,
    /// PXE in firmware.
    Pxe(BootMode),
    /// HTTP boot in firmware.
    Http(BootUri),
    /// iPXE.
    Ipxe(BootMode),
}

/// Where HTTP boot gets its URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BootUri {
    /// From `HttpBootUri`; an address is all it needs.
    Given,
    /// From DHCP.
    Asked,
}

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) client: Client,
    pub(crate) mac: Mac,
    pub(crate) uuid: Uuid,
    pub(crate) hostname: String,
}

/// What a server assigns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) kind: MessageType,
    pub(crate) address: Ipv4Addr,
    pub(crate) server: Ipv4Addr,
    pub(crate) lease: Duration,
    pub(crate) renew: Duration,
    pub(crate) rebind: Duration,
    pub(crate) boot_file: Option<String>,
    pub(crate) class: String,
    /// The message of a NAK.
    pub(crate) message: String,
}

/// Transaction and MAC of a packet to a client.
pub(super) fn reply_key(packet: &[u8]) -> Option<super::Key> {
    let fixed: &[u8; 34] = packet.first_chunk()?;
    let [op, htype, hlen, ..] = *fixed;
    let xid = u32::from_be_bytes(fixed[4..8].try_into().ok()?);
    let mac = Mac(fixed[28..34].try_into().ok()?);
    (op == 2 && htype == 1 && hlen == 6).then_some((xid, mac))
}

impl Identity {
    /// DISCOVER.
    pub(super) fn discover(&self, xid: u32) -> Message {
        self.message(xid, MessageType::Discover)
    }

    /// REQUEST for what was offered.
    pub(super) fn select(&self, xid: u32, offer: &Answer) -> Message {
        let mut message = self.message(xid, MessageType::Request);
        let options = message.opts_mut();
        options.insert(DhcpOption::RequestedIpAddress(offer.address));
        options.insert(DhcpOption::ServerIdentifier(offer.server));
        message
    }

    /// REQUEST to renew an address.
    pub(super) fn renew(&self, xid: u32, address: Ipv4Addr) -> Message {
        let mut message = self.message(xid, MessageType::Request);
        message.set_ciaddr(address);
        message
    }

    fn message(&self, xid: u32, kind: MessageType) -> Message {
        let zero = Ipv4Addr::UNSPECIFIED;
        let mut message = Message::new_with_id(xid, zero, zero, zero, zero, &self.mac.0);
        message.set_flags(Flags::default().set_broadcast());
        message.set_opts(self.options());
        message.opts_mut().insert(DhcpOption::MessageType(kind));
        message
    }

    fn options(&self) -> DhcpOptions {
        use OptionCode as Code;
        let mut options = DhcpOptions::default();
        let mut wanted = vec![
            Code::SubnetMask,
            Code::Router,
            Code::DomainNameServer,
            Code::AddressLeaseTime,
            Code::ServerIdentifier,
            Code::Renewal,
            Code::Rebinding,
        ];
        options.insert(DhcpOption::MaxMessageSize(1472));
        match self.client {
            Client::Bmc => {
                options.insert(DhcpOption::Hostname(self.hostname.clone()));
                wanted.extend([Code::Hostname, Code::DomainName]);
            }
            Client::Pxe(mode) => self.boot(&mut options, "PXEClient", pxe(mode)),
            Client::Http(_) => self.boot(&mut options, "HTTPClient", 16),
            Client::Ipxe(mode) => {
                self.boot(&mut options, "PXEClient", pxe(mode));
                options.insert(DhcpOption::UserClass(b"iPXE".to_vec()));
                let features = UnknownOption::new(OptionCode::Unknown(175), IPXE.to_vec());
                options.insert(DhcpOption::Unknown(features));
                let id = [&[1], self.mac.0.as_slice()].concat();
                options.insert(DhcpOption::ClientIdentifier(id));
            }
        }
        if self.client != Client::Bmc {
            wanted.extend([
                Code::VendorExtensions,
                Code::ClassIdentifier,
                Code::TFTPServerName,
                Code::BootfileName,
                Code::ClientSystemArchitecture,
                Code::ClientNetworkInterface,
                Code::ClientMachineIdentifier,
            ]);
        }
        options.insert(DhcpOption::ParameterRequestList(wanted));
        options
    }

    /// RFC 4578; the UUID has the byte order of SMBIOS.
    fn boot(&self, options: &mut DhcpOptions, class: &str, architecture: u16) {
        let class = format!("{class}:Arch:{architecture:05}:UNDI:003000");
        options.insert(DhcpOption::ClassIdentifier(class.into_bytes()));
        options.insert(DhcpOption::ClientSystemArchitecture(Architecture::from(architecture)));
        options.insert(DhcpOption::ClientNetworkInterface(1, 3, 0));
        let guid = [&[0], self.uuid.to_bytes_le().as_slice()].concat();
        options.insert(DhcpOption::ClientMachineIdentifier(guid));
    }
}

/// Feature flags of iPXE: version, bzImage, HTTP, TFTP, DNS, EFI.
const IPXE: [u8; 20] =
    [0xeb, 3, 1, 0x15, 1, 0x18, 1, 1, 0x13, 1, 1, 0x15, 1, 1, 0x12, 1, 1, 0x24, 1, 1];

/// Architecture of a PXE client (RFC 4578, 2.1).
fn pxe(mode: BootMode) -> u16 {
    match mode {
        BootMode::Uefi => 7,
        BootMode::Legacy => 0,
    }
}

/// The packet of a message.
pub(super) fn encode(message: &Message) -> Result<Vec<u8>, EncodeError> {
    let mut packet = message.to_vec()?;
    packet.resize(packet.len().max(SHORTEST), 0);
    Ok(packet)
}

impl Answer {
    /// Parses a packet; `None` if it is not a usable answer.
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let message = Message::decode(&mut Decoder::new(packet)).ok()?;
        let options = message.opts();
        let seconds = |code| match options.get(code) {
            Some(
                DhcpOption::AddressLeaseTime(seconds)
                | DhcpOption::Renewal(seconds)
                | DhcpOption::Rebinding(seconds),
            ) => Some(Duration::from_secs((*seconds).into())),
            _ => None,
        };
        let lease = seconds(OptionCode::AddressLeaseTime).unwrap_or_default();
        let server = match options.get(OptionCode::ServerIdentifier) {
            Some(DhcpOption::ServerIdentifier(server)) => *server,
            _ => return None,
        };
        Some(Self {
            kind: options.msg_type()?,
            address: message.yiaddr(),
            server,
            lease,
            renew: seconds(OptionCode::Renewal).unwrap_or(lease / 2),
            rebind: seconds(OptionCode::Rebinding).unwrap_or(lease * 7 / 8),
            boot_file: boot_file(&message),
            class: match options.get(OptionCode::ClassIdentifier) {
                Some(DhcpOption::ClassIdentifier(class)) => text(class),
                _ => String::new(),
            },
            message: match options.get(OptionCode::Message) {
                Some(DhcpOption::Message(message)) => message.clone(),
                _ => String::new(),
            },
        })
    }
}

/// Option 67 before the header, as EDK2 does.
fn boot_file(message: &Message) -> Option<String> {
    let option = match message.opts().get(OptionCode::BootfileName) {
        Some(DhcpOption::BootfileName(name)) => Some(text(name)),
        _ => None,
    };
    option.or_else(|| message.fname().map(text)).filter(|name| !name.is_empty())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(client: Client) -> Identity {
        let uuid = "00112233-4455-6677-8899-aabbccddeeff".parse().unwrap();
        let mac = Mac([2, 0, 0, 0, 0, 9]);
        Identity { client, mac, uuid, hostname: "bmc-1".to_owned() }
    }

    fn option(packet: &[u8], code: u8) -> Option<Vec<u8>> {
        let mut rest = &packet[240..];
        while let [found, length, after @ ..] = rest {
            let (value, next) = after.split_at(usize::from(*length));
            if *found == code {
                return Some(value.to_vec());
            }
            rest = next;
        }
        None
    }

    #[test]
    fn each_program_says_what_it_is() {
        let cases = [
            (Client::Pxe(BootMode::Uefi), &b"PXEClient:Arch:00007:UNDI:003000"[..], [0, 7], None),
            (Client::Pxe(BootMode::Legacy), b"PXEClient:Arch:00000:UNDI:003000", [0, 0], None),
            (Client::Http(BootUri::Asked), b"HTTPClient:Arch:00016:UNDI:003000", [0, 16], None),
            (
                Client::Ipxe(BootMode::Uefi),
                b"PXEClient:Arch:00007:UNDI:003000",
                [0, 7],
                Some(b"iPXE".to_vec()),
            ),
        ];
        for (client, class, architecture, user_class) in cases {
            let packet = encode(&identity(client).discover(7)).unwrap();
            assert_eq!(option(&packet, 60).as_deref(), Some(class));
            assert_eq!(option(&packet, 93).as_deref(), Some(&architecture[..]));
            assert_eq!(option(&packet, 77), user_class);
            assert_eq!(option(&packet, 175).is_some(), user_class.is_some());
            assert_eq!(option(&packet, 97).unwrap()[..5], [0, 0x33, 0x22, 0x11, 0x00]);
            assert_eq!((packet[10], packet.len() >= SHORTEST), (0x80, true));
        }
        let packet = encode(&identity(Client::Bmc).discover(7)).unwrap();
        assert_eq!(option(&packet, 12).as_deref(), Some(&b"bmc-1"[..]));
        assert_eq!((option(&packet, 60), option(&packet, 93)), (None, None));
    }

    #[test]
    fn a_renewal_names_the_address_in_the_header_only() {
        let message = identity(Client::Bmc).renew(7, Ipv4Addr::new(10, 0, 0, 5));
        let packet = encode(&message).unwrap();
        assert_eq!(packet[12..16], [10, 0, 0, 5]);
        assert_eq!((option(&packet, 50), option(&packet, 54)), (None, None));
    }

    #[test]
    fn only_replies_for_ethernet_have_a_key() {
        let mut packet = encode(&identity(Client::Bmc).discover(0x0102_0304)).unwrap();
        assert_eq!(reply_key(&packet), None);
        packet[0] = 2;
        assert_eq!(reply_key(&packet), Some((0x0102_0304, Mac([2, 0, 0, 0, 0, 9]))));
        assert_eq!(reply_key(&packet[..33]), None);
        packet[2] = 16;
        assert_eq!(reply_key(&packet), None);
    }

    #[test]
    fn an_answer_without_times_is_renewed_at_half_and_rebound_at_seven_eighths() {
        let mut reply = identity(Client::Bmc).discover(7);
        reply.opts_mut().insert(DhcpOption::MessageType(MessageType::Ack));
        reply.opts_mut().insert(DhcpOption::ServerIdentifier(Ipv4Addr::new(10, 0, 0, 1)));
        reply.opts_mut().insert(DhcpOption::AddressLeaseTime(800));
        reply.opts_mut().insert(DhcpOption::BootfileName(b"http://a/b\0".to_vec()));
        let answer = Answer::read(&encode(&reply).unwrap()).unwrap();
        assert_eq!((answer.renew.as_secs(), answer.rebind.as_secs()), (400, 700));
        assert_eq!(answer.boot_file.as_deref(), Some("http://a/b"));
        assert_eq!(Answer::read(b"not a packet"), None);
    }
}
