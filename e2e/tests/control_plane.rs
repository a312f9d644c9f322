//! `hack/control-plane`: several at once, and nothing is left behind.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use anyhow::{Result, ensure};
use e2e::cluster::{Cluster, Process, control_plane, eventually, workspace};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::{
    Api, Resource, ResourceExt,
    api::{ListParams, ObjectMeta, PostParams},
};
use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_mins(3);

#[tokio::test]
async fn several_run_at_once_and_know_nothing_of_each_other() {
    let (one, other) = tokio::join!(Cluster::start(), Cluster::start());
    let (one, other) = (one.unwrap(), other.unwrap());
    let name = one.namespace().await.unwrap();
    let listed = async |cluster: &Cluster| {
        let namespaces = Api::<Namespace>::all(cluster.client().await.unwrap());
        namespaces.get_opt(&name).await.unwrap().is_some()
    };
    assert!(listed(&one).await);
    assert!(!listed(&other).await);
    stop(&one).await;
    assert!(!listed(&other).await, "it outlives the other");
    stop(&other).await;
}

#[tokio::test]
async fn it_ends_with_its_owner_and_leaves_nothing() {
    let (folder, mut owner) = (folder(), idle());
    up(&folder, Some(&owner)).await.unwrap();
    assert!(!processes_of(folder.path()).is_empty());
    owner.kill().unwrap();
    owner.wait().unwrap();
    gone(&folder).await.unwrap();
}

#[tokio::test]
async fn a_start_that_was_killed_half_way_leaves_nothing_once_its_owner_is_gone() {
    let (folder, mut owner) = (folder(), idle());
    let mut start = Command::new(workspace().join("hack/control-plane"));
    start.args([Path::new("up"), folder.path()]).arg("--owner").arg(owner.id().to_string());
    let mut start = start.stdout(Stdio::null()).spawn().unwrap();
    eventually(LIMIT, async || {
        ensure!(fs::exists(folder.path().join("apiserver.pid"))?);
        Ok(())
    })
    .await
    .unwrap();
    start.kill().unwrap();
    start.wait().unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    gone(&folder).await.unwrap();
}

#[tokio::test]
async fn starting_over_what_a_killed_run_left_begins_anew() {
    let folder = folder();
    up(&folder, None).await.unwrap();
    let before = fs::read_to_string(folder.path().join("kubeconfig")).unwrap();
    let old = processes_of(folder.path());
    up(&folder, None).await.unwrap();
    assert_ne!(fs::read_to_string(folder.path().join("kubeconfig")).unwrap(), before);
    assert!(processes_of(folder.path()).iter().all(|process| !old.contains(process)));
    down(folder.path()).await.unwrap();
    gone(&folder).await.unwrap();
}

