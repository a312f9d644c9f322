//! How a refused write is tried again: the one place that knows.
//!
//! Firmware takes the same write in different forms. A form is where it is sent, on what condition
//! (DSP0266, section 6.5: `If-Match`), and with which of the parameters that are not needed
//! everywhere. The first is the one that this BMC took last time, else the one of the standard.
//! After a refusal comes the form that changes what the BMC blames, else the next of the table:
//!
//! | blamed                              | then                                                |
//! |-------------------------------------|-----------------------------------------------------|
//! | the condition (412, 428, "If-Match")| another ETag, weak or strong, `*`, none             |
//! | a parameter (`MessageArgs`, ...)    | without it if it was sent, else with it             |
//! | the resource (404, 405, 501)        | the resource of settings to come                    |
//! | nothing                             | other parameters, without condition, other resource |

use crate::{
    Error,
    call::{Call, Etags, failed},
    endpoint::Request,
    json,
    message::{self, Refused},
    task,
    wire::Reply,
};
use http::{HeaderValue, Method, StatusCode, header};
use metal_core::redfish::ResetType;
use serde_json::{Value, json};
use std::{collections::BTreeSet, error::Error as StdError, fmt};

/// As many forms are tried.
pub(crate) const MOST: usize = 8;
/// Memory that a refusal may take.
const REFUSAL: usize = 256 << 10;

/// What is written. How a BMC takes it is remembered for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    BootOverride,
    BootOrder,
    Led,
    Insert,
    Eject,
    Reset(ResetType),
    ResetManager(ResetType),
}

/// Where it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// The resource, or the target of the action.
    Resource,
    /// The resource of settings to come (`@Redfish.Settings`; DSP0266, section 9.10).
    Settings,
}

/// On what condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Condition {
    /// The ETag of the header; without one, that of the body.
    Etag,
    /// `@odata.etag`, where it is another.
    Body,
    /// The ETag as a weak one if it is strong, and the other way round.
    OtherStrength,
    /// That of the body, likewise.
    OtherBody,
    /// Whatever it is.
    Any,
    /// None.
    Without,
}

/// A form of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) place: Place,
    condition: Condition,
    with: BTreeSet<String>,
}

/// A parameter that is not needed everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    /// What it is called in errors, and in a set of parameters.
    pub(crate) name: String,
    /// Where it stands.
    path: Vec<String>,
    value: Value,
    /// One of several values for the same place: never left out.
    is_choice: bool,
}

impl Parameter {
    pub(crate) fn new(path: &[&str], value: impl Into<Value>) -> Self {
        let name = path.last().copied().unwrap_or_default().to_owned();
        let path = path.iter().map(|name| (*name).to_owned()).collect();
        Self { name, path, value: value.into(), is_choice: false }
    }

    /// One value of several for the same place.
    pub(crate) fn choice(name: &str, value: &str) -> Self {
        let path = vec![name.to_owned()];
        Self { name: value.to_owned(), path, value: value.into(), is_choice: true }
    }

    /// Whether these are the values that there are, and it has one of them.
    pub(crate) fn is_one_of(&self, allowed: &[String]) -> bool {
        allowed.iter().any(|allowed| self.value == allowed.as_str())
    }

    fn put(&self, body: &mut Value) {
        let mut place = body;
        for name in &self.path {
            place = &mut place[name];
        }
        *place = self.value.clone();
    }
}

/// A write, and the forms that it has.
pub(crate) struct Write<'a> {
    pub(crate) kind: Kind,
    pub(crate) method: Method,
    /// The resource, or the target of the action; and what was read of it.
    pub(crate) uri: &'a str,
    pub(crate) etags: Etags,
    /// The resource of settings to come.
    pub(crate) settings: Option<String>,
    /// What is sent in every form.
    pub(crate) body: Value,
    pub(crate) parameters: Vec<Parameter>,
    /// Sets of parameters in the order in which they are tried. A parameter in none of them is
    /// sent only if the BMC asks for it.
    pub(crate) sets: Vec<BTreeSet<String>>,
    /// Where the present values of parameters are that the BMC asks for.
    pub(crate) present: Value,
    /// Forms that were taken and had no effect: they come last.
    pub(crate) unseen: Vec<Form>,
    /// What is done, as an infinitive with its URI.
    pub(crate) action: String,
}

