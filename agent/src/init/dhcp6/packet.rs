//! The question, and what of an answer is of use (RFC 9915, section 7 and 21).

use crate::init::dhcp::Firmware;
use tokio::time::Instant;

const INFORMATION_REQUEST: u8 = 11;
const REPLY: u8 = 7;
/// Type and transaction.
const HEADER: usize = 4;
/// Intel, whose number UEFI gives for its vendor class.
const ENTERPRISE: [u8; 4] = 343_u32.to_be_bytes();

/// Codes of options.
mod code {
    pub(super) const CLIENT_ID: u16 = 1;
    pub(super) const SERVER_ID: u16 = 2;
    pub(super) const OPTION_REQUEST: u16 = 6;
    pub(super) const ELAPSED: u16 = 8;
    pub(super) const VENDOR_CLASS: u16 = 16;
    pub(super) const REFRESH_TIME: u16 = 32;
    pub(super) const BOOT_FILE: u16 = 59;
    pub(super) const ARCHITECTURE: u16 = 61;
    pub(super) const MAX_RETRANSMISSION: u16 = 83;
}

/// What has no other option of its own; the two besides the URL must be asked for (RFC 9915,
/// section 18.2.6).
const WANTED: [u16; 3] = [code::REFRESH_TIME, code::BOOT_FILE, code::MAX_RETRANSMISSION];

/// What this machine asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    /// Of which 24 bits count.
    pub(super) xid: u64,
    pub(super) mac: [u8; 6],
    pub(super) firmware: Firmware,
    /// When we began to ask.
    pub(super) began: Instant,
}

impl Question {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![INFORMATION_REQUEST];
        bytes.extend(self.transaction());
        let hundredths = self.began.elapsed().as_millis() / 10;
        let wanted = WANTED.map(u16::to_be_bytes);
        put(&mut bytes, code::CLIENT_ID, &self.identifier());
        let elapsed = u16::try_from(hundredths).unwrap_or(u16::MAX);
        put(&mut bytes, code::ELAPSED, &elapsed.to_be_bytes());
        put(&mut bytes, code::OPTION_REQUEST, wanted.as_flattened());
        put(&mut bytes, code::ARCHITECTURE, &Firmware::ARCHITECTURE.to_be_bytes());
        let class = Firmware::class();
        let len = u16::try_from(class.len()).unwrap_or(u16::MAX).to_be_bytes();
        put(&mut bytes, code::VENDOR_CLASS, &[&ENTERPRISE[..], &len, class.as_bytes()].concat());
        bytes
    }

    fn transaction(&self) -> [u8; 3] {
        let [.., first, second, third] = self.xid.to_be_bytes();
        [first, second, third]
    }

    /// That of the firmware, which is of the UUID as SMBIOS has it (DUID-UUID, RFC 6355); without
    /// one, of the MAC address (DUID-LL).
    fn identifier(&self) -> Vec<u8> {
        match self.firmware.uuid {
            Some(uuid) => [&[0, 4], &uuid[..]].concat(),
            None => [&[0, 3, 0, 1], &self.mac[..]].concat(),
        }
    }
}

/// The URL in an answer to this question; anything else is none.
pub(super) fn boot_url(bytes: &[u8], question: &Question) -> Option<String> {
    let (header, options) = bytes.split_first_chunk::<HEADER>()?;
    let [REPLY, transaction @ ..] = *header else { return None };
    let is_ours = transaction == question.transaction()
        && find(options, code::CLIENT_ID)? == question.identifier()
        && find(options, code::SERVER_ID).is_some();
    let text = std::str::from_utf8(find(options, code::BOOT_FILE)?).ok()?;
    let is_url = text.starts_with("http://") || text.starts_with("https://");
    (is_ours && is_url).then(|| text.to_owned())
}

fn put(bytes: &mut Vec<u8>, code: u16, value: &[u8]) {
    bytes.extend(code.to_be_bytes());
    bytes.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend(value);
}

fn find(mut options: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let (code, rest) = options.split_first_chunk::<2>()?;
        let (len, rest) = rest.split_first_chunk::<2>()?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        if u16::from_be_bytes(*code) == wanted {
            return Some(value);
        }
        options = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://[fd77::1]:8083/httpboot/a.efi";
    const MAC: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    #[tokio::test]
    async fn the_question_is_that_of_firmware_without_an_address() {
        let question = question();
        let bytes = question.encode();
        assert_eq!(bytes[..HEADER], [INFORMATION_REQUEST, 0x12, 0x34, 0x56]);
        let option = |code| find(&bytes[HEADER..], code).unwrap();
        assert_eq!(option(code::CLIENT_ID), [&[0, 4], &b"0123456789abcdef"[..]].concat());
        assert!(option(code::VENDOR_CLASS)[6..].starts_with(b"HTTPClient:Arch:000"));
        assert_eq!(option(code::ARCHITECTURE), Firmware::ARCHITECTURE.to_be_bytes());
        assert_eq!(option(code::OPTION_REQUEST), [0, 32, 0, 59, 0, 83]);
        let nameless = Question { firmware: Firmware { uuid: None }, ..question };
        let bytes = nameless.encode();
        assert_eq!(find(&bytes[HEADER..], code::CLIENT_ID).unwrap()[4..], MAC);
    }

    #[tokio::test]
    async fn only_an_answer_to_us_that_has_a_url_is_one() {
        let question = question();
        assert_eq!(boot_url(&answer(URL), &question).as_deref(), Some(URL));
        assert_eq!(boot_url(&answer("tftp://[fd77::1]/snponly.efi"), &question), None);
        let other = Question { firmware: Firmware { uuid: None }, ..question };
        assert_eq!(boot_url(&answer(URL), &other), None, "another client");
        for at in 0..HEADER {
            let mut changed = answer(URL);
            changed[at] ^= 1;
            assert_eq!(boot_url(&changed, &question), None, "byte {at}");
        }
        let mut nobody = question.encode();
        nobody[0] = REPLY;
        put(&mut nobody, code::BOOT_FILE, URL.as_bytes());
        assert_eq!(boot_url(&nobody, &question), None, "no server says who it is");
    }

    #[tokio::test]
    async fn an_answer_cut_at_any_byte_is_read_without_harm() {
        let whole = answer(URL);
        for length in 0..whole.len() {
            assert_eq!(boot_url(&whole[..length], &question()), None);
        }
    }

    fn question() -> Question {
        let firmware = Firmware { uuid: Some(*b"0123456789abcdef") };
        Question { xid: 0x9912_3456, mac: MAC, firmware, began: Instant::now() }
    }

    /// What a server says to that.
    fn answer(url: &str) -> Vec<u8> {
        let [first, second, third] = question().transaction();
        let mut bytes = vec![REPLY, first, second, third];
        put(&mut bytes, code::CLIENT_ID, &question().identifier());
        put(&mut bytes, code::SERVER_ID, &[0, 3, 0, 1, 2, 0, 0, 0, 0, 1]);
        put(&mut bytes, code::BOOT_FILE, url.as_bytes());
        bytes
    }
}
