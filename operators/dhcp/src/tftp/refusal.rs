//! Why a client gets no file.

use super::wire::Code;
use std::net::Ipv4Addr;

/// Why a client gets no file. The text is sent to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr, thiserror::Error)]
pub enum Refusal {
    /// It wants to write.
    #[error("files can only be read")]
    Write,
    /// It asks for a mode other than octet.
    #[error("only mode octet is served")]
    NotOctet,
    /// The name leads out of the folder upwards.
    #[error("`..` is not served")]
    Upwards,
    /// The name is a local path that is not a boot file.
    #[error("outside of what is served")]
    Outside,
    /// The configuration has no such boot file.
    #[error("not a boot file")]
    NotNamed,
    /// The configuration has it on another server.
    #[error("a boot file of {0}")]
    Elsewhere(Ipv4Addr),
    /// The client is a machine that boots something else, or nothing.
    #[error("not what this machine boots now")]
    NotToBoot,
    /// The client has the address of no machine, or not of one alone.
    #[error("no machine has this address alone")]
    NoMachine,
    /// What the machine boots is not there yet.
    #[error("not there yet; ask again")]
    NotYet,
    /// The configuration names it, but it is not in the folder.
    #[error("file not found")]
    Missing,
    /// A symbolic link leads out of the folder.
    #[error("link leads out of the folder")]
    LeadsOutside,
    /// It is a folder, a device, or anything else that is not a file.
    #[error("not a file")]
    NotFile,
    /// It cannot be read, or we lack the permission.
    #[error("file not readable")]
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
