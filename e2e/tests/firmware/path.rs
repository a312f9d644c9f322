//! How a machine boots from the network, and what that takes of firmware, image and boot service.

use crate::{
    image::AUTHORITY,
    inside::{discovery_image, newer_firmware},
    keys,
};
use anyhow::{Context, Result};
use e2e::{
    cluster::workspace,
    namespace::run,
    stack::{INITRD, KERNEL, UKI},
};
use metal_simulator::{BootMode, BootTarget, Profile, Trust, Vm};
use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path as File, PathBuf},
    process::Command,
};

/// Firmware that supports Secure Boot.
const SECURE: &str = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
/// Media type of a file that nothing is known of.
const FILE: &str = "application/octet-stream";
/// Name of the authority whose images machines with Secure Boot accept.
const SIGNER: &str = "signer";

/// How a machine boots from the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// SeaBIOS, and iPXE in the NIC.
    BiosIpxe,
    /// OVMF, which loads iPXE by TFTP.
    UefiPxe,
    /// OVMF, which loads a UKI.
    UefiHttp,
    /// The same, with the next Debian's OVMF.
    NewerUefiHttp,
    /// OVMF, which loads a UKI from the BMC's virtual CD.
    VirtualMedia,
    /// UEFI HTTP boot by HTTPS, from a server whose authority is enrolled.
    UefiHttps,
    /// With Secure Boot, and a UKI signed by somebody whom the firmware trusts.
    SecureBoot,
    /// With Secure Boot, and an unsigned UKI.
    SecureBootUnsigned,
    /// With Secure Boot and the keys that machines come with: shim, GRUB and kernel of Debian.
    Shim,
}

/// Name, media type and content of a file of an image.
type ImageFile = (&'static str, &'static str, Vec<u8>);

