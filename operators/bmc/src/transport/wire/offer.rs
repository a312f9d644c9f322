//! Finds out what a BMC offers that we cannot speak TLS with, by a hello that offers obsolete
//! versions and ciphers, so that the error says what has to be changed.
//!
//! Nothing is encrypted by what is negotiated here, and nothing but the hello is sent.

use crate::Limits;
use std::{fmt, fmt::Write as _, io, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How many bytes are read: enough for hello and certificates.
const LONGEST: u64 = 32 << 10;
const HANDSHAKE: u8 = 22;
const ALERT: u8 = 21;
const SERVER_HELLO: u8 = 2;
const CERTIFICATE: u8 = 11;
const SMALLEST_KEY: usize = 2048;

/// Cipher suites of TLS 1.2 and before, by number (IANA, "TLS Cipher Suites"), best first.
const SUITES: &[(u16, &str)] = &[
    (0xc02f, "ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0xc02b, "ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    (0xc030, "ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0xc02c, "ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    (0xcca8, "ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    (0xcca9, "ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
    (0xc027, "ECDHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0xc013, "ECDHE_RSA_WITH_AES_128_CBC_SHA"),
    (0xc014, "ECDHE_RSA_WITH_AES_256_CBC_SHA"),
    (0xc009, "ECDHE_ECDSA_WITH_AES_128_CBC_SHA"),
    (0xc00a, "ECDHE_ECDSA_WITH_AES_256_CBC_SHA"),
    (0x009e, "DHE_RSA_WITH_AES_128_GCM_SHA256"),
    (0x009f, "DHE_RSA_WITH_AES_256_GCM_SHA384"),
    (0x0067, "DHE_RSA_WITH_AES_128_CBC_SHA256"),
    (0x006b, "DHE_RSA_WITH_AES_256_CBC_SHA256"),
    (0x0033, "DHE_RSA_WITH_AES_128_CBC_SHA"),
    (0x0039, "DHE_RSA_WITH_AES_256_CBC_SHA"),
    (0x009c, "RSA_WITH_AES_128_GCM_SHA256"),
    (0x009d, "RSA_WITH_AES_256_GCM_SHA384"),
    (0x003c, "RSA_WITH_AES_128_CBC_SHA256"),
    (0x003d, "RSA_WITH_AES_256_CBC_SHA256"),
    (0x002f, "RSA_WITH_AES_128_CBC_SHA"),
    (0x0035, "RSA_WITH_AES_256_CBC_SHA"),
    (0xc012, "ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x0016, "DHE_RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x000a, "RSA_WITH_3DES_EDE_CBC_SHA"),
    (0x0005, "RSA_WITH_RC4_128_SHA"),
    (0x0004, "RSA_WITH_RC4_128_MD5"),
];
/// How many of these we support, from the start of the list.
const SPOKEN: usize = 6;

/// What a BMC offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    version: Option<(u8, u8)>,
    suite: Option<u16>,
    /// Size of its RSA key in bits.
    key: Option<usize>,
    alert: Option<u8>,
}

impl Offer {
    /// Asks a BMC.
    pub(crate) async fn of(peer: SocketAddr, limits: &Limits) -> Option<Self> {
        let ask = async {
            let mut tcp = TcpStream::connect(peer).await?;
            tcp.write_all(&hello()).await?;
            let (mut answer, mut part) = (vec![], [0; 4096]);
            let mut tcp = tcp.take(LONGEST);
            loop {
                let read = tcp.read(&mut part).await?;
                answer.extend_from_slice(&part[..read]);
                let offer = Self::read(&answer);
                if read == 0 || offer.key.is_some() || offer.alert.is_some() {
                    return Ok::<_, io::Error>(offer);
                }
            }
        };
        let offer = timeout(limits.tls, ask).await.ok()?.ok()?;
        (offer != Self::default()).then_some(offer)
    }

    /// Reads the records of an answer, as far as it goes.
    fn read(mut answer: &[u8]) -> Self {
        let (mut offer, mut messages) = (Self::default(), vec![]);
        while let Some((head, rest)) = answer.split_at_checked(5) {
            let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
            let body = &rest[..length.min(rest.len())];
            match head[0] {
                HANDSHAKE => messages.extend_from_slice(body),
                ALERT => offer.alert = body.get(1).copied(),
                _ => return offer,
            }
            answer = &rest[body.len()..];
        }
        let mut messages = messages.as_slice();
        while let Some((head, rest)) = messages.split_at_checked(4) {
            let Some(body) = rest.get(..number(&head[1..])) else { break };
            match head[0] {
                SERVER_HELLO => offer.take_hello(body),
                CERTIFICATE => offer.key = key(body),
                _ => {}
            }
            messages = &rest[body.len()..];
        }
        offer
    }

    fn take_hello(&mut self, body: &[u8]) {
        let session = body.get(34).copied().map_or(0, usize::from);
        if let (Some(version), Some(suite)) = (body.get(..2), body.get(35 + session..37 + session))
        {
            self.version = Some((version[0], version[1]));
            self.suite = Some(u16::from_be_bytes([suite[0], suite[1]]));
        }
    }
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut offers, mut advice) = (vec![], "update its firmware");
        if let Some((3, minor @ 0..=3)) = self.version {
            offers
                .push(["SSL 3.0", "TLS 1.0", "TLS 1.1", "TLS 1.2"][usize::from(minor)].to_owned());
        }
        if let Some(suite) = self.suite {
            let known = SUITES.iter().find(|(number, _)| *number == suite);
            let name =
                known.map_or_else(|| format!("{suite:#06x}"), |(_, name)| (*name).to_owned());
            offers.push(name);
        }
        if let Some(bits) = self.key {
            offers.push(format!("an RSA key of {bits} bits"));
            let spoken = SUITES[..SPOKEN].iter().any(|(number, _)| Some(*number) == self.suite);
            if bits < SMALLEST_KEY && spoken {
                advice = "install a certificate with a longer key";
            }
        }
        let mut text = offers.join(", ");
        if let (true, Some(alert)) = (offers.is_empty(), self.alert) {
            write!(text, "no supported TLS version or cipher (alert {alert})")?;
        }
        write!(
            f,
            "the BMC offers {text}; needed are TLS 1.2 or 1.3 with ECDHE and AES-GCM or ChaCha20, \
             and RSA keys of at least {SMALLEST_KEY} bits: {advice}"
        )
    }
}

/// A big-endian number of any length.
fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

/// Size in bits of the RSA key in the first certificate of this message.
fn key(message: &[u8]) -> Option<usize> {
    /// `rsaEncryption` with its parameters; a bit string with the key follows.
    const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
    let certificate = message.get(6..)?.get(..number(message.get(3..6)?))?;
    let at = certificate.windows(RSA.len()).position(|part| part == RSA)?;
    let bits = content(&certificate[at + RSA.len()..], 3)?;
    let pair = content(bits.get(1..)?, 0x30)?;
    let modulus = content(pair, 2)?;
    let modulus = &modulus[modulus.iter().position(|byte| *byte != 0)?..];
    let unused = usize::try_from(modulus.first()?.leading_zeros()).ok()?;
    Some(modulus.len() * 8 - unused)
}

/// The content of a DER value with this tag.
fn content(der: &[u8], tag: u8) -> Option<&[u8]> {
    let (first, rest) = der.strip_prefix(&[tag])?.split_first()?;
    let (length, rest) = match usize::from(first & 0x7f) {
        short if first & 0x80 == 0 => (short, rest),
        bytes @ 1..=3 => (number(rest.get(..bytes)?), rest.get(bytes..)?),
        _ => return None,
    };
    rest.get(..length)
}

/// A `ClientHello` of TLS 1.2 (RFC 5246, section 7.4.1.2) that offers every suite in the list.
fn hello() -> Vec<u8> {
    let list = |items: &[u16]| -> Vec<u8> {
        let bytes: Vec<u8> = items.iter().flat_map(|item| item.to_be_bytes()).collect();
        sized(2, &bytes)
    };
    let extension = |kind: u16, body: &[u8]| [&kind.to_be_bytes()[..], &sized(2, body)].concat();
    let suites: Vec<u16> = SUITES.iter().map(|(number, _)| *number).collect();
    let extensions = [
        extension(10, &list(&[29, 23, 24, 25])),
        extension(11, &[1, 0]),
        extension(13, &list(&[0x0804, 0x0403, 0x0401, 0x0501, 0x0601, 0x0201, 0x0203])),
    ]
    .concat();
    let body = [
        &[3, 3][..],
        // The random value: nothing depends on it.
        &[0x42; 32],
        &[0],
        &list(&suites),
        &[1, 0],
        &sized(2, &extensions),
    ]
    .concat();
    let message = [&[1][..], &sized(3, &body)].concat();
    [&[HANDSHAKE, 3, 1][..], &sized(2, &message)].concat()
}

/// Bytes with their length in front, as a number of `width` bytes.
fn sized(width: usize, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len().to_be_bytes();
    [&length[length.len() - width..], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The answer of an obsolete server.
    fn answer(version: u8, suite: u16, bits: usize) -> Vec<u8> {
        let hello = [&[3, version][..], &[7; 32], &[0], &suite.to_be_bytes(), &[0]].concat();
        let der = |tag: u8, body: &[u8]| [&[tag, 0x82][..], &sized(2, body)].concat();
        let modulus = [&[0][..], &vec![0xff; bits / 8]].concat();
        let pair = der(0x30, &[der(2, &modulus), der(2, &[1, 0, 1])].concat());
        let oid = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
        let info = [&oid[..], &der(3, &[&[0][..], &pair].concat())].concat();
        let certificates = sized(3, &sized(3, &der(0x30, &info)));
        let messages = [
            [&[SERVER_HELLO][..], &sized(3, &hello)].concat(),
            [&[CERTIFICATE][..], &sized(3, &certificates)].concat(),
        ];
        let record = |body: &[u8]| [&[HANDSHAKE, 3, version][..], &sized(2, body)].concat();
        messages.concat().chunks(100).flat_map(record).collect()
    }

    #[test]
    fn what_an_old_bmc_offers_is_told_with_what_to_do() {
        for (version, suite, bits, texts) in [
            (
                1,
                0x002f,
                1024,
                ["TLS 1.0, RSA_WITH_AES_128_CBC_SHA, an RSA key of 1024 bits", "firmware"],
            ),
            (
                3,
                0x0033,
                2048,
                ["TLS 1.2, DHE_RSA_WITH_AES_128_CBC_SHA, an RSA key of 2048", "firmware"],
            ),
            (3, 0xc02f, 1024, ["ECDHE_RSA_WITH_AES_128_GCM_SHA256", "a longer key"]),
            (0, 0x9999, 512, ["SSL 3.0, 0x9999", "firmware"]),
        ] {
            let text = Offer::read(&answer(version, suite, bits)).to_string();
            for part in texts {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        let refused = Offer::read(&[ALERT, 3, 1, 0, 2, 2, 40]).to_string();
        assert!(refused.contains("no supported TLS version or cipher (alert 40)"), "{refused}");
    }

    #[test]
    fn an_answer_of_openssl_is_read() {
        let offer = Offer::read(include_bytes!("../../testdata/openssl-tls11-rsa1024.bin"));
        let text = offer.to_string();
        let expected = "TLS 1.1, RSA_WITH_AES_128_CBC_SHA, an RSA key of 1024 bits";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn an_answer_that_is_none_is_no_offer() {
        let whole = answer(3, 0x002f, 2048);
        for length in 0..whole.len() {
            Offer::read(&whole[..length]);
            let broken: Vec<u8> = whole[..length].iter().map(|byte| byte ^ 0x55).collect();
            Offer::read(&broken);
        }
        for other in [&b""[..], b"HTTP/1.1 400 Bad Request\r\n\r\n", &[0xff; 64]] {
            assert_eq!(Offer::read(other), Offer::default(), "{other:?}");
        }
    }
}
