//! The log: level and format from the flags, on standard error.

use crate::args::{LogArgs, LogFormat};
use serde_json::{Map, Value};
use std::{
    env,
    ffi::OsStr,
    io::{self, IsTerminal, Write},
};
use tracing_subscriber::{EnvFilter, filter::ParseError, fmt, util::SubscriberInitExt};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a filter.
    #[error(
        "--log-level (or RUST_LOG) {0:?}: use error, warn, info, debug or trace, or a filter such as \
         info,kube=debug"
    )]
    Level(String, #[source] ParseError),
    /// Called twice.
    #[error("logging is already set up")]
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
    let log = fmt().with_env_filter(filter);
    match args.format() {
        LogFormat::Text => {
            let no_color = env::var_os("NO_COLOR");
            let log = log.with_ansi(has_colors(io::stderr().is_terminal(), no_color.as_deref()));
            log.with_writer(|| Lines { to: io::stderr(), cut: cut_text }).finish().try_init()
        }
        LogFormat::Json => {
            let log = log.with_writer(|| Lines { to: io::stderr(), cut: cut_json });
            log.json().flatten_event(true).finish().try_init()
        }
    }
    .map_err(Error::Again)
}

/// Whether lines have colors: they are for a terminal, and for nobody who searches a file for `name=web-1`.
fn has_colors(is_terminal: bool, no_color: Option<&OsStr>) -> bool {
    is_terminal && no_color.is_none_or(OsStr::is_empty)
}

/// Limit of a log line in bytes. Longer lines contain untrusted text.
const LINE: usize = 8192;
/// Limit of a field in a line that is too long, in bytes.
const FIELD: usize = 1024;

/// Writes one line per event, of limited length.
struct Lines<W> {
    to: W,
    cut: fn(&str) -> String,
}

impl<W: Write> Write for Lines<W> {
    /// The log writes whole lines.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = str::from_utf8(line).ok().map(|text| text.strip_suffix('\n').unwrap_or(text));
        match text.filter(|text| text.len() > LINE || text.contains(['\n', '\r'])) {
            Some(text) => {
                let mut text = (self.cut)(text);
                text.push('\n');
                self.to.write_all(text.as_bytes())?;
            }
            None => self.to.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn cut_text(line: &str) -> String {
    let end = line.floor_char_boundary(LINE);
    let ellipsis = if end < line.len() { "…" } else { "" };
    line[..end].replace('\n', "\\n").replace('\r', "\\r") + ellipsis
}

/// Cuts each field, so that the line is still JSON.
fn cut_json(line: &str) -> String {
    let Ok(mut fields) = serde_json::from_str::<Map<String, Value>>(line) else {
        return cut_text(line);
    };
    for value in fields.values_mut() {
        let text = match value {
            Value::String(text) => text.clone(),
            ref other => other.to_string(),
        };
        if text.len() > FIELD {
            *value = format!("{}…", &text[..text.floor_char_boundary(FIELD)]).into();
        }
    }
    Value::Object(fields).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cut: fn(&str) -> String, line: &str) -> String {
        let mut lines = Lines { to: Vec::new(), cut };
        lines.write_all(line.as_bytes()).unwrap();
        String::from_utf8(lines.to).unwrap()
    }

    #[test]
    fn a_strangers_text_makes_neither_long_lines_nor_several() {
        let short = "WARN object withdrawn name=a\n";
        assert_eq!(written(cut_text, short), short);
        let forged = written(cut_text, "WARN name=a\nINFO all is well\r\n");
        assert_eq!(forged, "WARN name=a\\nINFO all is well\\r\n");
        let long = written(cut_text, &format!("WARN name={}\n", "é".repeat(450_000)));
        assert!(long.len() < LINE + 8 && long.ends_with("é…\n"));

        let line = serde_json::json!({ "level": "WARN", "error": "é".repeat(450_000), "n": 7 });
        let line: Value = serde_json::from_str(&written(cut_json, &format!("{line}\n"))).unwrap();
        assert_eq!((&line["level"], &line["n"]), (&"WARN".into(), &7.into()));
        assert!(line["error"].as_str().unwrap().len() < FIELD + 8);
    }

    #[test]
    fn only_a_terminal_gets_colors_and_nobody_who_wants_none() {
        assert!(has_colors(true, None) && has_colors(true, Some(OsStr::new(""))));
        assert!(!has_colors(true, Some(OsStr::new("1"))));
        assert!(!has_colors(false, None), "a pod's log is a file");
    }

    #[test]
    fn level_that_does_not_parse_is_refused_with_the_flag() {
        let args = LogArgs { log_level: Some("kube=loud".to_owned()), ..LogArgs::default() };
        let error = init(&args).unwrap_err();
        assert!(matches!(error, Error::Level(..)), "{error:?}");
        assert!(error.to_string().starts_with("--log-level (or RUST_LOG) \"kube=loud\": "));
    }
}
