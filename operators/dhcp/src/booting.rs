//! What a client wants to boot by: the same for both kinds of IP.

/// What a client wants to boot by.
///
/// Decided by what only such a client sends (options 93, 94, 97, 175, 77), never by the text of
/// option 60 alone: operating systems and BMCs copy that from wherever they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Booting {
    /// Nothing: it only wants an address.
    No,
    /// iPXE: a script.
    Ipxe,
    /// PXE firmware: a file by TFTP.
    Pxe(Machine),
    /// UEFI HTTP boot: a URL.
    Http(Machine),
}

/// Kinds of machines that we have boot files for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    /// x86 with a BIOS.
    Bios,
    /// x86-64 with UEFI.
    X64,
    /// 64-bit ARM with UEFI.
    Arm64,
    /// Something else.
    Other,
}

impl Booting {
    pub(crate) fn is_known(self) -> bool {
        !matches!(self, Self::Pxe(Machine::Other) | Self::Http(Machine::Other))
    }
}

/// Whether the value of an option is a network interface as only firmware has one: kind, and
/// version of UNDI (RFC 4578, section 2.2; RFC 5970, section 3.4).
pub(crate) fn is_interface(value: Option<&[u8]>) -> bool {
    value.is_some_and(|value| value.len() == 3)
}

/// Whether a user class is iPXE's, in DHCPv4 and DHCPv6 alike: plain text, or one of a list of
/// strings with their lengths, in one octet (RFC 3004, section 4) or in two (RFC 9915, section
/// 21.15). Upstream has plain text in DHCPv4 and the list in DHCPv6; forks, and loaders with an
/// iPXE heritage, have either in both. Who is not understood gets iPXE again, for ever.
pub(crate) fn names_ipxe(class: &[u8]) -> bool {
    is_name(class) || has_name(class, 1) || has_name(class, 2)
}

fn is_name(text: &[u8]) -> bool {
    text.strip_prefix(b"iPXE").is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
}

/// Whether the name is in a list of strings that have their lengths in `width` octets before them.
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
