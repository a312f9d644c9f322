//! hosts, and one machine with real firmware on the link of its provider.
//!
//! ```text
//!   BMC of the simulator: the panel of a provider, which nobody of ours knows
//!     └── QEMU with a TPM ── tap0 ── br0 10.77.0.1/24: netboot (DHCP, TFTP), hosts
//! ```

use crate::{
    image::AUTHORITY,
    inside::netboot_image,
    keys,
    logs::tail,
    network::{ADDRESS, TFTP, bridge, netboot, on_the_link_from},
};
use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{Cluster, Process, binary, eventually, workspace},
    namespace::script,
    stack::{OciRegistry, Operator, Overlay, ReservedAddress, run_plugin},
};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use metal_api::{BootToken, BootTokenPhase, Host, HostRelease, HostReleaseSpec};
use metal_image::testing::archive;
use metal_simulator::{Config, Profile, Reset, Simulator, Transport, Trust, Vm};
use serde_json::{Value, json};
use std::{fs, net::SocketAddr, path::PathBuf, process::Stdio, time::Duration};
use tempfile::TempDir;
use tokio::process::Command;

/// The image of the system that is installed, as the bootc of the disk image says it.
pub(super) const BASE: &str =
    "registry.example/base@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

const NAMESPACE: &str = "bloomery-hosts";
const PORT: u16 = 8444;
const NAME: &str = "web-1";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// How long a step may take: without KVM, on a busy machine.
const LIMIT: Duration = Duration::from_mins(10);

/// How machines reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scheme {
    /// With Debian's iPXE.
    Http,
    /// With the next Debian's iPXE, and an authority that is enrolled in the firmware.
    Https,
}

impl Scheme {
    /// URL of the server.
    fn url(self) -> String {
        let scheme = match self {
            Self::Http => "http",
            Self::Https => "https",
        };
        format!("{scheme}://{}", service())
    }

    /// Whom the firmware trusts.
    fn trust(self) -> Result<Trust> {
        let authority = match self {
            Self::Http => None,
            Self::Https => Some(fs::read(authority("der"))?),
        };
        Ok(Trust { authority, signer: None })
    }

    /// Folder of iPXE.
    fn ipxe(self) -> Result<PathBuf> {
        match self {
            Self::Http => Ok(TFTP.into()),
            Self::Https => Ok(script("e2e/tests/firmware/newer-ipxe.sh")?.into()),
        }
    }

    /// The flags for the listener of hosts.
    async fn listener(self, cluster: &Cluster) -> Result<Vec<String>> {
        let at = service();
        if self == Self::Http {
            return Ok(vec![format!("--http-server-address={at}")]);
        }
        let mounted = mounted(cluster).await?;
        let file = |name| mounted.join(name).display().to_string();
        Ok(vec![
            format!("--https-server-address={at}"),
            format!("--https-certificate-file={}", file("tls.crt")),
            format!("--https-key-file={}", file("tls.key")),
        ])
    }
}

/// Path of a file of the authority that the image trusts.
fn authority(kind: &str) -> PathBuf {
    netboot_image().join(AUTHORITY).with_extension(kind)
}

/// All of it.
pub(super) struct Lab {
    scheme: Scheme,
    cluster: Cluster,
    client: Client,
    /// Namespace of the organization.
    org: String,
    hosts: Process,
    registry: OciRegistry,
    /// With its digest.
    image: String,
    simulator: Simulator,
    vm: Vm,
    netboot: Option<Operator>,
    folder: TempDir,
}

impl Lab {
    /// Starts all of it but the DHCP server. The machine is off, and its disk is empty.
    pub(super) async fn start(scheme: Scheme) -> Self {
        Self::try_start(scheme).await.unwrap()
    }

    async fn try_start(scheme: Scheme) -> Result<Self> {
        bridge()?;
        let folder = tempfile::tempdir()?;
        let vm = Vm {
            memory: 768,
            has_tpm: true,
            keeps_variables: true,
            trust: scheme.trust()?,
            ..Vm::new(folder.path().join("0"), "tap0")
        };
        let profile = Profile { transport: Transport::Https, ..Profile::default() };
        let config = Config { vms: [(0, vm.clone())].into(), profile, ..Config::default() };
        let simulator = Simulator::start(config).await?;
        let cluster = Cluster::start().await?;
        cluster.apply(&Overlay::build("hosts").await?.yaml).await?;
        cluster.established().await?;
        let registry = OciRegistry::start(&cluster.scratch()).await?;
        let image = push_image(&registry).await?;
        let hosts = hosts(&cluster, &registry, scheme).await?;
        let (client, org) = (cluster.client().await?, cluster.namespace().await?);
        Ok(Self {
            scheme,
            cluster,
            client,
            org,
            hosts,
            registry,
            image,
            simulator,
            vm,
            netboot: None,
            folder,
        })
    }

