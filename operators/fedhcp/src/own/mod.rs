//! FeDHCP's own plugins. Most have a file with their settings.

mod addresses;
mod boot;
mod clients;

use super::{
    draft::Draft,
    main_file::{File, yaml},
    note::Error,
    step::Step,
};
use serde::de::DeserializeOwned;

/// Converts a plugin.
///
/// # Errors
///
/// If it is unknown, or has settings that it would not accept.
pub(super) fn take(draft: &mut Draft, step: &Step<'_>, files: &[File]) -> Result<(), Error> {
    match step.plugin.name.as_str() {
        "bluefield" => addresses::bluefield(draft, step, files),
        "ipam" => addresses::ipam(draft, step, files),
        "leases" => addresses::leases(draft, step, files),
        "onmetal" => addresses::onmetal(draft, step, files),
        "oob" => addresses::oob(draft, step, files),
        "stateless" => {
            addresses::stateless(draft, step);
            Ok(())
        }
        "httpboot" => boot::httpboot(draft, step, files),
        "pxeboot" => boot::pxeboot(draft, step, files),
        "onie" => boot::onie(draft, step, files),
        "ztp" => boot::ztp(draft, step, files),
        "macfilter" => clients::macfilter(draft, step, files),
        "metal" => clients::metal(draft, step, files),
        "ntp" => clients::ntp(draft, step, files),
        name => Err(step.fail(format!(
            "`{name}` is not a known FeDHCP plugin; correct its name, or remove it and look for \
             an equivalent in docs/netboot-fields.md"
        ))),
    }
}

/// The content of the file that a plugin names.
fn read<'a, T: DeserializeOwned>(
    step: &Step<'_>,
    files: &'a [File],
) -> Result<(&'a str, T), Error> {
    let file = step.file(files)?;
    let value = yaml(&file.name, &file.text, &format!("the plugin {}", step.plugin.name))?;
    Ok((&file.name, value))
}

/// A value in the file of a plugin is invalid.
fn fail(file: &str, line: u64, field: &str, problem: String) -> Error {
    Error::Field { file: file.to_owned(), line, field: field.to_owned(), problem }
}
