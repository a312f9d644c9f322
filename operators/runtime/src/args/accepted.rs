//! Flags and variables of the Go operators that have no effect here.

/// A flag or variable that is accepted without effect, so that a Deployment of ironcore starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    pub(super) name: &'static str,
    form: Form,
    why: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Value,
    Switch,
    Env,
}

/// An accepted flag or variable that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Its name, a flag without dashes.
    pub name: &'static str,
    /// Why it has no effect.
    pub why: &'static str,
}

/// Those of every controller-runtime manager.
pub(super) const SHARED: &[Accepted] = &[
    Accepted::switch("metrics-secure", "metrics are served over plain HTTP; use a proxy for TLS"),
    Accepted::value("metrics-cert-path", "metrics are served over plain HTTP"),
    Accepted::value("metrics-cert-name", "metrics are served over plain HTTP"),
    Accepted::value("metrics-cert-key", "metrics are served over plain HTTP"),
    Accepted::switch("enable-http2", "metrics are served over HTTP/1.1"),
    Accepted::value(
        "webhook-port",
        "there are no webhooks; objects are validated by their CRD schemas",
    ),
    Accepted::value(
        "webhook-cert-path",
        "there are no webhooks; objects are validated by their CRD schemas",
    ),
    Accepted::value(
        "webhook-cert-name",
        "there are no webhooks; objects are validated by their CRD schemas",
    ),
    Accepted::value(
        "webhook-cert-key",
        "there are no webhooks; objects are validated by their CRD schemas",
    ),
    Accepted::env(
        "ENABLE_WEBHOOKS",
        "there are no webhooks; objects are validated by their CRD schemas",
    ),
    Accepted::value(
        "zap-stacktrace-level",
        "errors are logged with their causes instead of a stack trace",
    ),
    Accepted::value("zap-time-encoding", "timestamps are always in RFC 3339 format"),
];

impl Accepted {
    /// A flag with a value; `why` says why it has no effect.
    pub const fn value(name: &'static str, why: &'static str) -> Self {
        Self { name, form: Form::Value, why }
    }

    /// A boolean flag, whose value can only be given with `=`.
    pub const fn switch(name: &'static str, why: &'static str) -> Self {
        Self { name, form: Form::Switch, why }
    }

    /// An environment variable.
    pub const fn env(name: &'static str, why: &'static str) -> Self {
        Self { name, form: Form::Env, why }
    }

    /// These, and those of every controller-runtime manager, as a Markdown table.
    pub(crate) fn table(own: &[Self]) -> String {
        let mut all: Vec<_> = own.iter().chain(SHARED).collect();
        all.sort_by_key(|it| (it.is_env(), it.name));
        let rows = all.into_iter().map(|it| {
            let dashes = if it.is_env() { "" } else { "--" };
            format!("| `{dashes}{}` | {} |\n", it.name, it.why.replace('|', "\\|"))
        });
        format!("| name | reason |\n|---|---|\n{}", rows.collect::<String>())
    }

    pub(super) fn is_flag(&self, name: &str) -> bool {
        !self.is_env() && self.name == name
    }

    pub(super) fn is_env(&self) -> bool {
        self.form == Form::Env
    }

    pub(super) fn takes_value(&self) -> bool {
        self.form == Form::Value
    }

    pub(super) fn ignored(&self) -> Ignored {
        Ignored { name: self.name, why: self.why }
    }
}

/// Logs a warning for each.
pub fn warn(ignored: &[Ignored]) {
    for Ignored { name, why } in ignored {
        tracing::warn!(name, why, "ignored a flag or variable that has no effect");
    }
}

/// The last part of `--help`.
pub(super) fn help(accepted: &[Accepted]) -> String {
    let line = |accepted: &Accepted| {
        let dashes = if accepted.is_env() { "" } else { "--" };
        format!("\n  {dashes}{}: {}", accepted.name, accepted.why)
    };
    let lines: String = accepted.iter().map(line).collect();
    format!("Accepted for compatibility, without effect:{lines}")
}
