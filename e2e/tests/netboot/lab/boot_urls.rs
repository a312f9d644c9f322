//! A netboot that gives machines boot URLs, with the rights that `config/boot-urls` gives it.

use super::Lab;
use anyhow::{Context, Result};
use e2e::cluster::workspace;

/// The namespace of the Secrets.
const NAMESPACE: &str = "netboot-boot-urls";

impl Lab {
    /// Replaces netboot with one that reads boot URLs.
    pub(crate) async fn read_boot_urls(&self) -> Result<()> {
        for file in ["namespace.yaml", "rbac.yaml"] {
            let path = workspace().join("config/boot-urls").join(file);
            let path = path.to_str().context("a path of the workspace is text")?;
            self.cluster.kubectl(&["apply", "--server-side", "-f", path]).await?;
        }
        self.flags.borrow_mut().push(format!("--boot-url-namespace={NAMESPACE}"));
        let netboot = self.netboot.take();
        netboot.context("there is none")?.kill().await?;
        self.start_netboot().await
    }

    /// Gives a machine a boot URL.
    pub(crate) async fn give_url(&self, name: &str, mac: &str, url: &str) -> Result<()> {
        let secret = format!(
            "apiVersion: v1\n\
             kind: Secret\n\
             type: bloomery.dev/boot-url\n\
             metadata: {{ name: {name}, namespace: {NAMESPACE} }}\n\
             stringData: {{ mac: '{mac}', url: '{url}' }}\n"
        );
        self.cluster.apply(&secret).await.map(drop)
    }

    /// Takes it away.
    pub(crate) async fn take_url(&self, name: &str) -> Result<()> {
        let namespace = format!("--namespace={NAMESPACE}");
        self.cluster.kubectl(&["delete", "secret", name, &namespace]).await.map(drop)
    }

    /// The events of an object, as their reasons and texts.
    pub(crate) async fn events_of(&self, kind: &str, name: &str) -> Result<String> {
        let about = format!("--field-selector=regarding.kind={kind},regarding.name={name}");
        let columns = "--output=jsonpath={range .items[*]}{.reason}: {.note}{\"\\n\"}{end}";
        let events = ["get", "events.v1.events.k8s.io", "--all-namespaces", &about, columns];
        self.cluster.kubectl(&events).await
    }
}
