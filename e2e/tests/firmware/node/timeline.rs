//! How long each step took.

use std::time::Instant;

/// Steps, with the time at which each had come to its end.
#[derive(Debug)]
pub(crate) struct Timeline {
    begun: Instant,
    marks: Vec<(&'static str, f64)>,
}

impl Timeline {
    /// Begins now.
    pub(crate) fn start() -> Self {
        Self { begun: Instant::now(), marks: Vec::new() }
    }

    /// The step has come to its end.
    pub(crate) fn mark(&mut self, step: &'static str) {
        self.marks.push((step, self.begun.elapsed().as_secs_f64()));
    }

    /// Prints one line with the time since the beginning for each step.
    pub(crate) fn print(&self, what: &str) {
        let marks: Vec<_> =
            self.marks.iter().map(|(step, at)| format!("{step} {at:.1} s")).collect();
        println!("firmware: {what}: {}", marks.join(", "));
    }
}
