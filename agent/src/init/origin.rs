//! Where the configuration of this boot is: what the machine was booted with tells.
//!
//! 1. `ignition.config.url=` on the kernel's command line, as iPXE scripts have it: the whole URL,
//!    with a token for this boot.
//! 2. `bloomery.boot=` on the command line, as an image may be built with: the boot service, which
//!    is asked for what belongs to the UUID in SMBIOS.
//! 3. The URL that UEFI HTTP boot loaded the image from, as the image's own loader left it in a
//!    variable: the boot service is at the same place.

use crate::{
    registry::{InvalidUrl, RegistryUrl},
    root::Root,
};

const COMMAND_LINE: &str = "/proc/cmdline";
const CONFIG: &str = "ignition.config.url=";
const SERVICE: &str = "bloomery.boot=";
const UUID: &str = "/sys/class/dmi/id/product_uuid";
/// Variable of systemd's stub: four bytes of attributes, then the path of the image in UTF-16.
const LOADED_FROM: &str =
    "/sys/firmware/efi/efivars/LoaderImageIdentifier-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";

/// What nobody told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoOrigin {
    /// No boot service.
    #[error(
        "nothing tells where the boot service is: boot by iPXE or UEFI HTTP from it, \
         or build the image with its address (bloomery.boot=URL)"
    )]
    NoService,
    /// No UUID to ask for.
    #[error("the firmware has no system UUID in SMBIOS, and the command line names no URL")]
    NoUuid,
    /// A URL that is none.
    #[error("the URL of the boot service is not http://host:port/path or https://host:port/path")]
    Url,
}

/// Where the configuration of this boot is.
pub(super) fn find(root: &Root) -> Result<RegistryUrl, NoOrigin> {
    let line = root.text(COMMAND_LINE).unwrap_or_default();
    let argument = |name: &str| {
        // As with every argument of the kernel, the last one counts.
        let value = line.split_whitespace().rev().find_map(|word| word.strip_prefix(name));
        value.filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let url = |text: String| text.parse().map_err(|_: InvalidUrl| NoOrigin::Url);
    if let Some(whole) = argument(CONFIG) {
        return url(whole);
    }
    let service = argument(SERVICE).or_else(|| loaded_from(&root.bytes(LOADED_FROM).ok()?));
    let service = service.ok_or(NoOrigin::NoService)?;
    let uuid = root.word(UUID).ok_or(NoOrigin::NoUuid)?.to_ascii_lowercase();
    url(format!("{}/ignition/{uuid}", service.trim_end_matches('/')))
}

/// Scheme, host and port of the URL in a device path as text, such as
/// `/PciRoot(0x0)/Pci(0x3,0x0)/MAC(525400123456,0x1)/IPv4(0.0.0.0)/Uri(http://10.0.0.1/a.efi)`.
fn loaded_from(variable: &[u8]) -> Option<String> {
    let units = variable.get(4..)?.as_chunks::<2>().0.iter().map(|pair| u16::from_le_bytes(*pair));
    let text: String =
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    let begin = text.rfind("http://").or_else(|| text.rfind("https://"))?;
    let (scheme, rest) = text[begin..].split_once("://")?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".-:[]".contains(c)));
    let authority = &rest[..end.unwrap_or(rest.len())];
    (!authority.is_empty()).then(|| format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};
    use tempfile::TempDir;

    const PATH: &str = "\\Uri(http://10.77.0.1:8083/httpboot/a/b/sha256-00.efi)";

    #[test]
    fn the_command_line_of_this_boot_comes_first() {
        let line =
            "console=ttyS0 bloomery.boot=http://b ignition.config.url=http://a:1/t/X/u quiet";
        let found = find(&machine(line, Some("UUID"), Some(PATH))).unwrap();
        assert_eq!((found.address(), found.path()), (("a", 1), "/t/X/u"));
    }

    #[test]
    fn a_boot_service_is_asked_for_the_uuid_of_smbios() {
        let root = machine("bloomery.boot=http://b:8082/", Some("4C4C4544-0000"), Some(PATH));
        let found = find(&root).unwrap();
        assert_eq!((found.address(), found.path()), (("b", 8082), "/ignition/4c4c4544-0000"));
    }

    #[test]
    fn an_image_from_http_boot_asks_where_it_came_from() {
        let found = find(&machine("quiet", Some("u"), Some(PATH))).unwrap();
        assert_eq!((found.address(), found.path()), (("10.77.0.1", 8083), "/ignition/u"));
        let six = "/IPv6(0::)/Uri(https://[fd77::1]:8443/a.efi)";
        let found = find(&machine("", Some("u"), Some(six))).unwrap();
        assert_eq!((found.is_tls(), found.address()), (true, ("fd77::1", 8443)));
    }

    #[test]
    fn what_is_missing_is_told() {
        let found = |line, uuid, path| find(&machine(line, uuid, path)).unwrap_err();
        assert_eq!(found("quiet", Some("u"), None), NoOrigin::NoService);
        assert_eq!(
            found("quiet", Some("u"), Some("\\EFI\\BOOT\\BOOTX64.EFI")),
            NoOrigin::NoService
        );
        assert_eq!(found("bloomery.boot=", Some("u"), Some("http://")), NoOrigin::NoService);
        assert_eq!(found("bloomery.boot=http://b", None, None), NoOrigin::NoUuid);
        assert_eq!(found("ignition.config.url=tftp://a/secret", None, None), NoOrigin::Url);
        assert_eq!(find(&Root::new("/nowhere")).unwrap_err(), NoOrigin::NoService);
    }

    #[test]
    fn a_variable_cut_at_any_byte_is_read_without_harm() {
        let whole = variable(PATH);
        for length in 0..whole.len() {
            loaded_from(&whole[..length]);
        }
    }

    fn variable(path: &str) -> Vec<u8> {
        let text = path.encode_utf16().chain([0]).flat_map(u16::to_le_bytes);
        [6, 0, 0, 0].into_iter().chain(text).collect()
    }

    /// A machine with this command line, UUID, and path of the loader.
    fn machine(line: &str, uuid: Option<&str>, path: Option<&str>) -> Root {
        let tree: TempDir = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &[u8]| {
            let file = tree.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(file.parent().unwrap_or(Path::new("/"))).unwrap();
            fs::write(file, content).unwrap();
        };
        write(COMMAND_LINE, line.as_bytes());
        if let Some(uuid) = uuid {
            write(UUID, uuid.as_bytes());
        }
        if let Some(path) = path {
            write(LOADED_FROM, &variable(path));
        }
        Root::new(tree.keep())
    }
}
