//! One request to a repository, which proves itself where that is demanded.

use super::{Access, Error, MANIFESTS, Registries, prove::Proof, reach::Reach};
use crate::reference::Name;
use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT, RANGE},
};
use std::sync::PoisonError;
use tokio::time::{Instant, timeout};

/// How many tokens and logins are cached.
const MAX_PROOFS: usize = 256;

/// One request to a repository.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// Below the repository.
    pub(super) path: &'a str,
    /// Where it is to begin, if not with the first byte.
    pub(super) from: Option<u64>,
}

impl<'a> Ask<'a> {
    pub(super) fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, from: None }
    }
}

impl Registries {
    /// Sends a request; if a token or a login is required, gets one and sends the request again.
    pub(super) async fn request(&self, access: &Access, ask: Ask<'_>) -> Result<Response, Error> {
        let registry = access.name().registry();
        if let Some((_, status)) = self.rests().of(registry) {
            return Err(Error::of_status(access, status));
        }
        let known = self.known_proof(access);
        let reach = self.reach(registry).await;
        let response = self.send(access.name(), &ask, known.as_ref(), reach).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let proof = self.prove(access, &response, reach).await?;
        let response = self.send(access.name(), &ask, Some(&proof), reach).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            self.remember(access, proof);
        }
        Ok(response)
    }

    async fn send(
        &self,
        name: &Name,
        ask: &Ask<'_>,
        proof: Option<&Proof>,
        reach: Reach,
    ) -> Result<Response, Error> {
        let registry = name.registry();
        let scheme = if self.is_insecure(registry) { "http" } else { "https" };
        let (host, repository, path) = (registry.endpoint(), name.repository(), ask.path);
        let url = format!("{scheme}://{host}/v2/{repository}/{path}");
        let request = self.client(reach).request(ask.method.clone(), url).header(ACCEPT, MANIFESTS);
        let mut request = match proof {
            Some(proof) => proof.show(request),
            None => request,
        };
        if let Some(from) = ask.from {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        // The deadline is for the response's header; its body is subject to `silence`.
        let answer = timeout(self.deadline, request.send()).await;
        let answer = answer.map_err(|_| Error::Deadline { registry: registry.clone() })?;
        answer.map_err(|e| Error::unreachable(registry, e))
    }

    fn known_proof(&self, access: &Access) -> Option<Proof> {
        let proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        proofs.get(access).filter(|proof| proof.until() > Instant::now()).cloned()
    }

    fn remember(&self, access: &Access, proof: Proof) {
        let mut proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        if proofs.len() >= MAX_PROOFS {
            let now = Instant::now();
            proofs.retain(|_, proof| proof.until() > now);
        }
        if proofs.len() < MAX_PROOFS {
            proofs.insert(access.clone(), proof);
        }
    }
}
