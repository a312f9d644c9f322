//! How a client wants to boot, the same for IPv4 and IPv6.

/// How a client wants to boot.
///
/// Determined by options that only such a client sends (93, 94, 97, 175, 77), never by the text of
/// option 60 alone, which operating systems and BMCs copy from anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BootKind {
    /// Not at all: it only wants an address.
    No,
    /// iPXE, by a script.
    Ipxe,
    /// PXE firmware, by a file over TFTP.
    Pxe(FirmwareKind),
    /// UEFI HTTP boot, by a URL.
    Http(FirmwareKind),
}

/// Kinds of machines that there are boot files for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirmwareKind {
    /// x86 with a BIOS.
    Bios,
    /// x86-64 with UEFI.
    X64,
    /// 64-bit ARM with UEFI.
    Arm64,
    /// Anything else.
    Other,
}

impl BootKind {
    pub(crate) fn is_known(self) -> bool {
        !matches!(self, Self::Pxe(FirmwareKind::Other) | Self::Http(FirmwareKind::Other))
    }
}

/// Whether the value of an option is a network interface as only firmware sends it: type, and
/// version of UNDI (RFC 4578, section 2.2; RFC 5970, section 3.4).
pub(crate) fn is_interface(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| value.len() == 3)
}

/// Whether a user class is iPXE's, in DHCPv4 or DHCPv6: plain text, or an entry in a list of
/// strings with lengths of one octet (RFC 3004, section 4) or two (RFC 9915, section 21.15).
/// Upstream sends plain text in DHCPv4 and the list in DHCPv6; forks, and loaders derived from
/// iPXE, send either in both. A client that is not recognized would load iPXE again and again.
pub(crate) fn names_ipxe(class: &[u8]) -> bool {
    is_name(class) || has_name(class, 1) || has_name(class, 2)
}

fn is_name(text: &[u8]) -> bool {
    text.strip_prefix(b"iPXE").is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
}

/// Whether the name is in a list of strings that are preceded by lengths of `width` octets.
fn has_name(mut list: &[u8], width: usize) -> bool {
    while let Some((len, rest)) = list.split_at_checked(width) {
        let len = len.iter().fold(0, |len, octet| len << 8 | usize::from(*octet));
        let Some((class, rest)) = rest.split_at_checked(len) else { return false };
        if is_name(class) {
            return true;
        }
        list = rest;
    }
    false
}
