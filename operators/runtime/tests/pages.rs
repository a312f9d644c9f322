//! What a tenant can make every client hold that watches a kind of theirs. In a separate process,
//! because its peak memory is measured.

#![allow(clippy::unwrap_used, reason = "a test may; these are its helpers")]

use http::{Request, Response};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Client, client::Body};
use metal_runtime::{
    follow,
    index::{Change, Index},
};
use std::{
    convert::Infallible,
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::mpsc::unbounded_channel, time::timeout};

/// Objects of the tenant.
const OBJECTS: usize = 160;
/// Short strings in each object: some 900 kB of JSON, several megabytes once parsed.
const TEXTS: usize = 42_000;
/// Memory limit for watching them.
const MEMORY: usize = 256 << 20;

#[tokio::test]
async fn objects_too_large_to_keep_are_told_of_and_cost_no_memory() {
    let limits = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&limits);
    let service = tower::service_fn(move |request: Request<Body>| {
        let limits = Arc::clone(&seen);
        let query = request.uri().query().unwrap_or_default().to_owned();
        async move { Ok::<_, Infallible>(answer(&query, &limits).await) }
    });
    let client = Client::new(service, "default");
    let index = Index::<ConfigMap, ()>::new(|_| vec![]);
    let (tell, mut told) = unbounded_channel();
    let following = follow(&client, &index, |change| {
        if let Change::Unreadable { meta, error, .. } = change {
            tell.send((meta.name.clone().unwrap(), error.to_owned())).unwrap();
        }
    });
    let all = async {
        let mut all = Vec::new();
        while all.len() < OBJECTS {
            all.push(told.recv().await.unwrap());
        }
        all
    };
    let all = timeout(Duration::from_mins(2), async {
        tokio::select! {
            all = all => all,
            ended = following => unreachable!("{ended:?}"),
        }
    });
    let all = all.await.unwrap();
    assert!(index.is_empty());
    assert_eq!(all[0].0, "c0");
    assert!(all.iter().all(|(_, error)| error.starts_with("data.k")), "{:?}", all[0]);
    let limits = limits.lock().unwrap();
    assert_eq!(limits.len(), OBJECTS.div_ceil(25));
    let peak = peak();
    assert!(peak < MEMORY, "{} MiB", peak >> 20);
}

async fn answer(query: &str, limits: &Mutex<Vec<usize>>) -> Response<Body> {
    let value = |name: &str| {
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned)
    };
    if value("watch").is_some() {
        return std::future::pending().await;
    }
    let limit: usize = value("limit").unwrap().parse().unwrap();
    let from: usize = value("continue").map_or(0, |text| text.parse().unwrap());
    limits.lock().unwrap().push(limit);
    let to = (from + limit).min(OBJECTS);
    let items: Vec<String> = (from..to).map(object).collect();
    let next = if to < OBJECTS { to.to_string() } else { String::new() };
    let list = format!(
        r#"{{"apiVersion":"v1","kind":"ConfigMapList","metadata":{{"resourceVersion":"7","continue":"{next}"}},"items":[{}]}}"#,
        items.join(",")
    );
    Response::new(Body::from(list.into_bytes()))
}

fn object(number: usize) -> String {
    let data: Vec<String> = (0..TEXTS).map(|n| format!(r#""k{n:06}":"0123456""#)).collect();
    format!(
        r#"{{"data":{{{}}},"metadata":{{"name":"c{number}","namespace":"tenant","uid":"u"}}}}"#,
        data.join(",")
    )
}

/// The peak memory of this process in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}
