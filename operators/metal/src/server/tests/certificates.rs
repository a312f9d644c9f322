//! Certificates of BMCs without an object of their own.

use super::*;

#[tokio::test]
async fn a_bmc_without_an_object_is_held_to_its_first_certificate_over_a_restart() {
    let [first, other] = ["aa", "bb"].map(|pair| format!("sha256:{}", pair.repeat(32)));
    let held_to = |scene: &Scene| {
        let destination = scene.ctx.destination_of(&server()).unwrap();
        scene.ctx.shown_by(&server(), &destination)
    };
    let scene = Scene::new(server(), None).await;
    scene.bmc.show(first.parse().unwrap());
    scene.pass().await.unwrap();
    let (_, body) = scene.sent().remove(0);
    assert_eq!(body["status"]["bmcCertificateFingerprint"], first);
    for (recorded, expected) in [(Some(&first), &first), (None, &other)] {
        let mut server = server();
        let bmc_certificate_fingerprint = recorded.cloned();
        let power_state = Some(metal_api::PowerState::Off);
        let status =
            ServerStatus { power_state, bmc_certificate_fingerprint, ..Default::default() };
        server.status = Some(status);
        let restarted = Scene::new(server, None).await;
        restarted.bmc.show(other.parse().unwrap());
        restarted.pass().await.unwrap();
        assert_eq!(held_to(&restarted).as_ref(), Some(expected), "{recorded:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_restored_without_status_sends_its_password_to_no_other_certificate() {
    let [first, other] = ["aa", "bb"].map(|pair| format!("sha256:{}", pair.repeat(32)));
    let scene = Scene::new(server(), None).await;
    scene.server.put(&secret());
    scene.bmc.show(first.parse().unwrap());
    scene.pass().await.unwrap();
    scene.pass().await.unwrap();
    let (request, body) = scene.sent().remove(1);
    assert!(request.contains("/bmcsecrets/secret-a"), "{request}");
    let key = format!("{}192.0.2.9.8000", annotation::KNOWN_CERTIFICATE_AT);
    assert_eq!(body["metadata"]["annotations"][&key], first);

    // Also if the operator has recorded in between that it gets no answer.
    for status in [None, Some(ServerStatus::default())] {
        let mut restored = server();
        restored.status = status;
        let scene = Scene::new(restored, None).await;
        let mut secret = secret();
        secret.metadata.annotations = Some([(key.clone(), first.clone())].into());
        list(&scene.ctx.view.secrets, vec![secret]).await;
        scene.bmc.show(other.parse().unwrap());
        scene.pass().await.unwrap();
        let destination = scene.ctx.destination_of(&server()).unwrap();
        let held_to = scene.ctx.shown_by(&server(), &destination);
        assert_eq!(held_to.as_ref(), Some(&first));
    }
}
