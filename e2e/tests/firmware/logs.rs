//! Logs and consoles in the messages of failures.

/// How many lines of a log to print: a failure is found at its end, and CI keeps only so much.
const LINES: usize = 80;

/// The end of a log.
pub(crate) fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
