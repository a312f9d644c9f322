//! Objects that others refer to, and that cannot be parsed. They are there, so nobody has to create them.

use crate::view::View;
use metal_api::Bmc;
use metal_core::bmc::Missing;

/// What keeps a BMC from being accessed, if its Endpoint or its credentials are said to be missing
/// and are not.
pub(crate) fn of_bmc(view: &View, bmc: &Bmc, missing: Missing) -> Missing {
    let endpoint = bmc.spec.endpoint_ref.as_ref().map(|it| &it.name);
    let endpoint = endpoint.filter(|name| view.endpoints.is_withdrawn(None, name));
    match endpoint {
        Some(name) if missing.reason == "EndpointMissing" => Missing {
            reason: "EndpointUnreadable",
            message: message("spec.endpointRef: Endpoint", name),
        },
        _ => of_secret(view, &bmc.spec.bmc_secret_ref.name, missing),
    }
}

/// The same for credentials.
pub(crate) fn of_secret(view: &View, name: &str, missing: Missing) -> Missing {
    if missing.reason != "SecretMissing" || !view.secrets.is_withdrawn(None, name) {
        return missing;
    }
    Missing { reason: "SecretUnreadable", message: message("bmcSecretRef: BMCSecret", name) }
}

/// Why the BMC of a server is not known.
pub(crate) fn no_bmc(view: &View, name: &str) -> String {
    if view.bmcs.is_withdrawn(None, name) {
        return message("spec.bmcRef: BMC", name);
    }
    format!("spec.bmcRef: BMC {name} not found: create it")
}

fn message(what: &str, name: &str) -> String {
    format!("{what} {name} cannot be parsed: correct it; its event Unreadable names the field")
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use kube::{
        Resource,
        api::ObjectMeta,
        core::{DeserializeGuard, error_boundary::InvalidObject},
        runtime::watcher::Event,
    };
    use metal_api::{BmcSpec, LocalObjectReference};
    use metal_core::{bmc::destination, redfish::Scheme};
    use metal_runtime::index::Index;
    use std::hash::Hash;

    #[tokio::test]
    async fn what_is_there_and_cannot_be_read_is_not_said_to_be_missing() {
        let view = View::default();
        let mut bmc = Bmc::new("a", BmcSpec::default());
        bmc.spec.endpoint_ref = Some(LocalObjectReference::new("a"));
        let missing = || destination(&bmc, None, None, Scheme::Https).unwrap_err();
        assert_eq!(of_bmc(&view, &bmc, missing()).reason, "EndpointMissing");
        assert!(no_bmc(&view, "a").contains("not found"));
        spoil(&view.endpoints).await;
        spoil(&view.bmcs).await;
        spoil(&view.secrets).await;
        assert_eq!(of_bmc(&view, &bmc, missing()).reason, "EndpointUnreadable");
        assert!(no_bmc(&view, "a").contains("cannot be parsed"));
        let secret = Missing { reason: "SecretMissing", message: String::new() };
        assert_eq!(of_secret(&view, "b", secret.clone()), secret);
        assert_eq!(of_secret(&view, "a", secret).reason, "SecretUnreadable");
    }

    /// Has an index know that there is an object `a`, and nothing else of it.
    async fn spoil<K, Key>(index: &Index<K, Key>)
    where
        K: Resource<DynamicType = ()>,
        Key: Eq + Hash,
    {
        let metadata = ObjectMeta { name: Some("a".to_owned()), ..ObjectMeta::default() };
        let broken = InvalidObject { error: "spec: too large".to_owned(), metadata };
        let broken = Event::InitApply(DeserializeGuard(Err(broken)));
        let list = [Event::Init, broken, Event::InitDone].map(Ok);
        index.follow(stream::iter(list)).await.unwrap_err();
    }
}
