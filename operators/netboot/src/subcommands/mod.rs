//! What else this binary does: everything that is not to serve.

mod convert;

use clap::Parser;
use metal_dhcp::config::schema;
use metal_fedhcp::SubnetArgument;
use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
};

/// First arguments that name a tool instead of serving.
const NAMES: &[&str] = &["convert-fedhcp", "schema"];

/// Tools for configuration files.
#[derive(Debug, Parser)]
#[command(name = "netboot", version)]
pub enum Tool {
    /// Converts a configuration of FeDHCP to one of netboot, on standard output. Differences are
    /// reported on standard error: where, why, and what to do
    #[command(name = "convert-fedhcp")]
    ConvertFedhcp {
        /// FeDHCP's main configuration file, or the folder with config.yaml. Plugin configuration
        /// files are looked up at the configured paths, then in the same folder
        #[arg(value_name = "FILE or FOLDER")]
        path: PathBuf,
        /// A subnet and its address range, which FeDHCP does not configure: 10.0.0.0/24 or
        /// 10.0.0.0/24=10.0.0.100-10.0.0.200 (can be repeated)
        #[arg(long = "subnet", value_name = "PREFIX[=FIRST-LAST]")]
        subnets: Vec<SubnetArgument>,
        /// A network interface to serve, if the configuration names none (FeDHCP then serves all;
        /// can be repeated)
        #[arg(long = "interface", value_name = "NAME")]
        interfaces: Vec<String>,
    },
    /// Prints the JSON schema of the configuration file
    Schema {
        /// Print a Markdown table of all fields instead
        #[arg(long)]
        markdown: bool,
    },
}

impl Tool {
    /// What a command line asks for besides to serve; prints help and errors, and exits, as clap
    /// does.
    pub fn of_args(words: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let words: Vec<OsString> = words.into_iter().collect();
        let first = words.get(1)?.to_str()?;
        NAMES.contains(&first).then(|| Self::parse_from(words))
    }

    /// Does it.
    ///
    /// # Errors
    ///
    /// If something cannot be read or written.
    pub fn run(self) -> anyhow::Result<()> {
        let text = match self {
            Self::ConvertFedhcp { path, subnets, interfaces } => {
                let conversion = convert::convert(&path, interfaces, subnets)?;
                for note in &conversion.notes {
                    writeln!(io::stderr(), "{note}")?;
                }
                conversion.yaml
            }
            Self::Schema { markdown: true } => schema::table(),
            Self::Schema { markdown: false } => {
                format!("{}\n", serde_json::to_string_pretty(&schema::json())?)
            }
        };
        Ok(io::stdout().write_all(text.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn asked(words: &[&str]) -> Option<Tool> {
        Tool::of_args(["netboot"].iter().chain(words).map(OsString::from))
    }

    #[test]
    fn a_command_line_without_one_of_the_words_asks_to_serve() {
        Tool::command().debug_assert();
        assert!(asked(&[]).is_none());
        assert!(asked(&["--config", "schema"]).is_none());
        assert!(matches!(asked(&["schema"]), Some(Tool::Schema { markdown: false })));
        let convert = asked(&["convert-fedhcp", "a", "--subnet", "10.0.0.0/8", "--interface=b"]);
        assert!(matches!(convert, Some(Tool::ConvertFedhcp { .. })));
        let commands = Tool::command();
        let names: Vec<_> = commands.get_subcommands().map(clap::Command::get_name).collect();
        assert_eq!(names, NAMES);
    }
}
