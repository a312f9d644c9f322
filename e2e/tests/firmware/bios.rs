//! Machines with BIOS.

use crate::{
    inside::with_discovery_image,
    lab::{Lab, Path},
};

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn a_machine_with_bios_and_ipxe_becomes_available() {
    with_discovery_image(async || {
        Lab::start(Path::BiosIpxe).await.machine_becomes_available().await;
    });
}
