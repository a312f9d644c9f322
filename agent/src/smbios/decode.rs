//! The structures that the inventory uses, field by field (DSP0134 3.7, section 7).

use super::Structure;

/// BIOS information (type 0).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bios {
    /// Who made the firmware.
    pub vendor: String,
    /// Its version.
    pub version: String,
    /// Its release date, as the firmware writes it.
    pub date: String,
}

/// System information (type 1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct System {
    /// Manufacturer.
    pub manufacturer: String,
    /// Product name.
    pub product_name: String,
    /// Version.
    pub version: String,
    /// Serial number.
    pub serial_number: String,
    /// UUID in lower-case text form; empty where the firmware has none.
    pub uuid: String,
    /// Stock-keeping unit.
    pub sku_number: String,
    /// Product family.
    pub family: String,
}

/// Baseboard information (type 2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Board {
    /// Manufacturer.
    pub manufacturer: String,
    /// Product.
    pub product: String,
    /// Version.
    pub version: String,
    /// Serial number.
    pub serial_number: String,
    /// Asset tag.
    pub asset_tag: String,
}

/// A populated processor socket (type 4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Processor {
    /// Name of the socket.
    pub socket: String,
    /// Manufacturer.
    pub manufacturer: String,
    /// Version: the model name.
    pub version: String,
    /// Highest speed the socket supports, 0 if unknown.
    pub max_speed_mhz: u16,
    /// Cores, 0 if unknown.
    pub cores: u16,
    /// Hardware threads, 0 if unknown.
    pub threads: u16,
}

/// A populated memory slot (type 17).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Capacity in bytes.
    pub size: i64,
    /// Number of the device set, empty if none.
    pub device_set: String,
    /// Name of the slot.
    pub device_locator: String,
    /// Name of the bank.
    pub bank_locator: String,
    /// Kind of memory, for example `DDR5`.
    pub kind: &'static str,
    /// Highest speed in MT/s, 0 if unknown.
    pub speed: u32,
    /// Manufacturer.
    pub manufacturer: String,
    /// Serial number.
    pub serial_number: String,
    /// Asset tag.
    pub asset_tag: String,
    /// Part number.
    pub part_number: String,
    /// Speed it runs at in MT/s, 0 if unknown.
    pub configured_speed: u32,
    /// Lowest voltage in millivolts, 0 if unknown.
    pub minimum_voltage: u16,
    /// Highest voltage in millivolts, 0 if unknown.
    pub maximum_voltage: u16,
    /// Voltage it runs at in millivolts, 0 if unknown.
    pub configured_voltage: u16,
}

