//! Network boot, up to an operating system in memory: scripts, kernels, UKIs.

use super::{
    boot_settings::Source,
    dhcp::{BootUri, Client, DhcpError, Identity, Link},
    fetch::{Agent, Chained, FetchError},
    ignition::IgnitionError,
    ipxe::{Request, Script, ScriptError, Variables, expand},
    journal::Event,
    life::Life,
    medium::{self, MediumError},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use std::net::Ipv4Addr;
use tokio::time::sleep;
use url::Url;

const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Why a network boot failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum BootError {
    /// No boot service is configured.
    #[error("there is no boot service: neither a boot URL nor DHCP")]
    NoService,
    /// No address, or no boot file.
    #[error(transparent)]
    Dhcp(#[from] DhcpError),
    /// Something could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The medium cannot be booted.
    #[error("{0}")]
    Medium(#[from] MediumError),
    /// The script failed.
    #[error("script: {0}")]
    Script(#[from] ScriptError),
    /// The script exited.
    #[error("the script ended without booting")]
    NothingToBoot,
    /// The answer does not name a UKI.
    #[error("{0} names no UKIURL")]
    NoUki(String),
    /// The operating system cannot start.
    #[error("ignition: {0}")]
    Ignition(#[from] IgnitionError),
}

/// An operating system in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Loaded {
    /// A kernel with its arguments and other images.
    Kernel {
        /// Everything that was fetched.
        images: Vec<String>,
        /// Kernel arguments.
        args: Vec<String>,
    },
    /// A UKI, which is a single file.
    Uki {
        /// Where it was fetched from.
        url: String,
    },
}

/// Loads from a source.
pub(super) async fn load(life: &Life, source: &Source) -> Result<Loaded, BootError> {
    match (source, life.fleet.boot_link.as_deref()) {
        (Source::Cd, link) => {
            let loaded = cd(life).await?;
            // HTTP boot from a given URL needs only an address.
            match link {
                Some(link) => drop(dhcp(life, link, Client::Http(BootUri::Given)).await?),
                None => take_address(life, life.fleet.host_address(life.index)),
            }
            Ok(loaded)
        }
        (Source::Http(Some(uri)), Some(link)) => {
            dhcp(life, link, Client::Http(BootUri::Given)).await?;
            uki(life, uri).await
        }
        (Source::Http(None), Some(link)) => {
            let uri = dhcp(life, link, Client::Http(BootUri::Asked)).await?;
            uki(life, &uri).await
        }
        (_, Some(link)) => {
            let mode = life.machine().lock().boot.mode;
            dhcp(life, link, Client::Pxe(mode)).await?;
            // iPXE expands settings in the boot file's name before requesting it.
            let url = dhcp(life, link, Client::Ipxe(mode)).await?;
            let url = expand(&url, &variables(life));
            script(life, Url::parse(&url).map_err(|_| FetchError::Url(url))?).await
        }
        (Source::Http(uri), None) => {
            take_address(life, life.fleet.host_address(life.index));
            match uri {
                Some(uri) => uki(life, uri).await,
                None => uki(life, &uki_of_this_machine(life).await?).await,
            }
        }
        (_, None) => {
            take_address(life, life.fleet.host_address(life.index));
            let uuid = life.machine().hardware.uuid();
            script(life, service(life, &format!("ipxe/{uuid}"))?).await
        }
    }
}

fn take_address(life: &Life, address: Ipv4Addr) {
    life.with(|state| state.host_address = Some(address));
}

/// Gets an address and the boot file's name. What firmware would load by TFTP is not loaded: iPXE
/// is what runs next in any case.
async fn dhcp(life: &Life, link: &Link, client: Client) -> Result<String, BootError> {
    let hardware = &life.machine().hardware;
    let (mac, uuid) = (hardware.nics()[0].mac, hardware.uuid());
    let identity = Identity { client, mac, uuid, hostname: String::new() };
    let answer = link.lease(&identity).await?;
    let file = answer.boot_file.unwrap_or_default();
    let fetcher = life.fleet.fetcher.at(answer.address);
    life.with(|state| {
        (state.host_address, state.fetcher) = (Some(answer.address), fetcher);
    });
    let detail = format!("{client:?}: {} from {}, {file}", answer.address, answer.server);
    life.note(Event::Dhcp, detail);
    Ok(file)
}

/// A path of the boot service.
pub(super) fn service(life: &Life, path: &str) -> Result<Url, BootError> {
    let mut url = life.fleet.config.boot.url.clone().ok_or(BootError::NoService)?;
    let joined = format!("{}/{path}", url.path().trim_end_matches('/'));
    url.set_path(&joined);
    Ok(url)
}

/// Asks the boot service on behalf of a machine, as ironcore's DHCP server does.
async fn uki_of_this_machine(life: &Life) -> Result<String, BootError> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "UKIURL", default)]
        uki_url: String,
    }
    let url = service(life, "httpboot")?;
    let mac = life.machine().hardware.nics()[0].mac;
    let identity = format!("{}, {mac}", life.fleet.host_address(life.index));
    let mut headers = HeaderMap::new();
    headers.extend(HeaderValue::from_str(&identity).map(|value| (FORWARDED, value)));
    let body = life.fetcher().get(Agent::Uefi, url.as_str(), headers).await?;
    let answer: Option<Answer> = serde_json::from_slice(&body).ok();
    let uki = answer.map(|answer| answer.uki_url).filter(|uki| !uki.is_empty());
    let uki = uki.ok_or_else(|| BootError::NoUki(url.to_string()))?;
    life.note(Event::HttpBoot, &uki);
    Ok(uki)
}

