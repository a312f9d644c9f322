//! What the boot service wants from this machine: the agent's flags, taken from the unit that
//! starts it in the Ignition configuration.

use serde_json::Value;

/// The agent's flags.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct AgentConfig {
    /// `--registry-url`, which may carry a token.
    pub(super) registry_url: String,
    /// `--server-uuid`.
    pub(super) server_uuid: String,
}

/// Why a document is of no use here. The messages do not quote it: it may hold secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AgentConfigError {
    /// Not JSON, or not Ignition.
    #[error("the response of the boot service is not a valid Ignition configuration")]
    NotIgnition,
    /// No unit starts the agent.
    #[error(
        "the ignition of this machine does not start metalprobe; if the machine is claimed, it \
         should boot the image of its claim instead"
    )]
    NoAgent,
    /// A flag that the agent needs is missing.
    #[error("the ignition of this machine starts metalprobe without {0}")]
    NoFlag(&'static str),
}

/// Finds the agent's flags in an Ignition configuration.
pub(super) fn read(document: &[u8]) -> Result<AgentConfig, AgentConfigError> {
    let document: Value =
        serde_json::from_slice(document).map_err(|_| AgentConfigError::NotIgnition)?;
    if !document["ignition"]["version"].is_string() {
        return Err(AgentConfigError::NotIgnition);
    }
    let units = document["systemd"]["units"].as_array().map(Vec::as_slice).unwrap_or_default();
    let enabled = units.iter().filter(|unit| unit["enabled"] == Value::Bool(true));
    let words = enabled.flat_map(texts).find_map(agent_words).ok_or(AgentConfigError::NoAgent)?;
    let value = |flag| flag_value(&words, flag).ok_or(AgentConfigError::NoFlag(flag));
    Ok(AgentConfig { registry_url: value("--registry-url")?, server_uuid: value("--server-uuid")? })
}

/// A unit and its drop-ins; later ones take precedence.
fn texts(unit: &Value) -> impl Iterator<Item = &str> {
    let dropins = unit["dropins"].as_array().map(Vec::as_slice).unwrap_or_default();
    dropins.iter().rev().chain([unit]).filter_map(|part| part["contents"].as_str())
}

/// The words of the `ExecStart` that runs the agent.
fn agent_words(unit: &str) -> Option<Vec<String>> {
    let joined = unit.replace("\\\n", " ");
    let commands = joined.lines().filter_map(|line| line.trim().strip_prefix("ExecStart="));
    let words = commands.map(|command| {
        let unquoted = command.split_whitespace().map(|word| word.trim_matches(['"', '\'']));
        unquoted.map(str::to_owned).collect::<Vec<_>>()
    });
    words.into_iter().find(|words| words.iter().any(|word| word.contains("metalprobe")))
}

/// `--flag=value` or `--flag value`, and both with Go's single dash.
fn flag_value(words: &[String], flag: &str) -> Option<String> {
    let spellings = [flag, &flag[1..]];
    let after = |word: &String| {
        let rest = spellings.iter().find_map(|flag| word.strip_prefix(flag));
        rest.filter(|rest| rest.is_empty() || rest.starts_with('=')).map(str::to_owned)
    };
    let (at, rest) = words.iter().enumerate().find_map(|(at, word)| Some((at, after(word)?)))?;
    let value = match rest.strip_prefix('=') {
        Some(value) => Some(value.to_owned()),
        None => words.get(at + 1).cloned(),
    };
    value.filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_flags_of_the_agents_unit_are_the_orders() {
        let commands = [
            "/usr/bin/ctr run --rm img metalprobe /metalprobe --registry-url=U --server-uuid=V",
            "/metalprobe \\\n  -registry-url U \\\n  -server-uuid V\n",
            "sh -c 'metalprobe --server-uuid=V --registry-url=U'",
        ];
        for command in commands {
            let unit = format!("[Service]\nExecStartPre=/bin/true\nExecStart={command}\n");
            let orders = with_units(&json!([{ "enabled": true, "contents": unit }])).unwrap();
            assert_eq!((&*orders.registry_url, &*orders.server_uuid), ("U", "V"), "{command}");
        }
    }

    #[test]
    fn a_drop_in_of_the_unit_counts_more() {
        let start =
            |url: &str| format!("ExecStart=metalprobe --registry-url={url} --server-uuid=V");
        let dropins = [json!({ "contents": start("A") }), json!({ "contents": start("B") })];
        let unit = json!({ "enabled": true, "contents": start("U"), "dropins": dropins });
        assert_eq!(with_units(&json!([unit])).unwrap().registry_url, "B");
    }

    #[test]
    fn a_configuration_for_something_else_gives_no_orders() {
        let start = "ExecStart=metalprobe --registry-url=U --server-uuid=V";
        let disabled = json!([{ "enabled": false, "contents": start }]);
        assert_eq!(with_units(&disabled).err(), Some(AgentConfigError::NoAgent));
        let other = json!([{ "enabled": true, "contents": "ExecStart=/bin/tenant" }, 7, null]);
        assert_eq!(with_units(&other).err(), Some(AgentConfigError::NoAgent));
        let empty =
            json!([{ "enabled": true, "contents": "ExecStart=metalprobe --registry-url=" }]);
        assert_eq!(with_units(&empty).err(), Some(AgentConfigError::NoFlag("--registry-url")));
    }

    #[test]
    fn what_is_no_ignition_is_told_without_being_repeated() {
        for text in ["", "secret", "[]", "{}", r#"{"ignition":{}}"#, r#"{"ignition":"secret"}"#] {
            let error = read(text.as_bytes()).err().unwrap();
            assert_eq!(error, AgentConfigError::NotIgnition, "{text}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    fn with_units(units: &Value) -> Result<AgentConfig, AgentConfigError> {
        let document = json!({ "ignition": { "version": "3.2.0" }, "systemd": { "units": units }});
        read(document.to_string().as_bytes())
    }
}
