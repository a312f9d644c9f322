//! What passes and the handlers of requests have in common.

use crate::{
    allowance::Allowances,
    clock::Clock,
    fresh_tokens::FreshTokens,
    images::Images,
    memory_permits::MemoryPermits,
    metrics::Answers,
    notices::Notices,
    polls::Polls,
    pull_secret_looks::PullSecrets,
    refusals::Refusals,
    templates::Templates,
    view::{Named, TokenKey, View},
};
use ipnet::IpNet;
use jiff::Timestamp;
use kube::{Api, Client, ResourceExt};
use metal_api::{BootInstaller, BootToken, Host};
use metal_core::{boot_token::Refusal, capability, pull_secret::PullSecret};
use metal_runtime::{Deferred, LogLimit, Writer};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many configurations are read from the API server at a time: each may have 200 kB.
pub(crate) const READERS: usize = 16;

/// How many Hosts may wait at a time: half of the connections of a port, to leave room for others.
pub(crate) const WAITING: usize = 2048;

/// Field manager of everything that we apply.
pub(crate) const MANAGER: &str = "hosts";

/// What every pass and every handler may use.
pub(crate) struct Context {
    /// The API server.
    pub(crate) client: Client,
    /// What is known of the cluster.
    pub(crate) view: Arc<View>,
    /// Events that have yet to be published.
    pub(crate) notices: Notices,
    /// Refusals of each source address.
    pub(crate) refusals: Refusals,
    /// Limits how often requests have something done for the same object.
    pub(crate) allowances: Allowances,
    /// The Hosts that ask for their release, one request each.
    pub(crate) polls: Polls,
    /// Hosts that may wait for another release.
    pub(crate) waiting: Semaphore,
    /// Configurations that are read at a time.
    pub(crate) readers: Semaphore,
    /// Configurations that are in memory at a time.
    pub(crate) places: MemoryPermits,
    /// Tokens as the API server has them at this moment.
    pub(crate) live: FreshTokens,
    /// Logins for registries, as Secrets have them at this moment.
    pub(crate) pull_secrets: PullSecrets,
    /// The time of the cluster.
    pub(crate) clock: Clock,
    /// Limits the log.
    pub(crate) told: LogLimit,
    /// Number of answers.
    pub(crate) answers: Answers,
    /// The key of capabilities, as soon as it is known.
    pub(crate) key: Deferred<capability::Key>,
    /// Where machines reach this server, without a slash at its end.
    pub(crate) service_url: String,
    /// Networks of the proxies that are trusted to name the address of a client.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Kickstart templates.
    pub(crate) templates: Templates,
    /// The installer of tokens that name none.
    pub(crate) installer: Option<BootInstaller>,
    /// The Secret with the login for its image.
    pub(crate) installer_secret: Option<PullSecret>,
    /// Images of installers, if they are served.
    pub(crate) images: Option<Images>,
}

impl Context {
    /// The time of the cluster, on which every decision is based.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Writes tokens of one namespace.
    pub(crate) fn tokens(&self, namespace: &str) -> Writer<'_, BootToken, TokenKey> {
        let api = Api::namespaced(self.client.clone(), namespace);
        Writer::new(api, &self.view.tokens, MANAGER)
    }

    /// Writes Hosts of one namespace.
    pub(crate) fn hosts(&self, namespace: &str) -> Writer<'_, Host, Named> {
        Writer::new(Api::namespaced(self.client.clone(), namespace), &self.view.hosts, MANAGER)
    }

    /// The Host that a token is for, as far as it is known.
    ///
    /// # Errors
    ///
    /// If there is one that is not kept: it may be any machine.
    pub(crate) fn host_of(&self, token: &BootToken) -> Result<Option<Arc<Host>>, Refusal> {
        let (namespace, name) = (token.namespace(), &token.spec.host_name);
        let host = self.view.hosts.named(namespace.as_deref(), name);
        if host.is_none() && self.view.hosts.is_withdrawn(namespace.as_deref(), name) {
            return Err(Refusal::HostUnreadable(name.clone()));
        }
        Ok(host)
    }
}
