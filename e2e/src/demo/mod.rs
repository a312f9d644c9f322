//! What `hack/demo` shows: the whole stack in a network namespace of its own, and the path of a
//! machine through it. [`run`] must be called in that network namespace.
//!
//! ```text
//!   this machine ──forward──► API server ◄── metal-operator, boot-operator, netboot   (of config/dev)
//!                             registry ◄─────────┘        │ oob    │ boot
//!                                                      ┌──┴────────┴──┐
//!                                                      │  rack: simulator
//! ```

mod control;
mod node;
mod node_vm;
mod operators;
mod path;
mod rack;
mod rented;
mod screen;
mod seen;

pub use crate::forward::{forward, inherited, listen};
pub use screen::Screen;

use crate::{
    cluster::{Cluster, Process, workspace},
    namespace::{Network, ip},
    stack::{INITRD, KERNEL, OciRegistry, Overlay},
};
use anyhow::{Context, Result, bail, ensure};
use control::Control;
use kube::Client;
use operators::Operators;
use rack::Machines;
use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};
use tokio::{
    net::TcpListener,
    process::Command,
    task::JoinSet,
    time::{sleep, timeout_at},
};

/// Name of the registry, which config/dev allows.
const REGISTRY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);
/// How long pushing the images may take.
const PUSH: Duration = Duration::from_mins(5);

/// Settings of the demo.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Working folder; with virtual machines, the discovery image is in `discovery` there, and the netboot image of
    /// the node in `node`.
    pub folder: PathBuf,
    /// Number of servers.
    pub servers: u32,
    /// One of them is a virtual machine, and so is the machine that becomes a node.
    pub vm: bool,
}

/// The running processes. They end when this is dropped.
pub struct Running {
    cluster: Cluster,
    operators: Operators,
    kubeconfig: PathBuf,
    _node: node::Node,
    _rented: rented::Rented,
    _rack: Network,
    _registry: OciRegistry,
    _simulator: Process,
    _forward: JoinSet<()>,
}

struct Demo<'a> {
    settings: &'a Settings,
    screen: &'a Screen,
    cluster: &'a Cluster,
    client: Client,
    operators: Option<&'a Operators>,
    control: Control,
}

/// Folder of the control plane.
pub fn cluster_folder(folder: &Path) -> PathBuf {
    folder.join("cluster")
}

/// Path of the kubeconfig for use from the outer network namespace.
pub fn kubeconfig(folder: &Path) -> PathBuf {
    folder.join("kubeconfig")
}

/// Starts everything, and takes a machine through its life; connections to `listener` are forwarded
/// to the API server.
///
/// # Errors
///
/// If something does not come true in time; with what was last seen.
pub async fn run(settings: &Settings, screen: &Screen, listener: TcpListener) -> Result<Running> {
    ip("link set lo up")?;
    let since = Instant::now();
    let title = "control plane is up";
    let cluster = Cluster::start_in(cluster_folder(&settings.folder));
    let cluster = screen.step(title, cluster).await.context(title)?;
    screen.done(since, title);
    let kubeconfig = kubeconfig(&settings.folder);
    let forward = open_to_the_outside(&cluster, listener, &kubeconfig)?;

    let machines = if settings.vm { Machines::WithVm } else { Machines::Simulated };
    let since = Instant::now();
    let rack = rack::rack(&cluster, machines).await?;
    let networks = "networks are there: 10.77.0.0/16 for BMCs, 10.78.0.0/16 to boot from";
    screen.done(since, networks);
    let overlay = install(&cluster, screen).await?;
    let registry = images(&cluster, settings, screen).await?;

    let client = cluster.client().await?;
    let control = Control::new(path::control())?;
    let mut demo = Demo { settings, screen, cluster: &cluster, client, operators: None, control };
    let since = Instant::now();
    let operators = Operators::start(&cluster, &overlay, machines).await?;
    demo.operators = Some(&operators);
    for operator in operators.iter() {
        let title = format!("{} gets ready", operator.name());
        demo.wait(60, &title, async |_| operator.is_ready().await).await?;
    }
    screen.done(since, "metal-operator, boot-operator and netboot run under their ServiceAccounts");
    demo.documents().await?;
    let simulator = demo.discover(&rack).await?;
    demo.claim_and_release().await?;
    let node = if settings.vm {
        demo.virtual_machine_joins(&registry).await?
    } else {
        demo.machine_joins(&registry).await?
    };
    let rented = demo.server_is_rented(&registry).await?;
    Ok(Running {
        kubeconfig,
        cluster,
        operators,
        _rack: rack,
        _node: node,
        _rented: rented,
        _registry: registry,
        _simulator: simulator,
        _forward: forward,
    })
}

/// Makes the API server reachable on a loopback port of the outer network namespace.
fn open_to_the_outside(
    cluster: &Cluster,
    listener: TcpListener,
    kubeconfig: &Path,
) -> Result<JoinSet<()>> {
    let text = fs::read_to_string(cluster.kubeconfig())?;
    let server = text.lines().find_map(|line| line.trim().strip_prefix("server: https://"));
    let server: SocketAddr = server.context("a kubeconfig names a server")?.parse()?;
    let outside = listener.local_addr()?;
    fs::write(kubeconfig, text.replace(&server.to_string(), &outside.to_string()))?;
    let mut forward = JoinSet::new();
    forward.spawn(crate::forward::forward(listener, server));
    Ok(forward)
}