/// The UKI on the medium in the virtual drive, with the Ignition URL on the medium.
async fn cd(life: &Life) -> Result<Loaded, BootError> {
    let url = life.machine().lock().medium.clone().ok_or(MediumError::None)?;
    let (size, argument) = medium::read(&life.fleet.fetcher, &url).await?;
    life.note(Event::Medium, format!("{url} {size} bytes"));
    Ok(Loaded::Kernel { images: vec![url], args: argument.into_iter().collect() })
}

async fn uki(life: &Life, url: &str) -> Result<Loaded, BootError> {
    let (agent, fetcher) = (Agent::Uefi, life.fetcher());
    fetcher.head(agent, url).await?;
    let size = fetcher.drain(agent, url).await?;
    life.note(Event::Uki, format!("{url} {size} bytes"));
    Ok(Loaded::Uki { url: url.to_owned() })
}

/// Runs the script at this address.
pub(super) async fn script(life: &Life, url: Url) -> Result<Loaded, BootError> {
    let fetcher = life.fetcher();
    let text = match fetcher.chained(Agent::Ipxe, url.as_str()).await? {
        Chained::Script(text) => text,
        Chained::Binary(_) => return Err(ScriptError::NotAScript(url.into()).into()),
    };
    life.note(Event::Script, url.as_str());
    let mut script = Script::new(&text, url, variables(life))?;
    loop {
        match script.next()? {
            Request::Kernel(url) => match fetcher.drain(Agent::Ipxe, &url).await {
                Ok(size) => {
                    life.note(Event::Kernel, format!("{url} {size} bytes"));
                    script.fetched();
                }
                Err(error) => fall_through(life, &mut script, &error),
            },
            Request::Image(url) => match fetcher.drain(Agent::Ipxe, &url).await {
                Ok(size) => {
                    life.note(Event::Initrd, format!("{url} {size} bytes"));
                    script.fetched();
                }
                Err(error) => fall_through(life, &mut script, &error),
            },
            Request::Chain(url) => match fetcher.chained(Agent::Ipxe, &url).await {
                Ok(Chained::Script(text)) => {
                    life.note(Event::Script, &url);
                    script.chained(&text)?;
                }
                Ok(Chained::Binary(size)) => {
                    life.note(Event::Uki, format!("{url} {size} bytes"));
                    script.executable();
                    return Ok(Loaded::Uki { url });
                }
                Err(error) => fall_through(life, &mut script, &error),
            },
            Request::Sleep(time) => {
                sleep(time).await;
                script.fetched();
            }
            Request::Boot(loaded) => {
                let images = loaded.kernel.into_iter().chain(loaded.images).collect();
                return Ok(Loaded::Kernel { images, args: loaded.args });
            }
            Request::Exit => return Err(BootError::NothingToBoot),
        }
    }
}

/// A fetch failed. The script may handle it, but the journal records it.
fn fall_through(life: &Life, script: &mut Script, error: &FetchError) {
    life.note(Event::FetchFailed, error.to_string());
    script.failed();
}

fn variables(life: &Life) -> Variables {
    let hardware = &life.machine().hardware;
    let (mac, uuid) = (hardware.nics()[0].mac.to_string(), hardware.uuid().to_string());
    let address = life.machine().lock().host_address;
    let address = address.map(|address| address.to_string()).unwrap_or_default();
    [
        ("uuid", uuid),
        ("mac", mac.clone()),
        ("net0/mac", mac.clone()),
        ("netX/mac", mac),
        ("ip", address.clone()),
        ("net0/ip", address),
        ("serial", hardware.serial()),
        ("manufacturer", "Contoso".to_owned()),
        ("product", "CR-2000".to_owned()),
        ("buildarch", "x86_64".to_owned()),
        ("platform", "efi".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
