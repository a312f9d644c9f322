//! What a replica does that may be behind the API server.

use super::{
    files::{Lab, asked},
    *,
};
use metal_api::MachineRedfish;

#[tokio::test]
async fn a_replica_that_hears_nothing_of_the_api_server_hands_out_no_installer() {
    // It has seen that an installation is pending, and not that another replica has ended it.
    let lab = Lab::new(asked(1, Some(3), Some(2))).await;
    let token = lab.token(3);
    lab.server.put(&asked(1, Some(3), Some(3)));
    assert_eq!(lab.get("/grub/grub.cfg").await.1, "boot");
    for path in ["/vmlinuz".to_owned(), format!("/c/{token}/vmlinuz")] {
        assert_eq!(lab.get(&path).await.0, StatusCode::FORBIDDEN, "{path}");
    }
    // The API server is away, or does not answer.
    let lab = Lab::new(asked(1, Some(3), Some(2))).await;
    lab.server.fail(Some(StatusCode::SERVICE_UNAVAILABLE));
    for path in [
        "/grub/grub.cfg".to_owned(),
        "/cloud-init/user-data".to_owned(),
        format!("/c/{token}/vmlinuz"),
        format!("/c/{token}/grub/grub.cfg"),
    ] {
        let (status, body) = lab.get(&path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {body}");
    }
    // Whoever is not to install boots all the same, and is not waited for.
    let lab = Lab::new(asked(1, Some(3), Some(3))).await;
    lab.server.fall_silent();
    assert_eq!(lab.get("/grub/grub.cfg").await.1, "boot");
    assert_eq!(lab.server.sent(), []);
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_does_not_answer_is_waited_for_once() {
    let lab = Lab::new(asked(1, Some(3), Some(2))).await;
    lab.server.fall_silent();
    for _ in 0..5 {
        assert_eq!(lab.get("/grub/grub.cfg").await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(lab.server.sent().len(), 1);
    lab.server.fail(None);
    tokio::time::advance(std::time::Duration::from_secs(3)).await;
    for _ in 0..5 {
        assert_eq!(lab.get("/grub/grub.cfg").await.0, StatusCode::OK);
    }
    assert_eq!(lab.server.sent().len(), 2, "it is asked once in a second");
}

#[tokio::test]
async fn a_replica_that_is_behind_does_not_tell_an_installer_that_it_was_heard() {
    // It has not seen yet that the installation has begun.
    let lab = Lab::new(asked(1, Some(3), Some(3))).await;
    let disable = format!("/c/{}/pxe/disable", lab.token(4));
    let kernel = format!("/c/{}/vmlinuz", lab.token(4));
    let progress = format!("/c/{}/install/progress", lab.token(4));
    lab.server.fail(Some(StatusCode::SERVICE_UNAVAILABLE));
    for (method, path) in [("GET", &disable), ("GET", &kernel), ("POST", &progress)] {
        let (status, body) = lab.ask(1, method, path, "").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}: {body}");
    }
    let lab = Lab::new(asked(1, Some(3), Some(3))).await;
    lab.server.put(&asked(1, Some(4), Some(3)));
    assert_eq!(lab.get(&kernel).await.1, "kernel");
    assert_eq!(lab.get(&disable).await.0, StatusCode::OK);
    assert_eq!(lab.status().operations.unwrap().repave_counter, Some(4));
    // What is complete may be told again, and nobody else is told that it was heard.
    let lab = Lab::new(asked(1, Some(3), Some(3))).await;
    for (counter, expected) in
        [(3, StatusCode::OK), (2, StatusCode::OK), (4, StatusCode::FORBIDDEN)]
    {
        let path = format!("/c/{}/pxe/disable", lab.token(counter));
        assert_eq!(lab.get(&path).await.0, expected, "{counter}");
    }
}

#[tokio::test]
async fn a_head_ends_no_installation() {
    let lab = Lab::new(asked(1, Some(3), Some(2))).await;
    for path in [format!("/c/{}/pxe/disable", lab.token(3)), "/cloud-init/user-data".to_owned()] {
        let (status, _) = lab.ask(1, "HEAD", &path, "").await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
    }
    assert_eq!(lab.server.sent(), []);
    assert_eq!(lab.ask(1, "HEAD", "/shimx64.efi", "").await.0, StatusCode::OK);
    let kernel = format!("/c/{}/vmlinuz", lab.token(3));
    assert_eq!(lab.ask(1, "HEAD", &kernel, "").await.0, StatusCode::OK);
    assert_eq!(writes(&lab.server), [""; 0], "nor does it begin one");
}

#[tokio::test]
async fn a_replica_that_is_behind_gives_no_token_to_a_key_that_was_replaced() {
    let known = |client: &testing::Machine| {
        let mut machine = pinned("node-01", 1, &client.status_ek_public_key_pem);
        machine.status.as_mut().unwrap().conditions = vec![];
        machine
    };
    // It has seen the key of a TPM that a person has replaced since.
    let (server, ctx) = cluster([known(&rsa())]).await;
    let mut replaced = known(&ecc());
    replaced.metadata.resource_version = Some("99".to_owned());
    server.put(&replaced);
    assert_eq!(ask(&ctx, 1, rsa().body()).await.0, StatusCode::FORBIDDEN);
    assert_eq!(ask(&ctx, 1, ecc().body()).await.0, StatusCode::OK);
    // A boot that is asked to be proved since then.
    let (server, ctx) = cluster([known(&rsa())]).await;
    let mut stricter = known(&rsa());
    stricter.metadata.resource_version = Some("99".to_owned());
    let pcrs = json!([{ "index": 7, "sha256": ["ab".repeat(32)] }]);
    let attestation = serde_json::from_value(json!({ "pcrs": pcrs })).unwrap();
    stricter.spec.pxe.as_mut().unwrap().attestation = Some(attestation);
    server.put(&stricter);
    let (status, body) = ask(&ctx, 1, rsa().body()).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{body}");
    assert!(body.contains("QuoteMissing"), "{body}");
    // An address that it no longer has, and a Machine that is another one by now.
    for change in [
        |machine: &mut Machine| {
            let leases = &mut machine.spec.pxe.as_mut().unwrap().dhcp_leases;
            leases[0].ipv4 = "10.0.0.2".to_owned();
        },
        |machine: &mut Machine| machine.metadata.uid = Some("another".to_owned()),
    ] {
        let (server, ctx) = cluster([known(&rsa())]).await;
        let mut moved = known(&rsa());
        moved.metadata.resource_version = Some("99".to_owned());
        change(&mut moved);
        server.put(&moved);
        assert_eq!(ask(&ctx, 1, rsa().body()).await.0, StatusCode::NOT_FOUND);
        assert!(!writes(&server).iter().any(|it| it.ends_with("/token")));
    }
    // Nobody says what is known now.
    let (server, ctx) = cluster([known(&rsa())]).await;
    server.fail(Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(ask(&ctx, 1, rsa().body()).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(writes(&server), [""; 0]);
}

#[tokio::test]
async fn a_replica_that_has_not_heard_of_an_installation_hands_it_out_to_a_machine_with_a_bmc() {
    let installing = |step: &str, done: i64| {
        let mut machine = asked(1, Some(4), Some(done));
        machine.spec.pxe.as_mut().unwrap().redfish = Some(MachineRedfish::default());
        let current = json!({
            "repaveCounter": 4, "step": step, "attempt": 1,
            "since": jiff::Timestamp::now().to_string(),
        });
        let operations = machine.status.as_mut().unwrap().operations.as_mut().unwrap();
        operations.current = Some(serde_json::from_value(current).unwrap());
        machine
    };
    let lab = Lab::new(installing("PoweringOff", 3)).await;
    assert_eq!(lab.get("/grub/grub.cfg").await.1, "boot");
    let lab = Lab::new(installing("PoweringOff", 3)).await;
    lab.server.put(&installing("Installing", 3));
    let (status, body) = lab.get("/grub/grub.cfg").await;
    assert!(status == StatusCode::OK && body.starts_with("install "), "{status} {body}");
    // While nobody says more, it boots as it would have.
    let lab = Lab::new(installing("PoweringOff", 3)).await;
    lab.server.fail(Some(StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(lab.get("/grub/grub.cfg").await.1, "boot");
}
