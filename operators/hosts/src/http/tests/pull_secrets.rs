//! Logins for the images of a token: who is given what, and who is not.

use super::*;
use crate::pull_secrets::{logins, logins_for, problem};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use metal_api::{BootInstaller, BootInstallerKind, BootPullSecret};
use metal_core::boot_token::login::{NoLogin, of_server};
use metal_image::{Logins, Reference};
use serde_json::json;
use std::{convert::Infallible, time::Duration};
use tokio::time::advance;

const PASSWORD: &str = "hunter2";

/// What `kubectl create secret docker-registry` makes.
fn secret(name: &str, places: &[&str]) -> Secret {
    let login = json!({ "username": "somebody", "password": PASSWORD });
    let auths = places.iter().map(|place| ((*place).to_owned(), login.clone()));
    let config = json!({ "auths": auths.collect::<serde_json::Map<_, _>>() });
    let mut secret = Secret::default();
    secret.metadata.name = Some(name.to_owned());
    secret.metadata.namespace = Some("org".to_owned());
    secret.type_ = Some("kubernetes.io/dockerconfigjson".to_owned());
    let config = ByteString(config.to_string().into_bytes());
    secret.data = Some([(".dockerconfigjson".to_owned(), config)].into());
    secret
}

/// The token of a boot that names this Secret.
fn naming(name: &str) -> BootToken {
    let mut token = token(1);
    token.spec.image_pull_secrets = vec![BootPullSecret { name: name.to_owned() }];
    token
}

async fn site(token: BootToken, secrets: &[Secret]) -> Site {
    let site = Site::new(vec![token], vec![], vec![]).await;
    for secret in secrets {
        site.api.put(secret);
    }
    site
}

#[tokio::test]
async fn a_login_is_given_to_the_boot_in_progress_and_for_its_image_alone() {
    let places = ["quay.io", "quay.io/example", "ghcr.io"];
    let site = site(naming("login"), &[secret("login", &places)]).await;
    let ours = boot(1);
    let (status, text) = site.get(&format!("{ours}/auth.json")).await;
    assert_eq!(status, StatusCode::OK);
    let file: Value = serde_json::from_str(&text).unwrap();
    let auth = STANDARD.encode(format!("somebody:{PASSWORD}"));
    assert_eq!(file, json!({ "auths": { "quay.io/example/base": { "auth": auth } } }));
    for path in [boot(2), "/c/x".to_owned(), first(1)] {
        let (status, body) = site.get(&format!("{path}/auth.json")).await;
        assert_eq!((status, body.as_str()), REFUSED, "{path}");
    }
    // It is fetched by the kickstart, and stands in nothing else.
    let (_, kickstart) = site.get(&format!("{ours}/kickstart")).await;
    assert!(kickstart.contains(&format!("hosts.example.org{ours}/auth.json'")), "{kickstart}");
    let (_, script) = site.get(&format!("{}/boot", first(2))).await;
    assert!(script.contains("kernel ${base}/kernel"), "{script}");
    let written = format!("{:?}", site.api.written());
    let all = [kickstart, script, written].concat();
    assert!(!all.contains(PASSWORD) && !all.contains(&auth), "{all}");
}

