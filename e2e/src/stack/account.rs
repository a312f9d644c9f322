//! Who the operators are: the ServiceAccounts of `bases/rbac`, which may do what is committed
//! there and nothing else.

use crate::cluster::{Cluster, workspace};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// Where the operators would run: the namespace of `bases`.
pub(super) const NAMESPACE: &str = "metal-operator-system";

/// Files with the credentials of the operators.
#[derive(Debug)]
pub(super) struct Accounts {
    pub(super) metal: PathBuf,
    pub(super) boot: PathBuf,
}

/// Makes the namespace, the accounts and what they may do.
pub(super) async fn install(cluster: &Cluster) -> Result<Accounts> {
    cluster.kubectl(&["create", "namespace", NAMESPACE]).await?;
    let rbac = workspace().join("bases/rbac");
    let rbac = rbac.to_str().context("a path of the workspace is text")?;
    cluster.kubectl(&["apply", "--server-side", "-k", rbac]).await?;
    let admission = workspace().join("bases/admission");
    let admission = admission.to_str().context("a path of the workspace is text")?;
    cluster.kubectl(&["apply", "--server-side", "-k", admission]).await?;
    Ok(Accounts {
        metal: cluster.service_account_kubeconfig(NAMESPACE, "metal-operator").await?,
        boot: cluster.service_account_kubeconfig(NAMESPACE, "boot-operator").await?,
    })
}
