//! Firmware, processors, memory, disks and PCI.

use super::wire::wire;

wire! {
    /// Firmware, system and board, from SMBIOS.
    SystemInfo {
        /// Firmware (SMBIOS type 0).
        bios_information: BiosInformation = "biosInformation",
        /// System (SMBIOS type 1).
        system_information: SystemInformation = "systemInformation",
        /// Board (SMBIOS type 2).
        board_information: BoardInformation = "boardInformation",
    }
}

wire! {
    /// Firmware (SMBIOS type 0).
    BiosInformation {
        /// Vendor.
        vendor: String = "vendor",
        /// Version.
        version: String = "version",
        /// Release date.
        date: String = "date",
    }
}

wire! {
    /// System (SMBIOS type 1).
    SystemInformation {
        /// Manufacturer.
        manufacturer: String = "manufacturer",
        /// Product name.
        product_name: String = "productName",
        /// Version.
        version: String = "version",
        /// Serial number.
        serial_number: String = "serialNumber",
        /// UUID.
        uuid: String = "uuid",
        /// Stock keeping unit.
        sku_number: String = "skuNumber",
        /// Family.
        family: String = "family",
    }
}

wire! {
    /// Board (SMBIOS type 2).
    BoardInformation {
        /// Manufacturer.
        manufacturer: String = "manufacturer",
        /// Product name.
        product: String = "product",
        /// Version.
        version: String = "version",
        /// Serial number.
        serial_number: String = "serialNumber",
        /// Asset tag.
        asset_tag: String = "assetTag",
    }
}

wire! {
    /// A processor package.
    Cpu {
        /// Number of the package.
        id: Option<i64> = "id",
        /// Cores.
        total_cores: Option<u32> = "totalCores",
        /// Hardware threads.
        total_hardware_threads: Option<u32> = "totalHardwareThreads",
        /// Vendor.
        vendor: String = "vendor",
        /// Model.
        model: String = "model",
        /// Feature flags.
        capabilities: Vec<String> = "capabilities",
        /// Extension: maximum clock rate.
        max_mhz: Option<u32> = "maxMHz",
        /// Extension: microcode revision.
        microcode: String = "microcode",
        /// Extension: NUMA nodes that the package belongs to.
        numa_nodes: Vec<i64> = "numaNodes",
    }
}

wire! {
    /// A memory module (SMBIOS type 17).
    MemoryDevice {
        /// Size in bytes.
        size: Option<i64> = "size",
        /// Device set.
        device_set: String = "deviceSet",
        /// Slot (device locator).
        device_locator: String = "deviceLocator",
        /// Bank (bank locator).
        bank_locator: String = "bankLocator",
        /// Type, for example `DDR5`.
        memory_type: String = "memoryType",
        /// Maximum speed.
        speed: String = "speed",
        /// Vendor.
        vendor: String = "vendor",
        /// Serial number.
        serial_number: String = "serialNumber",
        /// Asset tag.
        asset_tag: String = "assetTag",
        /// Part number.
        part_number: String = "partNumber",
        /// Configured speed.
        configured_memory_speed: String = "configuredMemorySpeed",
        /// Minimum voltage.
        minimum_voltage: String = "minimumVoltage",
        /// Maximum voltage.
        maximum_voltage: String = "maximumVoltage",
        /// Configured voltage.
        configured_voltage: String = "configuredVoltage",
    }
}

wire! {
    /// A block device.
    BlockDevice {
        /// Path on its bus.
        path: String = "path",
        /// Kernel name.
        name: String = "name",
        /// Whether it is a rotating disk.
        rotational: Option<bool> = "rotational",
        /// Whether it is removable.
        removable: Option<bool> = "removable",
        /// Whether it is read-only.
        read_only: Option<bool> = "readOnly",
        /// Vendor.
        vendor: String = "vendor",
        /// Model.
        model: String = "model",
        /// Serial number.
        serial: String = "serial",
        /// World-wide name.
        wwid: String = "wwid",
        /// Physical block size in bytes.
        physical_block_size: Option<u64> = "physicalBlockSize",
        /// Logical block size in bytes.
        logical_block_size: Option<u64> = "logicalBlockSize",
        /// Hardware sector size in bytes.
        hw_sector_size: Option<u64> = "hWSectorSize",
        /// Size in bytes.
        size_bytes: Option<u64> = "sizeBytes",
        /// NUMA node; -1 if unknown.
        numa_node_id: Option<i64> = "numaNodeID",
        /// Extension: `nvme`, `sata`, `sas`, `virtio`, `usb`.
        transport: String = "transport",
        /// Extension: firmware revision.
        firmware_version: String = "firmwareVersion",
        /// Extension: PCI address of the controller.
        pci_address: String = "pciAddress",
    }
}

wire! {
    /// A PCI function.
    PciDevice {
        /// Address, for example `0000:3b:00.0`.
        address: String = "address",
        /// Vendor name.
        vendor: String = "vendor",
        /// Vendor ID, four hexadecimal digits.
        vendor_id: String = "vendorID",
        /// Product name.
        product: String = "product",
        /// Product ID, four hexadecimal digits.
        product_id: String = "productID",
        /// NUMA node; -1 if unknown.
        numa_node_id: Option<i64> = "numaNodeID",
        /// Extension: class name.
        class: String = "class",
        /// Extension: class code, six hexadecimal digits.
        class_id: String = "classID",
        /// Extension: subsystem vendor ID.
        subsystem_vendor_id: String = "subsystemVendorID",
        /// Extension: subsystem ID.
        subsystem_id: String = "subsystemID",
        /// Extension: revision.
        revision: String = "revision",
        /// Extension: kernel driver.
        driver: String = "driver",
        /// Extension: link speed, as the kernel writes it.
        link_speed: String = "linkSpeed",
        /// Extension: link width in lanes.
        link_width: Option<u32> = "linkWidth",
    }
}

wire! {
    /// A NUMA node.
    NumaNode {
        /// Number of the node.
        id: Option<i64> = "id",
        /// Logical processors, in the kernel's list form.
        cpus: String = "cpus",
        /// Size of its memory.
        memory_bytes: Option<u64> = "memoryBytes",
        /// Distance to every node, in their order.
        distances: Vec<u32> = "distances",
    }
}
