//! Where the configuration of this boot is: what the machine was booted with tells.
//!
//! 1. `ignition.config.url=` on the kernel's command line, as iPXE scripts have it: the whole URL,
//!    with a token for this boot.
//! 2. The credential `ignition.config.url`, which lies beside the UKI on the media of the boot
//!    service, and which the stub of systemd puts into our root folder: the same URL.
//! 3. `bloomery.boot=` on the command line, as an image may be built with: the boot service.
//! 4. The URL of the boot option that UEFI started, where a BMC gave it one (`HttpBootUri`).
//! 5. The URL that a server of DHCP or DHCPv6 gives to a machine that asks like its firmware did.
//!
//! An image that was loaded from a URL is asked for at that host and port: a boot service serves
//! images and configurations alike. Such a URL carries the token of this boot (`/t/TOKEN/`), which
//! the service is shown, also where the image says which one that is. Without a token it is asked for
//! what belongs to the UUID in SMBIOS, which it need not answer.

use crate::root::Root;
use metal_http::{InvalidUrl, ServerUrl};

const COMMAND_LINE: &str = "/proc/cmdline";
const CONFIG: &str = "ignition.config.url=";
const CREDENTIAL: &str = "/.extra/credentials/ignition.config.url.cred";
const SERVICE: &str = "bloomery.boot=";
const UUID: &str = "/sys/class/dmi/id/product_uuid";
const FIRMWARE: &str = "/sys/firmware/efi";
const VARIABLES: &str = "/sys/firmware/efi/efivars";
/// Of the variables of UEFI itself.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// What is missing to find the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OriginError {
    /// Nothing names a boot service.
    #[error(
        "the URL of the boot service is unknown: boot by iPXE, UEFI HTTP boot or virtual media, \
         or build the image with the kernel argument bloomery.boot=URL"
    )]
    NoService,
    /// There is no UUID.
    #[error("SMBIOS contains no system UUID, and the kernel command line contains no URL")]
    NoUuid,
    /// The URL is invalid.
    #[error(
        "the URL of the boot service must have the form http://host:port/path or \
         https://host:port/path"
    )]
    Url,
}

