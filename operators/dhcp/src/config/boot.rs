//! Boot files, and where a packet has room for their names.

use std::net::Ipv4Addr;

/// Boot files by kind of client. Where one is `None`, such clients get an address and go on to
/// their next boot device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootFiles {
    /// For a BIOS, by TFTP.
    pub bios: Option<TftpFile>,
    /// For x86-64 UEFI, by TFTP.
    pub uefi: Option<TftpFile>,
    /// For 64-bit ARM UEFI, by TFTP.
    pub arm64: Option<TftpFile>,
    /// URL for x86-64 UEFI HTTP boot.
    pub http: Option<String>,
    /// URL for 64-bit ARM UEFI HTTP boot.
    pub http_arm64: Option<String>,
    /// URL of iPXE for x86-64 UEFI HTTP boot, which runs the boot URL of a machine.
    pub uefi_http: Option<String>,
    /// The same for 64-bit ARM UEFI.
    pub arm64_http: Option<String>,
    /// URL of the script for iPXE, which fills in settings such as `${uuid}`.
    pub ipxe: Option<String>,
}

/// A file on a TFTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TftpFile {
    /// The server; `None` is this one.
    pub server: Option<Ipv4Addr>,
    /// The file on it.
    pub path: String,
}

/// Longest name that fits into `file` with its terminating zero.
pub(crate) const MAX_FILE: usize = 127;
