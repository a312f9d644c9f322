//! The location of a TPM.

use std::{fmt, path::PathBuf, str::FromStr};

/// The location of a TPM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TpmLocation {
    /// A character device of the kernel.
    Device(PathBuf),
    /// A Unix socket of swtpm's command channel.
    Unix(PathBuf),
    /// The same, by TCP: host and port.
    Tcp(String),
}

const SWTPM: &str = "swtpm:";
const SECURITYFS: &str = "/sys/kernel/security";

impl TpmLocation {
    /// Path of the firmware's event log for this TPM on Linux.
    pub fn event_log(&self) -> Option<PathBuf> {
        let Self::Device(path) = self else { return None };
        let name = path.file_name()?.to_str()?;
        let number = name.strip_prefix("tpmrm").or_else(|| name.strip_prefix("tpm"))?;
        let is_number = !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit());
        is_number.then(|| format!("{SECURITYFS}/tpm{number}/binary_bios_measurements").into())
    }
}

impl FromStr for TpmLocation {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix(SWTPM) {
            None if text.starts_with('/') => Ok(Self::Device(text.into())),
            Some(path) if path.starts_with('/') => Ok(Self::Unix(path.into())),
            Some(host) if host.contains(':') => Ok(Self::Tcp(host.to_owned())),
            _ => Err("has to be a path such as /dev/tpmrm0, swtpm:/PATH or swtpm:HOST:PORT"),
        }
    }
}

impl fmt::Display for TpmLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(path) => write!(f, "{}", path.display()),
            Self::Unix(path) => write!(f, "{SWTPM}{}", path.display()),
            Self::Tcp(host) => write!(f, "{SWTPM}{host}"),
        }
    }
}
