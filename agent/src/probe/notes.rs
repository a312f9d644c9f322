//! What a collector could not find out.

use metal_api::inventory::Failure;
use metal_base::Chain;
use std::error::Error;

/// At most this many notes; further ones add nothing.
const LIMIT: usize = 16;

/// The failures of one collector.
#[derive(Debug, Default)]
pub(crate) struct Notes(Vec<String>);

impl Notes {
    /// One failure.
    pub(crate) fn of(text: &str) -> Self {
        Self(vec![text.to_owned()])
    }

    /// Records an error, and continues without the value.
    pub(crate) fn ok<T, E: Error>(&mut self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.note(Chain(&error).to_string())).ok()
    }

    /// Records a failure.
    pub(crate) fn note(&mut self, text: String) {
        if self.0.len() < LIMIT && !self.0.contains(&text) {
            self.0.push(text);
        }
    }

    /// The failures under the collector's name.
    pub(crate) fn into_failures(self, collector: &str) -> Vec<Failure> {
        let failure = |message: String| Failure {
            collector: collector.to_owned(),
            message,
            ..Failure::default()
        };
        self.0.into_iter().map(failure).collect()
    }
}
