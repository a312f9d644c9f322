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
use crate::operations::{Clocks, installs, pending};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use metal_api::{Machine, MachineOperationStep};
use metal_core::capability::Key;
use std::{ffi::OsStr, path::Path};

/// Bytes of a token: enough that it cannot be guessed, but few, as it becomes part of a kernel
/// command line.
const TOKEN: usize = 16;

/// How many earlier installations are known by their tokens.
const KEPT: i64 = 16;

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
    if !is_plain(path) || path.ends_with(SUFFIX) || path == METADATA {
        return Class::Never;
    }
    let mut parts = path.split('/');
    let first = parts.next().unwrap_or_default();
    let is_in = |folder: &str| first == folder && path.len() > folder.len();
    // Signed loaders of distributions look for their configuration, modules and fonts there.
    let is_loader = path == IPXE_SCRIPT
        || is_in("grub")
        || is_in("cloud-init")
        || extension(path).is_some_and(|it| it.eq_ignore_ascii_case("efi"));
    // As DHCP names it, and as it is asked for.
    let boot_file = boot_file.map(|it| it.trim_start_matches('/'));
    if is_loader || boot_file == Some(path) { Class::Always } else { Class::Install }
}

/// Whether a path has only one meaning. Where `..` or an empty part is resolved later, `grub/../vmlinuz`
/// would be a file of another folder than the one that it is judged by.
fn is_plain(path: &str) -> bool {
    let is_name = |part: &str| !matches!(part, "" | "." | "..");
    path.split('/').all(is_name) && !path.contains(['\\', '%', '\0'])
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

/// What a token is to the installations of a Machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenOf {
    /// It belongs to the one that is pending, with this repave counter.
    Due(i64),
    /// It belongs to one that is complete, and no other is pending.
    Done,
    /// It belongs to one that was requested, and is not pending at the moment: an attempt has ended, or
    /// this Machine is outdated.
    Awaited,
    /// It belongs to none of them.
    None,
}

/// What `text` is to the installations of `machine`.
pub fn token_of(key: &Key, machine: &Machine, text: &str, now: Clocks) -> TokenOf {
    let is_of = |counter: i64| is_token(key, machine, counter, text);
    if let Some(due) = installs(machine, now) {
        return if is_of(due) { TokenOf::Due(due) } else { TokenOf::None };
    }
    let operations = machine.status.as_ref().and_then(|status| status.operations.as_ref());
    let done = operations.and_then(|it| it.repave_counter).unwrap_or(0);
    if (0..KEPT).map(|ago| done - ago).take_while(|it| *it > 0).any(is_of) {
        return TokenOf::Done;
    }
    let current = operations.and_then(|it| it.current.as_ref());
    let current = current.filter(|it| it.step != MachineOperationStep::Failed);
    let requested = [pending(machine).repave, current.and_then(|it| it.repave_counter)];
    if requested.into_iter().flatten().any(is_of) { TokenOf::Awaited } else { TokenOf::None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use metal_api::{MachineOperation, MachinePxe, MachineRedfish, MachineSpec, MachineStatus};

    #[test]
    fn what_installs_is_told_from_what_every_boot_needs() {
        let boot = Some("boot/loader");
        for path in [
            "shimx64.efi",
            "grubaa64.efi",
            "EFI/BOOT/GRUBX64.EFI",
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
        assert_eq!(class("boot/loader", Some("/boot/loader")), Class::Always);
    }

    #[test]
    fn no_way_up_leads_around_the_guard_of_an_installer() {
        for path in [
            "grub/../disk.img.gz",
            "/grub/../vmlinuz",
            "cloud-init/./../vmlinuz",
            "grub/x/../../vmlinuz",
            "grub/..",
            "grub//../vmlinuz",
            "grub//grub.cfg",
            "grub/./grub.cfg",
            "..",
            "./shimx64.efi",
            "grub/%2e%2e/vmlinuz",
            "grub/%2E./vmlinuz",
            "grub/..%2fvmlinuz",
            "grub/..\\..\\vmlinuz",
            "grub/",
            "../x.efi",
            "grub/\0",
        ] {
            assert_eq!(class(path, Some("boot/loader")), Class::Never, "{path}");
        }
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

    #[test]
    fn a_token_is_told_from_those_of_earlier_and_later_installations() {
        use MachineOperationStep::{Draining, Failed, Finishing, Installing, PoweringOff};
        let key = Key::new(&[1; 32]).unwrap();
        let of = |machine: &Machine, counter| {
            token_of(&key, machine, &token(&key, machine, counter), Timestamp::UNIX_EPOCH.into())
        };
        for (step, of_current) in [
            (Installing, TokenOf::Due(20)),
            (PoweringOff, TokenOf::Awaited),
            (Draining, TokenOf::Awaited),
            (Failed, TokenOf::None),
        ] {
            let machine = machine(step.clone(), 20, 19);
            assert_eq!(of(&machine, 20), of_current, "{step}");
            assert_eq!(of(&machine, 21), TokenOf::None, "{step}");
            let earlier = if step == Installing { TokenOf::None } else { TokenOf::Done };
            assert_eq!(of(&machine, 19), earlier, "{step}");
            assert_eq!(of(&machine, 1), TokenOf::None, "{step}");
        }
        assert_eq!(of(&machine(Finishing, 20, 20), 20), TokenOf::Done);
        let mut nothing = machine(Finishing, 0, 0);
        nothing.status = None;
        assert_eq!(of(&nothing, 0), TokenOf::None);
    }

    fn machine(step: MachineOperationStep, counter: i64, done: i64) -> Machine {
        let pxe = MachinePxe { redfish: Some(MachineRedfish::default()), ..MachinePxe::default() };
        let spec = MachineSpec { pxe: Some(pxe), ..MachineSpec::default() };
        let mut machine = Machine::new("a", spec);
        let status = machine.status.insert(MachineStatus::default());
        let operations = status.operations.get_or_insert_default();
        operations.repave_counter = Some(done);
        operations.current = Some(MachineOperation {
            reboot_counter: None,
            repave_counter: Some(counter),
            step,
            attempt: 1,
            since: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH),
            progress: None,
            boot_override: false,
            reason: None,
            message: None,
        });
        machine
    }
}
