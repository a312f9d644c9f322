//! The parts of a machine. Nothing is stored: everything is derived from seed and index.

use super::{
    config::Config,
    mac::{Mac, MacPrefix},
    random::Random,
};
use uuid::Uuid;

/// Processors of every machine.
pub(super) const SOCKETS: u32 = 2;

/// One machine's parts.
#[derive(Clone, Copy, Debug)]
pub struct Hardware {
    seed: u64,
    index: u32,
    bmc_mac_prefix: MacPrefix,
}

/// A processor type.
#[derive(Debug)]
pub struct CpuModel {
    /// As in Redfish.
    pub manufacturer: &'static str,
    /// As in CPUID.
    pub vendor: &'static str,
    /// Marketing name.
    pub model: &'static str,
    /// Cores per socket.
    pub cores: u32,
    /// Threads per socket.
    pub threads: u32,
    /// Turbo clock.
    pub max_mhz: u32,
}

const CPUS: [CpuModel; 3] = [
    CpuModel {
        manufacturer: "Advanced Micro Devices, Inc.",
        vendor: "AuthenticAMD",
        model: "AMD EPYC 9354 32-Core Processor",
        cores: 32,
        threads: 64,
        max_mhz: 3800,
    },
    CpuModel {
        manufacturer: "Intel(R) Corporation",
        vendor: "GenuineIntel",
        model: "Intel(R) Xeon(R) Gold 6430",
        cores: 32,
        threads: 64,
        max_mhz: 3400,
    },
    CpuModel {
        manufacturer: "Intel(R) Corporation",
        vendor: "GenuineIntel",
        model: "Intel(R) Xeon(R) Silver 4410Y",
        cores: 12,
        threads: 24,
        max_mhz: 3900,
    },
];

/// A memory module.
#[derive(Clone, Copy, Debug)]
pub struct Dimm {
    /// Slot, counted from 0.
    pub slot: u32,
    /// Size.
    pub mib: u32,
    /// Clock.
    pub mts: u32,
    /// Serial number.
    pub serial: u32,
}

/// A drive.
#[derive(Clone, Copy, Debug)]
pub struct Drive {
    /// Bay, counted from 0.
    pub bay: u32,
    /// Maker.
    pub manufacturer: &'static str,
    /// Type.
    pub model: &'static str,
    /// Size.
    pub bytes: u64,
    /// EUI-64, from which the serial number is derived.
    pub eui: u64,
}

impl Drive {
    /// Serial number.
    pub fn serial(&self) -> String {
        format!("S6{:014X}", self.eui & 0x00ff_ffff_ffff)
    }

    /// PCI address.
    pub fn pci_address(&self) -> String {
        format!("0000:{:02x}:00.0", 0x60 + self.bay)
    }

    /// EUI-64 as bytes with hyphens.
    pub fn durable_name(&self) -> String {
        self.eui.to_be_bytes().map(|byte| format!("{byte:02X}")).join("-")
    }
}

/// A port of the host.
#[derive(Clone, Copy, Debug)]
pub struct Nic {
    /// Port, counted from 0; the first one boots.
    pub port: u32,
    /// Address.
    pub mac: Mac,
    /// Speed.
    pub mbps: u32,
}

impl Nic {
    /// Its name in Linux.
    pub fn name(&self) -> String {
        format!("ens1f{0}np{0}", self.port)
    }

    /// PCI address.
    pub fn pci_address(&self) -> String {
        format!("0000:3b:00.{}", self.port)
    }
}

impl Hardware {
    /// The parts of machine `index`.
    pub fn of(config: &Config, index: u32) -> Self {
        Self { seed: config.seed, index, bmc_mac_prefix: config.bmc_mac_prefix }
    }

    fn random(&self, stream: u64) -> Random {
        Random::of(self.seed, self.index, stream)
    }

