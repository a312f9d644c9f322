//! The CustomResourceDefinitions as they are installed.

use crate::{
    BiosSettings, BiosSettingsSet, BiosVersion, BiosVersionSet, Bmc, BmcSecret, BmcSettings,
    BmcSettingsSet, BmcUser, BmcVersion, BmcVersionSet, BootState, BootToken, DhcpLease, Endpoint,
    Host, HostRelease, HttpBootConfig, IpxeBootConfig, Machine, Server, ServerBootConfiguration,
    ServerClaim, ServerInventory, ServerMaintenance, ServerReadinessRule, bounds::bound,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceSubresourceStatus, CustomResourceSubresources, JSON,
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::{CustomResourceExt, Resource};
use serde_json::json;
#[cfg(feature = "crdgen")]
use {kube::ResourceExt, std::collections::BTreeMap};

/// All definitions of this crate, in the order of installation.
pub fn all_crds() -> Vec<CustomResourceDefinition> {
    let mut all = vec![
        Endpoint::crd(),
        Bmc::crd(),
        BmcSecret::crd(),
        BmcUser::crd(),
        Server::crd(),
        ServerBootConfiguration::crd(),
        ServerClaim::crd(),
        ServerReadinessRule::crd(),
        ServerMaintenance::crd(),
        BiosSettings::crd(),
        BiosSettingsSet::crd(),
        BiosVersion::crd(),
        BiosVersionSet::crd(),
        BmcSettings::crd(),
        BmcSettingsSet::crd(),
        BmcVersion::crd(),
        BmcVersionSet::crd(),
        HttpBootConfig::crd(),
        IpxeBootConfig::crd(),
        ServerInventory::crd(),
        DhcpLease::crd(),
        Machine::crd(),
        BootToken::crd(),
        Host::crd(),
        HostRelease::crd(),
    ];
    all.iter_mut().for_each(finish);
    all
}

/// The files of `bases/crd`, by name.
///
/// # Errors
/// A definition cannot be written as YAML.
#[cfg(feature = "crdgen")]
pub fn manifests() -> Result<BTreeMap<String, String>, serde_saphyr::ser::Error> {
    let mut files = BTreeMap::new();
    for crd in all_crds() {
        files.insert(format!("{}.yaml", crd.name_any()), serde_saphyr::to_string(&crd)?);
    }
    let mut list =
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n".to_owned();
    for name in files.keys() {
        list.push_str("  - ");
        list.push_str(name);
        list.push('\n');
    }
    files.insert("kustomization.yaml".to_owned(), list);
    Ok(files)
}

/// Adds the label that `clusterctl move` looks for, and a status to kinds without one; then tidies
/// and bounds the schema.
fn finish(crd: &mut CustomResourceDefinition) {
    let labels = crd.metadata.labels.get_or_insert_default();
    for label in ["clusterctl.cluster.x-k8s.io", "clusterctl.cluster.x-k8s.io/move"] {
        labels.insert(label.to_owned(), String::new());
    }
    for version in &mut crd.spec.versions {
        let status = Some(CustomResourceSubresourceStatus(json!({})));
        version.subresources.get_or_insert(CustomResourceSubresources { status, scale: None });
        let schema = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut());
        if let Some(schema) = schema {
            tidy(schema);
            bound(schema);
            if crd.spec.names.kind == ServerBootConfiguration::kind(&()) {
                pend(schema);
            }
        }
    }
}

/// Makes every boot configuration `Pending` from its creation on, whoever creates it, so that
/// clients waiting for a state always find one, without another write that could be lost.
fn pend(schema: &mut JSONSchemaProps) {
    let status = schema.properties.as_mut().and_then(|all| all.get_mut("status"));
    if let Some(status) = status {
        status.default = Some(JSON(json!({ "state": BootState::Pending.as_str() })));
    }
}

/// Removes what schemars adds for Rust's sake: a nullable field would take `null` where its default
/// belongs, and OpenAPI has no unsigned formats.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.title = None;
    schema.nullable = None;
    schema.format.take_if(|format| format.starts_with("uint"));
    if let Some(words) = &mut schema.enum_ {
        words.retain(|word| !word.0.is_null());
    }
    schema.properties.iter_mut().flatten().for_each(|(_, property)| tidy(property));
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}
