//! The key of ignition tokens, which every replica and every start shares: made once.

use anyhow::Context as _;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client, api::PostParams};
use metal_core::capability::Key;
use std::collections::BTreeMap;

/// Secret with the key, in the namespace of the operator.
pub(crate) const SECRET: &str = "boot-operator-ignition-key";
/// Its one entry.
const ENTRY: &str = "key";

/// Reads the key, or makes it.
///
/// # Errors
///
/// If it can neither be read nor made.
pub(crate) async fn load(client: &Client, namespace: &str) -> anyhow::Result<Key> {
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let what = || format!("Secret {namespace}/{SECRET}");
    for _ in 0..3 {
        if let Some(secret) = secrets.get_opt(SECRET).await.with_context(what)? {
            let bytes = secret.data.as_ref().and_then(|data| data.get(ENTRY));
            let bytes = bytes.with_context(|| format!("{}: there is no entry {ENTRY}", what()))?;
            return Key::new(&bytes.0).with_context(|| format!("{}: entry {ENTRY}", what()));
        }
        let mut bytes = [0; Key::MIN];
        getrandom::fill(&mut bytes).context("no randomness for the key of ignition tokens")?;
        let mut secret = Secret {
            data: Some(BTreeMap::from([(ENTRY.to_owned(), ByteString(bytes.to_vec()))])),
            ..Secret::default()
        };
        secret.metadata.name = Some(SECRET.to_owned());
        match secrets.create(&PostParams::default(), &secret).await {
            Ok(_) => {}
            // Another replica was faster: its key counts.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error).with_context(what),
        }
    }
    anyhow::bail!("{}: neither to be read nor to be made", what())
}
