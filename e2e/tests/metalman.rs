//! metalman as a process, under the ServiceAccount of its overlay, with an API server that is real.

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use e2e::{
    cluster::{Cluster, Process, binary, eventually, unique},
    stack::{Host, Overlay},
};
use k8s_openapi::api::{
    certificates::v1::CertificateSigningRequest,
    core::v1::{Node, NodeCondition, NodeStatus, ServiceAccount},
    events::v1::Event,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use metal_api::{Machine, MachineLease, MachinePhase, MachinePxe, MachineSpec};
use metal_attest::{
    Response,
    testing::{self, machines},
};
use metal_runtime::client::install_crypto_provider;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use reqwest::StatusCode;
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_mins(1);
const NAMESPACE: &str = "unbounded-kube";
const MACHINES: &str = "metalman-machines";

#[tokio::test]
async fn a_machine_attests_joins_and_is_ready_under_the_rights_of_the_overlay() {
    let site = Site::start(Ipv4Addr::new(127, 11, 0, 2)).await.unwrap();
    let (name, client) = (unique("node"), &machines()[0]);
    site.create(&name, site.address).await.unwrap();
    site.phase(&name, MachinePhase::Pending, "NotAttested").await.unwrap();

    let (status, body) = site.attest(site.address, client).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{body}");
    let answer: Response = serde_json::from_str(&body).unwrap();
    assert!(answer.cluster_ca.as_deref().unwrap().starts_with("-----BEGIN CERTIFICATE-----\n"));
    let token = String::from_utf8(client.open(&answer).unwrap()).unwrap();
    let machine = site.phase(&name, MachinePhase::Joining, "NoNode").await.unwrap();
    let pin = machine.status.unwrap().tpm.unwrap().ek_public_key;
    assert_eq!(pin.as_deref(), Some(client.status_ek_public_key_pem.as_str()));

    // The token is the machine's own, and good for a certificate alone.
    let who = ["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"];
    let who = site.kubectl_as(&token, &who).await.unwrap();
    assert_eq!(who, format!("system:serviceaccount:{MACHINES}:{name}"));
    let can = async |verb: &str, what: &str| {
        let asked = site.kubectl_as(&token, &["auth", "can-i", verb, what]).await;
        asked.is_ok_and(|it| it.trim() == "yes")
    };
    assert!(can("create", "certificatesigningrequests.certificates.k8s.io").await);
    assert!(!can("get", "machines.unbounded-cloud.io").await);
    assert!(!can("get", "secrets").await);
    assert!(!can("update", "certificatesigningrequests.certificates.k8s.io/approval").await);

    // Its own certificate is approved, and that of another node is denied.
    for (node, settled) in [(name.as_str(), "Approved"), ("node-of-somebody-else", "Denied")] {
        let request = unique("csr");
        site.ask(&token, &request, node).await.unwrap();
        site.settled(&request, settled).await.unwrap();
    }

    site.join(&name).await.unwrap();
    let machine = site.phase(&name, MachinePhase::Ready, "NodeReady").await.unwrap();
    assert_eq!(machine.status.unwrap().node_ref.unwrap().name, name);
    Api::<Node>::all(site.client.clone()).delete(&name, &DeleteParams::default()).await.unwrap();
    site.phase(&name, MachinePhase::Joining, "NoNode").await.unwrap();

    // With the Machine goes its ServiceAccount, and with that every token.
    site.machines().delete(&name, &DeleteParams::default()).await.unwrap();
    let accounts = Api::<ServiceAccount>::namespaced(site.client.clone(), MACHINES);
    let gone = eventually(PATIENCE, async || {
        ensure!(accounts.get_opt(&name).await?.is_none(), "{name} is still there");
        Ok(())
    });
    gone.await.unwrap();
    assert!(site.kubectl_as(&token, &who_am_i()).await.is_err());
    site.end().await.unwrap();
}

#[tokio::test]
async fn another_tpm_and_another_site_get_nothing() {
    let site = Site::start(Ipv4Addr::new(127, 11, 0, 3)).await.unwrap();
    let (name, [ours, theirs]) = (unique("node"), <[_; 2]>::try_from(machines()).unwrap());
    site.create(&name, site.address).await.unwrap();
    site.phase(&name, MachinePhase::Pending, "NotAttested").await.unwrap();
    assert_eq!(site.attest(site.address, &ours).await.unwrap().0, StatusCode::OK);
    assert_eq!(site.attest(site.address, &theirs).await.unwrap().0, StatusCode::FORBIDDEN);
    site.phase(&name, MachinePhase::Failed, "KeyDiffers").await.unwrap();
    let told = eventually(PATIENCE, async || {
        let events = Api::<Event>::all(site.client.clone()).list(&ListParams::default()).await?;
        let of = |event: &&Event| {
            event.regarding.as_ref().and_then(|it| it.name.as_ref()) == Some(&name)
        };
        let mut reasons = events.items.iter().filter(of).filter_map(|it| it.reason.as_deref());
        ensure!(reasons.any(|it| it == "KeyDiffers"), "nobody tells of it");
        Ok(())
    });
    told.await.unwrap();

    // A person who has looked at it takes the pin away.
    let reset = Patch::Merge(json!({ "status": { "tpm": null } }));
    site.machines().patch_status(&name, &PatchParams::default(), &reset).await.unwrap();
    eventually(PATIENCE, async || {
        let (status, _) = site.attest(site.address, &theirs).await?;
        ensure!(status == StatusCode::OK, "{status}");
        Ok(())
    })
    .await
    .unwrap();

    // A Machine of another site, at an address of its own.
    let elsewhere = Ipv4Addr::new(127, 11, 0, 4);
    let mut foreign = machine(&unique("node"), elsewhere);
    foreign.metadata.labels = Some([(LABEL.to_owned(), unique("site"))].into());
    site.machines().create(&PostParams::default(), &foreign).await.unwrap();
    // One of this site that comes after it is seen: so would the other have been.
    let twin = unique("node");
    site.create(&twin, site.address).await.unwrap();
    site.phase(&twin, MachinePhase::Failed, "Ambiguous").await.unwrap();
    assert_eq!(site.attest(elsewhere, &ours).await.unwrap().0, StatusCode::NOT_FOUND);

    // Neither of the two with one address is attested, and both say so.
    site.phase(&name, MachinePhase::Failed, "Ambiguous").await.unwrap();
    assert_eq!(site.attest(site.address, &theirs).await.unwrap().0, StatusCode::CONFLICT);
    site.end().await.unwrap();
}

const LABEL: &str = "unbounded-cloud.io/site";

fn who_am_i() -> [&'static str; 2] {
    ["auth", "whoami"]
}

/// A metalman of a site of its own.
struct Site {
    cluster: &'static Cluster,
    client: Client,
    name: String,
    /// Of its machine.
    address: Ipv4Addr,
    http: SocketAddr,
    process: Process,
}

impl Site {
    async fn start(address: Ipv4Addr) -> Result<Self> {
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
        command.arg(format!("--http-port={}", http.port())).arg("--cluster-dns=10.96.0.10");
        let cache = cluster.scratch().join(format!("{name}.cache"));
        command.arg(format!("--cache-dir={}", cache.display()));
        command
            .arg(format!("--health-port={}", health.port()))
            .args(["--dhcp-port=0", "--tftp-port=0"]);
        let process = Process::start(&mut command, cluster.scratch().join(format!("{name}.log")))?;
        let client = cluster.client().await?;
        let mut site = Self { cluster, client, name, address, http, process };
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

    async fn create(&self, name: &str, address: Ipv4Addr) -> Result<()> {
        let mut machine = machine(name, address);
        machine.metadata.labels = Some([(LABEL.to_owned(), self.name.clone())].into());
        self.machines().create(&PostParams::default(), &machine).await?;
        Ok(())
    }

    /// Waits until a Machine is that far, for this reason.
    async fn phase(&self, name: &str, phase: MachinePhase, reason: &str) -> Result<Machine> {
        eventually(PATIENCE, async || {
            let machine = self.machines().get(name).await?;
            let status = machine.status.clone().unwrap_or_default();
            let ready = status.conditions.iter().find(|it| it.type_ == "Ready");
            let is_so = status.phase == Some(phase.clone());
            ensure!(is_so && ready.is_some_and(|it| it.reason == reason), "{status:?}");
            Ok(machine)
        })
        .await
    }

    /// Asks for a token from this address.
    async fn attest(
        &self,
        from: Ipv4Addr,
        client: &testing::Machine,
    ) -> Result<(StatusCode, String)> {
        let http = reqwest::Client::builder().local_address(IpAddr::V4(from)).build()?;
        let url = format!("http://{}/attest", self.http);
        let answer = http.post(url).timeout(PATIENCE).body(client.body()).send().await?;
        Ok((answer.status(), answer.text().await?))
    }

    /// What the kubelet would bring about.
    async fn join(&self, name: &str) -> Result<()> {
        let nodes = Api::<Node>::all(self.client.clone());
        let mut node = Node::default();
        node.metadata.name = Some(name.to_owned());
        nodes.create(&PostParams::default(), &node).await?;
        let ready = NodeCondition {
            type_: "Ready".to_owned(),
            status: "True".to_owned(),
            ..NodeCondition::default()
        };
        let conditions = Some(vec![ready]);
        let patch = json!({ "status": NodeStatus { conditions, ..NodeStatus::default() } });
        nodes.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    }

    /// Asks for the certificate of a node, as its kubelet does.
    async fn ask(&self, token: &str, request: &str, node: &str) -> Result<()> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
        params.distinguished_name.push(DnType::CommonName, format!("system:node:{node}"));
        let der = STANDARD.encode(params.serialize_request(&KeyPair::generate()?)?.der());
        let (begin, end) =
            ("-----BEGIN CERTIFICATE REQUEST-----", "-----END CERTIFICATE REQUEST-----");
        let pem = format!("{begin}\n{der}\n{end}\n");
        let csr = json!({
            "apiVersion": "certificates.k8s.io/v1",
            "kind": "CertificateSigningRequest",
            "metadata": { "name": request },
            "spec": {
                "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
                "usages": ["digital signature", "client auth"],
                "request": STANDARD.encode(pem),
            },
        });
        let file = self.cluster.scratch().join(format!("{request}.json"));
        tokio::fs::write(&file, csr.to_string()).await?;
        self.kubectl_as(token, &["create", "-f", file.to_str().context("no UTF-8")?]).await?;
        Ok(())
    }

    /// Waits until a request is approved or denied.
    async fn settled(&self, request: &str, how: &str) -> Result<()> {
        let requests = Api::<CertificateSigningRequest>::all(self.client.clone());
        eventually(PATIENCE, async || {
            let status = requests.get(request).await?.status.unwrap_or_default();
            let mut conditions = status.conditions.iter().flatten();
            ensure!(conditions.any(|it| it.type_ == how), "{status:?}");
            Ok(())
        })
        .await
    }

    async fn kubectl_as(&self, token: &str, args: &[&str]) -> Result<String> {
        self.cluster.kubectl(&[&["--token", token], args].concat()).await
    }

    /// Ends it, as Kubernetes does; it was refused nothing.
    async fn end(self) -> Result<()> {
        let printed = self.process.printed()?;
        ensure!(!printed.contains("orbidden"), "{printed}");
        self.process.terminate(PATIENCE).await.context(printed)
    }
}

fn machine(name: &str, address: Ipv4Addr) -> Machine {
    let [.., last] = address.octets();
    let lease = MachineLease {
        ipv4: address.to_string(),
        mac: format!("02:11:00:00:{last:02x}:{:02x}", name.bytes().fold(0_u8, u8::wrapping_add)),
        subnet_mask: "255.0.0.0".to_owned(),
        ..MachineLease::default()
    };
    let pxe = MachinePxe {
        image: "registry.example/image:1".to_owned(),
        dhcp_leases: vec![lease],
        ..MachinePxe::default()
    };
    Machine::new(name, MachineSpec { pxe: Some(pxe), ..MachineSpec::default() })
}
