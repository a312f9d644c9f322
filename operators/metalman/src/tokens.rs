//! Tokens with which machines join the cluster.
//!
//! Each machine has its own ServiceAccount, with the name of its Machine and owned by it: so the
//! user of a token is known, and the account is deleted with the Machine. They are in a namespace
//! without other accounts, so that the group of its ServiceAccounts is the group of joining
//! machines.
//!
//! A machine has one token at a time: each is bound to a Secret of that name, which is empty, and made anew for
//! it. The API server takes no token whose Secret is gone, or another one.

use k8s_openapi::{
    api::{
        authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
        core::v1::{Secret, ServiceAccount},
    },
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, PostParams},
};
use metal_api::Machine;

/// Lifetime of a token: the shortest that the API server grants, which is enough to request a
/// certificate.
const LIFETIME: i64 = 600;
/// How often a Secret is made anew that others make at the same time: replicas that the machine asks as well.
const TRIES: usize = 3;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A request to the API server failed.
    #[error("{what} failed")]
    Api {
        /// The request.
        what: &'static str,
        /// Why.
        source: Box<kube::Error>,
    },
    /// A ServiceAccount of that name exists, and does not belong to the Machine.
    #[error(
        "ServiceAccount {0} does not belong to this Machine; delete it, if it is not being \
         deleted already"
    )]
    NameTaken(String),
    /// The API server returned none.
    #[error("the response contains no token")]
    Empty,
    /// Others make its Secret all the time.
    #[error("Secret {0} is made by others at the same time")]
    Contended(String),
}

/// Where tokens come from.
#[derive(Clone)]
pub(crate) struct Tokens {
    accounts: Api<ServiceAccount>,
    secrets: Api<Secret>,
    namespace: String,
}

impl Tokens {
    /// Tokens of ServiceAccounts in this namespace.
    pub(crate) fn new(client: &Client, namespace: &str) -> Self {
        Self {
            accounts: Api::namespaced(client.clone(), namespace),
            secrets: Api::namespaced(client.clone(), namespace),
            namespace: namespace.to_owned(),
        }
    }

    /// A fresh token for `machine`, with which the one before ends.
    pub(crate) async fn issue(&self, machine: &Machine) -> Result<String, Error> {
        let name = machine.metadata.name.as_deref().unwrap_or_default();
        self.ensure_account(name, machine).await?;
        let spec = TokenRequestSpec {
            expiration_seconds: Some(LIFETIME),
            bound_object_ref: Some(self.renewed(name, machine).await?),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let params = PostParams::default();
        let issued = self.accounts.create_token_request(name, &params, &request).await;
        let issued = issued.map_err(api("the request for a token"))?;
        let token = issued.status.and_then(|status| status.token);
        let token = token.filter(|token| !token.is_empty());
        token.ok_or(Error::Empty)
    }

    /// Makes the Secret of the machine anew; the token that was bound to the one before ends.
    async fn renewed(&self, name: &str, machine: &Machine) -> Result<BoundObjectReference, Error> {
        let secret = Secret { metadata: owned(name, machine), ..Secret::default() };
        for _ in 0..TRIES {
            match self.secrets.create(&PostParams::default(), &secret).await {
                Ok(made) => {
                    return Ok(BoundObjectReference {
                        api_version: Some(Secret::api_version(&()).into_owned()),
                        kind: Some(Secret::kind(&()).into_owned()),
                        name: Some(name.to_owned()),
                        uid: made.metadata.uid,
                    });
                }
                Err(kube::Error::Api(status)) if status.is_already_exists() => {}
                Err(error) => return Err(api("creating its Secret")(error)),
            }
            match self.secrets.delete(name, &DeleteParams::default()).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                Err(error) => return Err(api("deleting its Secret")(error)),
            }
        }
        Err(Error::Contended(format!("{}/{name}", self.namespace)))
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
    ServiceAccount {
        metadata: owned(name, machine),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// What goes with its Machine.
fn owned(name: &str, machine: &Machine) -> ObjectMeta {
    let owner = OwnerReference {
        api_version: Machine::api_version(&()).into_owned(),
        kind: Machine::kind(&()).into_owned(),
        name: name.to_owned(),
        uid: machine.metadata.uid.clone().unwrap_or_default(),
        ..OwnerReference::default()
    };
    ObjectMeta {
        name: Some(name.to_owned()),
        owner_references: Some(vec![owner]),
        ..ObjectMeta::default()
    }
}

fn api(what: &'static str) -> impl FnOnce(kube::Error) -> Error {
    move |source| Error::Api { what, source: Box::new(source) }
}
