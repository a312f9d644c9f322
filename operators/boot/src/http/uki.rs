//! What firmware loads by UEFI HTTP boot.

use super::{
    AppState, files,
    identity::Requester,
    image::{EFI, blob_of, finish, linked},
};
use crate::blob_refs;
use axum::{
    extract::{Path, State},
    http::{HeaderMap, Method as Verb},
    response::Response,
};
use metal_core::boot::url;
use std::sync::Arc;

/// A UKI for firmware, or a file beside it.
pub(super) async fn uki(
    State(state): State<Arc<AppState>>,
    Path(path): Path<String>,
    asker: Requester,
    method: Verb,
    headers: HeaderMap,
) -> Response {
    let Some(blob) = url::uki_path(&path).as_ref().and_then(blob_refs::parse) else {
        return files::beside(&state, &asker, &path, (&method, &headers)).await;
    };
    let answer = match state.patiently(&asker, || linked(&state, &asker, &path, &blob)).await {
        Ok(()) => blob_of(&state, &blob).await,
        Err(refusal) => Err(refusal.into()),
    };
    finish(&state, "uki", answer, &method, &headers, EFI)
}
