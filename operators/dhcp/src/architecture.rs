//! The kind of firmware a client has (option 93 of DHCPv4, option 61 of DHCPv6).

use crate::boot_kind::{BootKind, FirmwareKind};

const PXE_CLASS: &[u8] = b"PXEClient";
const HTTP_CLASS: &[u8] = b"HTTPClient";

/// IANA "Processor Architecture Types".
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    strum::FromRepr,
    strum::IntoStaticStr,
    strum::EnumCount,
    strum::VariantArray,
)]
#[repr(u16)]
#[expect(missing_docs, reason = "IANA, Processor Architecture Types")]
pub enum Architecture {
    X86Bios = 0,
    NecPc98 = 1,
    Itanium = 2,
    DecAlpha = 3,
    ArcX86 = 4,
    IntelLeanClient = 5,
    X86Uefi = 6,
    X64Uefi = 7,
    EfiXscale = 8,
    /// EFI byte code. Old x86-64 firmware sends it for x64 UEFI.
    Ebc = 9,
    Arm32Uefi = 10,
    Arm64Uefi = 11,
    PowerPcOpenFirmware = 12,
    PowerPcEpapr = 13,
    PowerOpalV3 = 14,
    X86UefiHttp = 15,
    X64UefiHttp = 16,
    EbcHttp = 17,
    Arm32UefiHttp = 18,
    Arm64UefiHttp = 19,
    PcAtBiosHttp = 20,
    Arm32UBoot = 21,
    Arm64UBoot = 22,
    Arm32UBootHttp = 23,
    Arm64UBootHttp = 24,
    RiscV32Uefi = 25,
    RiscV32UefiHttp = 26,
    RiscV64Uefi = 27,
    RiscV64UefiHttp = 28,
    RiscV128Uefi = 29,
    RiscV128UefiHttp = 30,
    S390Basic = 31,
    S390Extended = 32,
    Mips32Uefi = 33,
    Mips64Uefi = 34,
    Sunway32Uefi = 35,
    Sunway64Uefi = 36,
    LoongArch32Uefi = 37,
    LoongArch32UefiHttp = 38,
    LoongArch64Uefi = 39,
    LoongArch64UefiHttp = 40,
    ArmRpiBoot = 41,
}

impl Architecture {
    /// How such firmware boots, and by which file. U-Boot runs the same files as UEFI.
    pub(crate) fn booting(self) -> BootKind {
        match self {
            Self::X86Bios => BootKind::Pxe(FirmwareKind::Bios),
            Self::X64Uefi | Self::Ebc => BootKind::Pxe(FirmwareKind::X64),
            Self::Arm64Uefi | Self::Arm64UBoot => BootKind::Pxe(FirmwareKind::Arm64),
            Self::X64UefiHttp | Self::EbcHttp => BootKind::Http(FirmwareKind::X64),
            Self::Arm64UefiHttp | Self::Arm64UBootHttp => BootKind::Http(FirmwareKind::Arm64),
            Self::X86UefiHttp
            | Self::Arm32UefiHttp
            | Self::PcAtBiosHttp
            | Self::Arm32UBootHttp
            | Self::RiscV32UefiHttp
            | Self::RiscV64UefiHttp
            | Self::RiscV128UefiHttp
            | Self::LoongArch32UefiHttp
            | Self::LoongArch64UefiHttp => BootKind::Http(FirmwareKind::Other),
            Self::NecPc98
            | Self::Itanium
            | Self::DecAlpha
            | Self::ArcX86
            | Self::IntelLeanClient
            | Self::X86Uefi
            | Self::EfiXscale
            | Self::Arm32Uefi
            | Self::PowerPcOpenFirmware
            | Self::PowerPcEpapr
            | Self::PowerOpalV3
            | Self::Arm32UBoot
            | Self::RiscV32Uefi
            | Self::RiscV64Uefi
            | Self::RiscV128Uefi
            | Self::S390Basic
            | Self::S390Extended
            | Self::Mips32Uefi
            | Self::Mips64Uefi
            | Self::Sunway32Uefi
            | Self::Sunway64Uefi
            | Self::LoongArch32Uefi
            | Self::LoongArch64Uefi
            | Self::ArmRpiBoot => BootKind::Pxe(FirmwareKind::Other),
        }
    }
}