    /// A person makes a token, and gives its URL to the provider's DHCP server.
    pub(super) async fn gets_its_url(&mut self) {
        let made = self.try_gets_its_url().await;
        self.netboot = Some(self.told(made));
    }

    async fn try_gets_its_url(&self) -> Result<Operator> {
        let (target, image) = (self.host(), format!("--image={}", self.image));
        let server = format!("--server={}", self.scheme.url());
        let words = ["ipxe-tokens", "create", &target, "--disk-image", &image, &server];
        let url = self.plugin(&words).await?.trim().to_owned();
        let boot = format!("uefi: snponly.efi, ipxe: '{url}'");
        let config = on_the_link_from(&boot, &self.scheme.ipxe()?);
        netboot(self.folder.path(), &config).await
    }

    /// Has the machine boot from the network once, as a provider's panel does. From then on its firmware
    /// decides, whose variables the installer writes.
    pub(super) async fn switch_on(&self) {
        let boot = json!({
            "BootSourceOverrideEnabled": "Once",
            "BootSourceOverrideTarget": "Pxe",
            "BootSourceOverrideMode": "UEFI",
        });
        let url = format!("https://{}/redfish/v1/Systems/1", self.simulator.bmc(0).unwrap());
        let http = reqwest::Client::builder().no_proxy().danger_accept_invalid_certs(true);
        let patch = http.build().unwrap().patch(url).basic_auth("foo", Some("bar"));
        let answer = patch.json(&json!({ "Boot": boot })).send().await.unwrap();
        answer.error_for_status().unwrap();
        self.simulator.reset(0, Reset::On).unwrap();
    }

    /// Waits until the token is that far, or further.
    pub(super) async fn token_is(&self, phase: BootTokenPhase) {
        const ORDER: [BootTokenPhase; 5] = [
            BootTokenPhase::Issued,
            BootTokenPhase::Fetched,
            BootTokenPhase::Installing,
            BootTokenPhase::Installed,
            BootTokenPhase::Consumed,
        ];
        let place = |phase| ORDER.iter().position(|it| *it == phase);
        let tokens = Api::<BootToken>::namespaced(self.client.clone(), &self.org);
        let is = eventually(LIMIT, async || {
            let all = tokens.list(&ListParams::default()).await?.items;
            let status = all.first().and_then(|it| it.status.clone()).unwrap_or_default();
            let is_there = status.phase.and_then(place) >= place(phase);
            ensure!(is_there, "the token is not {phase:?}: {status:?}");
            Ok(())
        });
        self.told(is.await);
    }

    /// Waits until the Host says that it runs this image, and this release.
    pub(super) async fn runs(&self, image: &str, release: Option<&str>) {
        let is = eventually(LIMIT, async || {
            let status = self.hosts().get(NAME).await?.status.unwrap_or_default();
            let found = (status.running_image.as_deref(), status.running_release.as_deref());
            ensure!(found == (Some(image), release), "{found:?}");
            Ok(())
        });
        self.told(is.await);
    }

    /// Pushes an image to run, which has nothing in it: the bootc of the machine does not fetch it. Returns
    /// its name with its digest.
    pub(super) async fn push(&self, name: &str) -> String {
        let layer = archive(&[("etc/name", name.as_bytes())]);
        let name = format!("{name}:1");
        let pushed = self.registry.push_annotated(&name, &json!({}), &[(LAYER, &layer)]).await;
        self.told(pushed)
    }

    /// Makes a release and activates it.
    pub(super) async fn activate(&self, version: &str, image: &str) {
        let name = format!("{NAME}-{version}");
        let (host_name, image) = (NAME.to_owned(), image.to_owned());
        let spec = HostReleaseSpec { host_name, image, configuration: None };
        let releases = Api::<HostRelease>::namespaced(self.client.clone(), &self.org);
        let created = releases.create(&PostParams::default(), &HostRelease::new(&name, spec)).await;
        self.told(created.map_err(Into::into));
        let patch = Patch::Merge(json!({ "spec": { "activeRelease": name } }));
        let patched = self.hosts().patch(NAME, &PatchParams::default(), &patch).await;
        self.told(patched.map_err(Into::into));
    }

    /// Waits until the Host says this of a release.
    pub(super) async fn says(&self, version: &str, reason: &str) {
        let said = eventually(LIMIT, async || {
            let status = self.hosts().get(NAME).await?.status.unwrap_or_default();
            let condition = status.conditions.iter().find(|it| it.type_ == "ReleaseActive");
            let of = format!("{NAME}-{version}");
            let says =
                condition.is_some_and(|it| it.reason == reason && it.message.starts_with(&of));
            ensure!(says, "{condition:?}");
            Ok(())
        });
        self.told(said.await);
    }

    fn hosts(&self) -> Api<Host> {
        Api::namespaced(self.client.clone(), &self.org)
    }

    fn host(&self) -> String {
        format!("{}/{NAME}", self.org)
    }

