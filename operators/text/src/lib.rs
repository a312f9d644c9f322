//! Texts of strangers, within limits: [`yaml`] in every form that YAML 1.2 allows, with the line of a
//! value ([`located`]), and [`json`], which counts what is in a text before anything is built from it.

pub mod json;
pub mod located;
pub mod yaml;
