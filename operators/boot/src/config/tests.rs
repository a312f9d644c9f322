use super::*;
use crate::{
    fetches::Served,
    testing::{Cluster, NAMESPACE, Objects, context, http_config, ipxe, resolver},
};
use metal_runtime::{report::Reporter, testing::Sent};
use serde_json::json;

#[tokio::test]
async fn what_was_made_by_hand_becomes_ready_in_one_write() {
    let cluster = Cluster::default();
    cluster.put_secret("ignition", &[("ignition", crate::testing::IGNITION)]);
    let mut config = ipxe("hand");
    config.metadata.owner_references = None;
    let ctx = seeing(&cluster, config).await;
    pass(&ctx, reference("hand")).await.unwrap();
    let written = cluster.written();
    assert_eq!(written.len(), 1);
    assert_eq!(
        written[0].request,
        "PATCH /apis/boot.ironcore.dev/v1alpha1/namespaces/tenant/ipxebootconfigs/hand/status"
    );
    assert!(written[0].query.contains("force=true"));
    assert!(written[0].query.contains("fieldManager=boot.ironcore.dev"), "{}", written[0].query);
    assert_eq!(
        written[0].body,
        json!({
            "apiVersion": "boot.ironcore.dev/v1alpha1", "kind": "IPXEBootConfig",
            "metadata": {"resourceVersion": "7"}, "status": {"state": "Ready"},
        })
    );

    cluster.take();
    assert_eq!(pass(&ctx, reference("hand")).await.unwrap(), Next::Rested(Duration::from_hours(1)));
    assert_eq!(cluster.take(), [""; 0], "no watch has shown it, and it is not written again");
}

#[tokio::test]
async fn a_boot_configuration_that_is_to_be_ignored_is_left_alone() {
    for (operation, is_left_alone) in [("ignore", true), ("retry", false), ("dance", false)] {
        let cluster = Cluster::default();
        cluster.put_secret("ignition", &[("ignition", crate::testing::IGNITION)]);
        let mut config = ipxe("hand");
        let operation = (metal_api::annotation::OPERATION.to_owned(), operation.to_owned());
        config.metadata.annotations = Some([operation.clone()].into());
        let ctx = seeing(&cluster, config).await;
        pass(&ctx, reference("hand")).await.unwrap();
        let written = cluster.written();
        if is_left_alone {
            assert!(written.is_empty(), "{written:?}");
            continue;
        }
        let [event, status] = &written[..] else { panic!("{written:?}") };
        assert_eq!(event.body["reason"], "NotSupported");
        assert!(event.body["note"].as_str().unwrap().contains(&operation.1), "{event:?}");
        assert!(status.request.ends_with("/status"), "{status:?}");
        cluster.take();
        pass(&ctx, reference("hand")).await.unwrap();
        assert_eq!(cluster.take(), [""; 0], "it is told once");
    }
}

#[tokio::test]
async fn a_boot_config_that_no_machine_gets_is_told_so_once() {
    let mut config = ipxe("hand");
    config.metadata.owner_references = None;
    config.spec.system_uuid = None;
    let cluster = Cluster::default();
    cluster.put_secret("ignition", &[("ignition", crate::testing::IGNITION)]);
    let ctx = seeing(&cluster, config.clone()).await;
    pass(&ctx, reference("hand")).await.unwrap();
    let event = &cluster.written()[0];
    assert_eq!(event.body["reason"], "NotServed");
    assert!(event.body["note"].as_str().unwrap().starts_with("spec.systemUUID is not set"));
    cluster.take();
    pass(&ctx, reference("hand")).await.unwrap();
    assert_eq!(cluster.take(), [""; 0], "it is told once");

    // That of a Server, which boots what it refers to.
    config.spec.system_uuid = Some(crate::testing::UUID.to_owned());
    let cluster = Cluster::default();
    cluster.put_secret("ignition", &[("ignition", crate::testing::IGNITION)]);
    cluster.put(&config);
    let ctx = context(&cluster, resolver(&[]));
    let servers = vec![crate::testing::server("a", crate::testing::UUID, "claim")];
    Objects { ipxe: vec![config], servers, ..Objects::default() }.fill(&ctx.view).await;
    pass(&ctx, reference("hand")).await.unwrap();
    let note = cluster.written()[0].body["note"].clone();
    assert!(note.as_str().unwrap().starts_with("it is for the Server a"), "{note}");
}

