//! A netboot that gives machines boot URLs, with the rights that `config/boot-urls` gives it.

use super::Lab;
use crate::inside::Tools;
use anyhow::Result;

/// The namespace of the Secrets.
const NAMESPACE: &str = "netboot-boot-urls";

impl Lab {
    /// Starts everything except the relay; netboot reads boot URLs.
    pub(crate) async fn with_boot_urls(tools: Tools) -> Self {
        Self::start_with(tools, "components: [CONFIG/boot-urls]\n").await.unwrap()
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
