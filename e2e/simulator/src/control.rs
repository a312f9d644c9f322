//! The control API: how a test or a person acts on a fleet from outside.
//!
//! | request | does |
//! |---|---|
//! | `GET /summary` | all machines in numbers |
//! | `GET /ca` | the certificate of the authority behind the BMCs, in PEM |
//! | `GET /machines` | all machines, without journals |
//! | `GET /machines/<i>` | one machine, with its journal |
//! | `POST /machines/<i>/reset` `{"ResetType": ".."}` | the button at the machine |
//! | `POST /machines/<i>/plug`, `/unplug` | the cables |
//! | `POST /machines/<i>/faults`, `POST /faults` | adds a [`Fault`]; answers `{"id": n}` |
//! | `GET /faults`, `DELETE /faults`, `DELETE /faults/<id>` | lists and removes faults |

use super::{
    faults::{Fault, FaultError},
    fleet::Fleet,
    machine::Machine,
    power::Reset,
    report::{self, Detail, MachineReport, Summary},
    reset::{self, Outcome},
    tls::Authority,
};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use tokio::{net::TcpListener, time::Instant};

/// Serves until the fleet stops.
pub(super) async fn run(fleet: Arc<Fleet>, listener: TcpListener) {
    let stop = fleet.stop.clone();
    let serve = axum::serve(listener, router(fleet));
    if let Some(Err(error)) = stop.run_until_cancelled(async move { serve.await }).await {
        tracing::warn!(%error, "control API ended");
    }
}

fn router(fleet: Arc<Fleet>) -> Router {
    Router::new()
        .route("/summary", get(summary))
        .route("/ca", get(ca))
        .route("/machines", get(machines))
        .route("/machines/{index}", get(machine))
        .route("/machines/{index}/reset", post(reset))
        .route("/machines/{index}/plug", post(plug))
        .route("/machines/{index}/unplug", post(unplug))
        .route("/machines/{index}/faults", post(add_machine_fault))
        .route("/faults", get(faults).post(add_fault).delete(remove_faults))
        .route("/faults/{id}", delete(remove_fault))
        .with_state(fleet)
}

/// Why a request cannot be served.
enum Refusal {
    NoSuchMachine,
    Fault(FaultError),
    PowerState,
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = match self {
            Self::NoSuchMachine => (StatusCode::NOT_FOUND, "there is no such machine".to_owned()),
            Self::Fault(error) => (StatusCode::BAD_REQUEST, error.to_string()),
            Self::PowerState => (StatusCode::CONFLICT, "not in this power state".to_owned()),
        };
        (status, Json(json!({ "error": text }))).into_response()
    }
}

fn find(fleet: &Fleet, index: u32) -> Result<&Machine, Refusal> {
    fleet.machine(index).ok_or(Refusal::NoSuchMachine)
}

async fn summary(State(fleet): State<Arc<Fleet>>) -> Json<Summary> {
    Json(report::summary(&fleet))
}

async fn ca(State(fleet): State<Arc<Fleet>>) -> Result<String, StatusCode> {
    fleet.authority.as_ref().map(Authority::pem).ok_or(StatusCode::NOT_FOUND)
}

async fn machines(State(fleet): State<Arc<Fleet>>) -> Json<Vec<MachineReport>> {
    let brief = |machine| report::machine(&fleet, machine, Detail::Brief);
    Json(fleet.machines().iter().map(brief).collect())
}

async fn machine(
    State(fleet): State<Arc<Fleet>>,
    Path(index): Path<u32>,
) -> Result<Json<MachineReport>, Refusal> {
    Ok(Json(report::machine(&fleet, find(&fleet, index)?, Detail::Whole)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResetRequest {
    #[serde(rename = "ResetType", deserialize_with = "reset_type")]
    reset: Reset,
}

fn reset_type<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Reset, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

async fn reset(
    State(fleet): State<Arc<Fleet>>,
    Path(index): Path<u32>,
    Json(request): Json<ResetRequest>,
) -> Result<StatusCode, Refusal> {
    match reset::reset(&fleet, find(&fleet, index)?, request.reset) {
        Outcome::Takes(_) => Ok(StatusCode::NO_CONTENT),
        Outcome::Refused => Err(Refusal::PowerState),
    }
}

async fn plug(
    State(fleet): State<Arc<Fleet>>,
    Path(index): Path<u32>,
) -> Result<StatusCode, Refusal> {
    reset::plug(&fleet, find(&fleet, index)?);
    Ok(StatusCode::NO_CONTENT)
}

async fn unplug(
    State(fleet): State<Arc<Fleet>>,
    Path(index): Path<u32>,
) -> Result<StatusCode, Refusal> {
    reset::unplug(&fleet, find(&fleet, index)?);
    Ok(StatusCode::NO_CONTENT)
}

async fn add_fault(
    State(fleet): State<Arc<Fleet>>,
    Json(fault): Json<Fault>,
) -> Result<Response, Refusal> {
    let id = fleet.faults.add(fault, Instant::now()).map_err(Refusal::Fault)?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))).into_response())
}

async fn add_machine_fault(
    State(fleet): State<Arc<Fleet>>,
    Path(index): Path<u32>,
    Json(fault): Json<Fault>,
) -> Result<Response, Refusal> {
    find(&fleet, index)?;
    add_fault(State(fleet), Json(fault.only(index))).await
}

#[derive(Serialize)]
struct ListedFault {
    id: u32,
    #[serde(flatten)]
    fault: Fault,
}

async fn faults(State(fleet): State<Arc<Fleet>>) -> Json<Vec<ListedFault>> {
    let listed = |(id, fault)| ListedFault { id, fault };
    Json(fleet.faults.list().into_iter().map(listed).collect())
}

async fn remove_faults(State(fleet): State<Arc<Fleet>>) -> StatusCode {
    fleet.faults.remove(None);
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(fleet): State<Arc<Fleet>>, Path(id): Path<u32>) -> StatusCode {
    fleet.faults.remove(Some(id));
    StatusCode::NO_CONTENT
}