/// A set of parameters, by name.
pub(crate) fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// A BMC refused a write in every form.
#[derive(Debug)]
pub(crate) struct AllRefused {
    said: Vec<String>,
    is_about_a_value: bool,
    tried: Option<Tried>,
}

/// In which forms.
#[derive(Debug, thiserror::Error)]
#[error("tried {}", .0.join("; "))]
struct Tried(Vec<String>);

impl fmt::Display for AllRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said.join("; "))
    }
}

impl StdError for AllRefused {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.tried.as_ref().map(|tried| tried as _)
    }
}

/// A refusal, and what it blames.
struct Blame {
    status: StatusCode,
    condition: bool,
    names: Vec<String>,
}

impl Write<'_> {
    /// Writes, in one form after the other, and waits until that is done.
    pub(crate) async fn send(self, call: &Call<'_>) -> Result<(), Error> {
        let action = self.action.clone();
        let reply = self.taken(call).await?;
        task::finish(call, reply, action).await
    }

    /// Writes, in one form after the other, to what will not be there to tell when that is done.
    pub(crate) async fn send_off(self, call: &Call<'_>) -> Result<(), Error> {
        self.taken(call).await.map(drop)
    }

    /// The answer to the first form that is taken.
    async fn taken(mut self, call: &Call<'_>) -> Result<Reply, Error> {
        let mut form = self.first(call);
        let (mut tried, mut refusals) = (self.unseen.clone(), vec![]);
        if let Some(other) = self.after_unseen(&form) {
            form = other;
        }
        let mut is_contended = false;
        loop {
            let (uri, etags) = match (form.place, &self.settings) {
                (Place::Settings, Some(settings)) => {
                    (settings.clone(), call.get(settings).await?.etags)
                }
                _ => (self.uri.to_owned(), self.etags.clone()),
            };
            let etag = form.condition.header(&etags);
            let reply = call.send(&self.request(call, &uri, etag.clone(), &form)?).await?;
            if reply.status.is_success() {
                if self.kind == Kind::BootOverride {
                    call.memory().waits_for(self.uri, form.clone());
                }
                if !refusals.is_empty() || !self.unseen.is_empty() {
                    call.memory().took(self.kind, form);
                }
                return Ok(reply);
            }
            if is_precondition(reply.status) && form.condition == Condition::Etag {
                // Somebody else may have changed it since: that is no matter of form.
                let now = call.get(&uri).await?.etags;
                if form.condition.header(&now) != etag {
                    if std::mem::replace(&mut is_contended, true) {
                        return Err(call.refusal(&reply, self.action));
                    }
                    self.etags = now;
                    continue;
                }
            }
            let blame = self.blame(&reply);
            if !is_of_form(reply.status) {
                return Err(call.refusal(&reply, self.action));
            }
            refusals.push((self.shown(&form), call.refused(&reply)));
            tried.push(form.clone());
            let next = self.next(&form, &blame, &etags, &tried);
            match next.filter(|_| refusals.len() < MOST) {
                Some(next) => form = next,
                None => return Err(failed(self.action, AllRefused::new(refusals))),
            }
        }
    }

    /// The form to begin with: the one that was taken, if this write has it.
    fn first(&mut self, call: &Call<'_>) -> Form {
        if let Some(taken) = call.memory().form(self.kind) {
            taken.with.iter().for_each(|name| self.learn(name));
            let has = |name: &String| self.parameters.iter().any(|it| it.name == *name);
            let has_place = taken.place == Place::Resource || self.settings.is_some();
            if has_place && taken.with.iter().all(has) {
                return taken;
            }
        }
        let with = self.sets.first().cloned().unwrap_or_default();
        Form { place: self.place(call), condition: Condition::Etag, with }
    }

    /// The form after those that had no effect. After all of them, they are tried again.
    fn after_unseen(&self, first: &Form) -> Option<Form> {
        let nothing = Blame { status: StatusCode::OK, condition: false, names: vec![] };
        let last = self.unseen.last()?;
        if !self.unseen.contains(first) {
            return None;
        }
        self.next(last, &nothing, &self.etags, &self.unseen)
    }

    /// Where it is sent first: settings of the boot go where they are read.
    fn place(&self, call: &Call<'_>) -> Place {
        let boot = matches!(self.kind, Kind::BootOverride | Kind::BootOrder);
        let known = call.memory().place_of_boot().filter(|_| boot);
        let shown = || {
            let settings = self.settings.as_ref().filter(|_| boot)?;
            call.memory().may_have_boot(settings).then_some(Place::Settings)
        };
        known.filter(|_| self.settings.is_some()).or_else(shown).unwrap_or(Place::Resource)
    }

    fn request(
        &self,
        call: &Call<'_>,
        uri: &str,
        etag: Option<HeaderValue>,
        form: &Form,
    ) -> Result<Request, Error> {
        let mut body = self.body.clone();
        for parameter in self.parameters.iter().filter(|it| form.with.contains(&it.name)) {
            parameter.put(&mut body);
        }
        let request = Request::new(self.method.clone(), &call.path(uri)?).json(&body);
        Ok(match etag.filter(|_| self.method == Method::PATCH) {
            Some(etag) => request.header(header::IF_MATCH, etag),
            None => request,
        })
    }

    /// What a refusal blames.
    fn blame(&mut self, reply: &Reply) -> Blame {
        let body = json::value(&reply.body, REFUSAL).unwrap_or_default();
        let names = message::named(&body);
        let text = message::messages(&body).unwrap_or_default().to_ascii_lowercase();
        let condition = is_precondition(reply.status)
            || ["if-match", "etag", "precondition"].iter().any(|word| text.contains(word));
        for name in &names {
            self.learn(name);
        }
        Blame { status: reply.status, condition, names }
    }

    /// Makes a parameter of a property that nobody thought of, with its present value.
    fn learn(&mut self, name: &str) {
        let is_known = self.parameters.iter().any(|it| it.name == *name || it.path[0] == *name);
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

    /// The form after this one.
    fn next(&self, form: &Form, blame: &Blame, etags: &Etags, tried: &[Form]) -> Option<Form> {
        let conditions = self.conditions(etags);
        let other = |condition: &Condition| Form { condition: *condition, ..form.clone() };
        let sets = self.sets.iter().map(|with| Form { with: with.clone(), ..form.clone() });
        let place = match form.place {
            Place::Resource => Place::Settings,
            Place::Settings => Place::Resource,
        };
        let places = self.settings.iter().flat_map(|_| &self.sets).map(|with| Form {
            place,
            condition: Condition::Etag,
            with: with.clone(),
        });
        let places: Vec<_> = places.collect();
        let mut forms = vec![];
        if blame.condition {
            forms.extend(conditions.iter().map(other));
        }
        forms.extend(self.named(form, &blame.names));
        if is_of_resource(blame.status) {
            forms.extend(places.clone());
        }
        forms.extend(sets);
        if form.condition.header(etags).is_some() && self.method == Method::PATCH {
            forms.push(other(&Condition::Without));
        }
        forms.extend(places);
        let sent = |form: &Form| (form.place, form.condition.header(etags), form.with.clone());
        let known: Vec<_> = tried.iter().map(sent).collect();
        forms.into_iter().find(|form| !known.contains(&sent(form)))
    }

    /// Without the parameters that a refusal names, or with them.
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

    fn conditions(&self, etags: &Etags) -> Vec<Condition> {
        use Condition::{Any, Body, Etag, OtherBody, OtherStrength, Without};
        if self.method != Method::PATCH {
            return vec![];
        }
        let all = [Etag, Body, OtherStrength, OtherBody, Any, Without];
        all.into_iter().filter(|it| *it == Without || it.header(etags).is_some()).collect()
    }

    fn shown(&self, form: &Form) -> String {
        let place = match (form.place, &self.settings) {
            (Place::Settings, Some(settings)) => format!("{} {settings}", self.method),
            _ => format!("{} {}", self.method, self.uri),
        };
        let condition = match form.condition {
            Condition::Etag if self.method != Method::PATCH => "",
            Condition::Etag => " with the ETag, if any",
            Condition::Body => " with the ETag of the body",
            Condition::OtherStrength => " with a weak ETag for a strong one",
            Condition::OtherBody => " with a weak ETag of the body for a strong one",
            Condition::Any => " with If-Match: *",
            Condition::Without => " without If-Match",
        };
        let with: Vec<_> = form.with.iter().map(String::as_str).collect();
        let with =
            if with.is_empty() { String::new() } else { format!(" and {}", with.join(", ")) };
        format!("{place}{condition}{with}")
    }
}

