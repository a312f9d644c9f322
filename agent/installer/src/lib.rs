//! Writes a disk image to the disk of a machine: the first process of the netboot image, which metalman
//! gives to a Machine whose installation is due.
//!
//! `order` says what is wanted, `disk` which disk that is, `fetch` and `image` bring it there, `gpt`, `seed`
//! and `efi` make it this machine's own, `report` tells, and `install` is what happens after what. Nothing
//! that comes over the network is trusted, and a disk boots nothing unless all of the image is on it, and what makes
//! it this machine's own.

pub mod checksum;
mod configure;
mod disk;
mod disk_ends;
mod disk_writer;
mod efi;
mod fetch;
pub mod gpt;
mod image;
mod install;
pub mod install_json;
mod report;
mod seed;
#[cfg(test)]
mod testing;
mod timeouts;

use fetch::{Base, Client};
use metal_base::Chain;
use metalprobe::{
    Root,
    init::{self, End, ScanTrigger},
};
use std::{convert::Infallible, path::Path};
use timeouts::TIMEOUTS;
use tokio::time::sleep;

/// Authorities that an `https` server is verified by.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Installs this machine. Nothing is done without `bloomery.install` on the kernel's command line.
pub async fn run(root: &Root, _: &ScanTrigger) -> End {
    match client(root) {
        Ok(client) => {
            tokio::select! {
                end = begin(root, &client) => end,
                never = init::network(root.clone()) => off(never),
            }
        }
        Err(why) => {
            tracing::error!(error = why, "powering off");
            sleep(TIMEOUTS.reading).await;
            End::PowerOff
        }
    }
}

fn off(never: Infallible) -> End {
    match never {}
}

async fn begin(root: &Root, client: &Client) -> End {
    init::address().await;
    install::install(root, client).await
}

fn client(root: &Root) -> Result<Client, String> {
    let Some(url) = install::base(root) else {
        return Err(
            "nothing is to be installed: bloomery.install is not on the kernel's command line"
                .into(),
        );
    };
    let base: Base = url.parse().map_err(|error| Chain(&error).to_string())?;
    tracing::info!(server = %base, "this machine is installed");
    trusting(base, Path::new(AUTHORITIES))
}

fn trusting(base: Base, authorities: &Path) -> Result<Client, String> {
    Client::new(base, authorities, TIMEOUTS).map_err(|error| {
        format!(
            "the server is https, and this image trusts nobody: {}; build it with --ca",
            Chain(&error)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_authorities_says_how_to_build_it_and_names_no_flag_of_an_agent() {
        let base = "https://server/i/secret".parse().unwrap();
        let error = trusting(base, Path::new("/nowhere/ca.pem")).unwrap_err();
        assert!(
            error.contains("/nowhere/ca.pem") && error.ends_with("build it with --ca"),
            "{error}"
        );
        assert!(!error.contains("--registry") && !error.contains("secret"), "{error}");
    }
}
