//! Applies objects server-side, and takes nothing from anybody by force.

use crate::{MANAGER, output::DryRun};
use anyhow::{Context, Result, anyhow};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, ValidationDirective},
};
use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(30);

/// Applies an object, and returns what the API server made of it.
///
/// # Errors
///
/// If the API server refuses it, or somebody else owns a field that would be changed.
pub(crate) async fn apply(client: &Client, object: &Value, dry_run: DryRun) -> Result<Value> {
    if dry_run == DryRun::Client {
        return Ok(object.clone());
    }
    let mut params = PatchParams::apply(MANAGER);
    params.dry_run = dry_run == DryRun::Server;
    params.field_validation = Some(ValidationDirective::Strict);
    let name = object["metadata"]["name"].as_str().context("an object has a name")?;
    let api = api(client, object)?;
    let applied = timeout(REQUEST, api.patch(name, &params, &Patch::Apply(object))).await;
    match applied.context("the API server does not answer")? {
        Ok(applied) => {
            let mut applied = serde_json::to_value(applied)?;
            if let Some(metadata) = applied["metadata"].as_object_mut() {
                metadata.remove("managedFields");
            }
            Ok(applied)
        }
        Err(kube::Error::Api(refusal)) if refusal.is_conflict() => Err(anyhow!(
            "{}; nothing was taken from it: change these fields there, or delete them there first",
            refusal.message
        )),
        Err(error) => Err(error.into()),
    }
}

/// The resource of an object, in its namespace.
fn api(client: &Client, object: &Value) -> Result<Api<DynamicObject>> {
    let text = |value: &'static str| object[value].as_str().context("an object has a kind");
    let (group, version) = text("apiVersion")?.split_once('/').unwrap_or(("", text("apiVersion")?));
    // The kinds here all have regular plurals.
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("kind")?));
    let client = client.clone();
    Ok(match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    })
}
