//! `metadata.yaml` of netboot images: the loader's name fits into DHCP, or the file is refused in few words.
#![no_main]

use bloomery_fuzz::told;
use libfuzzer_sys::fuzz_target;
use metal_machine::provisioning::image::metadata;

fuzz_target!(|text: &[u8]| match metadata(text) {
    Ok(metadata) => {
        let name = metadata.dhcp_boot_image_name;
        assert!(name.is_none_or(
            |name| (1..128).contains(&name.len()) && !name.contains(char::is_whitespace)
        ));
    }
    Err(error) => told(&error.to_string(), 220),
});
