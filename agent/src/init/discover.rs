//! From having an address to reporting: asks the boot service what to report where, and does it.

use super::{
    boot_source::{self, OriginError},
    boot_url::BootUrl,
    ignition::{self, AgentConfig, AgentConfigError},
    power::ScanTrigger,
};
use crate::{
    agent::{Agent, Unusable},
    args::Args,
    kernel::{Kernel, Running},
    registry::Client,
    root::Root,
};
use clap::Parser;
use metal_base::{Backoff, Chain};
use metal_http::{InvalidUrl, RequestError, ServerUrl, TrustError};
use std::{convert::Infallible, net::IpAddr, path::Path, time::Duration};
use tokio::{sync::watch, time::sleep};

/// Longest delay between attempts, unless the first one is longer.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Deadline of a request to the boot service, and the longest response.
const DEADLINE: Duration = Duration::from_secs(10);
const LONGEST: usize = 1 << 20;
/// First delay before a request is repeated.
const PAUSE: Duration = Duration::from_secs(2);
/// How often to check for an address.
const LOOK: Duration = Duration::from_millis(100);

/// Why there is nowhere to report to, in words for a person.
#[derive(Debug, thiserror::Error)]
enum DiscoveryError {
    #[error(transparent)]
    Origin(#[from] OriginError),
    #[error(
        "boot service {0} uses https, but this image contains no certificate authorities; build \
         it with --ca"
    )]
    Trust(ServerUrl, #[source] TrustError),
    #[error("boot service {0} did not return a configuration")]
    Refused(ServerUrl, #[source] RequestError),
    #[error(
        "boot service {0} has no boot configuration for this machine; check that a Server with \
         its system UUID exists and is in discovery"
    )]
    Unknown(ServerUrl),
    #[error(
        "boot service {0} refused to return the configuration, because the boot window has \
         closed; power-cycle the machine"
    )]
    Forbidden(ServerUrl),
    #[error(transparent)]
    AgentConfig(#[from] AgentConfigError),
    #[error("the ignition of this machine starts metalprobe with invalid flags")]
    Flags,
    #[error(
        "the registry uses https, but this image contains no certificate authorities; build it \
         with --ca"
    )]
    RegistryTrust(#[source] TrustError),
    #[error("the ignition of this machine has an invalid URL of the registry")]
    RegistryUrl(#[source] InvalidUrl),
}

/// Reports forever. `boot_url` is what a DHCP server sent, if one was asked.
pub(super) async fn report(
    root: &Root,
    boot_url: &watch::Receiver<Option<BootUrl>>,
    buttons: &ScanTrigger,
) -> Infallible {
    address().await;
    let mut backoff = Backoff::new(PAUSE, LONGEST_PAUSE);
    loop {
        let url = boot_url.borrow().clone();
        match agent(root, url.as_ref().map(BootUrl::as_str)).await {
            Ok(agent) => {
                buttons.scan().await;
                match agent.run().await {}
            }
            Err(stuck) => {
                let pause = backoff.pause();
                let again = format!("{:.0} s", pause.as_secs_f32());
                tracing::warn!(again_in = again, "{}", Chain(&stuck));
                sleep(pause).await;
            }
        }
    }
}

/// Waits until a port has a routable address. Cancel safe.
pub async fn address() {
    while !has_address() {
        sleep(LOOK).await;
    }
}

/// Whether an interface has a routable address.
fn has_address() -> bool {
    let addresses = Running.addresses().unwrap_or_default();
    addresses.values().flatten().any(|ip| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    })
}

async fn agent(root: &Root, boot_url: Option<&str>) -> Result<Agent, DiscoveryError> {
    let url = boot_source::find(root, boot_url)?;
    let system_uuid = boot_source::uuid(root).unwrap_or_default();
    tracing::info!(boot_service = %url, system_uuid, "fetching the ignition from the boot service");
    let orders = orders(url).await?;
    let flags = [
        "metalprobe".to_owned(),
        format!("--registry-url={}", orders.registry_url),
        format!("--server-uuid={}", orders.server_uuid),
    ];
    let args = Args::try_parse_from(flags).map_err(|_| DiscoveryError::Flags)?;
    let agent = Agent::new(args)?;
    tracing::info!(
        registry = %agent.client,
        server = agent.server_uuid,
        "collecting the inventory of this machine",
    );
    Ok(agent)
}

/// No one has set flags here, so none is named.
impl From<Unusable> for DiscoveryError {
    fn from(error: Unusable) -> Self {
        match error {
            Unusable::Url(error) => Self::RegistryUrl(error),
            Unusable::Trust(error) => Self::RegistryTrust(error),
        }
    }
}

async fn orders(url: ServerUrl) -> Result<AgentConfig, DiscoveryError> {
    let client = Client::new(url.clone(), Path::new(AUTHORITIES), DEADLINE);
    let client = client.map_err(|error| DiscoveryError::Trust(url.clone(), error))?;
    match client.get(LONGEST).await {
        Ok(document) => Ok(ignition::read(&document)?),
        Err(RequestError::Refused(status, _)) if status == 404 => Err(DiscoveryError::Unknown(url)),
        Err(RequestError::Refused(status, _)) if status == 403 => {
            Err(DiscoveryError::Forbidden(url))
        }
        Err(error) => Err(DiscoveryError::Refused(url, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metal_http::Trust;

    #[test]
    fn an_image_without_authorities_says_how_to_build_it_and_names_no_flag_of_the_agent() {
        let missing = || Trust::load(Path::new("/nowhere/ca.pem")).unwrap_err();
        let url = "https://boot/t/secret".parse().unwrap();
        let boot = DiscoveryError::Trust(url, missing());
        let registry = DiscoveryError::from(Unusable::Trust(missing()));
        for error in [boot, registry] {
            let text = Chain(&error).to_string();
            assert!(text.contains("build it with --ca: could not read"), "{text}");
            assert!(!text.contains("--registry") && !text.contains("secret"), "{text}");
        }
    }
}
