//! Flags in the syntax of the Go operators: `--flag value`, `--flag=value`, `-flag value`,
//! `--bool`, `--bool=false`; the last of several counts; flags without effect here are accepted.

mod accepted;
mod address;
mod shared;
mod size;
mod values;

pub use accepted::{Accepted, Ignored, warn};
pub use address::{BindAddress, BindError, NotAnAddress};
pub use metal_base::duration::{NotADuration, parse as duration};
pub use shared::{
    AdminArgs, ClientArgs, ElectionArgs, LogArgs, LogFormat, RuntimeArgs, ZapEncoder, ZapLevel,
};
pub use size::{InvalidSize, size};
pub use values::namespace;

use accepted::{SHARED, help};
use clap::{Arg, ArgAction, Command, Parser};
use std::{any::TypeId, ffi::OsString};

/// The parsed command line and environment.
#[derive(Debug)]
pub struct Parsed<A> {
    /// The flags.
    pub args: A,
    /// What was given and has no effect here; for [`warn()`], once there is a log.
    pub ignored: Vec<Ignored>,
}

/// Parses the command line of this process; prints help or errors, and exits, as clap does.
///
/// A field of type `bool` needs only `#[arg(long)]`, or `default_value_t = true, action =
/// ArgAction::Set`. A duration takes `value_parser = args::duration`, an address the type
/// [`BindAddress`].
pub fn parse<A: Parser>(accepted: &[Accepted]) -> Parsed<A> {
    let set = |name: &str| std::env::var_os(name).is_some();
    try_parse(accepted, std::env::args_os(), set).unwrap_or_else(|error| error.exit())
}

/// Like [`parse`], for a command line whose first word is the program's name. `is_set` says which
/// environment variables are set.
///
/// # Errors
///
/// Those of clap, including `--help` and `--version`.
pub fn try_parse<A: Parser>(
    accepted: &[Accepted],
    words: impl IntoIterator<Item = OsString>,
    is_set: impl Fn(&str) -> bool,
) -> Result<Parsed<A>, clap::Error> {
    let mut command = A::command().args_override_self(true).mut_args(as_in_go);
    command.build();
    // A flag that this binary has is not one without effect.
    let known = |name: &str| longs(&command).any(|(long, _)| long == name);
    let accepted: Vec<_> =
        accepted.iter().chain(SHARED).filter(|accepted| !known(accepted.name)).copied().collect();
    let (words, ignored) = canonical(&command, &accepted, words);
    let mut command = command.after_long_help(help(&accepted));
    let matches = command.try_get_matches_from_mut(words)?;
    let args = A::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    let env = accepted.iter().filter(|accepted| accepted.is_env() && is_set(accepted.name));
    let ignored = ignored.into_iter().chain(env.map(Accepted::ignored)).collect();
    Ok(Parsed { args, ignored })
}

/// Makes a boolean take an optional value, only with `=`.
fn as_in_go(arg: Arg) -> Arg {
    let switch = matches!(arg.get_action(), ArgAction::SetTrue);
    if !switch && arg.get_value_parser().type_id() != TypeId::of::<bool>() {
        return arg;
    }
    let arg = if switch && arg.get_default_values().is_empty() {
        arg.default_value("false").hide_default_value(true)
    } else {
        arg
    };
    arg.action(ArgAction::Set)
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("true")
        .value_parser(values::boolean)
}

/// Rewrites each flag to `--name=value`, and removes the accepted ones.
fn canonical(
    command: &Command,
    accepted: &[Accepted],
    words: impl IntoIterator<Item = OsString>,
) -> (Vec<OsString>, Vec<Ignored>) {
    let (mut kept, mut ignored) = (Vec::new(), Vec::new());
    let mut words = words.into_iter();
    kept.extend(words.next());
    while let Some(word) = words.next() {
        let Some((name, value)) = word.to_str().and_then(flag) else {
            let end = word == "--";
            kept.push(word);
            if end {
                break;
            }
            continue;
        };
        if let Some(accepted) = accepted.iter().find(|accepted| accepted.is_flag(name)) {
            if accepted.takes_value() && value.is_none() {
                words.next();
            }
            ignored.push(accepted.ignored());
            continue;
        }
        let mut flag = OsString::from(format!("--{name}"));
        let takes_value = longs(command).any(|(long, takes_value)| long == name && takes_value);
        let value = value.map(OsString::from);
        if let Some(value) = value.or_else(|| takes_value.then(|| words.next()).flatten()) {
            flag.push("=");
            flag.push(value);
        }
        kept.push(flag);
    }
    kept.extend(words);
    (kept, ignored)
}

/// Name and value of `--name`, `-name`, `--name=value`. A single letter is a short flag, which is
/// left to clap.
fn flag(word: &str) -> Option<(&str, Option<&str>)> {
    let word = word.strip_prefix('-')?;
    let word = word.strip_prefix('-').unwrap_or(word);
    let (name, value) = match word.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word, None),
    };
    (name.len() > 1 && name.starts_with(|c: char| c.is_ascii_alphabetic())).then_some((name, value))
}

/// All long names, and whether each may be followed by a value as the next word.
fn longs(command: &Command) -> impl Iterator<Item = (&str, bool)> {
    command.get_arguments().flat_map(|arg| {
        let takes = arg.get_action().takes_values() && !arg.is_require_equals_set();
        let names = arg.get_long().into_iter().chain(arg.get_all_aliases().into_iter().flatten());
        names.map(move |name| (name, takes))
    })
}

#[cfg(test)]
mod tests;
