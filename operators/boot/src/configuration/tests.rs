use super::*;
use crate::{
    pull_secret::RegistryLogins,
    testing::{
        Cluster, LOGIN, NAMESPACE, Objects, UUID, configuration, context, list,
        registry::{OCI_MANIFEST, TestRegistry},
        resolver, server,
    },
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use metal_api::{BootState, ServerBootConfiguration};
use metal_image::{
    Digest,
    manifest::{INITRD, KERNEL, UKI},
};
use metal_runtime::{
    controller::Pass,
    report::Reporter,
    work::{NOT_LISTED, Work},
};

const GROUP: &str = "/apis/boot.ironcore.dev/v1alpha1/namespaces/tenant";
const STATUS: &str = "PATCH /apis/metal.ironcore.dev/v1alpha1/namespaces/tenant/\
                      serverbootconfigurations/claim/status";

#[tokio::test]
async fn a_pxe_image_costs_one_boot_config_and_one_status_and_then_nothing() {
    let registry = TestRegistry::start().await;
    let layers: [(&str, &[u8]); 2] = [(KERNEL[0], b"k"), (INITRD[0], b"i")];
    registry.push_image("os", "1", OCI_MANIFEST, &layers).await;
    let world = World::new(&registry, "os:1").await;

    world.pass().await;
    let written = world.cluster.written();
    assert_eq!(written[0].request, format!("PATCH {GROUP}/ipxebootconfigs/claim"));
    assert!(written[0].query.contains("force=true"));
    let body = &written[0].body;
    let owner = &body["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["uid"], &owner["kind"]),
        (&"claim-uid".into(), &"ServerBootConfiguration".into())
    );
    assert_eq!((&owner["controller"], &owner["blockOwnerDeletion"]), (&true.into(), &true.into()));
    assert_eq!(body["spec"]["systemUUID"], UUID);
    assert_eq!(body["spec"]["ignitionSecretRef"]["name"], "ignition");
    let image = registry.image("os").replace(':', "%3A").replace('/', "%2F");
    let digest = Digest::of(b"k").to_string().replace(':', "%3A");
    let kernel = format!("http://boot:8082/image?imageName={image}&layerDigest={digest}&version=1");
    assert_eq!(body["spec"]["kernelURL"], kernel.as_str());

    assert_eq!(world.settle().await, [STATUS]);
    assert_eq!(world.state(), Some(BootState::Ready));
    world.pass().await;
    assert_eq!(world.cluster.take(), [""; 0]);
    assert_eq!(world.condition("HTTPBootReady"), ("False".into(), "LayerMissing".into()));
}

#[tokio::test]
async fn a_boot_configuration_that_is_to_be_ignored_is_left_alone() {
    let registry = TestRegistry::start().await;
    let world = World::new(&registry, "os:1").await;
    let mut ignored = world.configuration();
    let ignore = (metal_api::annotation::OPERATION.to_owned(), "ignore".to_owned());
    ignored.metadata.annotations = Some([ignore].into());
    ignored.metadata.resource_version = Some("2".to_owned());
    list(&world.ctx.view.configurations, vec![ignored]).await;
    world.pass().await;
    assert_eq!(world.cluster.take(), [""; 0]);
}

#[tokio::test]
async fn a_boot_config_is_written_once_however_late_the_watch_shows_it() {
    let registry = TestRegistry::start().await;
    let layers: [(&str, &[u8]); 2] = [(KERNEL[0], b"k"), (INITRD[0], b"i")];
    registry.push_image("os", "1", OCI_MANIFEST, &layers).await;
    let world = World::new(&registry, "os:1").await;
    for _ in 0..4 {
        world.pass().await;
    }
    let expected = [format!("PATCH {GROUP}/ipxebootconfigs/claim"), STATUS.to_owned()];
    assert_eq!(world.cluster.take(), expected);
}

#[tokio::test]
async fn a_uki_is_offered_in_the_known_form_under_its_own_manager() {
    let registry = TestRegistry::start().await;
    registry.push_image("os", "1", OCI_MANIFEST, &[(UKI[0], b"uki")]).await;
    let world = World::new(&registry, "os:1").await;
    world.pass().await;
    let written = world.cluster.written();
    assert_eq!(written[0].request, format!("PATCH {GROUP}/httpbootconfigs/claim"));
    assert!(written[0].query.contains("fieldManager=server-boot-controller"));
    let digest = Digest::of(b"uki").to_string().replace(':', "-");
    let uki = format!("http://boot:8083/httpboot/{}/{digest}.efi", registry.image("os"));
    assert_eq!(written[0].body["spec"]["ukiURL"], uki.as_str());
    assert_eq!(world.settle().await, [STATUS]);
    assert_eq!(world.state(), Some(BootState::Ready));
}

#[tokio::test]
async fn the_link_to_a_uki_carries_a_token_that_is_the_same_in_each_pass_and_fits_into_dhcp() {
    let registry = TestRegistry::start().await;
    registry.push_image("os", "1", OCI_MANIFEST, &[(UKI[0], b"uki")]).await;
    let world = World::new(&registry, "os:1").await;
    let made = |configuration: &mut ServerBootConfiguration| {
        configuration.metadata.uid = Some("5a9de2f0-aaaa-bbbb-cccc-0123456789ab".to_owned());
        configuration.metadata.creation_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
    };
    world.change(made).await;
    world.settle().await;
    let link = world.ctx.view.http.named(Some(NAMESPACE), "claim").unwrap().spec.uki_url.clone();
    let link = link.unwrap();
    assert!(world.settle().await.is_empty(), "it would be another one in each pass");
    let (_, rest) = link.split_once("http://boot:8083/httpboot/t/").unwrap();
    let (token, image) = rest.split_once('/').unwrap();
    assert_eq!(token.len(), 51, "{token}");
    let digest = Digest::of(b"uki").to_string().replace(':', "-");
    assert_eq!(image, format!("{}/{digest}.efi", registry.image("os")));
}

#[tokio::test]
async fn a_format_that_is_not_translated_is_told() {
    let registry = TestRegistry::start().await;
    registry.push_image("os", "1", OCI_MANIFEST, &[(UKI[0], b"uki")]).await;
    for (entries, is_told) in [
        (&[("format", "butane"), ("ignition", "variant: fcos")][..], true),
        (&[("ignition", "hostname: a\nvariant: flatcar\n")], true),
        (&[("ignition", "#cloud-config\n{}")], false),
        (&[("format", "raw"), ("ignition", "variant: fcos")], false),
    ] {
        let world = World::new(&registry, "os:1").await;
        world.cluster.put_secret("ignition", entries);
        let written = world.settle().await;
        let told = written.iter().filter(|it| *it == "event NotSupported").count();
        assert_eq!(told, usize::from(is_told), "{entries:?}: {written:?}");
        assert_eq!(world.state(), Some(BootState::Ready), "it is passed on");
    }
}

#[tokio::test]
async fn an_image_that_cannot_be_used_is_an_error_that_says_what_to_do() {
    let registry = TestRegistry::start().await;
    registry.push_image("os", "empty", OCI_MANIFEST, &[("text/plain", b"a")]).await;
    let address = registry.address.as_str();
    let cases = [
        (registry.image("os:gone"), "has no tag or digest gone: check the name, or push it"),
        (registry.image("os:empty"), "image has no kernel layer: push one of media type"),
        ("quay.io/a/b:1".to_owned(), "or add it to --allowed-registries"),
        ("quay.io/A/b:1".to_owned(), "must be lower-case"),
        (String::new(), "image reference is empty"),
    ];
    for (image, message) in cases {
        let world = World::of(&[address], &image).await;
        assert_eq!(world.settle().await, [STATUS, "event ImageValidation"], "{image}");
        assert_eq!(world.state(), Some(BootState::Error), "{image}");
        let (status, reason) = world.condition("ImageValidation");
        assert_eq!((status.as_str(), reason.as_str()), ("False", "ValidationFailed"));
        let said = world.message("ImageValidation");
        assert!(said.contains(message), "{said}");
        world.pass().await;
        assert_eq!(world.cluster.take(), [""; 0], "said once");
    }
}

#[tokio::test]
async fn a_private_image_is_read_with_the_login_of_the_flag_or_the_message_names_its_secret() {
    let registry = TestRegistry::start_for(Some(LOGIN)).await;
    registry.push_image("os", "1", OCI_MANIFEST, &[(UKI[0], b"uki")]).await;
    let address = registry.address.as_str();
    let secret = "Secret tenant/pull of --image-pull-secret";
    let cases = [
        (None, format!("; {secret} is missing")),
        (Some(("ghcr.io", "hunter2")), format!("; {secret} has none for it")),
        (Some((address, "hunter2")), format!("; the logins are those of {secret}")),
    ];
    for (login, hint) in cases {
        let world = World::with_login(&registry, login).await;
        world.settle().await;
        assert_eq!(world.state(), Some(BootState::Error), "{hint}");
        let said = world.message("ImageValidation");
        assert!(said.contains(address) && said.contains(&hint), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    let world = World::with_login(&registry, Some((address, LOGIN.1))).await;
    world.settle().await;
    assert_eq!(world.state(), Some(BootState::Ready));
}

#[tokio::test]
async fn a_registry_that_is_down_is_an_error_until_it_is_back() {
    let registry = TestRegistry::start().await;
    let image = registry.image("os:1");
    let address = registry.address.clone();
    drop(registry);
    let world = World::of(&[&address], &image).await;
    world.settle().await;
    assert!(world.message("ImageValidation").contains("is unreachable"));
}

#[tokio::test]
async fn a_configuration_whose_secret_is_missing_is_not_ready() {
    let registry = TestRegistry::start().await;
    registry.push_image("os", "1", OCI_MANIFEST, &[(UKI[0], b"uki")]).await;
    let world = World::new(&registry, "os:1").await;
    world.ctx.secrets.forget_unless(&(NAMESPACE.to_owned(), "ignition".to_owned()), None);
    world
        .change(|configuration| {
            configuration.spec.ignition_secret_ref.as_mut().unwrap().name = "gone".to_owned();
        })
        .await;
    world.settle().await;
    assert_eq!(world.state(), Some(BootState::Error));
    let expected = "spec.ignitionSecretRef: Secret tenant/gone not found: create it";
    assert_eq!(world.message("IgnitionValidation"), expected);
}

#[tokio::test]
async fn a_new_image_is_pending_first_and_takes_away_what_it_does_not_offer() {
    let registry = TestRegistry::start().await;
    registry.push_image("os", "1", OCI_MANIFEST, &[(UKI[0], b"uki")]).await;
    let layers: [(&str, &[u8]); 2] = [(KERNEL[0], b"k"), (INITRD[0], b"i")];
    registry.push_image("os", "2", OCI_MANIFEST, &layers).await;
    let world = World::new(&registry, "os:1").await;
    world.settle().await;
    world
        .change(|configuration| {
            configuration.spec.image = Some(registry.image("os:2"));
            configuration.metadata.generation = Some(2);
        })
        .await;
    world.pass().await;
    assert_eq!(world.cluster.take()[0], STATUS);
    assert_eq!(world.state(), Some(BootState::Pending));
    let expected = [
        format!("PATCH {GROUP}/ipxebootconfigs/claim"),
        format!("DELETE {GROUP}/httpbootconfigs/claim"),
        STATUS.to_owned(),
    ];
    assert_eq!(world.settle().await, expected);
    assert_eq!(world.state(), Some(BootState::Ready));
}

#[tokio::test]
async fn a_boot_that_is_no_longer_ready_while_its_host_is_on_its_way_is_told_of() {
    let registry = TestRegistry::start().await;
    registry.push_image("os", "1", OCI_MANIFEST, &[(UKI[0], b"uki")]).await;
    for is_open in [true, false] {
        let world = World::new(&registry, "os:1").await;
        world.settle().await;
        let mut server = server("server", UUID, "claim");
        if !is_open {
            server.status.as_mut().unwrap().boot_window = None;
        }
        list(&world.ctx.view.servers, vec![server]).await;
        world.change(|configuration| configuration.metadata.generation = Some(2)).await;
        let told = |written: Vec<String>| {
            written.iter().filter(|it| *it == "event NotReadyInBootWindow").count()
        };
        assert_eq!(told(world.settle().await), usize::from(is_open));
        assert_eq!(world.state(), Some(BootState::Ready));
        assert_eq!(told(world.settle().await), 0, "said once");
    }
}

#[tokio::test]
async fn before_all_is_listed_nothing_is_taken_for_missing() {
    let cluster = Cluster::default();
    let ctx = context(&cluster, resolver(&[]));
    let ready = configuration("claim", Some(BootState::Ready));
    list(&ctx.view.configurations, vec![ready]).await;
    let key = (NAMESPACE.to_owned(), "claim".to_owned());
    assert_eq!(pass(&ctx, key).await.unwrap(), Next::After(NOT_LISTED));
    assert_eq!(cluster.take(), [""; 0]);
}

#[tokio::test]
async fn a_configuration_that_is_gone_is_nothing_to_do() {
    let world = World::of(&[], "ghcr.io/a/b:1").await;
    list(&world.ctx.view.configurations, vec![]).await;
    let key = (NAMESPACE.to_owned(), "claim".to_owned());
    assert_eq!(pass(&world.ctx, key).await.unwrap(), Next::Wait);
}

#[tokio::test]
async fn a_write_that_fails_is_a_failure_of_the_pass() {
    let world = World::of(&[], "quay.io/a/b:1").await;
    let name = (NAMESPACE.to_owned(), "claim".to_owned());
    world.cluster.lose::<ServerBootConfiguration>("claim");
    let error = pass(&world.ctx, name).await.unwrap_err();
    assert!(matches!(error, Error::Write { .. }), "{error:?}");
}

async fn pass(ctx: &Arc<Context>, key: Named) -> Result<Next, Error> {
    let reporter = Reporter {
        controller: "configurations",
        recorder: ctx.recorder.clone(),
        passes: prometheus_client::metrics::family::Family::default(),
    };
    Configurations(Arc::clone(ctx)).pass(&Work::new(reporter), key).await
}

/// One boot configuration, and a watch that does not show what is written.
struct World {
    ctx: Arc<Context>,
    cluster: Cluster,
}

impl World {
    async fn new(registry: &TestRegistry, image: &str) -> Self {
        Self::of(&[registry.address.as_str()], &registry.image(image)).await
    }

    /// The image `os:1`, and a Secret with this login, or none.
    async fn with_login(registry: &TestRegistry, login: Option<(&str, &str)>) -> Self {
        let mut world = Self::new(registry, "os:1").await;
        if let Some((host, password)) = login {
            world.cluster.put_login("pull", host, password);
        }
        let logins = RegistryLogins::of(world.cluster.client(), NAMESPACE, "pull");
        Arc::get_mut(&mut world.ctx).unwrap().logins = Arc::new(logins);
        world
    }

    async fn of(allowed: &[&str], image: &str) -> Self {
        let cluster = Cluster::default();
        cluster.put_secret("ignition", &[("ignition", crate::testing::IGNITION)]);
        let ctx = context(&cluster, resolver(allowed));
        let mut claim = configuration("claim", None);
        claim.spec.image = Some(image.to_owned());
        cluster.put(&claim);
        let objects = Objects {
            servers: vec![server("server", UUID, "claim")],
            configurations: vec![claim],
            ..Objects::default()
        };
        objects.fill(&ctx.view).await;
        Self { ctx, cluster }
    }

    async fn pass(&self) {
        let key = (NAMESPACE.to_owned(), "claim".to_owned());
        pass(&self.ctx, key).await.unwrap();
    }

    /// Runs passes until nothing more is written; returns and forgets what was written.
    async fn settle(&self) -> Vec<String> {
        self.cluster.take();
        let mut all = vec![];
        for _ in 0..10 {
            self.pass().await;
            let written = self.cluster.written();
            self.cluster.take();
            if written.is_empty() {
                return all;
            }
            for sent in written {
                let reason = sent.body["reason"].as_str().unwrap_or_default();
                all.push(if sent.is_event() { format!("event {reason}") } else { sent.request });
            }
        }
        panic!("does not settle: {all:?}");
    }

    /// Somebody else changes it, and the watch shows that.
    async fn change(&self, change: impl FnOnce(&mut ServerBootConfiguration)) {
        let mut configuration = self.configuration();
        change(&mut configuration);
        let version = configuration.metadata.resource_version.unwrap_or_default();
        let next = version.parse::<u64>().unwrap_or_default() + 1;
        configuration.metadata.resource_version = Some(next.to_string());
        self.cluster.put(&configuration);
        list(&self.ctx.view.configurations, vec![configuration]).await;
    }

    fn configuration(&self) -> ServerBootConfiguration {
        let found = self.ctx.view.configurations.named(Some(NAMESPACE), "claim");
        ServerBootConfiguration::clone(&found.unwrap())
    }

    fn state(&self) -> Option<BootState> {
        self.configuration().status.and_then(|status| status.state)
    }

    fn condition(&self, type_: &str) -> (String, String) {
        let status = self.configuration().status.unwrap();
        let found = status.conditions.into_iter().find(|c| c.type_ == type_).unwrap();
        (found.status, found.reason)
    }

    fn message(&self, type_: &str) -> String {
        let status = self.configuration().status.unwrap();
        status.conditions.into_iter().find(|c| c.type_ == type_).unwrap().message
    }
}
