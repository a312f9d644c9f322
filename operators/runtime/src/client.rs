//! The way to the API server: where it is, how long to wait for it, and who asks.

use crate::{args::ClientArgs, writes::Bounded};
use http::{HeaderValue, header::USER_AGENT};
use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use std::{path::PathBuf, time::Duration};
use tower::layer::layer_fn;

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the API server may be silent: twice the period of a watch's bookmarks.
const READ: Duration = Duration::from_mins(2);
/// How long a request may take to be sent.
const WRITE: Duration = Duration::from_secs(30);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of `--kubeconfig` is unusable.
    #[error("--kubeconfig {path}: not usable")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// Neither `--kubeconfig` nor a default.
    #[error(
        "no API server: give --kubeconfig or KUBECONFIG, or run in a pod with a service account"
    )]
    Nowhere(#[source] Box<InferConfigError>),
    /// The configuration was read, and no client can be made of it.
    #[error("the configuration of the API server is not usable")]
    Config(#[source] Box<kube::Error>),
    /// Not a header.
    #[error("the user agent has characters that no header may have")]
    UserAgent(#[source] http::header::InvalidHeaderValue),
}

/// Makes ring the process's TLS provider; harmless when called again.
pub fn install_crypto_provider() {
    // An error says that there is one already, which is this one: no other is compiled in.
    rustls::crypto::ring::default_provider().install_default().ok();
}

/// A client for the API server of `--kubeconfig`, `KUBECONFIG`, the user's default file, or the
/// pod's service account, whichever is there first.
///
/// It has deadlines for connecting, sending and silence, a bound on the writes that are under way,
/// and repeats nothing by itself: a failed request is an error of the pass, and
/// [`crate::report::Failures`] says when the next one is due. Nothing is sent yet.
///
/// # Errors
///
/// If no configuration is found, or it is not usable.
pub async fn connect(args: &ClientArgs, user_agent: &str) -> Result<Client, Error> {
    install_crypto_provider();
    let mut config = config(args).await?;
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    config.write_timeout = Some(WRITE);
    config.reset_reader_on_write = true;
    config.default_retry = false;
    let user_agent = HeaderValue::from_str(user_agent).map_err(Error::UserAgent)?;
    config.headers.push((USER_AGENT, user_agent));
    let builder =
        ClientBuilder::try_from(config).map_err(|error| Error::Config(Box::new(error)))?;
    Ok(builder.with_layer(&layer_fn(Bounded::new)).build())
}

/// The certificates by which [`connect`] would know the API server, in DER; none where those of the
/// system count.
///
/// # Errors
///
/// If no configuration is found, or it is not usable.
pub async fn authorities(args: &ClientArgs) -> Result<Vec<Vec<u8>>, Error> {
    Ok(config(args).await?.root_cert.unwrap_or_default())
}

async fn config(args: &ClientArgs) -> Result<Config, Error> {
    match &args.kubeconfig {
        Some(path) => from_file(path).await,
        None => Config::infer().await.map_err(|error| Error::Nowhere(Box::new(error))),
    }
}

async fn from_file(path: &PathBuf) -> Result<Config, Error> {
    let unusable = |source| Error::File { path: path.clone(), source };
    let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
    let options = KubeConfigOptions::default();
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(unusable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[tokio::test]
    async fn missing_file_is_named_with_its_flag() {
        let path = Path::new("/nonexistent/kubeconfig").to_path_buf();
        let error = connect(&ClientArgs { kubeconfig: Some(path) }, "test").await.err().unwrap();
        assert!(matches!(error, Error::File { .. }), "{error:?}");
        assert_eq!(error.to_string(), "--kubeconfig /nonexistent/kubeconfig: not usable");
    }
}
