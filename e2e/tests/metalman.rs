//! metalman as a process, under the ServiceAccount of its overlay, with an API server that is real.

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use e2e::{
    cluster::{Cluster, eventually, unique},
    stack::metalman::{Metalman, condition, pxe},
};
use k8s_openapi::api::{
    certificates::v1::CertificateSigningRequest,
    core::v1::{ConfigMap, Node, ServiceAccount},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use metal_api::{
    Machine, MachineCloudInit, MachineConfigMapReference, MachinePhase, MachinePxe, MachineSpec,
    MachineStatus,
};
use metal_attest::{
    Response,
    testing::{self, machines},
};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use reqwest::StatusCode;
use serde_json::json;
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_mins(3);
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

    // With the next one it ends.
    let (status, body) = site.attest(site.address, client).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{body}");
    let answer: Response = serde_json::from_str(&body).unwrap();
    let next = String::from_utf8(client.open(&answer).unwrap()).unwrap();
    site.is_over(&token).await.unwrap();
    site.kubectl_as(&next, &who_am_i()).await.unwrap();
    let token = next;

    // Its own certificate is approved, and that of another node is denied.
    for (node, settled) in [(name.as_str(), "Approved"), ("node-of-somebody-else", "Denied")] {
        let request = unique("csr");
        site.ask(&token, &request, node).await.unwrap();
        site.settled(&request, settled).await.unwrap();
    }

    site.metalman.join(&name, site.address).await.unwrap();
    let machine = site.phase(&name, MachinePhase::Ready, "NodeReady").await.unwrap();
    assert_eq!(machine.status.unwrap().node_ref.unwrap().name, name);
    Api::<Node>::all(site.metalman.client.clone())
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    site.phase(&name, MachinePhase::Joining, "NoNode").await.unwrap();

    // With the Machine goes its ServiceAccount, and with that every token.
    site.metalman.machines().delete(&name, &DeleteParams::default()).await.unwrap();
    let accounts = Api::<ServiceAccount>::namespaced(site.metalman.client.clone(), MACHINES);
    let gone = eventually(PATIENCE, async || {
        ensure!(accounts.get_opt(&name).await?.is_none(), "{name} is still there");
        Ok(())
    });
    gone.await.unwrap();
    site.is_over(&token).await.unwrap();
    site.metalman.end().await.unwrap();
}

#[tokio::test]
async fn another_tpm_and_another_site_get_nothing() {
    let site = Site::start(Ipv4Addr::new(127, 11, 0, 3)).await.unwrap();
    // Keys of their own: a TPM is one Machine in the cluster, which other tests use as well.
    let (name, [ours, theirs]) = (unique("node"), [1, 2].map(testing::Machine::numbered));
    site.create(&name, site.address).await.unwrap();
    site.phase(&name, MachinePhase::Pending, "NotAttested").await.unwrap();
    assert_eq!(site.attest(site.address, &ours).await.unwrap().0, StatusCode::OK);
    assert_eq!(site.attest(site.address, &theirs).await.unwrap().0, StatusCode::FORBIDDEN);
    site.phase(&name, MachinePhase::Failed, "KeyDiffers").await.unwrap();
    site.metalman.tells(&name, &["KeyDiffers"]).await.unwrap();

    // A person who has looked at it takes the pin away.
    let reset = Patch::Merge(json!({ "status": { "tpm": null } }));
    site.metalman.machines().patch_status(&name, &PatchParams::default(), &reset).await.unwrap();
    eventually(PATIENCE, async || {
        let (status, _) = site.attest(site.address, &theirs).await?;
        ensure!(status == StatusCode::OK, "{status}");
        Ok(())
    })
    .await
    .unwrap();

    // A Machine of another site, at an address of its own.
    let elsewhere = Ipv4Addr::new(127, 11, 0, 4);
    let stranger = unique("node");
    let spec = MachineSpec { pxe: Some(pxe(&stranger, elsewhere)), ..MachineSpec::default() };
    let mut foreign = Machine::new(&stranger, spec);
    foreign.metadata.labels = Some([(LABEL.to_owned(), unique("site"))].into());
    site.metalman.machines().create(&PostParams::default(), &foreign).await.unwrap();
    // One of this site that comes after it is seen: so would the other have been.
    let twin = unique("node");
    site.create(&twin, site.address).await.unwrap();
    site.phase(&twin, MachinePhase::Failed, "Ambiguous").await.unwrap();
    assert_eq!(site.attest(elsewhere, &ours).await.unwrap().0, StatusCode::NOT_FOUND);

    // Neither of the two with one address is attested, and both say so.
    site.phase(&name, MachinePhase::Failed, "Ambiguous").await.unwrap();
    assert_eq!(site.attest(site.address, &theirs).await.unwrap().0, StatusCode::CONFLICT);
    site.metalman.end().await.unwrap();
}

