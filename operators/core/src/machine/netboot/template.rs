//! Templates of an image: Go's text/template, with the variables of the peer.
//!
//! gtmpl-ng renders them as Go does, as far as `vectors.json` knows, which Go itself has written
//! (`hack/templates`). Two differences are left: a backslash in a raw string begins an escape, and
//! `else with` of Go 1.23 is unknown.

use super::value::{self, Counters, object, text};
use crate::conditions::cut;
use gtmpl_ng::{Context, Func, FuncError, Limits, Template, Value};
use metal_api::Machine;
use std::{sync::LazyLock, time::Duration};

/// Ending of the name of a file that is a template for the file of the same name without it.
pub const SUFFIX: &str = ".tmpl";
/// Bytes of a template at most.
pub const LARGEST: u64 = 256 << 10;

/// Bytes of what comes out at most.
const OUTPUT: usize = 1 << 20;
/// Turns of all loops together.
const TURNS: usize = 100_000;
/// How long it may take.
const DEADLINE: Duration = Duration::from_secs(2);
/// Bytes of an error, in which values may be.
const ERROR: usize = 512;

/// What a template may use: `.Machine`, `.ServeURL`, `.ApiserverURL`, `.AgentConfigJSON`.
#[derive(Clone, Copy, Debug)]
pub struct Variables<'a> {
    /// The Machine.
    pub machine: &'a Machine,
    /// The repave counter for which the Machine is installed now, if it is.
    pub installs: Option<i64>,
    /// Where metalman answers this Machine.
    pub serve_url: &'a str,
    /// Where the API server answers.
    pub apiserver_url: &'a str,
    /// Configuration of the agent.
    pub agent_config_json: &'a str,
}

/// A template that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is no text.
    #[error("{0} is not UTF-8")]
    Text(String),
    /// It is no template, or cannot be rendered; says in which line.
    #[error("{0}")]
    Template(String),
}

/// What becomes of the template `name` with these variables. The time that it may take is bounded, and
/// so is what comes out.
///
/// # Errors
///
/// If it is no template, or uses what is not there.
pub fn render(name: &str, template: &[u8], variables: &Variables<'_>) -> Result<String, Unusable> {
    let template = std::str::from_utf8(template).map_err(|_| Unusable::Text(name.to_owned()))?;
    let unusable = |error: &dyn std::error::Error| {
        let line = error.to_string().replace(['\n', '\r'], " ");
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

/// Every map of a Machine is one of texts, and of these Go gives the empty text for a missing key.
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
    ]))
}

/// Whether an image installs is what its templates make of two counters: more were asked for than done.
/// So there is a difference exactly while an installation is due.
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
