//! The overlays of `config/`: they build and hold together, and nobody gets more rights than needed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod overlay;
mod parts;
mod rights;
