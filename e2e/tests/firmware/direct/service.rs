//! A boot service and a registry for the machine, with the real wire formats.

use super::machine::UUID;
use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use e2e::cluster::workspace;
use metal_api::inventory::Registration;
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, sync::mpsc, task::AbortHandle, time::timeout};

pub(super) const REGISTRY_TOKEN: &str = "registry-token-of-this-boot";
const BOOT_TOKEN: &str = "boot-token";
const LIMIT: Duration = Duration::from_mins(10);
/// The host, as the machine sees it.
const HOST: &str = "10.0.2.2";

/// The answer to a machine that asks for its configuration.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    /// 404.
    Unknown,
    /// A configuration without the agent.
    Tenant,
}

/// Both services, on one port.
pub(super) struct Service {
    address: SocketAddr,
    registrations: mpsc::Receiver<Registration>,
    task: AbortHandle,
}

struct Shared {
    /// Answers to the first requests.
    answers: Mutex<VecDeque<Answer>>,
    address: SocketAddr,
    registrations: mpsc::Sender<Registration>,
}

impl Service {
    /// Starts them; the first requests get `answers`, and all others the configuration with the
    /// agent.
    pub(super) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, registrations) = mpsc::channel(16);
        let answers = Mutex::new(answers.into_iter().collect());
        let shared = Arc::new(Shared { answers, address, registrations: sender });
        let router = Router::new()
            .route(&format!("/ignition/t/{BOOT_TOKEN}/{UUID}"), get(ignition))
            .route(&format!("/t/{REGISTRY_TOKEN}/register"), post(register))
            .with_state(shared);
        let serve = tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, registrations, task: serve.abort_handle() }
    }

    /// The kernel arguments, as in the script that boot-operator makes, and the two that keep the
    /// timer periodic: QEMU without KVM loses a timer interrupt now and then, and a kernel that
    /// waits for that very one (seen with two processors: "Possible timer handling issue") hangs.
    pub(super) fn command_line(&self) -> String {
        let url = format!("http://{HOST}:{}/ignition/t/{BOOT_TOKEN}/{UUID}", self.address.port());
        format!(
            "initrd=initrd ip=any ignition.firstboot=1 ignition.config.url={url} \
             ignition.platform.id=metal console=ttyS0,115200 console=tty0 console=ttyAMA0 \
             earlyprintk=ttyS0,115200 consoleblank=0 nohz=off highres=off"
        )
    }

    /// The next report.
    pub(super) async fn registration(&mut self) -> Result<Registration> {
        let next = timeout(LIMIT, self.registrations.recv()).await;
        next.context("nothing was reported")?.context("the service has ended")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn ignition(State(shared): State<Arc<Shared>>) -> Response {
    let answer = shared.answers.lock().unwrap().pop_front();
    match answer {
        Some(Answer::Unknown) => StatusCode::NOT_FOUND.into_response(),
        Some(Answer::Tenant) => Json(document(&json!([]))).into_response(),
        None => Json(document(&units(shared.address.port()))).into_response(),
    }
}

async fn register(
    State(shared): State<Arc<Shared>>,
    Json(registration): Json<Registration>,
) -> StatusCode {
    // Once the test has seen enough, nobody receives.
    shared.registrations.try_send(registration).ok();
    StatusCode::CREATED
}

fn document(units: &Value) -> Value {
    json!({ "ignition": { "version": "3.2.0" }, "systemd": { "units": units } })
}

/// The units of metal-operator's default template.
fn units(port: u16) -> Value {
    let template = workspace().join("operators/ignition/src/discovery/ignition-template.yaml");
    let registry = format!("http://{HOST}:{port}/t/{REGISTRY_TOKEN}");
    let flags = format!("--registry-url={registry} --server-uuid={UUID}");
    let text = fs::read_to_string(template).unwrap().replace("{{ .Flags }}", &flags);
    let text = text.replace("{{ .Image }}", "registry.example/metalprobe:1");
    let text = text.replace("{{ .PasswordHash }}", "hash").replace("{{ .SSHPublicKey }}", "key");
    let butane: Value = serde_saphyr::from_str(&text).unwrap();
    butane["systemd"]["units"].clone()
}
