//! Every committed document is valid, in every field.

use anyhow::{Context, Result};
use e2e::cluster::{Cluster, eventually, workspace};
use k8s_openapi::{
    api::core::v1::Namespace,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, ObjectMeta, PostParams},
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

#[tokio::test]
async fn every_kind_is_established_without_a_warning_and_has_a_sample() {
    let cluster = Cluster::shared().await.unwrap();
    let crds = Api::<CustomResourceDefinition>::all(cluster.client().await.unwrap());
    let crds = crds.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(crds.len(), files(&workspace().join("bases/crd")).len());
    for crd in &crds {
        let conditions = crd.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let good = |type_: &str| matches!(type_, "Established" | "NamesAccepted");
        let wrong: Vec<_> = conditions
            .filter(|condition| good(&condition.type_) != (condition.status == "True"))
            .map(|condition| (&condition.type_, &condition.message))
            .collect();
        assert!(wrong.is_empty(), "{}: {wrong:?}", crd.name_any());
    }
    let kinds: BTreeSet<_> = crds.into_iter().map(|crd| crd.spec.names.kind).collect();
    let sampled: BTreeSet<_> = samples().iter().map(|(_, sample)| text(sample, "/kind")).collect();
    assert_eq!(sampled, kinds);
}

#[tokio::test]
async fn every_sample_and_every_founding_document_is_applied_strictly() {
    let cluster = Cluster::shared().await.unwrap();
    for (file, document) in samples() {
        if let Some(namespace) = document.pointer("/metadata/namespace").and_then(Value::as_str) {
            ensure_namespace(cluster, namespace).await.unwrap();
        }
        let applied = cluster.apply(&fs::read_to_string(&file).unwrap()).await;
        let name = text(&document, "/metadata/name");
        let applied = applied.with_context(|| file.display().to_string()).unwrap();
        assert!(applied.ends_with(&format!("/{name} serverside-applied")), "{applied}");
    }
}

#[tokio::test]
async fn a_field_that_nobody_knows_is_refused_by_its_path() {
    let cluster = Cluster::shared().await.unwrap();
    let document = "{apiVersion: metal.ironcore.dev/v1alpha1, kind: Endpoint, metadata: {name: odd}, \
                    spec: {macAdress: '00:1a:2b:3c:4d:5e'}}";
    let error = cluster.apply(document).await.unwrap_err().to_string();
    assert!(error.contains(".spec.macAdress: field not declared in schema"), "{error}");
}

/// The samples and the founding documents, with their paths.
pub(crate) fn samples() -> Vec<(PathBuf, Value)> {
    let folder = workspace().join("config/samples");
    let files = [files(&folder), files(&folder.join("documents"))].concat();
    files
        .into_iter()
        .map(|file| {
            let document = fs::read_to_string(&file).unwrap();
            let document = serde_saphyr::from_str(&document);
            let document = document.with_context(|| file.display().to_string()).unwrap();
            (file, document)
        })
        .collect()
}

/// The documents in `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.extension().is_some_and(|end| end == "yaml"))
        .filter(|file| !file.ends_with("kustomization.yaml"))
        .collect();
    files.sort();
    files
}

async fn ensure_namespace(cluster: &Cluster, name: &str) -> Result<()> {
    let namespaces = Api::<Namespace>::all(cluster.client().await?);
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    eventually(Duration::from_mins(2), async || {
        match namespaces.create(&PostParams::default(), &namespace).await {
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            created => Ok(created.map(drop)?),
        }
    })
    .await
}

fn text(document: &Value, path: &str) -> String {
    document.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
}
