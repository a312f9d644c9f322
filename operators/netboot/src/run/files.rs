//! The files that are read again when they change.

use crate::{args::Args, metrics::FileReadings};
use metal_core::macdb::{MacDb, ParseError};
use metal_dhcp::config::{Config, ConfigError};
use metal_runtime::file::{Error, Followed, Reading};
use std::{convert::Infallible, sync::Arc};
use tokio::sync::watch;

/// Configuration and MAC prefix database.
pub(super) struct Files {
    config: Followed<Config, ConfigError>,
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

/// Reads the text of the configuration, and logs what has no effect.
fn config(text: &str) -> Result<Config, ConfigError> {
    let config = Config::parse(text)?;
    for unused in &config.unused {
        tracing::warn!(%unused, "--config: a setting is not used");
    }
    Ok(config)
}

impl Files {
    pub(super) async fn open(args: &Args) -> Result<Self, Error> {
        let config = Followed::open("--config", &args.config, config).await?;
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
