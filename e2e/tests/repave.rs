//! Reboots and installations of machines: metalman as a process, under the rights of its overlay, with
//! simulated BMCs and a real API server.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{Cluster, Process, binary, eventually, unique},
    stack::{Host, Overlay},
};
use k8s_openapi::api::{
    core::v1::{Node, NodeAddress, NodeCondition, NodeStatus, Secret},
    events::v1::Event,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use metal_api::{
    Machine, MachineKeyReference, MachineLease, MachinePhase, MachinePxe, MachineRedfish,
    MachineSpec, MachineStatus, Server,
};
use metal_runtime::client::install_crypto_provider;
use metal_simulator::{Config, MachineReport, Power, Profile, Reset, Simulator, Transport};
use serde_json::{Value, json};
use std::{
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_mins(2);
const NAMESPACE: &str = "unbounded-kube";
const PASSWORDS: &str = "metalman-bmcs";
const LABEL: &str = "unbounded-cloud.io/site";
const CERTIFICATE: &str = "bloomery.dev/accept-certificate";

#[tokio::test]
async fn a_machine_is_rebooted_and_then_repaved_by_its_bmc() {
    let site = Site::start().await.unwrap();
    let bmc = bmc(Ipv4Addr::new(127, 21, 0, 1), None).await;
    let name = site.machine(&bmc, Ipv4Addr::new(10, 21, 0, 1)).await.unwrap();
    // The certificate is recorded before anybody logs in.
    site.is(&name, "pinned", |status| pin(status).is_some()).await.unwrap();
    assert_eq!(report(&bmc).counters.logins, 0);

    site.raise(&name, json!({ "rebootCounter": 1 })).await.unwrap();
    let status = site.is(&name, "rebooted", |status| done(status) == (1, 0)).await.unwrap();
    assert_eq!(condition(&status, "PoweredOff"), None);
    let after = report(&bmc);
    assert_eq!((after.power, after.override_enabled.as_str()), (Power::On, "Disabled"));
    assert_eq!(resets(&after), [(Reset::GracefulShutdown, 1), (Reset::On, 1)]);

    // Its Node takes no new pods, and goes with the system that is overwritten.
    site.join(&name, "10.21.0.1").await.unwrap();
    site.raise(&name, json!({ "rebootCounter": 3, "repaveCounter": 1 })).await.unwrap();
    let status = site
        .is(&name, "installing", |it| condition(it, "Repaved") == Some("Pending"))
        .await
        .unwrap();
    assert_eq!((done(&status), status.phase), ((3, 0), Some(MachinePhase::Provisioning)));
    assert!(Api::<Node>::all(site.client.clone()).get_opt(&name).await.unwrap().is_none());
    let installing = report(&bmc);
    assert_eq!(installing.counters.patches, 1, "it was told once where to boot from");

    // The installer is done.
    let told = json!({ "status": { "operations": { "repaveCounter": 1 } } });
    let (params, machines) = (PatchParams::default(), site.machines());
    machines.patch_status(&name, &params, &Patch::Merge(told)).await.unwrap();
    let is_done = |it: &MachineStatus| condition(it, "OperationsDone") == Some("Done");
    let status = site.is(&name, "done", is_done).await.unwrap();
    assert_eq!(done(&status), (3, 1));
    assert_eq!(resets(&report(&bmc)), [(Reset::GracefulShutdown, 2), (Reset::On, 2)]);
    let events = site.events(&name).await.unwrap();
    for reason in ["PoweringOff", "PoweringOn", "Installing", "OperationDone"] {
        assert!(events.iter().any(|it| it == reason), "{reason}: {events:?}");
    }
    site.end().await.unwrap();
}

#[tokio::test]
async fn a_bmc_with_another_certificate_gets_no_password_until_a_person_vouches_for_it() {
    let site = Site::start().await.unwrap();
    let base = Ipv4Addr::new(127, 21, 0, 2);
    let first = bmc(base, None).await;
    let name = site.machine(&first, Ipv4Addr::new(10, 21, 0, 2)).await.unwrap();
    let status = site.is(&name, "pinned", |status| pin(status).is_some()).await.unwrap();
    let (known, listen) = (pin(&status).unwrap().to_owned(), first.redfish());
    first.stop().await;

    let second = bmc(base, Some(listen)).await;
    site.raise(&name, json!({ "rebootCounter": 1 })).await.unwrap();
    let differs = |it: &MachineStatus| condition(it, "BMCReachable") == Some("CertificateDiffers");
    let status = site.is(&name, "told", differs).await.unwrap();
    assert_eq!(pin(&status), Some(known.as_str()));
    let strange = report(&second).counters;
    assert_eq!((strange.logins, strange.requests), (0, 0), "nothing was sent to it");
    let events = site.events(&name).await.unwrap();
    assert!(events.iter().any(|it| it == "CertificateDiffers"), "{events:?}");

    let told = status.conditions.iter().find(|it| it.type_ == "BMCReachable").unwrap();
    let (_, new) = told.message.rsplit_once('=').unwrap();
    let vouch = json!({ "metadata": { "annotations": { CERTIFICATE: new } } });
    let machines = site.machines();
    machines.patch(&name, &PatchParams::default(), &Patch::Merge(vouch)).await.unwrap();
    let status = site.is(&name, "rebooted", |status| done(status) == (1, 0)).await.unwrap();
    assert_eq!(pin(&status), Some(new));
    let annotations = machines.get(&name).await.unwrap().metadata.annotations;
    assert_eq!(annotations.unwrap_or_default().get(CERTIFICATE), None, "it counts once");
    site.end().await.unwrap();
}

#[tokio::test]
async fn without_its_password_nobody_logs_in_and_the_machine_says_what_is_missing() {
    let site = Site::start().await.unwrap();
    let bmc = bmc(Ipv4Addr::new(127, 21, 0, 3), None).await;
    let name = site.machine(&bmc, Ipv4Addr::new(10, 21, 0, 3)).await.unwrap();
    site.is(&name, "pinned", |status| pin(status).is_some()).await.unwrap();
    let secrets = Api::<Secret>::namespaced(site.client.clone(), PASSWORDS);
    secrets.delete(&name, &DeleteParams::default()).await.unwrap();
    site.raise(&name, json!({ "rebootCounter": 1 })).await.unwrap();
    let is_missing = |it: &MachineStatus| condition(it, "BMCReachable") == Some("PasswordMissing");
    site.is(&name, "told", is_missing).await.unwrap();
    assert_eq!((report(&bmc).counters.logins, report(&bmc).power), (0, Power::On));
    site.password(&name).await.unwrap();
    site.is(&name, "rebooted", |status| done(status) == (1, 0)).await.unwrap();

    // Two Machines that name one system are both told so, and neither is switched off.
    let other = site.machine(&bmc, Ipv4Addr::new(10, 21, 0, 4)).await.unwrap();
    site.is(&other, "pinned", |status| pin(status).is_some()).await.unwrap();
    for machine in [&name, &other] {
        site.raise(machine, json!({ "rebootCounter": 2 })).await.unwrap();
        let is_shared = |it: &MachineStatus| condition(it, "BMCReachable") == Some("SystemShared");
        site.is(machine, "told", is_shared).await.unwrap();
    }
    assert_eq!(resets(&report(&bmc)), [(Reset::GracefulShutdown, 1), (Reset::On, 1)]);
    site.end().await.unwrap();
}

#[tokio::test]
async fn a_machine_that_is_also_a_server_is_told_so_and_not_switched_off() {
    let site = Site::start().await.unwrap();
    let bmc = bmc(Ipv4Addr::new(127, 21, 0, 5), None).await;
    let name = site.machine(&bmc, Ipv4Addr::new(10, 21, 0, 5)).await.unwrap();
    site.is(&name, "pinned", |status| pin(status).is_some()).await.unwrap();
    let mac =
        site.machines().get(&name).await.unwrap().spec.pxe.unwrap().dhcp_leases[0].mac.clone();
    let servers = Api::<Server>::all(site.client.clone());
    let uuid = "38947555-7742-3448-3784-823347820021";
    let server = json!({
        "apiVersion": "metal.ironcore.dev/v1alpha1",
        "kind": "Server",
        "metadata": { "name": name },
        "spec": { "systemUUID": uuid },
    });
    let server: Server = serde_json::from_value(server).unwrap();
    servers.create(&PostParams::default(), &server).await.unwrap();
    let interfaces = json!({ "networkInterfaces": [{ "name": "eth0", "macAddress": mac }] });
    let interfaces = Patch::Merge(json!({ "status": interfaces }));
    servers.patch_status(&name, &PatchParams::default(), &interfaces).await.unwrap();
    let is_told = |it: &MachineStatus| condition(it, "AddressesUnique") == Some("Ambiguous");
    site.is(&name, "told", is_told).await.unwrap();
    site.raise(&name, json!({ "rebootCounter": 1 })).await.unwrap();
    let status = site.is(&name, "Failed", |it| it.phase == Some(MachinePhase::Failed)).await;
    assert!(status.unwrap().message.unwrap().contains(&format!("Server {name}")));
    assert_eq!(resets(&report(&bmc)), []);

    // When it is a Machine alone, what was asked for is done.
    servers.delete(&name, &DeleteParams::default()).await.unwrap();
    site.is(&name, "rebooted", |status| done(status) == (1, 0)).await.unwrap();
    site.end().await.unwrap();
}

/// A machine that is on, behind a BMC that speaks TLS.
async fn bmc(base: Ipv4Addr, listen: Option<SocketAddr>) -> Simulator {
    let defaults = Config::default();
    let profile = Profile { transport: Transport::Https, ..Profile::default() };
    let config = Config {
        bmc_base: base,
        listen: listen.unwrap_or(defaults.listen),
        power: Power::On,
        profile,
        ..defaults
    };
    Simulator::start(config).await.unwrap()
}

fn report(bmc: &Simulator) -> MachineReport {
    bmc.machine(0).unwrap()
}

/// How often the host was reset, and how.
fn resets(report: &MachineReport) -> Vec<(Reset, u32)> {
    let all = [Reset::GracefulShutdown, Reset::ForceOff, Reset::On]
        .map(|it| (it, report.counters.resets.of(it)));
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

fn pin(status: &MachineStatus) -> Option<&str> {
    status.redfish.as_ref()?.cert_fingerprint.as_deref()
}

/// Reboots and installations that were done, once none is under way.
fn done(status: &MachineStatus) -> (i64, i64) {
    let done = status.operations.clone().unwrap_or_default();
    (done.reboot_counter.unwrap_or(0), done.repave_counter.unwrap_or(0))
}

fn condition<'a>(status: &'a MachineStatus, type_: &str) -> Option<&'a str> {
    status.conditions.iter().find(|it| it.type_ == type_).map(|it| it.reason.as_str())
}

/// A metalman of a site of its own.
struct Site {
    client: Client,
    name: String,
    process: Process,
}

impl Site {
    async fn start() -> Result<Self> {
        install_crypto_provider();
        let cluster = Cluster::shared().await?;
        cluster.apply(&Overlay::build("metalman").await?.yaml).await?;
        let account = cluster.service_account_kubeconfig(NAMESPACE, "metalman-controller").await?;
        let (name, host) = (unique("site"), Host::reserve(&[])?);
        let (http, health) = (host.spare()?, host.spare()?);
        let mut command = Command::new(binary("metalman").await?);
        command.arg("serve-pxe").arg(format!("--site={name}")).stdin(Stdio::null());
        command.arg(format!("--kubeconfig={}", account.display())).env_remove("POD_NAME");
        command.arg(format!("--bind-address={}", http.ip()));
        command.arg(format!("--http-port={}", http.port()));
        command.arg(format!("--health-port={}", health.port()));
        command.args(["--dhcp-port=0", "--tftp-port=0"]);
        command.arg("--cluster-dns=10.96.0.10");
        let cache = cluster.scratch().join(format!("{name}.cache"));
        command.arg(format!("--cache-dir={}", cache.display()));
        let process = Process::start(&mut command, cluster.scratch().join(format!("{name}.log")))?;
        let mut site = Self { client: cluster.client().await?, name, process };
        let ready = eventually(PATIENCE, async || {
            let answer = reqwest::get(format!("http://{health}/readyz")).await?;
            ensure!(answer.status().is_success(), "{}", answer.text().await?);
            Ok(())
        });
        let ready = ready.await;
        site.process.check()?;
        ready.map(|()| site)
    }

    fn machines(&self) -> Api<Machine> {
        Api::all(self.client.clone())
    }

    /// Makes a Machine with this BMC and its password, and returns its name.
    async fn machine(&self, bmc: &Simulator, address: Ipv4Addr) -> Result<String> {
        let name = unique("node");
        self.password(&name).await?;
        let [.., last] = address.octets();
        let random = name.bytes().fold(0_u8, u8::wrapping_add);
        let lease = MachineLease {
            ipv4: address.to_string(),
            mac: format!("02:21:00:00:{random:02x}:{last:02x}"),
            subnet_mask: "255.0.0.0".to_owned(),
            ..MachineLease::default()
        };
        let redfish = MachineRedfish {
            url: format!("https://{}", bmc.bmc(0).context("the BMC has no address")?),
            username: "foo".to_owned(),
            password_ref: MachineKeyReference {
                name: name.clone(),
                namespace: PASSWORDS.to_owned(),
                key: Some("password".to_owned()),
            },
            ..MachineRedfish::default()
        };
        let pxe = MachinePxe {
            image: "registry.example/image:1".to_owned(),
            dhcp_leases: vec![lease],
            redfish: Some(redfish),
            ..MachinePxe::default()
        };
        let spec = MachineSpec { pxe: Some(pxe), ..MachineSpec::default() };
        let mut machine = Machine::new(&name, spec);
        machine.metadata.labels = Some([(LABEL.to_owned(), self.name.clone())].into());
        self.machines().create(&PostParams::default(), &machine).await?;
        Ok(name)
    }

    async fn password(&self, name: &str) -> Result<()> {
        let mut secret = Secret::default();
        secret.metadata.name = Some(name.to_owned());
        secret.string_data = Some([("password".to_owned(), "bar".to_owned())].into());
        let secrets = Api::<Secret>::namespaced(self.client.clone(), PASSWORDS);
        secrets.create(&PostParams::default(), &secret).await?;
        Ok(())
    }

    async fn raise(&self, name: &str, operations: Value) -> Result<()> {
        let raise = Patch::Merge(json!({ "spec": { "operations": operations } }));
        self.machines().patch(name, &PatchParams::default(), &raise).await?;
        Ok(())
    }

    /// The status of a Machine, once `holds`.
    async fn is(
        &self,
        name: &str,
        what: &str,
        holds: impl Fn(&MachineStatus) -> bool,
    ) -> Result<MachineStatus> {
        eventually(PATIENCE, async || {
            let status = self.machines().get(name).await?.status.unwrap_or_default();
            ensure!(holds(&status), "{name} is not {what}: {status:?}");
            Ok(status)
        })
        .await
    }

    /// What the kubelet would bring about.
    async fn join(&self, name: &str, address: &str) -> Result<()> {
        let nodes = Api::<Node>::all(self.client.clone());
        let mut node = Node::default();
        node.metadata.name = Some(name.to_owned());
        nodes.create(&PostParams::default(), &node).await?;
        let ready = NodeCondition {
            type_: "Ready".to_owned(),
            status: "True".to_owned(),
            ..NodeCondition::default()
        };
        let address = NodeAddress { address: address.to_owned(), type_: "InternalIP".to_owned() };
        let status = NodeStatus {
            conditions: Some(vec![ready]),
            addresses: Some(vec![address]),
            ..NodeStatus::default()
        };
        let patch = Patch::Merge(json!({ "status": status }));
        nodes.patch_status(name, &PatchParams::default(), &patch).await?;
        self.is(name, "Ready", |status| status.phase == Some(MachinePhase::Ready)).await?;
        Ok(())
    }

    /// Reasons of the events of a Machine.
    async fn events(&self, name: &str) -> Result<Vec<String>> {
        let events = Api::<Event>::all(self.client.clone()).list(&ListParams::default()).await?;
        let of = |event: &Event| {
            event.regarding.as_ref().and_then(|it| it.name.as_deref()) == Some(name)
        };
        Ok(events.items.into_iter().filter(of).filter_map(|event| event.reason).collect())
    }

    /// Ends it, as Kubernetes does; it was refused nothing.
    async fn end(self) -> Result<()> {
        let printed = self.process.printed()?;
        ensure!(!printed.contains("orbidden"), "{printed}");
        self.process.terminate(PATIENCE).await.context(printed)
    }
}
