//! Each CEL rule refuses what it is meant to, with its own message.

use super::documents::samples;
use e2e::cluster::{Cluster, unique};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    discovery::{self, Scope},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A change to a valid object that one rule refuses; see the fixture.
#[derive(Deserialize)]
struct Case {
    kind: String,
    #[serde(default)]
    given: Value,
    change: Value,
    refusal: String,
}

#[tokio::test]
async fn each_rule_refuses_what_it_is_for() {
    let cluster = Cluster::shared().await.unwrap();
    let client = cluster.client().await.unwrap();
    let mut groups = vec![];
    for group in ["bloomery.dev", "metal.ironcore.dev", "unbounded-cloud.io"] {
        groups.push(discovery::group(&client, group).await.unwrap());
    }
    let mut wrong = Vec::new();
    for Case { kind, given, change, refusal } in cases() {
        let (resource, about) =
            groups.iter().find_map(|group| group.recommended_kind(&kind)).unwrap();
        let api = match about.scope {
            Scope::Cluster => Api::<DynamicObject>::all_with(client.clone(), &resource),
            Scope::Namespaced => Api::default_namespaced_with(client.clone(), &resource),
        };
        let object = api.create(&PostParams::default(), &sample(&kind, &resource, given)).await;
        let object = object.unwrap_or_else(|error| panic!("{kind}, before {refusal}: {error}"));
        let has_spec = object.data.get("spec").is_some();
        let patch = Patch::Merge(if has_spec { json!({ "spec": change }) } else { change });
        match api.patch(&object.name_any(), &PatchParams::default(), &patch).await {
            Err(kube::Error::Api(status)) if status.is_invalid() => {
                if !status.message.contains(&format!(": {refusal}")) {
                    wrong.push(format!("{kind}, {refusal}: refused with {}", status.message));
                }
            }
            Err(error) => wrong.push(format!("{kind}, {refusal}: {error}")),
            Ok(_) => wrong.push(format!("{kind}, {refusal}: taken")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn there_is_a_case_for_each_rule() {
    let cluster = Cluster::shared().await.unwrap();
    let crds = Api::<CustomResourceDefinition>::all(cluster.client().await.unwrap());
    let mut rules = BTreeSet::new();
    for crd in crds.list(&ListParams::default()).await.unwrap() {
        let kind = crd.spec.names.kind.clone();
        let schema = serde_json::to_value(&crd.spec.versions).unwrap();
        collect(&schema, &mut |message| _ = rules.insert((kind.clone(), message.to_owned())));
    }
    let cases = cases().into_iter().map(|case| (case.kind, case.refusal));
    assert_eq!(cases.collect::<BTreeSet<_>>(), rules);
}

/// The messages of all rules in a schema.
fn collect(schema: &Value, found: &mut impl FnMut(&str)) {
    match schema {
        Value::Object(fields) => {
            for rule in fields
                .get("x-kubernetes-validations")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                found(rule["message"].as_str().expect("every rule has a message of its own"));
            }
            fields.values().for_each(|field| collect(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The sample of `kind`, with a unique name and `given` merged into its spec, or into the object
/// itself if the kind has no spec.
fn sample(kind: &str, resource: &ApiResource, given: Value) -> DynamicObject {
    let of_kind = |(_, sample): &(_, Value)| sample["kind"] == kind;
    let (_, mut sample) = samples().into_iter().find(of_kind).unwrap();
    for name in ["apiVersion", "kind", "metadata", "status"] {
        sample.as_object_mut().unwrap().remove(name);
    }
    if !given.is_null() {
        let has_spec = sample.get("spec").is_some();
        merge(if has_spec { &mut sample["spec"] } else { &mut sample }, given);
    }
    let mut object = DynamicObject::new(&unique("rule"), resource);
    object.data = sample;
    object
}

/// RFC 7386.
fn merge(into: &mut Value, patch: Value) {
    match patch {
        Value::Object(fields) => {
            if !into.is_object() {
                *into = json!({});
            }
            for (name, value) in fields {
                if value.is_null() {
                    into.as_object_mut().unwrap().remove(&name);
                } else {
                    merge(&mut into[name], value);
                }
            }
        }
        other => *into = other,
    }
}

fn cases() -> Vec<Case> {
    serde_saphyr::from_str(include_str!("../fixtures/rules.yaml")).unwrap()
}
