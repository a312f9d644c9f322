//! `/media/<token>.iso`: the medium that a BMC inserts for one boot.
//!
//! Anybody with the URL can read what the machine boots, and the URL of its ignition, so it
//! contains a token for one boot and a limited time. The same token always leads to the same bytes.

use super::{
    AppState,
    identity::Requester,
    ignition,
    image::{ContentRequest, Refused, Resource, blob_of, finish},
    select::of_boot,
};
use crate::{
    blob_refs,
    medium::{Medium, Part},
    view::named,
};
use axum::{
    extract::{Path, State},
    response::Response,
};
use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};
use jiff::Timestamp;
use metal_core::{
    boot::{Refusal, decision::Method, url},
    capability::{Claims, Purpose, verify},
};
use metal_image::{Content, store::Blob};
use std::{io, ops::Range, sync::Arc};

const ISO: Resource = Resource { endpoint: "media", content_type: "application/vnd.efi.iso" };

/// A medium.
pub(super) async fn medium(
    State(state): State<Arc<AppState>>,
    Path(file): Path<String>,
    request: ContentRequest,
) -> Response {
    let answer = answer(&state, &file).await;
    finish(&state, ISO, answer, &request)
}

async fn answer(state: &AppState, file: &str) -> Result<Image, Refused> {
    let claims = claims(state, file)?;
    // The URL is for one boot and a limited time; the ignition that it leads to has its own window.
    let (chosen, uuid) = of_boot(state, &claims, Method::is_virtual_media, &Requester::Medium)?;
    let spec = &chosen.config.spec;
    let uki = spec.uki_url.as_deref().and_then(url::named).as_ref().and_then(blob_refs::parse);
    let uki = blob_of(state, &uki.ok_or(Refusal::NoContent)?).await?;
    let url = match named(spec.ignition_secret_ref.as_ref()) {
        Some(_) => {
            let service = state.urls.service.as_deref().ok_or(Refusal::Disabled)?;
            let path = ignition::path(state, &chosen, claims.expires, uuid)?;
            Some(format!("{service}/{path}"))
        }
        None => None,
    };
    let unusable = |why: String| Refused::Refusal(Refusal::Unusable { why });
    let architecture = state.architecture.parse();
    let architecture = architecture.map_err(|_| {
        unusable(format!("virtual media are not available for architecture {}", state.architecture))
    })?;
    let medium = Medium::new(architecture, uki.size(), url.as_deref());
    let medium = medium.map_err(|unfit| unusable(unfit.to_string()))?;
    Ok(Image { medium, uki, expires: claims.expires })
}

fn claims(state: &AppState, file: &str) -> Result<Claims, Refusal> {
    let token = file.strip_suffix(".iso").ok_or(Refusal::NoContent)?;
    verify(&[state.key()?], token, Purpose::Medium, Timestamp::now())
        .map_err(|_| Refusal::Forbidden)
}

/// A medium with its UKI.
struct Image {
    medium: Medium,
    uki: Blob,
    expires: Timestamp,
}

impl Content for Image {
    fn tag(&self) -> String {
        format!("{}.{}", self.uki.digest(), self.expires.as_second())
    }

    fn size(&self) -> u64 {
        self.medium.size()
    }

    fn read(&self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        let uki = self.uki.clone();
        let parts = stream::iter(self.medium.parts(range));
        Box::pin(parts.flat_map(move |part| match part {
            Part::Bytes(bytes) => stream::iter([Ok(Bytes::from(bytes))]).boxed(),
            Part::Uki(range) => uki.read(range),
        }))
    }
}
