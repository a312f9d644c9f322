//! What a replica does that may be behind the API server.

use super::{
    files::{Lab, asked},
    *,
};

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
}
