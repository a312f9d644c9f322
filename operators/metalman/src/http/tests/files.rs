//! What machines get of their image, and when.

use super::*;
use crate::{image_files, images::Image, serve_url::ServeUrl};
use k8s_openapi::api::core::v1::ConfigMap;
use metal_api::{MachineCloudInit, MachineConfigMapReference, MachineOperations};
use metal_core::capability::Key;
use metal_image::testing::tree;
use metal_machine::provisioning::{access::token, agent::Cluster};
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
    (
        "disk/cloud-init/vendor-data.tmpl",
        b"#cloud-config\nruncmd: [join]\nagent: {{ .AgentConfigJSON }}\n",
    ),
    ("disk/broken.tmpl", b"\n{{ .Nothing }}"),
    ("disk/grub/two words.txt", b"words"),
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
        "/grub/%252e%252e/disk.img.gz",
        "/grub/two%2520words.txt",
        "/grub/two%00words.txt",
        "/grub/%",
        "/grub/%2",
        "/grub/%zz",
        "/grub/%ff",
        "/grub//../vmlinuz",
        "/cloud-init/./../vmlinuz",
        "/cloud-init/network-config",
        "/broken",
    ] {
        assert_eq!(lab.get(path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    for path in ["/grub/two%20words.txt", "/grub/%74wo%20words%2etxt", "/%67rub/two%20words.txt"] {
        assert_eq!(lab.get(path).await, (StatusCode::OK, "words".to_owned()), "{path}");
    }
    let response = lab.ask(1, "DELETE", "/shimx64.efi", "").await;
    assert_eq!(response.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(lab.ask(9, "GET", "/shimx64.efi", "").await.0, StatusCode::NOT_FOUND);
    let flaw = image_files::state(&lab.ctx, &Arc::new(asked(1, Some(1), Some(0)))).await;
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
    let texts = [
        ("user-data", "#!/bin/sh\n"),
        ("commented", "#cloud-config\nruncmd:\n# - later\n"),
        ("mapping", "#cloud-config\nruncmd: {a: b}\n"),
    ];
    map.data = Some(texts.map(|(key, text)| (key.to_owned(), text.to_owned())).into());
    let lab = Lab::new(named("default", Some("commented"))).await;
    lab.server.put(&map);
    let (status, body) = lab.get("/cloud-init/user-data").await;
    assert!(status == StatusCode::OK && body.contains("empty-lists"), "{body}");
    for (namespace, key, expected) in [
        ("default", None, None),
        ("default", Some("mapping"), Some("NotAList")),
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

#[tokio::test]
async fn a_machine_on_the_second_interface_is_told_the_address_that_it_reached() {
    let mut lab = Lab::new(asked(1, Some(3), Some(2))).await;
    let ctx = Arc::get_mut(&mut lab.ctx).unwrap();
    ctx.serve_url = ServeUrl::new(None, [0, 0, 0, 0].into(), 8880);
    ctx.trusted_proxies = vec!["10.0.0.9/32".parse().unwrap()];
    let get = async |from: u8, local: &str| {
        let mut request = Request::get("/grub/grub.cfg").body(Body::empty()).unwrap();
        let forwarded = "10.0.0.1".parse().unwrap();
        request.headers_mut().insert("x-forwarded-for", forwarded);
        request.extensions_mut().insert(Local(local.parse().unwrap()));
        let body = answered(&lab.ctx, from, request).await.into_body();
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    };
    for (local, url) in [
        ("10.9.0.2:8880", "http://10.9.0.2:8880/c/"),
        ("[::ffff:10.8.0.2]:80", "http://10.8.0.2:8880/c/"),
    ] {
        assert!(get(1, local).await.starts_with(&format!("install {url}")), "{local}");
    }
    assert!(!get(9, "10.9.0.2:8880").await.contains("10.9.0.2"), "a proxy has reached that");
}

#[tokio::test]
async fn an_image_with_slow_templates_delays_no_other_machine() {
    let slow = "{{ range $i := .Machine.Spec.PXE.DHCPLeases }}x{{ end }}";
    let lab = Lab::new(asked(1, None, None)).await;
    let image = lab.ctx.images.of(&lab.machine).unwrap();
    // Its templates are being rendered, for as long as they like.
    let places = (image.places().try_acquire().unwrap(), image.places().try_acquire().unwrap());
    let machine = Arc::new(lab.machine.clone());
    assert_eq!(image_files::state(&lab.ctx, &machine).await, None, "a pass does not wait");
    let asked = || image_files::FileRequest {
        machine: Arc::clone(&machine),
        is_live: true,
        path: "grub/grub.cfg".to_owned(),
        url: String::new(),
        proof: image_files::Proof::Address,
    };
    let busy = image_files::opened_here(&lab.ctx, asked()).unwrap_err();
    assert_eq!(busy, image_files::Refused::Busy, "and neither does TFTP");
    assert_eq!(lab.get("/shimx64.efi").await.1, "loader", "files are no templates");
    drop(places);
    assert!(image_files::opened_here(&lab.ctx, asked()).is_ok());
    assert!(image_files::state(&lab.ctx, &machine).await.is_some());
    // What was found is known from then on, and not looked for again.
    let places = (image.places().try_acquire().unwrap(), image.places().try_acquire().unwrap());
    assert!(image_files::state(&lab.ctx, &machine).await.is_some());
    drop(places);
    // There are not too many of them.
    let names: Vec<_> = (0..65).map(|it| format!("disk/grub/{it}.tmpl")).collect();
    let files: Vec<_> = names.iter().map(|it| (it.as_str(), slow.as_bytes())).collect();
    for (count, is_fine) in [(64, true), (65, false)] {
        let dir = tempfile::tempdir().unwrap();
        let image = Image::load(Arc::new(tree(dir.path(), &files[..count]).unwrap())).await;
        assert_eq!(image.is_ok(), is_fine, "{count}");
    }
}

#[tokio::test(start_paused = true)]
async fn user_data_is_read_once_in_some_seconds() {
    let mut machine = asked(1, None, None);
    let reference = MachineConfigMapReference {
        name: "mine".to_owned(),
        namespace: "default".to_owned(),
        key: None,
    };
    machine.spec.pxe.as_mut().unwrap().cloud_init =
        Some(MachineCloudInit { user_data_config_map_ref: Some(reference) });
    let lab = Lab::new(machine).await;
    for _ in 0..50 {
        assert_eq!(lab.get("/cloud-init/user-data").await.0, StatusCode::OK);
    }
    assert_eq!(lab.server.sent().len(), 1);
}

/// A context whose first Machine has an image.
pub(super) struct Lab {
    pub(super) server: ApiServer,
    pub(super) ctx: Arc<Context>,
    key: Key,
    machine: Machine,
    _dir: TempDir,
}

impl Lab {
    pub(super) async fn new(machine: Machine) -> Self {
        let (server, ctx) = Box::pin(cluster([machine.clone()])).await;
        let mut ctx = Arc::into_inner(ctx).unwrap();
        let key = Key::new(&[7; 32]).unwrap();
        ctx.serve_url = ServeUrl::new(Some(URL), [0, 0, 0, 0].into(), 8880);
        ctx.key.set(key.clone());
        ctx.cluster.set(Cluster::default());
        let dir = tempfile::tempdir().unwrap();
        let image = Image::load(Arc::new(tree(dir.path(), FILES).unwrap())).await.unwrap();
        assert_eq!(image.boot_file(), Some("shimx64.efi"));
        ctx.images.preset(&machine, image);
        Self { server, ctx: Arc::new(ctx), key, machine, _dir: dir }
    }

    pub(super) fn token(&self, repave: i64) -> String {
        token(&self.key, &self.machine, repave)
    }

    pub(super) async fn get(&self, path: &str) -> (StatusCode, String) {
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
