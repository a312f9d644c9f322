//! Templates of an image: Go's text/template, with the peer's variables.
//!
//! gtmpl-ng renders them as Go does, at least for all of `vectors.json`, which Go itself has
//! written (`hack/templates`). Two differences are known: a backslash in a raw string starts an
//! escape, and `else with` of Go 1.23 is not supported.

use super::value::{self, Counters, object, text};
use crate::conditions::cut;
use gtmpl_ng::{Context, Func, FuncError, Limits, Template, Value};
use metal_api::Machine;
use std::{sync::LazyLock, time::Duration};

/// File name suffix of a template; the rendered file has the name without it.
pub const SUFFIX: &str = ".tmpl";
/// The largest template, in bytes.
pub const LARGEST: u64 = 256 << 10;

/// The largest output, in bytes.
const OUTPUT: usize = 1 << 20;
/// The most iterations of all loops together.
const TURNS: usize = 100_000;
/// The time limit.
const DEADLINE: Duration = Duration::from_secs(2);
/// The longest error, in bytes; errors may contain values.
const ERROR: usize = 512;

/// The variables of a template: `.Machine`, `.ServeURL`, `.ApiserverURL`, `.AgentConfigJSON`, and ours:
/// `.TargetDiskJSON`.
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

/// Why a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is not valid UTF-8.
    #[error("{0} is not UTF-8")]
    Text(String),
    /// It is not a template, or cannot be rendered; includes the line number.
    #[error("{0}")]
    Template(String),
}

/// Renders the template `name` with these variables. The time and the output are limited.
///
/// # Errors
///
/// If it is not a template, or refers to something that does not exist.
pub fn render(name: &str, template: &[u8], variables: &Variables<'_>) -> Result<String, Unusable> {
    let template = std::str::from_utf8(template).map_err(|_| Unusable::Text(name.to_owned()))?;
    let unusable = |error: &dyn std::error::Error| {
        let line = error.to_string().replace(char::is_control, " ");
        let line = if line.contains(name) { line } else { format!("{name}: {line}") };
        Unusable::Template(cut(&line, ERROR).into_owned())
    };
    let limits = Limits::default().with_output_bytes(OUTPUT).with_total_iterations(TURNS);
    let mut parsed = Template::with_limits(limits.with_deadline(DEADLINE));
    name.clone_into(&mut parsed.name);
    parsed.add_func(INDEX, index);
    parsed.parse(template).map_err(|error| unusable(&error))?;
    parsed.render(&context(variables)).map_err(|error| unusable(&error))
}

const INDEX: &str = "index";
static BUILTIN: LazyLock<Option<Func>> =
    LazyLock::new(|| Template::default().funcs.get(INDEX).copied());

/// All maps of a Machine have string values, and for these Go returns the empty string if a key is
/// missing.
fn index(arguments: &[Value]) -> Result<Value, FuncError> {
    let builtin = BUILTIN.ok_or_else(|| FuncError::Generic("there is no index".to_owned()))?;
    let found = builtin(arguments)?;
    Ok(if found == Value::NoValue { text("") } else { found })
}

fn context(variables: &Variables<'_>) -> Context {
    let counters = counters(variables.machine, variables.installs);
    Context::from(object([
        ("Machine", value::machine(variables.machine, counters)),
        ("ServeURL", text(variables.serve_url)),
        ("ApiserverURL", text(variables.apiserver_url)),
        ("AgentConfigJSON", text(variables.agent_config_json)),
        ("TargetDiskJSON", text(&target_disk_json(variables.machine))),
    ]))
}

/// `spec.pxe.targetDisk` as it is in the object, or `null`: templates cannot tell false from nothing.
fn target_disk_json(machine: &Machine) -> String {
    let disk = machine.spec.pxe.as_ref().and_then(|pxe| pxe.target_disk.as_ref());
    serde_json::to_string(&disk).unwrap_or_default()
}

/// The templates of an image install if two counters differ: requested and finished installations.
/// So they are made to differ exactly while an installation is due.
fn counters(machine: &Machine, installs: Option<i64>) -> Counters {
    let wanted = machine.spec.operations.as_ref().and_then(|it| it.repave_counter);
    let wanted = installs.or(wanted).unwrap_or_default();
    if installs.is_none() {
        return Counters { wanted, done: wanted };
    }
    let done = machine.status.as_ref().and_then(|status| status.operations.as_ref());
    let done = done.and_then(|it| it.repave_counter).unwrap_or_default();
    Counters { wanted, done: done.min(wanted.saturating_sub(1)) }
}

#[cfg(test)]
mod tests;
