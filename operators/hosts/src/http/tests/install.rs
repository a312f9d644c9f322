use super::*;
use metal_api::{BootRegistration, HostHardware};
use metal_core::capability::verify;
use serde_json::json;
use std::{convert::Infallible, time::Duration};
use tokio::time::Instant;

#[tokio::test]
async fn a_head_begins_no_boot() {
    let site = Site::new(vec![token(0)], vec![], vec![]).await;
    let path = format!("/api/ipxe/{}", text());
    let (status, _) = site.ask(request(Method::HEAD, &path, ""), "192.0.2.1").await;
    assert_eq!((status, site.api.written().len()), (StatusCode::METHOD_NOT_ALLOWED, 0));
    assert!(site.get(&path).await.1.contains("set base "));
    assert_eq!(site.api.written().len(), 1, "that it was opened");
}

#[tokio::test]
async fn a_copy_of_a_hash_in_another_namespace_opens_nothing_and_closes_nothing() {
    let mut copy = token(0);
    copy.metadata.namespace = Some("other".to_owned());
    copy.metadata.uid = Some("uid-of-copy".to_owned());
    let path = format!("/api/ipxe/{}", text());
    let site = Site::new(vec![token(0), copy.clone()], vec![], vec![]).await;
    assert!(site.get(&path).await.1.contains("set base "), "it is not ambiguous");
    // The machine still has the URL once the token has been removed.
    let site = Site::new(vec![copy], vec![], vec![]).await;
    let (_, script) = site.get(&path).await;
    assert!(script.contains("This boot URL is not valid."), "{script}");
    assert_eq!(site.api.written().len(), 0);
}

#[tokio::test]
async fn no_part_of_an_installation_is_given_for_a_name_that_another_host_has() {
    let site = Site::new(vec![token(1)], vec![Machine::new().host()], vec![]).await;
    let (_, script) = site.get(&format!("/api/ipxe/{}", text())).await;
    assert!(script.contains("This boot URL is not valid."), "{script}");
    let (_, script) = site.get(&format!("{}/boot", first(2))).await;
    assert!(script.contains("This boot URL is not valid."), "{script}");
    for file in ["kernel", "initrd", "kickstart", "credential"] {
        let (status, body) = site.get(&format!("{}/{file}", boot(1))).await;
        assert_eq!((status, body.as_str()), REFUSED, "{file}");
    }
    assert_eq!(site.api.written().len(), 0);
}

