use metal_core::{capability::Unissuable, discovery::Unusable};
use metal_runtime::{
    controller::TooManyTurns,
    report::{Class, ReconcileError, class_of},
};

/// A pass failed.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum Error {
    /// The status was not recorded.
    #[error("status not recorded")]
    Record(#[source] kube::Error),
    /// An object was not written.
    #[error("{what} not written")]
    Write {
        /// Which one.
        what: &'static str,
        /// Why.
        source: kube::Error,
    },
    /// An object was not read.
    #[error("{what} not read")]
    Read {
        /// Which one.
        what: &'static str,
        /// Why.
        source: kube::Error,
    },
    /// The BMC did not do what it was asked.
    #[error("BMC step failed")]
    Bmc(#[from] metal_bmc::Error),
    /// The discovery's ignition cannot be rendered.
    #[error("--discovery-ignition-path")]
    Template(#[from] Unusable),
    /// The discovery's keys cannot be made.
    #[error("keys of the discovery not made")]
    Keys(#[from] crate::keys::Error),
    /// The discovery's token cannot be made.
    #[error("registration token not issued")]
    Token(#[from] Unissuable),
    /// The key is not known yet.
    #[error("the key of registration tokens is not read yet")]
    RegistrationKey,
    /// URLs of media cannot be made.
    #[error(
        "there is no key of media in the Secret {0}/boot-operator-ignition-key: \
         run the boot-operator in this namespace"
    )]
    MediaKey(String),
    /// Somebody else's object has a name that ours should have.
    #[error(
        "{what} {namespace}/{name} was made by somebody else: delete it, or give the server another \
         name"
    )]
    NameTaken {
        /// Its kind.
        what: &'static str,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// An object was deleted while it was being written.
    #[error("{0} was deleted meanwhile")]
    Vanished(&'static str),
    /// The decisions did not come to an end.
    #[error(transparent)]
    TooManyTurns(#[from] TooManyTurns),
}

impl Error {
    /// An object that was not written.
    pub fn write(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Write { what, source }
    }

    /// An object that was not read.
    pub fn read(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Read { what, source }
    }
}

impl ReconcileError for Error {
    fn class(&self) -> Class {
        match self {
            Self::Record(source) | Self::Write { source, .. } | Self::Read { source, .. } => {
                class_of(source)
            }
            Self::Template(_) | Self::Token(_) | Self::Bmc(metal_bmc::Error::Unauthorized) => {
                Class::Rejected
            }
            Self::Bmc(_)
            | Self::Keys(_)
            | Self::RegistrationKey
            | Self::MediaKey(_)
            | Self::NameTaken { .. }
            | Self::Vanished(_)
            | Self::TooManyTurns(_) => Class::Transient,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }
}
