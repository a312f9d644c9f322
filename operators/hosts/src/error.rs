use crate::clock::ClockUnknown;
use metal_runtime::{
    controller::TooManyTurns,
    report::{Class, ReconcileError, class_of},
};

/// A pass failed.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum Error {
    /// The status was not recorded.
    #[error("status not recorded")]
    Record(#[source] Box<kube::Error>),
    /// The Host was not created.
    #[error("Host not created")]
    Create(#[source] Box<kube::Error>),
    /// The token was not removed.
    #[error("BootToken not removed")]
    Remove(#[source] Box<kube::Error>),
    /// The token was not removed, because nobody knows whether its time is over.
    #[error("BootToken not removed")]
    ClockSkew(#[from] ClockUnknown),
    /// Decisions did not come to an end.
    #[error(transparent)]
    TooManyTurns(#[from] TooManyTurns),
}

impl ReconcileError for Error {
    fn class(&self) -> Class {
        match self {
            Self::Record(source) | Self::Create(source) | Self::Remove(source) => class_of(source),
            Self::ClockSkew(_) | Self::TooManyTurns(_) => Class::Transient,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }
}
