use metal_runtime::{
    controller::TooManyTurns,
    report::{Class, ReconcileError, class_of},
};

/// A pass failed.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum Error {
    /// An object was not written.
    #[error("could not write {what}")]
    Write {
        /// Its kind.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// The decisions did not come to an end.
    #[error(transparent)]
    TooManyTurns(#[from] TooManyTurns),
    /// A Secret was not read.
    #[error("could not read the Secret of the boot")]
    Secret(#[source] Box<kube::Error>),
}

impl Error {
    /// For `map_err`.
    pub(crate) fn write(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |error| Self::Write { what, source: Box::new(error) }
    }
}

impl ReconcileError for Error {
    fn class(&self) -> Class {
        match self {
            Self::Write { source, .. } | Self::Secret(source) => class_of(source),
            Self::TooManyTurns(_) => Class::Transient,
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }
}
