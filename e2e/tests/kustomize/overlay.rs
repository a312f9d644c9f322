//! What `kubectl kustomize` makes of an overlay.

use anyhow::{Context, Result, ensure};
use e2e::cluster::{control_plane, workspace};
use serde_json::Value;
use std::path::{Path, PathBuf};
use tokio::process::Command;

/// All of them.
pub(crate) const OVERLAYS: [&str; 3] = ["default", "dev", "production"];

/// The objects of an overlay.
pub(crate) struct Overlay {
    pub(crate) name: &'static str,
    pub(crate) yaml: String,
    objects: Vec<Value>,
}

impl Overlay {
    pub(crate) async fn build(name: &'static str) -> Result<Self> {
        Self::build_folder(name, &workspace().join("config").join(name)).await
    }

    /// That of somebody else.
    pub(crate) async fn build_folder(name: &'static str, folder: &Path) -> Result<Self> {
        let kubectl = PathBuf::from(control_plane(&["path"]).await?).join("kubectl");
        let built = Command::new(kubectl).arg("kustomize").arg(folder).output().await?;
        ensure!(built.status.success(), "{name}: {}", String::from_utf8_lossy(&built.stderr));
        let yaml = String::from_utf8(built.stdout)?;
        let objects =
            yaml.split("\n---\n").map(serde_saphyr::from_str).collect::<Result<_, _>>()?;
        Ok(Self { name, yaml, objects })
    }

    /// The objects of a kind.
    pub(crate) fn of(&self, kind: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// The names of the objects of a kind.
    pub(crate) fn names(&self, kind: &str) -> Vec<&str> {
        self.of(kind).map(name).collect()
    }

    /// One object.
    pub(crate) fn named(&self, kind: &str, wanted: &str) -> Result<&Value> {
        let found = self.of(kind).find(|object| name(object) == wanted);
        found.with_context(|| format!("{}: no {kind} {wanted}", self.name))
    }
}

/// Name of an object, or of anything with a name.
pub(crate) fn name(value: &Value) -> &str {
    let name = value["metadata"]["name"].as_str();
    name.or_else(|| value["name"].as_str()).unwrap_or_default()
}

/// The elements of a list that may be missing.
pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Pod and only container of a Deployment.
pub(crate) fn pod(deployment: &Value) -> (&Value, &Value) {
    let pod = &deployment["spec"]["template"]["spec"];
    (pod, &pod["containers"][0])
}
