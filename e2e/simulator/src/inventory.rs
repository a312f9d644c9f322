//! What metalprobe would find on a machine.

use super::hardware::{Dimm, Drive, Hardware, Nic, SOCKETS};
use jiff::Timestamp;
use metal_api::inventory::{
    BiosInformation, BlockDevice, BoardInformation, Cpu, Lldp, MemoryDevice, Neighbor,
    NetworkInterface, Nic as Adapter, PciDevice, Report, SystemInfo, SystemInformation,
};
use std::net::Ipv4Addr;

/// What metalprobe would find on this machine.
pub(super) fn report(hardware: &Hardware, address: Option<Ipv4Addr>) -> Report {
    Report {
        timestamp: Timestamp::now().to_string(),
        system_info: system_info(hardware),
        cpu: cpus(hardware),
        network_interfaces: interfaces(hardware, address),
        lldp: neighbors(hardware),
        storage: disks(hardware),
        memory: modules(hardware),
        nics: nics(hardware),
        pci_devices: pci_devices(hardware),
        memory_total_bytes: Some(u64::from(hardware.memory_mib()) << 20),
        firmware_mode: "uefi".to_owned(),
        architecture: "x86_64".to_owned(),
        kernel: "6.12.48-amd64".to_owned(),
        agent: concat!("simulator/", env!("CARGO_PKG_VERSION")).to_owned(),
        ..Report::default()
    }
}

fn system_info(hardware: &Hardware) -> SystemInfo {
    SystemInfo {
        bios_information: BiosInformation {
            vendor: "Contoso".to_owned(),
            version: "2.14.1".to_owned(),
            date: "03/11/2026".to_owned(),
            ..BiosInformation::default()
        },
        system_information: SystemInformation {
            manufacturer: "Contoso".to_owned(),
            product_name: "CR-2000".to_owned(),
            serial_number: hardware.serial(),
            uuid: hardware.uuid().to_string(),
            sku_number: "CR-2000-A".to_owned(),
            family: "CR".to_owned(),
            ..SystemInformation::default()
        },
        board_information: BoardInformation {
            manufacturer: "Contoso".to_owned(),
            product: "CR-2000-MB".to_owned(),
            serial_number: format!("{}-M", hardware.serial()),
            ..BoardInformation::default()
        },
        ..SystemInfo::default()
    }
}

fn cpus(hardware: &Hardware) -> Vec<Cpu> {
    let model = hardware.cpu();
    let cpu = |id| Cpu {
        id: Some(i64::from(id)),
        total_cores: Some(model.cores),
        total_hardware_threads: Some(model.threads),
        vendor: model.vendor.to_owned(),
        model: model.model.to_owned(),
        capabilities: ["fpu", "sse4_2", "avx2", "avx512f", "aes"].map(str::to_owned).into(),
        max_mhz: Some(model.max_mhz),
        ..Cpu::default()
    };
    (0..SOCKETS).map(cpu).collect()
}

fn interfaces(hardware: &Hardware, address: Option<Ipv4Addr>) -> Vec<NetworkInterface> {
    let interface = |nic: Nic| {
        let mut addresses = vec![nic.mac.link_local().to_string()];
        if nic.port == 0 {
            addresses.extend(address.map(|address| address.to_string()));
        }
        NetworkInterface {
            name: nic.name(),
            ip_addresses: addresses,
            mac_address: nic.mac.to_string(),
            carrier_status: "up".to_owned(),
            permanent_mac_address: nic.mac.to_string(),
            mtu: Some(1500),
            speed_mbps: Some(nic.mbps),
            duplex: "full".to_owned(),
            driver: "ice".to_owned(),
            pci_address: nic.pci_address(),
            numa_node_id: Some(0),
            ..NetworkInterface::default()
        }
    };
    hardware.nics().map(interface).into()
}

