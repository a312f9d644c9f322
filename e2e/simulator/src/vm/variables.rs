//! UEFI variables in OVMF's flash: what a BMC writes so that the next boot is from a URL, and what
//! was enrolled.
//!
//! The flash is a firmware volume with one store of authenticated variables (PI 1.8, volume 3,
//! 2.2.1; EDK II, `MdeModulePkg/Include/Guid/VariableFormat.h`). Variables are appended to the store
//! that came with the firmware.

use std::iter;

/// `EFI_FIRMWARE_VOLUME_HEADER.Signature`, and its offset.
const VOLUME: (&[u8], usize) = (b"_FVH", 40);
/// Offset of a volume's header length.
const VOLUME_HEADER_LENGTH: usize = 48;
/// `gEfiAuthenticatedVariableGuid`, as in memory.
const STORE: [u8; 16] = [
    0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43, 0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92,
];
const STORE_HEADER: usize = 28;
/// `gEfiGlobalVariableGuid`.
pub(super) const GLOBAL: u128 = 0x8be4_df61_93ca_11d2_aa0d_00e0_9803_2b8c;
const VARIABLE_START: [u8; 2] = 0x55aa_u16.to_le_bytes();
/// State of a valid variable.
const ADDED: u8 = 0x3f;
const VARIABLE_HEADER: usize = 60;
/// Non-volatile, boot services and runtime access.
const ATTRIBUTES: u32 = 7;
/// Time-based authenticated variables have a timestamp: the beginning of 2024.
const TIME: [u8; 16] = [0xe8, 0x07, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// `EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS`.
const TIME_BASED: u32 = 0x20;
/// `LOAD_OPTION_ACTIVE`.
const ACTIVE: u32 = 1;
/// Number of the boot option that is added: far from those that firmware creates itself.
const OPTION: u16 = 0x0b07;
const OPTION_NAME: &str = "Boot0B07";

/// This is not the flash of a firmware that stores variables as OVMF does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FlashError {
    /// Its format is another one.
    #[error("no firmware volume with authenticated variables")]
    Format,
    /// There is not enough room.
    #[error("no room for {0} bytes of variables")]
    Full(usize),
}

/// One variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    vendor: u128,
    attributes: u32,
    data: Vec<u8>,
}

impl Variable {
    pub(super) fn new(name: &'static str, vendor: u128, attributes: u32, data: Vec<u8>) -> Self {
        Self { name, vendor, attributes, data }
    }

    /// `AUTHENTICATED_VARIABLE_HEADER`, name and data.
    fn encode(&self) -> Vec<u8> {
        let name = utf16(self.name);
        let mut variable = [VARIABLE_START.as_slice(), &[ADDED, 0]].concat();
        variable.extend(self.attributes.to_le_bytes());
        // No count and no key index: it is not signed.
        variable.extend([0; 8]);
        let is_timed = self.attributes & TIME_BASED != 0;
        variable.extend(if is_timed { TIME } else { [0; 16] });
        variable.extend([0; 4]);
        variable.extend(length(&name).to_le_bytes());
        variable.extend(length(&self.data).to_le_bytes());
        variable.extend(guid(self.vendor));
        debug_assert_eq!(variable.len(), VARIABLE_HEADER);
        variable.extend(name);
        variable.extend(&self.data);
        variable
    }
}

/// The variables that make the next boot, and only that, come from this URL (UEFI 2.10, 3.1.2 and
/// 10.3.4.23).
pub(super) fn boot_next_from(url: &str) -> [Variable; 2] {
    [
        Variable::new(OPTION_NAME, GLOBAL, ATTRIBUTES, load_option(url)),
        Variable::new("BootNext", GLOBAL, ATTRIBUTES, OPTION.to_le_bytes().to_vec()),
    ]
}

/// Adds variables, which must not exist yet.
pub(super) fn add(flash: &mut [u8], variables: &[Variable]) -> Result<(), FlashError> {
    let mut added = Vec::new();
    for variable in variables {
        added.resize(added.len().next_multiple_of(4), 0xff);
        added.extend(variable.encode());
    }
    let free = free(flash).ok_or(FlashError::Format)?;
    let room = flash.get_mut(free).ok_or(FlashError::Format)?;
    let room = room.get_mut(..added.len()).ok_or(FlashError::Full(added.len()))?;
    room.copy_from_slice(&added);
    Ok(())
}

