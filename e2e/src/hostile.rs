//! BMCs whose answers are too large.

use crate::{cluster::unique, stack::Stack};
use anyhow::{Context, Result, ensure};
use axum::{
    Router,
    body::Bytes,
    extract::Request,
    http::{Method, StatusCode, header::CONTENT_ENCODING},
    response::{IntoResponse, Response},
};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use metal_api::{
    Bmc, BmcSecret, BmcSecretSpec, BmcSpec, InlineAccess, LocalObjectReference, condition,
};
use miniz_oxide::deflate::compress_to_vec_zlib;
use serde_json::json;
use std::{net::Ipv4Addr, sync::LazyLock};
use tokio::{net::TcpListener, task::JoinSet};

/// The collection that is too large.
pub const PAGES: &str = "/redfish/v1/Systems";

/// BMCs that answer until this is dropped.
#[derive(Debug)]
pub struct LongAnswers {
    port: u16,
    _serving: JoinSet<()>,
}

impl LongAnswers {
    /// Starts them, on a free port at every loopback address.
    ///
    /// # Errors
    ///
    /// If no port is free.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        let port = listener.local_addr()?.port();
        let mut serving = JoinSet::new();
        let app = Router::new().fallback(async |request: Request| answer(&request));
        serving.spawn(async move {
            // Serves until the task is aborted.
            axum::serve(listener, app).await.ok();
        });
        Ok(Self { port, _serving: serving })
    }

    /// Creates the objects of `number` of them.
    ///
    /// # Errors
    ///
    /// Errors of the API server.
    pub async fn plug_in(&self, stack: &Stack, number: u8) -> Result<()> {
        let name = unique("hostile");
        let client = &stack.client;
        let (bmcs, secrets) =
            (Api::<Bmc>::all(client.clone()), Api::<BmcSecret>::all(client.clone()));
        let values = [("username", "foo"), ("password", "bar")];
        let string_data = values.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let spec = BmcSecretSpec { string_data: Some(string_data), ..BmcSecretSpec::default() };
        secrets.create(&PostParams::default(), &BmcSecret::new(&name, spec)).await?;
        for index in 0..number {
            let mut bmc = Bmc::new(&format!("{name}-{index}"), BmcSpec::default());
            bmc.spec.bmc_secret_ref = LocalObjectReference { name: name.clone() };
            bmc.spec.protocol.name = "Redfish".into();
            bmc.spec.protocol.scheme = Some("http".into());
            bmc.spec.protocol.port = self.port.into();
            let ip = Some(Ipv4Addr::new(127, 9, 0, index + 1).to_string());
            bmc.spec.access = Some(InlineAccess { ip, ..InlineAccess::default() });
            bmcs.create(&PostParams::default(), &bmc).await?;
        }
        Ok(())
    }

    /// Waits until every BMC's condition says that its answer is too large, and which one.
    ///
    /// # Errors
    ///
    /// If one does not say so in time.
    pub async fn all_misbehave(&self, stack: &Stack) -> Result<()> {
        let bmcs = Api::<Bmc>::all(stack.client.clone());
        let all = bmcs.list(&ListParams::default()).await?;
        let hostile = all.items.iter().filter(|it| it.spec.protocol.port == i32::from(self.port));
        for bmc in hostile {
            let status = bmc.status.as_ref().context("no status")?;
            let ready = status.conditions.iter().find(|it| it.type_ == condition::READY);
            let ready = ready.context("no condition")?;
            ensure!(ready.reason == "Misbehaving", "{ready:?}");
            ensure!(ready.message.contains(PAGES), "{ready:?}");
        }
        Ok(())
    }
}

/// Pages that are too large: many objects, compressed, or without end.
fn answer(request: &Request) -> Response {
    static OBJECTS: LazyLock<Bytes> = LazyLock::new(|| {
        let members = "{\"a\":1},".repeat(230_000);
        format!("{{\"Oem\": [{members}{{}}], \"Members\": []}}").into()
    });
    static BOMB: LazyLock<Bytes> =
        LazyLock::new(|| compress_to_vec_zlib(&vec![b' '; 64 << 20], 6).into());
    let path = request.uri().path();
    if *request.method() == Method::POST {
        return (StatusCode::CREATED, [("x-auth-token", "token")]).into_response();
    }
    if path != PAGES {
        let root = json!({
            "Systems": {"@odata.id": PAGES},
            "Links": {"Sessions": {"@odata.id": "/redfish/v1/SessionService/Sessions"}},
        });
        return root.to_string().into_response();
    }
    let page: u32 = request.uri().query().and_then(|query| query.parse().ok()).unwrap_or(0);
    let host = request.headers().get("host").and_then(|host| host.to_str().ok());
    let last = host.and_then(|host| host.split([':', '.']).nth(3)?.parse::<u8>().ok());
    match last.unwrap_or(0) % 3 {
        0 => OBJECTS.clone().into_response(),
        1 => ([(CONTENT_ENCODING, "deflate")], BOMB.clone()).into_response(),
        _ => {
            let next = format!("{PAGES}?{}", page + 1);
            let oem = "x".repeat(1_800_000);
            json!({"Members": [], "Members@odata.nextLink": next, "Oem": oem})
                .to_string()
                .into_response()
        }
    }
}
