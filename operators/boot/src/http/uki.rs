//! What firmware loads by UEFI HTTP boot.

use super::{
    AppState, files,
    image::{ContentRequest, EFI, Resource, blob_of, finish, linked},
};
use crate::blob_refs;
use axum::{
    extract::{Path, State},
    response::Response,
};
use metal_core::boot::url;
use std::sync::Arc;

const UKI: Resource = Resource { endpoint: "uki", content_type: EFI };

/// A UKI for firmware, or a file beside it.
pub(super) async fn uki(
    State(state): State<Arc<AppState>>,
    Path(path): Path<String>,
    request: ContentRequest,
) -> Response {
    // A base with a slash at its end makes a URL with two.
    let path = path.trim_start_matches('/');
    let Some(blob) = url::uki_path(path).as_ref().and_then(blob_refs::parse) else {
        return files::beside(&state, path, &request).await;
    };
    let asker = &request.asker;
    let answer = match state.patiently(asker, || linked(&state, asker, path, &blob)).await {
        Ok(()) => blob_of(&state, &blob).await,
        Err(refusal) => Err(refusal.into()),
    };
    finish(&state, UKI, answer, &request)
}
