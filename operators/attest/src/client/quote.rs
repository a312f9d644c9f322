//! Quotes (TPM 2.0 Library, part 3, section 18.4): which values PCRs have, and that the TPM signs them.

use super::{
    command::{BuildError, build, create, empty_password},
    response::{Handle, LONGEST, ResponseError, body},
    template::attestation_key,
};
use crate::quote::Pcrs;
use std::collections::BTreeSet;
use tpm2_protocol::{
    TpmMarshal, TpmWriter,
    data::{
        Tpm2bData, TpmAlgId, TpmRh, TpmlPcrSelection, TpmsPcrSelect, TpmsPcrSelection,
        TpmtSigScheme,
    },
    frame::{TpmPcrReadCommand, TpmPcrReadResponse, TpmQuoteCommand, TpmQuoteResponse},
};

/// PCRs of a PC: 24, three octets.
const SELECT_LEN: usize = 3;

/// `TPM2_CreatePrimary` of an attestation key, in the hierarchy of the endorsement key.
///
/// # Errors
///
/// None, as its parts are constants.
pub fn create_ak() -> Result<Vec<u8>, BuildError> {
    create(TpmRh::Endorsement, attestation_key()?)
}

/// `TPM2_PCR_Read` (section 22.4). A TPM tells eight at a time: what is missing in the answer is asked for
/// again.
///
/// # Errors
///
/// None that a selection could cause.
pub fn pcr_read(pcrs: &BTreeSet<u8>) -> Result<Vec<u8>, BuildError> {
    build(&TpmPcrReadCommand { handles: [], pcr_selection_in: selection(pcrs)? }, &[])
}

/// The values that [`pcr_read`] has read.
///
/// # Errors
///
/// There are none, or they are not of SHA-256.
pub fn pcr_values(response: &[u8]) -> Result<Pcrs, ResponseError> {
    let parsed: TpmPcrReadResponse = body(response)?;
    let selected = parsed.pcr_selection_out.iter().find(|it| it.hash == TpmAlgId::Sha256);
    let selected = selected.ok_or(ResponseError::Malformed)?;
    let bits = (0_u8..24).filter(|at| {
        let octet = selected.pcr_select.get(usize::from(at / 8)).copied().unwrap_or_default();
        octet >> (at % 8) & 1 == 1
    });
    let values = parsed.pcr_values.iter().map(|value| <[u8; 32]>::try_from(value.as_ref()));
    let all = bits.zip(values).map(|(at, value)| value.map(|value| (at, value)));
    let all: Pcrs = all.collect::<Result<_, _>>().map_err(|_| ResponseError::Malformed)?;
    if all.is_empty() { Err(ResponseError::Malformed) } else { Ok(all) }
}

/// `TPM2_Quote`, by an attestation key, with a nonce.
///
/// # Errors
///
/// None that a selection could cause.
pub fn quote(ak: Handle, nonce: &[u8; 32], pcrs: &BTreeSet<u8>) -> Result<Vec<u8>, BuildError> {
    let command = TpmQuoteCommand {
        handles: [ak.0.into()],
        qualifying_data: Tpm2bData::try_from(&nonce[..])?,
        // That of the key.
        in_scheme: TpmtSigScheme::default(),
        pcr_select: selection(pcrs)?,
    };
    build(&command, &[empty_password()])
}

/// The TPMS_ATTEST and the TPMT_SIGNATURE that [`quote`] has made.
///
/// # Errors
///
/// There are none.
pub fn quoted(response: &[u8]) -> Result<(Vec<u8>, Vec<u8>), ResponseError> {
    let parsed: TpmQuoteResponse = body(response)?;
    Ok((written(&parsed.quoted.inner)?, written(&parsed.signature)?))
}

fn written(it: &impl TpmMarshal) -> Result<Vec<u8>, ResponseError> {
    let mut buffer = [0; LONGEST];
    let mut writer = TpmWriter::new(&mut buffer);
    it.marshal(&mut writer).map_err(|_| ResponseError::Malformed)?;
    Ok(writer.as_bytes().to_vec())
}

fn selection(pcrs: &BTreeSet<u8>) -> Result<TpmlPcrSelection, BuildError> {
    let mut select = [0; SELECT_LEN];
    for pcr in pcrs {
        let octet = select.get_mut(usize::from(pcr / 8)).ok_or(BuildError)?;
        *octet |= 1 << (pcr % 8);
    }
    let pcr_select = TpmsPcrSelect::try_from(&select[..])?;
    let mut list = TpmlPcrSelection::new();
    list.try_push(TpmsPcrSelection { hash: TpmAlgId::Sha256, pcr_select })?;
    Ok(list)
}
