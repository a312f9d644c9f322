//! Secrets with logins for registries, as a Machine names them.

use k8s_openapi::api::core::v1::Secret;
use metal_api::Machine;
use metal_core::pull_secret::{self, PullSecret};

/// Names of the Secrets that a Machine names, in its order, each once.
pub fn names(machine: &Machine) -> Vec<&str> {
    let references = machine.spec.pxe.iter().flat_map(|pxe| &pxe.image_pull_secrets);
    pull_secret::names(references.map(|reference| reference.name.as_str()))
}

/// The Secret of this name, as Machines name it.
pub fn named(namespace: &str, name: &str) -> PullSecret {
    let (namespace, name) = (namespace.to_owned(), name.to_owned());
    PullSecret { namespace, name, field: "spec.pxe.imagePullSecrets" }
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
        assert_eq!(named("n", "a").to_string(), "Secret n/a of spec.pxe.imagePullSecrets");
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
