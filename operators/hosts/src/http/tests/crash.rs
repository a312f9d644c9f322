//! The server is killed between any two of its writes.

use super::*;
use crate::token::Tokens;
use metal_base::Decision;
use metal_runtime::controller::Controller;
use serde_json::json;
use std::time::Duration;
use tokio::time::timeout;

/// How many writes there are from the first script to a Host: that the URL was opened, the boot, that the
/// installer is done, the registration, the Host, and its UID.
const WRITES: usize = 6;

/// A machine, as far as it has come. It repeats what was not answered.
struct Journey {
    machine: Machine,
    first: Option<String>,
    install: Option<String>,
    credential: Option<String>,
    is_installed: bool,
}

impl Journey {
    fn new() -> Self {
        let machine = Machine::new();
        Self { machine, first: None, install: None, credential: None, is_installed: false }
    }

    /// Goes on as far as it is answered; returns whether it is told yes.
    async fn go_on(&mut self, site: &Site) -> bool {
        let base = |script: &str| {
            let base = script.lines().find_map(|it| it.strip_prefix("set base "))?;
            Some(base.strip_prefix("https://hosts.example.org")?.to_owned())
        };
        if self.first.is_none() {
            let script = within(site.get(&format!("/api/ipxe/{}", text()))).await;
            self.first = script.and_then(|(_, script)| base(&script));
        }
        let Some(first) = &self.first else { return false };
        if self.install.is_none() {
            let script = within(site.get(&format!("{first}/boot?serial=SN-1"))).await;
            self.install = script.and_then(|(_, script)| base(&script));
        }
        let Some(install) = &self.install else { return false };
        if self.credential.is_none() {
            let told = within(site.get(&format!("{install}/credential"))).await;
            let told = told.filter(|(status, _)| status.is_success());
            let told = told.and_then(|(_, text)| serde_json::from_str::<Value>(&text).ok());
            self.credential = told.and_then(|told| Some(told["credential"].as_str()?.to_owned()));
        }
        let Some(credential) = &self.credential else { return false };
        if !self.is_installed {
            let progress = format!("{install}/progress");
            let done = site.post(&progress, r#"{"step":"Done"}"#);
            self.is_installed = within(done).await.is_some_and(|status| status.is_success());
        }
        self.is_installed && register(site, &self.machine, credential).await == Some(StatusCode::OK)
    }
}

async fn register(site: &Site, machine: &Machine, credential: &str) -> Option<StatusCode> {
    let body = json!({ "credential": credential, "publicKey": machine.pem() }).to_string();
    let request = (Method::POST, "/api/hosts/register", &*body);
    within(site.signed(machine, request, "")).await.map(|(status, _)| status)
}

/// What is answered, as long as a machine waits for that.
async fn within<T>(answer: impl Future<Output = T>) -> Option<T> {
    timeout(Duration::from_mins(1), answer).await.ok()
}

/// Another process, which lists what the API server has.
async fn restarted(site: Site) -> Site {
    let api = site.api.clone();
    drop(site);
    api.fail(None);
    let site = Site::at(api);
    let token = site.api.object::<BootToken>(Some("org"), "web-1");
    let host = site.api.object::<Host>(Some("org"), "web-1");
    list(&site.ctx.view.tokens, token).await;
    list(&site.ctx.view.hosts, host).await;
    list(&site.ctx.view.releases, []).await;
    // Whoever had begun to register has had its time.
    let now = Timestamp::now();
    site.ctx.clock.compare(now, now + SignedDuration::from_mins(2));
    site
}

/// The controller, until it rests.
async fn settle(site: &Site) {
    let tokens = Tokens(Arc::clone(&site.ctx));
    for _ in 0..10 {
        let token = site.ctx.view.tokens.named(Some("org"), "web-1").unwrap();
        let facts = tokens.observe(&token).await.unwrap();
        match tokens.decide(&token, &facts, None) {
            Decision::Record(status) => tokens.record(&token, &status).await.unwrap(),
            Decision::Change(change) => tokens.change(&token, change).await.unwrap(),
            Decision::Rest(_) => return,
            Decision::Look(never) | Decision::Act(never) => match never {},
        };
    }
    panic!("it does not settle")
}

#[tokio::test(start_paused = true)]
async fn who_was_told_yes_is_there_whichever_write_the_server_was_killed_after() {
    for writes in 0..=WRITES {
        let mut fresh = token(0);
        fresh.status = None;
        let site = Site::new(vec![fresh], vec![], vec![]).await;
        let (mut journey, thief) = (Journey::new(), Machine::new());
        site.api.fall_silent_after(writes);
        let told = journey.go_on(&site).await;
        assert_eq!(told, writes == WRITES, "after {writes}: it is told only when all is written");
        if told {
            site.api.fail(None);
            assert_eq!(site.told("Registered").await, 1);
        }

        let site = restarted(site).await;
        let recorded = site.ctx.view.tokens.named(Some("org"), "web-1").unwrap();
        let registration = recorded.status.clone().and_then(|status| status.registration);
        if registration.is_some() {
            // A token that one has consumed is not open for another, whatever is missing yet.
            let credential = journey.credential.clone().unwrap();
            let refused = register(&site, &thief, &credential).await;
            assert_eq!(refused, Some(StatusCode::FORBIDDEN), "after {writes}");
            // Also if the machine never comes back.
            settle(&site).await;
            let host = site.api.object::<Host>(Some("org"), "web-1");
            assert_eq!(host.map(|it| it.spec.public_key), Some(journey.machine.pem_as_kept()));
        }
        assert!(journey.go_on(&site).await, "after {writes}: it goes on");
        settle(&site).await;
        let token = site.api.object::<BootToken>(Some("org"), "web-1").unwrap();
        let status = token.status.unwrap();
        let host = site.api.object::<Host>(Some("org"), "web-1").unwrap();
        assert_eq!(host.spec.public_key, journey.machine.pem_as_kept(), "after {writes}");
        assert_eq!(status.registration.unwrap().host_uid, host.metadata.uid, "after {writes}");
        assert_eq!(status.attempts, Some(1), "after {writes}: no boot is begun twice");
        assert_eq!(
            site.told("Registered").await,
            1,
            "after {writes}: whoever has recorded it says so"
        );
    }
}
