//! Controller of [`BootToken`].

use crate::{
    Error, clock,
    context::Context,
    images::Images,
    pull_secrets,
    view::{Named, TokenKey, by_hash},
};
use jiff::Timestamp;
use kube::{ResourceExt, runtime::events::EventType};
use metal_api::{BootToken, BootTokenPhase, BootTokenStatus};
use metal_base::Never;
use metal_core::boot_token::{
    decide::{Change, Decision, Observation, decide},
    kickstart::{DEFAULT_NAME, Urls, names_installer, render},
    login::NoLogin,
    phase,
};
use metal_runtime::{
    controller::Controller,
    index::Index,
    report::{Chain, Failure},
    work::Next,
};
use std::sync::Arc;

/// In place of the URL of a boot.
const SAMPLE: &str = "https://hosts.example.org/c/x";

/// The controller.
pub(crate) struct Tokens(pub(crate) Arc<Context>);

/// What is known of what a token installs with.
#[derive(Debug)]
pub(crate) struct InstallSources {
    kickstart: Kickstart,
    /// Why there is no login for its images.
    no_login: Option<NoLogin>,
}

/// What is known of the kickstart of a token.
#[derive(Debug, Default)]
struct Kickstart {
    /// Why its template cannot be read, or used.
    problem: Option<String>,
    /// Whether it says where Anaconda is.
    names_installer: bool,
}

impl Tokens {
    async fn kickstart(&self, token: &BootToken) -> Kickstart {
        let name = token.spec.template.as_deref().unwrap_or(DEFAULT_NAME);
        let problem = |why| Kickstart { problem: Some(why), ..Kickstart::default() };
        let template = match self.0.templates.read(name).await {
            Ok(template) => template,
            Err(error) => return problem(Chain(&error).to_string()),
        };
        // As it will be rendered for a boot, whose URL is not known yet.
        let urls = Urls { base: SAMPLE, server: &self.0.service_url };
        match render(name, &template, token, urls) {
            Ok(text) => Kickstart { problem: None, names_installer: names_installer(&text) },
            Err(error) => problem(Chain(&error).to_string()),
        }
    }

    /// No Secret is read for a token that no longer opens anything.
    async fn no_login(&self, token: &BootToken) -> Option<NoLogin> {
        let over = [BootTokenPhase::Consumed, BootTokenPhase::Expired, BootTokenPhase::Revoked];
        if over.contains(&phase(token, self.0.now())) {
            return None;
        }
        pull_secrets::problem(&self.0, token).await
    }
}

impl Controller for Tokens {
    type Object = BootToken;
    type Key = Named;
    type IndexKey = TokenKey;
    type Facts = InstallSources;
    type Status = BootTokenStatus;
    type Change = Change;
    type Need = Never;
    type Step = Never;
    type Error = Error;

    fn index(&self) -> &Index<BootToken, TokenKey> {
        &self.0.view.tokens
    }

    fn is_ready(&self) -> bool {
        self.0.view.is_ready()
    }

    async fn observe(&self, token: &Arc<BootToken>) -> Result<InstallSources, Error> {
        let (kickstart, no_login) = tokio::join!(self.kickstart(token), self.no_login(token));
        Ok(InstallSources { kickstart, no_login })
    }

    fn decide(
        &self,
        token: &Arc<BootToken>,
        InstallSources { kickstart, no_login }: &InstallSources,
        failure: Option<&Failure>,
    ) -> Decision {
        let host = self.0.host_of(token);
        decide(&Observation {
            token,
            is_ambiguous: self.0.view.tokens.get(&by_hash(token)).len() > 1,
            host: host.as_ref().ok().and_then(Option::as_deref),
            is_host_unreadable: host.is_err(),
            installer: self.0.installer.as_ref(),
            refusal_of: &|image| Images::refusal_of(self.0.images.as_ref(), image),
            no_template: kickstart.problem.as_deref(),
            names_installer: kickstart.names_installer,
            no_login: no_login.as_ref(),
            failure: failure.map(|failure| failure.text.as_str()),
            now: self.0.now(),
        })
    }

    async fn record(&self, token: &BootToken, status: &BootTokenStatus) -> Result<Next, Error> {
        let namespace = token.namespace().unwrap_or_default();
        let tokens = self.0.tokens(&namespace);
        let recorded = tokens.record_status(token, status).await;
        let recorded = recorded.map_err(|error| Error::Record(Box::new(error)))?;
        // Whoever records the Host says so, and nobody else does.
        let host = |status: &BootTokenStatus| status.registration.as_ref()?.host_uid.clone();
        if host(status).is_some() && token.status.as_ref().and_then(host).is_none() {
            let address = status.registration.as_ref().and_then(|it| it.address.as_deref());
            let from = address.unwrap_or("an unknown address");
            let note = format!("Host {}, from {from}", token.spec.host_name);
            self.0.notices.publish_event(token, EventType::Normal, "Registered", note);
        }
        Ok(recorded.into())
    }

    async fn change(&self, token: &BootToken, change: Change) -> Result<Next, Error> {
        let namespace = token.namespace().unwrap_or_default();
        match change {
            Change::Create(host) => {
                let created = self.0.hosts(&namespace).create(&host).await;
                Ok(created.map_err(|error| Error::Create(Box::new(error)))?.into())
            }
            Change::Remove => {
                clock::is_right(&self.0.client, Timestamp::now()).await?;
                let removed = self.0.tokens(&namespace).delete_seen(&token.metadata).await;
                removed.map_err(|error| Error::Remove(Box::new(error)))?;
                Ok(Next::Wait)
            }
        }
    }
}
