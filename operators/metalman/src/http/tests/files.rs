//! What machines get of their image, and when.

use super::*;
use crate::{images::Image, open};
use k8s_openapi::api::core::v1::ConfigMap;
use metal_api::{MachineCloudInit, MachineConfigMapReference, MachineOperations};
use metal_core::{
    capability::Key,
    machine::netboot::{access::token, agent::Cluster},
};
use metal_image::testing::tree;
use tempfile::TempDir;

const URL: &str = "http://192.0.2.1:8880";
const GRUB: &str = "{{ if le .Machine.Spec.Operations.RepaveCounter .Machine.Status.Operations.RepaveCounter }}boot\
                    {{ else }}install {{ .ServeURL }}{{ end }}";
const FILES: &[(&str, &[u8])] = &[
    ("disk/metadata.yaml", b"dhcpBootImageName: shimx64.efi\n"),
    ("disk/shimx64.efi", b"loader"),
    ("disk/vmlinuz", b"kernel"),
    ("disk/disk.img.gz", b"0123456789"),
    ("disk/grub/grub.cfg.tmpl", GRUB.as_bytes()),
    ("disk/cloud-init/meta-data.tmpl", b"instance-id: {{ .Machine.Name }}\n"),
    ("disk/cloud-init/vendor-data.tmpl", b"#cloud-config\n{{ .AgentConfigJSON }}"),
    ("disk/broken.tmpl", b"\n{{ .Nothing }}"),
    ("etc/passwd", b"root"),
];

#[tokio::test]
async fn an_installation_is_served_to_its_installer_while_it_is_due_and_to_nobody_else() {
    let lab = Lab::new(asked(1, Some(3), Some(2))).await;
    let token = lab.token(3);
    let (status, body) = lab.get("/grub/grub.cfg").await;
    assert_eq!((status, body), (StatusCode::OK, format!("install {URL}/c/{token}")));
    assert_eq!(lab.get(&format!("/c/{token}/disk.img.gz")).await.1, "0123456789");
    assert_eq!(lab.get(&format!("/c/{token}/vmlinuz")).await.1, "kernel");
    for path in [
        "/disk.img.gz".to_owned(),
        format!("/c/{}/disk.img.gz", lab.token(2)),
        "/c/x/vmlinuz".into(),
    ] {
        let (status, body) = lab.get(&path).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path} {body}");
    }
    for (wanted, done) in [(None, None), (Some(3), Some(3)), (Some(3), Some(4)), (Some(0), None)] {
        let lab = Lab::new(asked(1, wanted, done)).await;
        assert_eq!(lab.get("/grub/grub.cfg").await.1, "boot", "{wanted:?} {done:?}");
        for path in ["/vmlinuz", "/disk.img.gz", &format!("/c/{}/disk.img.gz", lab.token(3))] {
            assert_eq!(lab.get(path).await.0, StatusCode::FORBIDDEN, "{path} {wanted:?} {done:?}");
        }
        assert_eq!(lab.get("/shimx64.efi").await.1, "loader");
    }
}

#[tokio::test]
async fn an_installer_ends_its_own_installation_by_any_method_and_once() {
    for method in ["GET", "POST"] {
        let lab = Lab::new(asked(1, Some(3), Some(2))).await;
        for path in ["/pxe/disable".to_owned(), format!("/c/{}/pxe/disable", lab.token(2))] {
            assert_eq!(lab.ask(1, method, &path, "").await.0, StatusCode::FORBIDDEN, "{path}");
        }
        assert_eq!(writes(&lab.server), [""; 0]);
        let path = format!("/c/{}/pxe/disable", lab.token(3));
        assert_eq!(lab.ask(9, method, &path, "").await.0, StatusCode::NOT_FOUND);
        assert_eq!(lab.ask(1, method, &path, "").await.0, StatusCode::OK);
        let status = lab.status();
        assert_eq!(status.operations.unwrap().repave_counter, Some(3));
        assert!(status.conditions.iter().any(|it| it.type_ == "Repaved" && it.status == "True"));
        assert_eq!(lab.ask(1, method, &path, "").await.0, StatusCode::OK);
        assert_eq!(writes(&lab.server).len(), 1);
        assert_eq!(lab.get("/grub/grub.cfg").await.1, "boot");
    }
}

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

