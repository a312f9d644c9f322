//! Interprets an iPXE script, as far as needed to know what a machine would boot.
//!
//! The interpreter does no I/O: [`Script::next`] says what to fetch, and the caller reports the
//! result. Grammar and commands: <https://ipxe.org/scripting>, <https://ipxe.org/cmd>.

mod command;
mod line;
#[cfg(test)]
mod tests;

pub(super) use command::Request;
pub(super) use line::expand;

use command::Done;
use line::{RunCondition, Step};
use std::collections::{BTreeMap, VecDeque};
use url::Url;

/// How deep scripts may be nested.
const DEPTH: usize = 8;
/// The most commands per boot, which ends endless loops.
const COMMANDS: usize = 10_000;

/// Variables of a machine: `${uuid}` and so on.
pub(super) type Variables = BTreeMap<String, String>;

/// Why a script failed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ScriptError {
    /// The first line is not `#!ipxe`.
    #[error("{0} is not an iPXE script")]
    NotAScript(String),
    /// A command failed, and nothing caught it.
    #[error("line {line}: {command} failed")]
    Failed {
        /// Counted from 1.
        line: usize,
        /// The command with its arguments.
        command: String,
    },
    /// A `goto` without its label.
    #[error("there is no label {0}")]
    NoLabel(String),
    /// A relative URL without a base, or an invalid one.
    #[error("{0} is not a URL")]
    Url(String),
    /// It runs in a loop.
    #[error("more than {COMMANDS} commands or {DEPTH} scripts inside each other")]
    Endless,
}

/// What `boot` starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Loaded {
    /// The kernel, or another executable.
    pub(super) kernel: Option<String>,
    /// Its arguments.
    pub(super) args: Vec<String>,
    /// Other images, in the order of their commands.
    pub(super) images: Vec<String>,
}

/// A running script.
#[derive(Debug)]
pub(super) struct Script {
    variables: Variables,
    frames: Vec<Frame>,
    loaded: Loaded,
    commands: usize,
    waiting: Option<Waiting>,
}

/// One script of a chain.
#[derive(Debug)]
struct Frame {
    url: Url,
    lines: Vec<String>,
    /// The next line.
    at: usize,
    steps: VecDeque<Step>,
    succeeded: bool,
    /// The last command, for the error.
    command: String,
}

/// What a fetch is for.
#[derive(Debug)]
enum Waiting {
    Kernel { url: String, args: Vec<String> },
    Image { url: String },
    Chain { url: Url, replaces: bool },
}

impl Script {
    /// A script that was fetched from this URL.
    pub(super) fn new(text: &str, url: Url, variables: Variables) -> Result<Self, ScriptError> {
        let frames = vec![Frame::new(text, url)?];
        Ok(Self { variables, frames, loaded: Loaded::default(), commands: 0, waiting: None })
    }

    /// Runs until something must be fetched, or to the end.
    pub(super) fn next(&mut self) -> Result<Request, ScriptError> {
        loop {
            self.commands += 1;
            if self.commands > COMMANDS {
                return Err(ScriptError::Endless);
            }
            let Some(frame) = self.frames.last_mut() else { return Ok(Request::Exit) };
            let Some(step) = frame.steps.pop_front() else {
                if !frame.advance()? {
                    self.frames.pop();
                }
                continue;
            };
            let is_due = match step.joint {
                RunCondition::Always => true,
                RunCondition::And => frame.succeeded,
                RunCondition::Or => !frame.succeeded,
            };
            if !is_due {
                continue;
            }
            let words: Vec<_> =
                step.words.iter().map(|word| expand(word, &self.variables)).collect();
            frame.command = words.join(" ");
            match self.execute(&words)? {
                Done::With(succeeded) => self.settle(succeeded),
                Done::Needs(request) => return Ok(request),
            }
        }
    }

    fn settle(&mut self, succeeded: bool) {
        if let Some(frame) = self.frames.last_mut() {
            frame.succeeded = succeeded;
        }
    }

    /// The fetch failed.
    pub(super) fn failed(&mut self) {
        self.waiting = None;
        self.settle(false);
    }

    /// The fetch succeeded and its result needs no handling; or the pause is over.
    pub(super) fn fetched(&mut self) {
        match self.waiting.take() {
            Some(Waiting::Kernel { url, args }) => {
                (self.loaded.kernel, self.loaded.args) = (Some(url), args);
            }
            Some(Waiting::Image { url }) => self.loaded.images.push(url),
            Some(Waiting::Chain { .. }) | None => {}
        }
        self.settle(true);
    }

    /// A chained executable was fetched: it takes over, and images loaded before are not passed to
    /// it.
    pub(super) fn executable(&mut self) -> Loaded {
        let url = match self.waiting.take() {
            Some(Waiting::Chain { url, .. }) => Some(url.into()),
            _ => None,
        };
        Loaded { kernel: url, ..Loaded::default() }
    }

    /// A chained script was fetched.
    pub(super) fn chained(&mut self, text: &str) -> Result<(), ScriptError> {
        let Some(Waiting::Chain { url, replaces }) = self.waiting.take() else { return Ok(()) };
        self.settle(true);
        if replaces {
            self.frames.pop();
        }
        if self.frames.len() >= DEPTH {
            return Err(ScriptError::Endless);
        }
        self.frames.push(Frame::new(text, url)?);
        Ok(())
    }
}

impl Frame {
    fn new(text: &str, url: Url) -> Result<Self, ScriptError> {
        let lines = line::logical(text).ok_or_else(|| ScriptError::NotAScript(url.to_string()))?;
        let (steps, command) = (VecDeque::new(), String::new());
        Ok(Self { url, lines, at: 0, steps, succeeded: true, command })
    }

    /// Advances to the next line; false at the end.
    fn advance(&mut self) -> Result<bool, ScriptError> {
        if !self.succeeded {
            return Err(ScriptError::Failed { line: self.at, command: self.command.clone() });
        }
        let Some(line) = self.lines.get(self.at) else { return Ok(false) };
        self.steps = line::steps(line);
        self.at += 1;
        Ok(true)
    }

    /// Goes to a label.
    fn go_to(&mut self, label: &str) -> Result<(), ScriptError> {
        let is_it = |line: &String| line.strip_prefix(':').is_some_and(|name| name.trim() == label);
        let at = self.lines.iter().position(is_it);
        self.at = at.ok_or_else(|| ScriptError::NoLabel(label.to_owned()))?;
        self.steps.clear();
        Ok(())
    }
}
