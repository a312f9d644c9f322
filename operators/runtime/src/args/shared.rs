//! The flags that every operator has.

use super::{BindAddress, values::namespace};
use crate::election::lease::Candidate;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use kube::{
    Api, Client,
    runtime::events::{Recorder, Reporter},
};
use std::{borrow::Cow, fs, path::PathBuf, process, str::FromStr};

/// All of them; flatten this into the arguments of an operator.
#[derive(Args, Clone, Debug)]
pub struct RuntimeArgs {
    /// The API server.
    #[command(flatten)]
    pub client: ClientArgs,
    /// Health and metrics.
    #[command(flatten)]
    pub admin: AdminArgs,
    /// Leader election.
    #[command(flatten)]
    pub election: ElectionArgs,
    /// The log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Which API server.
#[derive(Args, Clone, Debug, Default)]
pub struct ClientArgs {
    /// Kubeconfig file [default: $KUBECONFIG, ~/.kube/config, or the service account of the pod]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

/// Where the process tells about itself.
#[derive(Args, Clone, Debug)]
pub struct AdminArgs {
    /// Address of the /metrics endpoint; 0 disables it
    #[arg(long, default_value = ":8080", value_name = "ADDRESS")]
    pub metrics_bind_address: BindAddress,
    /// Address of the /healthz and /readyz endpoints; 0 disables them
    #[arg(long, default_value = ":8081", value_name = "ADDRESS")]
    pub health_probe_bind_address: BindAddress,
}

/// Whether one replica of several leads.
#[expect(clippy::struct_field_names, reason = "named as the flags are")]
#[derive(Args, Clone, Debug, Default)]
pub struct ElectionArgs {
    /// Enable leader election; required with more than one replica
    #[arg(long)]
    pub leader_elect: bool,
    /// Namespace of the leader election Lease [default: that of the pod or the kubeconfig]
    #[arg(long, value_name = "NAMESPACE", value_parser = namespace)]
    pub leader_elect_namespace: Option<String>,
    /// Identity of this replica in leader election; must be unique among running replicas [default:
    /// a new one at every start]
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub leader_elect_identity: Option<String>,
}

impl ElectionArgs {
    /// A candidate for the lease `lease`, if leader election is enabled.
    pub fn candidate(&self, client: &Client, lease: &str) -> Option<Candidate> {
        if !self.leader_elect {
            return None;
        }
        let api = Api::namespaced(client.clone(), self.namespace(client));
        Some(Candidate::new(api, lease, self.identity()))
    }

    /// The namespace of the Lease, and of the other objects of this process.
    pub fn namespace<'a>(&'a self, client: &'a Client) -> &'a str {
        self.leader_elect_namespace.as_deref().unwrap_or_else(|| client.default_namespace())
    }

    /// Publishes events as `controller`, in the name of this replica.
    pub fn recorder(&self, client: &Client, controller: &str) -> Recorder {
        let instance = Some(self.identity().into_owned());
        Recorder::new(client.clone(), Reporter { controller: controller.to_owned(), instance })
    }

    /// The identity of this replica. A pod's name survives a restart of its container, so that it
    /// need not wait for its own lease to expire. Elsewhere, two processes may share a host.
    pub fn identity(&self) -> Cow<'_, str> {
        match self.leader_elect_identity.as_deref() {
            Some(identity) if !identity.is_empty() => Cow::Borrowed(identity),
            Some(_) | None => {
                // Without a host name, the rest is still an identity.
                let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
                let now = Timestamp::now().as_nanosecond();
                Cow::Owned(format!("{}_{}_{now:x}", host.trim(), process::id()))
            }
        }
    }
}

/// What is logged, and in which form.
#[derive(Args, Clone, Debug, Default)]
pub struct LogArgs {
    /// Log level, or a filter such as info,kube=debug [default: info]
    #[arg(long, env = "RUST_LOG", value_name = "FILTER")]
    pub log_level: Option<String>,
    /// Log format [default: text]
    #[arg(long, value_enum)]
    pub log_format: Option<LogFormat>,
    /// Log level, as in zap; --log-level takes precedence
    #[arg(long, hide_short_help = true, value_name = "LEVEL")]
    pub zap_log_level: Option<ZapLevel>,
    /// Log format, as in zap; --log-format takes precedence
    #[arg(long, value_enum, hide_short_help = true)]
    pub zap_encoder: Option<ZapEncoder>,
    /// Same as --zap-log-level=debug --zap-encoder=console
    #[arg(long, hide_short_help = true)]
    pub zap_devel: bool,
}

/// Form of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

/// What zap calls the form of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ZapEncoder {
    /// As [`LogFormat::Text`].
    Console,
    /// As [`LogFormat::Json`].
    Json,
}

/// A zap level: a name, or a positive number for more and more detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZapLevel {
    /// `error`, `dpanic`, `panic`, `fatal`.
    Error,
    /// `warn`.
    Warn,
    /// `info`.
    Info,
    /// `debug` or 1.
    Debug,
    /// 2 and above.
    Trace,
}

/// Not a level of zap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a log level; use debug, info, warn, error, panic, or a number above 0")]
pub struct InvalidLevel;

impl FromStr for ZapLevel {
    type Err = InvalidLevel;

    fn from_str(text: &str) -> Result<Self, InvalidLevel> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "error" | "dpanic" | "panic" | "fatal" => Self::Error,
            "warn" => Self::Warn,
            "info" => Self::Info,
            "debug" => Self::Debug,
            number => match number.parse::<u8>() {
                Ok(0) | Err(_) => return Err(InvalidLevel),
                Ok(1) => Self::Debug,
                Ok(_) => Self::Trace,
            },
        })
    }
}

impl LogArgs {
    /// The filter, for `tracing_subscriber`.
    pub fn level(&self) -> String {
        let zap = match self.zap_log_level {
            Some(ZapLevel::Error) => "error",
            Some(ZapLevel::Warn) => "warn",
            None if self.zap_devel => "debug",
            Some(ZapLevel::Info) | None => "info",
            Some(ZapLevel::Debug) => "debug",
            Some(ZapLevel::Trace) => "trace",
        };
        self.log_level.clone().unwrap_or_else(|| zap.to_owned())
    }

    /// The form.
    pub fn format(&self) -> LogFormat {
        self.log_format.unwrap_or(match self.zap_encoder {
            Some(ZapEncoder::Json) => LogFormat::Json,
            Some(ZapEncoder::Console) | None => LogFormat::Text,
        })
    }
}