/// The free part of the store.
fn free(flash: &[u8]) -> Option<std::ops::Range<usize>> {
    let (signature, at) = VOLUME;
    if flash.get(at..at + signature.len())? != signature {
        return None;
    }
    let store = usize::from(u16::from_le_bytes(array(flash, VOLUME_HEADER_LENGTH)?));
    if array(flash, store)? != STORE {
        return None;
    }
    let end = store.checked_add(number(flash, store + 16)?)?;
    let mut at = store + STORE_HEADER;
    while array(flash, at)? == VARIABLE_START {
        let name = number(flash, at + 36)?;
        let data = number(flash, at + 40)?;
        at = at.checked_add(VARIABLE_HEADER)?.checked_add(name)?.checked_add(data)?;
        at = at.checked_next_multiple_of(4)?;
    }
    (at <= end && end <= flash.len()).then_some(at..end)
}

fn array<const N: usize>(flash: &[u8], at: usize) -> Option<[u8; N]> {
    flash.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn number(flash: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(array(flash, at)?)).ok()
}

/// A GUID, as in memory: the first three fields are little-endian.
pub(super) fn guid(number: u128) -> [u8; 16] {
    let mut bytes = number.to_be_bytes();
    for field in [0..4, 4..6, 6..8] {
        bytes[field].reverse();
    }
    bytes
}

/// `EFI_LOAD_OPTION` with a device path that has a URL only: firmware finds the NIC.
fn load_option(url: &str) -> Vec<u8> {
    let node = u16::try_from(4 + url.len()).unwrap_or(u16::MAX);
    let mut path = vec![3, 24];
    path.extend(node.to_le_bytes());
    path.extend(url.as_bytes());
    path.extend([0x7f, 0xff, 4, 0]);
    let mut option = ACTIVE.to_le_bytes().to_vec();
    option.extend(u16::try_from(path.len()).unwrap_or(u16::MAX).to_le_bytes());
    option.extend(utf16("HttpBootUri"));
    option.extend(path);
    option
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().chain(iter::once(0)).flat_map(u16::to_le_bytes).collect()
}

fn length(of: &[u8]) -> u32 {
    u32::try_from(of.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A volume with `room` bytes for variables.
    fn flash(room: usize) -> Vec<u8> {
        let mut flash = vec![0; 72];
        flash[40..44].copy_from_slice(b"_FVH");
        flash[48..50].copy_from_slice(&72_u16.to_le_bytes());
        flash.extend(STORE);
        flash.extend(length(&vec![0; STORE_HEADER + room]).to_le_bytes());
        flash.extend([0x5a, 0xfe, 0, 0, 0, 0, 0, 0]);
        flash.resize(flash.len() + room, 0xff);
        flash
    }

    #[test]
    fn the_next_boot_is_added_after_what_is_there() {
        let (mut flash, begin) = (flash(1024), 72 + STORE_HEADER);
        assert_eq!(free(&flash), Some(begin..begin + 1024));
        add(&mut flash, &boot_next_from("http://[fd77::1]:80/uki.efi")).unwrap();
        let used = free(&flash).unwrap().start;
        add(&mut flash, &boot_next_from("http://a/b")).unwrap();
        let text = String::from_utf8_lossy(&flash[begin..used]).into_owned();
        assert!(text.contains("http://[fd77::1]:80/uki.efi\u{7f}"), "{text}");
        assert_eq!(used % 4, 0);
        assert!(flash[used..].starts_with(&[0xaa, 0x55, ADDED, 0, 7, 0, 0, 0]));
        assert_eq!(OPTION_NAME, format!("Boot{OPTION:04X}"));
    }

    #[test]
    fn flash_that_is_something_else_or_full_is_left_as_it_is() {
        let url = "http://10.77.0.1/uki.efi";
        let mut cases = vec![(flash(64), FlashError::Full(166)), (vec![], FlashError::Format)];
        for (at, byte) in [(40, 0), (48, 0xff), (72, 0), (72 + 18, 0xff)] {
            let mut broken = flash(1024);
            broken[at] = byte;
            cases.push((broken, FlashError::Format));
        }
        let mut endless = flash(1024);
        endless[72 + STORE_HEADER..][..VARIABLE_HEADER].fill(0xaa);
        endless[72 + STORE_HEADER + 1] = 0x55;
        cases.push((endless, FlashError::Format));
        for (before, error) in cases {
            let mut after = before.clone();
            let refused = add(&mut after, &boot_next_from(url)).unwrap_err();
            assert_eq!(std::mem::discriminant(&refused), std::mem::discriminant(&error));
            assert!(after == before);
        }
    }
}