    /// A number of the machine, such that addresses differ within and between fleets.
    fn number(&self) -> u32 {
        let offset = Random::of(self.seed, 0, u64::MAX).next() & 0x00ff_ffff;
        u32::try_from(offset).unwrap_or_default().wrapping_add(self.index)
    }

    /// Rack, and unit in the rack.
    pub fn place(&self) -> (u32, u32) {
        (self.index / 24, self.index % 24)
    }

    /// SMBIOS UUID.
    pub fn uuid(&self) -> Uuid {
        let mut random = self.random(1);
        let bits = (u128::from(random.next()) << 64) | u128::from(random.next());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    /// UUID of the BMC.
    pub fn bmc_uuid(&self) -> Uuid {
        let mut random = self.random(2);
        let bits = (u128::from(random.next()) << 64) | u128::from(random.next());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    /// Serial number of the machine.
    pub fn serial(&self) -> String {
        format!("BL{:04X}{:06}", self.random(3).next() & 0xffff, self.index)
    }

    /// MAC of the BMC.
    pub fn bmc_mac(&self) -> Mac {
        self.bmc_mac_prefix.with(self.number())
    }

    /// Ports of the host.
    pub fn nics(&self) -> [Nic; 2] {
        [0, 1].map(|port| {
            let [a, b, c, d] = self.number().to_be_bytes();
            let mac = Mac([0x0e, u8::try_from(port).unwrap_or_default(), a, b, c, d]);
            Nic { port, mac, mbps: 25_000 }
        })
    }

    /// Type of its processors.
    pub fn cpu(&self) -> &'static CpuModel {
        self.random(4).choose(&[&CPUS[0], &CPUS[1], &CPUS[2]])
    }

    /// Memory modules.
    pub fn dimms(&self) -> Vec<Dimm> {
        let mut random = self.random(5);
        let count = random.choose(&[8, 16]);
        let mib = random.choose(&[32 * 1024, 64 * 1024]);
        (0..count)
            .map(|slot| Dimm {
                slot,
                mib,
                mts: 4800,
                serial: u32::try_from(random.next() >> 32).unwrap_or_default(),
            })
            .collect()
    }

    /// All memory.
    pub fn memory_mib(&self) -> u32 {
        self.dimms().iter().map(|dimm| dimm.mib).sum()
    }

    /// Drives: two boot drives, the others for data.
    pub fn drives(&self) -> Vec<Drive> {
        let mut random = self.random(6);
        let data = random.choose(&[2, 4]);
        (0..2 + data)
            .map(|bay| {
                let (model, bytes) = if bay < 2 {
                    ("SAMSUNG MZ1L2960HCJR-00A07", 960_197_124_096)
                } else {
                    ("SAMSUNG MZQL23T8HCLS-00A07", 3_840_755_982_336)
                };
                let eui = (random.next() & 0x00ff_ffff_ffff) | 0x0025_3800_0000_0000;
                Drive { bay, manufacturer: "Samsung", model, bytes, eui }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn fleet(seed: u64) -> Vec<Hardware> {
        let config = Config { seed, ..Config::default() };
        (0..10_000).map(|index| Hardware::of(&config, index)).collect()
    }

    #[test]
    fn equal_seeds_are_equal_fleets_and_others_are_not() {
        let uuids = |seed| fleet(seed).iter().map(Hardware::uuid).collect::<HashSet<_>>();
        assert_eq!(uuids(7), uuids(7));
        assert!(uuids(7).is_disjoint(&uuids(8)));
    }

    #[test]
    fn no_two_machines_share_an_identity() {
        let fleet = fleet(1);
        let uuids: HashSet<_> = fleet.iter().map(Hardware::uuid).collect();
        let serials: HashSet<_> = fleet.iter().map(Hardware::serial).collect();
        let mut macs: HashSet<_> = fleet.iter().map(Hardware::bmc_mac).collect();
        macs.extend(fleet.iter().flat_map(Hardware::nics).map(|nic| nic.mac));
        assert_eq!((uuids.len(), serials.len(), macs.len()), (10_000, 10_000, 30_000));
    }
}
