//! Writes every CustomResourceDefinition as YAML into the directory named on the command line.
fn main() {}
