//! BMCs that send more than they may.

use crate::shared::{pxe, run, settings};
use anyhow::{Context, ensure};
use axum::{
    Router,
    body::Bytes,
    extract::Request,
    http::{Method, StatusCode, header::CONTENT_ENCODING},
    response::{IntoResponse, Response},
};
use e2e::{
    cluster::{eventually, unique},
    stack::{Settings, Stack},
};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use metal_api::{
    Bmc, BmcSecret, BmcSecretSpec, BmcSpec, InlineAccess, LocalObjectReference, ServerState,
    condition,
};
use miniz_oxide::deflate::compress_to_vec_zlib;
use serde_json::json;
use std::{net::Ipv4Addr, sync::LazyLock, time::Duration};
use tokio::{net::TcpListener, task::JoinSet};

const BMCS: u8 = 60;
const LIMIT: Duration = Duration::from_mins(2);
const READY: Duration = Duration::from_mins(2);
/// What `bases/` gives metal-operator.
const MEMORY: u64 = 512 << 20;
const PAGES: &str = "/redfish/v1/Systems";

#[test]
fn sixty_bmcs_that_send_too_much_cost_neither_memory_nor_others_nor_a_restart() {
    run(async {
        let stack = Stack::start(Settings { fleets: vec![pxe()], ..settings() }).await.unwrap();
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        let app = Router::new().fallback(async |request: Request| answer(&request));
        tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        create(&stack, port).await;

        let machine = stack.machine(0, 0).unwrap();
        machine.plug_in().await.unwrap();
        machine.enters(ServerState::Available).await.unwrap();
        all_misbehave(&stack, port).await;
        for moment in ["at first", "after a restart"] {
            let peak = stack.metal.peak_memory().unwrap();
            assert!(peak < MEMORY, "{peak} bytes {moment}");
            stack.metal.kill().await.unwrap();
            stack.metal.start().unwrap();
            stack.metal.ready(READY).await.unwrap();
            let machine = stack.machine(0, u32::from(moment == "at first") + 1).unwrap();
            machine.plug_in().await.unwrap();
            machine.enters(ServerState::Available).await.unwrap();
        }
    });
}

async fn create(stack: &Stack, port: u16) {
    let name = unique("hostile");
    let (bmcs, secrets) =
        (Api::<Bmc>::all(stack.client.clone()), Api::<BmcSecret>::all(stack.client.clone()));
    let values = [("username", "foo"), ("password", "bar")];
    let string_data = Some(values.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    let spec = BmcSecretSpec { string_data, ..BmcSecretSpec::default() };
    secrets.create(&PostParams::default(), &BmcSecret::new(&name, spec)).await.unwrap();
    for index in 0..BMCS {
        let mut bmc = Bmc::new(&format!("{name}-{index}"), BmcSpec::default());
        bmc.spec.bmc_secret_ref = LocalObjectReference { name: name.clone() };
        bmc.spec.protocol.name = "Redfish".into();
        bmc.spec.protocol.scheme = Some("http".into());
        bmc.spec.protocol.port = port.into();
        let ip = Some(Ipv4Addr::new(127, 9, 0, index + 1).to_string());
        bmc.spec.access = Some(InlineAccess { ip, ..InlineAccess::default() });
        bmcs.create(&PostParams::default(), &bmc).await.unwrap();
    }
}

async fn all_misbehave(stack: &Stack, port: u16) {
    let bmcs = Api::<Bmc>::all(stack.client.clone());
    eventually(LIMIT, async || {
        let all = bmcs.list(&ListParams::default()).await?;
        let hostile = all.items.iter().filter(|bmc| bmc.spec.protocol.port == i32::from(port));
        for bmc in hostile {
            let status = bmc.status.as_ref().context("no status")?;
            let ready = status.conditions.iter().find(|it| it.type_ == condition::READY);
            let ready = ready.context("no condition")?;
            ensure!(ready.reason == "Misbehaving", "{ready:?}");
            ensure!(ready.message.contains(PAGES), "{ready:?}");
        }
        Ok(())
    })
    .await
    .unwrap();
}

/// Long pages: of many objects, compressed, or without end.
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