#[tokio::test]
async fn a_layer_that_no_machine_gets_is_told_once() {
    let cluster = Cluster::default();
    cluster.put_secret("ignition", &[("ignition", crate::testing::IGNITION)]);
    let digest = metal_image::Digest::of(b"a kernel");
    let mut config = ipxe("claim");
    config.spec.kernel_url =
        metal_core::boot::url::layer("http://boot:8082", "ghcr.io/a/b", &digest.to_string(), "1");
    let ctx = seeing(&cluster, config).await;
    let blob = ("ghcr.io/a/b".parse().unwrap(), digest);
    ctx.fetches.miss(&reference("claim"), &blob, "it is gone");
    for told in [1, 0] {
        assert_eq!(record_fetches(&ctx, reference("claim")).await.unwrap(), Next::Wait);
        let events: Vec<_> = cluster.written().into_iter().filter(Sent::is_event).collect();
        assert_eq!(events.len(), told, "{events:?}");
        for event in events {
            let body = event.body;
            assert_eq!(
                (&body["reason"], &body["note"]),
                (&"LayerMissing".into(), &"it is gone".into())
            );
        }
        cluster.take();
    }
}

#[tokio::test]
async fn what_is_missing_is_an_error_with_an_event_that_shows_no_secret() {
    let cases: [(&[(&str, &str)], &str); 4] = [
        (&[], "SecretNotFound"),
        (&[("other", "hunter2")], "KeyMissing"),
        (&[("format", "fcos"), ("ignition", "hunter2: [")], "IgnitionUnsupported"),
        (&[("ignition", "{\"ignition\": {\"version\": \"hunter2\"}}")], "IgnitionUnsupported"),
    ];
    for (entries, reason) in cases {
        let cluster = Cluster::default();
        if !entries.is_empty() {
            cluster.put_secret("ignition", entries);
        }
        let ctx = seeing(&cluster, ipxe("claim")).await;
        pass(&ctx, reference("claim")).await.unwrap();
        let written = cluster.written();
        let status = &written[0].body["status"];
        assert_eq!(status["state"], "Error");
        assert_eq!(status["conditions"][0]["type"], "IgnitionValidation");
        assert_eq!(status["conditions"][0]["reason"], reason);
        assert_eq!(status["conditions"][0]["observedGeneration"], 1);
        assert!(written[1].request.starts_with("POST /apis/events.k8s.io/v1/"), "{written:?}");
        assert_eq!(written[1].body["reason"], reason);
        assert!(!format!("{written:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn ignition_that_no_machine_reads_is_told_with_its_secret_entry_path_and_line() {
    let cluster = Cluster::default();
    let broken = "{\"ignition\": {\"version\": \"3.4.0\"},\n \"storage\": {\"files\": \
                  [{\"path\": \"/etc/key\", \"mode\": \"hunter2\"}]}}";
    cluster.put_secret("ignition", &[("ignition", broken)]);
    let ctx = seeing(&cluster, ipxe("claim")).await;
    pass(&ctx, reference("claim")).await.unwrap();
    let condition = &cluster.written()[0].body["status"]["conditions"][0];
    let expected = "spec.ignitionSecretRef: Secret tenant/ignition, entry ignition: \
                    $.storage.files.0.mode: line 2, column 53: must be a whole number";
    assert_eq!(condition["message"], expected);
}

#[tokio::test]
async fn script_and_ignition_of_one_boot_are_one_write() {
    let cluster = Cluster::default();
    cluster.put_secret("ignition", &[("ignition", crate::testing::IGNITION)]);
    let mut config = ipxe("claim");
    config.metadata.creation_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::now()));
    let ctx = seeing(&cluster, config).await;
    assert!(matches!(pass(&ctx, reference("claim")).await.unwrap(), Next::Rested(_)));
    assert_eq!(cluster.take(), [""; 0], "its boot is about to begin");

    ctx.fetches.note(&reference("claim"), "claim-config-uid", Served::Script);
    ctx.fetches.note(&reference("claim"), "claim-config-uid", Served::Ignition);
    let next = record_fetches(&ctx, reference("claim")).await.unwrap();
    assert_eq!(next, Next::Wait);
    let written = cluster.written();
    assert_eq!(written.len(), 1, "{written:?}");
    let status = &written[0].body["status"];
    assert_eq!(status["state"], "Ready");
    let types: Vec<_> =
        status["conditions"].as_array().unwrap().iter().map(|c| c["type"].clone()).collect();
    assert_eq!(types, ["IPXEScriptFetched", "IgnitionDataFetched"]);

    cluster.take();
    let next = record_fetches(&ctx, reference("claim")).await.unwrap();
    assert_eq!((next, cluster.take().len()), (Next::Wait, 0));
    let fetched = ctx.fetches.of(&reference("claim"), Some("claim-config-uid"));
    assert_eq!(fetched, Fetched::default(), "forgotten");
}

#[tokio::test]
async fn the_other_kind_is_written_in_the_same_way() {
    let cluster = Cluster::default();
    cluster.put_secret("ignition", &[("ignition", crate::testing::IGNITION)]);
    let ctx = context(&cluster, resolver(&[]));
    cluster.put(&http_config("claim"));
    let objects = Objects { http: vec![http_config("claim")], ..Objects::default() };
    objects.fill(&ctx.view).await;
    let config = ConfigRef::new(Kind::Http, (NAMESPACE.to_owned(), "claim".to_owned()));
    ctx.fetches.note(&config, "claim-config-uid", Served::Ignition);
    record_fetches(&ctx, config).await.unwrap();
    let written = cluster.written();
    assert!(written[0].request.ends_with("/httpbootconfigs/claim/status"), "{written:?}");
    assert_eq!(written[0].body["status"]["conditions"][0]["type"], "IgnitionDataFetched");
}

#[tokio::test]
async fn an_object_that_is_gone_is_forgotten() {
    let cluster = Cluster::default();
    let ctx = context(&cluster, resolver(&[]));
    Objects::default().fill(&ctx.view).await;
    ctx.fetches.note(&reference("claim"), "uid", Served::Script);
    assert_eq!(record_fetches(&ctx, reference("claim")).await.unwrap(), Next::Wait);
    assert_eq!(ctx.fetches.of(&reference("claim"), Some("uid")), Fetched::default());
    assert_eq!(pass(&ctx, reference("claim")).await.unwrap(), Next::Wait);
}

#[tokio::test]
async fn an_object_on_its_way_out_is_left_alone() {
    let cluster = Cluster::default();
    let mut config = ipxe("claim");
    config.metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::now()));
    let ctx = seeing(&cluster, config).await;
    assert_eq!(pass(&ctx, reference("claim")).await.unwrap(), Next::Wait);
    assert_eq!((cluster.take(), cluster.reads()), (vec![], 0));
}

