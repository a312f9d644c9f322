//! What cloud-init fetches besides files, and the progress that it reports.

use super::{Requester, Unserved, files::TEXT, unavailable};
use crate::{
    Context,
    confirm::Confirmed,
    image_files::{FileRequest, Proof, Refused, Served, opened},
    status_writes::{self, Decision, record},
    user_data::UserDataError,
};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use jiff::Timestamp;
use kube::ResourceExt;
use metal_api::Machine;
use metal_machine::provisioning::{
    cloud_init::{DEFAULT_USER_DATA, LARGEST, check, user_data as merged},
    progress,
    user_data::{InvalidUserData, reference, with_condition},
};
use metal_runtime::report::Chain;
use std::{io, sync::Arc};

/// Path of the vendor-data in an image.
const VENDOR_DATA: &str = "cloud-init/vendor-data";

/// The user-data of a person, followed by that of the image.
pub(super) async fn user_data(State(ctx): State<Arc<Context>>, requester: Requester) -> Response {
    let Confirmed { machine, is_live } = match requester.confirmed(&ctx).await {
        Ok(confirmed) => confirmed,
        Err(refused) => return *refused,
    };
    let user = match reference(&machine) {
        None => Ok(DEFAULT_USER_DATA.as_bytes().to_vec()),
        Some(reference) => {
            ctx.user_data.read(&ctx.client, &ctx.user_data_namespace, reference).await
        }
    };
    let user = match user {
        Ok(user) => Ok(user),
        Err(UserDataError::Unusable(wrong)) => Err(wrong),
        Err(UserDataError::Silent(error)) => {
            if requester.may_tell() {
                tracing::warn!(
                    machine = machine.name_any(),
                    error = %Chain(&*error),
                    "could not read user-data",
                );
            }
            return unavailable("the API server did not respond");
        }
        Err(UserDataError::Late) => return unavailable("the API server did not respond in time"),
    };
    let vendor = vendor_data(&ctx, &requester, &machine, is_live).await;
    let said = user.and_then(|user| {
        let vendor = vendor.as_ref().ok().and_then(Option::as_deref);
        check(&user, vendor)?;
        Ok(merged(&user, vendor))
    });
    // Without the image it is unknown whether the two can be combined.
    if said.is_err() || vendor.is_ok() {
        say(&ctx, &machine, said.as_ref().err()).await;
    }
    match (said, vendor) {
        (Err(wrong), _) => (StatusCode::NOT_FOUND, format!("{wrong}\n")).into_response(),
        (Ok(_), Err(why)) => {
            Unserved { machine: &machine, path: VENDOR_DATA, why }.answered(&ctx, &requester)
        }
        (Ok(document), Ok(_)) => {
            ([(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, "no-store")], document)
                .into_response()
        }
    }
}

/// Records in the status whether the user-data can be served.
async fn say(ctx: &Context, machine: &Arc<Machine>, wrong: Option<&InvalidUserData>) {
    let recorded = record(ctx, Arc::clone(machine), |machine| {
        let status = with_condition(machine, wrong, Timestamp::now()).map(Box::new);
        Decision { status, result: () }
    });
    if let Err(error) = recorded.await {
        tracing::warn!(
            machine = machine.name_any(),
            error = %Chain(&error),
            "could not record the state of user-data",
        );
    }
}

/// The vendor-data of the image, if it has any.
async fn vendor_data(
    ctx: &Arc<Context>,
    requester: &Requester,
    machine: &Arc<Machine>,
    is_live: bool,
) -> Result<Option<String>, Refused> {
    let url = requester.url(ctx).ok_or(Refused::NotReady)?;
    let (path, proof) = (VENDOR_DATA.to_owned(), Proof::Token(requester.token.clone()));
    let asked = FileRequest { machine: Arc::clone(machine), is_live, path, url, proof };
    match opened(ctx, asked).await {
        Ok(Served::Text(text)) => Ok(Some(text)),
        Ok(Served::File { root, name, file, .. }) if file.size <= LARGEST as u64 => {
            let text = tokio::fs::read(root.join(name)).await;
            let text = text.and_then(|it| String::from_utf8(it).map_err(io::Error::other));
            text.map(Some).map_err(|error| {
                tracing::warn!(%error, path = VENDOR_DATA, "could not read a file of an image");
                Refused::NotReady
            })
        }
        Ok(Served::File { .. }) | Err(Refused::NotFound) => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// A progress report of cloud-init. The response is the same for every report: a booting machine has nobody to
/// complain to.
pub(super) async fn log(
    State(ctx): State<Arc<Context>>,
    requester: Requester,
    body: Bytes,
) -> StatusCode {
    if let (Ok(machine), Ok(event)) = (requester.machine(&ctx), serde_json::from_slice(&body))
        && let Err(error) = follow(&ctx, &machine, &event).await
        && requester.may_tell()
    {
        let name = machine.name_any();
        tracing::warn!(
            machine = name,
            error = %Chain(&error),
            "could not record the progress of cloud-init",
        );
    }
    StatusCode::OK
}

async fn follow(
    ctx: &Context,
    machine: &Arc<Machine>,
    event: &progress::Event,
) -> Result<(), status_writes::Error> {
    let now = Timestamp::now();
    if progress::with_condition(machine, event, now).is_none() {
        return Ok(());
    }
    if !ctx.progress.may(&machine.name_any()) {
        tracing::debug!(machine = machine.name_any(), "too many progress updates");
        return Ok(());
    }
    let decide = |machine: &Machine| {
        let status = progress::with_condition(machine, event, now).map(Box::new);
        Decision { status, result: () }
    };
    record(ctx, Arc::clone(machine), decide).await.map(drop)
}
