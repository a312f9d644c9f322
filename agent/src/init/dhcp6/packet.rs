//! The request, and what we need of an answer (RFC 9915, sections 7 and 21).

use crate::init::{boot_url::BootUrl, dhcp::Firmware};
use metal_wire::v6::{
    MessageType, Packet, code,
    value::{Architecture, DhcpOption, ORO},
};
use tokio::time::Instant;

/// Intel's enterprise number, which UEFI uses for its vendor class.
const ENTERPRISE: [u8; 4] = 343_u32.to_be_bytes();

/// Options to request; the two besides the URL are mandatory (RFC 9915, section 18.2.6).
const WANTED: [u16; 3] = [code::REFRESH_TIME, code::BOOT_FILE, code::MAX_RETRANSMISSION];

/// What this machine asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    /// Transaction ID; only 24 bits are used.
    pub(super) xid: u64,
    pub(super) mac: [u8; 6],
    pub(super) firmware: Firmware,
    /// When we started asking.
    pub(super) began: Instant,
}

impl Question {
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
        options.add(&DhcpOption::ORO(ORO { opts: WANTED.map(Into::into).to_vec() }));
        options.add(&DhcpOption::ClientArchType(vec![Architecture(Firmware::ARCHITECTURE)]));
        let class = Firmware::class();
        let len = u16::try_from(class.len()).unwrap_or(u16::MAX).to_be_bytes();
        options.push(code::VENDOR_CLASS, [&ENTERPRISE[..], &len, class.as_bytes()].concat());
        packet
    }

    fn transaction(&self) -> [u8; 3] {
        let [.., first, second, third] = self.xid.to_be_bytes();
        [first, second, third]
    }

    /// The firmware's DUID, made of the UUID as in SMBIOS (DUID-UUID, RFC 6355); without a UUID, of
    /// the MAC address (DUID-LL).
    fn identifier(&self) -> Vec<u8> {
        match self.firmware.uuid {
            Some(uuid) => [&[0, 4], &uuid[..]].concat(),
            None => [&[0, 3, 0, 1], &self.mac[..]].concat(),
        }
    }
}

/// The URL in an answer to this request; `None` for anything else.
pub(super) fn boot_url(bytes: &[u8], question: &Question) -> Option<BootUrl> {
    let packet = Packet::parse(bytes).ok()?;
    let options = &packet.options;
    let is_ours = packet.relays.is_empty()
        && packet.kind() == Some(MessageType::Reply)
        && packet.xid == question.transaction()
        && options.get(code::CLIENT_ID)? == question.identifier()
        && options.get(code::SERVER_ID).is_some();
    let text = std::str::from_utf8(options.get(code::BOOT_FILE)?).ok()?;
    BootUrl::new(text).filter(|_| is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_wire::v6::Options;

    const URL: &str = "http://[fd77::1]:8083/httpboot/a.efi";
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
        assert_eq!(option(code::OPTION_REQUEST), [0, 32, 0, 59, 0, 83]);
        assert_eq!(option(code::ELAPSED).len(), 2);
        let nameless = Question { firmware: Firmware { uuid: None }, ..question };
        let packet = Packet::parse(&nameless.encode()).unwrap();
        assert_eq!(packet.options.get(code::CLIENT_ID).unwrap()[4..], MAC);
    }

    #[tokio::test]
    async fn only_an_answer_to_us_that_has_a_url_is_one() {
        let question = question();
        assert_eq!(boot_url(&answer(URL).encode(), &question), BootUrl::new(URL));
        let other = answer("tftp://[fd77::1]/snponly.efi").encode();
        assert_eq!(boot_url(&other, &question), None);
        let other = Question { firmware: Firmware { uuid: None }, ..question };
        assert_eq!(boot_url(&answer(URL).encode(), &other), None, "another client");
        for at in 0..4 {
            let mut changed = answer(URL).encode();
            changed[at] ^= 1;
            assert_eq!(boot_url(&changed, &question), None, "byte {at}");
        }
        let mut nobody = answer(URL);
        nobody.options.remove(code::SERVER_ID);
        assert_eq!(boot_url(&nobody.encode(), &question), None, "no server says who it is");
    }

    #[tokio::test]
    async fn an_answer_cut_at_any_byte_is_read_without_harm() {
        let whole = answer(URL).encode();
        for length in 0..whole.len() {
            assert_eq!(boot_url(&whole[..length], &question()), None);
        }
    }

    fn question() -> Question {
        let firmware = Firmware { uuid: Some(*b"0123456789abcdef") };
        Question { xid: 0x9912_3456, mac: MAC, firmware, began: Instant::now() }
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
