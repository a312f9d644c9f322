//! From having an address to reporting: asks the boot service what to report where, and does it.

use super::{
    boot_url::BootUrl,
    ignition::{self, AgentConfig, AgentConfigError},
    origin::{self, OriginError},
    power::ScanTrigger,
};
use crate::{
    agent::{Agent, Unusable},
    args::Args,
    kernel::{Kernel, Running},
    registry::{Client, RegistryUrl, RequestError, TlsError},
    root::Root,
};
use clap::Parser;
use metal_base::{Backoff, Chain};
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
    Trust(RegistryUrl, #[source] TlsError),
    #[error("boot service {0} did not return a configuration")]
    Refused(RegistryUrl, #[source] RequestError),
    #[error(
        "boot service {0} has no boot configuration for this machine; check that a Server with \
         its system UUID exists and is in discovery"
    )]
    Unknown(RegistryUrl),
    #[error(
        "boot service {0} refused to return the configuration, because the boot window has \
         closed; power-cycle the machine"
    )]
    Forbidden(RegistryUrl),
    #[error(transparent)]
    AgentConfig(#[from] AgentConfigError),
    #[error("the ignition of this machine starts metalprobe with invalid flags")]
    Flags,
    #[error("metalprobe could not send its report")]
    Agent(#[from] Unusable),
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
    let url = origin::find(root, boot_url)?;
    let system_uuid = origin::uuid(root).unwrap_or_default();
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

async fn orders(url: RegistryUrl) -> Result<AgentConfig, DiscoveryError> {
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
