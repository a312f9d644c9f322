use metal_core::capability::{BOOT_KEY_SECRET, TokenError};
use metal_ignition::discovery::InvalidTemplate;
use metal_runtime::{
    controller::TooManyTurns,
    report::{Class, ReconcileError, class_of},
};

/// The reason of [`Error::Bmc`].
pub(crate) const STEP_FAILED: &str = "Bmc";

/// A pass failed.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum Error {
    /// The status was not recorded.
    #[error("could not write the status")]
    Record(#[source] kube::Error),
    /// An object was not written.
    #[error("could not write {what}")]
    Write {
        /// Which one.
        what: &'static str,
        /// Why.
        source: kube::Error,
    },
    /// An object was not read.
    #[error("could not read {what}")]
    Read {
        /// Which one.
        what: &'static str,
        /// Why.
        source: kube::Error,
    },
    /// The BMC did not do what it was asked.
    #[error("BMC step failed")]
    Bmc(#[from] metal_bmc::Error),
    /// The BMC was not asked, because what was decided may be wrong by now.
    #[error(transparent)]
    Withdrawn(metal_bmc::Error),
    /// The discovery's ignition cannot be rendered.
    #[error("--discovery-ignition-path")]
    Template(#[from] InvalidTemplate),
    /// The discovery's keys cannot be made.
    #[error("could not create the SSH key and password for discovery")]
    Keys(#[from] crate::discovery_login::Error),
    /// The discovery's token cannot be made.
    #[error("could not issue a registration token")]
    Token(#[from] TokenError),
    /// The key is not known yet.
    #[error("the key for registration tokens is not loaded yet")]
    RegistrationKey,
    /// URLs of media cannot be made.
    #[error(
        "Secret {0}/{secret}, with the key for virtual media, not found: run boot-operator in this \
         namespace",
        secret = BOOT_KEY_SECRET
    )]
    MediaKey(String),
    /// Somebody else's object has a name that ours should have.
    #[error(
        "{what} {namespace}/{name} exists, but was not created by metal-operator: delete it, or \
         rename the server"
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
    #[error("{0} was deleted in the meantime")]
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
            | Self::Withdrawn(_)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_has_a_reason_of_its_own() {
        let (failed, withdrawn) = (metal_bmc::Error::Unauthorized, metal_bmc::Error::Withdrawn);
        assert_eq!(Error::Bmc(failed).reason(), STEP_FAILED);
        let withdrawn = withdrawn(metal_bmc::Withdrawn("late"));
        assert_ne!(Error::Withdrawn(withdrawn).reason(), STEP_FAILED);
    }
}
