//! Firmware, system, board, processors and memory modules, from SMBIOS.

use super::{Machine, Notes};
use crate::smbios::{self, Bios, Board, EntryPoint, Memory, Processor, System};
use metal_api::inventory::{
    BiosInformation, BoardInformation, MemoryDevice, SystemInfo, SystemInformation,
};

const FOLDER: &str = "/sys/firmware/dmi/tables";

/// What the tables say.
#[derive(Debug, Default)]
pub(super) struct Firmware {
    pub(super) system: SystemInfo,
    pub(super) memory: Vec<MemoryDevice>,
    pub(super) processors: Vec<Processor>,
}

/// Reads the tables; if they end prematurely, what came before is kept.
pub(super) fn collect(machine: &Machine, notes: &mut Notes) -> Firmware {
    let read = |file| machine.root.bytes(&format!("{FOLDER}/{file}"));
    let Some(entry_point) = notes.ok(read("smbios_entry_point")) else {
        return Firmware::default();
    };
    let Some(entry_point) = notes.ok(EntryPoint::parse(&entry_point)) else {
        return Firmware::default();
    };
    let table = notes.ok(read("DMI")).unwrap_or_default();
    let (structures, defect) = smbios::structures(&table, entry_point.length);
    if let Some(defect) = defect {
        notes.note(defect.to_string());
    }
    Firmware {
        system: SystemInfo {
            bios_information: Bios::find(&structures).map(bios).unwrap_or_default(),
            system_information: System::find(&structures, entry_point.version)
                .map(system)
                .unwrap_or_default(),
            board_information: Board::find(&structures).map(board).unwrap_or_default(),
            ..SystemInfo::default()
        },
        memory: Memory::find_all(&structures).into_iter().map(memory).collect(),
        processors: Processor::find_all(&structures),
    }
}

fn bios(bios: Bios) -> BiosInformation {
    let Bios { vendor, version, date } = bios;
    BiosInformation { vendor, version, date, ..BiosInformation::default() }
}

fn system(system: System) -> SystemInformation {
    SystemInformation {
        manufacturer: system.manufacturer,
        product_name: system.product_name,
        version: system.version,
        serial_number: system.serial_number,
        uuid: system.uuid,
        sku_number: system.sku_number,
        family: system.family,
        ..SystemInformation::default()
    }
}

fn board(board: Board) -> BoardInformation {
    BoardInformation {
        manufacturer: board.manufacturer,
        product: board.product,
        version: board.version,
        serial_number: board.serial_number,
        asset_tag: board.asset_tag,
        ..BoardInformation::default()
    }
}

fn memory(memory: Memory) -> MemoryDevice {
    MemoryDevice {
        size: Some(memory.size),
        device_set: memory.device_set,
        device_locator: memory.device_locator,
        bank_locator: memory.bank_locator,
        memory_type: memory.kind.to_owned(),
        speed: speed(memory.speed),
        vendor: memory.manufacturer,
        serial_number: memory.serial_number,
        asset_tag: memory.asset_tag,
        part_number: memory.part_number,
        configured_memory_speed: speed(memory.configured_speed),
        minimum_voltage: voltage(memory.minimum_voltage),
        maximum_voltage: voltage(memory.maximum_voltage),
        configured_voltage: voltage(memory.configured_voltage),
        ..MemoryDevice::default()
    }
}

/// Transfers per second; empty if unknown.
fn speed(speed: u32) -> String {
    if speed == 0 { String::new() } else { format!("{speed} MT/s") }
}

/// Volts, from millivolts; empty if unknown.
fn voltage(millivolts: u16) -> String {
    match (millivolts / 1000, millivolts % 1000) {
        (0, 0) => String::new(),
        (volts, 0) => format!("{volts} V"),
        (volts, rest) => format!("{volts}.{} V", format!("{rest:03}").trim_end_matches('0')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volts_are_written_without_needless_zeros() {
        let written = [0, 1200, 1000, 1350, 1025, 90].map(voltage);
        assert_eq!(written, ["", "1.2 V", "1 V", "1.35 V", "1.025 V", "0.09 V"]);
    }
}
