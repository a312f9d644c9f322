//! Repeats a refused write in other forms. Nothing else in this crate does.
//!
//! Firmware differs in the form in which it accepts a write. A form is the resource that the write
//! is sent to, its precondition (DSP0266, section 6.5: `If-Match`), and the set of optional
//! parameters. The first form tried is the one that this BMC accepted last time, else that of the
//! standard. After a refusal comes the form that changes what the BMC blames, else the next of the
//! table:
//!
//! | blamed                              | next form                                           |
//! |-------------------------------------|-----------------------------------------------------|
//! | the condition (412, 428, "If-Match")| another ETag, weak or strong, `*`, none, in the body|
//! | a parameter (`MessageArgs`, ...)    | without it if it was sent, else with it             |
//! | the resource (404, 405, 501)        | the settings resource, or back                      |
//! | who asks (403)                      | the settings resource, or back, and that is all     |
//! | nothing                             | other parameters, no condition, other resource      |

mod attempt;
mod parameter;
mod refusal;

pub(crate) use parameter::{Parameter, apply_time, set};
pub(crate) use refusal::AllRefused;

use crate::{
    Error,
    transport::{
        call::{Call, failed, is_cut_off},
        condition::Condition,
        etags::Etags,
        form::{Form, Kind, MOST, WriteTarget},
        json, task,
        wire::Reply,
    },
};
use attempt::Attempt;
use http::{Method, StatusCode};
use metal_core::redfish::{BootMode, BootSource};
use refusal::{Refusal, RefusalCause, is_of_form};
use serde_json::Value;
use std::collections::BTreeSet;

/// Most memory that the body of a refusal may take.
const REFUSAL: usize = 256 << 10;

/// A write, and the forms that it can be sent in.
pub(crate) struct Write<'a> {
    pub(crate) kind: Kind,
    pub(crate) method: Method,
    /// The resource, or the target of the action, as it was read.
    pub(crate) uri: &'a str,
    /// The resource whose ETag counts, if that is another one.
    pub(crate) owner: Option<&'a str>,
    pub(crate) etags: Etags,
    /// The settings resource, if there is one.
    pub(crate) settings: Option<String>,
    /// Its ETags, if it was just read: a slow BMC is not asked twice.
    pub(crate) settings_etags: Option<Etags>,
    /// Properties that are sent in every form.
    pub(crate) body: Value,
    pub(crate) parameters: Vec<Parameter>,
    /// Sets of optional parameters, in the order in which they are tried. A parameter in none of
    /// them is sent only if the BMC asks for it.
    pub(crate) sets: Vec<BTreeSet<String>>,
    /// The current values of properties that the BMC may ask for.
    pub(crate) present: Value,
    /// Forms that were accepted before and had no effect: they come last.
    pub(crate) unseen: Vec<Form>,
    /// What should be read back, if the write sets the source of the next boot.
    pub(crate) wanted: Option<(BootSource, Option<BootMode>)>,
    /// What is being done, as an infinitive with its URI.
    pub(crate) action: String,
}