/// The architectures in the value of an option, in order of preference; an unassigned number is an
/// error.
fn listed(list: &[u8]) -> impl Iterator<Item = Result<Architecture, u16>> + Clone + '_ {
    let codes = list.as_chunks::<2>().0.iter().map(|code| u16::from_be_bytes(*code));
    codes.map(|code| Architecture::from_repr(code).ok_or(code))
}

/// How firmware wants to boot, by its list of architectures and its vendor class. The list is in
/// order of preference, and the first entry that a file may exist for counts. Without a list, the
/// text of the class counts if another option shows that the client `is_firmware`.
pub(crate) fn booting(list: Option<&[u8]>, class: &[u8], is_firmware: bool) -> BootKind {
    let named = in_text(class).filter(|_| list.is_none() && is_firmware);
    let named = named.map(|code| Architecture::from_repr(code).ok_or(code));
    let codes = listed(list.unwrap_or_default()).chain(named);
    let known = codes.clone().map(of_architecture).find(|booting| booting.is_known());
    let booting = known.or_else(|| codes.clone().next().map(of_architecture));
    match booting.unwrap_or(BootKind::No) {
        // Some firmware sends the architecture of its PXE client in its HTTP client.
        BootKind::Pxe(machine) if class.starts_with(HTTP_CLASS) => BootKind::Http(machine),
        booting @ (BootKind::No | BootKind::Ipxe | BootKind::Pxe(_) | BootKind::Http(_)) => booting,
    }
}

/// How firmware of an architecture boots. For an unassigned number, only the class can tell.
fn of_architecture(architecture: Result<Architecture, u16>) -> BootKind {
    architecture.map_or(BootKind::Pxe(FirmwareKind::Other), Architecture::booting)
}

/// The architecture in the text of option 60, as in `PXEClient:Arch:00007:UNDI:003000`.
fn in_text(class: &[u8]) -> Option<u16> {
    let rest = class.strip_prefix(PXE_CLASS).or_else(|| class.strip_prefix(HTTP_CLASS))?;
    let digits = rest.strip_prefix(b":Arch:")?.get(..5)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The architecture that no file can be configured for: the first in a client's list, if none in
/// the list is served.
pub(crate) fn unserved(list: Option<&[u8]>) -> Option<Result<Architecture, u16>> {
    let is_served = |it: &Result<Architecture, u16>| {
        it.is_ok_and(|architecture| architecture.booting().is_known())
    };
    let mut list = listed(list?);
    let first = list.clone().next();
    first.filter(|_| !list.any(|it| is_served(&it)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::{EnumCount as _, VariantArray as _};

    #[test]
    fn every_number_of_the_list_is_known_and_others_are_told() {
        assert_eq!(Architecture::COUNT, 42);
        for code in 0..42 {
            let architecture = Architecture::from_repr(code).unwrap();
            assert_eq!(architecture as u16, code);
        }
        for code in [42, 255, 256, u16::MAX] {
            let list = code.to_be_bytes();
            assert_eq!(listed(&list).collect::<Vec<_>>(), [Err(code)]);
            assert_eq!(unserved(Some(&list)), Some(Err(code)));
        }
    }

    #[test]
    fn firmware_that_boots_by_http_says_so_in_its_name() {
        for architecture in Architecture::VARIANTS {
            let name: &str = architecture.into();
            let is_http = matches!(architecture.booting(), BootKind::Http(_));
            assert_eq!(is_http, name.ends_with("Http"), "{name}");
        }
    }

    #[test]
    fn a_list_with_one_that_there_is_a_file_for_is_served() {
        let riscv = Some(Ok(Architecture::RiscV64Uefi));
        assert_eq!(unserved(Some(&[0, 27])), riscv);
        assert_eq!(unserved(Some(&[0, 27, 0, 22])), None);
        assert_eq!(unserved(Some(&[1, 0, 0, 7])), None);
        assert_eq!(unserved(Some(&[7])), None, "half of a number is none");
        assert_eq!(unserved(None), None);
    }
}
