//! The section `tftp`.

use super::{
    field::{ConfigError, distinct, fail},
    raw,
};
use crate::port::TFTP;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

/// The built-in TFTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tftp {
    /// The folder with the boot files.
    pub root: PathBuf,
    /// The addresses to listen on.
    pub listen: Vec<SocketAddr>,
}

pub(super) fn parse(raw: &raw::Tftp) -> Result<Tftp, ConfigError> {
    let root = Path::new(&raw.root.value);
    if !root.is_absolute() || raw.root.value.contains('\0') {
        let problem = format!(
            "`{}` is not an absolute path; use the folder of the boot files, for example \
             `/usr/lib/ipxe`",
            root.display()
        );
        return Err(fail(&raw.root, "tftp.root", problem));
    }
    let mut listen = distinct(&raw.listen, "tftp.listen", socket)?;
    if listen.is_empty() {
        listen.push(SocketAddr::from((Ipv4Addr::UNSPECIFIED, TFTP)));
    }
    Ok(Tftp { root: root.to_owned(), listen })
}

fn socket(text: &raw::Text) -> Result<SocketAddr, ConfigError> {
    let with_port = || text.value.parse().ok();
    let address = text.value.parse().map(|ip: IpAddr| SocketAddr::new(ip, TFTP)).ok();
    let problem = || format!("`{}` is not an IP address; use, for example, `10.0.0.2`", text.value);
    address.or_else(with_port).ok_or_else(|| fail(text, "tftp.listen", problem()))
}