impl Condition {
    fn header(self, etags: &Etags) -> Option<HeaderValue> {
        let etag = etags.header.as_ref().or(etags.body.as_ref());
        match self {
            Self::Etag => etag.cloned(),
            Self::Body => etags.body.clone().filter(|body| Some(body) != etags.header.as_ref()),
            Self::OtherStrength => other_strength(etag?),
            Self::OtherBody => {
                etags.header.as_ref()?;
                other_strength(etags.body.as_ref()?)
            }
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::Without => None,
        }
    }
}

fn other_strength(etag: &HeaderValue) -> Option<HeaderValue> {
    let text = etag.to_str().ok()?;
    let other = match text.strip_prefix("W/") {
        Some(strong) => strong.to_owned(),
        None => format!("W/{text}"),
    };
    HeaderValue::from_str(&other).ok()
}

impl AllRefused {
    fn new(refusals: Vec<(String, Refused)>) -> Self {
        let refusals_of_value = refusals.iter().all(|(_, refused)| refused.is_about_a_value());
        let mut said: Vec<String> = vec![];
        for (_, refused) in &refusals {
            let refused = refused.to_string();
            if !said.contains(&refused) {
                said.push(refused);
            }
        }
        let tried: Vec<_> = refusals.into_iter().map(|(form, _)| form).collect();
        let is_about_a_value = refusals_of_value;
        Self { said, is_about_a_value, tried: (tried.len() > 1).then_some(Tried(tried)) }
    }

