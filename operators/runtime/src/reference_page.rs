//! Pages in `docs/reference`, which the tests of each binary compare.

use crate::args::Accepted;
use clap::{Arg, Command};
use std::{env, fs, io, path::Path};

/// Environment variable: if set, pages are written instead of compared.
const BLESS: &str = "BLESS";

/// A page is out of date.
#[derive(Debug, thiserror::Error)]
#[error("{0} is out of date: run the test again with BLESS=1, and commit it")]
pub struct Stale(String);

/// Compares a page of `docs/reference`, or writes it.
///
/// # Errors
///
/// If it is out of date.
pub fn compare(name: &str, text: &str) -> Result<(), Stale> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    let stale = |_: io::Error| Stale(name.to_owned());
    if env::var_os(BLESS).is_some() {
        return fs::write(path, text).map_err(stale);
    }
    let is_same = fs::read_to_string(path).map_err(stale)? == text;
    if is_same { Ok(()) } else { Err(Stale(name.to_owned())) }
}

/// The page of a binary: its flags, those without effect, and its metrics.
pub fn page(mut command: Command, accepted: Option<&[Accepted]>, metrics: Option<&str>) -> String {
    command.build();
    let name = command.get_name().to_owned();
    let mut page = format!(
        "# {name}: flags{}\n\n<!-- Generated: BLESS=1 cargo test -p {name} the_page_of -->\n\n",
        if metrics.is_some() { " and metrics" } else { "" },
    );
    page += "## Flags\n\n";
    page += &flags(&command);
    if let Some(accepted) = accepted {
        page += "\n## Flags and variables without effect\n\n";
        page += "Accepted so that existing deployments start unchanged. A warning is logged for each one given.\n\n";
        page += &Accepted::table(accepted);
    }
    if let Some(metrics) = metrics {
        page += "\n## Metrics\n\n";
        page += metrics;
    }
    page
}

/// The page of a binary with commands: how each is called, and its flags. `bin_name` of the command is how
/// people call it.
pub fn commands(mut command: Command) -> String {
    command.build();
    let name = command.get_name();
    let sections: String = leaves(&command).into_iter().map(section).collect();
    let shared = table(command.get_arguments().filter(|arg| arg.is_global_set()));
    format!(
        "# {name}: commands\n\n<!-- Generated: BLESS=1 cargo test -p {name} the_page_of -->\n\n\
         {sections}## Flags of all commands\n\n{shared}"
    )
}

fn section(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let called = command.get_bin_name().unwrap_or_default();
    let flags: Vec<_> = command.get_arguments().filter(|arg| !arg.is_global_set()).collect();
    let flags = if flags.iter().any(|arg| is_shown(arg)) {
        table(flags.into_iter()) + "\n"
    } else {
        String::new()
    };
    format!("## {called}\n\n{about}.\n\n    {usage}\n\n{flags}")
}

/// Commands that have none below them, in their order.
fn leaves(command: &Command) -> Vec<&Command> {
    let below = command.get_subcommands().filter(|it| it.get_name() != "help");
    let below: Vec<_> = below.flat_map(leaves).collect();
    if below.is_empty() { vec![command] } else { below }
}

fn flags(command: &Command) -> String {
    table(command.get_arguments())
}

fn table<'a>(args: impl Iterator<Item = &'a Arg>) -> String {
    let mut flags: Vec<_> = args.filter(|arg| is_shown(arg)).collect();
    flags.sort_by_key(|arg| arg.get_long());
    let rows: Vec<_> = flags.into_iter().map(row).collect();
    format!("| flag | default | description |\n|---|---|---|\n{}", rows.concat())
}

fn is_shown(arg: &Arg) -> bool {
    !arg.is_hide_set() && arg.get_long().is_some_and(|it| !["help", "version"].contains(&it))
}

fn row(arg: &Arg) -> String {
    let values = arg.get_value_names().filter(|_| arg.get_action().takes_values());
    let values = values.unwrap_or_default().iter().map(|name| format!(" {name}"));
    let flag = format!("--{}{}", arg.get_long().unwrap_or_default(), values.collect::<String>());
    let env = arg.get_env().map(|name| format!(", `{}`", name.to_string_lossy()));
    let defaults: Vec<_> =
        arg.get_default_values().iter().map(|it| it.to_string_lossy().into_owned()).collect();
    let default = if defaults.is_empty() || !arg.get_action().takes_values() {
        String::new()
    } else {
        format!("`{}`", defaults.join(","))
    };
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
    let words: Vec<_> =
        arg.get_possible_values().iter().map(|it| it.get_name().to_owned()).collect();
    let words =
        if words.is_empty() || !arg.get_action().takes_values() || words == ["true", "false"] {
            String::new()
        } else {
            format!(" (`{}`)", words.join("`, `"))
        };
    format!("| `{flag}`{} | {default} | {help}{words} |\n", env.unwrap_or_default())
}
