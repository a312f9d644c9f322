//! What an Ignition configuration does to a machine: it starts discovery, or a tenant's system.

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The parts of an Ignition configuration that matter here.
#[derive(Debug, Deserialize)]
struct Document {
    ignition: Header,
    #[serde(default)]
    systemd: Systemd,
}

#[derive(Debug, Deserialize)]
struct Header {
    version: String,
}

#[derive(Debug, Default, Deserialize)]
struct Systemd {
    #[serde(default)]
    units: Vec<Unit>,
}

#[derive(Debug, Deserialize)]
struct Unit {
    name: String,
    #[serde(default)]
    enabled: Option<bool>,
    #[serde(default)]
    contents: Option<String>,
}

/// The discovery agent's flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AgentFlags {
    /// `--registry-url`.
    pub(super) registry_url: String,
    /// `--server-uuid`.
    pub(super) server_uuid: String,
}

/// What a configuration does to a machine.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct IgnitionEffect {
    /// SHA-256 of the text.
    pub(super) digest: String,
    /// The agent, if an enabled unit starts it.
    pub(super) agent: Option<AgentFlags>,
}

/// Why no machine could start with a configuration.
#[derive(Debug, thiserror::Error)]
pub(super) enum IgnitionError {
    /// It is not JSON, or not an Ignition configuration.
    #[error("not an Ignition configuration: {0}")]
    Json(#[from] serde_json::Error),
    /// Only version 3 of the specification is supported.
    #[error("ignition.version {0} is not 3.x.y")]
    Version(String),
    /// The agent would exit at once.
    #[error("unit {unit} starts the agent without {flag}")]
    Flag {
        /// Name of the unit.
        unit: String,
        /// The flag that is missing.
        flag: &'static str,
    },
}

/// Reads a configuration.
pub(super) fn read(text: &[u8]) -> Result<IgnitionEffect, IgnitionError> {
    let document: Document = serde_json::from_slice(text)?;
    if !document.ignition.version.starts_with("3.") {
        return Err(IgnitionError::Version(document.ignition.version));
    }
    let digest: Vec<_> =
        Sha256::digest(text).into_iter().map(|byte| format!("{byte:02x}")).collect();
    let digest = digest.concat();
    for unit in document.systemd.units.iter().filter(|unit| unit.enabled == Some(true)) {
        let Some(words) = agent_words(unit.contents.as_deref().unwrap_or_default()) else {
            continue;
        };
        let value = |flag: &'static str| {
            flag_value(&words, flag)
                .ok_or_else(|| IgnitionError::Flag { unit: unit.name.clone(), flag })
        };
        let (registry_url, server_uuid) = (value("--registry-url")?, value("--server-uuid")?);
        return Ok(IgnitionEffect {
            digest,
            agent: Some(AgentFlags { registry_url, server_uuid }),
        });
    }
    Ok(IgnitionEffect { digest, agent: None })
}

/// The words of the `ExecStart` that runs the agent.
fn agent_words(unit: &str) -> Option<Vec<String>> {
    let joined = unit.replace("\\\n", " ");
    let commands = joined.lines().filter_map(|line| line.trim().strip_prefix("ExecStart="));
    commands
        .map(|command| {
            let unquoted = command.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
            unquoted.map(str::to_owned).collect::<Vec<_>>()
        })
        .find(|words| words.iter().any(|word| word.contains("metalprobe")))
}

/// `--flag=value` or `--flag value`.
fn flag_value(words: &[String], flag: &str) -> Option<String> {
    let at = words.iter().position(|word| {
        word.strip_prefix(flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    })?;
    let value = match words[at].split_once('=') {
        Some((_, value)) => Some(value),
        None => words.get(at + 1).map(String::as_str),
    };
    value.filter(|value| !value.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with_unit(enabled: bool, contents: &str) -> Result<IgnitionEffect, IgnitionError> {
        let unit = json!({ "name": "a.service", "enabled": enabled, "contents": contents });
        let document = json!({ "ignition": { "version": "3.2.0" }, "systemd": { "units": [unit] }});
        read(document.to_string().as_bytes())
    }

    #[test]
    fn an_enabled_unit_that_runs_the_agent_makes_a_discovery() {
        let commands = [
            "ExecStart=/usr/bin/ctr run --rm img metalprobe ./launch.sh --registry-url=U --server-uuid=V",
            "ExecStartPre=true\nExecStart=/metalprobe \\\n  --registry-url U \\\n  --server-uuid V\n",
            "ExecStart=sh -c 'metalprobe --server-uuid=V --registry-url=U'",
        ];
        let flags = AgentFlags { registry_url: "U".to_owned(), server_uuid: "V".to_owned() };
        for command in commands {
            let unit = format!("[Service]\n{command}\n");
            assert_eq!(with_unit(true, &unit).unwrap().agent, Some(flags.clone()), "{command}");
            assert_eq!(with_unit(false, &unit).unwrap().agent, None);
        }
    }

    #[test]
    fn other_units_make_a_tenant() {
        let unit = "[Service]\nExecStartPre=/bin/rm metalprobe\nExecStart=/usr/bin/tenant\n";
        let meaning = with_unit(true, unit).unwrap();
        assert_eq!((meaning.agent, meaning.digest.len()), (None, 64));
        assert_eq!(read(br#"{"ignition":{"version":"3.4.0"}}"#).unwrap().agent, None);
    }

    #[test]
    fn what_no_machine_would_start_with_is_an_error() {
        let missing = with_unit(true, "ExecStart=metalprobe --server-uuid=V --registry-url=");
        let flag = "--registry-url";
        assert!(matches!(missing, Err(IgnitionError::Flag { flag: f, .. }) if f == flag));
        assert!(matches!(read(b"variant: fcos"), Err(IgnitionError::Json(_))));
        let old = read(br#"{"ignition":{"version":"2.2.0"}}"#);
        assert!(matches!(old, Err(IgnitionError::Version(_))));
    }
}