#[tokio::test]
async fn files_are_served_whole_and_in_part_and_templates_are_not() {
    let lab = Lab::new(asked(1, Some(1), Some(0))).await;
    let path = format!("/c/{}/disk.img.gz", lab.token(1));
    let request = Request::get(&path).header("range", "bytes=2-4").body(Body::empty()).unwrap();
    let response = answered(&lab.ctx, 1, request).await;
    assert_eq!(response.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "234");
    for path in [
        "/grub/grub.cfg.tmpl",
        "/metadata.yaml",
        "/",
        "/grub",
        "/grub/",
        "/../etc/passwd",
        "/grub/../../etc/passwd",
        "/grub/../disk.img.gz",
        "/grub/..%2fdisk.img.gz",
        "/grub/%2e%2e/disk.img.gz",
        "/grub//../vmlinuz",
        "/cloud-init/./../vmlinuz",
        "/cloud-init/network-config",
        "/broken",
    ] {
        assert_eq!(lab.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let response = lab.ask(1, "DELETE", "/shimx64.efi", "").await;
    assert_eq!(response.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(lab.ask(9, "GET", "/shimx64.efi", "").await.0, StatusCode::NOT_FOUND);
    let flaw = open::state(&lab.ctx, &asked(1, Some(1), Some(0)));
    let flaw = format!("{flaw:?}");
    assert!(flaw.contains("broken.tmpl:2"), "{flaw}");
}

#[tokio::test]
async fn while_the_image_is_not_there_a_machine_comes_again() {
    let lab = Lab::new(asked(1, None, None)).await;
    let mut other = asked(2, None, None);
    other.metadata.name = Some("node-02".to_owned());
    other.spec.pxe.as_mut().unwrap().image = "ghcr.io/other:1".to_owned();
    let (_, ctx) = cluster([other]).await;
    for path in ["/shimx64.efi", "/grub/grub.cfg", "/cloud-init/meta-data", "/cloud-init/user-data"]
    {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = answered(&ctx, 2, request).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(response.headers()["retry-after"], "5");
    }
    assert_eq!(lab.get("/cloud-init/meta-data").await.1, "instance-id: node-01\n");
}

#[tokio::test]
async fn user_data_of_a_person_takes_nothing_away() {
    let lab = Lab::new(asked(1, None, None)).await;
    let (status, body) = lab.get("/cloud-init/user-data").await;
    assert!(status == StatusCode::OK && body.contains("Merge-Type: list(append)"), "{body}");
    let named = |namespace: &str, key: Option<&str>| {
        let mut machine = asked(1, None, None);
        let reference = MachineConfigMapReference {
            name: "mine".to_owned(),
            namespace: namespace.to_owned(),
            key: key.map(str::to_owned),
        };
        machine.spec.pxe.as_mut().unwrap().cloud_init =
            Some(MachineCloudInit { user_data_config_map_ref: Some(reference) });
        machine
    };
    let mut map = ConfigMap::default();
    map.metadata.name = Some("mine".to_owned());
    map.metadata.namespace = Some("default".to_owned());
    map.data = Some([("user-data".to_owned(), "#!/bin/sh\n".to_owned())].into());
    for (namespace, key, expected) in [
        ("default", None, None),
        ("default", Some("other"), Some("KeyMissing")),
        ("kube-system", None, Some("NamespaceNotAllowed")),
    ] {
        let lab = Lab::new(named(namespace, key)).await;
        lab.server.put(&map);
        let (status, body) = lab.get("/cloud-init/user-data").await;
        match expected {
            None => {
                assert!(status == StatusCode::OK && body.contains("IyEvYmluL3NoCg=="), "{body}");
                assert_eq!(writes(&lab.server), [""; 0]);
            }
            Some(reason) => {
                assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
                let told = lab.status().conditions;
                assert!(told.iter().any(|it| it.type_ == "UserDataReady" && it.reason == reason));
            }
        }
    }
}

#[tokio::test]
async fn progress_is_recorded_and_whatever_is_told_is_well() {
    let lab = Lab::new(asked(1, None, None)).await;
    let start = r#"{"name":"init-local","description":"x","event_type":"start","origin":"cloudinit","timestamp":1.5}"#;
    for body in ["", "{", "[]", r#"{"name":7}"#, "null"] {
        assert_eq!(lab.ask(1, "POST", "/cloudinit/log", body).await.0, StatusCode::OK);
    }
    assert_eq!(lab.ask(9, "POST", "/cloudinit/log", start).await.0, StatusCode::OK);
    assert_eq!(writes(&lab.server), [""; 0]);
    assert_eq!(lab.ask(1, "POST", "/c/old/cloudinit/log", start).await.0, StatusCode::OK);
    let told = lab.status().conditions;
    let told = told.iter().find(|it| it.type_ == "CloudInitDone").unwrap();
    assert_eq!((told.status.as_str(), told.reason.as_str()), ("False", "Running"));
    lab.server.fail(Some(StatusCode::INTERNAL_SERVER_ERROR));
    let end = start.replace("start", "finish");
    assert_eq!(lab.ask(1, "POST", "/cloudinit/log", &end).await.0, StatusCode::OK);
}

/// A context whose first Machine has an image.
pub(super) struct Lab {
    pub(super) server: ApiServer,
    ctx: Arc<Context>,
    key: Key,
    machine: Machine,
    _dir: TempDir,
}

impl Lab {
    pub(super) async fn new(machine: Machine) -> Self {
        let (server, ctx) = Box::pin(cluster([machine.clone()])).await;
        let mut ctx = Arc::into_inner(ctx).unwrap();
        let key = Key::new(&[7; 32]).unwrap();
        ctx.serve_url = Some(URL.to_owned());
        ctx.key.set(key.clone());
        ctx.cluster.set(Arc::new(Cluster::default()));
        let dir = tempfile::tempdir().unwrap();
        let image = Image::load(Arc::new(tree(dir.path(), FILES).unwrap())).await.unwrap();
        assert_eq!(image.boot_file(), Some("shimx64.efi"));
        ctx.images.preset(&machine, image);
        Self { server, ctx: Arc::new(ctx), key, machine, _dir: dir }
    }

    pub(super) fn token(&self, repave: i64) -> String {
        token(&self.key, &self.machine, repave)
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        self.ask(1, "GET", path, "").await
    }

    pub(super) async fn ask(
        &self,
        from: u8,
        method: &str,
        path: &str,
        body: &str,
    ) -> (StatusCode, String) {
        let request = Request::builder().method(method).uri(path);
        send(&self.ctx, from, request, body.to_owned()).await
    }

    pub(super) fn status(&self) -> MachineStatus {
        self.server.object::<Machine>(None, "node-01").unwrap().status.unwrap()
    }
}

/// A Machine of which installations were asked for, and done.
pub(super) fn asked(number: u8, wanted: Option<i64>, done: Option<i64>) -> Machine {
    let mut machine = machine("node-01", number);
    machine.spec.pxe.as_mut().unwrap().image = "ghcr.io/a/b:1".to_owned();
    machine.spec.operations = wanted.map(|repave| MachineOperations {
        repave_counter: Some(repave),
        ..MachineOperations::default()
    });
    let status = machine.status.insert(MachineStatus::default());
    if let Some(done) = done {
        status.operations.get_or_insert_default().repave_counter = Some(done);
    }
    machine
}
