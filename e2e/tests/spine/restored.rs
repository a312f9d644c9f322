//! Objects restored from a backup, and clients of another version that write whole objects.

use crate::{
    claim::Claim,
    path::{is_free_again, resets_are},
    shared::{PXE, machine, on_stack, pxe, run, settings},
};
use e2e::{
    cluster::eventually,
    stack::{Machine, PXE_TENANT, Settings, Stack, deleted},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{
    Api, Resource, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use metal_api::{Bmc, Server, ServerSpec, ServerState};
use metal_simulator::{Host, Power};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{fmt::Debug, time::Duration};
use tokio::time::sleep;

const LIMIT: Duration = Duration::from_mins(2);
/// Longer than the operators take to react to what they see.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// The fields of a Server's `spec` that clients of ironcore's latest version know.
const SPEC: [&str; 12] = [
    "systemUUID",
    "systemURI",
    "power",
    "indicatorLED",
    "serverClaimRef",
    "bmcRef",
    "bmc",
    "bootConfigurationRef",
    "bootOrder",
    "reclaimPolicy",
    "taints",
    "unclaimable",
];
/// The same for its `status`.
const STATUS: [&str; 13] = [
    "state",
    "powerState",
    "indicatorLED",
    "manufacturer",
    "model",
    "sku",
    "serialNumber",
    "biosVersion",
    "totalSystemMemory",
    "processors",
    "storages",
    "networkInterfaces",
    "conditions",
];

#[test]
fn a_server_that_is_restored_with_the_uids_of_before_keeps_its_host_and_is_not_collected() {
    run(async {
        // Its own stack: the operator is down while the objects are restored.
        let stack = Stack::start(Settings { fleets: vec![pxe()], ..settings() }).await.unwrap();
        let machine = stack.machine(0, 0).unwrap();
        let claim = Claim::booted(&stack, &machine).await;
        let is_seen_on = |server: &Server| power(server).as_deref() == Some("On");
        machine.server("seen on", is_seen_on).await.unwrap();
        let before = machine.report().unwrap().counters.resets.total();

        stack.metal.kill().await.unwrap();
        let servers = Api::<Server>::all(stack.client.clone());
        let bmcs = Api::<Bmc>::all(stack.client.clone());
        let (claims, name) = claim.objects();
        let claim_then = take_away(claims, name).await;
        let server_then = take_away(&servers, &machine.server_name()).await;
        let bmc_then = take_away(&bmcs, &machine.name()).await;
        let bmc_now = restore(&bmcs, bmc_then).await;
        let owners = server_then.metadata.owner_references.clone();
        let uid = restore(&servers, server_then).await.uid();
        is_collected(&servers, owners).await;
        let claim_now = restore(claims, claim_then).await;
        stack.metal.start().unwrap();
        stack.metal.ready(LIMIT).await.unwrap();

        let is_put_right = |server: &Server| {
            let holder = server.spec.server_claim_ref.as_ref();
            let owners: Vec<_> =
                server.owner_references().iter().map(|it| Some(it.uid.clone())).collect();
            state(server) == Some(ServerState::Reserved)
                && holder.and_then(|holder| holder.uid.clone()) == claim_now.uid()
                && owners == [bmc_now.uid()]
        };
        let server = machine.server("put right", is_put_right).await.unwrap();
        assert_eq!((server.uid(), server.metadata.deletion_timestamp), (uid, None));
        claim.is_bound().await;
        sleep(AFTERWARDS).await;
        let report = machine.report().unwrap();
        assert!(matches!(report.host, Host::Tenant { .. }), "{report:#?}");
        assert_eq!(report.counters.resets.total(), before, "{report:#?}");
        assert_eq!(report.override_enabled, "Disabled");

        claim.delete().await;
        claim.is_gone().await;
        is_free_again(&machine).await;
        resets_are(&machine, 2);
    });
}

#[test]
fn a_client_that_writes_whole_objects_and_knows_fewer_fields_harms_nobody() {
    on_stack(async |stack| {
        let machine = machine(stack, PXE);
        machine.plug_in().await.unwrap();
        machine.enters(ServerState::Discovery).await.unwrap();
        rewrite(stack, &machine).await;
        machine.is("on", |report| report.power != Power::Off).await.unwrap();
        rewrite(stack, &machine).await;
        machine.enters(ServerState::Available).await.unwrap();
        rewrite(stack, &machine).await;
        resets_are(&machine, 1);

        let claim = Claim::of(stack, &machine, &stack.registry.image(PXE_TENANT)).await;
        machine.enters(ServerState::Reserved).await.unwrap();
        rewrite(stack, &machine).await;
        machine.is("on", |report| report.power != Power::Off).await.unwrap();
        rewrite(stack, &machine).await;
        claim.is_bound().await;
        machine.boots_tenant().await.unwrap();
        rewrite(stack, &machine).await;
        let is_seen_on = |server: &Server| power(server).as_deref() == Some("On");
        machine.server("seen on", is_seen_on).await.unwrap();
        assert!(matches!(machine.report().unwrap().host, Host::Tenant { .. }));

        claim.delete().await;
        rewrite(stack, &machine).await;
        claim.is_gone().await;
        is_free_again(&machine).await;
        resets_are(&machine, 2);
    });
}

/// Waits until the garbage collector has acted on a server whose only owners are these.
async fn is_collected(servers: &Api<Server>, owners: Option<Vec<OwnerReference>>) {
    let spec = ServerSpec {
        system_uuid: Some("123e4567-e89b-12d3-a456-426614174def".to_owned()),
        ..ServerSpec::default()
    };
    let mut server = Server::new("collected", spec);
    server.metadata.owner_references = owners;
    servers.create(&PostParams::default(), &server).await.unwrap();
    deleted(servers, "collected").await.unwrap();
}

/// Reads a Server and writes it back like a client that knows only its own version's fields.
async fn rewrite(stack: &Stack, machine: &Machine<'_>) {
    let resource = ApiResource::erase::<Server>(&());
    let servers = Api::<DynamicObject>::all_with(stack.client.clone(), &resource);
    let (name, params) = (machine.server_name(), PostParams::default());
    let written = eventually(LIMIT, async || {
        let mut server = servers.get(&name).await?;
        prune(&mut server.data["spec"], &SPEC);
        if let Some(claim) = server.data["spec"].get_mut("serverClaimRef") {
            prune(claim, &["namespace", "name"]);
        }
        let mut written = servers.replace(&name, &params, &server).await?;
        prune(&mut written.data["status"], &STATUS);
        servers.replace_status(&name, &params, &written).await?;
        Ok(())
    });
    written.await.unwrap();
}

fn prune(object: &mut Value, known: &[&str]) {
    if let Some(fields) = object.as_object_mut() {
        fields.retain(|name, _| known.contains(&name.as_str()));
    }
}

/// Removes an object, without regard to finalizers, and returns what a backup contains of it.
async fn take_away<K>(all: &Api<K>, name: &str) -> K
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let object = all.get(name).await.unwrap();
    let free = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
    all.delete(name, &DeleteParams::default()).await.unwrap();
    let freed = all.patch(name, &PatchParams::default(), &free).await;
    assert!(matches!(&freed, Ok(_) | Err(kube::Error::Api(_))), "{freed:?}");
    deleted(all, name).await.unwrap();
    object
}

/// Creates an object as it was, with its owners and its status.
async fn restore<K>(all: &Api<K>, mut object: K) -> K
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
{
    let ObjectMeta { name, namespace, labels, annotations, finalizers, owner_references, .. } =
        object.meta().clone();
    *object.meta_mut() = ObjectMeta {
        name: name.clone(),
        namespace,
        labels,
        annotations,
        finalizers,
        owner_references,
        ..ObjectMeta::default()
    };
    let created = all.create(&PostParams::default(), &object).await.unwrap();
    object.meta_mut().resource_version = created.resource_version();
    let name = name.unwrap();
    all.replace_status(&name, &PostParams::default(), &object).await.unwrap()
}

fn state(server: &Server) -> Option<ServerState> {
    server.status.as_ref()?.state.clone()
}

fn power(server: &Server) -> Option<String> {
    Some(server.status.as_ref()?.power_state.as_ref()?.to_string())
}
