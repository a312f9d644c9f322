//! metalman fetches the images of Machines from a registry, and serves them by HTTP.

use anyhow::{Context, Result, ensure};
use e2e::{
    cluster::{Cluster, Process, binary, eventually, unique},
    stack::{OciRegistry, Overlay, ReservedAddress},
};
use kube::{
    Api,
    api::{Patch, PatchParams, PostParams},
};
use metal_api::{Machine, MachineLease, MachinePxe, MachineSpec};
use metal_image::testing::archive;
use metal_runtime::client::install_crypto_provider;
use reqwest::StatusCode;
use serde_json::json;
use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};
use tokio::process::Command;

const PATIENCE: Duration = Duration::from_mins(3);
const NAMESPACE: &str = "unbounded-kube";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const LABEL: &str = "unbounded-cloud.io/site";
const APISERVER: &str = "https://api.example:6443";
const GRUB: &str = "{{ if le .Machine.Spec.Operations.RepaveCounter .Machine.Status.Operations.RepaveCounter }}boot\
                    {{ else }}install {{ .ServeURL }} {{ .ApiserverURL }}{{ end }}";

#[tokio::test]
async fn an_image_is_served_to_its_machine_and_installs_only_when_asked() {
    let mut lab = Lab::start(Ipv4Addr::new(127, 13, 0, 2), 100).await.unwrap();
    lab.image_is("True", "Pulled").await.unwrap();
    assert_eq!(lab.get("/shimx64.efi").await.unwrap(), (StatusCode::OK, "loader".to_owned()));
    assert_eq!(lab.get("/grub/grub.cfg").await.unwrap().1, "boot");
    assert_eq!(lab.get("/disk.img.gz").await.unwrap().0, StatusCode::FORBIDDEN);

    let asked = json!({ "spec": { "operations": { "repaveCounter": 1 } } });
    lab.machines.patch(&lab.name, &PatchParams::default(), &Patch::Merge(asked)).await.unwrap();
    let url = eventually(PATIENCE, async || {
        let (_, grub) = lab.get("/grub/grub.cfg").await?;
        let words: Vec<_> = grub.split(' ').map(str::to_owned).collect();
        ensure!(words.len() == 3 && words[0] == "install" && words[2] == APISERVER, "{grub}");
        Ok(words[1].clone())
    });
    let url = url.await.unwrap();
    let path = url.strip_prefix(&format!("http://{}", lab.http)).unwrap().to_owned();
    assert_eq!(lab.get(&format!("{path}/disk.img.gz")).await.unwrap().1.len(), 100);
    // It is killed, and its registry is away: what it has fetched is served all the same.
    lab.kill().await.unwrap();
    lab.registry = None;
    lab.restart().await.unwrap();
    eventually(PATIENCE, async || {
        let (status, body) = lab.get(&format!("{path}/disk.img.gz")).await?;
        ensure!(status == StatusCode::OK && body.len() == 100, "{status} {body}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(lab.get(&format!("{path}/pxe/disable")).await.unwrap().0, StatusCode::OK);
    let machine = lab.machines.get(&lab.name).await.unwrap();
    assert_eq!(machine.status.unwrap().operations.unwrap().repave_counter, Some(1));
    eventually(PATIENCE, async || {
        let (status, _) = lab.get(&format!("{path}/disk.img.gz")).await?;
        ensure!(status == StatusCode::FORBIDDEN, "{status}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(lab.get("/grub/grub.cfg").await.unwrap().1, "boot");
    lab.end().await.unwrap();
}

#[tokio::test]
async fn an_image_that_was_cut_off_by_a_kill_is_fetched_again_and_whole() {
    const SIZE: usize = 48 << 20;
    let mut lab = Lab::start(Ipv4Addr::new(127, 13, 0, 3), SIZE).await.unwrap();
    let (images, layers) = (lab.cache.join("images"), lab.cache.join("layers"));
    eventually(PATIENCE, async || {
        let files = [&images, &layers].map(|dir| fs::read_dir(dir).into_iter().flatten().count());
        // A lock is there from the beginning.
        ensure!(files[0] > 0 || files[1] > 1, "nothing is being fetched");
        Ok(())
    })
    .await
    .unwrap();
    lab.kill().await.unwrap();
    lab.restart().await.unwrap();
    lab.image_is("True", "Pulled").await.unwrap();
    let left: Vec<_> = fs::read_dir(&images).unwrap().map(|it| it.unwrap().path()).collect();
    assert!(!left.iter().any(|path| path.extension().is_some_and(|it| it == "part")), "{left:?}");
    let asked = json!({ "spec": { "operations": { "repaveCounter": 1 } } });
    lab.machines.patch(&lab.name, &PatchParams::default(), &Patch::Merge(asked)).await.unwrap();
    let body = eventually(PATIENCE, async || {
        let (_, grub) = lab.get("/grub/grub.cfg").await?;
        let url = grub.split(' ').nth(1).context(grub.clone())?.to_owned();
        let path = url.strip_prefix(&format!("http://{}", lab.http)).context("our URL")?;
        Ok(lab.get(&format!("{path}/disk.img.gz")).await?.1)
    });
    assert!(body.await.unwrap() == disk(SIZE));
    lab.end().await.unwrap();
}

/// Content of numbered blocks of numbered words, so that none of it is like another part. Only the
/// first block is formatted, which takes unoptimized binaries long.
fn disk(size: usize) -> String {
    let words = (0..8191_u32).map(|word| format!("{word:08x}"));
    let words: String = words.collect();
    let mut text = String::new();
    let mut blocks = 0_u32..;
    while text.len() < size {
        text.extend(blocks.next().map(|block| format!("{block:08x}")));
        text.push_str(&words);
    }
    text.truncate(size);
    text
}

/// A metalman of a site of its own, with one Machine and a registry that has its image.
struct Lab {
    cluster: &'static Cluster,
    registry: Option<OciRegistry>,
    machines: Api<Machine>,
    name: String,
    address: Ipv4Addr,
    site: String,
    cache: PathBuf,
    http: SocketAddr,
    health: SocketAddr,
    process: Option<Process>,
}

impl Lab {
    async fn start(address: Ipv4Addr, bytes: usize) -> Result<Self> {
        install_crypto_provider();
        let cluster = Cluster::shared().await?;
        Overlay::install("metalman", cluster).await?;
        let (site, name, host) = (unique("site"), unique("node"), ReservedAddress::reserve(&[])?);
        let folder = cluster.scratch().join(&site);
        fs::create_dir_all(&folder)?;
        let registry = OciRegistry::start(&folder).await?;
        let disk = disk(bytes);
        let image = archive(&[
            ("disk/metadata.yaml", b"dhcpBootImageName: shimx64.efi\n"),
            ("disk/shimx64.efi", b"loader"),
            ("disk/grub/grub.cfg.tmpl", GRUB.as_bytes()),
            ("disk/disk.img.gz", disk.as_bytes()),
        ]);
        registry.push("os:1", &[(LAYER, image.as_slice())]).await?;
        let lease = MachineLease {
            ipv4: address.to_string(),
            mac: format!("02:13:00:00:00:{:02x}", address.octets()[3]),
            subnet_mask: "255.0.0.0".to_owned(),
            ..MachineLease::default()
        };
        let image = registry.image("os:1");
        let pxe = MachinePxe { image, dhcp_leases: vec![lease], ..MachinePxe::default() };
        let spec = MachineSpec { pxe: Some(pxe), ..MachineSpec::default() };
        let mut machine = Machine::new(&name, spec);
        machine.metadata.labels = Some([(LABEL.to_owned(), site.clone())].into());
        let machines = Api::all(cluster.client().await?);
        machines.create(&PostParams::default(), &machine).await?;
        let (cache, http, health) = (folder.join("cache"), host.spare()?, host.spare()?);
        let (registry, process) = (Some(registry), None);
        let mut lab =
            Self { cluster, registry, machines, name, address, site, cache, http, health, process };
        lab.restart().await?;
        Ok(lab)
    }

    async fn restart(&mut self) -> Result<()> {
        let account = self.cluster.service_account_kubeconfig(NAMESPACE, "metalman-controller");
        let mut command = Command::new(binary("metalman").await?);
        command.arg("serve-pxe").arg(format!("--site={}", self.site)).stdin(Stdio::null());
        command.arg(format!("--kubeconfig={}", account.await?.display())).env_remove("POD_NAME");
        command
            .arg(format!("--bind-address={}", self.http.ip()))
            .args(["--dhcp-port=0", "--tftp-port=0"]);
        command.arg(format!("--http-port={}", self.http.port()));
        command.arg(format!("--health-port={}", self.health.port()));
        command.arg(format!("--cache-dir={}", self.cache.display()));
        command.args(["--cluster-dns=10.96.0.10", "--apiserver-url", APISERVER]);
        let log = self.cluster.scratch().join(format!("{}.log", unique(&self.site)));
        let mut process = Process::start(&mut command, log)?;
        process.ready(self.health, PATIENCE).await?;
        self.process = Some(process);
        Ok(())
    }

    async fn kill(&mut self) -> Result<()> {
        self.process.take().context("it runs")?.kill().await
    }

    async fn end(mut self) -> Result<()> {
        let process = self.process.take().context("it runs")?;
        let printed = process.printed()?;
        ensure!(!printed.contains("is forbidden"), "{printed}");
        process.terminate(PATIENCE).await.context(printed)
    }

    /// Waits until the Machine says that of its image.
    async fn image_is(&self, status: &str, reason: &str) -> Result<()> {
        eventually(PATIENCE, async || {
            let machine = self.machines.get(&self.name).await?;
            let conditions = machine.status.unwrap_or_default().conditions;
            let told = conditions.iter().find(|it| it.type_ == "ImageReady");
            let is_so = told.is_some_and(|it| it.status == status && it.reason == reason);
            ensure!(is_so, "{told:?}");
            Ok(())
        })
        .await
    }

    /// What the machine gets.
    async fn get(&self, path: &str) -> Result<(StatusCode, String)> {
        let http = reqwest::Client::builder().local_address(IpAddr::V4(self.address)).build()?;
        let url = format!("http://{}{path}", self.http);
        let answer = http.get(url).timeout(PATIENCE).send().await?;
        Ok((answer.status(), answer.text().await?))
    }
}
