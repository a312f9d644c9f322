//! Why a machine gets nothing.

use std::net::IpAddr;

/// Why a machine gets nothing. Each has one status code, as the peer has it, and a text that tells
/// a stranger nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not all objects have been listed yet: a miss means nothing.
    #[error("starting")]
    Starting,
    /// This process was not told where machines reach it.
    #[error("iPXE is disabled")]
    Disabled,
    /// Nothing is configured for this machine.
    #[error("Resource Not Found")]
    Unknown,
    /// There is a boot configuration, but its server boots another one, or none.
    #[error("Resource Not Found")]
    NotCurrent,
    /// Several boot configurations or servers have this identity: guessing could wipe the wrong
    /// disk.
    #[error("Internal Server Error")]
    Ambiguous {
        /// Their names, for the log.
        names: Vec<String>,
    },
    /// The boot configuration is not in place yet, or not any more.
    #[error("not ready")]
    NotReady,
    /// There is no ignition, or none of the content that was promised.
    #[error("Resource Not Found")]
    NoContent,
    /// The content is there and unusable, or something in it must not be put into a script.
    #[error("Internal Server Error")]
    Unusable {
        /// Why, for the log.
        why: String,
    },
    /// The API server did not give the content.
    #[error("not ready")]
    Unavailable,
    /// A token that is missing, wrong, or for something else.
    #[error("Forbidden")]
    Forbidden,
    /// The machine is not being booted by us: it was not switched on, has reported, or took too long.
    #[error(
        "the boot window of this machine is closed: it opens when the machine is switched on to boot"
    )]
    Closed {
        /// Name of its server, for the log.
        server: String,
    },
    /// It is not the machine that asks. It is told what it is told outside of the window, so that
    /// nobody learns when that is open.
    #[error(
        "the boot window of this machine is closed: it opens when the machine is switched on to boot"
    )]
    Elsewhere {
        /// Name of its server, for the log.
        server: String,
        /// From where it is asked, for the log.
        from: Option<IpAddr>,
        /// Where the machine is, for the log.
        leased: Vec<IpAddr>,
    },
    /// A proxy names nobody: neither an IP address nor a MAC address.
    #[error("Bad Request: X-Forwarded-For must have IP or MAC addresses")]
    Misnamed,
    /// More requests than one boot makes.
    #[error("too many requests for one boot")]
    TooMany,
}

impl Refusal {
    /// Status code of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::Starting | Self::Disabled | Self::NotReady | Self::Unavailable => 503,
            Self::Unknown | Self::NotCurrent | Self::NoContent => 404,
            Self::Ambiguous { .. } | Self::Unusable { .. } => 500,
            Self::Forbidden | Self::Closed { .. } | Self::Elsewhere { .. } => 403,
            Self::Misnamed => 400,
            Self::TooMany => 429,
        }
    }

    /// Whether the same request may be answered soon, so that the machine should ask again.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Starting | Self::NotReady | Self::Unavailable | Self::TooMany => true,
            Self::Disabled
            | Self::Unknown
            | Self::NotCurrent
            | Self::Ambiguous { .. }
            | Self::NoContent
            | Self::Unusable { .. }
            | Self::Forbidden
            | Self::Misnamed
            | Self::Closed { .. }
            | Self::Elsewhere { .. } => false,
        }
    }

    /// Word for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Disabled => "Disabled",
            Self::Unknown => "Unknown",
            Self::NotCurrent => "NotCurrent",
            Self::Ambiguous { .. } => "Ambiguous",
            Self::NotReady => "NotReady",
            Self::NoContent => "NoContent",
            Self::Unusable { .. } => "Unusable",
            Self::Unavailable => "Unavailable",
            Self::Forbidden => "Forbidden",
            Self::Closed { .. } => "OutsideBootWindow",
            Self::Elsewhere { .. } => "OtherAddress",
            Self::Misnamed => "Misnamed",
            Self::TooMany => "TooMany",
        }
    }
}
