//! Firmware that verifies the server it loads from, and the image it boots.

use crate::{inside::with_discovery_image, lab::Lab, path::Path, site::Site};

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn a_machine_with_uefi_https_boot_becomes_available() {
    with_discovery_image(async || {
        Lab::start(Path::UefiHttps, Site::Link).await.machine_becomes_available().await;
    });
}

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn a_machine_with_secure_boot_and_a_signed_image_becomes_available() {
    with_discovery_image(async || {
        Lab::start(Path::SecureBoot, Site::Link).await.machine_becomes_available().await;
    });
}

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn a_machine_with_secure_boot_refuses_an_image_that_nobody_signed_and_says_so() {
    with_discovery_image(async || {
        let lab = Lab::start(Path::SecureBootUnsigned, Site::Link).await;
        lab.machine_refuses("Access Denied").await;
    });
}

#[test]
#[ignore = "takes longer: hack/test firmware"]
fn a_machine_with_the_keys_that_it_came_with_boots_shim_grub_and_a_signed_kernel_by_http() {
    with_discovery_image(async || {
        Lab::start(Path::Shim, Site::Link).await.machine_becomes_available().await;
    });
}
