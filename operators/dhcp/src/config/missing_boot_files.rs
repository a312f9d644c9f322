//! What a valid configuration most likely lacks.

use super::{Config, v6::BootUrls};

/// Some machines get less than the author of the configuration may expect. It is used all the same,
/// as there may be no such machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MissingBootFiles {
    /// There are boot files, but none for PXE.
    #[error(
        "boot.bios, boot.uefi and boot.arm64 are not set, so PXE clients get an address, but no \
         boot file; set them to the iPXE binaries, and tftp.root to their folder"
    )]
    Pxe,
    /// The same, with IPv6 only.
    #[error(
        "dhcp6.boot.uefi and dhcp6.boot.arm64 are not set, so PXE clients get an address, but no \
         boot file; set them to the tftp:// URLs of iPXE; if these are of netboot, set tftp.root, \
         and tftp.listen to `::`"
    )]
    Pxe6,
}

impl Config {
    /// What is lacking. A machine can boot by either IP version, so a file for one of them is
    /// enough.
    pub fn missing_boot_files(&self) -> Option<MissingBootFiles> {
        let (four, nothing) = (&self.boot, BootUrls::default());
        let six = self.dhcp6.as_ref().map_or(&nothing, |dhcp6| &dhcp6.boot);
        let is_pxe = [&four.bios, &four.uefi, &four.arm64].iter().any(|file| file.is_some());
        let is_pxe = is_pxe || six.uefi.is_some() || six.arm64.is_some();
        let urls =
            [&four.http, &four.http_arm64, &four.ipxe, &six.http, &six.http_arm64, &six.ipxe];
        let boots = urls.iter().any(|url| url.is_some());
        let missing =
            if self.subnets.is_empty() { MissingBootFiles::Pxe6 } else { MissingBootFiles::Pxe };
        Some(missing).filter(|_| boots && !is_pxe)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: &str = "interfaces: [a]\nsubnets: [{ subnet: 10.0.0.0/24 }]\n";
    const V6: &str = "dhcp6: { interfaces: [a], subnets: [{ subnet: 'fd00::/64' }] }\n";

    #[test]
    fn who_has_boot_files_and_none_for_pxe_is_told_which_and_where() {
        let http = "boot: { http: 'http://10.0.0.1/uki.efi' }\n";
        let ipxe = "boot: { ipxe: 'http://10.0.0.1/ipxe' }\n";
        let pxe = "boot: { http: 'http://10.0.0.1/uki.efi', bios: a }\ntftp: { root: /a }\n";
        let with6 = |boot: &str| V6.replace(" }\n", &format!(", boot: {{ {boot} }} }}\n"));
        let http6 = with6("http: 'http://[fd00::1]/uki.efi'");
        let both6 = with6("http: 'http://[fd00::1]/uki.efi', uefi: 'tftp://[fd00::1]/a'");
        for (text, expected) in [
            (format!("{V4}{http}"), Some(MissingBootFiles::Pxe)),
            (format!("{V4}{ipxe}"), Some(MissingBootFiles::Pxe)),
            (format!("{V4}{pxe}"), None),
            // No boot file is needed for Servers: what they boot comes from the API server.
            (V4.to_owned(), None),
            (http6.clone(), Some(MissingBootFiles::Pxe6)),
            (both6.clone(), None),
            (format!("{V4}{http6}"), Some(MissingBootFiles::Pxe)),
            (format!("{V4}{http}{both6}"), None),
        ] {
            assert_eq!(Config::parse(&text).unwrap().missing_boot_files(), expected, "{text}");
        }
        for (missing, words) in [
            (MissingBootFiles::Pxe, ["boot.uefi", "no boot file", "tftp.root"]),
            (MissingBootFiles::Pxe6, ["dhcp6.boot.uefi", "no boot file", "tftp://"]),
        ] {
            assert!(words.iter().all(|word| missing.to_string().contains(word)), "{missing}");
        }
    }
}
