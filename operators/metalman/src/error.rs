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
    /// Decisions did not come to an end.
    #[error(transparent)]
    TooManyTurns(#[from] TooManyTurns),
}

impl ReconcileError for Error {
    fn class(&self) -> Class {
        match self {
            Self::Record(source) => class_of(source),
            Self::TooManyTurns(_) => Class::Transient,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }
}
