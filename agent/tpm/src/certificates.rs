//! The certificates of the endorsement key that the manufacturer of the TPM has put there.

use crate::{Tpm, TpmError};
use metal_attest::{
    MAX_CERTIFICATES,
    client::{
        EK_CHAIN, EkTemplate, MAX_NV, ResponseError, certificates, ek_certificate, nv_area,
        nv_content, nv_read, nv_read_public,
    },
};

impl Tpm {
    /// The certificate of the key, and those between it and a root, each in DER. Many TPMs have none, which is
    /// no error, because not every server requires one.
    pub(crate) fn ek_certificates(
        &mut self,
        template: EkTemplate,
    ) -> Result<Vec<Vec<u8>>, TpmError> {
        let own = self.area(ek_certificate(template), MAX_NV)?;
        let Some(own) = certificates(&own).first().map(|it| it.to_vec()) else {
            return Ok(vec![]);
        };
        // A certificate may begin in one area and end in the next.
        let mut chain = vec![];
        for index in EK_CHAIN {
            let room = MAX_NV.saturating_sub(own.len() + chain.len());
            let area = self.area(index, room)?;
            if area.is_empty() {
                break;
            }
            chain.extend(area);
        }
        let between = certificates(&chain).into_iter().map(<[u8]>::to_vec);
        Ok([own].into_iter().chain(between).take(MAX_CERTIFICATES).collect())
    }

    /// The content of an area of NV memory; `None` if it does not exist, cannot be read, or is too long.
    fn area(&mut self, index: u32, room: usize) -> Result<Vec<u8>, TpmError> {
        let mut content = vec![];
        let area = match self.run(&nv_read_public(index)?, nv_area) {
            Ok(Some(area)) if usize::from(area.len) <= room => area,
            Err(TpmError::Response(ResponseError::Refused(rc))) if rc.is_missing() => {
                return Ok(content);
            }
            Ok(_) | Err(TpmError::Response(_)) => return Ok(unreadable(index)),
            Err(error) => return Err(error),
        };
        while let Some(command) = nv_read(area, u16::try_from(content.len()).unwrap_or(u16::MAX))? {
            match self.run(&command, nv_content) {
                Ok(piece) => content.extend(piece),
                Err(TpmError::Response(_)) => return Ok(unreadable(index)),
                Err(error) => return Err(error),
            }
        }
        Ok(content)
    }
}

fn unreadable(index: u32) -> Vec<u8> {
    tracing::debug!(index = format!("{index:#010x}"), "a certificate in the TPM cannot be read");
    vec![]
}
