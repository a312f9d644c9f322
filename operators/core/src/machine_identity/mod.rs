//! What a Machine of metalman is known by: its leases, its hardware, its BMC. Servers and other Machines may
//! be the same hardware, and netboot must not answer for it; everything else about it is in `metal-machine`.

mod bmc_url;
pub mod lease;
mod twins;

pub use bmc_url::{BmcAddress, bmc_address, system_uri};
pub use twins::{
    Address, Twin, addresses, addresses_of_server, describe, hardware_addresses, is_same_hardware,
    servers_of, told_by_firmware, twins, uuid_by_bmc,
};
