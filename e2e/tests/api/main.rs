//! Our custom resources on a real API server: they install, their samples are valid, and their
//! rules refuse what they are for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod documents;
mod rules;
