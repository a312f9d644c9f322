//! What a test asks our binaries by HTTP.

use anyhow::{Result, ensure};
use reqwest::Client;
use std::{net::SocketAddr, time::Duration};

/// Time limit for a request.
const LIMIT: Duration = Duration::from_secs(30);

/// An HTTP client that uses no proxy.
///
/// # Errors
///
/// If there is no TLS.
pub fn http_client() -> Result<Client> {
    metal_runtime::client::install_crypto_provider();
    Ok(Client::builder().no_proxy().timeout(LIMIT).build()?)
}

/// Succeeds if the process with this health address reports ready.
///
/// # Errors
///
/// If it does not; with what it is waiting for.
pub async fn is_ready(health: SocketAddr) -> Result<()> {
    let answer = http_client()?.get(format!("http://{health}/readyz")).send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    ensure!(status.is_success(), "{status}: {text}");
    Ok(())
}
