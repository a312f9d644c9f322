use super::*;
use metal_api::{HostReleaseSpec, SealedConfiguration, Sealing};
use std::time::Duration;
use tokio::time::{Instant, sleep};

#[tokio::test(start_paused = true)]
async fn a_release_that_was_made_again_under_its_name_is_another_one() {
    let machine = Machine::new();
    let mut host = machine.host();
    host.spec.active_release = Some("v1".to_owned());
    let site = Site::new(vec![], vec![host], vec![release("second")]).await;
    let waited = async |query: &str| {
        let path = format!("/api/hosts/self?{query}&wait=30");
        let began = Instant::now();
        let (status, text) = site.signed(&machine, (Method::GET, &path, ""), "org/web-1").await;
        assert_eq!(status, StatusCode::OK, "{text}");
        let told: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(told["release"]["uid"], "second");
        assert_eq!(told["release"]["configuration"]["ciphertext"], "AAAA", "as it was read");
        began.elapsed() >= Duration::from_secs(30)
    };
    assert!(!waited("release=v1&uid=first").await, "told at once");
    assert!(!waited("release=&uid=").await);
    assert!(waited("release=v1&uid=second").await);
    assert!(waited("release=v1").await, "who knows no UID goes by the name");
    site.api.remove::<HostRelease>(Some("org"), "v1");
    let path = (Method::GET, "/api/hosts/self", "");
    let gone = site.signed(&machine, path, "org/web-1").await;
    assert_eq!(gone.0, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_asks_again_ends_what_it_waited_for() {
    let machine = Machine::new();
    let site = Site::new(vec![], vec![machine.host()], vec![]).await;
    let waits = async |seconds: u32| {
        let path = format!("/api/hosts/self?release=&wait={seconds}");
        site.signed(&machine, (Method::GET, &path, ""), "org/web-1").await.0
    };
    let began = Instant::now();
    let later = async {
        sleep(Duration::from_secs(1)).await;
        waits(5).await
    };
    let (first, second) = tokio::join!(waits(60), later);
    assert_eq!((first, second), (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_host_that_asks_from_two_places_at_once_is_told_of() {
    let machine = Machine::new();
    let site = Site::new(vec![], vec![machine.host()], vec![]).await;
    let asks = async |from: &str, seconds: u64| {
        let path = format!("/api/hosts/self?release=&wait={seconds}");
        let request = site.sign(&machine, (Method::GET, &path, ""), "org/web-1").await;
        site.ask(request, from).await.0
    };
    let copy = async {
        sleep(Duration::from_secs(1)).await;
        asks("192.0.2.2", 5).await
    };
    let told = tokio::join!(asks("192.0.2.1", 60), copy);
    assert_eq!(told, (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK));
    assert_eq!(site.told("AsksTwice").await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_host_is_not_told_again_what_it_knows_if_it_asks_for_no_more_than_news() {
    let machine = Machine::new();
    let mut host = machine.host();
    host.spec.active_release = Some("v1".to_owned());
    let site = Site::new(vec![], vec![host], vec![release("uid")]).await;
    let asks = async |query: &str| {
        let path = format!("/api/hosts/self?{query}&wait=30");
        site.signed(&machine, (Method::GET, &path, ""), "org/web-1").await
    };
    let (status, body) = asks("release=v1&uid=uid&brief=true").await;
    assert_eq!((status, body.as_str()), (StatusCode::NO_CONTENT, ""));
    assert_eq!(site.api.sent().len(), 0, "nothing is read for that");
    // One that is another, and whoever has not asked so.
    for query in ["release=v1&uid=other&brief=true", "release=&brief=true", "release=v1&uid=uid"] {
        let (status, body) = asks(query).await;
        assert!(status == StatusCode::OK && body.contains("ciphertext"), "{query}: {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_keeps_no_host_waiting() {
    let machine = Machine::new();
    let site = Site::new(vec![], vec![machine.host()], vec![]).await;
    let path = "/api/hosts/self?release=&wait=60&brief=true";
    let began = Instant::now();
    let ends = async {
        sleep(Duration::from_secs(1)).await;
        site.ctx.polls.close();
    };
    let waits = site.signed(&machine, (Method::GET, path, ""), "org/web-1");
    let ((status, _), ()) = tokio::join!(waits, ends);
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_configuration_takes_a_place_until_its_host_has_it() {
    let machine = Machine::new();
    let mut host = machine.host();
    host.spec.active_release = Some("v1".to_owned());
    let mut large = release("uid");
    let ciphertext = "A".repeat(200_000);
    large.spec.configuration.as_mut().unwrap().ciphertext.clone_from(&ciphertext);
    let site = Site::new(vec![], vec![host], vec![large]).await;
    let asked = (Method::GET, "/api/hosts/self", "");
    let request = site.sign(&machine, asked.clone(), "org/web-1").await;
    let answer = router(Arc::clone(&site.ctx)).oneshot(request).await.unwrap();
    let length = answer.headers()["content-length"].to_str().unwrap().to_owned();
    assert_eq!(site.ctx.places.taken(), 1);
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    assert_eq!(site.ctx.places.taken(), 0);
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (told["release"]["configuration"]["ciphertext"].as_str(), length),
        (Some(&*ciphertext), body.len().to_string())
    );
    // A host that goes away gives it back as well.
    let request = site.sign(&machine, asked, "org/web-1").await;
    drop(router(Arc::clone(&site.ctx)).oneshot(request).await.unwrap());
    assert_eq!(site.ctx.places.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_reads_slowly_holds_one_configuration_and_no_more() {
    let machine = Machine::new();
    let mut host = machine.host();
    host.spec.active_release = Some("v1".to_owned());
    let mut large = release("uid");
    large.spec.configuration.as_mut().unwrap().ciphertext = "A".repeat(200_000);
    let site = Site::new(vec![], vec![host], vec![large]).await;
    let mut answers = vec![];
    for _ in 0..6 {
        let request = site.sign(&machine, (Method::GET, "/api/hosts/self", ""), "org/web-1").await;
        let answer = router(Arc::clone(&site.ctx)).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        answers.push(answer);
        assert_eq!(site.ctx.places.taken(), 1);
    }
    let last = answers.pop().unwrap();
    for answer in answers {
        assert!(to_bytes(answer.into_body(), 1 << 20).await.is_err(), "it has asked again since");
    }
    assert!(to_bytes(last.into_body(), 1 << 20).await.unwrap().len() > 200_000);
    assert_eq!(site.ctx.places.taken(), 0);
    // Nor does it have them read all the time.
    let asked = async || {
        let path = (Method::GET, "/api/hosts/self", "");
        site.signed(&machine, path, "org/web-1").await.0
    };
    let mut answered = 0;
    for _ in 0..20 {
        answered += usize::from(asked().await == StatusCode::OK);
    }
    assert_eq!(answered, 6, "twelve at once");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(asked().await, StatusCode::OK);
}

#[tokio::test]
async fn a_host_that_was_deleted_is_refused_also_before_the_watch_tells_of_it() {
    let machine = Machine::new();
    let site = Site::new(vec![], vec![machine.host()], vec![]).await;
    site.api.remove::<Host>(Some("org"), "web-1");
    let report = (Method::POST, "/api/hosts/self/status", "{}");
    let (status, body) = site.signed(&machine, report.clone(), "org/web-1").await;
    assert_eq!((status, body.as_str()), REFUSED);
    // Another machine may be one of its name by now.
    let mut other = Machine::new().host();
    other.metadata.uid = Some("uid-of-other".to_owned());
    site.api.put(&other);
    let (status, body) = site.signed(&machine, report, "org/web-1").await;
    assert_eq!((status, body.as_str()), REFUSED);
}

fn release(uid: &str) -> HostRelease {
    let spec = HostReleaseSpec {
        host_name: "web-1".to_owned(),
        configuration: Some(SealedConfiguration {
            algorithm: Sealing::P256HkdfSha256Aes256Gcm,
            ciphertext: "AAAA".to_owned(),
        }),
        ..HostReleaseSpec::default()
    };
    let mut release = HostRelease::new("v1", spec);
    release.metadata.namespace = Some("org".to_owned());
    release.metadata.uid = Some(uid.to_owned());
    release
}
