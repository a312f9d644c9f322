//! Why the boot server refuses a request.

use std::net::IpAddr;

/// Why a request is refused. Each refusal has one status code, the same as ironcore's, and a text
/// that reveals nothing to strangers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not all objects have been listed yet, so a miss means nothing.
    #[error("starting")]
    Starting,
    /// The address at which machines reach this process is not configured.
    #[error("iPXE is disabled")]
    Disabled,
    /// Nothing is configured for this machine.
    #[error("Resource Not Found")]
    Unknown,
    /// There is a boot configuration, but its server boots another one or none.
    #[error("Resource Not Found")]
    NotCurrent,
    /// Several boot configurations or servers have this identity: a wrong guess could wipe a disk.
    #[error("Internal Server Error")]
    Ambiguous {
        /// Their names, for the log.
        names: Vec<String>,
    },
    /// The boot configuration is not, or no longer, ready.
    #[error("not ready")]
    NotReady,
    /// The same, and the machine was powered on to boot it: its boot window is open, so it should wait.
    #[error("not ready")]
    NotYet {
        /// Name of its server, for the log.
        server: String,
    },
    /// There is no ignition, or none of the content that was promised.
    #[error("Resource Not Found")]
    NoContent,
    /// The content exists but cannot be used, or contains something that must not be put into a
    /// script.
    #[error("Internal Server Error")]
    Unusable {
        /// Why, for the log.
        why: String,
    },
    /// The API server did not return the content.
    #[error("not ready")]
    Unavailable,
    /// The token is missing, wrong, or for something else.
    #[error("Forbidden")]
    Forbidden,
    /// The machine is not being booted by us: it was not powered on, has already reported, or took
    /// too long.
    #[error(
        "the boot window of this machine is closed; it opens when metal-operator powers on the \
         machine to boot"
    )]
    Closed {
        /// Name of its server, for the log.
        server: String,
    },
    /// The request does not come from that machine. The answer is the same as outside of the boot
    /// window, so that it does not reveal whether that is open. iPXE, which may be that machine at an
    /// address that nobody knows of, does not give up before the window closes.
    #[error(
        "the boot window of this machine is closed; it opens when metal-operator powers on the \
         machine to boot"
    )]
    Elsewhere {
        /// Name of its server, for the log.
        server: String,
        /// Source address of the request, for the log.
        from: Option<IpAddr>,
        /// The addresses of the machine, for the log.
        leased: Vec<IpAddr>,
        /// Whether the boot window is open, and it may be that machine.
        is_due: bool,
    },
    /// A proxy has passed on neither an IP address nor a MAC address.
    #[error("Bad Request: X-Forwarded-For must contain IP or MAC addresses")]
    Misnamed,
    /// More requests than one boot makes.
    #[error("too many requests for one boot")]
    TooMany,
}

impl Refusal {
    /// Status code of the answer.
    pub fn status(&self) -> u16 {
        match self {
            Self::Starting
            | Self::Disabled
            | Self::NotReady
            | Self::NotYet { .. }
            | Self::Unavailable => 503,
            Self::Unknown | Self::NotCurrent | Self::NoContent => 404,
            Self::Ambiguous { .. } | Self::Unusable { .. } => 500,
            Self::Forbidden | Self::Closed { .. } | Self::Elsewhere { .. } => 403,
            Self::Misnamed => 400,
            Self::TooMany => 429,
        }
    }

    /// Whether the same request may succeed soon, so that the machine should repeat it.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Starting
            | Self::NotReady
            | Self::NotYet { .. }
            | Self::Unavailable
            | Self::TooMany => true,
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

    /// The label in metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Disabled => "Disabled",
            Self::Unknown => "Unknown",
            Self::NotCurrent => "NotCurrent",
            Self::Ambiguous { .. } => "Ambiguous",
            Self::NotReady | Self::NotYet { .. } => "NotReady",
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
