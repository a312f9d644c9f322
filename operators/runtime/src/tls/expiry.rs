//! When the certificate that is served ends, as `/metrics` says: a new one that cannot be used leaves the old one in
//! place, and whoever made the new one does not notice.

use super::Certificate;
use crate::metrics::{Registry, gauge};
use jiff::Timestamp;
use metal_base::der::{SEQUENCE, after_issuer, element};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder, metrics::MetricType};
use std::{fmt, sync::Arc};

const NAME: &str = "certificate_expiry_timestamp_seconds";
const HELP: &str = "When the HTTPS certificate in use ends, as a Unix time; missing without HTTPS";

/// Tags of the two forms of a time.
const UTC: u8 = 0x17;
const GENERALIZED: u8 = 0x18;

/// Registers the metric: when the certificate of the server ends. That of an authority that comes after it may be an old
/// one that no client needs. Without a chain, it is only described.
pub fn expiry(registry: &mut Registry, certificate: Option<&Arc<Certificate>>) {
    registry.register_collector(Expiry(certificate.cloned()), [(NAME, HELP, MetricType::Gauge)]);
}

#[derive(Debug)]
struct Expiry(Option<Arc<Certificate>>);

impl Collector for Expiry {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let Some(certificate) = &self.0 else { return Ok(()) };
        let Some(ends) = end_of_first(&certificate.certified().cert) else { return Ok(()) };
        gauge(&mut encoder, (NAME, HELP), ends.as_second())
    }
}

/// When the first certificate of a chain ends.
fn end_of_first<T: AsRef<[u8]>>(chain: &[T]) -> Option<Timestamp> {
    end_of(chain.first()?.as_ref())
}

/// When a certificate ends (RFC 5280, section 4.1.2.5); nothing if it never does, or cannot be read.
fn end_of(certificate: &[u8]) -> Option<Timestamp> {
    let (validity, _) = element(after_issuer(certificate)?, SEQUENCE)?;
    let (_, rest) = element(validity, UTC).or_else(|| element(validity, GENERALIZED))?;
    match element(rest, UTC) {
        // Two digits of the year: 50 is 1950.
        Some((text, _)) if text < b"50".as_slice() => time(&[&b"20"[..], text].concat()),
        Some((text, _)) => time(&[&b"19"[..], text].concat()),
        None => time(element(rest, GENERALIZED)?.0),
    }
}

/// A time as `YYYYMMDDHHMMSSZ`.
fn time(text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?;
    let part = |from: usize, to: usize| text.get(from..to);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, text.get(12..)?);
    format!("{year}-{month}-{day}T{hour}:{minute}:{second}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        [&[tag, length][..], content].concat()
    }

    /// A certificate with this validity and little else.
    fn certificate(times: [(u8, &str); 2]) -> Vec<u8> {
        let [from, to] = times.map(|(tag, text)| value(tag, text.as_bytes()));
        let parts = [
            value(0xa0, &value(0x02, &[2])),
            value(0x02, &[1]),
            value(SEQUENCE, b""),
            value(SEQUENCE, b""),
            value(SEQUENCE, &[from, to].concat()),
        ];
        value(SEQUENCE, &value(SEQUENCE, &parts.concat()))
    }

    #[test]
    fn an_old_certificate_of_an_authority_is_not_the_end_of_that_of_the_server() {
        let times = |ends| [(UTC, "200101000000Z"), (UTC, ends)];
        let [own, root] = ["270115083000Z", "210930140115Z"].map(|ends| certificate(times(ends)));
        let ends = "2027-01-15T08:30:00Z".parse::<Timestamp>().unwrap();
        assert_eq!(end_of_first(&[own, root]), Some(ends));
        assert_eq!(end_of_first::<Vec<u8>>(&[]), None);
    }

    #[test]
    fn both_forms_of_a_time_say_when_a_certificate_ends() {
        let begins = (UTC, "261201000000Z");
        for (ends, expected) in [
            ((UTC, "270115083000Z"), Some("2027-01-15T08:30:00Z")),
            ((UTC, "491231235959Z"), Some("2049-12-31T23:59:59Z")),
            ((UTC, "500101000000Z"), Some("1950-01-01T00:00:00Z")),
            ((GENERALIZED, "20600229000000Z"), Some("2060-02-29T00:00:00Z")),
            // It never ends.
            ((GENERALIZED, "99991231235959Z"), None),
            ((UTC, "270115083000"), None),
            ((UTC, "2701150830Z"), None),
            ((UTC, ""), None),
        ] {
            let expected = expected.map(|text| text.parse::<Timestamp>().unwrap());
            assert_eq!(end_of(&certificate([begins, ends])), expected, "{ends:?}");
        }
        assert_eq!(end_of(b"no certificate"), None);
    }
}
