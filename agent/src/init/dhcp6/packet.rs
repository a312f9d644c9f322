//! The request, and what we need of an answer (RFC 9915, sections 7 and 21).

use crate::init::{boot_url::BootUrl, dhcp::Firmware, resolvers};
use metal_wire::v6::{
    MessageType, Packet, code,
    value::{Architecture, DhcpOption, ORO},
};
use std::{net::Ipv6Addr, time::Duration};
use tokio::time::Instant;

/// Intel's enterprise number, which UEFI uses for its vendor class.
const ENTERPRISE: [u8; 4] = 343_u32.to_be_bytes();

/// Options to request; the times are mandatory (RFC 9915, section 18.2.6).
const WANTED: [u16; 3] = [code::DNS, code::REFRESH_TIME, code::MAX_RETRANSMISSION];
/// How long an answer is fresh that does not say so, and at least (RFC 9915, section 7.6: `IRT_DEFAULT` and
/// `IRT_MINIMUM`). Longer times are cut to the first.
const FRESH: Duration = Duration::from_hours(24);
const LEAST_FRESH: Duration = Duration::from_mins(10);

/// What this machine asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct InformationRequest {
    /// Transaction ID; only 24 bits are used.
    pub(super) xid: u64,
    pub(super) mac: [u8; 6],
    /// The identity under which to ask what to boot; `None` if that is known already.
    pub(super) firmware: Option<Firmware>,
    /// When we started asking.
    pub(super) began: Instant,
}

impl InformationRequest {
    pub(super) fn encode(&self) -> Vec<u8> {
        self.packet().encode()
    }

    fn packet(&self) -> Packet {
        let kind = MessageType::InformationRequest as u8;
        let mut packet = Packet { kind, xid: self.transaction(), ..Packet::default() };
        let hundredths = self.began.elapsed().as_millis() / 10;
        let options = &mut packet.options;
        options.push(code::CLIENT_ID, self.identifier());
        options.add(&DhcpOption::ElapsedTime(u16::try_from(hundredths).unwrap_or(u16::MAX)));
        let mut wanted = WANTED.to_vec();
        wanted.extend(self.firmware.map(|_| code::BOOT_FILE));
        let opts = wanted.into_iter().map(Into::into).collect();
        options.add(&DhcpOption::ORO(ORO { opts }));
        if self.firmware.is_some() {
            options.add(&DhcpOption::ClientArchType(vec![Architecture(Firmware::ARCHITECTURE)]));
            let class = Firmware::class();
            let len = u16::try_from(class.len()).unwrap_or(u16::MAX).to_be_bytes();
            options.push(code::VENDOR_CLASS, [&ENTERPRISE[..], &len, class.as_bytes()].concat());
        }
        packet
    }

    fn transaction(&self) -> [u8; 3] {
        let [.., first, second, third] = self.xid.to_be_bytes();
        [first, second, third]
    }

    /// The firmware's DUID, made of the UUID as in SMBIOS (DUID-UUID, RFC 6355); without a UUID, of
    /// the MAC address (DUID-LL).
    fn identifier(&self) -> Vec<u8> {
        match self.firmware.and_then(|firmware| firmware.uuid) {
            Some(uuid) => [&[0, 4], &uuid[..]].concat(),
            None => [&[0, 3, 0, 1], &self.mac[..]].concat(),
        }
    }
}

/// What a server tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) boot_url: Option<BootUrl>,
    /// Name servers (RFC 3646, section 3).
    pub(super) resolvers: Vec<Ipv6Addr>,
    /// How long this is fresh.
    pub(super) refresh: Duration,
}

