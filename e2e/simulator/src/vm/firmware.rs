//! Boot settings for firmware: which one runs, with which arguments.

use crate::{
    boot_settings::{BootMode, Source},
    hardware::{Drive, Hardware},
    vm_settings::Vm,
};
use std::path::{Path, PathBuf};

/// Files and sockets of a boot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files<'a> {
    /// The first disk.
    pub(super) disk: &'a Path,
    /// The UEFI variables.
    pub(super) variables: &'a Path,
    /// Where the TPM listens, if there is one.
    pub(super) tpm: Option<&'a Path>,
}

/// QEMU's arguments.
struct Arguments(Vec<String>);

impl Arguments {
    fn of_every_boot() -> Self {
        let all = [
            "-no-user-config -nodefaults -display none -monitor none -serial stdio",
            // KVM cannot be relied on, and may be slower than TCG (nested, without hardware
            // support).
            "-accel tcg,thread=multi -smp 1 -no-reboot -boot strict=on",
            "-device virtio-rng-pci",
        ];
        Self(all.iter().flat_map(|args| args.split(' ')).map(str::to_owned).collect())
    }

    fn add(&mut self, flag: &str, value: String) {
        self.0.extend([flag.to_owned(), value]);
    }
}

/// One boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Boot {
    /// BIOS or UEFI.
    pub(super) mode: BootMode,
    /// What to try, in order; nothing, if that is up to the UEFI variables.
    pub(super) sources: Vec<Source>,
    /// A copy of the medium in the virtual drive.
    pub(super) medium: Option<PathBuf>,
}

impl Boot {
    /// The URL that UEFI was told to boot from.
    pub(super) fn uri(&self) -> Option<&str> {
        let is_disk = |source: &&Source| matches!(source, Source::Disk | Source::Cd);
        match (self.mode, self.sources.iter().find(|source| !is_disk(source))) {
            (BootMode::Uefi, Some(Source::Http(uri))) => uri.as_deref(),
            _ => None,
        }
    }

    /// QEMU's arguments for this boot of this machine.
    pub(super) fn args(&self, vm: &Vm, hardware: &Hardware, files: Files<'_>) -> Vec<String> {
        let (uuid, serial) = (hardware.uuid(), hardware.serial());
        let mut args = Arguments::of_every_boot();
        args.add("-m", vm.memory.to_string());
        args.add("-uuid", uuid.to_string());
        args.add("-smbios", format!("type=1,manufacturer=Contoso,product=CR-2000,serial={serial}"));
        args.add("-netdev", format!("tap,id=port0,ifname={},script=no,downscript=no", vm.tap));
        args.add("-device", self.nic(hardware));
        let disk = files.disk.display();
        args.add("-drive", format!("if=none,id=disk0,format=raw,discard=unmap,file={disk}"));
        args.add("-device", self.disk(hardware));
        self.add_medium(&mut args);
        if let Some(tpm) = files.tpm {
            args.add("-chardev", format!("socket,id=tpm,path={}", tpm.display()));
            args.add("-tpmdev", "emulator,id=tpm0,chardev=tpm".to_owned());
            args.add("-device", "tpm-tis,tpmdev=tpm0".to_owned());
        }
        if self.mode == BootMode::Uefi {
            self.add_uefi(&mut args, vm, files.variables);
        }
        if self.mode == BootMode::Uefi && vm.has_secure_boot() {
            // Variables can then be changed only in system management mode.
            args.add("-machine", "q35,smm=on".to_owned());
            args.add("-global", "driver=cfi.pflash01,property=secure,value=on".to_owned());
            args.add("-global", "ICH9-LPC.disable_s3=1".to_owned());
        } else {
            args.add("-machine", "q35".to_owned());
        }
        args.0
    }

    /// The medium in the virtual drive, if there is one.
    fn add_medium(&self, args: &mut Arguments) {
        let Some(medium) = &self.medium else { return };
        let medium = medium.display();
        let drive = format!("if=none,id=cd0,format=raw,media=cdrom,readonly=on,file={medium}");
        args.add("-drive", drive);
        let index = self.index(|source| *source == Source::Cd);
        args.add("-device", format!("ide-cd,drive=cd0{index}"));
    }

    /// The firmware, its variables, and what it is told.
    fn add_uefi(&self, args: &mut Arguments, vm: &Vm, variables: &Path) {
        let (code, variables) = (vm.uefi_code.display(), variables.display());
        args.add("-drive", format!("if=pflash,unit=0,format=raw,readonly=on,file={code}"));
        args.add("-drive", format!("if=pflash,unit=1,format=raw,file={variables}"));
        for option in self.switches() {
            args.add("-fw_cfg", option);
        }
    }

    fn nic(&self, hardware: &Hardware) -> String {
        let mac = hardware.nics()[0].mac;
        let mut nic = format!("virtio-net-pci,netdev=port0,mac={mac}");
        if self.mode == BootMode::Uefi {
            // iPXE in the NIC would replace UEFI's own network stack.
            nic.push_str(",romfile=");
        }
        let is_network = |source: &Source| match source {
            Source::Pxe => true,
            Source::Http(_) => self.mode == BootMode::Uefi,
            Source::Disk | Source::Cd => false,
        };
        nic + &self.index(is_network)
    }

