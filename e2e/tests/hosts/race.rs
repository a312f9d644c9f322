//! Many machines with one token.

use super::{machine::Machine, site::Site};
use e2e::cluster::Cluster;
use futures::future::join_all;
use metal_api::BootTokenPhase;
use reqwest::StatusCode;

const CLIENTS: usize = 100;

#[tokio::test]
async fn of_a_hundred_machines_with_one_token_exactly_one_becomes_its_host() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let url = site.token("web-1", |_| {}).await.unwrap();
    let machines: Vec<_> = (0..CLIENTS).map(|_| Machine::new().unwrap()).collect();
    let installed = machines[0].install(&url).await.unwrap();

    let asked = join_all(machines.iter().map(|machine| machine.register(&installed))).await;
    let answers: Vec<_> = asked.into_iter().map(|answer| answer.unwrap().0).collect();
    let winners: Vec<_> = (0..CLIENTS).filter(|at| answers[*at] == StatusCode::OK).collect();
    assert_eq!(winners.len(), 1, "{answers:?}");
    // Each of the others is refused, now or when it tries again.
    let is_known = |status: &StatusCode| {
        let later = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
        [StatusCode::OK, StatusCode::FORBIDDEN].contains(status) || later.contains(status)
    };
    assert!(answers.iter().all(is_known), "{answers:?}");
    assert_eq!(site.all().await.unwrap(), ["web-1"]);
    let host = site.hosts().get("web-1").await.unwrap();
    assert_eq!(host.spec.public_key, machines[winners[0]].public_key());
    site.phase("web-1", BootTokenPhase::Consumed).await.unwrap();
    site.event("web-1", "Consumed", "the token is consumed").await.unwrap();
    site.end().await.unwrap();
}

#[tokio::test]
async fn a_hundred_requests_of_one_machine_at_a_time_are_one_boot() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let url = site.token("web-1", |_| {}).await.unwrap();
    let machine = Machine::new().unwrap();
    // Firmware that repeats itself, or a hundred people who open the URL: one boot.
    let asked = join_all((0..CLIENTS).map(|_| machine.boot(&url))).await;
    let good = asked.iter().filter(|boot| boot.is_ok()).count();
    assert!(good >= 1, "{asked:?}");
    let token = site.phase("web-1", BootTokenPhase::Fetched).await.unwrap();
    assert_eq!(token.status.unwrap().attempts, Some(1));
    site.end().await.unwrap();
}
