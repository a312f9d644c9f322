//! HTTP as firmware and an installed agent use it: all requests have a deadline and a size limit.

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, StatusCode,
    header::{ACCEPT_RANGES, CONTENT_LENGTH, RANGE},
};
use metal_base::Chain;
use reqwest::Client;
use std::{
    net::{IpAddr, Ipv4Addr, UdpSocket},
    ops::Range,
    sync::Arc,
    time::Duration,
};
use url::Url;

/// The longest script, JSON document or Ignition configuration.
const DOCUMENT: usize = 8 << 20;

/// The program that makes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub(super) enum Agent {
    /// iPXE.
    #[strum(serialize = "iPXE/1.21.1+")]
    Ipxe,
    /// EDK2.
    #[strum(serialize = "UefiHttpBoot/1.0")]
    Uefi,
    /// Ignition in the initrd.
    #[strum(serialize = "Ignition/2.21.0")]
    Ignition,
    /// A BMC that reads a medium.
    #[strum(serialize = "BMC/1.0")]
    Bmc,
    /// The discovery agent.
    #[strum(serialize = "metalprobe")]
    Probe,
}

/// Why a machine did not get what it asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    /// The address cannot be used.
    #[error("{0} is not a URL")]
    Url(String),
    /// No complete answer within the deadline.
    #[error("{url}: {}", Chain(source))]
    Transport {
        /// What was requested.
        url: Url,
        /// What happened.
        source: reqwest::Error,
    },
    /// An answer with another status.
    #[error("{url}: {status}")]
    Status {
        /// What was requested.
        url: Url,
        /// The status of the answer.
        status: StatusCode,
    },
    /// The server does not support ranges.
    #[error("{url}: no part of it is to be had, only the whole")]
    NoParts {
        /// What was requested.
        url: Url,
    },
    /// The response is too long.
    #[error("{url}: more than {DOCUMENT} bytes")]
    TooLarge {
        /// What was requested.
        url: Url,
    },
}

impl FetchError {
    /// Whether the same request may succeed later.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Transport { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Url(_) | Self::NoParts { .. } | Self::TooLarge { .. } => false,
        }
    }
}

/// An HTTP client: the one that all machines share, or that of one machine.
#[derive(Clone, Debug)]
pub(super) struct Fetcher {
    client: Client,
    deadline: Duration,
}

