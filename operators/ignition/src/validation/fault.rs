//! Faults in a configuration, and their places, without the faulty values.

/// A step on the path from the document to a value. Only names from the specification appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Field(&'static str),
    Item(usize),
}

/// A fault and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: Vec<Step>,
    pub(crate) must: Requirement,
}

/// The rule that a value violates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// It must be something else.
    Be(&'static str),
    /// It must be unique: another one has the same name.
    BeOnce(String),
}

impl Fault {
    /// A fault of the value at `at`, or of a field in it.
    pub(crate) fn of(at: &[Step], fields: &[&'static str], must: Requirement) -> Self {
        let fields = fields.iter().map(|name| Step::Field(name));
        Self { at: at.iter().copied().chain(fields).collect(), must }
    }
}
