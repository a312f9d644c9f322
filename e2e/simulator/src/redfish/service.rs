//! One request: authentication, authorization, and dispatch.

use super::{
    metadata,
    problem::Problem,
    reply::{Content, Reply},
    route::{self, Audience, Resource},
    tasks,
    view::{View, etag},
};
use crate::{
    access::Refused,
    config::{Account, Expand},
    fleet::Fleet,
    machine::{Machine, State},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::{
    HeaderMap, Method, StatusCode,
    header::{AUTHORIZATION, ETAG, IF_NONE_MATCH, LOCATION},
};
use serde_json::Value;
use std::sync::Arc;
use tokio::time::Instant;

/// One request to one BMC.
pub(super) struct Request<'a> {
    pub(super) fleet: &'a Arc<Fleet>,
    /// The machine whose BMC was asked.
    pub(super) bmc: &'a Machine,
    /// The system of that BMC that the path is about; the first one, if it is about the BMC.
    pub(super) machine: &'a Machine,
    pub(super) now: Instant,
    pub(super) method: &'a Method,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
}

impl Request<'_> {
    /// Answers it.
    pub(super) fn reply(&self) -> Reply {
        let resource = Resource::at(self.path).filter(|_| self.has_system());
        let reply = self.dispatch(resource).unwrap_or_else(Reply::from);
        match resource {
            Some(resource) => reply.allow(resource.allow()),
            None => reply,
        }
    }

    /// Whether the system that the path is about exists.
    fn has_system(&self) -> bool {
        let number = self.machine.index - self.bmc.index + 1;
        route::system(self.path).is_none_or(|wanted| wanted == number)
    }

    fn dispatch(&self, resource: Option<Resource>) -> Result<Reply, Problem> {
        if self.headers.get("odata-version").is_some_and(|version| version != "4.0") {
            return Err(Problem::odata_version());
        }
        let is_login = resource == Some(Resource::Sessions) && self.method == Method::POST;
        let is_open = resource.is_some_and(|at| at.audience() == Audience::Everybody);
        if !is_login && !is_open {
            self.authenticate()?;
        }
        let resource = resource.ok_or_else(|| Problem::no_such_resource(self.path))?;
        match (self.method, resource) {
            (&Method::GET | &Method::HEAD, action) if action.is_action() => {
                Err(Problem::not_allowed())
            }
            (&Method::GET | &Method::HEAD, _) => self.get(resource),
            (&Method::PATCH, Resource::System | Resource::Account) => self.patch(resource),
            (&Method::POST, Resource::Sessions) => self.open_session(),
            (&Method::POST, Resource::SystemReset) => self.reset_system(),
            (&Method::POST, Resource::ManagerReset) => self.reset_manager(),
            (&Method::POST, Resource::InsertMedia) => self.insert_medium(),
            (&Method::POST, Resource::EjectMedia) => self.eject_medium(),
            (&Method::DELETE, Resource::Session(id)) => self.close_session(id),
            _ => Err(Problem::not_allowed()),
        }
    }

    fn authenticate(&self) -> Result<(), Problem> {
        let config = &self.fleet.config;
        let mut state = self.bmc.lock();
        let token = self.headers.get("x-auth-token").and_then(|token| token.to_str().ok());
        let basic = self.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let result = match (token, basic) {
            (Some(token), _) => {
                let is_known = state.access.admits(&config.limits, self.now, token);
                is_known.then_some(()).ok_or(Refused::Credentials)
            }
            (None, Some(basic)) => match basic_account(basic) {
                Some(given) => {
                    state.access.log_in(&config.account, &config.limits, self.now, &given)
                }
                None => Err(Refused::Credentials),
            },
            (None, None) => return Err(Problem::no_valid_session()),
        };
        result.map_err(|_| {
            state.counters.refused += 1;
            Problem::no_valid_session()
        })
    }

    /// What a resource is rendered from.
    pub(super) fn view<'a>(&'a self, state: &'a State) -> View<'a> {
        View { config: &self.fleet.config, machine: self.machine, state, now: self.now }
    }

    fn get(&self, resource: Resource) -> Result<Reply, Problem> {
        let expands = self.expands()?;
        match resource {
            Resource::Metadata => {
                return Ok(Reply::with(StatusCode::OK, Content::Xml(metadata::document())));
            }
            Resource::TaskMonitor(id) => return self.task_monitor(&self.machine.lock(), id),
            _ => {}
        }
        let body = self.view(&self.machine.lock()).render(resource);
        let body = body.ok_or_else(|| Problem::no_such_resource(self.path))?;
        let body = if expands { self.expand(body) } else { body };
        let known = self.headers.get(IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
        if let Some(tag) = known.filter(|known| *known == etag(&body)) {
            let reply = Reply::with(StatusCode::NOT_MODIFIED, Content::Empty);
            return Ok(reply.header(ETAG, tag));
        }
        Ok(Reply::resource(StatusCode::OK, body))
    }

    /// A collection with its members in place of links: `$expand=.`.
    fn expand(&self, mut collection: Value) -> Value {
        if let Some(Value::Array(members)) = collection.get_mut("Members") {
            for member in members {
                if let Some(whole) = self.linked(member) {
                    *member = whole;
                }
            }
        }
        collection
    }

    /// The resource that a link leads to.
    fn linked(&self, link: &Value) -> Option<Value> {
        let uri = link["@odata.id"].as_str()?;
        let request = self.at(uri)?;
        request.view(&request.machine.lock()).render(Resource::at(uri)?)
    }

    /// The same request for another resource of this BMC.
    pub(super) fn at<'b>(&'b self, uri: &'b str) -> Option<Request<'b>> {
        let machine = self.fleet.system(self.bmc, route::system(uri).unwrap_or(1))?;
        Some(Request { machine, path: uri, query: None, ..*self })
    }

    /// Whether a collection with one member is to be answered by that member (DSP0266, 7.3).
    pub(super) fn wants_only_member(&self) -> bool {
        *self.method == Method::GET && self.query_names().any(|name| name == "only")
    }

    /// Whether `$expand` is requested; an unsupported query is refused (DSP0266, 7.3).
    fn expands(&self) -> Result<bool, Problem> {
        let mut expands = false;
        for name in self.query_names() {
            match name {
                "$expand" if self.fleet.config.profile.expand == Expand::Offered => expands = true,
                _ if name.starts_with('$') => return Err(Problem::query_not_supported()),
                _ => {}
            }
        }
        Ok(expands)
    }

    fn query_names(&self) -> impl Iterator<Item = &str> {
        let parts = self.query.unwrap_or_default().split('&');
        parts.map(|part| part.split('=').next().unwrap_or_default())
    }

    fn task_monitor(&self, state: &State, id: u32) -> Result<Reply, Problem> {
        let task = state.tasks.find(id).ok_or_else(|| Problem::no_such_resource(self.path))?;
        if task.ended(self.now).is_some() {
            return Ok(Reply::empty());
        }
        let body = tasks::render(task, self.now);
        Ok(Reply::with(StatusCode::ACCEPTED, Content::Json(body))
            .header(LOCATION, &tasks::monitor(task)))
    }
}

/// `Authorization: Basic`.
fn basic_account(value: &str) -> Option<Account> {
    let (scheme, encoded) = value.split_once(' ')?;
    let decoded = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let (username, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| Account { username: username.to_owned(), password: password.to_owned() })
}
