//! Network interfaces, adapters and LLDP neighbors.

use super::wire::wire;

wire! {
    /// A kernel network interface.
    NetworkInterface {
        /// Kernel name.
        name: String = "name",
        /// One address; current agents leave it empty.
        ip_address: String = "ipAddress",
        /// IPv4 and IPv6 addresses, without prefix length.
        ip_addresses: Vec<String> = "ipAddresses",
        /// MAC address.
        mac_address: String = "macAddress",
        /// `up` or `down`.
        carrier_status: String = "carrierStatus",
        /// Extension: permanent MAC address.
        permanent_mac_address: String = "permanentMacAddress",
        /// Extension: MTU.
        mtu: Option<u32> = "mtu",
        /// Extension: link speed in Mbit/s.
        speed_mbps: Option<u32> = "speedMbps",
        /// Extension: `full` or `half`.
        duplex: String = "duplex",
        /// Extension: kernel driver.
        driver: String = "driver",
        /// Extension: PCI address.
        pci_address: String = "pciAddress",
        /// Extension: NUMA node.
        numa_node_id: Option<i64> = "numaNodeID",
    }
}

wire! {
    /// LLDP neighbors of one interface.
    Lldp {
        /// Name of the interface.
        name: String = "name",
        /// Neighbors.
        neighbors: Vec<Neighbor> = "neighbors",
    }
}

wire! {
    /// An LLDP neighbor (IEEE 802.1AB).
    Neighbor {
        /// Chassis ID.
        chassis_id: String = "chassisId",
        /// Port ID.
        port_id: String = "portId",
        /// Port description.
        port_description: String = "portDescription",
        /// System name.
        system_name: String = "systemName",
        /// System description.
        system_description: String = "systemDescription",
        /// Management address.
        mgmt_ip: String = "mgmtIp",
        /// System capabilities.
        capabilities: Vec<String> = "capabilities",
        /// Port VLAN.
        vlan_id: String = "vlanId",
    }
}

wire! {
    /// A network adapter.
    Nic {
        /// Kernel name.
        name: String = "name",
        /// MAC address.
        mac: String = "mac",
        /// PCI address, or `unknown`.
        pci_address: String = "pciAddress",
        /// Speed.
        speed: String = "speed",
        /// Link modes.
        link_modes: Vec<String> = "linkModes",
        /// Port types.
        supported_ports: Vec<String> = "supportedPorts",
        /// Firmware version.
        firmware_version: String = "firmwareVersion",
        /// Extension: kernel driver.
        driver: String = "driver",
        /// Extension: NUMA node.
        numa_node_id: Option<i64> = "numaNodeID",
    }
}