fn neighbors(hardware: &Hardware) -> Vec<Lldp> {
    let (rack, unit) = hardware.place();
    let neighbor = |nic: Nic| {
        let side = if nic.port == 0 { 'a' } else { 'b' };
        Lldp {
            name: nic.name(),
            neighbors: vec![Neighbor {
                chassis_id: format!("50:00:00:{:02x}:{:02x}:0{}", rack >> 8, rack & 0xff, nic.port),
                port_id: format!("Ethernet{unit}"),
                port_description: hardware.serial(),
                system_name: format!("leaf-{rack}{side}"),
                system_description: "SONiC".to_owned(),
                capabilities: vec!["Bridge".to_owned(), "Router".to_owned()],
                ..Neighbor::default()
            }],
            ..Lldp::default()
        }
    };
    hardware.nics().map(neighbor).into()
}

fn disks(hardware: &Hardware) -> Vec<BlockDevice> {
    let disk = |drive: Drive| BlockDevice {
        path: format!("pci-{}-nvme-1", drive.pci_address()),
        name: format!("nvme{}n1", drive.bay),
        rotational: Some(false),
        removable: Some(false),
        read_only: Some(false),
        vendor: drive.manufacturer.to_owned(),
        model: drive.model.to_owned(),
        serial: drive.serial(),
        wwid: format!("eui.{:016x}", drive.eui),
        physical_block_size: Some(4096),
        logical_block_size: Some(512),
        hw_sector_size: Some(512),
        size_bytes: Some(drive.bytes),
        numa_node_id: Some(0),
        transport: "nvme".to_owned(),
        pci_address: drive.pci_address(),
        ..BlockDevice::default()
    };
    hardware.drives().into_iter().map(disk).collect()
}

fn modules(hardware: &Hardware) -> Vec<MemoryDevice> {
    let module = |dimm: Dimm| MemoryDevice {
        size: Some(i64::from(dimm.mib) << 20),
        device_locator: format!("DIMM_{}", dimm.slot),
        bank_locator: format!("NODE {}", dimm.slot % SOCKETS),
        memory_type: "DDR5".to_owned(),
        speed: format!("{} MT/s", dimm.mts),
        vendor: "Hynix Semiconductor".to_owned(),
        serial_number: format!("{:08X}", dimm.serial),
        part_number: "HMCG94AEBRA102N".to_owned(),
        configured_memory_speed: format!("{} MT/s", dimm.mts),
        configured_voltage: "1.1 V".to_owned(),
        ..MemoryDevice::default()
    };
    hardware.dimms().into_iter().map(module).collect()
}

fn nics(hardware: &Hardware) -> Vec<Adapter> {
    let adapter = |nic: Nic| Adapter {
        name: nic.name(),
        mac: nic.mac.to_string(),
        pci_address: nic.pci_address(),
        speed: format!("{}Mb/s", nic.mbps),
        link_modes: vec!["25000baseCR/Full".to_owned(), "10000baseCR/Full".to_owned()],
        supported_ports: vec!["FIBRE".to_owned()],
        firmware_version: "4.60 0x8001d8e2 1.3682.0".to_owned(),
        driver: "ice".to_owned(),
        numa_node_id: Some(0),
        ..Adapter::default()
    };
    hardware.nics().map(adapter).into()
}

fn pci_devices(hardware: &Hardware) -> Vec<PciDevice> {
    let nics = hardware.nics().map(|nic| PciDevice {
        address: nic.pci_address(),
        vendor: "Intel Corporation".to_owned(),
        vendor_id: "8086".to_owned(),
        product: "Ethernet Controller E810-XXV for SFP".to_owned(),
        product_id: "159b".to_owned(),
        class: "Ethernet controller".to_owned(),
        class_id: "020000".to_owned(),
        driver: "ice".to_owned(),
        numa_node_id: Some(0),
        ..PciDevice::default()
    });
    let drives = hardware.drives().into_iter().map(|drive| PciDevice {
        address: drive.pci_address(),
        vendor: "Samsung Electronics Co Ltd".to_owned(),
        vendor_id: "144d".to_owned(),
        product: "NVMe SSD Controller PM9A1/PM9A3/980PRO".to_owned(),
        product_id: "a80a".to_owned(),
        class: "Non-Volatile memory controller".to_owned(),
        class_id: "010802".to_owned(),
        driver: "nvme".to_owned(),
        numa_node_id: Some(0),
        ..PciDevice::default()
    });
    nics.into_iter().chain(drives).collect()
}
