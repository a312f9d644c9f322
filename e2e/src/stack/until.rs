//! Waiting for objects.

use anyhow::{Context, Result, bail};
use kube::{
    Api, Resource,
    runtime::wait::{await_condition, conditions},
};
use serde::{Serialize, de::DeserializeOwned};
use std::{fmt::Debug, time::Duration};
use tokio::time::timeout;

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(10);

/// The object `name`, once it exists and `holds`.
///
/// # Errors
///
/// If that takes too long; with the object as it is by then.
pub async fn until<K>(api: &Api<K>, name: &str, what: &str, holds: impl Fn(&K) -> bool) -> Result<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
{
    let holds = |object: Option<&K>| object.is_some_and(&holds);
    if let Ok(object) = timeout(LIMIT, await_condition(api.clone(), name, holds)).await {
        return object?.context("an object that meets a condition");
    }
    let now = api.get_opt(name).await?;
    let now = now.as_ref().map(serde_saphyr::to_string).transpose()?;
    let now = now.unwrap_or_else(|| "not there".to_owned());
    bail!("{} {name}: not {what} within {LIMIT:?}:\n{now}", K::kind(&()))
}

/// Waits until the object `name`, which is being deleted, is gone.
///
/// # Errors
///
/// If that takes too long.
pub async fn deleted<K>(api: &Api<K>, name: &str) -> Result<()>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let Some(uid) = api.get_opt(name).await?.and_then(|object| object.meta().uid.clone()) else {
        return Ok(());
    };
    let gone = await_condition(api.clone(), name, conditions::is_deleted(&uid));
    timeout(LIMIT, gone).await.with_context(|| format!("{name} is still there"))??;
    Ok(())
}