impl Bios {
    /// The first type 0 structure.
    pub(crate) fn find(structures: &[Structure<'_>]) -> Option<Self> {
        structures.iter().find(|structure| structure.kind == 0).map(|structure| Self {
            vendor: structure.string(4),
            version: structure.string(5),
            date: structure.string(8),
        })
    }
}

impl System {
    /// The first type 1 structure of a table of this version.
    pub(crate) fn find(structures: &[Structure<'_>], version: (u8, u8)) -> Option<Self> {
        structures.iter().find(|structure| structure.kind == 1).map(|structure| Self {
            manufacturer: structure.string(4),
            product_name: structure.string(5),
            version: structure.string(6),
            serial_number: structure.string(7),
            uuid: uuid(structure, version).unwrap_or_default(),
            sku_number: structure.string(0x19),
            family: structure.string(0x1a),
        })
    }
}

/// Section 7.2.1: since 2.6 the first three fields are little-endian; all zero is "not set", all
/// ones is "not present".
fn uuid(structure: &Structure<'_>, version: (u8, u8)) -> Option<String> {
    let mut bytes: [u8; 16] = structure.formatted.get(8..24)?.try_into().ok()?;
    if bytes == [0; 16] || bytes == [0xff; 16] {
        return None;
    }
    if version >= (2, 6) {
        bytes[..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
    }
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    Some(parts.join("-"))
}

impl Board {
    /// The first type 2 structure.
    pub(crate) fn find(structures: &[Structure<'_>]) -> Option<Self> {
        structures.iter().find(|structure| structure.kind == 2).map(|structure| Self {
            manufacturer: structure.string(4),
            product: structure.string(5),
            version: structure.string(6),
            serial_number: structure.string(7),
            asset_tag: structure.string(8),
        })
    }
}

impl Processor {
    /// Every populated socket, in the order of the table.
    pub(crate) fn find_all(structures: &[Structure<'_>]) -> Vec<Self> {
        let populated = |structure: &&Structure<'_>| {
            structure.kind == 4 && structure.u8(0x18).is_none_or(|status| status & 0x40 != 0)
        };
        structures.iter().filter(populated).map(Self::decode).collect()
    }

    fn decode(structure: &Structure<'_>) -> Self {
        // A count of 255 says that the wide field of version 3.0 has it.
        let count = |narrow, wide| match structure.u8(narrow) {
            Some(0xff) => structure.u16(wide).unwrap_or(0xff),
            count => u16::from(count.unwrap_or(0)),
        };
        Self {
            socket: structure.string(4),
            manufacturer: structure.string(7),
            version: structure.string(0x10),
            max_speed_mhz: structure.u16(0x14).unwrap_or(0),
            cores: count(0x23, 0x2a),
            threads: count(0x25, 0x2e),
        }
    }
}

impl Memory {
    /// Every populated slot, in the order of the table.
    pub(crate) fn find_all(structures: &[Structure<'_>]) -> Vec<Self> {
        let slots = structures.iter().filter(|structure| structure.kind == 17);
        slots.map(Self::decode).filter(|memory| memory.size > 0).collect()
    }

    fn decode(structure: &Structure<'_>) -> Self {
        Self {
            size: size(structure),
            device_set: match structure.u8(0x0f) {
                None | Some(0 | 0xff) => String::new(),
                Some(set) => set.to_string(),
            },
            device_locator: structure.string(0x10),
            bank_locator: structure.string(0x11),
            kind: kind(structure.u8(0x12).unwrap_or(2)),
            speed: speed(structure, 0x15, 0x54),
            manufacturer: structure.string(0x17),
            serial_number: structure.string(0x18),
            asset_tag: structure.string(0x19),
            part_number: structure.string(0x1a),
            configured_speed: speed(structure, 0x20, 0x58),
            minimum_voltage: structure.u16(0x22).unwrap_or(0),
            maximum_voltage: structure.u16(0x24).unwrap_or(0),
            configured_voltage: structure.u16(0x26).unwrap_or(0),
        }
    }
}

/// Section 7.18.5: 0 is an empty slot, all ones unknown, 0x7fff "see the extended size"; the top
/// bit tells kilobytes from megabytes.
fn size(structure: &Structure<'_>) -> i64 {
    match structure.u16(0x0c) {
        None | Some(0 | 0xffff) => 0,
        Some(0x7fff) => i64::from(structure.u32(0x1c).unwrap_or(0) & 0x7fff_ffff) << 20,
        Some(size) if size & 0x8000 != 0 => i64::from(size & 0x7fff) << 10,
        Some(size) => i64::from(size) << 20,
    }
}

/// Section 7.18.4: all ones says that the wide field of version 3.3 has it.
fn speed(structure: &Structure<'_>, narrow: usize, wide: usize) -> u32 {
    match structure.u16(narrow) {
        Some(0xffff) => structure.u32(wide).unwrap_or(0) & 0x7fff_ffff,
        speed => u32::from(speed.unwrap_or(0)),
    }
}

/// Section 7.18.2.
fn kind(code: u8) -> &'static str {
    match code {
        0x01 => "Other",
        0x03 => "DRAM",
        0x04 => "EDRAM",
        0x05 => "VRAM",
        0x06 => "SRAM",
        0x07 => "RAM",
        0x08 => "ROM",
        0x09 => "FLASH",
        0x0a => "EEPROM",
        0x0b => "FEPROM",
        0x0c => "EPROM",
        0x0d => "CDRAM",
        0x0e => "3DRAM",
        0x0f => "SDRAM",
        0x10 => "SGRAM",
        0x11 => "RDRAM",
        0x12 => "DDR",
        0x13 => "DDR2",
        0x14 => "DDR2 FB-DIMM",
        0x18 => "DDR3",
        0x19 => "FBD2",
        0x1a => "DDR4",
        0x1b => "LPDDR",
        0x1c => "LPDDR2",
        0x1d => "LPDDR3",
        0x1e => "LPDDR4",
        0x1f => "Logical non-volatile device",
        0x20 => "HBM",
        0x21 => "HBM2",
        0x22 => "DDR5",
        0x23 => "LPDDR5",
        0x24 => "HBM3",
        _ => "Unknown",
    }
}