#[tokio::test]
async fn a_machine_that_missed_its_yes_becomes_its_host_after_the_token_has_expired() {
    let machine = Machine::new();
    let site = Site::new(vec![token(1)], vec![], vec![]).await;
    let (_, text) = site.get(&format!("{}/credential", boot(1))).await;
    let told: Value = serde_json::from_str(&text).unwrap();
    let credential = told["credential"].as_str().unwrap();
    let tomorrow = Timestamp::now() + SignedDuration::from_hours(24);
    verify(&[key()], credential, Purpose::HostRegistration, tomorrow).unwrap();
    // It has registered in time, and its token has expired since.
    let mut late = token(1);
    late.metadata.creation_timestamp = Some(Time(ago(120)));
    late.status.as_mut().unwrap().registration = Some(BootRegistration {
        public_key: machine.pem(),
        at: Time(ago(90)),
        address: None,
        hardware: HostHardware::default(),
        host_uid: Some("uid-of-host".to_owned()),
    });
    let site = Site::new(vec![late], vec![machine.host()], vec![]).await;
    let register = async |machine: &Machine| {
        let body = json!({ "credential": credential, "publicKey": machine.pem() }).to_string();
        let request = (Method::POST, "/api/hosts/register", &*body);
        site.signed(machine, request, "").await.0
    };
    assert_eq!(register(&machine).await, StatusCode::OK);
    assert_eq!(register(&Machine::new()).await, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_replica_that_is_behind_refuses_no_boot_that_another_has_recorded() {
    let machine = Machine::new();
    let site = Site::new(vec![token(1)], vec![], vec![]).await;
    site.api.put(&token(2));
    assert_eq!(site.get(&format!("{}/kickstart", boot(2))).await.0, StatusCode::OK);
    let report = site.post(&format!("{}/progress", boot(2)), r#"{"step":"Started"}"#).await;
    assert_eq!(report, StatusCode::NO_CONTENT);
    let site = Site::new(vec![token(1)], vec![], vec![]).await;
    site.api.put(&token(2));
    let credential = capability(Purpose::HostRegistration, 2);
    let body = json!({ "credential": credential, "publicKey": machine.pem() }).to_string();
    let request = (Method::POST, "/api/hosts/register", &*body);
    assert_eq!(site.signed(&machine, request, "").await.0, StatusCode::OK);
    // While nobody can say, it is to ask again.
    let site = Site::new(vec![token(1)], vec![], vec![]).await;
    site.api.fail(Some(StatusCode::INTERNAL_SERVER_ERROR));
    let unknown = site.get(&format!("{}/kickstart", boot(2))).await.0;
    assert_eq!(unknown, StatusCode::SERVICE_UNAVAILABLE);
    // iPXE would show nothing of that.
    let path = format!("{}/boot?mac=&tries=2", first(2));
    let (status, script) = site.get(&path).await;
    assert_eq!(status, StatusCode::OK);
    assert!(script.contains("The server cannot answer now: the cluster does not"), "{script}");
    let chain = script.lines().find(|line| line.starts_with("chain ")).unwrap();
    let url = format!("\nset url https://hosts.example.org{}\n", path.split('?').next().unwrap());
    assert!(chain.contains("${url}?tries=3&uuid=$") && script.contains(&url), "{script}");
    // Nothing begins with the first script, so it waits for nobody.
    let (_, script) = site.get(&format!("/api/ipxe/{}", text())).await;
    assert!(script.contains("\nset base "), "{script}");
}

#[tokio::test]
async fn a_replica_that_is_behind_refuses_no_machine_for_a_host_that_has_come_or_gone() {
    let machine = Machine::new();
    let credential = capability(Purpose::HostRegistration, 1);
    let body = json!({ "credential": credential, "publicKey": machine.pem() }).to_string();
    let register = async |site: &Site| {
        let request = (Method::POST, "/api/hosts/register", &*body);
        site.signed(&machine, request, "").await.0
    };
    let mut registered = token(1);
    registered.status.as_mut().unwrap().registration = Some(BootRegistration {
        public_key: machine.pem(),
        at: Time(ago(1)),
        address: None,
        hardware: HostHardware::default(),
        host_uid: Some("uid-of-host".to_owned()),
    });
    // Another replica has registered it, and it has missed its yes.
    let site = Site::new(vec![token(1)], vec![], vec![]).await;
    site.api.put(&registered);
    site.api.put(&machine.host());
    assert_eq!(register(&site).await, StatusCode::OK);
    assert_eq!(site.told("HostDeleted").await, 0);
    // A person has deleted another Host of this name.
    let site = Site::new(vec![token(1)], vec![Machine::new().host()], vec![]).await;
    site.api.remove::<Host>(Some("org"), "web-1");
    assert_eq!(register(&site).await, StatusCode::OK);
    // Its own Host is gone.
    let site = Site::new(vec![registered], vec![], vec![]).await;
    assert_eq!(register(&site).await, StatusCode::FORBIDDEN);
    assert_eq!(site.told("HostDeleted").await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_is_behind_installs_for_the_name_of_a_host_that_has_gone() {
    let site = Site::new(vec![token(1)], vec![Machine::new().host()], vec![]).await;
    site.api.remove::<Host>(Some("org"), "web-1");
    let open = async || site.get(&format!("/api/ipxe/{}", text())).await.1;
    let script = open().await;
    assert!(script.contains("set base "), "{script}");
    for (file, expected) in [
        ("kernel", StatusCode::FOUND),
        ("kickstart", StatusCode::OK),
        ("credential", StatusCode::OK),
    ] {
        assert_eq!(site.get(&format!("{}/{file}", boot(1))).await.0, expected, "{file}");
    }
    // While nobody can say, what is known counts.
    tokio::time::advance(Duration::from_secs(2)).await;
    site.api.fall_silent();
    let script = open().await;
    assert!(script.contains("This boot URL is not valid."), "{script}");
}

/// What ends a boot.
type End<'a> = &'a dyn Fn(&ApiServer);

#[tokio::test]
async fn a_replica_that_is_behind_hands_out_nothing_of_a_boot_that_is_over() {
    let mut revoked = token(1);
    revoked.spec.revoked = true;
    let ends: [(&str, End<'_>); 4] = [
        ("revoked", &|api| api.put(&revoked)),
        ("superseded", &|api| api.put(&token(2))),
        ("deleted", &|api| api.remove::<BootToken>(Some("org"), "web-1")),
        ("taken", &|api| api.put(&Machine::new().host())),
    ];
    for (how, end) in ends {
        let site = Site::new(vec![token(1)], vec![], vec![]).await;
        end(&site.api);
        for file in ["kickstart", "credential"] {
            let (status, body) = site.get(&format!("{}/{file}", boot(1))).await;
            assert_eq!((status, body.as_str()), REFUSED, "{how}: {file}");
        }
        let (_, script) = site.get(&format!("{}/boot", first(1))).await;
        assert!(script.contains("This boot URL is not valid."), "{how}: {script}");
    }
}

#[tokio::test]
async fn no_disk_is_cleared_for_a_boot_that_the_api_server_knows_to_be_over() {
    let mut revoked = token(1);
    revoked.spec.revoked = true;
    let ends: [(&str, End<'_>); 3] = [
        ("revoked", &|api| api.put(&revoked)),
        ("superseded", &|api| api.put(&token(2))),
        ("taken", &|api| api.put(&Machine::new().host())),
    ];
    let asks = async |site: &Site| {
        // So much was told that no more is written.
        while site.ctx.allowances.may(&token(1), crate::allowance::STEPS) {}
        site.post(&format!("{}/progress", boot(1)), r#"{"step":"Partitioning"}"#).await
    };
    for (how, end) in ends {
        let site = Site::new(vec![token(1)], vec![], vec![]).await;
        end(&site.api);
        assert_eq!(asks(&site).await, StatusCode::FORBIDDEN, "{how}");
    }
    let site = Site::new(vec![token(1)], vec![], vec![]).await;
    assert_eq!(asks(&site).await, StatusCode::NO_CONTENT);
}

#[tokio::test(start_paused = true)]
async fn an_installation_goes_on_while_the_api_server_gives_no_answer_at_all() {
    let site = Site::new(vec![token(1)], vec![], vec![]).await;
    site.api.fall_silent();
    for file in ["boot", "kickstart", "credential"] {
        let begin = Instant::now();
        let path = if file == "boot" { first(1) } else { boot(1) };
        let (status, text) = site.get(&format!("{path}/{file}")).await;
        assert!(status == StatusCode::OK && !text.contains("cannot answer"), "{file}: {text}");
        assert!(begin.elapsed() < Duration::from_secs(3), "{file}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_installation_goes_on_while_a_proxy_says_that_the_api_server_does_not_answer() {
    let answers = async |code: StatusCode, page: &'static str| {
        let mut site = Site::new(vec![token(1)], vec![], vec![]).await;
        let proxy = tower::service_fn(move |_: Request<kube::client::Body>| async move {
            let page = kube::client::Body::from(page.as_bytes().to_vec());
            let mut page = axum::http::Response::new(page);
            *page.status_mut() = code;
            Ok::<_, Infallible>(page)
        });
        Arc::get_mut(&mut site.ctx).unwrap().client = kube::Client::new(proxy, "default");
        let mut answers = vec![];
        for file in ["kickstart", "credential"] {
            answers.push(site.get(&format!("{}/{file}", boot(1))).await.0);
        }
        answers
    };
    let page = "<html><body>no server is available</body></html>";
    for code in [StatusCode::BAD_GATEWAY, StatusCode::SERVICE_UNAVAILABLE] {
        assert_eq!(answers(code, page).await, [StatusCode::OK; 2], "{code}");
    }
    let status = r#"{"kind":"Status","status":"Failure","code":503,"reason":"ServiceUnavailable"}"#;
    let itself = answers(StatusCode::SERVICE_UNAVAILABLE, status).await;
    assert_eq!(itself, [StatusCode::SERVICE_UNAVAILABLE; 2], "that is an answer");
    let refused = answers(StatusCode::FORBIDDEN, page).await;
    assert_eq!(refused, [StatusCode::SERVICE_UNAVAILABLE; 2]);
}

#[tokio::test]
async fn an_installer_that_has_told_much_of_one_step_is_heard_at_the_next() {
    let site = Site::new(vec![token(1)], vec![], vec![]).await;
    while site.ctx.allowances.may(&token(1), crate::allowance::REPORTS) {}
    let failed = r#"{"step":"Failed","message":"no disk"}"#;
    let told = site.post(&format!("{}/progress", boot(1)), failed).await;
    assert_eq!((told, site.api.written().len()), (StatusCode::NO_CONTENT, 1));
}

#[tokio::test]
async fn an_installer_that_alternates_steps_is_written_seldom() {
    let site = Site::new(vec![token(1)], vec![], vec![]).await;
    let progress = format!("{}/progress", boot(1));
    for at in 0..100 {
        let step = if at % 2 == 0 { "Writing" } else { "Failed" };
        let body = json!({ "step": step, "message": at.to_string() }).to_string();
        assert_eq!(site.post(&progress, &body).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(site.api.written().len(), 12);
    assert_eq!(site.post(&progress, r#"{"step":"Done"}"#).await, StatusCode::NO_CONTENT);
    assert_eq!(site.api.written().len(), 13, "the last report is always written");
}

#[tokio::test(start_paused = true)]
async fn a_report_that_the_api_server_does_not_take_is_told_of_and_is_not_written_all_the_time() {
    let site = Site::new(vec![token(1)], vec![], vec![]).await;
    site.api.fail(Some(StatusCode::UNPROCESSABLE_ENTITY));
    let progress = format!("{}/progress", boot(1));
    for _ in 0..50 {
        let told = site.post(&progress, r#"{"step":"Done"}"#).await;
        assert_eq!(told, StatusCode::SERVICE_UNAVAILABLE, "it is said again until it is written");
    }
    assert_eq!(site.api.written().len(), 12);
    site.api.fail(None);
    assert_eq!(site.told("NotRecorded").await, 1);
}
