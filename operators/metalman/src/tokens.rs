//! Tokens with which machines join the cluster.
//!
//! Each machine has a ServiceAccount of its own, which is named like its Machine and belongs to it: whoever
//! sees its token in use knows whose it is, and it ends with the Machine. All of them are in a namespace
//! where nothing else is, so that the group of its ServiceAccounts is that of joining machines.

use k8s_openapi::{
    api::{
        authentication::v1::{TokenRequest, TokenRequestSpec},
        core::v1::ServiceAccount,
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{Api, Client, Resource, api::PostParams};
use metal_api::Machine;

/// How long a token is good: the shortest time that the API server grants. That is enough to ask for a
/// certificate, and all that a machine needs it for.
const LIFETIME: i64 = 600;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The API server did not do it.
    #[error("{what} failed")]
    Api {
        /// What it was asked for.
        what: &'static str,
        /// Why.
        source: Box<kube::Error>,
    },
    /// There is a ServiceAccount of that name, of somebody else.
    #[error(
        "ServiceAccount {0} does not belong to this Machine; delete it, if it is not being \
         deleted already"
    )]
    NameTaken(String),
    /// The API server returned none.
    #[error("the response contains no token")]
    Empty,
}

/// Where tokens come from.
#[derive(Clone)]
pub(crate) struct Tokens {
    accounts: Api<ServiceAccount>,
    namespace: String,
}

impl Tokens {
    /// Tokens of ServiceAccounts in this namespace.
    pub(crate) fn new(client: &Client, namespace: &str) -> Self {
        Self {
            accounts: Api::namespaced(client.clone(), namespace),
            namespace: namespace.to_owned(),
        }
    }

    /// A fresh token for `machine`.
    pub(crate) async fn issue(&self, machine: &Machine) -> Result<String, Error> {
        let name = machine.metadata.name.as_deref().unwrap_or_default();
        self.ensure_account(name, machine).await?;
        let spec =
            TokenRequestSpec { expiration_seconds: Some(LIFETIME), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let params = PostParams::default();
        let issued = self.accounts.create_token_request(name, &params, &request).await;
        let issued = issued.map_err(api("the request for a token"))?;
        let token = issued.status.and_then(|status| status.token);
        let token = token.filter(|token| !token.is_empty());
        token.ok_or(Error::Empty)
    }

    async fn ensure_account(&self, name: &str, machine: &Machine) -> Result<(), Error> {
        let there = self.accounts.get_opt(name).await.map_err(api("reading its ServiceAccount"))?;
        let there = if let Some(there) = there {
            there
        } else {
            let account = account(name, machine);
            let created = self.accounts.create(&PostParams::default(), &account).await;
            created.map_err(api("creating its ServiceAccount"))?
        };
        let uid = machine.metadata.uid.as_deref();
        let mut owners = there.metadata.owner_references.iter().flatten();
        if uid.is_some() && owners.any(|owner| Some(owner.uid.as_str()) == uid) {
            return Ok(());
        }
        Err(Error::NameTaken(format!("{}/{name}", self.namespace)))
    }
}

fn account(name: &str, machine: &Machine) -> ServiceAccount {
    let owner = OwnerReference {
        api_version: Machine::api_version(&()).into_owned(),
        kind: Machine::kind(&()).into_owned(),
        name: name.to_owned(),
        uid: machine.metadata.uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    };
    let mut account = ServiceAccount::default();
    account.metadata.name = Some(name.to_owned());
    account.metadata.owner_references = Some(vec![owner]);
    account.automount_service_account_token = Some(false);
    account
}

fn api(what: &'static str) -> impl FnOnce(kube::Error) -> Error {
    move |source| Error::Api { what, source: Box::new(source) }
}
