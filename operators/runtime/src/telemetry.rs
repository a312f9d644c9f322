//! The log: level and form from the flags, on standard error.

use crate::args::{LogArgs, LogFormat};
use std::io;
use tracing_subscriber::{EnvFilter, filter::ParseError, fmt, util::SubscriberInitExt};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a filter.
    #[error(
        "--log-level {0:?}: give error, warn, info, debug, trace, or a list like info,kube=debug"
    )]
    Level(String, #[source] ParseError),
    /// Called twice.
    #[error("a log is set up already")]
    Again(#[source] tracing_subscriber::util::TryInitError),
}

/// Sends the log to standard error from now on. Call once, before anything logs.
///
/// # Errors
///
/// If the level does not parse, or a log is set up already.
pub fn init(args: &LogArgs) -> Result<(), Error> {
    let level = args.level();
    let filter = EnvFilter::builder().parse(&level).map_err(|error| Error::Level(level, error))?;
    let log = fmt().with_env_filter(filter).with_writer(io::stderr);
    match args.format() {
        LogFormat::Text => log.finish().try_init(),
        LogFormat::Json => log.json().flatten_event(true).finish().try_init(),
    }
    .map_err(Error::Again)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_that_does_not_parse_is_refused_with_the_flag() {
        let args = LogArgs { log_level: Some("kube=loud".to_owned()), ..LogArgs::default() };
        let error = init(&args).unwrap_err();
        assert!(matches!(error, Error::Level(..)), "{error:?}");
        assert!(error.to_string().starts_with("--log-level \"kube=loud\": give error"));
    }
}
