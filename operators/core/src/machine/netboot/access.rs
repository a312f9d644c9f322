//! Which files of its image a Machine may read, and when.
//!
//! An image that installs has its kernel, its RAM disk and its disk image next to its loader. A
//! loader may choose them by mistake: the image's own template falls through to them if it does not
//! find an installed system. So they are served only while an installation is due.
//!
//! A client that requests the largest of these by HTTP, or reports that it is installed, must
//! present the token from the `.ServeURL` of this installation's templates: an installer of an
//! earlier one gets an error. The token is not secret from anybody who can read the network's
//! traffic, and gives no access that the address alone would not.

use super::template::SUFFIX;
use crate::capability::Key;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use metal_api::Machine;
use std::{ffi::OsStr, path::Path};

/// Bytes of a token: enough that it cannot be guessed, but few, as it becomes part of a kernel
/// command line.
const TOKEN: usize = 16;

/// When a path is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Always: the loader, its configuration, and what cloud-init reads.
    Always,
    /// Only while an installation is due: what installs, and everything unknown.
    Install,
    /// Never.
    Never,
}

/// When a path in the folder of an image, whose loader is `boot_file`, is served.
pub fn class(path: &str, boot_file: Option<&str>) -> Class {
    let path = path.trim_start_matches('/');
    if path.is_empty() || path.ends_with(SUFFIX) || path == METADATA {
        return Class::Never;
    }
    let mut parts = path.split('/');
    let first = parts.next().unwrap_or_default();
    let is_in = |folder: &str| first == folder && path.len() > folder.len();
    // Signed loaders of distributions look for their configuration, modules and fonts there.
    let is_loader = path == IPXE_SCRIPT
        || is_in("grub")
        || is_in("cloud-init")
        || extension(path) == Some("efi");
    if is_loader || boot_file == Some(path) { Class::Always } else { Class::Install }
}

fn extension(path: &str) -> Option<&str> {
    Path::new(path).extension().and_then(OsStr::to_str)
}

/// The script that iPXE looks for by itself, as signed loaders do for their configuration.
const IPXE_SCRIPT: &str = "autoexec.ipxe";

/// The image's description of itself.
pub const METADATA: &str = "metadata.yaml";

/// The part of an installation's URL that identifies it.
pub fn token(key: &Key, machine: &Machine, repave: i64) -> String {
    let uid = machine.metadata.uid.as_deref().unwrap_or_default();
    let mac = key.derive(&format!("bloomery.dev/machine/{uid}/{repave}"));
    URL_SAFE_NO_PAD.encode(&mac[..TOKEN])
}

/// Whether `text` is the token of that installation. The comparison takes constant time.
pub fn is_token(key: &Key, machine: &Machine, repave: i64, text: &str) -> bool {
    let (ours, theirs) = (token(key, machine, repave), text.as_bytes());
    let pairs = ours.bytes().zip(theirs);
    let differs = pairs.fold(0, |sum, (a, b)| sum | (a ^ b));
    ours.len() == theirs.len() && differs == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::MachineSpec;

    #[test]
    fn what_installs_is_told_from_what_every_boot_needs() {
        let boot = Some("boot/loader");
        for path in [
            "shimx64.efi",
            "grubaa64.efi",
            "grub/grub.cfg",
            "/grub/x86_64-efi/command.lst",
            "boot/loader",
            "cloud-init/meta-data",
            "autoexec.ipxe",
        ] {
            assert_eq!(class(path, boot), Class::Always, "{path}");
        }
        for path in [
            "vmlinuz",
            "initrd",
            "init.cpio",
            "disk.img.gz",
            "unbounded-agent",
            "boot",
            "grub",
            "x/grub/a",
        ] {
            assert_eq!(class(path, boot), Class::Install, "{path}");
        }
        for path in ["", "/", "grub/grub.cfg.tmpl", "metadata.yaml", "x.tmpl"] {
            assert_eq!(class(path, boot), Class::Never, "{path}");
        }
        assert_eq!(class("boot/loader", None), Class::Install);
    }

    #[test]
    fn a_token_is_that_of_one_installation_of_one_machine() {
        let [key, other] = [[1; 32], [2; 32]].map(|bytes| Key::new(&bytes).unwrap());
        let [a, b] = ["a", "b"].map(|uid| {
            let mut machine = Machine::new("same", MachineSpec::default());
            machine.metadata.uid = Some(uid.to_owned());
            machine
        });
        let it = token(&key, &a, 3);
        assert!(
            it.len() == 22 && it.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        );
        assert!(is_token(&key, &a, 3, &it));
        assert!(!is_token(&key, &a, 4, &it) && !is_token(&key, &b, 3, &it));
        assert!(!is_token(&other, &a, 3, &it));
        for text in ["", &it[..21], &format!("{it}A"), "AAAAAAAAAAAAAAAAAAAAAA"] {
            assert!(!is_token(&key, &a, 3, text), "{text}");
        }
    }
}
