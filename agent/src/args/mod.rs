//! Flags, spelled as ironcore's metalprobe has them: Go's flag package takes one dash or two, and
//! durations such as `1m30s`.

mod duration;

use clap::{Parser, ValueEnum};
use metal_http::{InvalidUrl, ServerUrl};
use std::{convert::Infallible, ffi::OsString, fmt, path::PathBuf, str::FromStr, time::Duration};

/// Collects the inventory of this machine and posts it to the registry of metal-operator.
#[derive(Debug, Parser)]
#[command(name = "metalprobe", version)]
pub struct Args {
    /// URL of the report registry; its path, which can contain the token of this boot, is kept
    #[arg(long, env = "REGISTRY_URL", hide_env_values = true)]
    registry_url: Secret,
    /// System UUID to register this machine with
    #[arg(long, env = "SERVER_UUID", value_parser = non_empty)]
    pub server_uuid: String,
    /// Maximum delay before the first retry of a failed report; doubles with each retry, up to one
    /// minute
    #[arg(long, default_value = "5s", value_parser = duration::positive)]
    pub duration: Duration,
    /// Timeout of a request to the registry
    #[arg(long, default_value = "5s", value_parser = duration::positive)]
    pub registry_client_timeout: Duration,
    /// PEM file with the certificate authorities for an https registry
    #[arg(
        long,
        env = "REGISTRY_CA_FILE",
        default_value = "/etc/ssl/certs/ca-certificates.crt",
        value_name = "FILE"
    )]
    pub registry_ca_file: PathBuf,
    /// Minimum interval between reports of new LLDP neighbors
    #[arg(long, default_value = "5s", value_parser = duration::positive)]
    pub lldp_sync_interval: Duration,
    /// How long after the start to report new LLDP neighbors at once
    #[arg(long, default_value = "30s", value_parser = duration::parse)]
    pub lldp_sync_duration: Duration,
    /// Log format
    #[arg(long, value_enum, default_value = "console")]
    pub zap_encoder: Encoder,
    /// Log level: debug, info, warn, error, or a number above 0 for debug
    #[arg(long, default_value = "info", value_parser = level)]
    pub zap_log_level: tracing::Level,
    /// Log at debug level
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub zap_devel: bool,
    /// Accepted for compatibility, without effect
    #[arg(long, hide = true)]
    pub zap_stacktrace_level: Option<String>,
    /// Accepted for compatibility, without effect: times are RFC 3339
    #[arg(long, hide = true)]
    pub zap_time_encoding: Option<String>,
    /// Root of the file tree to read instead of /; the kernel is not queried then
    #[arg(long, hide = true, default_value = "/")]
    pub root: PathBuf,
}

impl Args {
    /// The URL of the registry.
    pub fn registry(&self) -> Result<ServerUrl, InvalidUrl> {
        self.registry_url.0.parse()
    }
}

/// A value that the parser's messages must not quote, so it is checked after parsing.
#[derive(Clone)]
struct Secret(String);

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Encoder {
    /// Lines for people.
    Console,
    /// One JSON object per line.
    Json,
}

/// The arguments, with Go's single dash turned into two.
pub fn two_dashes(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    arguments.map(|argument| match argument.to_str().and_then(|text| text.strip_prefix('-')) {
        Some(flag) if flag.len() > 1 && flag.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            format!("--{flag}").into()
        }
        _ => argument,
    })
}

fn non_empty(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() { Err("must not be empty") } else { Ok(text.to_owned()) }
}

/// zap's levels: names, or verbosity numbers.
fn level(text: &str) -> Result<tracing::Level, &'static str> {
    match (text.to_ascii_lowercase().as_str(), text.parse::<u32>()) {
        (_, Ok(1..)) | ("debug", _) => Ok(tracing::Level::DEBUG),
        (_, Ok(0)) | ("info", _) => Ok(tracing::Level::INFO),
        ("warn", _) => Ok(tracing::Level::WARN),
        ("error" | "dpanic" | "panic" | "fatal", _) => Ok(tracing::Level::ERROR),
        _ => Err("must be debug, info, warn, error or a number"),
    }
}

#[cfg(test)]
mod tests;
