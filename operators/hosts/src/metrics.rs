//! What is counted.

use metal_runtime::metrics::Registry;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

/// Labels of an answer; bounded by the code.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Answer {
    /// What was asked for.
    pub(crate) what: &'static str,
    /// `Ok`, or why it was refused.
    pub(crate) result: &'static str,
}

/// Answers by what was asked for and result.
pub(crate) type Answers = Family<Answer, Counter>;

/// The registry of this binary.
pub(crate) fn registry(answers: &Answers) -> Registry {
    let mut registry = Registry::of("hosts");
    let help = "Requests of machines and hosts, by what they ask for and result";
    registry.register("answers", help, answers.clone());
    registry
}
