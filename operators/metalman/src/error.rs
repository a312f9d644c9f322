use metal_runtime::{
    controller::TooManyTurns,
    report::{Class, ReconcileError, class_of},
};

/// Why a pass failed.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub(crate) enum Error {
    /// The status could not be written.
    #[error("could not write the status")]
    Record(#[source] Box<kube::Error>),
    /// An annotation could not be removed.
    #[error("could not remove the annotation")]
    Settle(#[source] Box<kube::Error>),
    /// A CertificateSigningRequest could not be updated.
    #[error("could not update the CertificateSigningRequest")]
    Certificate(#[source] Box<kube::Error>),
    /// A Node could not be updated.
    #[error("could not update the Node")]
    Node(#[source] Box<kube::Error>),
    /// The pods of a Node could not be listed.
    #[error("could not list pods")]
    Pods(#[source] Box<kube::Error>),
    /// The Secret with the password of a BMC could not be read.
    #[error("could not read the Secret")]
    Secret(#[source] Box<kube::Error>),
    /// The BMC settings of the Machine have become invalid.
    #[error("{0}")]
    Unusable(String),
    /// The BMC is busy with other requests.
    #[error("its BMC is busy with another request")]
    Busy,
    /// The BMC did not execute the action.
    #[error(transparent)]
    Bmc(Box<metal_bmc::Error>),
    /// The pass did not settle.
    #[error(transparent)]
    TooManyTurns(#[from] TooManyTurns),
}

impl Error {
    /// A write to a Node failed.
    pub(crate) fn node(source: kube::Error) -> Self {
        Self::Node(Box::new(source))
    }
}

impl ReconcileError for Error {
    fn class(&self) -> Class {
        match self {
            Self::Record(source)
            | Self::Settle(source)
            | Self::Certificate(source)
            | Self::Node(source)
            | Self::Pods(source)
            | Self::Secret(source) => class_of(source),
            Self::Unusable(_) | Self::Busy | Self::Bmc(_) | Self::TooManyTurns(_) => {
                Class::Transient
            }
        }
    }

    fn reason(&self) -> &'static str {
        self.into()
    }
}