/// Where the configuration of this boot is; `dhcp` is the URL that a DHCP server gave.
pub(super) fn find(root: &Root, dhcp: Option<&str>) -> Result<ServerUrl, OriginError> {
    let line = root.text(COMMAND_LINE).unwrap_or_default();
    let argument = |name: &str| {
        // As for all kernel arguments, the last one counts.
        let value = line.split_whitespace().rev().find_map(|word| word.strip_prefix(name));
        value.filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let url = |text: String| text.parse().map_err(|_: InvalidUrl| OriginError::Url);
    if let Some(whole) = argument(CONFIG).or_else(|| root.word(CREDENTIAL)) {
        return url(whole);
    }
    let option = boot_option(root);
    let loaded = option.as_deref().filter(|url| origin(url).is_some()).or(dhcp);
    let service = argument(SERVICE).or_else(|| origin(loaded?)).ok_or(OriginError::NoService)?;
    let service = service.trim_end_matches('/');
    match (loaded.and_then(token), uuid(root)) {
        // The token says which server it is; boards may have no UUID, or that of others.
        (Some(token), uuid) => {
            let uuid = uuid.as_deref().unwrap_or("unknown");
            url(format!("{service}/ignition/t/{token}/{uuid}"))
        }
        (None, Some(uuid)) => url(format!("{service}/ignition/{uuid}")),
        (None, None) => Err(OriginError::NoUuid),
    }
}

/// The system UUID of SMBIOS.
pub(super) fn uuid(root: &Root) -> Option<String> {
    root.word(UUID).map(|uuid| uuid.to_ascii_lowercase())
}

/// Whether only a DHCP server can name the boot service or the token: on a machine with UEFI for
/// which nothing else does.
pub(super) fn needs_dhcp(root: &Root) -> bool {
    let line = root.text(COMMAND_LINE).unwrap_or_default();
    let names = |word: &str| word.strip_prefix(CONFIG).is_some_and(|value| !value.is_empty());
    let is_told = line.split_whitespace().any(names) || root.word(CREDENTIAL).is_some();
    let is_linked = || boot_option(root).is_some_and(|url| origin(&url).is_some());
    root.has(FIRMWARE) && !is_told && !is_linked()
}

/// The machine's UUID as in SMBIOS: the first three fields are little-endian (SMBIOS 3.7, section
/// 7.2.1).
pub(super) fn wire_uuid(root: &Root) -> Option<[u8; 16]> {
    let text = uuid(root)?.replace('-', "");
    let digits = Some(text).filter(|text| text.len() == 32)?;
    let mut bytes = u128::from_str_radix(&digits, 16).ok()?.to_be_bytes();
    for field in [0..4, 4..6, 6..8] {
        bytes[field].reverse();
    }
    Some(bytes)
}

/// The URL in the boot option that UEFI started.
fn boot_option(root: &Root) -> Option<String> {
    let variable = |name: &str| root.bytes(&format!("{VARIABLES}/{name}-{GLOBAL}")).ok();
    let current = variable("BootCurrent")?;
    let [low, high] = current.get(4..6)?.try_into().ok()?;
    uri(variable(&format!("Boot{:04X}", u16::from_le_bytes([low, high])))?.get(4..)?)
}

/// The URI in the device path of a load option (UEFI 2.10, sections 3.1.3 and 10.3.4.23).
fn uri(option: &[u8]) -> Option<String> {
    const MESSAGING_URI: [u8; 2] = [3, 24];
    let (_attributes, rest) = option.split_at_checked(4)?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let title = rest.as_chunks::<2>().0.iter().position(|unit| *unit == [0, 0])?;
    let mut path = rest.get(2 * (title + 1)..)?.get(..usize::from(u16::from_le_bytes(*length)))?;
    while let [kind, subkind, low, high, ..] = *path {
        let length = usize::from(u16::from_le_bytes([low, high]));
        let value = path.get(4..length)?;
        if [kind, subkind] == MESSAGING_URI && !value.is_empty() {
            return String::from_utf8(value.to_vec()).ok();
        }
        path = path.get(length..)?;
    }
    None
}

/// The token in the URL of a UKI: it follows `/t/`, in the base64url alphabet.
fn token(url: &str) -> Option<&str> {
    let path = url.split_once("://")?.1.split_once('/')?.1;
    let mut segments = path.split('/').skip_while(|segment| *segment != "t").skip(1);
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    // No image name is this long by chance.
    segments.next().filter(|token| token.len() >= 32 && token.chars().all(is_letter))
}

/// Scheme, host and port of a URL.
fn origin(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://").filter(|(it, _)| ["http", "https"].contains(it))?;
    let authority = rest.split('/').next().filter(|authority| !authority.is_empty())?;
    Some(format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    const URL: &str = "http://10.77.0.1:8083/httpboot/a/b/sha256-00.efi";

    #[test]
    fn the_command_line_of_this_boot_comes_first() {
        let line =
            "console=ttyS0 bloomery.boot=http://b ignition.config.url=http://a:1/t/X/u quiet";
        let machine = Machine::new(line, Some("UUID"), Some(URL));
        let found = find(&machine.root(), Some(URL)).unwrap();
        assert_eq!((found.address(), found.path()), (("a", 1), "/t/X/u"));
    }

    #[test]
    fn a_credential_on_the_medium_of_this_boot_comes_before_what_an_image_was_built_with() {
        let machine = Machine::new("bloomery.boot=http://b quiet", Some("UUID"), None);
        machine.write(CREDENTIAL, b"http://a:1/t/X/u\n");
        let found = find(&machine.root(), Some(URL)).unwrap();
        assert_eq!((found.address(), found.path()), (("a", 1), "/t/X/u"));
        assert!(!needs_dhcp(&machine.root()));
        machine.write(CREDENTIAL, b"");
        let found = find(&machine.root(), Some(URL)).unwrap();
        assert_eq!((found.address(), found.path()), (("b", 80), "/ignition/uuid"));
    }

    #[test]
    fn a_boot_service_is_asked_for_the_uuid_of_smbios() {
        let machine =
            Machine::new("bloomery.boot=http://b:8082/", Some("4C4C4544-0000"), Some(URL));
        let found = find(&machine.root(), Some(URL)).unwrap();
        assert_eq!((found.address(), found.path()), (("b", 8082), "/ignition/4c4c4544-0000"));
    }

    #[test]
    fn an_image_from_http_boot_asks_where_it_came_from() {
        let machine = Machine::new("quiet", Some("u"), Some(URL));
        let found = find(&machine.root(), Some("http://other/a.efi")).unwrap();
        assert_eq!((found.address(), found.path()), (("10.77.0.1", 8083), "/ignition/u"));
        // The firmware's own option for HTTP boot has no URL: the DHCP server sends it.
        let machine = Machine::new("quiet", Some("u"), Some(""));
        assert!(needs_dhcp(&machine.root()));
        let found = find(&machine.root(), Some("https://[fd77::1]:8443/a.efi")).unwrap();
        assert_eq!((found.is_tls(), found.address()), (true, ("fd77::1", 8443)));
    }

    #[test]
    fn the_token_of_this_boot_is_in_the_url_that_the_image_came_from() {
        const TOKEN: &str = "AmoAAAAABFqd4vCqqru7zMwBI0VniasAAAAAAAAAAAAAAAAAAAA";
        let linked = format!("http://10.77.0.1:8083/httpboot/t/{TOKEN}/r.example/a/sha256-00.efi");
        let path = format!("/ignition/t/{TOKEN}/u");
        let found = |line, option, dhcp| find(&Machine::new(line, Some("u"), option).root(), dhcp);
        let option = found("quiet", Some(linked.as_str()), Some("http://other/a.efi")).unwrap();
        assert_eq!((option.address(), option.path()), (("10.77.0.1", 8083), path.as_str()));
        let dhcp = found("quiet", Some(""), Some(&linked)).unwrap();
        assert_eq!((dhcp.address(), dhcp.path()), (("10.77.0.1", 8083), path.as_str()));
        let nameless = find(&Machine::new("quiet", None, Some(&linked)).root(), None).unwrap();
        assert_eq!(nameless.path(), format!("/ignition/t/{TOKEN}/unknown"));
        let built_in = found("bloomery.boot=http://b:1", None, Some(&linked)).unwrap();
        assert_eq!((built_in.address(), built_in.path()), (("b", 1), path.as_str()));
        for none in [
            "http://a:1/httpboot/t/short/r.example/a/sha256-00.efi".to_owned(),
            format!("http://a:1/httpboot/t/{TOKEN}%0a/r.example/a/sha256-00.efi"),
            format!("http://a:1/t/{}", "../".repeat(20)),
        ] {
            let machine = Machine::new("quiet", Some("u"), Some(none.as_str()));
            assert_eq!(find(&machine.root(), None).unwrap().path(), "/ignition/u", "{none}");
        }
    }

    #[test]
    fn a_dhcp_server_is_asked_for_the_token_where_the_image_only_knows_the_service() {
        let machine = Machine::new("bloomery.boot=http://b", Some("u"), Some(""));
        assert!(needs_dhcp(&machine.root()));
        let machine = Machine::new("bloomery.boot=http://b", Some("u"), Some(URL));
        assert!(!needs_dhcp(&machine.root()));
        let machine = Machine::new("ignition.config.url=http://b/x", Some("u"), Some(""));
        assert!(!needs_dhcp(&machine.root()));
    }

    #[test]
    fn what_is_missing_is_told() {
        let found = |line, uuid, url| find(&Machine::new(line, uuid, url).root(), None).err();
        assert_eq!(found("quiet", Some("u"), None), Some(OriginError::NoService));
        assert_eq!(
            found("bloomery.boot=", Some("u"), Some("file:/a")),
            Some(OriginError::NoService)
        );
        assert_eq!(found("bloomery.boot=http://b", None, None), Some(OriginError::NoUuid));
        assert_eq!(found("ignition.config.url=tftp://a/x", None, None), Some(OriginError::Url));
        assert_eq!(find(&Root::new("/nowhere"), None).err(), Some(OriginError::NoService));
        assert!(!needs_dhcp(&Root::new("/nowhere")), "a machine with BIOS has no HTTP boot");
    }

    #[test]
    fn an_option_cut_at_any_byte_is_read_without_harm() {
        let whole = option(URL);
        assert_eq!(uri(&whole[4..]).as_deref(), Some(URL));
        for length in 0..whole.len() {
            uri(&whole[..length]);
        }
        // A node of length zero must not loop.
        uri(&[0, 0, 0, 0, 8, 0, 0, 0, 3, 1, 0, 0, 3, 1, 0, 0]);
    }

    #[test]
    fn the_uuid_is_sent_as_firmware_sends_it() {
        let machine = Machine::new("", Some("00112233-4455-6677-8899-AABBCCDDEEFF"), None);
        let expected = [
            0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd,
            0xee, 0xff,
        ];
        assert_eq!(wire_uuid(&machine.root()), Some(expected));
        for text in ["", "0011", "zz112233-4455-6677-8899-aabbccddeeff"] {
            assert_eq!(wire_uuid(&Machine::new("", Some(text), None).root()), None, "{text}");
        }
    }

    /// A variable with a load option: attributes, length, title, MAC, URI, end.
    fn option(url: &str) -> Vec<u8> {
        let node = |kind: u8, subkind: u8, value: &[u8]| {
            let length = u16::try_from(value.len() + 4).unwrap().to_le_bytes();
            [&[kind, subkind], &length[..], value].concat()
        };
        let path =
            [node(3, 11, &[0; 33]), node(3, 24, url.as_bytes()), node(0x7f, 0xff, &[])].concat();
        let title: Vec<u8> = "UEFI\0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = u16::try_from(path.len()).unwrap().to_le_bytes();
        [&[7, 0, 0, 0, 1, 0, 0, 0], &length[..], &title, &path].concat()
    }

    /// A machine with this command line and UUID, started from a boot option with this URL.
    struct Machine(TempDir);

    impl Machine {
        fn new(line: &str, uuid: Option<&str>, url: Option<&str>) -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            machine.write(COMMAND_LINE, line.as_bytes());
            if let Some(uuid) = uuid {
                machine.write(UUID, uuid.as_bytes());
            }
            if let Some(url) = url {
                machine.write(&format!("{VARIABLES}/Boot000A-{GLOBAL}"), &option(url));
                machine.write(&format!("{VARIABLES}/BootCurrent-{GLOBAL}"), &[6, 0, 0, 0, 10, 0]);
            }
            machine
        }

        fn write(&self, path: &str, content: &[u8]) {
            let file = self.0.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }

        fn root(&self) -> Root {
            Root::new(self.0.path())
        }
    }
}
