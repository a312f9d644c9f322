//! The status of a system as bootc reports it (`org.containers.bootc/v1`, `BootcHost`).

use super::image::Image;
use anyhow::{Context, Result};
use serde::Deserialize;

#[derive(Deserialize)]
struct Host {
    status: Status,
}

/// Its deployments.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Status {
    /// The one that runs.
    #[serde(default)]
    pub(super) booted: Option<Deployment>,
    /// The one that replaces it with the next restart.
    #[serde(default)]
    pub(super) staged: Option<Deployment>,
    /// The one that ran before.
    #[serde(default)]
    pub(super) rollback: Option<Deployment>,
    /// Whether that one boots next.
    #[serde(default)]
    pub(super) rollback_queued: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deployment {
    /// Missing if the system was changed by hand.
    #[serde(default)]
    image: Option<Deployed>,
    /// Whether a restart does not activate it.
    #[serde(default)]
    pub(super) download_only: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deployed {
    image: Source,
    /// Digest of the image for this architecture; the name may have that of an index.
    #[serde(default)]
    image_digest: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Source {
    image: String,
}

impl Status {
    /// Parses the output of `bootc status --format=json`.
    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        let host: Host = serde_json::from_slice(text).context("bootc status cannot be read")?;
        Ok(host.status)
    }

    /// Whether this image runs, and still does after a restart.
    pub(super) fn boots_next(&self, wanted: &Image) -> bool {
        !self.rollback_queued
            && is(self.booted.as_ref(), wanted)
            && (self.staged.is_none() || is(self.staged.as_ref(), wanted))
    }
}

/// Whether a deployment is of this image.
pub(super) fn is(deployment: Option<&Deployment>, wanted: &Image) -> bool {
    let Some(deployed) = deployment.and_then(|it| it.image.as_ref()) else { return false };
    let named = Image::parse(&deployed.image.image);
    let digests = [named.digest.as_ref(), deployed.image_digest.as_ref()];
    named.is_of(wanted) && digests.iter().flatten().any(|it| Some(*it) == wanted.digest.as_ref())
}

impl Deployment {
    /// Its image, with its digest.
    pub(super) fn image(&self) -> Option<Image> {
        let deployed = self.image.as_ref()?;
        let image = Image::parse(&deployed.image.image).with(deployed.image_digest.as_deref());
        image.digest.is_some().then_some(image)
    }
}