#[tokio::test]
async fn processes_that_use_it_end_with_it() {
    let cluster = Cluster::start().await.unwrap();
    let mut command = tokio::process::Command::new("tail");
    command.arg("-f").arg(cluster.kubeconfig());
    let mut process = Process::start(&mut command, cluster.scratch().join("user.log")).unwrap();
    process.check().unwrap();
    let id = process.id().unwrap();
    stop(&cluster).await;
    eventually(LIMIT, async || {
        ensure!(process.check().is_err(), "{id} is still there");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_number_that_belongs_to_somebody_else_by_now_is_left_alone() {
    let (folder, mut stranger) = (folder(), idle());
    fs::write(folder.path().join("apiserver.pid"), format!("{}\n", stranger.id())).unwrap();
    down(folder.path()).await.unwrap();
    assert_eq!(stranger.try_wait().unwrap(), None);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn ending_spares_the_files_of_somebody_else() {
    let folder = folder();
    fs::write(folder.path().join("notes"), "mine").unwrap();
    down(folder.path()).await.unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("notes")).unwrap(), "mine");
    down(&folder.path().join("never/was")).await.unwrap();
}

#[tokio::test]
async fn refusals_name_what_is_wrong() {
    let refused = async |args: &[&str]| control_plane(args).await.unwrap_err().to_string();
    let folder = folder();
    let dir = folder.path().to_str().unwrap();
    let text = refused(&["up", dir, "--owner", "0"]).await;
    assert!(text.contains("--owner 0: no such process"), "{text}");
    assert!(refused(&["up"]).await.contains("hack/control-plane up DIR"));

    let mut path = Command::new(workspace().join("hack/control-plane"));
    let output = path.arg("path").env("KUBEBUILDER_ASSETS", dir).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(text.ends_with(": no etcd there\n"), "{text}");
}

#[tokio::test]
async fn dependents_are_collected_and_service_accounts_may_do_what_rbac_says() {
    let cluster = Cluster::start().await.unwrap();
    let namespace = cluster.namespace().await.unwrap();
    let client = cluster.client().await.unwrap();

    let maps = Api::<ConfigMap>::namespaced(client.clone(), &namespace);
    let owner = maps.create(&PostParams::default(), &map("owner", None)).await.unwrap();
    maps.create(&PostParams::default(), &map("owned", Some(&owner))).await.unwrap();
    maps.delete("owner", &kube::api::DeleteParams::default()).await.unwrap();
    eventually(LIMIT, async || {
        ensure!(maps.get_opt("owned").await?.is_none(), "the dependent is still there");
        Ok(())
    })
    .await
    .unwrap();

    let accounts = Api::<ServiceAccount>::namespaced(client, &namespace);
    let metadata = ObjectMeta { name: Some("reader".to_owned()), ..ObjectMeta::default() };
    let account = ServiceAccount { metadata, ..ServiceAccount::default() };
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let reader = cluster.service_account_client(&namespace, "reader").await.unwrap();
    let maps = Api::<ConfigMap>::namespaced(reader, &namespace);
    let refused = maps.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(&refused, kube::Error::Api(status) if status.is_forbidden()), "{refused}");

    let role = ["create", "rolebinding", "reader", "--clusterrole=view", "--namespace", &namespace];
    let bound = format!("--serviceaccount={namespace}:reader");
    cluster.kubectl(&[role.as_slice(), &[&bound]].concat()).await.unwrap();
    eventually(LIMIT, async || Ok(maps.list(&ListParams::default()).await?)).await.unwrap();
    stop(&cluster).await;
}

fn map(name: &str, owner: Option<&ConfigMap>) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map.owner_references_mut().extend(owner.and_then(|owner| owner.owner_ref(&())));
    map
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("bloomery-e2e-").tempdir().unwrap()
}

/// A process that idles.
fn idle() -> Child {
    Command::new("sleep").arg("600").spawn().unwrap()
}

async fn up(folder: &TempDir, owner: Option<&Child>) -> Result<String> {
    let owner = owner.map_or(std::process::id(), Child::id).to_string();
    control_plane(&["up", folder.path().to_str().unwrap(), "--owner", &owner]).await
}

async fn down(folder: &Path) -> Result<String> {
    control_plane(&["down", folder.to_str().unwrap()]).await
}

async fn stop(cluster: &Cluster) {
    let kubeconfig = cluster.kubeconfig();
    down(kubeconfig.parent().unwrap()).await.unwrap();
}

/// Waits until neither the folder nor a process of it is left.
async fn gone(folder: &TempDir) -> Result<()> {
    eventually(LIMIT, async || {
        ensure!(!fs::exists(folder.path())?, "the folder is still there");
        let left = processes_of(folder.path());
        ensure!(left.is_empty(), "still running: {left:?}");
        Ok(())
    })
    .await
}

/// Pids of the processes with a path below `folder` on their command line.
fn processes_of(folder: &Path) -> Vec<u32> {
    let below = format!("{}/", folder.display());
    let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let names_it = |id: &u32| {
        let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(&below)
    };
    numbers.filter(names_it).collect()
}
