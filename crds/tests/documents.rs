//! Every document in `config/samples` conforms to the schema and survives a round trip through
//! Rust.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test may; these are its helpers")]

use metal_api::{
    BiosSettings, BiosSettingsSet, BiosVersion, BiosVersionSet, Bmc, BmcSecret, BmcSettings,
    BmcSettingsSet, BmcUser, BmcVersion, BmcVersionSet, BootToken, DhcpLease, Endpoint, Host,
    HostRelease, HttpBootConfig, IpxeBootConfig, Machine, Server, ServerBootConfiguration,
    ServerClaim, ServerInventory, ServerMaintenance, ServerReadinessRule,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

#[test]
fn every_kind_has_a_sample_and_the_kustomization_lists_it() {
    let dir = samples();
    let kinds: BTreeSet<String> = documents(&dir).iter().map(|(_, doc)| kind(doc)).collect();
    let expected: BTreeSet<String> =
        metal_api::all_crds().into_iter().map(|crd| crd.spec.names.kind).collect();
    assert_eq!(kinds, expected);

    let list = fs::read_to_string(dir.join("kustomization.yaml")).unwrap();
    let list: Value = serde_saphyr::from_str(&list).unwrap();
    let listed: BTreeSet<&str> =
        list["resources"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let files = documents(&dir);
    let names: BTreeSet<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(listed, names);
}

#[test]
fn the_quota_of_a_tenant_counts_kinds_that_there_are() {
    let file = samples().join("../tenant-quota/resource-quota.yaml");
    let quota: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let counted: BTreeSet<&str> =
        quota["spec"]["hard"].as_object().unwrap().keys().map(String::as_str).collect();
    let crds = metal_api::all_crds().into_iter().filter(|crd| crd.spec.scope == "Namespaced");
    let kinds: BTreeSet<String> =
        crds.map(|crd| format!("count/{}.{}", crd.spec.names.plural, crd.spec.group)).collect();
    assert!(counted.iter().all(|name| kinds.contains(*name)), "{counted:?}");
    assert!(counted.contains("count/serverclaims.metal.ironcore.dev"));
}

#[test]
fn a_document_survives_the_way_through_its_type() {
    for (name, doc) in all() {
        assert_eq!(round_trip(&doc), doc, "{name}");
    }
}

#[test]
fn a_document_names_only_fields_of_the_schema_and_all_that_it_requires() {
    let crds = metal_api::all_crds();
    for (name, doc) in all() {
        let crd = crds
            .iter()
            .find(|crd| crd.spec.names.kind == kind(&doc))
            .unwrap_or_else(|| panic!("{name} has an unknown kind"));
        let version = serde_json::to_value(&crd.spec.versions[0]).unwrap();
        let mut wrong = Vec::new();
        compare(&version["schema"]["openAPIV3Schema"], &doc, "", &mut wrong);
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
    }
}

#[test]
fn the_founding_documents_are_all_there() {
    let names: Vec<_> =
        documents(&samples().join("documents")).into_iter().map(|(name, _)| name).collect();
    let expected = [
        "bmc-inline.yaml",
        "bmc.yaml",
        "endpoint.yaml",
        "machine-minimal.yaml",
        "machine-redfish-name.yaml",
        "machine.yaml",
        "server.yaml",
        "serverbootconfiguration.yaml",
    ];
    assert_eq!(names, expected);
}

/// Collects what a strict API server would reject.
fn compare(schema: &Value, value: &Value, path: &str, wrong: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for name in schema["required"].as_array().into_iter().flatten() {
                let name = name.as_str().unwrap();
                if !map.contains_key(name) {
                    wrong.push(format!("{path}.{name} is missing"));
                }
            }
            for (name, value) in map {
                let is_root =
                    path.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name.as_str());
                let known = schema["properties"].get(name).or(schema.get("additionalProperties"));
                match known {
                    Some(schema) => compare(schema, value, &format!("{path}.{name}"), wrong),
                    None if is_root => {}
                    None => wrong.push(format!("{path}.{name} is unknown")),
                }
            }
        }
        Value::Array(list) => {
            for item in list {
                compare(&schema["items"], item, &format!("{path}[]"), wrong);
            }
        }
        leaf => {
            let type_ = match leaf {
                Value::Bool(_) => "boolean",
                Value::Number(_) => "integer",
                _ => "string",
            };
            if schema["type"] != type_ {
                wrong.push(format!("{path} is a {type_}"));
            }
        }
    }
}

fn round_trip(doc: &Value) -> Value {
    let through = match kind(doc).as_str() {
        "BIOSSettings" => through::<BiosSettings>,
        "BIOSSettingsSet" => through::<BiosSettingsSet>,
        "BIOSVersion" => through::<BiosVersion>,
        "BIOSVersionSet" => through::<BiosVersionSet>,
        "BMC" => through::<Bmc>,
        "BMCSecret" => through::<BmcSecret>,
        "BMCSettings" => through::<BmcSettings>,
        "BMCSettingsSet" => through::<BmcSettingsSet>,
        "BMCUser" => through::<BmcUser>,
        "BMCVersion" => through::<BmcVersion>,
        "BMCVersionSet" => through::<BmcVersionSet>,
        "BootToken" => through::<BootToken>,
        "DHCPLease" => through::<DhcpLease>,
        "Endpoint" => through::<Endpoint>,
        "Host" => through::<Host>,
        "HostRelease" => through::<HostRelease>,
        "HTTPBootConfig" => through::<HttpBootConfig>,
        "IPXEBootConfig" => through::<IpxeBootConfig>,
        "Machine" => through::<Machine>,
        "Server" => through::<Server>,
        "ServerBootConfiguration" => through::<ServerBootConfiguration>,
        "ServerClaim" => through::<ServerClaim>,
        "ServerInventory" => through::<ServerInventory>,
        "ServerMaintenance" => through::<ServerMaintenance>,
        "ServerReadinessRule" => through::<ServerReadinessRule>,
        other => panic!("{other} is no kind of ours"),
    };
    through(doc)
}

fn through<K: Serialize + DeserializeOwned>(doc: &Value) -> Value {
    serde_json::to_value(serde_json::from_value::<K>(doc.clone()).unwrap()).unwrap()
}

fn all() -> Vec<(String, Value)> {
    [documents(&samples()), documents(&samples().join("documents"))].concat()
}

/// The documents of a folder by file name, except its kustomization.
fn documents(dir: &Path) -> Vec<(String, Value)> {
    let mut all: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
        .filter(|(name, _)| name != "kustomization.yaml")
        .map(|(name, path)| {
            (name, serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap())
        })
        .collect();
    all.sort_by(|(a, _): &(String, Value), (b, _)| a.cmp(b));
    all
}

fn kind(doc: &Value) -> String {
    doc["kind"].as_str().unwrap().to_owned()
}

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/samples")
}