    fn disk(&self, hardware: &Hardware) -> String {
        let serial = hardware.drives().first().map(Drive::serial).unwrap_or_default();
        let index = self.index(|source| *source == Source::Disk);
        format!("virtio-blk-pci,drive=disk0,serial={serial}{index}")
    }

    /// The boot index of a device; without one, it is not booted from.
    fn index(&self, is_of: impl Fn(&Source) -> bool) -> String {
        let place = self.sources.iter().position(is_of);
        place.map(|place| format!(",bootindex={}", place + 1)).unwrap_or_default()
    }

    /// OVMF tries PXE before HTTP, unless PXE is disabled (OVMF's README, "fw_cfg").
    fn switches(&self) -> Vec<String> {
        let network = self.sources.iter().find(|it| matches!(it, Source::Pxe | Source::Http(_)));
        match network {
            Some(Source::Http(_)) => ["IPv4PXESupport", "IPv6PXESupport"]
                .map(|switch| format!("name=opt/org.tianocore/{switch},string=n"))
                .into(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BootSettings, Config};

    fn args(boot: &Boot) -> String {
        let vm = Vm::new("/vm", "tap7");
        let hardware = Hardware::of(&Config::default(), 3);
        let (disk, variables) = (Path::new("/vm/disk"), Path::new("/vm/vars"));
        boot.args(&vm, &hardware, Files { disk, variables, tpm: None }).join(" ")
    }

    fn boot(mode: BootMode, sources: Vec<Source>) -> String {
        args(&Boot { mode, sources, medium: None })
    }

    /// The devices with a boot index, in order.
    fn order(args: &str) -> Vec<&str> {
        let devices = args.split(' ').filter_map(|arg| arg.split_once(",bootindex="));
        let mut order: Vec<_> = devices.map(|(device, index)| (index, device)).collect();
        order.sort_unstable();
        order.iter().filter_map(|(_, device)| device.split(',').next()).collect()
    }

    #[test]
    fn an_override_is_the_only_thing_that_is_tried() {
        let uri = || Source::Http(Some("http://a/b".to_owned()));
        let cases = [
            (BootMode::Legacy, Source::Pxe, vec!["virtio-net-pci"]),
            (BootMode::Uefi, Source::Pxe, vec!["virtio-net-pci"]),
            (BootMode::Uefi, uri(), vec!["virtio-net-pci"]),
            (BootMode::Legacy, Source::Disk, vec!["virtio-blk-pci"]),
            (BootMode::Uefi, Source::Disk, vec!["virtio-blk-pci"]),
            (BootMode::Uefi, Source::Cd, vec![]),
        ];
        for (mode, source, expected) in cases {
            let args = boot(mode, vec![source.clone()]);
            assert_eq!(order(&args), expected, "{mode} {source:?}");
        }
    }

    #[test]
    fn a_medium_is_booted_from_where_that_is_asked_for_and_is_there_otherwise() {
        let with = |source| {
            let medium = Some(PathBuf::from("/vm/medium.iso"));
            args(&Boot { mode: BootMode::Uefi, sources: vec![source], medium })
        };
        let cd = with(Source::Cd);
        assert_eq!(order(&cd), ["ide-cd"]);
        assert!(cd.contains("media=cdrom,readonly=on,file=/vm/medium.iso"), "{cd}");
        let disk = with(Source::Disk);
        assert_eq!(order(&disk), ["virtio-blk-pci"]);
        assert!(disk.contains("ide-cd,drive=cd0"), "{disk}");
    }

    #[test]
    fn without_an_override_the_boot_order_counts() {
        for mode in [BootMode::Legacy, BootMode::Uefi] {
            let args = boot(mode, BootSettings::default().consume(&[]));
            assert_eq!(order(&args), ["virtio-blk-pci", "virtio-net-pci"]);
        }
    }

    #[test]
    fn firmware_is_bios_with_ipxe_or_uefi_without_and_http_leaves_pxe_out() {
        let bios = boot(BootMode::Legacy, vec![Source::Pxe]);
        assert!(!bios.contains("pflash") && !bios.contains("romfile"), "{bios}");
        let pxe = boot(BootMode::Uefi, vec![Source::Pxe]);
        assert!(pxe.contains("file=/vm/vars") && pxe.contains("romfile="), "{pxe}");
        assert!(!pxe.contains("fw_cfg"), "{pxe}");
        let http = boot(BootMode::Uefi, vec![Source::Http(None)]);
        assert!(http.contains("IPv4PXESupport,string=n"), "{http}");
    }

    #[test]
    fn a_virtual_machine_is_the_machine_that_the_bmc_describes() {
        let hardware = Hardware::of(&Config::default(), 3);
        let args = boot(BootMode::Legacy, vec![Source::Pxe]);
        for part in [
            format!("-uuid {}", hardware.uuid()),
            format!("serial={} ", hardware.serial()),
            format!("mac={},", hardware.nics()[0].mac),
            format!("serial={}", hardware.drives()[0].serial()),
            "ifname=tap7,".to_owned(),
        ] {
            assert!(args.contains(&part), "{part} is not in {args}");
        }
        assert!(args.contains("tcg") && !args.contains("kvm"), "{args}");
    }
}
