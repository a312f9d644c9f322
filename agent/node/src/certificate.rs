//! Reads a certificate (RFC 5280, section 4.1): its subject, and its validity. Whether it is genuine is left to
//! the API server, which has issued it.

use der::{
    Decode, Reader, SliceReader, Tag, Tagged,
    asn1::{AnyRef, GeneralizedTime, UtcTime},
};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// 2.5.4.3, as DER has it.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
/// Tag of the version, which is the first field, and may be missing. The serial number, the algorithm and the
/// issuer follow it, before the fields that are read.
const VERSION: u8 = 0xa0;

/// The validity of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    /// Not before.
    pub(crate) from: Timestamp,
    /// Not after.
    pub(crate) until: Timestamp,
}

/// The fields of a certificate that we need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its validity.
    pub(crate) validity: Validity,
    /// `CN` of its subject.
    pub(crate) common_name: String,
}

/// It is not a certificate in DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate")]
pub(crate) struct NoCertificate;

impl From<der::Error> for NoCertificate {
    fn from(_: der::Error) -> Self {
        Self
    }
}

impl Facts {
    /// Reads a certificate in DER.
    pub(crate) fn read(der: &[u8]) -> Result<Self, NoCertificate> {
        let whole = sequence(AnyRef::from_der(der)?)?;
        let mut fields = SliceReader::new(sequence_in(whole)?)?;
        let mut next = AnyRef::decode(&mut fields)?;
        if u8::from(next.tag()) == VERSION {
            next = AnyRef::decode(&mut fields)?; // The serial number, which is next otherwise.
        }
        if next.tag() != Tag::Integer {
            return Err(NoCertificate);
        }
        let (_algorithm, _issuer) = (AnyRef::decode(&mut fields)?, AnyRef::decode(&mut fields)?);
        let mut times = SliceReader::new(sequence(AnyRef::decode(&mut fields)?)?)?;
        let from = time(AnyRef::decode(&mut times)?)?;
        let until = time(AnyRef::decode(&mut times)?)?;
        let common_name = common_name(sequence(AnyRef::decode(&mut fields)?)?)?;
        Ok(Self { validity: Validity { from, until }, common_name })
    }
}

/// The content of a sequence.
fn sequence(value: AnyRef<'_>) -> Result<&[u8], NoCertificate> {
    if value.tag() == Tag::Sequence { Ok(value.value()) } else { Err(NoCertificate) }
}

/// The content of the sequence at the beginning of these bytes.
fn sequence_in(bytes: &[u8]) -> Result<&[u8], NoCertificate> {
    sequence(AnyRef::decode(&mut SliceReader::new(bytes)?)?)
}

/// Two kinds of time are in use (section 4.1.2.5).
fn time(value: AnyRef<'_>) -> Result<Timestamp, NoCertificate> {
    let since: Duration = match value.tag() {
        Tag::UtcTime => value.decode_as::<UtcTime>()?.to_unix_duration(),
        Tag::GeneralizedTime => value.decode_as::<GeneralizedTime>()?.to_unix_duration(),
        _ => return Err(NoCertificate),
    };
    let since = SignedDuration::try_from(since).map_err(|_| NoCertificate)?;
    Timestamp::from_duration(since).map_err(|_| NoCertificate)
}

/// The only common name of a subject.
fn common_name(subject: &[u8]) -> Result<String, NoCertificate> {
    let mut sets = SliceReader::new(subject)?;
    let mut found = None;
    while !sets.is_finished() {
        let set = AnyRef::decode(&mut sets)?;
        let mut pairs = SliceReader::new(set.value())?;
        while !pairs.is_finished() {
            let mut pair = SliceReader::new(sequence(AnyRef::decode(&mut pairs)?)?)?;
            let (kind, value) = (AnyRef::decode(&mut pair)?, AnyRef::decode(&mut pair)?);
            if kind.value() == COMMON_NAME && found.replace(value).is_some() {
                return Err(NoCertificate);
            }
        }
    }
    let name = found.ok_or(NoCertificate)?;
    std::str::from_utf8(name.value()).map(str::to_owned).map_err(|_| NoCertificate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Authority;

    #[test]
    fn name_and_validity_are_read_as_they_were_written() {
        let authority = Authority::new();
        for (from, until) in [(2020, 2049), (2049, 2050), (2050, 2120)] {
            let der = authority.certificate("system:node:node-01", from, until);
            let facts = Facts::read(&der).unwrap();
            let expected = Validity {
                from: format!("{from}-01-01T00:00:00Z").parse().unwrap(),
                until: format!("{until}-01-01T00:00:00Z").parse().unwrap(),
            };
            assert_eq!((facts.validity, &*facts.common_name), (expected, "system:node:node-01"));
        }
    }

    #[test]
    fn what_is_cut_or_changed_is_no_certificate_and_nothing_worse() {
        let der = Authority::new().certificate("system:node:node-01", 2020, 2030);
        for len in 0..der.len() {
            assert_eq!(Facts::read(&der[..len]), Err(NoCertificate), "{len}");
        }
        for at in 0..der.len() {
            for octet in [0, 1, 0x30, 0x7f, 0x80, 0xff] {
                let mut changed = der.clone();
                changed[at] = octet;
                if let Ok(facts) = Facts::read(&changed) {
                    assert!(facts.common_name.len() < der.len());
                }
            }
        }
    }
}
