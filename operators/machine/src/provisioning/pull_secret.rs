//! Secrets with logins for registries.

use k8s_openapi::api::core::v1::Secret;
use metal_api::Machine;

/// The only type that is read, so that no other Secret of the namespace is taken for one.
const TYPE: &str = "kubernetes.io/dockerconfigjson";
/// The key of its content.
const KEY: &str = ".dockerconfigjson";

/// Why a Secret cannot be used. Shows nothing of what is in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It is not there.
    #[error("Secret {namespace}/{name} of spec.pxe.imagePullSecrets is missing")]
    Missing {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// It is of another type, or empty.
    #[error(
        "Secret {namespace}/{name} of spec.pxe.imagePullSecrets is not of type {TYPE}: make it with \
         `kubectl create secret docker-registry`"
    )]
    OtherType {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

impl Unusable {
    /// A CamelCase reason from a small fixed set.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "PullSecretMissing",
            Self::OtherType { .. } => "PullSecretUnusable",
        }
    }
}

/// Names of the Secrets that a Machine names, in its order, each once.
pub fn names(machine: &Machine) -> Vec<&str> {
    let references = machine.spec.pxe.iter().flat_map(|pxe| &pxe.image_pull_secrets);
    let mut names: Vec<&str> = vec![];
    for reference in references {
        let name = reference.name.trim();
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// What is in the Secret of this name, if it is there.
///
/// # Errors
///
/// It is missing, or something else.
pub fn content<'a>(
    namespace: &str,
    name: &str,
    found: Option<&'a Secret>,
) -> Result<&'a [u8], Unusable> {
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    let Some(found) = found else { return Err(Unusable::Missing { namespace, name }) };
    let is_one = found.type_.as_deref() == Some(TYPE);
    let content = found.data.as_ref().and_then(|data| data.get(KEY)).filter(|_| is_one);
    content.map(|content| content.0.as_slice()).ok_or(Unusable::OtherType { namespace, name })
}

/// Which version of a Secret it is, without white space: another one after each change, and after it was
/// deleted and made anew.
pub fn version(secret: &Secret) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default().replace(' ', "");
    format!("{}.{}", part(&secret.metadata.uid), part(&secret.metadata.resource_version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use metal_api::{MachinePxe, MachineSecretReference, MachineSpec};

    #[test]
    fn each_secret_is_named_once_and_in_order() {
        let reference = |name: &str| MachineSecretReference { name: name.to_owned() };
        let image_pull_secrets = ["b", "a", "b", "", " a "].map(reference).to_vec();
        let pxe = MachinePxe { image_pull_secrets, ..MachinePxe::default() };
        let mut machine = Machine::new("m", MachineSpec::default());
        assert!(names(&machine).is_empty());
        machine.spec.pxe = Some(pxe);
        assert_eq!(names(&machine), ["b", "a"]);
    }

    #[test]
    fn only_a_secret_of_the_right_type_is_taken_for_one() {
        let secret = |type_: &str, key: &str| Secret {
            type_: Some(type_.to_owned()),
            data: Some([(key.to_owned(), ByteString(b"hunter2".to_vec()))].into()),
            ..Secret::default()
        };
        assert_eq!(content("n", "a", Some(&secret(TYPE, KEY))), Ok(b"hunter2".as_slice()));
        let other = [secret("Opaque", KEY), secret(TYPE, "password"), Secret::default()];
        for other in &other {
            let error = content("n", "a", Some(other)).unwrap_err();
            assert_eq!(error.reason(), "PullSecretUnusable");
            assert!(
                error.to_string().starts_with("Secret n/a of")
                    && !error.to_string().contains("hunter2")
            );
        }
        let error = content("n", "a", None).unwrap_err();
        assert_eq!(error.to_string(), "Secret n/a of spec.pxe.imagePullSecrets is missing");
    }

    #[test]
    fn a_secret_that_was_made_anew_is_another_version() {
        let secret = |uid: &str, version: &str| {
            let mut secret = Secret::default();
            secret.metadata.uid = Some(uid.to_owned());
            secret.metadata.resource_version = Some(version.to_owned());
            super::version(&secret)
        };
        assert_eq!(secret("u", "1"), "u.1");
        assert_ne!(secret("u", "1"), secret("v", "1"));
        assert_ne!(secret("u", "1"), secret("u", "2"));
    }
}
