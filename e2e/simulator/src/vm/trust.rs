//! What firmware trusts, as variables, which a person would enroll in its menus (UEFI 2.10, 32.4;
//! EDK II, `NetworkPkg/TlsAuthConfigDxe`).

use super::variables::{GLOBAL, Variable};
use crate::vm_settings::Trust;

/// `EFI_CERT_X509_GUID`.
const X509: u128 = 0xa5c0_59a1_94e4_4aa7_87b5_ab15_5c2b_f072;
/// `EFI_IMAGE_SECURITY_DATABASE_GUID`.
const SECURITY_DATABASE: u128 = 0xd719_b2cb_3d3a_4596_a3bc_dad0_0e67_656f;
/// `gEfiSecureBootEnableDisableGuid`.
const SECURE_BOOT_ENABLE: u128 = 0xf0a3_0bc7_af08_4556_99c4_0010_09c9_3a44;
/// `gEfiTlsCaCertificateGuid`.
const TLS_AUTHORITY: u128 = 0xfd23_40d0_3dab_4349_a6c7_3b4f_12b4_8eae;
/// `SignatureOwner` of our signatures.
const OWNER: u128 = 0x5b10_0ce7_0000_4000_8000_0000_0000_0001;

/// Non-volatile, boot services access.
const BOOT: u32 = 3;
/// Non-volatile, boot services and runtime access, time-based authenticated.
const SIGNED: u32 = 0x27;

impl Trust {
    /// All variables.
    pub(super) fn variables(&self) -> Vec<Variable> {
        let mut variables = Vec::new();
        if let Some(authority) = &self.authority {
            let data = signature_list(authority);
            variables.push(Variable::new("TlsCaCertificate", TLS_AUTHORITY, BOOT, data));
        }
        if let Some(signer) = &self.signer {
            // A single key in place of the several keys of a real site.
            let data = || signature_list(signer);
            variables.push(Variable::new("db", SECURITY_DATABASE, SIGNED, data()));
            variables.push(Variable::new("KEK", GLOBAL, SIGNED, data()));
            variables.push(Variable::new("PK", GLOBAL, SIGNED, data()));
            let on = vec![1];
            variables.push(Variable::new("SecureBootEnable", SECURE_BOOT_ENABLE, BOOT, on));
        }
        variables
    }
}

/// `EFI_SIGNATURE_LIST` with one certificate.
fn signature_list(certificate: &[u8]) -> Vec<u8> {
    let signature = [&super::variables::guid(OWNER)[..], certificate].concat();
    let size = u32::try_from(signature.len()).unwrap_or(u32::MAX);
    let mut list = super::variables::guid(X509).to_vec();
    list.extend((28 + size).to_le_bytes());
    list.extend(0_u32.to_le_bytes());
    list.extend(size.to_le_bytes());
    list.extend(signature);
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_the_only_signature_of_its_list() {
        let list = signature_list(b"DER");
        let number = |at: usize| u32::from_le_bytes(list[at..at + 4].try_into().unwrap());
        assert_eq!(list[..4], [0xa1, 0x59, 0xc0, 0xa5]);
        assert_eq!((number(16), number(20), number(24)), (28 + 16 + 3, 0, 16 + 3));
        assert_eq!(list.len(), 28 + 16 + 3);
        assert!(list.ends_with(b"DER"));
    }

    #[test]
    fn secure_boot_is_on_with_a_signer_alone() {
        let names = |trust: Trust| -> Vec<_> {
            trust.variables().iter().map(|variable| variable.name).collect()
        };
        assert!(names(Trust::default()).is_empty());
        let authority = Trust { authority: Some(vec![1]), signer: None };
        assert_eq!(names(authority), ["TlsCaCertificate"]);
        let signer = Trust { authority: None, signer: Some(vec![1]) };
        assert_eq!(names(signer), ["db", "KEK", "PK", "SecureBootEnable"]);
    }
}
