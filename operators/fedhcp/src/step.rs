//! A plugin during conversion.

use super::{
    main_file::{Family, File, Main, Plugin},
    note::{Error, Note},
};

/// A plugin at its place in a chain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step<'a> {
    pub(super) main: &'a Main,
    pub(super) family: Family,
    pub(super) plugin: &'a Plugin,
}

impl Step<'_> {
    /// A note about the plugin as a whole.
    pub(super) fn note(&self, why: impl Into<String>, fix: impl Into<String>) -> Note {
        self.note_in(self.main.name(), self.plugin.line, why, fix)
    }

    /// A note about a line of a file of the plugin.
    pub(super) fn note_in(
        &self,
        file: &str,
        line: u64,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) -> Note {
        let plugin = self.plugin.name.clone();
        Note { file: file.to_owned(), line, plugin, why: why.into(), fix: fix.into() }
    }

    /// The arguments of the plugin are invalid.
    pub(super) fn fail(&self, problem: impl Into<String>) -> Error {
        let field = format!("{}.{}", self.family.section(), self.plugin.name);
        let file = self.main.name().to_owned();
        Error::Field { file, line: self.plugin.line, field, problem: problem.into() }
    }

    /// The file that a plugin names.
    pub(super) fn file<'a>(&self, files: &'a [File]) -> Result<&'a File, Error> {
        let Some(name) = self.plugin.args.first() else {
            return Err(self.fail("has no file; add the path of its file"));
        };
        let found = files.iter().find(|file| file.name == *name);
        found.ok_or_else(|| {
            let problem = format!("its file `{name}` does not exist");
            self.fail(format!("{problem}; put it beside the main file, or correct the path"))
        })
    }
}
