//! What an installer tells of itself.

use super::{
    files::{Lab, asked},
    *,
};

const WRITING: &str = r#"{"phase":"writing","written":1073741824,"total":4294967296}"#;
const FAILED: &str = r#"{"phase":"failed","message":"no disk fits\nspec.pxe.targetDisk"}"#;

#[tokio::test]
async fn the_installer_that_is_due_is_followed_and_no_other() {
    let lab = Lab::new(asked(1, Some(3), Some(2))).await;
    let path = format!("/c/{}/install/progress", lab.token(3));
    for (from, path, body, expected) in [
        (9, &path, WRITING, StatusCode::NOT_FOUND),
        (1, &"/install/progress".to_owned(), WRITING, StatusCode::FORBIDDEN),
        (1, &format!("/c/{}/install/progress", lab.token(2)), WRITING, StatusCode::FORBIDDEN),
        // Who has no token is not read.
        (1, &"/c/x/install/progress".to_owned(), "{", StatusCode::FORBIDDEN),
        (1, &path, "{", StatusCode::BAD_REQUEST),
        (1, &path, r#"{"phase":"writing","more":1}"#, StatusCode::BAD_REQUEST),
        (1, &path, &format!("{WRITING}{}", " ".repeat(5000)), StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        assert_eq!(lab.ask(from, "POST", path, body).await.0, expected, "{from} {path} {body}");
    }
    assert_eq!(lab.ask(1, "GET", &path, "").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(writes(&lab.server), [""; 0]);
    assert_eq!(lab.ask(1, "POST", &path, WRITING).await.0, StatusCode::OK);
    assert_eq!(repaved(&lab), ("False".into(), "Pending".into(), "writing: 25 %, 1.0 GiB".into()));
    assert_eq!(lab.status().operations.unwrap().repave_counter, Some(2));
    let lab = Lab::new(asked(1, Some(3), Some(3))).await;
    let path = format!("/c/{}/install/progress", lab.token(3));
    assert_eq!(lab.ask(1, "POST", &path, WRITING).await.0, StatusCode::FORBIDDEN, "nothing is due");
    assert_eq!(writes(&lab.server), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn progress_is_written_once_in_ten_seconds_and_a_failure_at_once() {
    let lab = Lab::new(asked(1, Some(3), Some(2))).await;
    let path = format!("/c/{}/install/progress", lab.token(3));
    for written in 0_u64..20 {
        let body = format!(r#"{{"phase":"writing","written":{}}}"#, written << 30);
        assert_eq!(lab.ask(1, "POST", &path, &body).await.0, StatusCode::OK);
    }
    assert_eq!(writes(&lab.server).len(), 1);
    for _ in 0..3 {
        assert_eq!(lab.ask(1, "POST", &path, FAILED).await.0, StatusCode::OK);
    }
    let (status, reason, message) = repaved(&lab);
    assert_eq!((&*status, &*reason), ("False", "InstallFailed"));
    assert_eq!(message, "no disk fits spec.pxe.targetDisk");
    assert_eq!(writes(&lab.server).len(), 2);
    let events: Vec<_> = lab.server.written().into_iter().filter(Sent::is_event).collect();
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].body["reason"].as_str(), events[0].body["note"].as_str()),
        (Some("InstallFailed"), Some(&*message))
    );
    // Whoever fails and goes on all the time does not fill the log of the API server.
    for number in 0..100 {
        let body = FAILED.replace("no disk", &number.to_string());
        assert_eq!(lab.ask(1, "POST", &path, &body).await.0, StatusCode::OK);
    }
    assert_eq!(writes(&lab.server).len(), 13);
    tokio::time::advance(std::time::Duration::from_secs(10)).await;
    assert_eq!(lab.ask(1, "POST", &path, WRITING).await.0, StatusCode::OK);
    assert_eq!(repaved(&lab).1, "Pending");
}

#[tokio::test(start_paused = true)]
async fn an_installer_that_goes_on_is_heard_at_once_and_what_it_warns_of_is_an_event() {
    let lab = Lab::new(asked(1, Some(3), Some(2))).await;
    let path = format!("/c/{}/install/progress", lab.token(3));
    // A small image is written in less than ten seconds.
    for _ in 0..3 {
        for phase in ["downloading", "writing", "configuring"] {
            let body = format!(r#"{{"phase":"{phase}"}}"#);
            assert_eq!(lab.ask(1, "POST", &path, &body).await.0, StatusCode::OK);
        }
    }
    assert_eq!(writes(&lab.server).len(), 3, "each phase once");
    assert_eq!(repaved(&lab).2, "configuring");
    let done = r#"{"phase":"done","message":"no boot entry"}"#;
    assert_eq!(lab.ask(1, "POST", &path, done).await.0, StatusCode::OK);
    assert_eq!(repaved(&lab), ("False".into(), "Pending".into(), "done: no boot entry".into()));
    let events: Vec<_> = lab.server.written().into_iter().filter(Sent::is_event).collect();
    let [event] = &events[..] else { panic!("{}", events.len()) };
    assert_eq!(event.body["reason"].as_str(), Some("InstallWarning"));
}

#[tokio::test]
async fn an_installer_that_fetches_its_files_has_begun_if_it_reports_nothing_as_well() {
    let lab = Lab::new(asked(1, Some(3), Some(2))).await;
    for path in ["/shimx64.efi", "/grub/grub.cfg", "/cloud-init/meta-data", "/vmlinuz"] {
        lab.ask(1, "GET", path, "").await;
    }
    assert_eq!(writes(&lab.server), [""; 0], "every boot fetches these, or has no token");
    let path = format!("/c/{}/disk.img.gz", lab.token(3));
    for _ in 0..2 {
        assert_eq!(lab.ask(1, "GET", &path, "").await.0, StatusCode::OK);
        assert_eq!(repaved(&lab), ("False".into(), "Pending".into(), "started".into()));
    }
    assert_eq!(writes(&lab.server).len(), 1);
    // What it says itself stays.
    let progress = format!("/c/{}/install/progress", lab.token(3));
    let lab = Lab::new(asked(1, Some(3), Some(2))).await;
    assert_eq!(lab.ask(1, "POST", &progress, WRITING).await.0, StatusCode::OK);
    assert_eq!(lab.ask(1, "GET", &path, "").await.0, StatusCode::OK);
    assert_eq!(repaved(&lab).2, "writing: 25 %, 1.0 GiB");
}

#[tokio::test]
async fn the_disk_that_is_told_at_the_end_is_the_one_that_a_later_installer_has_not_found() {
    let lab = Lab::new(asked(1, Some(3), Some(2))).await;
    let end = format!("/c/{}/pxe/disable", lab.token(3));
    let body = r#"{"disk":{"serial":"SN","model":"M","sizeBytes":1073741824}}"#;
    assert_eq!(lab.ask(1, "POST", &end, body).await.0, StatusCode::OK);
    let disk = lab.status().operations.unwrap().installed_disk;
    assert_eq!(disk.as_ref().unwrap().serial.as_deref(), Some("SN"));
    let mut machine = asked(1, Some(4), Some(3));
    machine.status.as_mut().unwrap().operations.as_mut().unwrap().installed_disk = disk;
    let lab = Lab::new(machine).await;
    let path = format!("/c/{}/install/progress", lab.token(4));
    let failed = r#"{"phase":"failed","message":"no disk fits targetDisk; there are sda"}"#;
    assert_eq!(lab.ask(1, "POST", &path, failed).await.0, StatusCode::OK);
    let (_, reason, message) = repaved(&lab);
    assert_eq!(reason, "InstallFailed");
    assert!(message.contains("(serial SN, M, 1.0 GiB)") && message.ends_with("sda"), "{message}");
}

#[tokio::test]
async fn whatever_is_posted_at_the_end_ends_it() {
    let long = " ".repeat(20_000);
    for body in ["", "null", "done", &long] {
        let lab = Lab::new(asked(1, Some(3), Some(2))).await;
        let end = format!("/c/{}/pxe/disable", lab.token(3));
        assert_eq!(lab.ask(1, "POST", &end, body).await.0, StatusCode::OK, "{}", body.len());
        let operations = lab.status().operations.unwrap();
        assert_eq!((operations.repave_counter, operations.installed_disk), (Some(3), None));
    }
}

#[tokio::test]
async fn a_report_that_breaks_off_ends_nothing_and_forgets_no_disk() {
    let lab = Lab::new(asked(1, Some(3), Some(2))).await;
    let end = format!("/c/{}/pxe/disable", lab.token(3));
    let parts = [Ok("{\"disk\":"), Err(std::io::Error::other("the connection was reset"))];
    let body = Body::from_stream(futures::stream::iter(parts));
    let request = Request::post(&end).body(body).unwrap();
    let response = answered(&lab.ctx, 1, request).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(writes(&lab.server), [""; 0]);
    let body = r#"{"disk":{"serial":"SN"}}"#;
    assert_eq!(lab.ask(1, "POST", &end, body).await.0, StatusCode::OK, "and then again");
    assert!(lab.status().operations.unwrap().installed_disk.is_some());
}

#[tokio::test]
async fn progress_that_cannot_be_written_down_is_to_be_told_again() {
    let lab = Lab::new(asked(1, Some(3), Some(2))).await;
    let path = format!("/c/{}/install/progress", lab.token(3));
    lab.server.fail(Some(StatusCode::INTERNAL_SERVER_ERROR));
    let status = lab.ask(1, "POST", &path, FAILED).await.0;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn pods_of_a_machine_that_runs_end_no_installation_by_hand() {
    let lab = Lab::new(asked(1, Some(3), Some(2))).await;
    let end = format!("/c/{}/pxe/disable", lab.token(3));
    let tell = format!("/c/{}/install/progress", lab.token(3));
    says(&lab, "True").await;
    for (path, body) in [(&tell, WRITING), (&end, "")] {
        let (status, text) = lab.ask(1, "POST", path, body).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {text}");
    }
    assert_eq!(writes(&lab.server), [""; 0]);
    says(&lab, "Unknown").await;
    assert_eq!(lab.ask(1, "POST", &tell, WRITING).await.0, StatusCode::OK);
    assert_eq!(lab.ask(1, "POST", &end, "").await.0, StatusCode::OK);
    assert_eq!(lab.status().operations.unwrap().repave_counter, Some(3));
}

#[tokio::test]
async fn an_old_system_that_has_booted_again_ends_no_installation_by_a_bmc() {
    let lab = Lab::new(installing()).await;
    says(&lab, "True").await;
    let end = format!("/c/{}/pxe/disable", lab.token(3));
    let tell = format!("/c/{}/install/progress", lab.token(3));
    // It can read the token where the installer reads it.
    assert!(lab.get("/grub/grub.cfg").await.1.contains(&lab.token(3)));
    for (path, body) in [(&tell, WRITING), (&end, "")] {
        let (status, text) = lab.ask(1, "POST", path, body).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {text}");
    }
    assert_eq!(writes(&lab.server), [""; 0]);
    // Whoever has fetched what installs is believed: a finalizer may hold the Node.
    assert_eq!(lab.get(&format!("/c/{}/vmlinuz", lab.token(3))).await.0, StatusCode::OK);
    assert_eq!(lab.ask(1, "POST", &end, "").await.0, StatusCode::OK);
    assert_eq!(lab.status().operations.unwrap().repave_counter, Some(3));
    // Without a Node nobody is in doubt.
    let lab = Lab::new(installing()).await;
    assert_eq!(lab.ask(1, "POST", &end, "").await.0, StatusCode::OK);
}

/// A machine that its BMC has switched on for an installation.
fn installing() -> Machine {
    let mut machine = asked(1, Some(3), Some(2));
    machine.spec.pxe.as_mut().unwrap().redfish = Some(metal_api::MachineRedfish::default());
    let current = json!({
        "repaveCounter": 3, "step": "Installing", "attempt": 1,
        "since": jiff::Timestamp::now().to_string(),
    });
    let operations = machine.status.as_mut().unwrap().operations.as_mut().unwrap();
    operations.current = Some(serde_json::from_value(current).unwrap());
    machine
}

/// Its Node says so.
async fn says(lab: &Lab, ready: &str) {
    let node = json!({
        "metadata": {"name": "node-01"},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    });
    let node = serde_json::from_value::<Node>(node).unwrap();
    let event = Ok(Event::Apply(DeserializeGuard(Ok(node))));
    lab.ctx.view.nodes.follow(futures::stream::iter([event])).await.unwrap_err();
}

fn repaved(lab: &Lab) -> (String, String, String) {
    let conditions = lab.status().conditions;
    let it = conditions.into_iter().find(|it| it.type_ == "Repaved").unwrap();
    (it.status, it.reason, it.message)
}
