//! Our netboot image: what metalman makes of its templates, and what its script refuses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod machines;
mod script;
mod templates;
