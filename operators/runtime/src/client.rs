//! The client for the API server: where it is, how long to wait for it, and how to identify
//! ourselves.

use crate::{args::ClientArgs, write_limit::Bounded};
use http::{HeaderValue, header::USER_AGENT};
use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use std::{path::PathBuf, time::Duration};
use tower::layer::layer_fn;

/// Time limit for connecting.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the API server may be silent: twice the interval of a watch's bookmarks.
const READ: Duration = Duration::from_mins(2);
/// Time limit for sending a request.
const WRITE: Duration = Duration::from_secs(30);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file of `--kubeconfig` is unusable.
    #[error("--kubeconfig {path}: invalid")]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// There is no such context, or it is unusable.
    #[error("--context {context}: invalid")]
    Context {
        /// Its name.
        context: String,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// Neither `--kubeconfig` nor a default.
    #[error(
        "no API server configured: set --kubeconfig or KUBECONFIG, or run in a pod with a service \
         account"
    )]
    Nowhere(#[source] Box<InferConfigError>),
    /// The configuration was read, but no client can be made from it.
    #[error("invalid API server configuration")]
    Config(#[source] Box<kube::Error>),
    /// Not a header.
    #[error("the user agent contains characters that are not allowed in a header")]
    UserAgent(#[source] http::header::InvalidHeaderValue),
}

/// Makes ring the process's TLS provider; harmless when called again.
pub fn install_crypto_provider() {
    // An error means that there is one already, which is the same: no other is compiled in.
    rustls::crypto::ring::default_provider().install_default().ok();
}

/// A client for the API server of `--kubeconfig`, `KUBECONFIG`, the user's default file, or the
/// pod's service account, whichever exists first.
///
/// It limits the time for connecting, sending and silence, and the number of concurrent writes. It
/// repeats nothing: a failed request is an error of the pass, and [`crate::report::Failures`]
/// determines when the next one is due. Nothing is sent yet.
///
/// # Errors
///
/// If no configuration is found, or it is not usable.
pub async fn connect(args: &ClientArgs, user_agent: &str) -> Result<Client, Error> {
    client(config(args).await?, user_agent)
}

/// Like [`connect`], for the context of this name in the kubeconfig; without one, the current context.
///
/// # Errors
///
/// If no configuration is found, or it is not usable.
pub async fn connect_in(
    args: &ClientArgs,
    context: Option<&str>,
    user_agent: &str,
) -> Result<Client, Error> {
    let Some(context) = context else { return connect(args, user_agent).await };
    let options =
        KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
    let config = match &args.kubeconfig {
        Some(path) => from_file(path, &options).await?,
        None => Config::from_kubeconfig(&options)
            .await
            .map_err(|source| Error::Context { context: context.to_owned(), source })?,
    };
    client(config, user_agent)
}

fn client(mut config: Config, user_agent: &str) -> Result<Client, Error> {
    install_crypto_provider();
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

/// The certificates by which [`connect`] verifies the API server, in DER; empty if those of the
/// system are used.
///
/// # Errors
///
/// If no configuration is found, or it is not usable.
pub async fn authorities(args: &ClientArgs) -> Result<Vec<Vec<u8>>, Error> {
    Ok(config(args).await?.root_cert.unwrap_or_default())
}

async fn config(args: &ClientArgs) -> Result<Config, Error> {
    match &args.kubeconfig {
        Some(path) => from_file(path, &KubeConfigOptions::default()).await,
        None => Config::infer().await.map_err(|error| Error::Nowhere(Box::new(error))),
    }
}

async fn from_file(path: &PathBuf, options: &KubeConfigOptions) -> Result<Config, Error> {
    let unusable = |source| Error::File { path: path.clone(), source };
    let kubeconfig = Kubeconfig::read_from(path).map_err(unusable)?;
    let unusable = |source| match &options.context {
        Some(context) => Error::Context { context: context.clone(), source },
        None => unusable(source),
    };
    Config::from_custom_kubeconfig(kubeconfig, options).await.map_err(unusable)
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
        assert_eq!(error.to_string(), "--kubeconfig /nonexistent/kubeconfig: invalid");
    }

    #[tokio::test]
    async fn missing_context_is_named_with_its_flag() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, "apiVersion: v1\nkind: Config\n").unwrap();
        let args = ClientArgs { kubeconfig: Some(path) };
        let error = connect_in(&args, Some("rack"), "test").await.err().unwrap();
        assert_eq!(error.to_string(), "--context rack: invalid");
    }
}
