//! The files that are read again when they change.

use crate::{args::Args, metrics::FileReadings};
use metal_core::macdb::{MacDb, ParseError};
use metal_dhcp::{
    Instances,
    config::{Config, ConfigError},
};
use metal_runtime::file::{Error, Followed, Reading};
use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
};
use tokio::sync::watch;

/// Why a configuration is not taken.
#[derive(Debug, thiserror::Error)]
enum Refused {
    /// It has a mistake.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Only a new process can take it.
    #[error(
        "instances: this differs from what netboot was started with; restart the pod for it, with \
         `kubectl rollout restart`"
    )]
    Instances,
}

/// Configuration and MAC prefix database.
pub(super) struct Files {
    config: Followed<Config, Refused>,
    database: Option<Followed<MacDb, ParseError>>,
}

/// Reads the text of the MAC prefix database, and logs what is left out.
fn database(text: &str) -> Result<MacDb, ParseError> {
    let database = MacDb::parse(text)?;
    for skipped in database.skipped() {
        tracing::warn!(%skipped, "--mac-prefixes-file: skipping an entry");
    }
    Ok(database)
}

/// Reads the text of the configuration, and logs what has no effect. Which instances there are is the same for as
/// long as the process runs: who leads and who has which half of a range is never known from different texts.
fn config(text: &str, running: &OnceLock<Option<Instances>>) -> Result<Config, Refused> {
    let config = Config::parse(text)?;
    if *running.get_or_init(|| config.instances) != config.instances {
        return Err(Refused::Instances);
    }
    for unused in &config.unused {
        tracing::warn!(%unused, "--config: a setting is not used");
    }
    Ok(config)
}

impl Files {
    pub(super) async fn open(args: &Args) -> Result<Self, Error> {
        let running = OnceLock::new();
        let parse = move |text: &str| config(text, &running);
        let config = Followed::open("--config", &args.config, parse).await?;
        let database = match &args.mac_prefixes_file {
            Some(path) => Some(Followed::open("--mac-prefixes-file", path, database).await?),
            None => None,
        };
        Ok(Self { config, database })
    }

    /// The configuration, now and after each change.
    pub(super) fn config(&self) -> watch::Receiver<Arc<Config>> {
        self.config.subscribe()
    }

    /// The MAC prefix database, now and after each change; empty if there is none.
    pub(super) fn bmcs(&self) -> watch::Receiver<Arc<MacDb>> {
        match &self.database {
            Some(database) => database.subscribe(),
            None => watch::Sender::new(Arc::new(MacDb::default())).subscribe(),
        }
    }

    /// Reads them again forever.
    pub(super) async fn follow(self, readings: &FileReadings) -> Infallible {
        let told = |file: &'static str| move |reading: Reading| readings.read(file, reading);
        let database = async {
            match self.database {
                Some(database) => database.follow(told("mac-prefixes")).await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(self.config.follow(told("config")), database).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_instances_is_refused_until_a_restart() {
        let running = OnceLock::new();
        let read = |section: &str| {
            let text = format!("interfaces: [eth1]\nsubnets: []\n{section}\n");
            config(&text, &running).map(|it| it.instances.is_some())
        };
        let standby = "instances: { mode: standby, part: 1 }";
        assert!(read(standby).unwrap());
        for other in
            ["", "instances: { mode: split, part: 1 }", "instances: { mode: standby, part: 2 }"]
        {
            let refused = read(other).unwrap_err();
            assert!(matches!(refused, Refused::Instances), "{other}");
            assert!(refused.to_string().contains("kubectl rollout restart"));
        }
        assert!(matches!(read("instances: 1").unwrap_err(), Refused::Config(_)));
        assert!(read(standby).unwrap());
    }
}
