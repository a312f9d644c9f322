//! The certificates of endorsement keys in the NV memory of a TPM, where its manufacturer puts them (TCG EK
//! Credential Profile 2.5, section 2.2.1).

use super::{
    command::{BuildError, build, empty_password},
    response::{ResponseError, body},
    template::EkTemplate,
};
use crate::certificate::MAX_CERTIFICATES;
use std::ops::RangeInclusive;
use tpm2_protocol::{
    data::{TpmRh, TpmaNv},
    frame::{TpmNvReadCommand, TpmNvReadPublicCommand, TpmNvReadPublicResponse, TpmNvReadResponse},
};

/// Where certificates between that of a key and its root are, one after the other.
pub const EK_CHAIN: RangeInclusive<u32> = 0x01c0_0100..=0x01c0_01ff;

/// How much is read in total, in octets: more does not fit into a request.
pub const MAX_NV: usize = 10 * 1024;

/// How much every TPM returns at a time, in octets.
const AT_ONCE: u16 = 512;

/// Where the certificate of a key is.
pub fn ek_certificate(template: EkTemplate) -> u32 {
    match template {
        EkTemplate::Rsa2048 => 0x01c0_0002,
        EkTemplate::P256 => 0x01c0_000a,
    }
}

/// An area of NV memory that can be read without a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NvArea {
    pub(crate) index: u32,
    /// Who may read it: the area itself, or the owner.
    pub(crate) by: u32,
    /// Its length, in octets.
    pub len: u16,
}

/// `TPM2_NV_ReadPublic` (section 31.6).
///
/// # Errors
///
/// None, as its parts have fixed lengths.
pub fn nv_read_public(index: u32) -> Result<Vec<u8>, BuildError> {
    build(&TpmNvReadPublicCommand { handles: [index.into()] }, &[])
}

/// The area that [`nv_read_public`] was about; nothing, if nobody has written it, or it cannot be read
/// without a password or a policy.
///
/// # Errors
///
/// It does not exist, or cannot be asked for.
pub fn nv_area(response: &[u8]) -> Result<Option<NvArea>, ResponseError> {
    let parsed: TpmNvReadPublicResponse = body(response)?;
    let public = parsed.nv_public.inner;
    let index = public.nv_index.into();
    let attributes = public.attributes;
    if !attributes.contains(TpmaNv::WRITTEN) || attributes.contains(TpmaNv::READLOCKED) {
        return Ok(None);
    }
    let by = if attributes.contains(TpmaNv::OWNERREAD) {
        TpmRh::Owner.value()
    } else if attributes.contains(TpmaNv::AUTHREAD | TpmaNv::NO_DA) {
        // If wrong passwords are counted, none is tried.
        index
    } else {
        return Ok(None);
    };
    Ok(Some(NvArea { index, by, len: u16::from_be_bytes(public.data_size.to_be_bytes()) }))
}

/// `TPM2_NV_Read` (section 31.13) of what comes at this offset, or a part of it; nothing, if that is the
/// end of the area.
///
/// # Errors
///
/// None, as its parts have fixed lengths.
pub fn nv_read(area: NvArea, offset: u16) -> Result<Option<Vec<u8>>, BuildError> {
    let size = area.len.saturating_sub(offset).min(AT_ONCE);
    if size == 0 {
        return Ok(None);
    }
    let handles = [area.by.into(), area.index.into()];
    let command = TpmNvReadCommand { handles, size: size.into(), offset: offset.into() };
    build(&command, &[empty_password()]).map(Some)
}

/// What [`nv_read`] has read.
///
/// # Errors
///
/// It was not allowed, or nothing came.
pub fn nv_content(response: &[u8]) -> Result<Vec<u8>, ResponseError> {
    let parsed: TpmNvReadResponse = body(response)?;
    let content = parsed.data.to_vec();
    if content.is_empty() { Err(ResponseError::Malformed) } else { Ok(content) }
}

/// The certificates, each in DER, one after the other. Some manufacturers fill the rest of the area.
pub fn certificates(mut octets: &[u8]) -> Vec<&[u8]> {
    let mut all = vec![];
    while let Some((certificate, rest)) = certificate(octets) {
        if all.len() == MAX_CERTIFICATES {
            break;
        }
        all.push(certificate);
        octets = rest;
    }
    all
}

/// A leading SEQUENCE with a length of two octets, as every certificate has; and the rest.
fn certificate(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x30, 0x82, high, low, ..] = octets else { return None };
    octets.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])) + 4)
}
