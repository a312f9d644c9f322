//! Reads an object of a watch, or says which of its fields cannot be read. kube's own guard knows
//! what is wrong, but not where.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{
    Resource,
    core::{DeserializeGuard, error_boundary::InvalidObject},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::Value;
use std::borrow::Cow;

/// An object, or where it is broken.
#[derive(Clone, Debug)]
pub(crate) struct Located<K>(pub(crate) DeserializeGuard<K>);

impl<'de, K: DeserializeOwned> Deserialize<'de> for Located<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let document = Value::deserialize(from)?;
        let object = match serde_path_to_error::deserialize::<_, K>(&document) {
            Ok(object) => Ok(object),
            Err(error) => {
                let metadata = document.get("metadata").ok_or_else(|| D::Error::custom(&error))?;
                let metadata = ObjectMeta::deserialize(metadata).map_err(D::Error::custom)?;
                Err(InvalidObject { error: error.to_string(), metadata })
            }
        };
        Ok(Self(DeserializeGuard(object)))
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
}
