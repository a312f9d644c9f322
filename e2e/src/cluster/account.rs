//! Clients that may do what a ServiceAccount may.

use super::{Cluster, client, eventually, unique};
use anyhow::{Context, Result};
use kube::{Client, config::Kubeconfig};
use std::{path::PathBuf, time::Duration};

/// How long rights may take to count.
const COUNT: Duration = Duration::from_mins(2);

impl Cluster {
    /// Waits until all rights count that are stored. The API server learns of them some time later, of those of each
    /// kind in their order: once the last one of each kind counts, the others do.
    ///
    /// # Errors
    ///
    /// If they do not.
    pub async fn rights_count(&self) -> Result<()> {
        let name = unique("rights");
        let grant = ["apply", "--server-side", "-f", "-"];
        self.kubectl_with(&grant, &grants(&name)).await?;
        for what in ["nodes", "configmaps"] {
            let may = ["auth", "can-i", "get", what, "--namespace", "default", "--as", &name];
            eventually(COUNT, async || self.kubectl(&may).await).await?;
        }
        Ok(())
    }

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

/// Lets this user read nodes by rights for the cluster, and ConfigMaps by those for a namespace.
fn grants(name: &str) -> String {
    let group = "rbac.authorization.k8s.io";
    let grant = |kind: &str, place: &str, what: &str| {
        format!(
            "apiVersion: {group}/v1\n\
             kind: {kind}\n\
             metadata: {{ name: {name}{place} }}\n\
             rules: [{{ apiGroups: [''], resources: [{what}], verbs: [get] }}]\n\
             ---\n\
             apiVersion: {group}/v1\n\
             kind: {kind}Binding\n\
             metadata: {{ name: {name}{place} }}\n\
             roleRef: {{ apiGroup: {group}, kind: {kind}, name: {name} }}\n\
             subjects: [{{ apiGroup: {group}, kind: User, name: {name} }}]\n"
        )
    };
    let everywhere = grant("ClusterRole", "", "nodes");
    format!("{everywhere}---\n{}", grant("Role", ", namespace: default", "configmaps"))
}