#[tokio::test]
async fn a_boot_whose_login_is_missing_waits_and_ends_nothing() {
    let site = site(naming("login"), &[]).await;
    let (status, script) = site.get(&format!("{}/boot", first(2))).await;
    assert_eq!(status, StatusCode::OK);
    assert!(script.contains("cannot answer now: there is no login for its images"), "{script}");
    assert_eq!(site.api.written().len(), 0, "the boot before goes on");
    for file in ["auth.json", "credential"] {
        let status = site.get(&format!("{}/{file}", boot(1))).await.0;
        let is_given = file == "credential";
        let expected = if is_given { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        assert_eq!(status, expected, "what was installed may register: {file}");
    }
}

#[tokio::test]
async fn no_login_is_given_where_no_installer_needs_one() {
    let plain = site(token(1), &[secret("login", &["quay.io"])]).await;
    let (status, _) = plain.get(&format!("{}/auth.json", boot(1))).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "it names no Secret");
    let mut token = naming("login");
    let kind = Some(BootInstallerKind::DiskImage);
    token.spec.installer = Some(BootInstaller { kind, ..BootInstaller::default() });
    let disk = site(token, &[secret("login", &["quay.io"])]).await;
    let (status, _) = disk.get(&format!("{}/auth.json", boot(1))).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "the server fetches the disk image");
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_secret_is_said_by_a_reason_and_without_what_is_in_it() {
    let mut opaque = secret("opaque", &["quay.io"]);
    opaque.type_ = Some("Opaque".to_owned());
    let mut garbled = secret("garbled", &["quay.io"]);
    let config = ByteString(format!("{{\"auths\":{PASSWORD}").into_bytes());
    garbled.data = Some([(".dockerconfigjson".to_owned(), config)].into());
    let large = secret("large", &[&*"a".repeat(20_000)]);
    let all =
        [opaque, garbled, large, secret("other", &["ghcr.io"]), secret("right", &["quay.io"])];
    let site = site(naming("right"), &all).await;
    let cases = [
        ("nowhere", "PullSecretMissing", "Secret org/nowhere of spec.imagePullSecrets is missing"),
        ("opaque", "PullSecretUnusable", "is not of type kubernetes.io/dockerconfigjson"),
        ("garbled", "PullSecretUnusable", "line 1 column"),
        ("large", "PullSecretUnusable", "more than 16384 bytes"),
        ("../../kube-system/secrets/x", "PullSecretUnusable", "no name of a Secret"),
        ("other", "LoginMissing", "has a login for quay.io"),
    ];
    for (name, reason, says) in cases {
        let error = logins(&site.ctx, &naming(name)).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.reason(), reason, "{text}");
        assert!(text.contains(says) && !text.contains(PASSWORD), "{text}");
    }
    assert!(logins(&site.ctx, &naming("right")).await.is_ok());
    // Whoever looks after the namespace has taken the right to read it away.
    advance(Duration::from_secs(5)).await;
    site.api.forbid();
    let error = logins(&site.ctx, &naming("right")).await.unwrap_err();
    assert!(matches!(error, NoLogin::Forbidden(_)), "{error}");
    assert!(error.to_string().starts_with("hosts may not read Secret org/right of"), "{error}");
    advance(Duration::from_secs(5)).await;
    // A proxy's 403 says nothing about that right.
    for code in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::FORBIDDEN] {
        site.api.fail(Some(code));
        let error = logins(&site.ctx, &naming("right")).await.unwrap_err();
        assert_eq!(error.reason(), "PullSecretUnread", "{code}");
        advance(Duration::from_secs(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_installation_goes_on_with_the_login_it_had_while_the_api_server_gives_no_answer() {
    let site = site(naming("login"), &[secret("login", &["quay.io"])]).await;
    let path = format!("{}/auth.json", boot(1));
    assert_eq!(site.get(&path).await.0, StatusCode::OK);
    advance(Duration::from_mins(1)).await;
    site.api.fall_silent();
    assert_eq!(site.get(&path).await.0, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_secret_is_not_missing_because_a_proxy_in_place_of_the_api_server_has_no_page() {
    let mut site = site(naming("login"), &[secret("login", &["quay.io"])]).await;
    let proxy = tower::service_fn(async |_: Request<kube::client::Body>| {
        let page = kube::client::Body::from(b"404 page not found".to_vec());
        let mut page = axum::http::Response::new(page);
        *page.status_mut() = StatusCode::NOT_FOUND;
        Ok::<_, Infallible>(page)
    });
    Arc::get_mut(&mut site.ctx).unwrap().client = kube::Client::new(proxy, "default");
    let error = logins(&site.ctx, &naming("login")).await.unwrap_err();
    assert_eq!(error.reason(), "PullSecretUnread");
}

#[tokio::test(start_paused = true)]
async fn the_login_of_the_server_is_for_its_own_installer_and_is_given_to_nobody() {
    let mut site = site(token(1), &[]).await;
    let image = format!("quay.io/operator/installer@sha256:{}", hex(&[0xbb; 32]));
    let ctx = Arc::get_mut(&mut site.ctx).unwrap();
    ctx.installer = Some(BootInstaller { image: Some(image.clone()), ..BootInstaller::default() });
    ctx.installer_secret = Some(of_server("bloomery-hosts", "login"));
    let error = problem(&site.ctx, &token(1)).await.unwrap();
    let says = "Secret bloomery-hosts/login of --installer-pull-secret is missing";
    assert_eq!((error.reason(), error.to_string().as_str()), ("PullSecretMissing", says));
    advance(Duration::from_secs(5)).await;
    let mut secret = secret("login", &["quay.io"]);
    secret.metadata.namespace = Some("bloomery-hosts".to_owned());
    site.api.put(&secret);
    assert_eq!(problem(&site.ctx, &token(1)).await, None);
    let installer: Reference = image.parse().unwrap();
    assert!(logins_for(&site.ctx, &token(1), &image).await.unwrap().has(&installer.name));
    let disk = token(1).spec.image;
    assert_eq!(logins_for(&site.ctx, &token(1), &disk).await, Ok(Logins::default()));
    let (status, _) = site.get(&format!("{}/auth.json", boot(1))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_installer_that_is_installed_itself_is_fetched_with_the_login_of_the_server() {
    let image = format!("quay.io/operator/installer@sha256:{}", hex(&[0xbb; 32]));
    let mut token = naming("login");
    token.spec.image.clone_from(&image);
    let mut of_hosts = secret("login", &["quay.io"]);
    of_hosts.metadata.namespace = Some("bloomery-hosts".to_owned());
    let mut site = site(token.clone(), &[secret("login", &["ghcr.io"]), of_hosts]).await;
    let ctx = Arc::get_mut(&mut site.ctx).unwrap();
    ctx.installer = Some(BootInstaller { image: Some(image.clone()), ..BootInstaller::default() });
    ctx.installer_secret = Some(of_server("bloomery-hosts", "login"));
    assert_eq!(problem(&site.ctx, &token).await, None);
    let name = image.parse::<Reference>().unwrap().name;
    assert!(logins_for(&site.ctx, &token, &image).await.unwrap().has(&name));
}

#[tokio::test]
async fn no_login_is_given_out_by_plain_http() {
    let mut site = site(naming("login"), &[secret("login", &["quay.io"])]).await;
    Arc::get_mut(&mut site.ctx).unwrap().service_url = "http://hosts.example.org".to_owned();
    let error = logins(&site.ctx, &naming("login")).await.unwrap_err();
    assert_eq!(error.reason(), "LoginByHTTP", "{error}");
    let (status, _) = site.get(&format!("{}/auth.json", boot(1))).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
}
