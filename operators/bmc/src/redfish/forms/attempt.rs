//! Sends a write in one form.

use super::Write;
use crate::{
    Error,
    transport::{
        call::{Call, is_fatal},
        condition::{Condition, SentPrecondition, is_precondition},
        etags::Etags,
        form::{Form, WriteTarget},
        message,
        request::Request,
        wire::Reply,
    },
};
use http::header;
use serde_json::Value;

/// The outcome of one form.
pub(super) enum Attempt {
    Taken(Reply),
    /// The ETag had changed by then; this is the new one.
    Contended(Etags),
    /// Refused; the resource has these ETags.
    Refused(Reply, Etags),
    /// The settings resource did not answer.
    Unanswered(Error),
}

impl Write<'_> {
    /// Sends the write in one form.
    pub(super) async fn attempt(&mut self, call: &Call<'_>, form: &Form) -> Result<Attempt, Error> {
        let uri = match (form.place, self.settings.clone()) {
            (WriteTarget::Settings, Some(settings)) => settings,
            _ => self.uri.to_owned(),
        };
        let etags = match self.etags_at(call, form, &uri).await {
            Ok(etags) => etags,
            Err(error) if is_fatal(&error) => return Err(error),
            Err(error) => return Ok(Attempt::Unanswered(error)),
        };
        let sent = form.condition.sent(&etags).unwrap_or_default();
        let is_resource = form.place == WriteTarget::Resource;
        let reply = match call.send(&self.request(&uri, &sent, form)?).await {
            Ok(reply) => reply,
            Err(error) if is_fatal(&error) || is_resource => return Err(error),
            Err(error) => return Ok(Attempt::Unanswered(error)),
        };
        if reply.status.is_success() && !message::tells_failure(&reply.body) {
            return Ok(Attempt::Taken(reply));
        }
        if !is_precondition(reply.status) {
            return Ok(Attempt::Refused(reply, etags));
        }
        if let Some(owner) = self.owner {
            self.read_etags(call, owner).await?;
            return Ok(Attempt::Refused(reply, self.etags.clone()));
        }
        if form.condition == Condition::Etag {
            match call.get(&uri).await {
                Ok(now) if form.condition.sent(&now.etags).unwrap_or_default() != sent => {
                    return Ok(Attempt::Contended(now.etags));
                }
                Err(error) if is_fatal(&error) => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(Attempt::Refused(reply, etags))
    }

    /// The ETags of the resource that a form writes to. An error that is not fatal is one of the
    /// settings resource.
    async fn etags_at(&mut self, call: &Call<'_>, form: &Form, uri: &str) -> Result<Etags, Error> {
        match (form.place, self.owner) {
            (WriteTarget::Settings, _) => match self.settings_etags.take() {
                Some(etags) => Ok(etags),
                None => match call.get(uri).await {
                    Ok(settings) => Ok(settings.etags),
                    // Some settings resources can only be written to.
                    Err(Error::Failed { .. }) => Ok(Etags::default()),
                    Err(error) => Err(error),
                },
            },
            (WriteTarget::Resource, Some(owner)) if form.condition.needs_etag() => {
                self.read_etags(call, owner).await?;
                Ok(self.etags.clone())
            }
            (WriteTarget::Resource, _) => Ok(self.etags.clone()),
        }
    }

    /// Reads the ETag of the resource that an action belongs to, unless it is known.
    async fn read_etags(&mut self, call: &Call<'_>, owner: &str) -> Result<(), Error> {
        if self.etags == Etags::default() {
            match call.get(owner).await {
                Ok(resource) => self.etags = resource.etags,
                Err(error) if is_fatal(&error) => return Err(error),
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn request(
        &self,
        uri: &str,
        condition: &SentPrecondition,
        form: &Form,
    ) -> Result<Request, Error> {
        let mut body = self.body.clone();
        for parameter in self.parameters.iter().filter(|it| form.with.contains(&it.name)) {
            parameter.put(&mut body);
        }
        if let Some(etag) = &condition.in_body {
            body["@odata.etag"] = Value::from(etag.as_str());
        }
        let request = Request::new(self.method.clone(), &Call::path(uri)?).json(&body);
        Ok(match condition.header.clone() {
            Some(etag) => request.header(header::IF_MATCH, etag),
            None => request,
        })
    }
}
