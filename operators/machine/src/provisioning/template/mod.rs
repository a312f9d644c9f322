//! Templates of an image: Go's text/template, with the variables of Azure/unbounded.

pub use metal_configuration::template::{LARGEST, TemplateError};

use super::value::{self, Counters, object, text};
use crate::installed_disk;
use gtmpl_ng::Value;
use metal_api::Machine;
use metal_configuration::template;

/// File name suffix of a template; the rendered file has the name without it.
pub const SUFFIX: &str = ".tmpl";

/// The variables of a template: `.Machine`, `.ServeURL`, `.ApiserverURL`, `.AgentConfigJSON`, and ours:
/// `.BaseURL` and `.TargetDiskJSON`.
#[derive(Clone, Copy, Debug)]
pub struct Variables<'a> {
    /// The Machine.
    pub machine: &'a Machine,
    /// The repave counter of the installation that is due, if any.
    pub installs: Option<i64>,
    /// metalman's URL for this Machine.
    pub serve_url: &'a str,
    /// URL of the API server.
    pub apiserver_url: &'a str,
    /// The agent's configuration.
    pub agent_config_json: &'a str,
}

/// Renders the template `name` with these variables. The time and the output are limited.
///
/// # Errors
///
/// If it is not a template, or refers to something that does not exist.
pub fn render(
    name: &str,
    template: &[u8],
    variables: &Variables<'_>,
) -> Result<String, TemplateError> {
    template::render(name, template, context(variables))
}

fn context(variables: &Variables<'_>) -> Value {
    let counters = counters(variables.machine, variables.installs);
    object([
        ("Machine", value::machine(variables.machine, counters)),
        ("ServeURL", text(variables.serve_url)),
        ("BaseURL", text(base_url(variables.serve_url, variables.installs))),
        ("ApiserverURL", text(variables.apiserver_url)),
        ("AgentConfigJSON", text(variables.agent_config_json)),
        ("TargetDiskJSON", text(&target_disk_json(variables.machine))),
    ])
}

/// `spec.pxe.targetDisk` as it is in the object, or the disk that was installed to last, or `null`: templates cannot
/// tell false from nothing.
fn target_disk_json(machine: &Machine) -> String {
    serde_json::to_string(&installed_disk::target(machine)).unwrap_or_default()
}

/// The templates of an image install if two counters differ: requested and finished installations.
/// So they are made to differ exactly while an installation is due. Otherwise both are what was
/// finished: a machine whose next installation is not due yet is still the same one.
fn counters(machine: &Machine, installs: Option<i64>) -> Counters {
    let done = machine.status.as_ref().and_then(|status| status.operations.as_ref());
    let done = done.and_then(|it| it.repave_counter);
    if let Some(wanted) = installs {
        let done = done.unwrap_or_default().min(wanted.saturating_sub(1));
        return Counters { wanted, done };
    }
    let wanted = machine.spec.operations.as_ref().and_then(|it| it.repave_counter);
    let both = done.or(wanted).unwrap_or_default();
    Counters { wanted: both, done: both }
}

/// The URL without the part that belongs to the installation that is due.
fn base_url(url: &str, installs: Option<i64>) -> &str {
    let without = || Some(url.rsplit_once("/c/")?.0);
    installs.and_then(|_| without()).unwrap_or(url)
}

#[cfg(test)]
mod tests;
