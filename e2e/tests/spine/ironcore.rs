//! A cluster whose objects ironcore's operators have made: it goes on, and can be emptied.

use crate::{
    claim::Claim,
    path::{is_free_again, resets_are},
    shared::{PXE, holds, in_turn},
    switch::{gone, of, sample},
};
use anyhow::ensure;
use e2e::{
    cluster::eventually,
    stack::{IGNITION, Machine, PXE_TENANT, Stack},
};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams},
};
use metal_api::{Bmc, BmcSecret, ClaimPhase, Endpoint, Server, ServerState, condition, finalizer};
use metal_simulator::{Host, MachineReport, Power, Reset};
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_mins(2);
const METAL: &str = "metal.ironcore.dev/v1alpha1";
const BOOT: &str = "boot.ironcore.dev/v1alpha1";
const CLAIM: &str = "database";
/// Kinds of version 0.7 that are about a server or its BMC, with samples, and their finalizers.
const MAINTENANCE: [(&str, &str); 5] = [
    ("biossettings", finalizer::BIOS_SETTINGS),
    ("biosversion", finalizer::BIOS_VERSION),
    ("bmcsettings", finalizer::BMC_SETTINGS),
    ("bmcversion", finalizer::BMC_VERSION),
    ("bmcuser", finalizer::BMC_USER),
];

#[test]
fn a_cluster_of_ironcore_goes_on_and_is_emptied() {
    in_turn(async |stack| {
        let [held, free] = [0, 1].map(|index| stack.machine(PXE, index).unwrap());
        stack.metal.kill().await.unwrap();
        stack.boot.kill().await.unwrap();
        // The tenant has installed its system on the disk.
        held.simulator().reset(held.index(), Reset::On).unwrap();
        held.is("booted from its disk", |report| report.host == Host::Disk).await.unwrap();
        let mut left = Left { stack, objects: vec![] };
        let claim = left.all_of(&held, &free).await;
        for operator in [&stack.metal, &stack.boot] {
            operator.start().unwrap();
            operator.ready(LIMIT).await.unwrap();
        }

        goes_on(stack, &held, &free, &claim).await;
        claim.delete().await;
        claim.is_gone().await;
        is_free_again(&held).await;
        let again = Claim::of(stack, &held, &stack.registry.image(PXE_TENANT)).await;
        again.is_bound().await;
        held.boots_tenant().await.unwrap();
        again.delete().await;
        again.is_gone().await;
        is_free_again(&held).await;
        left.is_emptied(&[held, free]).await;
        // The first time, a person has switched it on.
        resets_are(&held, 2);
        resets_are(&free, 0);
    });
}

/// What was made by ironcore is adopted, and neither host is touched.
async fn goes_on(stack: &Stack, held: &Machine<'_>, free: &Machine<'_>, claim: &Claim) {
    let (claims, name) = claim.objects();
    let claim_uid = claims.get(name).await.unwrap().uid();
    for machine in [held, free] {
        let bmc = Api::<Bmc>::all(stack.client.clone()).get(&machine.name()).await.unwrap();
        let is_held = machine.index() == held.index();
        let state = if is_held { ServerState::Reserved } else { ServerState::Available };
        let holder = claim_uid.clone().filter(|_| is_held);
        let is_adopted = |server: &Server| {
            let Some(status) = &server.status else { return false };
            let conditions = &status.conditions;
            let theirs = |it: &&str| conditions.iter().any(|condition| condition.type_ == **it);
            let owners: Vec<_> = server.owner_references().iter().map(|it| &it.uid).collect();
            status.state.as_ref() == Some(&state)
                && holds(conditions, condition::READY)
                && !["PoweringOn", "WaitingForPowerOff"].iter().any(theirs)
                && status.bound_claim.as_ref().map(|it| it.uid.clone()) == holder
                && owners == bmc.metadata.uid.iter().collect::<Vec<_>>()
        };
        machine.server("adopted", is_adopted).await.unwrap();
        eventually(LIMIT, async || {
            let bmcs = Api::<Bmc>::all(stack.client.clone());
            let secrets = Api::<BmcSecret>::all(stack.client.clone());
            let bmc = bmcs.get(&machine.name()).await?;
            let secret = secrets.get(&machine.name()).await?;
            let owners = [bmc.owner_references(), secret.owner_references()].concat();
            ensure!(owners.is_empty(), "an Endpoint owns them: {owners:?}");
            Ok(())
        })
        .await
        .unwrap();
    }
    let phase = claims.get(name).await.unwrap().status.and_then(|status| status.phase);
    assert_eq!(phase, Some(ClaimPhase::Bound));
    let MachineReport { host, counters, override_enabled, .. } = held.report().unwrap();
    assert_eq!((host, counters.resets.total()), (Host::Disk, 1), "only by a person");
    assert_eq!(override_enabled, "Disabled");
    let MachineReport { power, counters, .. } = free.report().unwrap();
    assert_eq!((power, counters.resets.total()), (Power::Off, 0));
}

/// What ironcore's operators have left.
struct Left<'a> {
    stack: &'a Stack,
    objects: Vec<DynamicObject>,
}

