//! Authentication to a registry: by a token, or by the login itself if the registry takes no tokens.
//!
//! A login is sent to the host that it is configured for, and to no other: a registry that was taken over, or
//! that somebody else impersonates over plain HTTP, may name any realm. A token service on another host needs a
//! login of its own. The one of Docker Hub is known.

use super::{Access, Error, Registries, address_policy::Reach, token::Service, token::Token};
use crate::{
    login::Login,
    reference::{Registry, excerpt},
};
use reqwest::{RequestBuilder, Response, Url};
use std::time::Duration;
use tokio::time::Instant;

/// For how long a registry that takes a login itself is not asked again whether it still does.
const LIFETIME: Duration = Duration::from_hours(1);
/// The token service of Docker Hub.
const HUB_SERVICE: &str = "https://auth.docker.io";
/// The registry that it belongs to.
const HUB: &str = "docker.io";

/// Credentials for a registry.
#[derive(Clone)]
pub(super) enum Proof {
    /// A token of its service.
    Bearer(Token),
    /// The login itself, until this is asked again.
    Basic(Login, Instant),
}

impl Proof {
    /// When to stop using it.
    pub(super) fn until(&self) -> Instant {
        match self {
            Self::Bearer(token) => token.until,
            Self::Basic(_, until) => *until,
        }
    }

    /// Adds it to a request. reqwest removes it if a redirect leads to another host.
    pub(super) fn show(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Bearer(token) => request.bearer_auth(&token.text),
            Self::Basic(login, _) => request.basic_auth(&login.username, Some(&login.password)),
        }
    }
}

impl Registries {
    /// The credentials that the refused `response` demands.
    pub(super) async fn prove(
        &self,
        access: &Access,
        response: &Response,
        reach: Reach,
    ) -> Result<Proof, Error> {
        let registry = access.name().registry();
        let refused = |what: String| Error::Token { registry: registry.clone(), what };
        let refusal = Error::of_status(access, response.status());
        if let Some(service) = Service::of(response).map_err(refused)? {
            let login = self.login_for(access, &service.realm)?;
            let is_own = login.is_none_or(|login| access.login() == Some(login));
            let service = if is_own { service } else { service.of_its_name() };
            return Ok(Proof::Bearer(self.token(access, service, login, reach).await?));
        }
        match access.login().filter(|_| self.takes_logins(registry, response)) {
            Some(login) => Ok(Proof::Basic(login.clone(), Instant::now() + LIFETIME)),
            None => Err(refusal),
        }
    }

    /// The login that is sent to prove oneself after the refused `response`; `None` if none is.
    pub(super) fn demanded<'a>(
        &self,
        access: &'a Access,
        response: &Response,
    ) -> Option<&'a Login> {
        match Service::of(response).ok()? {
            Some(service) => self.login_for(access, &service.realm).ok()?,
            None => {
                access.login().filter(|_| self.takes_logins(access.name().registry(), response))
            }
        }
    }

    /// Whether it is the registry itself that asks for a login. Redirects may have led anywhere: there nobody is
    /// to learn of one.
    fn takes_logins(&self, registry: &Registry, response: &Response) -> bool {
        let is_ours =
            self.origin(registry).is_some_and(|it| it.origin() == response.url().origin());
        is_ours && Service::takes_logins(response)
    }

    /// The login for a token service; none where nobody has a login for the repository.
    fn login_for<'a>(&self, access: &'a Access, realm: &Url) -> Result<Option<&'a Login>, Error> {
        let registry = access.name().registry();
        let Some(login) = access.login() else { return Ok(None) };
        let is_at = |it: &Registry| self.origin(it).is_some_and(|at| at.origin() == realm.origin());
        let is_of_hub = || {
            let service = Url::parse(HUB_SERVICE).map(|it| it.origin());
            registry.as_str() == HUB && service.is_ok_and(|it| it == realm.origin())
        };
        if is_at(registry) || is_of_hub() {
            return Ok(Some(login));
        }
        let own = access.logins().hosts().find(|(host, _)| is_at(host)).map(|(_, login)| login);
        own.map(Some).ok_or_else(|| Error::Elsewhere {
            registry: registry.clone(),
            service: excerpt(realm.authority()),
        })
    }

    /// Where a registry is.
    fn origin(&self, registry: &Registry) -> Option<Url> {
        let scheme = if self.is_insecure(registry) { "http" } else { "https" };
        Url::parse(&format!("{scheme}://{}", registry.endpoint())).ok()
    }
}