impl Answer {
    /// Parses an answer to this request; `None` for anything else.
    pub(super) fn parse(bytes: &[u8], question: &InformationRequest) -> Option<Self> {
        let packet = Packet::parse(bytes).ok()?;
        let options = &packet.options;
        let is_ours = packet.relays.is_empty()
            && packet.kind() == Some(MessageType::Reply)
            && packet.xid == question.transaction()
            && options.get(code::CLIENT_ID)? == question.identifier()
            && options.get(code::SERVER_ID).is_some();
        let text = options.get(code::BOOT_FILE).and_then(|text| std::str::from_utf8(text).ok());
        let servers = options.get(code::DNS).unwrap_or_default().as_chunks::<16>().0.iter();
        let seconds = options.get(code::REFRESH_TIME).and_then(|it| it.try_into().ok());
        let refresh = seconds.map(|it| Duration::from_secs(u32::from_be_bytes(it).into()));
        is_ours.then(|| Self {
            boot_url: text.and_then(BootUrl::new),
            resolvers: servers
                .take(resolvers::MOST)
                .map(|octets| Ipv6Addr::from(*octets))
                .collect(),
            refresh: refresh.unwrap_or(FRESH).clamp(LEAST_FRESH, FRESH),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_wire::v6::Options;

    const URL: &str = "http://[fd77::1]:8083/httpboot/a.efi";
    const HOUR: Duration = Duration::from_hours(1);
    const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    #[tokio::test]
    async fn the_question_is_that_of_firmware_without_an_address() {
        let question = question();
        let packet = Packet::parse(&question.encode()).unwrap();
        assert_eq!(packet.kind(), Some(MessageType::InformationRequest));
        assert_eq!(packet.xid, [0x12, 0x34, 0x56]);
        let option = |code| packet.options.get(code).unwrap();
        assert_eq!(option(code::CLIENT_ID), [&[0, 4], &b"0123456789abcdef"[..]].concat());
        assert!(option(code::VENDOR_CLASS)[6..].starts_with(b"HTTPClient:Arch:000"));
        assert_eq!(option(code::ARCHITECTURE), Firmware::ARCHITECTURE.to_be_bytes());
        assert_eq!(option(code::OPTION_REQUEST), [0, 23, 0, 32, 0, 83, 0, 59]);
        assert_eq!(option(code::ELAPSED).len(), 2);
        let nameless = InformationRequest { firmware: Some(Firmware { uuid: None }), ..question };
        let packet = Packet::parse(&nameless.encode()).unwrap();
        assert_eq!(packet.options.get(code::CLIENT_ID).unwrap()[4..], MAC);
    }

    #[tokio::test]
    async fn a_machine_that_knows_what_it_boots_asks_for_name_servers_and_not_as_its_firmware() {
        let question = InformationRequest { firmware: None, ..question() };
        let packet = Packet::parse(&question.encode()).unwrap();
        let option = |code| packet.options.get(code);
        assert_eq!(option(code::CLIENT_ID).unwrap(), [&[0, 3, 0, 1], &MAC[..]].concat());
        assert_eq!(option(code::OPTION_REQUEST).unwrap(), [0, 23, 0, 32, 0, 83]);
        assert_eq!((option(code::VENDOR_CLASS), option(code::ARCHITECTURE)), (None, None));
    }

    #[tokio::test]
    async fn only_an_answer_to_us_is_one() {
        let question = question();
        assert_eq!(boot_url(&answer(URL), &question), Ok(BootUrl::new(URL)));
        assert_eq!(boot_url(&answer("tftp://[fd77::1]/snponly.efi"), &question), Ok(None));
        let other = InformationRequest { firmware: Some(Firmware { uuid: None }), ..question };
        assert_eq!(boot_url(&answer(URL), &other), Err(()), "another client");
        for at in 0..4 {
            let mut changed = answer(URL).encode();
            changed[at] ^= 1;
            assert_eq!(Answer::parse(&changed, &question), None, "byte {at}");
        }
        let mut nobody = answer(URL);
        nobody.options.remove(code::SERVER_ID);
        assert_eq!(boot_url(&nobody, &question), Err(()), "no server says who it is");
    }

    #[tokio::test]
    async fn name_servers_and_how_long_they_are_fresh_are_read() {
        let servers = ["fd77::3", "fe80::1", "fd77::4", "fd77::5"].map(|ip| ip.parse().unwrap());
        let octets = servers.map(|ip: Ipv6Addr| ip.octets()).concat();
        for (time, expected) in [(None, FRESH), (Some(1), LEAST_FRESH), (Some(7200), 2 * HOUR)] {
            let mut packet = answer(URL);
            packet.options.push(code::DNS, [&octets[..], &[1; 15]].concat());
            if let Some(time) = time {
                packet.options.push(code::REFRESH_TIME, u32::to_be_bytes(time));
            }
            let read = Answer::parse(&packet.encode(), &question()).unwrap();
            assert_eq!((&read.resolvers[..], read.refresh), (&servers[..3], expected));
        }
    }

    #[tokio::test]
    async fn an_answer_cut_at_any_byte_is_read_without_harm() {
        let whole = answer(URL).encode();
        for length in 0..whole.len() {
            let read = Answer::parse(&whole[..length], &question());
            assert_eq!(read.and_then(|answer| answer.boot_url), None, "{length}");
        }
    }

    /// The URL in an answer to this question; an error if it does not answer it.
    fn boot_url(packet: &Packet, question: &InformationRequest) -> Result<Option<BootUrl>, ()> {
        Answer::parse(&packet.encode(), question).map(|answer| answer.boot_url).ok_or(())
    }

    fn question() -> InformationRequest {
        let firmware = Some(Firmware { uuid: Some(*b"0123456789abcdef") });
        InformationRequest { xid: 0x9912_3456, mac: MAC, firmware, began: Instant::now() }
    }

    /// A server's answer.
    fn answer(url: &str) -> Packet {
        let mut packet = Packet { kind: MessageType::Reply as u8, ..question().packet() };
        packet.options = Options::default();
        packet.options.push(code::CLIENT_ID, question().identifier());
        packet.options.push(code::SERVER_ID, [0, 3, 0, 1, 2, 0, 0, 0, 0, 1]);
        packet.options.push(code::BOOT_FILE, url);
        packet
    }
}
