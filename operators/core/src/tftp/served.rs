//! Which file a client may have.

use super::{
    refusal::Refusal,
    wire::{Mode, ReadRequest},
};
use crate::{
    boot::decision::Boot,
    dhcp::{BootFiles, Tftp},
};
use std::{net::IpAddr, path::Path};

/// The file that a request asks for, as a path below the folder: only what the configuration names
/// as a boot file, at the address where the request came in. `boot` is what the client boots: a
/// machine gets here what DHCP would name to it, and nothing if that is nothing.
///
/// Firmware spells names in its own way: with a leading `/`, with `\`, or with the folder.
///
/// # Errors
///
/// If the client does not get it.
pub fn served(
    request: &ReadRequest<'_>,
    files: &BootFiles,
    tftp: &Tftp,
    here: IpAddr,
    boot: &Boot,
) -> Result<String, Refusal> {
    if request.mode != Mode::Octet {
        return Err(Refusal::NotOctet);
    }
    let asked = below(&request.file, &tftp.root)?;
    let files = [&files.bios, &files.uefi, &files.arm64].into_iter().flatten();
    let mut elsewhere = None;
    for file in files.filter(|file| below(&file.path, &tftp.root).as_ref() == Ok(&asked)) {
        match file.server {
            Some(server) if IpAddr::V4(server) != here => elsewhere = Some(server),
            Some(_) | None if !boot.has_script() => return Err(Refusal::NotToBoot),
            Some(_) | None => return Ok(asked),
        }
    }
    if let Some(server) = elsewhere {
        return Err(Refusal::Elsewhere(server));
    }
    let is_absolute = request.file.starts_with(['/', '\\']);
    Err(if is_absolute { Refusal::Outside } else { Refusal::NotNamed })
}

/// A name without the folder before it and without empty parts.
fn below(name: &str, root: &Path) -> Result<String, Refusal> {
    let name = name.replace('\\', "/");
    let name = Path::new(&name).strip_prefix(root).ok().and_then(Path::to_str).unwrap_or(&name);
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(Refusal::Upwards);
    }
    Ok(parts.join("/"))
}
