//! PATCH, POST and DELETE.

use super::{
    boot,
    manager::RESET_TYPES,
    problem::Problem,
    reply::{Content, Reply},
    route::Resource,
    service::Request,
    tasks,
    view::etag,
};
use crate::{
    access::Refused,
    config::{Account, ResetAnswer},
    journal::Event,
    machine::{Led, State},
    power::Reset,
    reset::{self, Outcome},
};
use http::{
    HeaderName, StatusCode,
    header::{ETAG, IF_MATCH, LOCATION},
};
use jiff::Timestamp;
use serde_json::{Map, Value};

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

impl Request<'_> {
    /// PATCH of `System` or `Account`.
    pub(super) fn patch(&self, resource: Resource) -> Result<Reply, Problem> {
        let patch = self.object()?;
        let mut state = self.machine.lock();
        state.counters.patches += 1;
        let current = self.view(&state).render(resource);
        let current = current.ok_or_else(|| Problem::no_such_resource(self.path))?;
        self.check_match(&current)?;
        let mut changes = patch.iter().filter(|(name, _)| !name.contains("@odata.")).peekable();
        if changes.peek().is_none() {
            return Err(Problem::no_operation());
        }
        for (name, _) in changes.clone() {
            if !is_writable(resource, name) {
                return Err(match current.get(name) {
                    Some(_) => Problem::not_writable(name),
                    None => Problem::unknown_property(name),
                });
            }
        }
        match resource {
            Resource::Account => patch_account(&mut state, changes)?,
            _ => self.patch_system(&mut state, changes)?,
        }
        let after = self.view(&state).render(resource);
        Ok(after.map_or_else(Reply::empty, |body| Reply::empty().header(ETAG, &etag(&body))))
    }

    fn check_match(&self, current: &Value) -> Result<(), Problem> {
        let Some(wanted) = self.headers.get(IF_MATCH) else { return Ok(()) };
        let wanted = wanted.to_str().map_err(|_| Problem::precondition_failed())?;
        let tag = etag(current);
        let mut tags = wanted.split(',').map(|tag| tag.trim().trim_start_matches("W/"));
        if tags.any(|wanted| wanted == "*" || wanted == tag) {
            return Ok(());
        }
        Err(Problem::precondition_failed())
    }

    fn patch_system<'a>(
        &self,
        state: &mut State,
        changes: impl Iterator<Item = (&'a String, &'a Value)>,
    ) -> Result<(), Problem> {
        let (mut boot, mut led) = (state.boot.clone(), state.led);
        for (name, value) in changes {
            match name.as_str() {
                "Boot" => {
                    let patch =
                        value.as_object().ok_or_else(|| Problem::value_type(value, name))?;
                    boot = boot::patched(&boot, &self.fleet.config.profile, patch)?;
                }
                "IndicatorLED" => {
                    let text = value.as_str().ok_or_else(|| Problem::value_type(value, name))?;
                    led = text.parse().map_err(|_| Problem::not_in_list(text, name))?;
                }
                _ => {
                    let lit = value.as_bool().ok_or_else(|| Problem::value_type(value, name))?;
                    led = if lit { Led::Lit } else { Led::Off };
                }
            }
        }
        (state.boot, state.led) = (boot, led);
        Ok(())
    }

    /// Opens a session.
    pub(super) fn open_session(&self) -> Result<Reply, Problem> {
        let mut body = self.object()?;
        let mut text = |name: &str| match body.remove(name) {
            Some(Value::String(text)) => Ok(text),
            Some(value) => Err(Problem::value_type(&value, name)),
            None => Err(Problem::missing_property(name)),
        };
        let given = Account { username: text("UserName")?, password: text("Password")? };
        let config = &self.fleet.config;
        let mut state = self.bmc.lock();
        let opened = state
            .access
            .log_in(&config.account, &config.limits, self.now, &given)
            .and_then(|()| state.access.open(&config.limits, self.now));
        let (id, token) = opened.map_err(|refused| {
            state.counters.refused += 1;
            match refused {
                Refused::Credentials => Problem::no_valid_session(),
                Refused::Full => Problem::session_limit(),
            }
        })?;
        state.counters.logins += 1;
        let body = self.view(&state).render(Resource::Session(id));
        let body = body.ok_or_else(Problem::session_limit)?;
        Ok(Reply::resource(StatusCode::CREATED, body)
            .header(LOCATION, &format!("/redfish/v1/SessionService/Sessions/{id}"))
            .header(AUTH_TOKEN, &token.to_string()))
    }

    /// Ends a session.
    pub(super) fn close_session(&self, id: u32) -> Result<Reply, Problem> {
        if self.bmc.lock().access.close(id) {
            return Ok(Reply::empty());
        }
        Err(Problem::no_such_resource(self.path))
    }

    /// `ComputerSystem.Reset`.
    pub(super) fn reset_system(&self) -> Result<Reply, Problem> {
        let action = "ComputerSystem.Reset";
        let word = self.reset_type(action)?;
        let reset: Reset =
            word.parse().map_err(|_| Problem::parameter_not_in_list(&word, "ResetType", action))?;
        let takes = match reset::reset(self.fleet, self.machine, reset) {
            Outcome::Refused => return Err(Problem::standby()),
            Outcome::Takes(takes) => takes,
        };
        if self.fleet.config.profile.reset_answer == ResetAnswer::Empty {
            return Ok(Reply::empty());
        }
        let name = format!("Reset {reset}");
        let task = self.bmc.lock().tasks.begin(name, self.now, takes);
        let body = tasks::render(&task, self.now);
        Ok(Reply::with(StatusCode::ACCEPTED, Content::Json(body))
            .header(LOCATION, &tasks::monitor(&task)))
    }

    /// `Manager.Reset`: the BMC is unreachable for a while, and forgets its sessions.
    pub(super) fn reset_manager(&self) -> Result<Reply, Problem> {
        let action = "Manager.Reset";
        let word = self.reset_type(action)?;
        if !RESET_TYPES.contains(&word.as_str()) {
            return Err(Problem::parameter_not_in_list(&word, "ResetType", action));
        }
        let mut state = self.bmc.lock();
        state.counters.manager_resets += 1;
        state.bmc_last_reset = Timestamp::now();
        state.bmc_away_until = Some(self.now + self.fleet.config.timing.bmc_reset);
        state.access.reset();
        state.journal.note(Event::BmcReset, word);
        Ok(Reply::empty())
    }

    fn reset_type(&self, action: &str) -> Result<String, Problem> {
        let mut body = self.object()?;
        let value = body
            .remove("ResetType")
            .ok_or_else(|| Problem::parameter_missing(action, "ResetType"))?;
        if let Some(other) = body.keys().next() {
            return Err(Problem::parameter_unknown(action, other));
        }
        let text = value.as_str().map(str::to_owned);
        let text = text.ok_or_else(|| {
            Problem::parameter_not_in_list(&value.to_string(), "ResetType", action)
        })?;
        Ok(text)
    }

    /// The body, which must be a JSON object; an empty body is an empty one.
    pub(super) fn object(&self) -> Result<Map<String, Value>, Problem> {
        if self.body.is_empty() {
            return Ok(Map::new());
        }
        serde_json::from_slice(self.body).map_err(|_| Problem::malformed_json())
    }
}

fn is_writable(resource: Resource, property: &str) -> bool {
    let writable: &[&str] = match resource {
        Resource::Account => &["Password", "Locked"],
        _ => &["Boot", "IndicatorLED", "LocationIndicatorActive"],
    };
    writable.contains(&property)
}

fn patch_account<'a>(
    state: &mut State,
    changes: impl Iterator<Item = (&'a String, &'a Value)>,
) -> Result<(), Problem> {
    let (mut password, mut unlock) = (None, false);
    for (name, value) in changes {
        match (name.as_str(), value) {
            ("Password", Value::String(text)) if !text.is_empty() => password = Some(text.clone()),
            ("Password", Value::String(_)) => return Err(Problem::value_format("", name)),
            ("Locked", Value::Bool(false)) => unlock = true,
            ("Locked", Value::Bool(true)) => return Err(Problem::not_in_list("true", name)),
            _ => return Err(Problem::value_type(&Value::Null, name)),
        }
    }
    if let Some(password) = password {
        state.access.set_password(password);
    }
    if unlock {
        state.access.unlock();
    }
    Ok(())
}
