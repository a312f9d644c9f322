//! Bearer tokens for anonymous pulls (distribution "Token Authentication Specification").

use super::{Error, Registries};
use crate::reference::Name;
use http_auth::ChallengeParser;
use reqwest::{Response, header::WWW_AUTHENTICATE};
use serde::Deserialize;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Largest answer of a token service.
const LIMIT: usize = 64 << 10;
/// Validity where the service does not say.
const DEFAULT_VALIDITY: Duration = Duration::from_mins(1);
/// Safety margin against requests that take a while.
const MARGIN: Duration = Duration::from_secs(10);

/// A token and when to stop using it.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) until: Instant,
}

/// Where to get a token.
struct Challenge {
    realm: reqwest::Url,
    service: Option<String>,
}

#[derive(Deserialize)]
struct Grant {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Registries {
    /// A fresh token for pulling `name`, as the refused `response` demands.
    pub(super) async fn token(&self, name: &Name, response: &Response) -> Result<Token, Error> {
        let registry = name.registry();
        let refused = |what: String| Error::Token { registry: registry.clone(), what };
        let Some(challenge) = challenge(response) else {
            return Err(Error::LoginNeeded { registry: registry.clone(), name: name.clone() });
        };
        if challenge.realm.scheme() != "https" && !self.is_insecure(registry) {
            return Err(refused("is not https; see --insecure-registries".to_owned()));
        }
        let scope = format!("repository:{}:pull", name.repository());
        let mut query = vec![("scope", scope.as_str())];
        query.extend(challenge.service.as_deref().map(|service| ("service", service)));
        let request = self.http.get(challenge.realm).query(&query);
        let answer = async {
            let response = request.send().await.map_err(|e| Error::unreachable(registry, e))?;
            if response.status().is_client_error() {
                let (registry, name) = (registry.clone(), name.clone());
                return Err(Error::LoginNeeded { registry, name });
            }
            if !response.status().is_success() {
                let status = response.status().as_u16();
                return Err(Error::Status { registry: registry.clone(), status });
            }
            let body = super::read(response, LIMIT).await.map_err(|e| e.of(registry))?;
            let body = body.ok_or_else(|| refused("answer is too long".to_owned()))?;
            parse(&body).ok_or_else(|| refused("answer has no token".to_owned()))
        };
        let late = |_| Error::Deadline { registry: registry.clone() };
        timeout(self.deadline, answer).await.map_err(late)?
    }
}

fn challenge(response: &Response) -> Option<Challenge> {
    let headers = response.headers().get_all(WWW_AUTHENTICATE);
    headers.iter().filter_map(|header| header.to_str().ok()).find_map(|header| {
        let bearer = ChallengeParser::new(header)
            .filter_map(Result::ok)
            .find(|challenge| challenge.scheme.eq_ignore_ascii_case("Bearer"))?;
        let parameter = |name: &str| {
            let named = bearer.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            named.map(|(_, value)| value.to_unescaped())
        };
        let realm = reqwest::Url::parse(&parameter("realm")?).ok()?;
        Some(Challenge { realm, service: parameter("service") })
    })
}

fn parse(body: &[u8]) -> Option<Token> {
    let grant: Grant = serde_json::from_slice(body).ok()?;
    let text = grant.token.or(grant.access_token).filter(|text| !text.is_empty())?;
    let validity = grant.expires_in.map_or(DEFAULT_VALIDITY, Duration::from_secs);
    let validity = validity.min(Duration::from_hours(1)).saturating_sub(MARGIN);
    Some(Token { text, until: Instant::now() + validity })
}
