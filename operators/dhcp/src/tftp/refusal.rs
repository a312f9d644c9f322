//! Why a client gets no file.

use super::wire::Code;
use std::net::IpAddr;

/// Why a client gets no file. The text is sent to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, thiserror::Error)]
pub enum Refusal {
    /// It wants to write.
    #[error("only read requests are supported")]
    Write,
    /// It asks for a mode other than octet.
    #[error("only octet mode is supported")]
    NotOctet,
    /// The name leads out of the folder upwards.
    #[error("paths with `..` are not allowed")]
    Upwards,
    /// The name is a local path that is not a boot file.
    #[error("outside of the served folder")]
    Outside,
    /// The configuration has no such boot file.
    #[error("not a boot file")]
    NotNamed,
    /// The configuration has it on another server.
    #[error("a boot file of {0}")]
    Elsewhere(IpAddr),
    /// The client is a machine that boots something else, or nothing.
    #[error("not a boot file of this machine at this time")]
    NotToBoot,
    /// The client has the address of no machine, or not of one alone.
    #[error("address is not assigned to exactly one machine")]
    NoMachine,
    /// What the machine boots is not there yet.
    #[error("not available yet; try again")]
    NotYet,
    /// The configuration names it, but it is not in the folder.
    #[error("file not found")]
    Missing,
    /// A symbolic link leads out of the folder.
    #[error("link points outside of the served folder")]
    LeadsOutside,
    /// It is a folder, a device, or anything else that is not a file.
    #[error("not a file")]
    NotFile,
    /// It cannot be read, or we lack the permission.
    #[error("could not read the file")]
    Unreadable,
    /// This client has too many transfers already.
    #[error("too many transfers for this client")]
    SourceIsBusy,
    /// There are too many transfers already.
    #[error("too many transfers")]
    Busy,
}

impl Refusal {
    /// The error code that is sent with it.
    pub const fn code(self) -> Code {
        match self {
            Self::Write
            | Self::Upwards
            | Self::Outside
            | Self::LeadsOutside
            | Self::NotFile
            | Self::NotToBoot
            | Self::NoMachine
            | Self::Unreadable => Code::AccessViolation,
            Self::NotOctet => Code::IllegalOperation,
            Self::NotNamed | Self::Elsewhere(_) | Self::Missing => Code::FileNotFound,
            Self::NotYet | Self::SourceIsBusy | Self::Busy => Code::Undefined,
        }
    }
}
