//! One request to a repository, which proves itself where that is demanded.

use super::{
    Access, Error, MANIFESTS, Registries, address_policy::Reach, authentication::Proof,
    refusals::Standing,
};
use crate::reference::Name;
use metal_base::Locked;
use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT, RANGE},
};
use std::collections::HashMap;
use tokio::{
    sync::MutexGuard,
    time::{Instant, timeout},
};

/// How many tokens and logins are cached.
const MAX_PROOFS: usize = 256;

/// One request to a repository.
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// Below the repository.
    pub(super) path: &'a str,
    /// Offset of the first byte, if not 0.
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
        if let Some((_, status)) = self.rests().of(access) {
            return Err(Error::of_status(access, status));
        }
        if self.refusals.locked().rests(access) {
            return Err(Error::of_status(access, StatusCode::UNAUTHORIZED));
        }
        let known = self.known_proof(access);
        let reach = self.reach(registry).await;
        let response = self.send(access.name(), &ask, known.as_ref(), reach).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let Some(login) = self.demanded(access, &response) else {
            let answer = self.proven(access, &ask, &response, reach, &mut None).await;
            return answer.map(|(response, _)| response);
        };
        let standing = self.refusals.locked().standing(registry, login);
        let late = |_| Error::Deadline { registry: registry.clone() };
        let turn = timeout(self.deadline, standing.lock()).await.map_err(late)?;
        if turn.rests() {
            // Nor is it sent because it was right before.
            self.proofs.locked().remove(access);
            return Err(Error::of_status(access, StatusCode::UNAUTHORIZED));
        }
        // One that was accepted is sent by any number of requests at a time.
        let mut turn = Some(turn).filter(|turn| **turn != Standing::Accepted);
        let answer = self.proven(access, &ask, &response, reach, &mut turn).await;
        if let Some(said) = self.heard(access, &answer) {
            said.settle(&standing, turn);
        }
        answer.map(|(response, _)| response)
    }

    /// Sends a request again with the credentials that the refused `response` demands; and whether they were a
    /// token.
    async fn proven(
        &self,
        access: &Access,
        ask: &Ask<'_>,
        response: &Response,
        reach: Reach,
        turn: &mut Option<MutexGuard<'_, Standing>>,
    ) -> Result<(Response, bool), Error> {
        let proof = self.prove(access, response, reach).await?;
        let is_token = matches!(proof, Proof::Bearer(_));
        // The service took the login: nobody has to wait for what the registry says of the token.
        if is_token && let Some(mut turn) = turn.take() {
            *turn = Standing::Accepted;
        }
        let response = self.send(access.name(), ask, Some(&proof), reach).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            self.remember(access, proof);
        }
        Ok((response, is_token))
    }

    /// What an answer says of the login that was sent, if it does; one that was refused rests.
    fn heard(&self, access: &Access, answer: &Result<(Response, bool), Error>) -> Option<Standing> {
        let is_refused = match answer {
            Ok((response, _)) => response.status() == StatusCode::UNAUTHORIZED,
            Err(error) => matches!(error, Error::LoginRefused { .. }),
        };
        if is_refused {
            self.refusals.locked().note(access);
            self.proofs.locked().remove(access);
        }
        match answer {
            // Its service took it, whatever the registry says of the token.
            Ok((_, true)) => Some(Standing::Accepted),
            Ok((response, false)) => match response.status() {
                StatusCode::UNAUTHORIZED => Some(Standing::refused()),
                StatusCode::TOO_MANY_REQUESTS => None,
                status => (!status.is_server_error()).then_some(Standing::Accepted),
            },
            Err(Error::LoginRefused { status: 401, .. }) => Some(Standing::refused()),
            Err(_) => None,
        }
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
        let request = self.client(reach).request(ask.method.clone(), url);
        let request = request.header(ACCEPT, accepted(ask.path));
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
        let proofs = self.proofs.locked();
        proofs.get(access).filter(|proof| proof.until() > Instant::now()).cloned()
    }

    fn remember(&self, access: &Access, proof: Proof) {
        let mut proofs = self.proofs.locked();
        keep(&mut proofs, access.clone(), proof, Instant::now());
    }
}

/// The media types to ask for at a path: manifests of a known type, and blobs of any.
fn accepted(path: &str) -> &'static str {
    if path.starts_with("blobs/") { "*/*" } else { MANIFESTS }
}

/// Adds a proof. If there is no room, the one that ends first makes room for it.
fn keep(proofs: &mut HashMap<Access, Proof>, access: Access, proof: Proof, now: Instant) {
    if proofs.len() >= MAX_PROOFS && !proofs.contains_key(&access) {
        proofs.retain(|_, proof| proof.until() > now);
    }
    if proofs.len() >= MAX_PROOFS && !proofs.contains_key(&access) {
        let first = proofs.iter().min_by_key(|(_, proof)| proof.until());
        let first = first.map(|(access, _)| access.clone());
        first.and_then(|first| proofs.remove(&first));
    }
    proofs.insert(access, proof);
}

#[cfg(test)]
mod tests {
    use super::{super::token::Token, *};
    use std::time::Duration;

    #[test]
    fn the_proof_of_one_more_repository_is_kept() {
        let (now, mut proofs) = (Instant::now(), HashMap::new());
        let access = |number: usize| {
            Access::anonymous(&format!("registry.example/os-{number}").parse().unwrap())
        };
        let proof = |seconds: usize| {
            let until = now + Duration::from_secs(seconds.try_into().unwrap());
            Proof::Bearer(Token { text: "a".to_owned(), until })
        };
        for number in 0..MAX_PROOFS {
            // The one in the middle ends first.
            let seconds = if number == MAX_PROOFS / 2 { 50 } else { 100 + number };
            keep(&mut proofs, access(number), proof(seconds), now);
        }
        keep(&mut proofs, access(0), proof(99), now);
        assert_eq!(proofs.len(), MAX_PROOFS, "another proof of the same replaces it");
        keep(&mut proofs, access(MAX_PROOFS), proof(60), now);
        assert!(proofs.contains_key(&access(MAX_PROOFS)) && proofs.len() == MAX_PROOFS);
        assert!(!proofs.contains_key(&access(MAX_PROOFS / 2)));
        keep(&mut proofs, access(1000), proof(60), now + Duration::from_secs(200));
        assert!(proofs.len() < MAX_PROOFS, "those that have ended go first");
    }
}