impl Write<'_> {
    /// Sends the write, in one form after another, and waits until it is complete. Of values that
    /// apply at the next reset of the host, only their acceptance is waited for. A reset whose task
    /// outlasts the call was accepted: some end only when the operating system has shut down.
    pub(crate) async fn send(self, call: &Call<'_>) -> Result<(), Error> {
        let (action, kind) = (self.action.clone(), self.kind);
        let reply = self.taken(call).await?;
        task::finish(call, reply, action, kind.wait()).await
    }

    /// Sends the write, in one form after another, to a manager that goes down because of it, so
    /// that its completion is not waited for.
    pub(crate) async fn send_off(self, call: &Call<'_>) -> Result<(), Error> {
        self.taken(call).await.map(drop)
    }

    /// The response to the first form that is accepted.
    async fn taken(mut self, call: &Call<'_>) -> Result<Reply, Error> {
        let first = self.first(call);
        let mut form = self.after_unseen(&first).unwrap_or(first);
        let earlier = call.memory().refused(self.kind);
        let mut tried = [self.unseen.clone(), earlier.clone()].concat();
        let (before, mut refusals) = (tried.len(), vec![]);
        let mut is_contended = false;
        loop {
            let attempt = match self.attempt(call, &form).await {
                Err(error) if !refusals.is_empty() && is_cut_off(&error) => {
                    let tried = &tried[before..];
                    return Err(self.interrupted(call, form, tried, refusals, &error));
                }
                attempt => attempt?,
            };
            let refusal = match attempt {
                Attempt::Taken(reply) => {
                    self.remember(call, form, refusals.is_empty());
                    return Ok(reply);
                }
                Attempt::Contended(etags) if !is_contended => {
                    // Somebody else has changed the resource in the meantime: the form is not to
                    // blame.
                    is_contended = true;
                    if form.place == WriteTarget::Resource {
                        self.etags = etags;
                    }
                    continue;
                }
                // Or the BMC returns a different ETag each time.
                Attempt::Contended(etags) => Refusal::of_etag(self.shown(&form), etags),
                Attempt::Refused(reply, etags) => self.refusal(call, &form, &reply, etags)?,
                Attempt::Unanswered(error) => {
                    Refusal::unanswered(self.shown(&form), &error, self.etags.clone())
                }
            };
            tried.push(form.clone());
            // After the first form, a call goes on where the one before has ended.
            let end = earlier.last().filter(|_| refusals.is_empty());
            let next = end.and_then(|end| self.next(end, &refusal.cause, &tried));
            let next = next.or_else(|| self.next(&form, &refusal.cause, &tried));
            refusals.push(refusal);
            match next {
                Some(next) if refusals.len() < MOST => form = next,
                next => {
                    let left = next.map(|_| &tried[before..]);
                    return Err(self.given_up(call, refusals, left));
                }
            }
        }
    }

    /// The error for a write that is cut off after refusals. The next call goes on with this form: a
    /// slow BMC may have many.
    fn interrupted(
        self,
        call: &Call<'_>,
        form: Form,
        tried: &[Form],
        refusals: Vec<Refusal>,
        error: &Error,
    ) -> Error {
        call.memory().refuses(self.kind, tried);
        call.memory().took(self.kind, form);
        failed(self.action, AllRefused::new(refusals).interrupted(error))
    }

    /// The error for a write that is refused in as many forms as one call tries. If others are left,
    /// the next call tries those, after the first; then these are the ones that were tried.
    fn given_up(self, call: &Call<'_>, refusals: Vec<Refusal>, tried: Option<&[Form]>) -> Error {
        let said = AllRefused::new(refusals);
        let Some(tried) = tried else {
            call.memory().begins_anew(self.kind);
            return failed(self.action, said);
        };
        call.memory().refuses(self.kind, tried);
        failed(self.action, said.unfinished())
    }

    /// What the response to one form blames. An error ends the write: no other form would be taken.
    fn refusal(
        &mut self,
        call: &Call<'_>,
        form: &Form,
        reply: &Reply,
        etags: Etags,
    ) -> Result<Refusal, Error> {
        if !is_of_form(reply.status, &self.method) {
            return Err(call.refusal(reply, self.action.clone()));
        }
        let cause = self.blame(reply, etags);
        Ok(Refusal::answered(self.shown(form), &call.refused(reply), cause))
    }

    /// Remembers an accepted form; `at_once` says whether it was the first one tried.
    fn remember(&self, call: &Call<'_>, form: Form, at_once: bool) {
        if let Some(wanted) = self.wanted {
            call.memory().waits_for(self.uri, form.clone(), wanted);
        }
        call.memory().begins_anew(self.kind);
        if !at_once || !self.unseen.is_empty() {
            call.memory().took(self.kind, form);
        }
    }

    /// The first form to try: the one accepted last time, if this write has it.
    fn first(&mut self, call: &Call<'_>) -> Form {
        if let Some(taken) = call.memory().form(self.kind) {
            taken.with.iter().for_each(|name| self.learn(name));
            let has = |name: &String| self.parameters.iter().any(|it| it.name == *name);
            let has_place = taken.place == WriteTarget::Resource || self.settings.is_some();
            if has_place && taken.with.iter().all(has) {
                return taken;
            }
        }
        let with = self.sets.first().cloned().unwrap_or_default();
        Form { place: self.place(call), condition: self.condition(), with }
    }

    /// The first precondition to try. Changes of a resource are made only if it has not changed
    /// since it was read.
    fn condition(&self) -> Condition {
        if self.method == Method::PATCH { Condition::Etag } else { Condition::Without }
    }

    /// The form after those that had no effect. After all of them, they are tried again.
    fn after_unseen(&self, first: &Form) -> Option<Form> {
        let last = self.unseen.last()?;
        if !self.unseen.contains(first) {
            return None;
        }
        self.next(last, &RefusalCause::of(StatusCode::OK, self.etags.clone()), &self.unseen)
    }

    /// The first place to try. Boot settings are sent to where they are read from.
    fn place(&self, call: &Call<'_>) -> WriteTarget {
        let boot = self.kind.is_of_boot();
        let known = call.memory().place_of_boot().filter(|_| boot);
        let shown = || {
            let settings = self.settings.as_ref().filter(|_| boot)?;
            call.memory().may_have_boot(settings).then_some(WriteTarget::Settings)
        };
        known.filter(|_| self.settings.is_some()).or_else(shown).unwrap_or(WriteTarget::Resource)
    }

    /// What a refusal blames.
    fn blame(&mut self, reply: &Reply, etags: Etags) -> RefusalCause {
        let body = json::value(&reply.body, REFUSAL).unwrap_or_default();
        let blame = RefusalCause::read(reply, &body, etags);
        blame.names.iter().for_each(|name| self.learn(name));
        blame
    }

    /// Makes an optional parameter out of a property that the BMC asks for, with its current value.
    fn learn(&mut self, name: &str) {
        let is_of =
            |it: &Parameter| [it.path.first(), it.path.last()].contains(&Some(&name.to_owned()));
        let is_known = self.parameters.iter().any(|it| it.name == *name || is_of(it));
        if is_known || is_in(&self.body, name) {
            return;
        }
        for path in [vec![name], vec!["Boot", name]] {
            let value = path.iter().fold(&self.present, |value, name| &value[*name]);
            if value.is_string() || value.is_boolean() {
                let parameter = Parameter::new(&path, value.clone());
                self.parameters.push(parameter);
                return;
            }
        }
    }

    /// The next form to try.
    fn next(&self, form: &Form, blame: &RefusalCause, tried: &[Form]) -> Option<Form> {
        let etags = &blame.etags;
        let other = |condition: Condition| Form { condition, ..form.clone() };
        let sets = self.sets.iter().map(|with| Form { with: with.clone(), ..form.clone() });
        let place = match form.place {
            WriteTarget::Resource => WriteTarget::Settings,
            WriteTarget::Settings => WriteTarget::Resource,
        };
        let places = self.settings.iter().flat_map(|_| &self.sets).map(|with| Form {
            place,
            condition: self.condition(),
            with: with.clone(),
        });
        let places: Vec<_> = places.collect();
        if blame.status == StatusCode::FORBIDDEN {
            // It is about who asks. A property that is named may be read-only, and what the resource
            // refuses may be for its settings; nothing else would be accepted from the same account.
            let is_new = tried.iter().all(|it| it.place != place);
            let elsewhere = places.into_iter().find(|_| is_new);
            let named = self.named(form, &blame.names).into_iter();
            return named.filter(|it| !tried.contains(it)).chain(elsewhere).next();
        }
        let mut forms = vec![];
        if blame.condition {
            let conditions = Condition::ALL.into_iter().filter(|it| it.sent(etags).is_some());
            forms.extend(conditions.map(other));
        }
        forms.extend(self.named(form, &blame.names));
        if blame.is_of_resource() {
            forms.extend(places.clone());
        }
        forms.extend(sets);
        if form.condition.sent(etags).is_some_and(|sent| sent.header.is_some()) {
            forms.push(other(Condition::Without));
        }
        forms.extend(places);
        let sent = |form: &Form| {
            let condition = form.condition.sent(etags).unwrap_or_default();
            (form.place, condition, form.with.clone())
        };
        let known: Vec<_> = tried.iter().map(sent).collect();
        forms.into_iter().find(|form| !known.contains(&sent(form)))
    }

    /// Forms without the parameters that a refusal names, or with them.
    fn named(&self, form: &Form, names: &[String]) -> Vec<Form> {
        let blamed = self.parameters.iter().filter(|it| names.contains(&it.name) && !it.is_choice);
        let toggled = blamed.map(|parameter| {
            let mut with = form.with.clone();
            if !with.remove(&parameter.name) {
                with.insert(parameter.name.clone());
            }
            Form { with, ..form.clone() }
        });
        toggled.collect()
    }

    fn shown(&self, form: &Form) -> String {
        let uri = match (form.place, &self.settings) {
            (WriteTarget::Settings, Some(settings)) => settings,
            _ => self.uri,
        };
        let is_usual = self.method != Method::PATCH && form.condition == Condition::Without;
        let condition = if is_usual { "" } else { form.condition.shown() };
        let with: Vec<_> = form.with.iter().map(String::as_str).collect();
        let with =
            if with.is_empty() { String::new() } else { format!(" and {}", with.join(", ")) };
        format!("{} {uri}{condition}{with}", self.method)
    }
}

fn is_in(body: &Value, name: &str) -> bool {
    !body[name].is_null() || !body["Boot"][name].is_null()
}

#[cfg(test)]
mod tests;
