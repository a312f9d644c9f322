//! A real API server, and no operator: our custom resources install, their samples are valid, and
//! their rules refuse what they are meant to refuse; the code that all operators share works with
//! it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod documents;
mod lifecycle;
mod rules;
mod runtime;