impl Left<'_> {
    /// All objects of a machine that a claim holds, and of one that is free.
    async fn all_of(&mut self, held: &Machine<'_>, free: &Machine<'_>) -> Claim {
        let namespace = self.stack.cluster.namespace().await.unwrap();
        let data = Some([("ignition".to_owned(), ByteString(IGNITION.into()))].into());
        let mut secret = Secret { data, ..Secret::default() };
        secret.metadata.name = Some("ignition".to_owned());
        let secrets = Api::<Secret>::namespaced(self.stack.client.clone(), &namespace);
        secrets.create(&PostParams::default(), &secret).await.unwrap();

        let of_claim = json!({ "namespace": namespace, "name": CLAIM });
        let taken = json!({ "serverClaimRef": of_claim, "bootConfigurationRef": of_claim });
        self.server(held, ("Reserved", "On"), taken).await;
        self.server(free, ("Available", "Off"), json!({})).await;
        self.claim(held, &namespace).await;
        self.maintenance(held).await;
        Claim::named(self.stack, &namespace, CLAIM)
    }

    async fn claim(&mut self, machine: &Machine<'_>, namespace: &str) {
        let image = self.stack.registry.image(PXE_TENANT);
        let boots = json!({
            "serverRef": { "name": machine.server_name() },
            "image": image,
            "ignitionSecretRef": { "name": "ignition" },
        });
        let mut spec = boots.clone();
        spec["power"] = json!("On");
        let meta = |owners: Value, finalizers: Value| {
            json!({
                "name": CLAIM, "namespace": namespace,
                "ownerReferences": owners, "finalizers": finalizers,
            })
        };
        let claim = meta(json!([]), json!([finalizer::SERVER_CLAIM]));
        let status = json!({ "phase": "Bound" });
        let claim = self.make((METAL, "ServerClaim"), claim, spec, status).await;
        let received = conditions(&["BootStateReceived", "IPXEScriptFetched"]);
        let status = json!({ "state": "Ready", "conditions": received });
        let owned = meta(json!([claim]), json!([]));
        let kind = (METAL, "ServerBootConfiguration");
        let boots = self.make(kind, owned, boots, status).await;
        let report = machine.report().unwrap();
        let layer =
            |digest| format!("http://boot.example:8083/image?imageName=os&layerDigest={digest}");
        let spec = json!({
            "systemUUID": report.uuid,
            "systemIPs": [host_address(machine)],
            "kernelURL": layer("sha256:1"),
            "initrdURL": layer("sha256:2"),
            "squashfsURL": layer("sha256:3"),
            "ignitionSecretRef": { "name": "ignition" },
        });
        let status = json!({ "state": "Ready", "conditions": conditions(&["IPXEScriptFetched"]) });
        let owned = meta(json!([boots]), json!([]));
        self.make((BOOT, "IPXEBootConfig"), owned, spec, status).await;
    }

    /// A server with its BMC, whose Endpoint is the owner of the latter.
    async fn server(&mut self, machine: &Machine<'_>, (state, power): (&str, &str), more: Value) {
        let (name, report) = (machine.name(), machine.report().unwrap());
        let address = machine.simulator().bmc(machine.index()).unwrap();
        let mac = report.bmc_mac.to_string();
        let meta = json!({ "name": name, "finalizers": [finalizer::ENDPOINT] });
        let spec = json!({ "macAddress": mac, "ip": address.ip() });
        let endpoint = self.make((METAL, "Endpoint"), meta, spec, Value::Null).await;
        let owned = json!({ "name": name, "ownerReferences": [endpoint] });
        let mut secret = json!({ "apiVersion": METAL, "kind": "BMCSecret", "metadata": owned });
        secret["data"] = json!({ "username": "Zm9v", "password": "YmFy" });
        self.create(secret, Value::Null).await;
        let reference = json!({ "name": name });
        let spec = json!({
            "endpointRef": reference,
            "bmcSecretRef": reference,
            "bmcUUID": self.stack.fleets[PXE].hardware(machine.index()).unwrap().bmc_uuid(),
            "protocol": { "name": "Redfish", "port": address.port(), "scheme": "http" },
            "consoleProtocol": { "name": "SSH", "port": 22 },
            "bmcSettingsRef": reference,
        });
        let status = json!({
            "ip": address.ip(), "macAddress": mac, "manufacturer": "Contoso", "model": "CB-7",
            "sku": "CB-7-002", "serialNumber": format!("{}-B", report.serial),
            "firmwareVersion": "1.45.455", "powerState": "On", "state": "Enabled",
            "conditions": conditions(&["Ready"]),
        });
        let bmc = self.make((METAL, "BMC"), owned, spec, status).await;
        let meta = json!({
            "name": machine.server_name(),
            "ownerReferences": [bmc],
            "finalizers": [finalizer::SERVER],
        });
        let mut spec = json!({
            "systemUUID": report.uuid,
            "systemURI": "/redfish/v1/Systems/1",
            "bmcRef": reference,
            "power": power,
            "biosSettingsRef": reference,
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut status = inventory(machine, &report);
        (status["state"], status["powerState"]) = (json!(state), json!(power));
        self.make((METAL, "Server"), meta, spec, status).await;
    }

    async fn maintenance(&mut self, machine: &Machine<'_>) {
        for (file, finalizer) in MAINTENANCE {
            let mut object = sample(file).unwrap();
            object.metadata.name = Some(machine.name());
            object.metadata.finalizers = Some(vec![finalizer.to_owned()]);
            let spec = &mut object.data["spec"];
            let (server, bmc) = (machine.server_name(), machine.name());
            for (field, name) in [("serverRef", server), ("BMCRef", bmc.clone()), ("bmcRef", bmc)] {
                if spec.get(field).is_some() {
                    spec[field] = json!({ "name": name });
                }
            }
            self.create(serde_json::to_value(object).unwrap(), Value::Null).await;
        }
    }

    /// Creates an object; returns a reference to it as an owner.
    async fn make(
        &mut self,
        (version, kind): (&str, &str),
        metadata: Value,
        spec: Value,
        status: Value,
    ) -> Value {
        let object =
            json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec });
        self.create(object, status).await
    }

    async fn create(&mut self, object: Value, status: Value) -> Value {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let (api, name) = (of(self.stack, &object), object.name_any());
        let created = api.create(&PostParams::default(), &object).await.unwrap();
        if !status.is_null() {
            let status = Patch::Merge(json!({ "status": status }));
            api.patch_status(&name, &PatchParams::default(), &status).await.unwrap();
        }
        let types = object.types.clone().unwrap();
        let owner = json!({
            "apiVersion": types.api_version, "kind": types.kind, "name": name,
            "uid": created.uid(), "controller": true, "blockOwnerDeletion": true,
        });
        self.objects.push(object);
        owner
    }

    /// Deletes everything that is left: the Endpoint first, which ironcore's garbage collector would
    /// have taken BMC, credentials and servers along with.
    async fn is_emptied(&self, machines: &[Machine<'_>]) {
        let endpoints = Api::<Endpoint>::all(self.stack.client.clone());
        let bmcs = Api::<Bmc>::all(self.stack.client.clone());
        let secrets = Api::<BmcSecret>::all(self.stack.client.clone());
        let servers = Api::<Server>::all(self.stack.client.clone());
        for machine in machines {
            let name = machine.name();
            endpoints.delete(&name, &DeleteParams::foreground()).await.unwrap();
            gone(&endpoints, &name).await.unwrap();
            assert!(secrets.get(&name).await.unwrap().metadata.deletion_timestamp.is_none());
            assert!(bmcs.get(&name).await.unwrap().metadata.deletion_timestamp.is_none());
            bmcs.delete(&name, &DeleteParams::default()).await.unwrap();
            gone(&servers, &machine.server_name()).await.unwrap();
        }
        for object in &self.objects {
            let (api, name) = (of(self.stack, object), object.name_any());
            let deleted = api.delete(&name, &DeleteParams::default()).await;
            let is_gone = |error: &kube::Error| matches!(error, kube::Error::Api(status) if status.is_not_found());
            assert!(deleted.as_ref().err().is_none_or(is_gone), "{deleted:?}");
            gone(&api, &name).await.unwrap();
        }
    }
}