impl Path {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BiosIpxe => "BIOS iPXE",
            Self::UefiPxe => "UEFI PXE, TFTP, iPXE",
            Self::UefiHttp => "UEFI HTTP, UKI",
            Self::NewerUefiHttp => "UEFI HTTP, UKI, newer OVMF",
            Self::VirtualMedia => "UEFI virtual media, UKI",
            Self::UefiHttps => "UEFI HTTPS, UKI",
            Self::SecureBoot => "UEFI HTTP, Secure Boot, signed UKI",
            Self::SecureBootUnsigned => "UEFI HTTP, Secure Boot, unsigned UKI",
            Self::Shim => "UEFI HTTP, Secure Boot, shim, GRUB",
        }
    }

    /// A BMC that supports this boot method only.
    pub(crate) fn profile(self) -> Profile {
        let (mode, target) = match self {
            Self::BiosIpxe => (BootMode::Legacy, BootTarget::Pxe),
            Self::UefiPxe => (BootMode::Uefi, BootTarget::Pxe),
            Self::VirtualMedia => (BootMode::Uefi, BootTarget::Cd),
            Self::UefiHttp
            | Self::NewerUefiHttp
            | Self::UefiHttps
            | Self::SecureBoot
            | Self::SecureBootUnsigned
            | Self::Shim => (BootMode::Uefi, BootTarget::UefiHttp),
        };
        let boot_targets = vec![BootTarget::None, BootTarget::Hdd, target];
        Profile { boot_targets, boot_modes: vec![mode], ..Profile::default() }
    }

    /// The machine with the firmware that this takes; creates the keys that it trusts.
    pub(crate) fn vm(self, vm: Vm, folder: &File) -> Result<Vm> {
        match self {
            Self::BiosIpxe | Self::UefiPxe | Self::UefiHttp | Self::VirtualMedia => Ok(vm),
            Self::NewerUefiHttp => Ok(newer(vm, "OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd")),
            Self::Shim => {
                let vm = newer(vm, "OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.ms.fd");
                Ok(Vm { memory: 512, ..vm })
            }
            Self::UefiHttps => {
                let authority = Some(fs::read(authority("der"))?);
                Ok(Vm { trust: Trust { authority, signer: None }, ..vm })
            }
            Self::SecureBoot | Self::SecureBootUnsigned => {
                keys::authority(folder, SIGNER)?;
                let signer = Some(fs::read(folder.join(SIGNER).with_extension("der"))?);
                let trust = Trust { authority: None, signer };
                Ok(Vm { trust, uefi_code: SECURE.into(), ..vm })
            }
        }
    }

    /// Additional flags of boot-operator.
    pub(crate) fn boot_flags(self, folder: &File, address: IpAddr) -> Result<Vec<String>> {
        if self != Self::UefiHttps {
            return Ok(Vec::new());
        }
        keys::server(&discovery_image(), AUTHORITY, address, folder)?;
        let (file, at) = (|name| folder.join(name), SocketAddr::new(address, 8444));
        Ok(vec![
            format!("--https-server-address={at}"),
            format!("--https-certificate-file={}", file("server.pem").display()),
            format!("--https-key-file={}", file("server.key").display()),
            format!("--image-server-url=https://{at}"),
        ])
    }

    /// The files of the discovery image, where it has a loader in the place of a UKI.
    pub(crate) fn files(self, folder: &File) -> Result<Vec<ImageFile>> {
        if self != Self::Shim {
            return Ok(Vec::new());
        }
        run(Command::new(workspace().join("e2e/tests/firmware/loaders.sh")).arg(folder))?;
        let built = discovery_image().join("amd64");
        let about = fs::read_to_string(built.join("about"))?;
        let arguments = about.lines().find_map(|line| line.strip_prefix("cmdline="));
        let arguments = arguments.context("an image has a command line")?;
        let config = format!("linux $fw_path/vmlinuz {arguments}\ninitrd $fw_path/initrd\nboot\n");
        let read = |folder: &File, name: &str| fs::read(folder.join(name)).context(name.to_owned());
        Ok(vec![
            ("shimx64.efi", UKI, read(folder, "shimx64.efi")?),
            ("grubx64.efi", FILE, read(folder, "grubx64.efi")?),
            ("grub/grub.cfg", FILE, config.into_bytes()),
            ("vmlinuz", FILE, read(&built, "vmlinuz")?),
            ("initrd", FILE, read(&built, "initrd")?),
        ])
    }

    /// The layers of the discovery image; it is signed in `folder`, if need be.
    pub(crate) fn discovery(self, folder: &File) -> Result<Vec<(&'static str, Vec<u8>)>> {
        let mut image = discovery_image();
        if self == Self::SecureBoot {
            image = signed(&image, folder)?;
        }
        let layer =
            |kind, name| Ok((kind, fs::read(image.join("amd64").join(name)).context(name)?));
        [(KERNEL, "vmlinuz"), (INITRD, "initrd"), (UKI, "uki.efi")]
            .into_iter()
            .map(|(kind, name)| layer(kind, name))
            .collect()
    }
}

/// The machine with firmware of the next Debian.
fn newer(vm: Vm, code: &str, variables: &str) -> Vm {
    let file = |name| newer_firmware().join(name);
    Vm { uefi_code: file(code), uefi_variables: file(variables), ..vm }
}

/// Path of a file of the authority that the image trusts.
fn authority(kind: &str) -> PathBuf {
    discovery_image().join(AUTHORITY).with_extension(kind)
}

/// Path of a copy of the image, signed by [`SIGNER`].
fn signed(image: &File, folder: &File) -> Result<PathBuf> {
    let (copy, signer) = (folder.join("signed"), folder.join(SIGNER));
    fs::create_dir_all(copy.join("amd64"))?;
    for name in ["vmlinuz", "initrd", "uki.efi", "about"] {
        fs::copy(image.join("amd64").join(name), copy.join("amd64").join(name))?;
    }
    let mut command = Command::new(workspace().join("hack/discovery-image"));
    command.arg("sign").arg(&copy);
    run(command.arg(signer.with_extension("key")).arg(signer.with_extension("pem")))?;
    Ok(copy)
}
