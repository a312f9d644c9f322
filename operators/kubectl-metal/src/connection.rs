//! The API server that a command talks to.

use clap::Args;
use kube::Client;
use metal_runtime::{args::ClientArgs, client};
use std::path::PathBuf;

/// Which API server.
#[derive(Clone, Debug, Default, Args)]
pub struct Connection {
    /// File with address and credentials of the API server [default: $KUBECONFIG, or ~/.kube/config]
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig [default: its current one]
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
}

impl Connection {
    /// A client for it. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// If there is no kubeconfig, or it is not usable.
    pub(crate) async fn client(&self) -> Result<Client, client::Error> {
        let user_agent = concat!("kubectl-metal/", env!("CARGO_PKG_VERSION"));
        let args = ClientArgs { kubeconfig: self.kubeconfig.clone() };
        client::connect_in(&args, self.context.as_deref(), user_agent).await
    }
}
