//! What is wrong with a configuration, and where: never what is written there.

/// A step from the document to a value. Names are those of the specification and of nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Field(&'static str),
    Item(usize),
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) at: Vec<Step>,
    pub(crate) must: Must,
}

/// What a value would have to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Must {
    /// Something else.
    Be(&'static str),
    /// There once: another has the same name.
    BeOnce(String),
}

impl Fault {
    /// A fault of the value at `at`, or of a field in it.
    pub(crate) fn of(at: &[Step], fields: &[&'static str], must: Must) -> Self {
        let fields = fields.iter().map(|name| Step::Field(name));
        Self { at: at.iter().copied().chain(fields).collect(), must }
    }
}
