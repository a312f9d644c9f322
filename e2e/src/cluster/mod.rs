//! A real API server for tests: started by `hack/control-plane`, removed with the test binary.
//!
//! All tests of a binary share one, [`Cluster::shared`], and stay apart by namespaces and by names
//! from [`unique`]. Whatever the tests do, it ends with the process that started it.

mod account;
mod http;
mod outage;
mod process;
mod wait;

pub use http::{http_client, is_ready};
pub use outage::Outage;
pub use process::{Process, binary, ended};
pub use wait::eventually;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use metal_base::Locked;
use metal_runtime::args::ClientArgs;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncWriteExt, process::Command, sync::OnceCell, time::timeout};

/// How long the control plane may take on a busy machine.
const START: Duration = Duration::from_mins(5);
/// How long one command of kubectl may take.
const KUBECTL: Duration = Duration::from_mins(2);
/// How long a custom resource that is established may take to be served.
const SERVED: Duration = Duration::from_mins(2);

static SHARED: OnceCell<Cluster> = OnceCell::const_new();

/// A control plane on loopback.
#[derive(Debug)]
pub struct Cluster {
    folder: PathBuf,
    bin: PathBuf,
    replacement: outage::Replacement,
    /// What was done once, by name.
    done: Mutex<BTreeMap<&'static str, Arc<OnceCell<()>>>>,
}

impl Cluster {
    /// The cluster of this test binary, with our custom resources; started on the first call.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn shared() -> Result<&'static Self> {
        SHARED
            .get_or_try_init(|| async {
                let cluster = Self::start().await?;
                cluster.install().await?;
                Ok(cluster)
            })
            .await
    }

    /// A new, empty cluster, which ends with this process.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn start() -> Result<Self> {
        // Removed by `hack/control-plane`, when it ends the control plane.
        Self::start_in(tempfile::Builder::new().prefix("bloomery-e2e-").tempdir()?.keep()).await
    }

    /// Like [`start`](Self::start), in this folder.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub async fn start_in(folder: PathBuf) -> Result<Self> {
        let owner = std::process::id().to_string();
        let started = control_plane(&["up", utf8(&folder)?, "--owner", &owner]).await;
        started.context("control plane does not start")?;
        let bin = PathBuf::from(control_plane(&["path"]).await?);
        let (replacement, done) = (outage::Replacement::default(), Mutex::default());
        Ok(Self { folder, bin, replacement, done })
    }

    /// Ends the control plane in this folder, also a half-started one, and everything that was
    /// started for it; removes the folder, unless it holds anything else.
    ///
    /// # Errors
    ///
    /// If it does not end.
    pub async fn end(folder: &Path) -> Result<()> {
        let mut down = Command::new(workspace().join("hack/control-plane"));
        // Its own process group: it must finish even if a person presses Ctrl-C meanwhile.
        down.arg("down").arg(folder).process_group(0);
        run(&mut down, "", START).await.map(drop)
    }

    /// Installs the custom resources of `bases/crd`, and waits until they are served.
    ///
    /// # Errors
    ///
    /// If one is refused or not established.
    pub async fn install(&self) -> Result<()> {
        let crds = workspace().join("bases/crd");
        self.kubectl(&["apply", "--server-side", "-k", utf8(&crds)?]).await?;
        self.established().await
    }

    /// Waits until all installed custom resources are served.
    ///
    /// # Errors
    ///
    /// If one is not.
    pub async fn established(&self) -> Result<()> {
        let wait = ["wait", "--for=condition=Established", "--timeout=90s", "crd", "--all"];
        self.kubectl(&wait).await?;
        let names = "jsonpath={.items[*].metadata.name}";
        let names = self.kubectl(&["get", "crd", "-o", names]).await?.replace(' ', ",");
        // The API server tells so before it lists them among its resources, and answers for them.
        let list = ["get", "--all-namespaces", "--ignore-not-found", "-o", "name", &*names];
        eventually(SERVED, async || self.kubectl(&list).await).await.map(drop)
    }

    /// Initialized when what has this name was done; whoever asks meanwhile waits for that.
    pub(crate) fn once(&self, name: &'static str) -> Arc<OnceCell<()>> {
        Arc::clone(self.done.locked().entry(name).or_default())
    }

    /// The folder of the control plane.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder with kubectl.
    pub fn bin(&self) -> &Path {
        &self.bin
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// A folder that is removed with the control plane.
    pub fn scratch(&self) -> PathBuf {
        self.folder.join("scratch")
    }

    /// A client with the administrator's rights. It lives as long as the runtime of the test that
    /// asked, so it is not shared.
    ///
    /// # Errors
    ///
    /// If there is no control plane.
    pub async fn client(&self) -> Result<Client> {
        client(self.kubeconfig()).await
    }

    /// Runs kubectl as the administrator, and returns what it prints.
    ///
    /// # Errors
    ///
    /// If it fails; with its error output.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        self.kubectl_with(args, "").await
    }

    /// Applies YAML documents server-side; unknown fields are an error. The rights that they give count then.
    ///
    /// # Errors
    ///
    /// If one is refused; with kubectl's error output.
    pub async fn apply(&self, documents: &str) -> Result<String> {
        let apply = ["apply", "--server-side", "--validate=strict", "-f", "-"];
        let applied = self.kubectl_with(&apply, documents).await?;
        if documents.contains("RoleBinding\n") {
            self.rights_count().await?;
        }
        Ok(applied)
    }

    /// Creates a namespace, and returns its name.
    ///
    /// # Errors
    ///
    /// Those of the API server.
    pub async fn namespace(&self) -> Result<String> {
        let name = unique("e2e");
        let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
        let namespace = Namespace { metadata, ..Namespace::default() };
        let namespaces = Api::<Namespace>::all(self.client().await?);
        namespaces.create(&PostParams::default(), &namespace).await?;
        Ok(name)
    }

    async fn kubectl_with(&self, args: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new(self.bin.join("kubectl"));
        command.arg("--kubeconfig").arg(self.kubeconfig());
        command.arg("--cache-dir").arg(self.scratch().join("kubectl"));
        run(command.args(args), input, KUBECTL).await
    }
}

/// A name that no other test uses.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{prefix}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Runs `hack/control-plane`, and returns what it prints.
///
/// # Errors
///
/// If it fails; with its error output.
pub async fn control_plane(args: &[&str]) -> Result<String> {
    run(Command::new(workspace().join("hack/control-plane")).args(args), "", START).await
}

async fn client(kubeconfig: PathBuf) -> Result<Client> {
    let args = ClientArgs { kubeconfig: Some(kubeconfig) };
    Ok(metal_runtime::client::connect(&args, "e2e").await?)
}

/// Runs `command` with `input`, and returns what it prints, without the final newline.
async fn run(command: &mut Command, input: &str, limit: Duration) -> Result<String> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    command.kill_on_drop(true).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .with_context(|| format!("{name}: where it is missing, run hack/prepare test"))?;
    let mut stdin = child.stdin.take().context("a child has a standard input")?;
    let talk = async {
        // A child that exits without reading all of it explains itself on standard error.
        stdin.write_all(input.as_bytes()).await.ok();
        drop(stdin);
        child.wait_with_output().await
    };
    let Output { status, stdout, stderr } =
        timeout(limit, talk).await.with_context(|| format!("{name}: silent for {limit:?}"))??;
    ensure!(status.success(), "{name}: {status}: {}", String::from_utf8_lossy(&stderr).trim());
    Ok(String::from_utf8(stdout)?.trim_end().to_owned())
}

fn utf8(path: &Path) -> Result<&str> {
    path.to_str().context("a path of the workspace is text")
}
