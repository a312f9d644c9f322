//! The bytes of a load option (UEFI 2.10, section 3.1.3).

use crate::gpt::Partition;

/// The entry takes part in the boot order.
const ACTIVE: u32 = 1;
/// Device paths: a partition, a file, the end (section 10.3).
const HARD_DRIVE: [u8; 2] = [4, 1];
const FILE: [u8; 2] = [4, 4];
const END: [u8; 4] = [0x7f, 0xff, 4, 0];
/// The partition is one of a GPT, and known by its GUID.
const GPT_BY_GUID: [u8; 2] = [2, 2];

/// A loader on a disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loader<'a> {
    /// The EFI system partition.
    pub(crate) partition: Partition,
    /// Its path, with backslashes.
    pub(crate) path: &'a str,
}

/// Where firmware looks for a loader if nothing names one (section 3.5.1.1); `arch` is
/// `std::env::consts::ARCH`.
pub(crate) fn fallback_path(arch: &str) -> &'static str {
    if arch == "aarch64" { r"\EFI\BOOT\BOOTAA64.EFI" } else { r"\EFI\BOOT\BOOTX64.EFI" }
}

/// A load option with this label.
pub(crate) fn load_option(label: &str, loader: Loader<'_>) -> Vec<u8> {
    let Loader { partition, path } = loader;
    let sectors = partition.last - partition.first + 1;
    let drive = [
        &partition.number.to_le_bytes()[..],
        &partition.first.to_le_bytes(),
        &sectors.to_le_bytes(),
        &partition.guid,
        &GPT_BY_GUID,
    ]
    .concat();
    let path = [node(HARD_DRIVE, &drive), node(FILE, &text(path)), END.to_vec()].concat();
    let length = u16::try_from(path.len()).unwrap_or(u16::MAX).to_le_bytes();
    [&ACTIVE.to_le_bytes()[..], &length, &text(label), &path].concat()
}

/// The label of a load option.
pub(super) fn label(option: &[u8]) -> Option<String> {
    let units = option.get(6..)?.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit));
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    String::from_utf16(&units).ok()
}

fn node([kind, subkind]: [u8; 2], value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX).to_le_bytes();
    [&[kind, subkind], &length[..], value].concat()
}

/// UTF-16 with a zero behind it.
fn text(text: &str) -> Vec<u8> {
    text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_option_has_the_bytes_that_firmware_expects() {
        let guid = *b"0123456789abcdef";
        let partition = Partition { number: 15, kind: [0; 16], guid, first: 2048, last: 4095 };
        let option = load_option("n1", Loader { partition, path: r"\A" });
        // As `efibootmgr --create` writes it for the same disk.
        let expected: &[&[u8]] = &[
            &[1, 0, 0, 0],
            &[42 + 10 + 4, 0],
            b"n\x001\0\0\0",
            &[4, 1, 42, 0, 15, 0, 0, 0],
            &[0, 8, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0],
            b"0123456789abcdef\x02\x02",
            &[4, 4, 10, 0],
            b"\\\0A\0\0\0",
            &[0x7f, 0xff, 4, 0],
        ];
        assert_eq!(option, expected.concat());
        assert_eq!(label(&option).as_deref(), Some("n1"));
    }

    #[test]
    fn a_label_is_read_from_whatever_firmware_has() {
        assert_eq!(label(&[]), None);
        assert_eq!(label(&[1, 0, 0, 0, 0, 0]).as_deref(), Some(""));
        assert_eq!(label(&[1, 0, 0, 0, 0, 0, b'a']).as_deref(), Some(""));
        assert_eq!(label(&[1, 0, 0, 0, 0, 0, b'a', 0, b'b']).as_deref(), Some("a"));
        assert_eq!(label(&[1, 0, 0, 0, 0, 0, 0, 0xd8]), None);
    }
}
