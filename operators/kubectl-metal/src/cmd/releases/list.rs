//! `releases list`

use crate::{
    Outcome,
    cmd::{lists::all, names},
    connection::Connection,
    output::{Format, listed, table},
};
use anyhow::Result;
use clap::Args;
use kube::{Api, ResourceExt};
use metal_api::HostRelease;

/// Of which host.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// The host
    #[arg(value_name = "ORG/HOST")]
    host: String,
    /// Output format
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

impl List {
    pub(super) async fn run(&self, connection: &Connection) -> Result<Outcome> {
        let (org, host) = names::host(&self.host)?;
        let api = Api::<HostRelease>::namespaced(connection.client().await?, org);
        let all = all(&api).await?;
        let ours: Vec<_> = all.into_iter().filter(|it| it.spec.host_name == host).collect();
        if let Some(format) = self.output {
            listed(&ours, format)?;
            return Ok(Outcome::Done);
        }
        let row = |release: &HostRelease| {
            let is_configured = release.spec.configuration.is_some();
            let sealed = if is_configured { "configured" } else { "-" };
            [release.name_any(), release.spec.image.clone(), sealed.to_owned()]
        };
        let rows: Vec<_> = ours.iter().map(row).collect();
        table(["NAME", "IMAGE", "CONFIGURATION"], &rows)?;
        Ok(Outcome::Done)
    }
}
