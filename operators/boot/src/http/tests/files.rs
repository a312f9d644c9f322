//! Files beside a loader that an image has in the place of a UKI.

use super::{
    window::{UKI as SHIM, linked, lost, offering, uki_claims},
    *,
};
use crate::testing::{
    configuration, http_config, lease,
    registry::{OCI_MANIFEST, TestRegistry},
};
use metal_api::{BootState, NetworkInterface};
use metal_core::capability::Claims;
use metal_image::manifest::UKI;
use serde_json::json;

const MAC: &str = "02:00:00:aa:00:01";
const CONFIG: &str = "/grub/grub.cfg";
/// Name, media type and content.
type ImageFile = (&'static str, &'static str, &'static [u8]);
const FILES: [ImageFile; 4] = [
    ("shimx64.efi", UKI[0], SHIM),
    ("grubx64.efi", "application/octet-stream", b"GRUB"),
    ("grub/grub.cfg", "text/plain", b"linux $fw_path/vmlinuz"),
    ("../vmlinuz", "text/plain", b"not in the folder"),
];

#[tokio::test]
async fn a_loader_gets_the_files_of_its_image_beside_its_own_url() {
    let registry = TestRegistry::start().await;
    let server = booting(&registry, |_| {}).await;
    let folder = folder(&server);
    let (router, _cluster, _dir) = server.router();
    for (file, content_type, content) in [
        ("grubx64.efi", "application/efi", "GRUB"),
        // As shim asks for it.
        ("/grubx64.efi", "application/efi", "GRUB"),
        ("grub/grub.cfg", "application/octet-stream", "linux $fw_path/vmlinuz"),
    ] {
        let path = format!("{folder}/{file}");
        let got = get(&router, &path).await;
        assert_eq!((got.status, got.body.as_str()), (200, content), "{path}");
        assert_eq!(got.header("content-type"), Some(content_type));
        let head = ask(&router, Method::HEAD, &path, &[], "10.0.0.1").await;
        // Loaders make room for so much.
        let size = content.len().to_string();
        assert_eq!((head.status, head.header("content-length")), (200, Some(size.as_str())));
    }
    let (_, without_token) = folder.split_once("/t/").unwrap().1.split_once('/').unwrap();
    for nothing in [
        format!("{folder}/mmx64.efi"),
        format!("{folder}/../vmlinuz"),
        format!("{folder}/%2e%2e/vmlinuz"),
        format!("{folder}x/grubx64.efi"),
        format!("{folder}/"),
        format!("/httpboot/{without_token}/grubx64.efi"),
    ] {
        let status = get(&router, &nothing).await.status;
        assert!([301, 404].contains(&status), "{nothing}: {status}");
    }
    let stolen = folder.replacen("/t/", "/t/x", 1);
    assert_eq!(get(&router, &format!("{stolen}/grubx64.efi")).await.status, 403);
}

#[tokio::test]
async fn outside_of_its_window_a_loader_gets_no_files() {
    let registry = TestRegistry::start().await;
    let server = booting(&registry, |objects| lost(&mut objects.servers[0])).await;
    let folder = folder(&server);
    let (router, _cluster, _dir) = server.router();
    assert_eq!(get(&router, &format!("{folder}/grubx64.efi")).await.status, 403);
    let got = ask(&router, Method::GET, CONFIG, &[], "10.1.1.1").await;
    assert_eq!(got.status, 403);
}

#[tokio::test]
async fn grub_gets_its_configuration_at_the_address_that_its_loader_was_loaded_from() {
    let registry = TestRegistry::start().await;
    for loaded in ["sha256", "grubx64.efi"] {
        let server = booting(&registry, |_| {}).await;
        let link = link(&server);
        let path = match loaded {
            "sha256" => link,
            file => format!("{}/{file}", folder(&server)),
        };
        let (router, _cluster, _dir) = server.router();
        let config = async |from| ask(&router, Method::GET, CONFIG, &[], from).await;
        assert_eq!(config("192.0.2.1").await.status, 404, "nobody has loaded anything there");
        assert_eq!(ask(&router, Method::GET, &path, &[], "192.0.2.1").await.status, 200);
        let got = config("192.0.2.1").await;
        assert_eq!((got.status, got.body.as_str()), (200, "linux $fw_path/vmlinuz"));
        assert_eq!(config("192.0.2.2").await.status, 404);
        let missing = ask(&router, Method::GET, "/grub/fonts", &[], "192.0.2.1").await;
        assert_eq!(missing.status, 404);
    }
}

#[tokio::test]
async fn grub_gets_its_configuration_at_the_address_that_its_machine_is_known_to_have() {
    let registry = TestRegistry::start().await;
    let server = booting(&registry, at_a_lease).await;
    let (router, _cluster, _dir) = server.router();
    // The loader was served by another replica.
    let got = ask(&router, Method::GET, CONFIG, &[], "10.1.1.1").await;
    assert_eq!((got.status, got.body.as_str()), (200, "linux $fw_path/vmlinuz"));
    assert_eq!(ask(&router, Method::GET, CONFIG, &[], "10.1.1.2").await.status, 404);
}

#[tokio::test]
async fn grub_gets_its_configuration_at_an_address_that_another_server_had_before() {
    let registry = TestRegistry::start().await;
    let server = booting(&registry, |objects| {
        at_a_lease(objects);
        let uuid = "00000000-0000-0000-0000-000000000002";
        let mut before = http_config("other");
        before.spec.system_uuid = Some(uuid.to_owned());
        before.spec.network_identifiers = vec!["10.1.1.1".to_owned()];
        objects.http.push(before);
        objects.servers.push(crate::testing::server("other", uuid, "other"));
        objects.configurations.push(configuration("other", Some(BootState::Ready)));
    })
    .await;
    let (router, _cluster, _dir) = server.router();
    let got = ask(&router, Method::GET, CONFIG, &[], "10.1.1.1").await;
    assert_eq!((got.status, got.body.as_str()), (200, "linux $fw_path/vmlinuz"));
}

#[tokio::test]
async fn a_tag_that_has_moved_on_gives_no_files_of_another_image() {
    let registry = TestRegistry::start().await;
    let server = booting(&registry, |_| {}).await;
    let other: ImageFile = ("shimx64.efi", UKI[0], b"a later shim");
    push(&registry, &[other, FILES[1]]).await;
    let folder = folder(&server);
    let (router, _cluster, _dir) = server.router();
    assert_eq!(get(&router, &format!("{folder}/grubx64.efi")).await.status, 404);
}

#[tokio::test]
async fn a_loader_whose_manifest_is_known_gets_its_files_wherever_the_tag_has_moved_to() {
    let registry = TestRegistry::start().await;
    push(&registry, &FILES).await;
    let resolver = resolver(&[registry.address.as_str()]);
    let image = resolver.resolve(&registry.image("os:1"), "amd64").await.unwrap();
    let manifest = image.manifest.to_string();
    let server = booting(&registry, |objects| {
        let known = (metal_api::annotation::IMAGE_DIGEST.to_owned(), manifest);
        objects.http[0].metadata.annotations = Some([known].into());
    })
    .await;
    let other: ImageFile = ("shimx64.efi", UKI[0], b"a later shim");
    push(&registry, &[other, FILES[1]]).await;
    let folder = folder(&server);
    let (router, _cluster, _dir) = server.router();
    for file in ["grubx64.efi", "grub/grub.cfg"] {
        assert_eq!(get(&router, &format!("{folder}/{file}")).await.status, 200, "{file}");
    }
}

#[tokio::test]
async fn a_loader_that_was_loaded_for_an_earlier_boot_is_not_told_of_the_next() {
    let registry = TestRegistry::start().await;
    let server = booting(&registry, |_| {}).await;
    let earlier = Claims { boot: "earlier".to_owned(), ..uki_claims() };
    let from = Requester::Host(Some("192.0.2.1".parse().unwrap()));
    server.state.loaders.loaded(&from, earlier);
    let (router, _cluster, _dir) = server.router();
    assert_eq!(ask(&router, Method::GET, CONFIG, &[], "192.0.2.1").await.status, 404);
}

/// Its address is known by the lease of its network card alone.
fn at_a_lease(objects: &mut Objects) {
    let interface = NetworkInterface { mac_address: MAC.to_owned(), ..Default::default() };
    objects.servers[0].status.get_or_insert_default().network_interfaces.push(interface);
    objects.http[0].spec.network_identifiers.clear();
    objects.leases.push(lease("10.1.1.1", MAC));
}

/// A service with a server that boots an image of a loader and its files.
async fn booting(registry: &TestRegistry, change: impl FnOnce(&mut Objects)) -> TestServer {
    push(registry, &FILES).await;
    let mut objects = linked(registry).await;
    objects.configurations[0].spec.image = Some(registry.image("os:1"));
    change(&mut objects);
    offering(registry, objects).await
}

/// Pushes an image of files, as `oras push` does.
async fn push(registry: &TestRegistry, files: &[ImageFile]) {
    let mut layers = vec![];
    for (name, media_type, content) in files {
        let digest = registry.push_blob("os", content).await.to_string();
        layers.push(json!({
            "mediaType": media_type,
            "digest": digest,
            "size": content.len(),
            "annotations": {"org.opencontainers.image.title": name},
        }));
    }
    let config = registry.push_blob("os", b"{}").await.to_string();
    let config_type = "application/vnd.oci.image.config.v1+json";
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": config_type, "digest": config, "size": 2},
        "layers": layers,
    });
    registry.push_manifest("os", "1", OCI_MANIFEST, &manifest).await;
}

/// The path of the loader.
fn link(server: &TestServer) -> String {
    let uki = server.state.view.http_of(crate::testing::UUID.parse().unwrap());
    let uki = uki[0].spec.uki_url.clone().unwrap();
    uki.strip_prefix("http://boot:8083").unwrap().to_owned()
}

/// The folder of the loader.
fn folder(server: &TestServer) -> String {
    link(server).rsplit_once('/').unwrap().0.to_owned()
}
