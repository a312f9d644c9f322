//! Converts a FeDHCP configuration to ours, with a note for everything that cannot be converted.
//!
//! FeDHCP has a chain of plugins for each IP version; most plugins have a file of their own. What a
//! plugin gives to all clients becomes a property of every subnet. Such a configuration does not
//! contain the prefixes of subnets, because these follow from the address of a relay or from an
//! object in Kubernetes; so the caller has to supply them ([`SubnetArgument`]).
//!
//! ```text
//! main file ─► Main::parse ─► files() ─(caller reads them)─► convert ─► YAML that we accept, notes
//! ```

#![warn(clippy::wildcard_enum_match_arm)]

mod draft;
mod given;
mod main_file;
mod note;
mod own;
mod quote;
mod step;
mod upstream;
mod yaml;

#[cfg(test)]
mod tests;

pub use given::{GivenError, SubnetArgument, TargetPaths};
pub use main_file::{File, Main};
pub use note::{Error, Note};

use draft::Draft;
use metal_dhcp::config::Config;

/// Our configuration, and what is missing from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// The text of the configuration; [`Config::parse`] takes it.
    pub yaml: String,
    /// What could not be converted, in the order of the files.
    pub notes: Vec<Note>,
}

/// Converts. `files` are those that [`Main::files`] names, under these names.
///
/// # Errors
///
/// If a file is missing or does not have the format that FeDHCP reads, or a plugin is unknown.
pub fn convert(main: &Main, files: &[File], places: &TargetPaths) -> Result<Conversion, Error> {
    let mut draft = Draft::new(places);
    for (family, plugins) in main.chains() {
        draft.listen(main, family);
        for plugin in plugins {
            let step = step::Step { main, family, plugin };
            if !upstream::take(&mut draft, &step, files)? {
                own::take(&mut draft, &step, files)?;
            }
        }
    }
    draft.settle(main)?;
    let yaml = yaml::write(&draft);
    match Config::parse(&yaml) {
        Ok(_) => Ok(Conversion { yaml, notes: draft.notes }),
        Err(error) => Err(Error::Refused { file: main.name().to_owned(), error }),
    }
}
