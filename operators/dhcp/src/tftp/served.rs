//! Which file a client may have.

use super::{
    refusal::Refusal,
    wire::{Mode, ReadRequest},
};
use crate::config::{Config, NamedFile};
use metal_core::boot::decision::Boot;
use std::{net::IpAddr, path::Path};

/// The boot files that a configuration names, in their folder.
#[derive(Clone, Debug)]
pub struct Folder<'a> {
    pub(super) files: Vec<NamedFile>,
    pub(super) root: &'a Path,
}

impl<'a> Folder<'a> {
    /// The folder of a configuration, if there is a TFTP server.
    pub fn of(config: &'a Config) -> Option<Self> {
        let root = &config.tftp.as_ref()?.root;
        Some(Self { files: config.tftp_files(), root })
    }

    /// Its path.
    pub fn root(&self) -> &Path {
        self.root
    }

    /// The file that a request asks for, as a path within the folder. Only boot files in the
    /// configuration are served, under the address that the request came in at. `boot` is what the
    /// client boots: a machine gets here what DHCP would tell it, and nothing if that is nothing.
    ///
    /// Firmware has its own ways to spell names: with a leading `/`, with `\`, or with the folder.
    ///
    /// # Errors
    ///
    /// If the client may not have the file.
    pub fn served(
        &self,
        request: &ReadRequest<'_>,
        here: IpAddr,
        boot: &Boot,
    ) -> Result<String, Refusal> {
        if request.mode != Mode::Octet {
            return Err(Refusal::NotOctet);
        }
        let file = below(&request.file, self.root)?;
        let named = self.files.iter();
        let named = named.filter_map(|file| Some((below(&file.path, self.root).ok()?, file)));
        let named: Vec<_> = named.collect();
        let file = meant(file, named.iter().map(|(name, _)| name));
        let named: Vec<_> = named.iter().filter(|(name, _)| *name == file).collect();
        if named.iter().any(|(_, file)| file.is_at(here)) {
            return if boot.has_script() { Ok(file) } else { Err(Refusal::NotToBoot) };
        }
        if let Some(server) = named.first().and_then(|(_, file)| file.server) {
            return Err(Refusal::Elsewhere(server));
        }
        let is_absolute = request.file.starts_with(['/', '\\']);
        Err(if is_absolute { Refusal::Outside } else { Refusal::NotNamed })
    }
}

/// The path that a request asks for, below whatever folder it is served from; `boot_file` is the name
/// that its client was told.
///
/// # Errors
///
/// If it wants its bytes changed, or leads upwards.
pub fn path(request: &ReadRequest<'_>, boot_file: &str) -> Result<String, Refusal> {
    if request.mode != Mode::Octet {
        return Err(Refusal::NotOctet);
    }
    let plain = |name| below(name, Path::new(""));
    let file = plain(&request.file)?;
    let boot_file = plain(boot_file)?;
    Ok(meant(file, [boot_file].iter().filter(|name| !name.is_empty())))
}

/// The name that a client means. Boot ROMs that read past the end of the name in our answer append
/// what followed it: code and length of the next option, the end mark, padding. So a name may be
/// followed by bytes that are not text.
fn meant<'a>(file: String, names: impl Iterator<Item = &'a String>) -> String {
    let is_garbage = |rest: &str| rest.chars().take(2).any(|c| !c.is_ascii_graphic() && c != ' ');
    let beginnings = names.filter(|name| file.strip_prefix(name.as_str()).is_some_and(is_garbage));
    beginnings.max_by_key(|name| name.len()).cloned().unwrap_or(file)
}

/// A name without the folder at its start and without empty segments.
fn below(name: &str, root: &Path) -> Result<String, Refusal> {
    let name = name.replace('\\', "/");
    let name = Path::new(&name).strip_prefix(root).ok().and_then(Path::to_str).unwrap_or(&name);
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(Refusal::Upwards);
    }
    Ok(parts.join("/"))
}
