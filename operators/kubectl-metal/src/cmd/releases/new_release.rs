//! A release, from what a person gives.

use crate::{
    cmd::names,
    configuration::{plain, with_schema},
    connection::Connection,
    image::{Known, RegistryArgs},
    output::{DryRun, warn},
    seal::seal,
};
use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use kube::{Api, Client, ResourceExt};
use metal_api::{Host, HostRelease, HostReleaseSpec, SealedConfiguration};
use metal_configuration::{MARKER, Package};
use metal_core::rented_host::PublicKey;
use std::path::PathBuf;

/// Which release.
#[derive(Debug, Args)]
pub(super) struct ReleaseArgs {
    /// The release
    #[arg(value_parser = release_or_file, value_name = "ORG/HOST:TAG")]
    pub(super) release: String,
    /// Bootable container image, by its digest or by a tag, in place of which its digest is kept
    #[arg(long, value_name = "IMAGE")]
    pub(super) image: String,
    /// Configuration of the host, in YAML or JSON; encrypted here, so that the cluster never sees it
    #[arg(long, value_name = "FILE")]
    config_file: Option<PathBuf>,
    /// JSON schema for the configuration [default: the one of the image]
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    #[command(flatten)]
    pub(super) registry: RegistryArgs,
}

/// What is to be started may be a file as well.
fn release_or_file(text: &str) -> Result<String, String> {
    if names::is_file(text) { Ok(text.to_owned()) } else { names::release_of_host(text) }
}

/// A release that was made.
pub(super) struct CreatedRelease {
    pub(super) client: Client,
    pub(super) org: String,
    pub(super) host: String,
    pub(super) release: HostRelease,
}

/// What the image has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ImageRequirement {
    /// It may be any.
    None,
    /// It is one that says what its configuration has to be, as far as its registry can be asked.
    HasMarker,
}

impl ReleaseArgs {
    /// Makes the release, after its configuration was checked.
    pub(super) async fn make(
        &self,
        connection: &Connection,
        needs: ImageRequirement,
        dry_run: DryRun,
    ) -> Result<CreatedRelease> {
        let (org, host, name) = names::release(&self.release)?;
        let image = self.registry.pin("--image", &self.image).await?;
        let known = match needs {
            ImageRequirement::None if self.config_file.is_none() => None,
            ImageRequirement::None | ImageRequirement::HasMarker => {
                Some(self.registry.ask(&image).await?)
            }
        };
        let of_image = self.package(known, needs)?;
        let package = match &self.schema {
            Some(file) => Some(with_schema(file, of_image)?),
            None => of_image,
        };
        let plain = plain(self.config_file.as_deref(), package)?;
        let client = connection.client().await?;
        let found = Api::<Host>::namespaced(client.clone(), org).get(host).await;
        let found = found.with_context(|| format!("Host {org}/{host}"))?;
        let configuration = match plain {
            Some(plain) => Some(sealed(&found, org, &plain)?),
            None => None,
        };
        let (host_name, image) = (host.to_owned(), image.to_string());
        let spec = HostReleaseSpec { host_name, image, configuration };
        let mut release = HostRelease::new(&name, spec);
        release.metadata.namespace = Some(org.to_owned());
        if dry_run != DryRun::Client {
            let api = Api::namespaced(client.clone(), org);
            let created = create(&api, &release, dry_run).await;
            release = created.with_context(|| format!("HostRelease {org}/{name}"))?;
        }
        Ok(CreatedRelease { client, org: org.to_owned(), host: host.to_owned(), release })
    }

    fn package(&self, known: Option<Known>, needs: ImageRequirement) -> Result<Option<Package>> {
        let image = &self.image;
        match known {
            Some(Known::Configurable(package)) => Ok(Some(package)),
            Some(Known::Plain) if needs == ImageRequirement::HasMarker => bail!(
                "--image: {image} is not configurable: it has no annotation {MARKER}=1; docs/hosts.md says \
                 what an image needs"
            ),
            Some(Known::Unknown(why)) => {
                let unchecked = if self.schema.is_none() && self.config_file.is_some() {
                    "; the configuration is encrypted as it is, without a check and without templates"
                } else {
                    ""
                };
                warn(&format!("the image was not looked at: {why}{unchecked}"));
                Ok(None)
            }
            Some(Known::Plain) | None => Ok(None),
        }
    }
}

/// Creates a release, or finds the very same that an earlier attempt has left.
async fn create(
    api: &Api<HostRelease>,
    release: &HostRelease,
    dry_run: DryRun,
) -> Result<HostRelease> {
    let refused = match api.create(&dry_run.post(), release).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => status,
        created => return Ok(created?),
    };
    let there = api.get(&release.name_any()).await?;
    if there.spec == release.spec {
        return Ok(there);
    }
    // Two hosts and tags may make one name: `web-1:v1` and `web:1-v1`.
    let (of, host) = (&there.spec.host_name, &release.spec.host_name);
    ensure!(of == host, "there is one of this name for host {of}: choose another tag");
    let (org, name) = (release.namespace().unwrap_or_default(), release.name_any());
    let tag = name.get(host.len() + 1..).unwrap_or_default();
    Err(anyhow!(kube::Error::Api(refused)).context(format!(
        "it is there, and cannot be changed: choose another tag, or have the host run what is there: \
         kubectl metal hosts activate {org}/{host}:{tag}"
    )))
}

fn sealed(host: &Host, org: &str, plain: &[u8]) -> Result<SealedConfiguration> {
    let key = PublicKey::parse(&host.spec.public_key).context("spec.publicKey")?;
    seal(&key, &format!("{org}/{}", host.name_any()), plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_runtime::testing::ApiServer;

    #[tokio::test]
    async fn a_release_that_an_attempt_has_left_is_taken_and_another_of_its_name_is_not() {
        let server = ApiServer::default();
        let api = Api::namespaced(server.client("org"), "org");
        let release = |host: &str, image: &str| {
            let (host_name, image) = (host.to_owned(), image.to_owned());
            HostRelease::new("web-1-v1", HostReleaseSpec { host_name, image, configuration: None })
        };
        let first = create(&api, &release("web-1", "a"), DryRun::None).await.unwrap();
        let again = create(&api, &release("web-1", "a"), DryRun::None).await.unwrap();
        assert_eq!(again.metadata.uid, first.metadata.uid);
        let other = create(&api, &release("web-1", "b"), DryRun::None).await.unwrap_err();
        assert!(other.to_string().contains("metal hosts activate /web-1:v1"), "{other:#}");
        let other = crate::failure::chain(&other);
        assert!(other.contains("choose another tag"), "{other}");
        let host = create(&api, &release("web", "a"), DryRun::None).await.unwrap_err().to_string();
        assert_eq!(host, "there is one of this name for host web-1: choose another tag");
    }
}
