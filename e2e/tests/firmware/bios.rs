//! Machines with BIOS.

use crate::{inside::with_discovery_image, lab::Lab, path::Path, site::Site};

#[test]
fn a_machine_with_bios_and_ipxe_becomes_available() {
    with_discovery_image(async || {
        Lab::start(Path::BiosIpxe, Site::Routed).await.machine_becomes_available().await;
    });
}
