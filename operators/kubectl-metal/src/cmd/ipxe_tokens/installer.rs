//! With what a machine is installed, if not with the installer of the server.

use crate::image::RegistryArgs;
use anyhow::{Result, ensure};
use clap::Args;
use metal_api::{BootInstaller, BootInstallerKind};
use metal_core::boot_token::installer::is_word;

/// The longest argument, in bytes.
const ARGUMENT: usize = 256;
/// The longest URL, in bytes.
const URL: usize = 2048;

/// The installer of a token.
#[derive(Debug, Default, Args)]
pub(super) struct InstallerArgs {
    /// The image has a disk image, which is written as it is, and the installer for that
    #[arg(long, conflicts_with = "template")]
    disk_image: bool,
    /// Image of the installer, by its digest or by a tag, in place of which its digest is kept [default: the installer
    /// of the server]
    #[arg(long, value_name = "IMAGE")]
    installer_image: Option<String>,
    /// URL of the kernel of the installer, at a mirror
    #[arg(long, value_parser = url, value_name = "URL")]
    #[arg(requires = "installer_initrd_url", conflicts_with_all = ["disk_image", "installer_image"])]
    installer_kernel_url: Option<String>,
    /// URL of its initial RAM disk
    #[arg(long, requires = "installer_kernel_url", value_parser = url, value_name = "URL")]
    installer_initrd_url: Option<String>,
    /// URL of what Anaconda loads then (inst.stage2)
    #[arg(long, requires = "installer_kernel_url", value_parser = url, value_name = "URL")]
    installer_stage2_url: Option<String>,
    /// A further argument of its kernel, as console=ttyS0; may be repeated
    #[arg(long = "installer-argument", value_parser = argument, value_name = "ARGUMENT")]
    #[arg(allow_hyphen_values = true)]
    installer_arguments: Vec<String>,
}

impl InstallerArgs {
    /// The installer, if any of its flags is given.
    ///
    /// # Errors
    ///
    /// If its image is not there, or it is not said which installer it is.
    pub(super) async fn installer(&self, registry: &RegistryArgs) -> Result<Option<BootInstaller>> {
        let is_named = self.disk_image
            || self.installer_image.is_some()
            || self.installer_kernel_url.is_some();
        ensure!(
            is_named || self.installer_arguments.is_empty(),
            "--installer-argument: say whose: --installer-image, --installer-kernel-url or --disk-image"
        );
        let mut image = None;
        if let Some(named) = &self.installer_image {
            let pinned = registry.pin("--installer-image", named).await?;
            registry.look_for("--installer-image", &pinned).await?;
            image = Some(pinned.to_string());
        }
        let installer = BootInstaller {
            kind: self.disk_image.then_some(BootInstallerKind::DiskImage),
            image,
            kernel_url: self.installer_kernel_url.clone(),
            initrd_url: self.installer_initrd_url.clone(),
            stage2_url: self.installer_stage2_url.clone(),
            arguments: self.installer_arguments.clone(),
        };
        Ok(Some(installer).filter(|it| *it != BootInstaller::default()))
    }
}

fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let is_url = rest.is_some_and(|rest| !rest.is_empty()) && is_word(text) && text.len() <= URL;
    let wrong = || "write a URL like http://mirror.example.org/vmlinuz".to_owned();
    if is_url { Ok(text.to_owned()) } else { Err(wrong()) }
}

fn argument(text: &str) -> Result<String, String> {
    let wrong = || {
        format!(
            "write one word of up to {ARGUMENT} printable ASCII characters, without quotation marks, dollar signs \
             and the like"
        )
    };
    if is_word(text) && text.len() <= ARGUMENT { Ok(text.to_owned()) } else { Err(wrong()) }
}
