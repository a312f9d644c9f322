use metal_runtime::{
    controller::TooManyTurns,
    report::{Class, ReconcileError, class_of},
};

/// A pass failed.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub enum Error {
    /// The status was not recorded.
    #[error("could not write the status")]
    Record(#[source] Box<kube::Error>),
    /// The annotation with which a person vouched for a certificate is still there.
    #[error("could not remove the annotation")]
    Settle(#[source] Box<kube::Error>),
    /// A certificate request was neither approved nor denied.
    #[error("could not update the CertificateSigningRequest")]
    Certificate(#[source] Box<kube::Error>),
    /// A Node was not changed.
    #[error("could not update the Node")]
    Node(#[source] Box<kube::Error>),
    /// The pods of a Node are not known.
    #[error("could not list pods")]
    Pods(#[source] Box<kube::Error>),
    /// The Secret with the password of a BMC was not read.
    #[error("could not read the Secret")]
    Secret(#[source] Box<kube::Error>),
    /// What the Machine says of its BMC cannot be used any more.
    #[error("{0}")]
    Unusable(String),
    /// Others talk to the BMC all the time.
    #[error("its BMC is busy with another request")]
    Busy,
    /// The BMC did not do it.
    #[error(transparent)]
    Bmc(Box<metal_bmc::Error>),
    /// Decisions did not come to an end.
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
