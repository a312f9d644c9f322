//! Reads an object from a watch, or says which of its fields cannot be parsed or is too large.
//! kube's own guard reports what is wrong, but not where.

use crate::metered::Budget;
use k8s_openapi::{NamespaceResourceScope, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{
    Resource,
    core::{DeserializeGuard, error_boundary::InvalidObject},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use std::{any::TypeId, borrow::Cow};

/// Longest message about an unreadable object, in bytes.
const ERROR: usize = 1024;
/// Memory for one namespaced object: more than the schemas allow. Anybody who may write in a
/// namespace is a tenant.
const OF_A_TENANT: usize = 256 * 1024;
/// Memory for one cluster-scoped object: more than the API server stores.
const OF_THE_CLUSTER: usize = 8 * 1024 * 1024;

/// An object, or the place where it is broken.
#[derive(Clone, Debug)]
pub(crate) struct Located<K>(pub(crate) DeserializeGuard<K>);

impl<'de, K: Resource + DeserializeOwned + 'static> Deserialize<'de> for Located<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let most = most::<K>();
        let budget = Budget::new(most);
        let document = budget.read(from)?;
        let metadata = || {
            let metadata =
                document.get("metadata").ok_or_else(|| D::Error::missing_field("metadata"))?;
            ObjectMeta::deserialize(metadata).map_err(D::Error::custom)
        };
        let object = if let Some(field) = budget.overrun() {
            let error = format!(
                "{field}: the object is larger than {most} bytes and is ignored; make it smaller, \
                 or delete it"
            );
            Err(InvalidObject { error, metadata: identity(metadata()?) })
        } else {
            match serde_path_to_error::deserialize::<_, K>(&document) {
                Ok(object) => Ok(object),
                Err(error) => {
                    Err(InvalidObject { error: excerpt(error.to_string()), metadata: metadata()? })
                }
            }
        };
        Ok(Self(DeserializeGuard(object)))
    }
}

/// The error with only part of the value that it quotes.
fn excerpt(mut error: String) -> String {
    error.truncate(error.floor_char_boundary(ERROR));
    error
}

/// The memory limit for an object of this kind.
fn most<K: Resource + 'static>() -> usize {
    if TypeId::of::<K::Scope>() == TypeId::of::<NamespaceResourceScope>() {
        OF_A_TENANT
    } else {
        OF_THE_CLUSTER
    }
}

/// The part of the metadata that identifies the object.
pub(crate) fn identity(metadata: ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: metadata.name,
        namespace: metadata.namespace,
        uid: metadata.uid,
        resource_version: metadata.resource_version,
        generation: metadata.generation,
        deletion_timestamp: metadata.deletion_timestamp,
        ..ObjectMeta::default()
    }
}

impl<K: Resource> Resource for Located<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &K::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Service;
    use kube::ResourceExt;
    use serde_json::json;

    #[test]
    fn a_field_that_cannot_be_read_is_named_and_costs_only_its_object() {
        let service = |port| {
            let ports = [json!({ "port": 80 }), json!({ "port": port })];
            json!({ "metadata": { "name": "a" }, "spec": { "ports": ports } })
        };
        let list = json!([service(json!(443)), service(json!("https"))]);
        let list: Vec<Located<Service>> = serde_json::from_value(list).unwrap();
        assert_eq!(list[0].0.0.as_ref().unwrap().name_any(), "a");
        let broken = list[1].0.0.as_ref().unwrap_err();
        assert_eq!(broken.metadata.name.as_deref(), Some("a"));
        assert!(broken.error.starts_with("spec.ports[1].port: invalid type"), "{}", broken.error);
    }

    #[test]
    fn an_object_that_is_too_large_to_keep_costs_only_itself() {
        let text = |length| {
            let spec = json!({ "externalName": "x".repeat(length) });
            let labels = json!({ "a": "b" });
            json!({ "metadata": { "labels": labels, "name": "a", "uid": "u" }, "spec": spec })
        };
        let list = json!([text(900_000), text(100_000)]).to_string();
        let list: Vec<Located<Service>> = serde_json::from_str(&list).unwrap();
        let broken = list[0].0.0.as_ref().unwrap_err();
        assert!(broken.error.starts_with("spec.externalName: the object is larger than"));
        assert_eq!(broken.metadata.uid.as_deref(), Some("u"));
        assert_eq!(broken.metadata.labels, None);
        assert!(list[1].0.0.is_ok());
    }

    #[test]
    fn what_is_said_of_a_broken_object_does_not_quote_it_whole() {
        let spec = json!({ "ports": "é".repeat(50_000) });
        let object = json!({ "metadata": { "name": "a" }, "spec": spec }).to_string();
        let Located(DeserializeGuard(object)) =
            serde_json::from_str::<Located<Service>>(&object).unwrap();
        let error = object.unwrap_err().error;
        assert!(error.starts_with("spec.ports: invalid type") && error.len() <= ERROR, "{error}");
    }
}