#[tokio::test]
async fn an_object_that_goes_while_it_is_written_is_no_failure() {
    let cluster = Cluster::default();
    cluster.put_secret("ignition", &[("ignition", crate::testing::IGNITION)]);
    let ctx = seeing(&cluster, ipxe("claim")).await;
    cluster.lose::<IpxeBootConfig>("claim");
    assert_eq!(pass(&ctx, reference("claim")).await.unwrap(), Next::Wait);
    assert_eq!(cluster.take().len(), 1, "tried, and not told as an event");
}

#[tokio::test]
async fn an_api_server_that_fails_is_a_failure_and_no_verdict() {
    let cluster = Cluster::default();
    let ctx = seeing(&cluster, ipxe("claim")).await;
    cluster.go_down();
    let error = pass(&ctx, reference("claim")).await.unwrap_err();
    assert!(matches!(error, Error::Secret(_)), "{error:?}");
    assert_eq!(cluster.take(), [""; 0]);
}

async fn pass(ctx: &Arc<Context>, config: ConfigRef) -> Result<Next, Error> {
    Configs::new(ctx).pass(&work(ctx), config).await
}

async fn record_fetches(ctx: &Arc<Context>, config: ConfigRef) -> Result<Next, Error> {
    Recording::new(ctx).pass(&work(ctx), config).await
}

fn work(ctx: &Context) -> Work<ConfigRef> {
    Work::new(Reporter {
        controller: "configs",
        recorder: ctx.recorder.clone(),
        passes: prometheus_client::metrics::family::Family::default(),
    })
}

fn reference(name: &str) -> ConfigRef {
    ConfigRef::new(Kind::Ipxe, (NAMESPACE.to_owned(), name.to_owned()))
}

async fn seeing(cluster: &Cluster, config: IpxeBootConfig) -> Arc<Context> {
    let ctx = context(cluster, resolver(&[]));
    cluster.put(&config);
    Objects { ipxe: vec![config], ..Objects::default() }.fill(&ctx.view).await;
    ctx
}
