//! What was brought about, printed as it happens or, where it is one document, in the end.

use crate::output::{Format, objects};
use anyhow::Result;
use metal_api::Machine;
use serde_json::Value;

/// What is printed of Machines.
#[derive(Debug)]
pub(crate) struct Results {
    format: Option<Format>,
    kept: Vec<Value>,
}

impl Results {
    /// Nothing yet, to be printed in this format.
    pub(crate) fn new(format: Option<Format>) -> Self {
        Self { format, kept: vec![] }
    }

    /// This was done to a Machine.
    ///
    /// # Errors
    ///
    /// If standard output is closed.
    pub(crate) fn tell(&mut self, machine: &Machine, done: &str) -> Result<()> {
        let mut machine = machine.clone();
        machine.metadata.managed_fields = None;
        let object = serde_json::to_value(machine)?;
        match self.format {
            Some(Format::Json | Format::Yaml) => self.kept.push(object),
            Some(Format::Name | Format::Wide) | None => objects(&[object], self.format, done)?,
        }
        Ok(())
    }

    /// Prints what was kept for the end.
    ///
    /// # Errors
    ///
    /// If standard output is closed.
    pub(crate) fn finish(self) -> Result<()> {
        if self.kept.is_empty() { Ok(()) } else { objects(&self.kept, self.format, "") }
    }
}
