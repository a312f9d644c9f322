//! The first event: which digests each of the others has.

use super::{EventLogError, read::Reader};

const SIGNATURE: &[u8; 16] = b"Spec ID Event03\0";
/// Digest of the first event: as nothing was measured, all zeros.
const SHA1_LEN: usize = 20;
/// Platform class, versions, and the size of UINTN.
const VERSIONS: usize = 8;
/// A TPM has two or three.
const MAX_BANKS: u32 = 16;
const SHA256: u16 = 0x000b;
/// Sizes of digests by TPM_ALG_ID (TPM 2.0 Library, part 2, section 6.3).
const SIZES: [(u16, u16); 8] = [
    (0x0004, 20),
    (SHA256, 32),
    (0x000c, 48),
    (0x000d, 64),
    (0x0012, 32),
    (0x0027, 32),
    (0x0028, 48),
    (0x0029, 64),
];

/// It is no TPML_DIGEST_VALUES with at most one digest of each bank.
#[derive(Clone, Copy, Debug)]
pub(super) struct BadDigests;

/// TPM_ALG_ID and size of each digest.
#[derive(Clone, Debug)]
pub(super) struct Banks(Vec<(u16, u16)>);

impl Banks {
    /// Reads the event in front: a TCG_PCClientPCREvent with a TCG_EfiSpecIDEvent (sections 10.2.1 and
    /// 10.4.5.1).
    pub(super) fn read(log: &mut Reader<'_>) -> Result<Self, EventLogError> {
        let mut specified = spec_id(log)?;
        let banks = algorithms(&mut specified).ok_or(EventLogError::Malformed(0))?;
        if banks.iter().any(|(algorithm, _)| *algorithm == SHA256) {
            Ok(Self(banks))
        } else {
            Err(EventLogError::NoSha256)
        }
    }

    /// Reads a TPML_DIGEST_VALUES: the digest of SHA-256, if there is one.
    pub(super) fn digest(&self, log: &mut Reader<'_>) -> Result<Option<[u8; 32]>, BadDigests> {
        let count = log.u32().and_then(|count| usize::try_from(count).ok());
        let count = count.filter(|count| *count <= self.0.len()).ok_or(BadDigests)?;
        let mut found = None;
        for _ in 0..count {
            let (algorithm, digest) = self.one(log).ok_or(BadDigests)?;
            if algorithm == SHA256 {
                let digest = digest.try_into().map_err(|_| BadDigests)?;
                if found.replace(digest).is_some() {
                    return Err(BadDigests);
                }
            }
        }
        Ok(found)
    }

    fn one<'a>(&self, log: &mut Reader<'a>) -> Option<(u16, &'a [u8])> {
        let algorithm = log.u16()?;
        let (_, size) = self.0.iter().find(|(known, _)| *known == algorithm)?;
        Some((algorithm, log.take((*size).into())?))
    }
}

/// What the first event has.
fn spec_id<'a>(log: &mut Reader<'a>) -> Result<Reader<'a>, EventLogError> {
    let (kind, mut event) = first(log).ok_or(EventLogError::Malformed(0))?;
    let is_spec_id = kind == (0, super::kind::NO_ACTION)
        && event.array().is_some_and(|signature| signature == *SIGNATURE);
    if is_spec_id { Ok(event) } else { Err(EventLogError::NotAgile) }
}

/// PCR and type of the first event, and its content.
fn first<'a>(log: &mut Reader<'a>) -> Option<((u32, u32), Reader<'a>)> {
    let kind = (log.u32()?, log.u32()?);
    log.take(SHA1_LEN)?;
    Some((kind, Reader(log.sized()?)))
}

fn algorithms(event: &mut Reader<'_>) -> Option<Vec<(u16, u16)>> {
    event.take(VERSIONS)?;
    let count = event.u32().filter(|count| *count <= MAX_BANKS)?;
    let banks = (0..count).map(|_| {
        let bank = (event.u16()?, event.u16()?);
        let known = SIZES.iter().find(|(algorithm, _)| *algorithm == bank.0);
        known.is_none_or(|known| *known == bank).then_some(bank)
    });
    banks.collect()
}