    /// Whether the BMC does not know a value that it was sent, whatever the state of the machine.
    pub(crate) fn is_about_a_value(&self) -> bool {
        self.is_about_a_value
    }
}

fn is_in(body: &Value, name: &str) -> bool {
    !body[name].is_null() || !body["Boot"][name].is_null()
}

fn is_precondition(status: StatusCode) -> bool {
    matches!(status, StatusCode::PRECONDITION_FAILED | StatusCode::PRECONDITION_REQUIRED)
}

/// Whether a refusal may be one of the resource that was written to.
fn is_of_resource(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
    )
}

/// Whether another form may be taken where this one was refused: certainly nothing was done, and it
/// is not about who asks, nor about the state of the machine.
fn is_of_form(status: StatusCode) -> bool {
    let other = [
        StatusCode::UNAUTHORIZED,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::CONFLICT,
        StatusCode::LOCKED,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    (status.is_client_error() && !other.contains(&status)) || status == StatusCode::NOT_IMPLEMENTED
}

/// When settings to come are applied: sent where the BMC asks for it.
pub(crate) fn apply_time() -> Parameter {
    let name = "@Redfish.SettingsApplyTime";
    Parameter::new(&[name], json!({"ApplyTime": "OnReset"}))
}

#[cfg(test)]
mod tests;
