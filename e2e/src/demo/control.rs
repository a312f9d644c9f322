//! What the simulator says about its machines.

use crate::cluster::http_client;
use anyhow::{Context, Result};
use reqwest::Client;
use serde::{Deserialize, de::DeserializeOwned};
use std::net::SocketAddr;
use uuid::Uuid;

/// The longest journal line that is shown.
const LINE: usize = 120;

/// The simulator's control API.
pub(super) struct Control {
    http: Client,
    at: SocketAddr,
}

/// A machine.
#[derive(Debug, Deserialize)]
pub(super) struct Machine {
    pub(super) index: u32,
    pub(super) uuid: Uuid,
    pub(super) host: Host,
    #[serde(default)]
    journal: Vec<Entry>,
}

/// The state of its host.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Host {
    pub(super) state: String,
    #[serde(default)]
    pub(super) images: Vec<String>,
    pub(super) ignition: Option<String>,
    reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Entry {
    event: String,
    #[serde(default)]
    detail: String,
}

impl Control {
    /// The control API at this address.
    pub(super) fn new(at: SocketAddr) -> Result<Self> {
        Ok(Self { http: http_client()?, at })
    }

    /// One machine, with its journal.
    pub(super) async fn machine(&self, index: u32) -> Result<Machine> {
        self.get(&format!("machines/{index}")).await
    }

    /// The machine with this system UUID, with its journal.
    pub(super) async fn with_uuid(&self, uuid: Uuid) -> Result<Machine> {
        let all: Vec<Machine> = self.get("machines").await?;
        let found = all.into_iter().find(|machine| machine.uuid == uuid);
        let index = found.with_context(|| format!("no machine has the UUID {uuid}"))?.index;
        self.machine(index).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = self.http.get(format!("http://{}/{path}", self.at)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}

impl Machine {
    /// What its host has done since the last power-on.
    pub(super) fn since_power_on(&self) -> impl Iterator<Item = String> {
        let on = self.journal.iter().rposition(|entry| entry.event == "powered_on");
        let since = on.map_or(0, |on| on + 1);
        self.journal[since..].iter().map(Entry::line)
    }
}

impl Host {
    /// A short description.
    pub(super) fn text(&self) -> String {
        let Self { state, images, ignition, reason } = self;
        let parts = [reason, ignition].into_iter().flatten();
        let parts: Vec<_> = [state].into_iter().chain(images).chain(parts).cloned().collect();
        parts.join(" ")
    }
}

impl Entry {
    fn line(&self) -> String {
        // The token in the URL lets whoever has it read what the host may read, so it is not shown.
        let detail = match self.detail.split_once("/t/") {
            Some((before, _)) => format!("{before}/t/.."),
            None => self.detail.clone(),
        };
        let line = format!("{:<13} {detail}", self.event);
        if line.chars().count() <= LINE {
            return line;
        }
        let short: String = line.chars().take(LINE - 2).collect();
        format!("{short}..")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn machine(journal: &[(&str, &str)]) -> Machine {
        let journal =
            journal.iter().map(|(event, detail)| json!({ "event": event, "detail": detail }));
        let journal: Vec<_> = journal.collect();
        let uuid = "53874534-239e-4deb-83ae-7a8a994741d8";
        let machine = json!({
            "index": 0, "uuid": uuid, "host": { "state": "off" }, "journal": journal,
        });
        serde_json::from_value(machine).unwrap()
    }

    #[test]
    fn a_journal_is_shown_since_the_last_time_that_the_power_came_on() {
        let machine = machine(&[
            ("powered_on", ""),
            ("disk", "sda"),
            ("powered_on", ""),
            ("script", "http://boot/ipxe"),
        ]);
        let lines: Vec<_> = machine.since_power_on().collect();
        assert_eq!(lines, ["script        http://boot/ipxe"]);
    }

    #[test]
    fn a_journal_shows_no_token_and_no_line_without_end() {
        let long = "x".repeat(200);
        let machine =
            machine(&[("ignition", "http://boot/ignition/t/secret/uuid"), ("kernel", &long)]);
        let lines: Vec<_> = machine.since_power_on().collect();
        assert_eq!(lines[0], "ignition      http://boot/ignition/t/..");
        assert_eq!(lines[1], format!("kernel        {}..", "x".repeat(LINE - 16)));
    }
}