/// What ironcore shows of a machine.
fn inventory(machine: &Machine<'_>, report: &MachineReport) -> Value {
    let interface = |(number, mac): (usize, &metal_simulator::Mac)| {
        json!({
            "name": format!("ens1f{number}np{number}"),
            "macAddress": mac.to_string(),
            "carrierStatus": "up",
            "ips": if number == 0 { vec![host_address(machine)] } else { vec![] },
            "neighbors": [{
                "macAddress": "50:00:00:00:00:01", "portID": "Ethernet1",
                "systemName": "leaf-1", "systemDescription": "SONiC",
            }],
        })
    };
    let interfaces: Vec<_> = report.nic_macs.iter().enumerate().map(interface).collect();
    json!({
        "manufacturer": "Contoso", "model": "CR-2000", "sku": "CR-2000-A",
        "serialNumber": report.serial, "biosVersion": "2.14.1", "totalSystemMemory": "512Gi",
        "indicatorLED": "Off",
        "processors": [{
            "id": "1", "type": "CPU", "architecture": "x86", "instructionSet": "x86-64",
            "manufacturer": "Intel(R) Corporation", "totalCores": 32, "totalThreads": 64,
        }],
        "storages": [{
            "name": "NVMe Storage",
            "drives": [{ "name": "Drive 0", "mediaType": "SSD", "capacity": "960197124096" }],
            "volumes": [{ "name": "OS", "capacity": "0", "raidType": "RAID1" }],
        }],
        "networkInterfaces": interfaces,
        "conditions": conditions(&["PoweringOn", "WaitingForPowerOff"]),
    })
}

/// Address that a machine without DHCP boots with.
fn host_address(machine: &Machine<'_>) -> String {
    format!("198.18.1.{}", machine.index() + 1)
}

/// Conditions that are true since a while.
fn conditions(types: &[&str]) -> Value {
    let condition = |type_: &&str| {
        json!({
            "type": type_, "status": "True", "reason": "Seen", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    types.iter().map(condition).collect()
}
