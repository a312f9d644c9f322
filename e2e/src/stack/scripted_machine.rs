//! A machine that is installed and joins, as the programs on it would do that: firmware and GRUB, the
//! installer, cloud-init, metal-agent with a TPM in software, and the kubelet. metalman and the API
//! server are asked over the network, from the address of the machine.

use crate::{cluster::eventually, kubelet::Kubelet};
use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::StatusCode;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use metal_attest::{Response, testing};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_mins(2);
const SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";

/// A machine.
pub struct ScriptedMachine {
    http: reqwest::Client,
    metalman: SocketAddr,
    address: Ipv4Addr,
    tpm: testing::Machine,
}

/// What metal-agent is told (`.AgentConfigJSON`).
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Agent {
    machine_name: String,
    cluster: AgentCluster,
    kubelet: AgentKubelet,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AgentCluster {
    ca_cert_base64: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AgentKubelet {
    api_server: String,
    labels: BTreeMap<String, String>,
    register_with_taints: Option<Vec<String>>,
}

/// A certificate that the control plane has signed.
pub struct Credential {
    client: Client,
    agent: Agent,
}

impl ScriptedMachine {
    /// The machine at this local address, for which metalman listens there.
    ///
    /// # Errors
    ///
    /// If there is no HTTP client for that address.
    pub fn new(metalman: SocketAddr, address: Ipv4Addr) -> Result<Self> {
        metal_runtime::client::install_crypto_provider();
        let http = reqwest::Client::builder().no_proxy().local_address(IpAddr::V4(address));
        let http = http.timeout(PATIENCE).build()?;
        let tpm = testing::machines().into_iter().next().context("no TPM was recorded")?;
        Ok(Self { http, metalman, address, tpm })
    }

    /// What firmware, GRUB and the installer do while an installation is due: the disk image is
    /// fetched and verified, and metalman is told that it is on the disk. Returns its size.
    ///
    /// # Errors
    ///
    /// If none is due, or the image is not what its checksum says.
    pub async fn is_installed(&self) -> Result<usize> {
        let script = self.text(&self.url("grub/grub.cfg")).await?;
        let url = script.split_whitespace().find_map(|word| word.strip_prefix("bloomery.install="));
        let url = url.context("GRUB does not install")?;
        let told: Value = serde_json::from_str(&self.text(&format!("{url}/install.json")).await?)?;
        let file = |name: &str| {
            let path = told["disk"][name].as_str().with_context(|| format!("no {name}"))?;
            anyhow::Ok(format!("{url}/{path}"))
        };
        let disk = self.http.get(file("url")?).send().await?.error_for_status()?.bytes().await?;
        let checksums = self.text(&file("checksums")?).await?;
        let expected = checksums.split_whitespace().next().unwrap_or_default();
        ensure!(super::sha256(&disk) == expected, "the disk image is damaged");
        self.http.post(format!("{url}/pxe/disable")).send().await?.error_for_status()?;
        Ok(disk.len())
    }

    /// What cloud-init does at the first start: returns what metal-agent is told.
    ///
    /// # Errors
    ///
    /// If metalman does not serve what it takes.
    pub async fn starts(&self) -> Result<Agent> {
        self.tell("init-local", "start", "").await?;
        for part in ["meta-data", "user-data"] {
            self.text(&self.url(&format!("cloud-init/{part}"))).await?;
        }
        let vendor = self.text(&self.url("cloud-init/vendor-data")).await?;
        let vendor: Value = serde_saphyr::from_str(&vendor)?;
        let config = vendor["write_files"][0]["content"].as_str().context("no configuration")?;
        let agent = serde_json::from_str(config)?;
        self.tell("modules-final", "finish", "SUCCESS").await?;
        Ok(agent)
    }

    /// What metal-agent does: it attests, opens the token, and has a certificate signed.
    ///
    /// # Errors
    ///
    /// If metalman gives no token, or nobody signs.
    pub async fn joins(&self, agent: Agent) -> Result<Credential> {
        let token = self.token().await?;
        let user = json!({ "token": token });
        let asks = client(&agent, &user).await?;
        let key = KeyPair::generate()?;
        let request = request(&agent.machine_name, &key)?;
        let requests = Api::<CertificateSigningRequest>::all(asks);
        let created = requests.create(&PostParams::default(), &request).await?;
        let name = created.metadata.name.context("a request has a name")?;
        let certificate = eventually(PATIENCE, async || {
            let status = requests.get(&name).await?.status.unwrap_or_default();
            status.certificate.with_context(|| format!("not signed: {:?}", status.conditions))
        });
        let user = json!({
            "client-certificate-data": STANDARD.encode(certificate.await?.0),
            "client-key-data": STANDARD.encode(pem("PRIVATE KEY", &key.serialize_der())),
        });
        Ok(Credential { client: client(&agent, &user).await?, agent })
    }

    /// What the kubelet does: registers the Node, and says that it is ready.
    ///
    /// # Errors
    ///
    /// Those of the API server.
    pub async fn is_ready(&self, credential: &Credential) -> Result<()> {
        let Credential { client, agent } = credential;
        let kubelet = Kubelet {
            labels: agent.kubelet.labels.clone(),
            taints: agent.kubelet.register_with_taints.clone().unwrap_or_default(),
            ..Kubelet::new(&*agent.machine_name, self.address.into())
        };
        kubelet.report(client).await
    }

    async fn token(&self) -> Result<String> {
        let answer = self.http.post(self.url("attest")).body(self.tpm.body()).send().await?;
        let (status, body) = (answer.status(), answer.text().await?);
        ensure!(status == StatusCode::OK, "no token: {status}: {body}");
        let answer: Response = serde_json::from_str(&body)?;
        let token = self.tpm.open(&answer).ok().context("it is for another TPM")?;
        Ok(String::from_utf8(token)?)
    }

    /// Tells metalman how far cloud-init is.
    async fn tell(&self, name: &str, kind: &str, result: &str) -> Result<()> {
        let event = json!({ "name": name, "event_type": kind, "result": result });
        let post = self.http.post(self.url("cloudinit/log")).body(event.to_string());
        post.send().await?.error_for_status()?;
        Ok(())
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.metalman)
    }

    async fn text(&self, url: &str) -> Result<String> {
        Ok(self.http.get(url).send().await?.error_for_status()?.text().await?)
    }
}

/// A client of the API server, as this user.
async fn client(agent: &Agent, user: &Value) -> Result<Client> {
    let (server, authority) = (&agent.kubelet.api_server, &agent.cluster.ca_cert_base64);
    let config: Kubeconfig = serde_json::from_value(json!({
        "clusters": [{
            "name": "it",
            "cluster": { "server": server, "certificate-authority-data": authority },
        }],
        "users": [{ "name": "it", "user": user }],
        "contexts": [{ "name": "it", "context": { "cluster": "it", "user": "it" } }],
        "current-context": "it",
    }))?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// The request for a certificate of this node, as a kubelet makes it.
fn request(node: &str, key: &KeyPair) -> Result<CertificateSigningRequest> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
    params.distinguished_name.push(DnType::CommonName, format!("system:node:{node}"));
    let pem = pem("CERTIFICATE REQUEST", params.serialize_request(key)?.der());
    Ok(serde_json::from_value(json!({
        "metadata": { "generateName": format!("{node}-") },
        "spec": {
            "signerName": SIGNER,
            "usages": ["digital signature", "client auth"],
            "request": STANDARD.encode(pem),
        },
    }))?)
}

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der))
}