/// The client could not be created.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS has no usable protocol version.
    #[error("TLS")]
    Tls(#[from] rustls::Error),
    /// The client has no usable configuration.
    #[error("HTTP client")]
    Http(#[from] reqwest::Error),
}

impl Fetcher {
    /// A client whose requests take at most this long, including the body.
    pub(super) fn new(deadline: Duration) -> Result<Self, ClientError> {
        Self::from(None, deadline)
    }

    /// A client that connects from this address; `None` if it is not local. All of 127/8 is local,
    /// and so are addresses with a route of type local.
    pub(super) fn at(&self, address: Ipv4Addr) -> Option<Self> {
        UdpSocket::bind((address, 0)).ok()?;
        let fetcher = Self::from(Some(address.into()), self.deadline);
        fetcher.inspect_err(|error| tracing::warn!(%error, "no client of its own")).ok()
    }

    fn from(address: Option<IpAddr>, deadline: Duration) -> Result<Self, ClientError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .no_proxy()
            .local_address(address)
            .connect_timeout(deadline.min(Duration::from_secs(10)))
            .timeout(deadline)
            .pool_idle_timeout(Duration::from_secs(5))
            .pool_max_idle_per_host(64)
            .build()?;
        Ok(Self { client, deadline })
    }

    /// A document.
    pub(super) async fn get(
        &self,
        agent: Agent,
        url: &str,
        headers: HeaderMap,
    ) -> Result<Bytes, FetchError> {
        let request = self.client.get(parsed(url)?).headers(headers);
        let mut response = sent(agent, url, request).await?;
        let mut body = BytesMut::new();
        while let Some(part) = response.chunk().await.map_err(transport(url))? {
            body.extend_from_slice(&part);
            if body.len() > DOCUMENT {
                return Err(FetchError::TooLarge { url: parsed(url)? });
            }
        }
        Ok(body.freeze())
    }

    /// Reads a whole layer; returns its size.
    pub(super) async fn drain(&self, agent: Agent, url: &str) -> Result<u64, FetchError> {
        let mut response = sent(agent, url, self.client.get(parsed(url)?)).await?;
        let mut size = 0;
        while let Some(part) = response.chunk().await.map_err(transport(url))? {
            size += part.len() as u64;
        }
        Ok(size)
    }

    /// What a `chain` loads: the text of a script, or the size of anything else.
    pub(super) async fn chained(&self, agent: Agent, url: &str) -> Result<Chained, FetchError> {
        let mut response = sent(agent, url, self.client.get(parsed(url)?)).await?;
        let (mut start, mut size) = (BytesMut::new(), 0);
        while let Some(part) = response.chunk().await.map_err(transport(url))? {
            size += part.len() as u64;
            if start.len() < 2 || start.starts_with(b"#!") {
                start.extend_from_slice(&part);
            }
            if start.len() > DOCUMENT {
                return Err(FetchError::TooLarge { url: parsed(url)? });
            }
        }
        if start.starts_with(b"#!") {
            return Ok(Chained::Script(String::from_utf8_lossy(&start).into_owned()));
        }
        Ok(Chained::Binary(size))
    }

    /// The HEAD request that EDK2 sends before it fetches.
    pub(super) async fn head(&self, agent: Agent, url: &str) -> Result<(), FetchError> {
        sent(agent, url, self.client.head(parsed(url)?)).await.map(drop)
    }

    /// The size of something that can be read in parts.
    pub(super) async fn size(&self, agent: Agent, url: &str) -> Result<u64, FetchError> {
        let response = sent(agent, url, self.client.head(parsed(url)?)).await?;
        let header = |name: HeaderName| response.headers().get(name)?.to_str().ok();
        let has_parts = header(ACCEPT_RANGES) == Some("bytes");
        let size = header(CONTENT_LENGTH).and_then(|text| text.parse().ok());
        size.filter(|_| has_parts).ok_or(FetchError::NoParts { url: parsed(url)? })
    }

    /// A part of something, of exactly this range.
    pub(super) async fn part(
        &self,
        agent: Agent,
        url: &str,
        range: Range<u64>,
    ) -> Result<Bytes, FetchError> {
        let header = format!("bytes={}-{}", range.start, range.end - 1);
        let request = self.client.get(parsed(url)?).header(RANGE, header);
        let response = sent(agent, url, request).await?;
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
        let body = response.bytes().await.map_err(transport(url))?;
        if !is_part || body.len() as u64 != range.end - range.start {
            return Err(FetchError::NoParts { url: parsed(url)? });
        }
        Ok(body)
    }

    /// Posts a document.
    pub(super) async fn post<T: serde::Serialize + Sync>(
        &self,
        agent: Agent,
        url: &str,
        body: &T,
    ) -> Result<(), FetchError> {
        sent(agent, url, self.client.post(parsed(url)?).json(body)).await.map(drop)
    }
}

/// What a `chain` has loaded.
#[derive(Debug)]
pub(super) enum Chained {
    /// A script.
    Script(String),
    /// Something to execute, of this size.
    Binary(u64),
}

fn parsed(url: &str) -> Result<Url, FetchError> {
    Url::parse(url).map_err(|_| FetchError::Url(url.to_owned()))
}

fn transport(url: &str) -> impl Fn(reqwest::Error) -> FetchError {
    move |source| match Url::parse(url) {
        Ok(url) => FetchError::Transport { url, source: source.without_url() },
        Err(_) => FetchError::Url(url.to_owned()),
    }
}

async fn sent(
    agent: Agent,
    url: &str,
    request: reqwest::RequestBuilder,
) -> Result<reqwest::Response, FetchError> {
    let agent: &'static str = agent.into();
    let request = request.header(http::header::USER_AGENT, agent);
    let response = request.send().await.map_err(transport(url))?;
    if response.status().is_success() {
        return Ok(response);
    }
    Err(FetchError::Status { url: parsed(url)?, status: response.status() })
}
