//! What went wrong in the pass before this one.

/// A failed pass, as the next one sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// CamelCase, from a small fixed set.
    pub reason: &'static str,
    /// What went wrong.
    pub text: String,
    /// Whether it has occurred before in a row: it may persist, so a person has to be told.
    pub repeated: bool,
}
