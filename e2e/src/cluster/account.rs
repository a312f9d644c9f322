//! Clients that may do what a ServiceAccount may.

use super::{Cluster, client, unique};
use anyhow::{Context, Result};
use kube::{Client, config::Kubeconfig};
use std::path::PathBuf;

impl Cluster {
    /// A client with the rights of this ServiceAccount.
    ///
    /// # Errors
    ///
    /// If there is no such ServiceAccount.
    pub async fn service_account_client(&self, namespace: &str, name: &str) -> Result<Client> {
        client(self.service_account_kubeconfig(namespace, name).await?).await
    }

    /// A kubeconfig with the address and a token for this ServiceAccount, valid for a day, for
    /// `--kubeconfig`. Its namespace is the default one, as in a pod.
    ///
    /// # Errors
    ///
    /// If there is no such ServiceAccount.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let create = ["create", "token", name, "--namespace", namespace, "--duration", "24h"];
        let token = self.kubectl(&create).await?;
        let mut config = Kubeconfig::read_from(self.kubeconfig())?;
        let user = config.auth_infos.first_mut().context("a kubeconfig has a user")?;
        user.auth_info.get_or_insert_default().token = Some(token.into());
        let context = config.contexts.first_mut().context("a kubeconfig has a context")?;
        context.context.get_or_insert_default().namespace = Some(namespace.to_owned());
        let file = self.scratch().join(format!("{namespace}.{name}.kubeconfig"));
        // Other tests may be starting with the one that is there.
        let new = file.with_extension(unique("new"));
        tokio::fs::write(&new, serde_saphyr::to_string(&config)?).await?;
        tokio::fs::rename(&new, &file).await?;
        Ok(file)
    }
}
