//! `hack/demo --once`: the whole path, from BMCs that ask for an address to a server that is
//! released; and nothing is left behind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use anyhow::{Result, ensure};
use e2e::{
    cluster::{Process, binary, control_plane, eventually},
    namespace::{run, script},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// How long the demo may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(15);

/// A running demo.
struct Demo {
    folder: PathBuf,
    log: PathBuf,
    process: Process,
    _scratch: TempDir,
}

impl Demo {
    async fn start(flags: &[&str]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let (folder, log) = (scratch.path().join("demo"), scratch.path().join("demo.log"));
        fs::create_dir(&folder).unwrap();
        let binaries = binary("netboot").await.unwrap();
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_demo"));
        command.arg("--folder").arg(&folder).args(flags).stdin(Stdio::null());
        command.arg(format!("--network-flags={}", script("e2e/tests/netboot/needs.sh").unwrap()));
        command.env("BLOOMERY_BIN_DIR", binaries.parent().unwrap());
        let process = Process::start(&mut command, &log).unwrap();
        Self { folder, log, process, _scratch: scratch }
    }

    fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has ended, and returns what it printed.
    async fn ended(mut self) -> String {
        let ended = eventually(LIMIT, async || {
            ensure!(self.process.check().is_err(), "it runs");
            Ok(())
        });
        let ended = ended.await;
        assert!(ended.is_ok(), "{ended:?}: {}", self.printed());
        let status = self.process.check().unwrap_err();
        let printed = self.printed();
        assert!(status.to_string().starts_with("exit status: 0"), "{printed}");
        assert!(!self.folder.exists(), "{} is left", self.folder.display());
        printed
    }
}

/// Runs kubectl in the outer network namespace.
async fn kubectl(kubeconfig: &Path, args: &[&str]) -> Result<String> {
    let kubectl = PathBuf::from(control_plane(&["path"]).await?).join("kubectl");
    run(Command::new(kubectl).arg("--kubeconfig").arg(kubeconfig).args(args))
}

#[tokio::test]
async fn a_machine_is_discovered_claimed_and_given_back_and_then_nothing_is_left() {
    let mut demo = Demo::start(&["--servers=2"]).await;
    let shown = eventually(LIMIT, async || {
        let has_ended = demo.process.check().is_err();
        let is_shown = demo.printed().contains("All of it goes on running");
        ensure!(has_ended || is_shown, "not yet");
        Ok(())
    });
    shown.await.unwrap();
    let runs = demo.process.check();
    assert!(runs.is_ok(), "{runs:?}: {}", demo.printed());
    let kubeconfig = demo.folder.join("kubeconfig");
    let servers = kubectl(&kubeconfig, &["get", "servers"]).await.unwrap();
    assert_eq!(servers.matches("Available").count(), 2, "{servers}");
    let id = demo.process.id().unwrap().to_string();
    run(Command::new("kill").args(["-INT", &id])).unwrap();
    let printed = demo.ended().await;
    for said in [
        " s  control plane is up",
        " s  config/dev is installed: ",
        " s  registry has the images discovery-os:dev and demo-os:1",
        " s  metal-operator, boot-operator and netboot run under their ServiceAccounts",
        "BMC my-bmc-inline Pending: Ready: SecretMissing: ",
        " s  each of them says what it lacks: their machines are not here",
        " s  2 servers are Available",
        " s  claim default/demo holds server compute-",
        " is Reserved and On, and runs demo-os:1 with the ignition of its claim",
        " is off, and Available",
        " s  config/metalman is installed, and metalman runs as it says",
        " s  machine demo-node is installed: its BMC boots it from the network, ",
        " s  demo-node has attested, and has a certificate of its own",
        " s  node demo-node is ready, and so is its machine",
        " s  config/hosts is installed, and hosts runs under its ServiceAccount",
        " s  default/demo-rented has registered a key that it has made itself",
        " s  default/demo-rented runs its release, with a configuration that it alone could read",
    ] {
        assert!(printed.contains(said), "not said: {said}\n{printed}");
    }
    let (path, rest) = printed.split_once("\nAll of it goes on running").unwrap();
    let strange: Vec<_> = path.lines().filter(|line| !is_told(line)).collect();
    assert!(strange.is_empty(), "{strange:#?}");
    assert!(rest.ends_with("and nothing is left.\neverything is ended\n"), "{rest}");
}

/// Whether a line is a step, or about machines and documents.
fn is_told(line: &str) -> bool {
    let step = line.split_once(" s");
    line.is_empty()
        || line.starts_with("           ")
        || step.is_some_and(|(seconds, _)| seconds.trim().parse::<f64>().is_ok())
}
