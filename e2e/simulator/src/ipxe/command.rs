//! Commands of a script.

use super::{Loaded, Script, ScriptError, Waiting};
use std::time::Duration;
use url::Url;

/// What a script needs next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// A kernel, completely.
    Kernel(String),
    /// Another image, completely.
    Image(String),
    /// A script or an executable.
    Chain(String),
    /// A pause of this length.
    Sleep(Duration),
    /// To boot what it loaded.
    Boot(Loaded),
    /// Nothing: it exited without booting.
    Exit,
}

/// The result of a command.
pub(super) enum Done {
    With(bool),
    Needs(Request),
}

/// Options of image commands that take a value.
const VALUED: [&str; 6] = ["--name", "-n", "--timeout", "-t", "--fdt", "--keep-alive"];

impl Script {
    /// Runs one command whose variables were expanded.
    pub(super) fn execute(&mut self, words: &[String]) -> Result<Done, ScriptError> {
        let Some((command, args)) = words.split_first() else { return Ok(Done::With(true)) };
        Ok(Done::With(match command.as_str() {
            "set" => self.set(args),
            "clear" => args.iter().all(|name| self.variables.remove(name).is_some()),
            "isset" => args.first().is_some_and(|value| !value.is_empty()),
            "iseq" => matches!(args, [left, right] if left == right),
            "goto" => self.go_to(args)?,
            "kernel" | "imgselect" | "imgload" => return self.kernel(args),
            "initrd" | "module" | "imgfetch" => return self.image(args),
            "chain" => return self.chain(args),
            "imgargs" => {
                self.loaded.args = args.iter().skip(1).cloned().collect();
                true
            }
            "imgfree" => {
                self.loaded = Loaded::default();
                true
            }
            "sleep" => {
                let seconds = args.first().and_then(|seconds| seconds.parse().ok());
                let Some(seconds) = seconds else { return Ok(Done::With(false)) };
                return Ok(Done::Needs(Request::Sleep(Duration::from_secs(seconds))));
            }
            "boot" | "imgexec" => return Ok(self.boot()),
            "exit" => self.frames.pop().is_some(),
            "shell" | "sanboot" | "reboot" | "poweroff" => {
                self.frames.clear();
                return Ok(Done::Needs(Request::Exit));
            }
            "echo" | "dhcp" | "ifopen" | "ifconf" | "ifclose" | "ifstat" | "iflinkwait"
            | "route" | "sync" | "console" | "colour" | "cpuid" | "show" | "imgstat"
            | "imgtrust" | "imgverify" | "imgextract" | "ntp" | "param" | "params" => true,
            _ => false,
        }))
    }

    fn set(&mut self, args: &[String]) -> bool {
        let Some((name, value)) = args.split_first() else { return false };
        let name = name.split(':').next().unwrap_or_default().to_owned();
        self.variables.insert(name, value.join(" "));
        true
    }

    fn go_to(&mut self, args: &[String]) -> Result<bool, ScriptError> {
        match (args.first(), self.frames.last_mut()) {
            (Some(label), Some(frame)) => frame.go_to(label).map(|()| true),
            _ => Ok(false),
        }
    }

    fn kernel(&mut self, args: &[String]) -> Result<Done, ScriptError> {
        let Some((url, args)) = operands(args) else { return Ok(Done::With(false)) };
        let url: String = self.resolve(url)?.into();
        self.waiting = Some(Waiting::Kernel { url: url.clone(), args: args.to_vec() });
        Ok(Done::Needs(Request::Kernel(url)))
    }

    fn image(&mut self, args: &[String]) -> Result<Done, ScriptError> {
        let Some((url, _)) = operands(args) else { return Ok(Done::With(false)) };
        let url: String = self.resolve(url)?.into();
        self.waiting = Some(Waiting::Image { url: url.clone() });
        Ok(Done::Needs(Request::Image(url)))
    }

    fn chain(&mut self, args: &[String]) -> Result<Done, ScriptError> {
        let Some((url, _)) = operands(args) else { return Ok(Done::With(false)) };
        let url = self.resolve(url)?;
        let replaces = args.iter().any(|arg| arg == "--replace" || arg == "-r" || arg == "-ar");
        self.waiting = Some(Waiting::Chain { url: url.clone(), replaces });
        Ok(Done::Needs(Request::Chain(url.into())))
    }

    fn boot(&mut self) -> Done {
        match self.loaded.kernel {
            Some(_) => Done::Needs(Request::Boot(self.loaded.clone())),
            None => Done::With(false),
        }
    }

    /// A URL, relative to that of the script.
    fn resolve(&self, url: &str) -> Result<Url, ScriptError> {
        let base = self.frames.last().map(|frame| &frame.url);
        let resolved = base.map_or_else(|| Url::parse(url), |base| base.join(url));
        resolved.map_err(|_| ScriptError::Url(url.to_owned()))
    }
}

/// The arguments after the options.
fn operands(args: &[String]) -> Option<(&String, &[String])> {
    let mut rest = args;
    while let Some((option, after)) = rest.split_first().filter(|(word, _)| word.starts_with('-')) {
        let values = usize::from(VALUED.contains(&option.as_str()));
        rest = after.get(values..).unwrap_or_default();
    }
    rest.split_first()
}
