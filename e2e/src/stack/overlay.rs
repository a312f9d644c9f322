//! What `kubectl kustomize` prints for an overlay.

use crate::cluster::{Cluster, control_plane, workspace};
use anyhow::{Context, Result, ensure};
use metal_base::Locked;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};
use tokio::{process::Command, sync::OnceCell};

/// The objects of an overlay.
#[derive(Clone, Debug)]
pub struct Overlay {
    /// Its name in messages.
    pub name: &'static str,
    /// The YAML, as it is applied.
    pub yaml: String,
    objects: Vec<Value>,
}

impl Overlay {
    /// The overlay of this name in `config/`, which no test changes: it is built once.
    ///
    /// # Errors
    ///
    /// If kustomize cannot build it.
    pub async fn build(name: &'static str) -> Result<Self> {
        static BUILT: Mutex<BTreeMap<&'static str, Arc<OnceCell<Overlay>>>> =
            Mutex::new(BTreeMap::new());
        let known = Arc::clone(BUILT.locked().entry(name).or_default());
        let folder = workspace().join("config").join(name);
        known.get_or_try_init(|| Self::build_folder(name, &folder)).await.cloned()
    }

    /// Installs the overlay of this name in `config/`, unless it was already installed like this in
    /// the same cluster.
    ///
    /// # Errors
    ///
    /// If kustomize cannot build it, or an object is refused.
    pub async fn install(name: &'static str, cluster: &Cluster) -> Result<()> {
        let done = cluster.once(name);
        let apply = || async move { cluster.apply(&Self::build(name).await?.yaml).await.map(drop) };
        done.get_or_try_init(apply).await.copied()
    }

    /// The overlay in this folder.
    ///
    /// # Errors
    ///
    /// If kustomize cannot build it.
    pub async fn build_folder(name: &'static str, folder: &Path) -> Result<Self> {
        let kubectl = PathBuf::from(control_plane(&["path"]).await?).join("kubectl");
        let mut kustomize = Command::new(kubectl);
        kustomize.arg("kustomize").arg(folder).kill_on_drop(true);
        let built = kustomize.output().await?;
        ensure!(built.status.success(), "{name}: {}", String::from_utf8_lossy(&built.stderr));
        let yaml = String::from_utf8(built.stdout)?;
        let objects =
            yaml.split("\n---\n").map(serde_saphyr::from_str).collect::<Result<_, _>>()?;
        Ok(Self { name, yaml, objects })
    }

    /// The overlay of a site, written to `folder` with these files: in `kustomization`, CONFIG
    /// stands for the path of our `config/` folder.
    ///
    /// # Errors
    ///
    /// If the files cannot be written, or kustomize cannot build it.
    pub async fn of_site(
        name: &'static str,
        folder: &Path,
        text: &str,
        files: &[(&str, &str)],
    ) -> Result<Self> {
        let folder = folder.canonicalize()?;
        let config = workspace().join("config").canonicalize()?;
        // Kustomize rejects absolute paths.
        let up = "../".repeat(folder.components().count() - 1);
        let config = format!("{up}{}", config.strip_prefix("/")?.display());
        fs::write(folder.join("kustomization.yaml"), text.replace("CONFIG", &config))?;
        for (file, content) in files {
            fs::write(folder.join(file), content)?;
        }
        Self::build_folder(name, &folder).await
    }

    /// All objects.
    pub fn all(&self) -> &[Value] {
        &self.objects
    }

    /// The objects of a kind.
    pub fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// The names of the objects of a kind.
    pub fn names(&self, kind: &str) -> Vec<&str> {
        self.of(kind).map(name).collect()
    }

    /// One object.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn named(&self, kind: &str, wanted: &str) -> Result<&Value> {
        let found = self.of(kind).find(|object| name(object) == wanted);
        found.with_context(|| format!("{}: no {kind} {wanted}", self.name))
    }
}

/// Name of an object, or of anything with a name.
pub fn name(value: &Value) -> &str {
    let name = value["metadata"]["name"].as_str();
    name.or_else(|| value["name"].as_str()).unwrap_or_default()
}

/// The elements of a list that may be missing.
pub fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The pod of a Deployment, and its only container.
pub fn pod_of(deployment: &Value) -> (&Value, &Value) {
    let pod = &deployment["spec"]["template"]["spec"];
    (pod, &pod["containers"][0])
}
