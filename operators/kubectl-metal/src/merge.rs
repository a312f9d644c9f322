//! Changes a few fields of a spec, and leaves all others as they are by then.

use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

#[derive(Debug, Serialize)]
struct SpecPatch<'a, S> {
    spec: &'a S,
}

/// Merges these fields into the spec of the object of this name (RFC 7386), whoever has written it
/// meanwhile.
///
/// # Errors
///
/// Those of the API server.
pub(crate) async fn merge_spec<K, S>(
    api: &Api<K>,
    name: &str,
    params: &PatchParams,
    fields: &S,
) -> Result<K, kube::Error>
where
    K: Clone + DeserializeOwned + Debug,
    S: Serialize + Debug,
{
    api.patch(name, params, &Patch::Merge(SpecPatch { spec: fields })).await
}
