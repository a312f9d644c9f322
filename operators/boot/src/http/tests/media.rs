use super::*;
use crate::{
    blob_refs::blobs,
    config_ref::{ConfigRef, Kind},
    testing::{configuration, registry::TestRegistry},
};
use jiff::Timestamp;
use metal_api::{BootState, annotation};
use metal_core::{
    boot::url,
    capability::{Claims, Purpose, issue},
};

const UKI: &[u8] = b"a unified kernel image, more or less";

#[tokio::test]
async fn the_medium_of_a_boot_is_served_whole_and_in_part_and_leads_to_its_ignition() {
    let registry = TestRegistry::start().await;
    let server = serving(&registry).await;
    let path = server.medium(&claims());
    let (router, _cluster, _dir) = server.router();
    let head = ask(&router, Method::HEAD, &path, &[], "10.0.0.1").await;
    assert_eq!((head.status, head.header("accept-ranges")), (200, Some("bytes")));
    let size: usize = head.header("content-length").unwrap().parse().unwrap();
    // The last bytes are zeros; the test reads no more than it needs.
    let begin = ask(&router, Method::GET, &path, &[("range", "bytes=0-99999")], "10.0.0.1").await;
    assert_eq!((begin.status, begin.body.len() > 90_000), (206, true));
    assert_eq!(begin.header("content-range"), Some(&*format!("bytes 0-99999/{size}")));
    let uki = std::str::from_utf8(UKI).unwrap();
    assert!(begin.body.contains(uki) && begin.body.contains("BLOOMERY"));
    let (_, url) = begin.body.split_once("http://boot:8082/").unwrap();
    let ignition = format!("/{}", url.split('\0').next().unwrap());
    let got = get(&router, &ignition).await;
    assert_eq!((got.status, got.body.as_str()), (200, crate::testing::IGNITION));
    let again = ask(&router, Method::GET, &path, &[("range", "bytes=0-99999")], "10.0.0.1").await;
    assert_eq!(again.header("etag"), begin.header("etag"));
    assert!(again.body == begin.body);
}

#[tokio::test]
async fn only_the_token_of_this_very_boot_opens_a_medium() {
    let registry = TestRegistry::start().await;
    let good = claims();
    let cases = [
        (Claims { boot: "earlier-uid".to_owned(), ..good.clone() }, 404),
        (Claims { server: "other".to_owned(), ..good.clone() }, 404),
        (Claims { purpose: Purpose::Ignition, ..good.clone() }, 403),
        (Claims { expires: Timestamp::now() - Duration::from_secs(1), ..good }, 403),
    ];
    for (claims, status) in cases {
        let server = serving(&registry).await;
        let path = server.medium(&claims);
        assert_eq!(server.get(&path).await.status, status, "{claims:?}");
    }
    for (path, status) in [("/media/x", 404), ("/media/x.iso", 403), ("/media/.iso", 403)] {
        assert_eq!(serving(&registry).await.get(path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn a_server_that_boots_otherwise_has_no_medium_and_one_with_a_medium_nothing_else() {
    let registry = TestRegistry::start().await;
    let cases = [("virtual-media", 200, 404), ("http", 404, 200), ("disk", 404, 404)];
    for (method, medium, uki) in cases {
        let mut objects = objects(&registry).await;
        objects.servers[0].metadata.annotations =
            Some([(annotation::BOOT_METHOD.to_owned(), method.to_owned())].into());
        let server = offering(&registry, objects).await;
        let path = server.medium(&claims());
        let (router, _cluster, _dir) = server.router();
        let head = ask(&router, Method::HEAD, &path, &[], "10.0.0.1").await;
        assert_eq!(head.status, medium, "{method}");
        let asked = [("x-forwarded-for", "10.1.1.1")];
        let got = ask(&router, Method::GET, "/httpboot", &asked, "10.0.0.1").await;
        assert_eq!(got.status, uki, "{method}");
    }
}

#[tokio::test]
async fn what_is_not_ready_or_not_known_yet_has_no_medium_yet() {
    let registry = TestRegistry::start().await;
    let server = TestServer::starting().await;
    let path = server.medium(&claims());
    assert_eq!(server.get(&path).await.status, 503);
    let mut objects = objects(&registry).await;
    objects.configurations = vec![configuration("claim", Some(BootState::Pending))];
    let server = offering(&registry, objects).await;
    let path = server.medium(&claims());
    assert_eq!(server.get(&path).await.status, 503);
}

impl TestServer {
    fn medium(&self, claims: &Claims) -> String {
        format!("/media/{}.iso", issue(&self.state.key().unwrap(), claims).unwrap().as_str())
    }
}

async fn serving(registry: &TestRegistry) -> TestServer {
    offering(registry, objects(registry).await).await
}

/// A server that is to boot a UKI of the registry.
async fn objects(registry: &TestRegistry) -> Objects {
    let digest = registry.push_blob("os", UKI).await.to_string();
    let mut objects = Objects::ready_for_http();
    let url = url::uki("http://boot:8083/httpboot", &registry.image("os"), &digest);
    objects.http[0].spec.uki_url = Some(url);
    objects
}

async fn offering(registry: &TestRegistry, objects: Objects) -> TestServer {
    let uki = objects.http[0].spec.uki_url.clone();
    let mut server = TestServer::with(objects).await;
    server.state.images = resolver(&[registry.address.as_str()]);
    let config = ConfigRef::new(Kind::Http, ("tenant".to_owned(), "claim".to_owned()));
    server.state.blob_refs.set(config, blobs(uki.as_deref()));
    server
}

fn claims() -> Claims {
    Claims {
        purpose: Purpose::Medium,
        server: "server".to_owned(),
        boot: "claim-uid".to_owned(),
        expires: Timestamp::now() + Duration::from_mins(5),
    }
}
