//! A cluster that was managed by another version of these operators before.

use crate::shared::on_stack;
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{eventually, unique, workspace},
    stack::Stack,
};
use k8s_openapi::{
    api::{core::v1::Namespace, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, Resource, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use metal_api::{
    Bmc, BmcSecret, BmcUser, Endpoint, IndicatorLed, ObjectReference, Server, ServerMaintenance,
    ServerReadinessRule, Taint, finalizer,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{fmt::Debug, fs, time::Duration};
use uuid::Uuid;

const LIMIT: Duration = Duration::from_mins(3);
/// Kinds that no operator acts on, with samples, and the other version's finalizers.
const UNATTENDED: [(&str, &str); 11] = [
    ("biossettings", finalizer::BIOS_SETTINGS),
    ("biossettingsset", finalizer::BIOS_SETTINGS_SET),
    ("biosversion", finalizer::BIOS_VERSION),
    ("biosversionset", finalizer::BIOS_VERSION_SET),
    ("bmcsettings", finalizer::BMC_SETTINGS),
    ("bmcsettingsset", finalizer::BMC_SETTINGS_SET),
    ("bmcversion", finalizer::BMC_VERSION),
    ("bmcversionset", finalizer::BMC_VERSION_SET),
    ("bmcuser", finalizer::BMC_USER),
    ("servermaintenance", finalizer::SERVER_MAINTENANCE),
    ("serverreadinessrule", finalizer::SERVER_READINESS_RULE),
];

#[test]
fn objects_with_finalizers_of_another_version_can_be_deleted() {
    on_stack(async |stack| {
        for (kind, name) in UNATTENDED {
            leaves(stack, kind, name).await.with_context(|| kind.to_owned()).unwrap();
        }
    });
}

#[test]
fn deleting_an_endpoint_that_was_an_owner_leaves_bmc_and_credentials() {
    on_stack(async |stack| {
        let name = unique("owned");
        let spec = json!({ "macAddress": "02:00:00:aa:bb:01", "ip": "127.0.0.9" });
        let endpoint: Endpoint =
            create(stack, &name, json!({ "spec": spec }), &[finalizer::ENDPOINT], None).await;
        let owner = endpoint.controller_owner_ref(&()).unwrap();
        let secret = json!({ "data": { "username": "YQ==", "password": "Yg==" } });
        let _: BmcSecret = create(stack, &name, secret, &[], Some(owner.clone())).await;
        let spec = json!({
            "endpointRef": { "name": name },
            "bmcSecretRef": { "name": name },
            "protocol": { "name": "Redfish", "port": 9, "scheme": "https" },
        });
        let finalizers = [finalizer::BMC];
        let _: Bmc = create(stack, &name, json!({ "spec": spec }), &finalizers, Some(owner)).await;

        let endpoints = Api::<Endpoint>::all(stack.client.clone());
        endpoints.delete(&name, &DeleteParams::background()).await.unwrap();
        gone(&endpoints, &name).await.unwrap();
        let bmcs = Api::<Bmc>::all(stack.client.clone());
        let secrets = Api::<BmcSecret>::all(stack.client.clone());
        // The garbage collector looks at owners only, and there are none.
        assert_eq!(bmcs.get(&name).await.unwrap().owner_references(), []);
        assert_eq!(secrets.get(&name).await.unwrap().owner_references(), []);
        bmcs.delete(&name, &DeleteParams::default()).await.unwrap();
        gone(&bmcs, &name).await.unwrap();
        secrets.delete(&name, &DeleteParams::default()).await.unwrap();
    });
}

#[test]
fn a_deleted_maintenance_lets_its_server_go_and_a_deleted_rule_takes_its_taint_along() {
    on_stack(async |stack| {
        let name = unique("kept");
        let taint = json!({ "key": format!("example.com/{name}"), "effect": "NoBind" });
        let mine = json!({ "key": "example.com/mine", "effect": "NoBind" });
        let server = json!({
            "metadata": { "labels": { "kept": name } },
            "spec": {
                "systemUUID": Uuid::from_u128(u128::from(std::process::id()) << 64 | 0x5717).to_string(),
                "taints": [taint, mine],
                "indicatorLED": "Lit",
                "serverMaintenanceRef": { "namespace": "default", "name": name },
                "maintenanceBootConfigurationRef": { "namespace": "default", "name": name },
            },
        });
        let _: Server = create(stack, &name, server, &[], None).await;
        let rule = json!({ "spec": {
            "conditions": [{ "type": "Checked", "requiredStatus": "True" }],
            "enforcementMode": "Continuous",
            "taint": taint,
            "serverSelector": { "matchLabels": { "kept": name } },
        }});
        let finalizers = [finalizer::SERVER_READINESS_RULE];
        let _: ServerReadinessRule = create(stack, &name, rule, &finalizers, None).await;
        let maintenance = json!({ "spec": { "serverRef": { "name": name }, "policy": "Enforced", "locatorLED": "Lit" } });
        let maintenances = Api::<ServerMaintenance>::namespaced(stack.client.clone(), "default");
        let finalizers = [finalizer::SERVER_MAINTENANCE];
        let object = object::<ServerMaintenance>(&name, maintenance, &finalizers, None);
        maintenances.create(&PostParams::default(), &object).await.unwrap();

        let rules = Api::<ServerReadinessRule>::all(stack.client.clone());
        rules.delete(&name, &DeleteParams::default()).await.unwrap();
        maintenances.delete(&name, &DeleteParams::default()).await.unwrap();
        gone(&rules, &name).await.unwrap();
        gone(&maintenances, &name).await.unwrap();
        let servers = Api::<Server>::all(stack.client.clone());
        let server = servers.get(&name).await.unwrap();
        let taints: Vec<Taint> = serde_json::from_value(json!([mine])).unwrap();
        assert_eq!(server.spec.taints, taints);
        assert_eq!(server.spec.server_maintenance_ref, None::<ObjectReference>);
        assert_eq!(server.spec.maintenance_boot_configuration_ref, None);
        assert_eq!(server.spec.indicator_led, Some(IndicatorLed::Off));
        servers.delete(&name, &DeleteParams::default()).await.unwrap();
    });
}

#[test]
fn a_cluster_of_another_version_can_be_emptied_in_any_order() {
    on_stack(async |stack| {
        let namespace = stack.cluster.namespace().await.unwrap();
        let name = unique("emptied");
        let all = everything(&name, &namespace);
        for (object, finalizer) in &all {
            let mut object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
            object.metadata.finalizers = finalizer.map(|name| vec![name.to_owned()]);
            let api = of(stack, &object);
            let created = match api.create(&PostParams::default(), &object).await {
                // The operator was faster: it creates the claim's boot configuration itself.
                Err(kube::Error::Api(status)) if status.is_already_exists() => {
                    let finalizers = json!({ "metadata": { "finalizers": object.finalizers() } });
                    let params = PatchParams::default();
                    api.patch(&name, &params, &Patch::Merge(finalizers)).await
                }
                created => created,
            };
            let created = created.unwrap_or_else(|error| panic!("{object:?}: {error}"));
            if created.types.as_ref().unwrap().kind == "Server" {
                // As the other version left it; its BMC is out of reach.
                let status = json!({ "status": { "state": "Reserved", "powerState": "On" } });
                let params = PatchParams::default();
                api.patch_status(&name, &params, &Patch::Merge(status)).await.unwrap();
            }
        }
        // All at once, with the namespace before its contents.
        let namespaces = Api::<Namespace>::all(stack.client.clone());
        namespaces.delete(&namespace, &DeleteParams::default()).await.unwrap();
        for (object, _) in &all {
            let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
            let deleted = of(stack, &object).delete(&name, &DeleteParams::default()).await;
            assert!(
                deleted.is_ok()
                    || matches!(&deleted, Err(kube::Error::Api(status)) if status.is_not_found()),
                "{deleted:?}"
            );
        }
        for (object, _) in &all {
            let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
            let kind = object.types.clone().unwrap().kind;
            gone(&of(stack, &object), &name).await.with_context(|| kind).unwrap();
        }
        gone(&namespaces, &namespace).await.unwrap();
    });
}

/// An object of every kind that other versions know, with the finalizers that they add.
fn everything(name: &str, namespace: &str) -> Vec<(Value, Option<&'static str>)> {
    const METAL: &str = "metal.ironcore.dev/v1alpha1";
    const BOOT: &str = "boot.ironcore.dev/v1alpha1";
    let object = |group: &str, kind: &str, namespace: Option<&str>, spec: Value| {
        json!({
            "apiVersion": group, "kind": kind,
            "metadata": { "name": name, "namespace": namespace }, "spec": spec,
        })
    };
    let here = Some(namespace);
    let reference = json!({ "name": name });
    let full = json!({ "name": name, "namespace": namespace });
    let uuid = Uuid::from_u128(u128::from(std::process::id()) << 64 | 0xe317).to_string();
    // Port 9 discards, if anything listens on it at all.
    let bmc = json!({
        "access": { "ip": "127.0.0.9", "macAddress": "02:00:00:aa:bb:09" },
        "bmcSecretRef": reference,
        "protocol": { "name": "Redfish", "port": 9, "scheme": "https" },
    });
    let server = json!({
        "systemUUID": uuid, "systemURI": "/redfish/v1/Systems/1", "bmcRef": reference,
        "serverClaimRef": full, "bootConfigurationRef": full,
        "serverMaintenanceRef": full, "maintenanceBootConfigurationRef": full,
    });
    let claim = json!({ "power": "On", "image": "registry.example/os:1", "serverRef": reference });
    let maintenance = json!({ "serverRef": reference, "policy": "Enforced" });
    let boots = json!({ "serverRef": reference, "image": "registry.example/os:1" });
    let endpoint = json!({ "ip": "127.0.0.9", "macAddress": "02:00:00:aa:bb:09" });
    let ipxe = json!({ "kernelURL": "http://a/k", "initrdURL": "http://a/i" });
    let mut secret = object(METAL, "BMCSecret", None, Value::Null);
    secret.as_object_mut().unwrap().remove("spec");
    secret["stringData"] = json!({ "username": "a", "password": "b" });
    let mut all = vec![
        (object(METAL, "Endpoint", None, endpoint), Some(finalizer::ENDPOINT)),
        (secret, None),
        (object(METAL, "BMC", None, bmc), Some(finalizer::BMC)),
        (object(METAL, "Server", None, server), Some(finalizer::SERVER)),
        (object(METAL, "ServerClaim", here, claim), Some(finalizer::SERVER_CLAIM)),
        (
            object(METAL, "ServerMaintenance", here, maintenance),
            Some(finalizer::SERVER_MAINTENANCE),
        ),
        (object(METAL, "ServerBootConfiguration", here, boots), None),
        (object(BOOT, "IPXEBootConfig", here, ipxe), None),
        (object(BOOT, "HTTPBootConfig", here, json!({ "ukiURL": "http://a/u" })), None),
    ];
    for (file, finalizer) in UNATTENDED.iter().filter(|(file, _)| *file != "servermaintenance") {
        let mut sample = sample(file).unwrap();
        sample.metadata.name = Some(name.to_owned());
        sample.metadata.namespace = None;
        all.push((serde_json::to_value(sample).unwrap(), Some(*finalizer)));
    }
    all
}

/// The API for an object.
pub(crate) fn of(stack: &Stack, object: &DynamicObject) -> Api<DynamicObject> {
    let types = GroupVersionKind::try_from(object.types.as_ref().unwrap()).unwrap();
    let plural = types.kind.to_lowercase();
    let plural = if plural.ends_with("settings") { plural } else { format!("{plural}s") };
    let resource = ApiResource::from_gvk_with_plural(&types, &plural);
    match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(stack.client.clone(), namespace, &resource),
        None => Api::all_with(stack.client.clone(), &resource),
    }
}

#[test]
fn what_has_no_effect_is_told_once_on_its_object() {
    on_stack(async |stack| {
        let name = unique("told");
        let server = json!({ "spec": {
            "systemUUID": Uuid::from_u128(u128::from(std::process::id()) << 64 | 0x701d).to_string(),
            "power": "On",
            "bootOrder": [{ "name": "disk", "priority": 1, "device": "Boot0001" }],
        }});
        let _: Server = create(stack, &name, server, &[], None).await;
        let user = json!({ "spec": { "userName": "ops", "roleID": "Operator" } });
        let _: BmcUser = create(stack, &name, user, &[], None).await;
        let told = async |kind: &str| {
            let events = Api::<Event>::all(stack.client.clone());
            let events = events.list(&ListParams::default()).await?;
            let about = |event: &Event| {
                let regarding = event.regarding.clone().unwrap_or_default();
                regarding.name.as_deref() == Some(&name) && regarding.kind.as_deref() == Some(kind)
            };
            let told = |event: &Event| event.reason.as_deref() == Some("NotSupported");
            let all = events.items.into_iter();
            let notes = all.filter(|event| about(event) && told(event)).filter_map(|it| it.note);
            let [note] = notes.collect::<Vec<_>>().try_into().ok().context("not one event")?;
            anyhow::Ok(note)
        };
        let on_server = eventually(LIMIT, async || told("Server").await).await.unwrap();
        assert!(on_server.contains("spec.bootOrder"), "{on_server}");
        assert!(on_server.contains("spec.power"), "{on_server}");
        let on_user = eventually(LIMIT, async || told("BMCUser").await).await.unwrap();
        assert!(on_user.contains("a BMCUser has no effect"), "{on_user}");
        // A label makes the operator look at it again; the event was already sent.
        let servers = Api::<Server>::all(stack.client.clone());
        let label = json!({ "metadata": { "labels": { "again": "yes" } } });
        servers.patch(&name, &PatchParams::default(), &Patch::Merge(label)).await.unwrap();
        let users = Api::<BmcUser>::all(stack.client.clone());
        users.delete(&name, &DeleteParams::default()).await.unwrap();
        gone(&users, &name).await.unwrap();
        assert_eq!(told("Server").await.unwrap(), on_server);
        servers.delete(&name, &DeleteParams::default()).await.unwrap();
    });
}

/// Creates a kind's sample with a finalizer, deletes it, and waits until it is gone.
async fn leaves(stack: &Stack, kind: &str, finalizer: &str) -> Result<()> {
    let mut object = sample(kind)?;
    let types = object.types.clone().context("no kind")?;
    let resource = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::try_from(&types)?,
        &format!("{}{}", kind, if kind.ends_with("settings") { "" } else { "s" }),
    );
    let all = match object.metadata.namespace.as_deref().or(namespace_of(kind)) {
        Some(namespace) => Api::namespaced_with(stack.client.clone(), namespace, &resource),
        None => Api::all_with(stack.client.clone(), &resource),
    };
    let name = unique(kind);
    object.metadata.name = Some(name.clone());
    object.metadata.namespace = None;
    object.metadata.finalizers = Some(vec![finalizer.to_owned()]);
    all.create(&PostParams::default(), &object).await?;
    all.delete(&name, &DeleteParams::default()).await?;
    gone(&all, &name).await
}

pub(crate) fn sample(kind: &str) -> Result<DynamicObject> {
    let file = workspace().join(format!("config/samples/metal_v1alpha1_{kind}.yaml"));
    Ok(serde_saphyr::from_str(&fs::read_to_string(file)?)?)
}

fn namespace_of(kind: &str) -> Option<&'static str> {
    (kind == "servermaintenance").then_some("default")
}

pub(crate) async fn gone<K>(all: &Api<K>, name: &str) -> Result<()>
where
    K: Clone + DeserializeOwned + Debug,
{
    eventually(LIMIT, async || {
        ensure!(all.get_metadata_opt(name).await?.is_none(), "{name} is still there");
        Ok(())
    })
    .await
}

async fn create<K>(
    stack: &Stack,
    name: &str,
    content: Value,
    finalizers: &[&str],
    owner: Option<OwnerReference>,
) -> K
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let object = object::<K>(name, content, finalizers, owner);
    Api::all(stack.client.clone()).create(&PostParams::default(), &object).await.unwrap()
}

fn object<K>(
    name: &str,
    mut content: Value,
    finalizers: &[&str],
    owner: Option<OwnerReference>,
) -> K
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    content["apiVersion"] = K::api_version(&()).into();
    content["kind"] = K::kind(&()).into();
    content["metadata"]["name"] = name.into();
    content["metadata"]["finalizers"] = json!(finalizers);
    content["metadata"]["ownerReferences"] = json!(owner.into_iter().collect::<Vec<_>>());
    serde_json::from_value(content).unwrap()
}