#[tokio::test]
async fn a_config_map_without_user_data_is_told_of_and_nothing_else_is_served_instead() {
    let site = Site::start(Ipv4Addr::new(127, 11, 0, 5)).await.unwrap();
    let name = unique("node");
    let reference = MachineConfigMapReference {
        name: name.clone(),
        namespace: "unbounded-kube".to_owned(),
        ..MachineConfigMapReference::default()
    };
    let cloud_init = Some(MachineCloudInit { user_data_config_map_ref: Some(reference) });
    let pxe = MachinePxe { cloud_init, ..pxe(&name, site.address) };
    let maps = Api::<ConfigMap>::namespaced(site.metalman.client.clone(), "unbounded-kube");
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.clone());
    map.data = Some([("other".to_owned(), "#cloud-config\n".to_owned())].into());
    maps.create(&PostParams::default(), &map).await.unwrap();
    site.metalman.create(&name, pxe).await.unwrap();
    site.phase(&name, MachinePhase::Pending, "NotAttested").await.unwrap();
    let http = reqwest::Client::builder().local_address(IpAddr::V4(site.address)).build().unwrap();
    let url = format!("http://{}/cloud-init/user-data", site.metalman.http);
    let answer = http.get(url).timeout(PATIENCE).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    let expected = format!("ConfigMap unbounded-kube/{name} has no key user-data\n");
    assert_eq!((status, text), (StatusCode::NOT_FOUND, expected));
    let is_told = |it: &MachineStatus| condition(it, "UserDataReady") == Some("KeyMissing");
    site.metalman.is(&name, "told", is_told).await.unwrap();
    site.metalman.end().await.unwrap();
}

const LABEL: &str = "unbounded-cloud.io/site";

fn who_am_i() -> [&'static str; 2] {
    ["auth", "whoami"]
}

/// A metalman of a site of its own, and where its machine is.
struct Site {
    cluster: &'static Cluster,
    metalman: Metalman,
    /// Of its machine.
    address: Ipv4Addr,
}

impl Site {
    async fn start(address: Ipv4Addr) -> Result<Self> {
        let cluster = Cluster::shared().await?;
        let metalman = Metalman::start(cluster, &[]).await?;
        Ok(Self { cluster, metalman, address })
    }

    async fn create(&self, name: &str, address: Ipv4Addr) -> Result<()> {
        self.metalman.create(name, pxe(name, address)).await
    }

    /// Waits until a Machine is that far, for this reason.
    async fn phase(&self, name: &str, phase: MachinePhase, reason: &str) -> Result<Machine> {
        eventually(PATIENCE, async || {
            let machine = self.metalman.machines().get(name).await?;
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
        let url = format!("http://{}/attest", self.metalman.http);
        let answer = http.post(url).timeout(PATIENCE).body(client.body()).send().await?;
        Ok((answer.status(), answer.text().await?))
    }

    /// Waits until a token is good for nothing: the API server may remember for some seconds that it was good.
    async fn is_over(&self, token: &str) -> Result<()> {
        eventually(PATIENCE, async || {
            ensure!(self.kubectl_as(token, &who_am_i()).await.is_err(), "it is still good");
            Ok(())
        })
        .await
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
        let requests = Api::<CertificateSigningRequest>::all(self.metalman.client.clone());
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
}
