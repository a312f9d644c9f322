//! `releases list`

use crate::{
    Outcome,
    cmd::{lists::kept, names},
    connection::Connection,
    output::{Format, listed, table},
};
use anyhow::Result;
use clap::Args;
use kube::{Api, ResourceExt};
use metal_api::HostRelease;

/// Releases that are in memory at a time: each may have a configuration of 200 kB, and a namespace has those of all
/// of its hosts.
const AT_A_TIME: u32 = 25;

/// Of which host.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// The host
    #[arg(value_parser = names::host_of_org, value_name = "ORG/HOST")]
    host: String,
    /// Output format
    #[arg(long, short, value_enum, value_name = "FORMAT")]
    output: Option<Format>,
}

impl List {
    pub(super) async fn run(&self, connection: &Connection) -> Result<Outcome> {
        let (org, host) = names::host(&self.host)?;
        let api = Api::<HostRelease>::namespaced(connection.client().await?, org);
        let keep = |release| if_shown(release, host, self.output);
        let ours = kept(&api, AT_A_TIME, keep).await?;
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
        let none = format!("there is no release of host {host} in {org}");
        table(["NAME", "IMAGE", "CONFIGURATION"], &rows, &none)?;
        Ok(Outcome::Done)
    }
}

/// A release of this host; a table shows nothing of its configuration.
fn if_shown(mut release: HostRelease, host: &str, output: Option<Format>) -> Option<HostRelease> {
    if let (None, Some(configuration)) = (output, &mut release.spec.configuration) {
        configuration.ciphertext = String::new();
    }
    Some(release).filter(|release| release.spec.host_name == host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_api::{HostReleaseSpec, SealedConfiguration, Sealing};
    use metal_runtime::testing::ApiServer;

    #[tokio::test]
    async fn of_a_long_list_the_releases_of_the_host_are_kept_and_for_a_table_no_configuration() {
        let server = ApiServer::default();
        for (name, host) in [("web-1-v1", "web-1"), ("web-1-v2", "web-1"), ("web-2-v1", "web-2")] {
            server.put(&release(name, host));
        }
        server.page(1);
        let api = Api::<HostRelease>::namespaced(server.client("org"), "org");
        for (output, sealed) in [(None, ""), (Some(Format::Json), "AAAA")] {
            let keep = |release| if_shown(release, "web-1", output);
            let ours = kept(&api, AT_A_TIME, keep).await.unwrap();
            let told: Vec<_> = ours
                .iter()
                .map(|it| (it.name_any(), it.spec.configuration.clone().unwrap().ciphertext))
                .collect();
            let expected =
                ["web-1-v1", "web-1-v2"].map(|name| (name.to_owned(), sealed.to_owned()));
            assert_eq!(told, expected);
        }
    }

    fn release(name: &str, host: &str) -> HostRelease {
        let algorithm = Sealing::P256HkdfSha256Aes256Gcm;
        let configuration = Some(SealedConfiguration { algorithm, ciphertext: "AAAA".to_owned() });
        let (host_name, image) = (host.to_owned(), "image".to_owned());
        let spec = HostReleaseSpec { host_name, image, configuration };
        let mut release = HostRelease::new(name, spec);
        release.metadata.namespace = Some("org".to_owned());
        release
    }
}