    async fn plugin(&self, words: &[&str]) -> Result<String> {
        let printed = run_plugin(&self.cluster, words, "").await?;
        ensure!(printed.code == Some(0), "kubectl metal {}: {}", words.join(" "), printed.err);
        Ok(printed.out)
    }

    /// Output of the machine since it exists.
    pub(super) fn console(&self) -> String {
        let old = self.vm.console().with_extension("log.old");
        let read = |path| fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&[read(old), read(self.vm.console())].concat()).into_owned()
    }

    /// Unwraps a result, with everything that could explain an error.
    #[expect(clippy::panic, reason = "a test fails by panicking")]
    fn told<T>(&self, result: Result<T>) -> T {
        result.unwrap_or_else(|error| {
            let netboot = self.netboot.as_ref().and_then(|it| it.printed().ok());
            let logs = [
                ("console", self.console()),
                ("netboot", netboot.unwrap_or_default()),
                ("hosts", self.hosts.printed().unwrap_or_default()),
            ];
            let logs = logs.map(|(name, log)| format!("== {name}\n{}", tail(&log)));
            panic!("{error:#}\n{}\n{:#?}", logs.join("\n"), self.simulator.machine(0));
        })
    }

    /// Ends it, as Kubernetes does; it was refused nothing.
    pub(super) async fn end(self) {
        let printed = self.hosts.printed().unwrap();
        assert!(!printed.contains("orbidden"), "{printed}");
        self.hosts.terminate(LIMIT).await.unwrap();
        drop(self.cluster);
    }
}

fn service() -> SocketAddr {
    (ADDRESS, PORT).into()
}

/// Pushes the image that machines are installed from; returns its name with its digest.
async fn push_image(registry: &OciRegistry) -> Result<String> {
    let mut command = Command::new(workspace().join("hack/netboot-image"));
    command.arg("push-hosts").arg(netboot_image()).arg(registry.image("base:1"));
    command.arg("--plain-http").stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.trim());
    let printed = String::from_utf8(output.stdout)? + &said;
    let digest = printed.split_whitespace().find_map(|word| word.split_once("sha256:"));
    let digest = digest.map(|(_, digits)| digits).context("it prints no digest")?;
    Ok(format!("{}@sha256:{digest}", registry.image("base")))
}

/// Starts the server, and waits until it answers.
async fn hosts(cluster: &Cluster, registry: &OciRegistry, scheme: Scheme) -> Result<Process> {
    metal_runtime::client::install_crypto_provider();
    let account = cluster.service_account_kubeconfig(NAMESPACE, "hosts").await?;
    let health = ReservedAddress::reserve(&[])?.spare()?;
    let mut command = Command::new(binary("hosts").await?);
    command.arg(format!("--kubeconfig={}", account.display())).env_remove("POD_NAME");
    command.arg(format!("--service-url={}", scheme.url())).stdin(Stdio::null());
    command.args(scheme.listener(cluster).await?);
    command.arg(format!("--health-probe-bind-address={health}")).arg("--metrics-bind-address=0");
    command.arg(format!("--image-cache-dir={}", cluster.scratch().join("layers").display()));
    command.arg(format!("--allowed-registries={}", registry.address()));
    let mut process = Process::start(&mut command, cluster.scratch().join("hosts.log"))?;
    let trusted = reqwest::Certificate::from_pem(&fs::read(authority("pem"))?)?;
    let http = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]).build()?;
    let ready = eventually(LIMIT, async || {
        let nonce = http.get(format!("{}/api/hosts/nonce", scheme.url())).send().await?;
        let nonce: Value = nonce.json().await?;
        ensure!(nonce["nonce"].is_string(), "it has no key yet");
        Ok(())
    });
    let ready = ready.await;
    process.check()?;
    ready.with_context(|| process.printed().unwrap_or_default())?;
    Ok(process)
}

/// The certificate as a Secret, and its files as a kubelet mounts them.
async fn mounted(cluster: &Cluster) -> Result<PathBuf> {
    let (made, mount) = (cluster.scratch().join("certificate"), cluster.scratch().join("tls"));
    fs::create_dir_all(&made)?;
    fs::create_dir_all(&mount)?;
    keys::server(&netboot_image(), AUTHORITY, ADDRESS.into(), &made)?;
    let read = |name: &str| fs::read_to_string(made.join(name));
    let mut secret = Secret { type_: Some("kubernetes.io/tls".to_owned()), ..Secret::default() };
    secret.metadata.name = Some("hosts-tls".to_owned());
    let files = [("tls.crt", read("server.pem")?), ("tls.key", read("server.key")?)];
    secret.string_data = Some(files.map(|(name, text)| (name.to_owned(), text)).into());
    let secrets = Api::<Secret>::namespaced(cluster.client().await?, NAMESPACE);
    let created = secrets.create(&PostParams::default(), &secret).await?;
    for (name, content) in created.data.unwrap_or_default() {
        fs::write(mount.join(name), content.0)?;
    }
    Ok(mount)
}
