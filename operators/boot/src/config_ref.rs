//! References to boot configs.

use kube::Resource;
use metal_runtime::controller::Key;

/// Namespace and name.
pub(crate) type Named = (String, String);

/// Kinds of boot configs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// `IPXEBootConfig`.
    Ipxe,
    /// `HTTPBootConfig`.
    Http,
}

/// A boot config, identified by kind, namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ConfigRef {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its namespace and name.
    pub name: String,
}

impl ConfigRef {
    /// Refers to the boot config of this kind and name.
    pub(crate) fn new(kind: Kind, (namespace, name): Named) -> Self {
        Self { kind, namespace, name }
    }
}

impl Key for ConfigRef {
    fn namespace(&self) -> Option<&str> {
        Some(&self.namespace)
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// Namespace and name of an object.
pub(crate) fn named<K: Resource>(object: &K) -> Named {
    let meta = object.meta();
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}