/// Installs config/dev, with the addresses of the demo.
async fn install(cluster: &Cluster, screen: &Screen) -> Result<Overlay> {
    let since = Instant::now();
    let overlay = Overlay::build_folder("demo", &workspace().join("hack/demo.d/site")).await?;
    let applied = cluster.apply(&overlay.yaml).await.context("config/dev cannot be installed")?;
    cluster.established().await?;
    let number = applied.lines().count();
    screen.done(since, &format!("config/dev is installed: {number} objects"));
    Ok(overlay)
}

/// Starts a registry with the two images that servers boot here. Simulated machines only pretend to
/// execute what they load, so the kernel and the initial RAM disk are a few kilobytes of arbitrary
/// data; a virtual machine gets the real discovery image.
async fn images(cluster: &Cluster, settings: &Settings, screen: &Screen) -> Result<OciRegistry> {
    let since = Instant::now();
    let registry = OciRegistry::start_at(REGISTRY, &cluster.scratch()).await?;
    if settings.vm {
        let mut push = Command::new(workspace().join("hack/discovery-image"));
        push.arg("push").arg(settings.folder.join("discovery"));
        push.arg(registry.image("discovery-os:dev")).arg("--plain-http").kill_on_drop(true);
        let pushed =
            tokio::time::timeout(PUSH, push.output()).await.context("discovery image")??;
        let said = String::from_utf8_lossy(&pushed.stderr);
        ensure!(pushed.status.success(), "the registry does not take the discovery image: {said}");
    } else {
        push(&registry, "discovery-os:dev").await?;
    }
    push(&registry, "demo-os:1").await?;
    screen.done(since, "registry has the images discovery-os:dev and demo-os:1");
    Ok(registry)
}

/// Pushes an image with a kernel and an initial RAM disk, as the only architecture of an index.
async fn push(registry: &OciRegistry, name: &str) -> Result<()> {
    let content = |part: &str| format!("{part} of {name}\n").repeat(2048).into_bytes();
    let (kernel, initrd) = (content("kernel"), content("initramfs"));
    registry.push_index(name, "amd64", &[(KERNEL, &kernel), (INITRD, &initrd)]).await
}

impl Demo<'_> {
    /// Repeats `check` until it succeeds; returns its result, and when waiting began.
    async fn wait<T>(
        &self,
        seconds: u64,
        title: &str,
        mut check: impl AsyncFnMut(Instant) -> Result<T>,
    ) -> Result<(Instant, T)> {
        let since = self.screen.begin();
        let until = since + Duration::from_secs(seconds);
        let mut last = String::new();
        loop {
            match timeout_at(until.into(), check(since)).await {
                Ok(Ok(value)) => {
                    self.screen.erase();
                    return Ok((since, value));
                }
                Ok(Err(error)) => last = format!("; last seen: {error:#}"),
                Err(_) => {}
            }
            if let Some(operators) = self.operators {
                operators.keep_running(self.cluster, self.screen)?;
            }
            if Instant::now() >= until {
                self.screen.erase();
                self.postmortem().await;
                bail!("{title}: not after {:.1} s{last}", since.elapsed().as_secs_f64());
            }
            sleep(path::PAUSE).await;
        }
    }
}

impl Running {
    /// Waits until somebody asks to exit.
    ///
    /// # Errors
    ///
    /// If a process exits on its own.
    pub async fn stay(&self, screen: &Screen) -> Result<()> {
        let bin = self.cluster.bin();
        let path = env::var_os("PATH").unwrap_or_default();
        let has_kubectl = env::split_paths(&path).any(|folder| folder.join("kubectl").is_file());
        let path = if has_kubectl {
            String::new()
        } else {
            format!("\n  export PATH={}:$PATH", bin.display())
        };
        let (kubeconfig, scratch) = (self.kubeconfig.display(), self.cluster.scratch());
        let claim = workspace().join("hack/demo.d/claim.yaml");
        let claim = claim.canonicalize().unwrap_or(claim);
        screen.tell(&format!(
            "
All of it goes on running. In another terminal:

  export KUBECONFIG={kubeconfig}{path}
  kubectl get endpoints.metal.ironcore.dev,bmcs,servers
  kubectl apply --server-side -f {}   # claim a server again
  kubectl get serverclaims,servers --watch
  kubectl delete serverclaim demo

The logs are in {}. Ctrl-C ends everything, and nothing is left.",
            claim.display(),
            scratch.display(),
        ));
        loop {
            self.operators.keep_running(&self.cluster, screen)?;
            sleep(Duration::from_secs(1)).await;
        }
    }
}

/// Ends the control plane and everything that was started for it, and removes the folder, except
/// for the logs if `failed`.
///
/// # Errors
///
/// If something cannot be ended or removed.
pub async fn end(folder: &Path, failed: bool) -> Result<()> {
    let cluster = cluster_folder(folder);
    if failed {
        let logs = folder.join("logs");
        fs::create_dir_all(&logs)?;
        for folder in [&cluster, &cluster.join("scratch")] {
            copy_logs(folder, &logs)?;
        }
    }
    Cluster::end(&cluster).await?;
    if !failed {
        return Ok(fs::remove_dir_all(folder)?);
    }
    let kubeconfig = kubeconfig(folder);
    if kubeconfig.exists() {
        fs::remove_file(kubeconfig)?;
    }
    Ok(())
}

fn copy_logs(from: &Path, to: &Path) -> Result<()> {
    // Missing if it failed before the control plane was started.
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == "log") {
            fs::copy(&path, to.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}
