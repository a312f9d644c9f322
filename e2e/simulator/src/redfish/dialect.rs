//! Requests and answers of BMCs with a [`Dialect`].

use super::{
    browser_slot::{BROWSER_SLOT, SLOTS, browser_slot, speak_in_slots},
    problem::Problem,
    reply::{Content, Reply},
    route::Resource,
    service::Request,
    spelling,
    view::{etag, link},
};
use crate::dialect::Dialect;
use http::{
    HeaderValue, Method, StatusCode,
    header::{AUTHORIZATION, ETAG, IF_MATCH, LOCATION},
};
use miniz_oxide::deflate::compress_to_vec;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};

const BASEBOARD: &str = "/redfish/v1/Systems/HGX_Baseboard_0";
/// What absolute links begin with.
const HOST: &str = "https://bmc.example";
const SESSIONS: &str = "/redfish/v1/SessionService/Sessions";

/// The dialects of a BMC.
#[derive(Clone, Copy)]
pub(super) struct Dialects<'a>(pub(super) &'a [Dialect]);

impl Dialects<'_> {
    fn speak(self, dialect: Dialect) -> bool {
        self.0.contains(&dialect)
    }

    /// Answers a request by the resource of its path.
    pub(super) fn reply(self, request: &Request<'_>) -> Reply {
        let mut reply = self.answer(request);
        if self.speak(Dialect::PropertyMessages) {
            spelling::attach_messages(&mut reply);
        }
        if self.speak(Dialect::BareEtag) {
            spelling::strip_quotes(&mut reply);
        }
        reply
    }

    fn answer(self, request: &Request<'_>) -> Reply {
        if let Some(refusal) = self.refuse(request) {
            return Reply::from(refusal);
        }
        if let Some(reply) = self.own(request) {
            return reply;
        }
        let mut reply = request.reply();
        if let (true, Content::Json(body)) = (reply.status.is_success(), &mut reply.content) {
            self.speak_in(request, body);
        }
        if self.speak(Dialect::BodyEtag) {
            reply.headers.remove(ETAG);
        }
        if self.speak(Dialect::VolatileEtag) && reply.headers.contains_key(ETAG) {
            return reply.header(ETAG, &next_etag());
        }
        reply
    }

    /// Refuses a request that a standard BMC would accept; returns the reason.
    fn refuse(self, request: &Request<'_>) -> Option<Problem> {
        let has_basic = request.headers.contains_key(AUTHORIZATION);
        if self.speak(Dialect::SessionsFull) && has_basic {
            return Some(Problem::no_valid_session());
        }
        match (request.method, request.path.trim_end_matches('/')) {
            (&Method::POST, SESSIONS) => self.refuse_session(),
            (&Method::PATCH, _) => self.refuse_change(request),
            (&Method::POST, path) => self.refuse_action(request, path),
            _ => None,
        }
    }

    fn refuse_session(self) -> Option<Problem> {
        if self.speak(Dialect::NoSessions) {
            return Some(Problem::no_valid_session());
        }
        self.speak(Dialect::SessionsFull).then(Problem::session_limit)
    }

    fn refuse_change(self, request: &Request<'_>) -> Option<Problem> {
        let condition = request.headers.get(IF_MATCH);
        if self.speak(Dialect::NoIfMatch) && condition.is_some() {
            return Some(Problem::precondition_failed());
        }
        let is_quoted = |it: &HeaderValue| it.as_bytes().starts_with(b"\"");
        if self.speak(Dialect::BareEtag) && !condition.is_some_and(is_quoted) {
            return Some(Problem::precondition_failed());
        }
        if self.speak(Dialect::VolatileEtag) && condition.is_some_and(|it| it != "*") {
            return Some(Problem::precondition_failed());
        }
        let asks = self.speak(Dialect::IfMatchRequired) || self.speak(Dialect::BodyEtag);
        if asks && condition.is_none() {
            return Some(Problem::precondition_required());
        }
        let body: Value = serde_json::from_slice(request.body).unwrap_or_default();
        let boot = body.get("Boot")?;
        if self.speak(Dialect::BootRefused) {
            return Some(Problem::not_writable("Boot"));
        }
        if self.speak(Dialect::BootSettings) && request.path != settings_uri(request) {
            return Some(Problem::not_writable("Boot"));
        }
        let enabled = "BootSourceOverrideEnabled";
        if self.speak(Dialect::ClearedByTarget) && boot[enabled] == "Disabled" {
            return Some(Problem::not_in_list("Disabled", enabled));
        }
        if self.speak(Dialect::LeftBootUri) && boot["HttpBootUri"] == "" {
            return Some(Problem::value_format("", "HttpBootUri"));
        }
        boot.get("BootSourceOverrideTarget")?;
        let mode = "BootSourceOverrideMode";
        match boot.get(mode) {
            None if self.speak(Dialect::ModeRequired) => Some(Problem::missing_property(mode)),
            Some(_) if self.speak(Dialect::ModeRefused) => Some(Problem::not_writable(mode)),
            _ => None,
        }
    }

    fn refuse_action(self, request: &Request<'_>, path: &str) -> Option<Problem> {
        let body: Value = serde_json::from_slice(request.body).unwrap_or_default();
        let type_ = body["ResetType"].as_str().unwrap_or_default();
        let action = "ComputerSystem.Reset";
        let is_unknown = type_ == "GracefulShutdown" && path.ends_with(action);
        let lacks_it = self.speak(Dialect::UnlistedResets) || self.speak(Dialect::ButtonOnly);
        if lacks_it && is_unknown {
            return Some(Problem::parameter_not_in_list(type_, "ResetType", action));
        }
        let action = "VirtualMedia.InsertMedia";
        if !path.ends_with(action) {
            return None;
        }
        if self.speak(Dialect::MediaType) && body.get("MediaType").is_none() {
            return Some(Problem::missing_property("MediaType"));
        }
        if !self.speak(Dialect::MediaParameters) {
            return None;
        }
        let needed = ["Inserted", "WriteProtected", "TransferProtocolType"];
        let missing = needed.into_iter().find(|name| body.get(*name).is_none())?;
        Some(Problem::parameter_missing(action, missing))
    }

    /// Answers for resources that standard BMCs do not have.
    fn own(self, request: &Request<'_>) -> Option<Reply> {
        let is_read = request.method == Method::GET;
        if self.speak(Dialect::SlashedSessions) && request.path == SESSIONS {
            let moved = Reply::with(StatusCode::PERMANENT_REDIRECT, Content::Empty);
            return Some(moved.header(LOCATION, &format!("{SESSIONS}/")));
        }
        if self.speak(Dialect::NoSystems)
            && ["/redfish/v1/Systems", "/redfish/v1/Managers"].contains(&request.path)
        {
            return Some(Problem::no_such_resource(request.path).into());
        }
        if self.speak(Dialect::BootSettings) && request.path == settings_uri(request) {
            return Some(settings(request));
        }
        let action_info = action_info_uri(request);
        let body = match request.path {
            path if path == action_info && self.speak(Dialect::ActionInfo) && is_read => {
                let types = system(request)["Actions"]["#ComputerSystem.Reset"]
                    ["ResetType@Redfish.AllowableValues"]
                    .take();
                json!({"@odata.id": action_info, "Id": "ResetActionInfo", "Parameters": [
                    {"Name": "ResetType", "Required": true, "DataType": "String",
                     "AllowableValues": types}]})
            }
            BROWSER_SLOT if self.speak(Dialect::BrowserSlot) && is_read => browser_slot(),
            BASEBOARD if self.speak(Dialect::GpuBaseboard) && is_read => baseboard(request),
            _ => return None,
        };
        Some(Reply::resource(StatusCode::OK, body))
    }

    /// Changes the body of a resource that every BMC has.
    fn speak_in(self, request: &Request<'_>, body: &mut Value) {
        let path = request.path.trim_end_matches('/');
        if path == system_uri(request) {
            self.speak_in_system(request, body);
        }
        if path == "/redfish/v1"
            && self.speak(Dialect::NoSystems)
            && let Some(root) = body.as_object_mut()
        {
            root.retain(|name, _| name != "Systems" && name != "Managers");
        }
        if path == "/redfish/v1/Systems"
            && self.speak(Dialect::GpuBaseboard)
            && let Some(members) = body["Members"].as_array_mut()
        {
            members.insert(0, link(BASEBOARD));
            body["Members@odata.count"] = json!(members.len());
        }
        if self.speak(Dialect::BrowserSlot) && path.starts_with(SLOTS) {
            speak_in_slots(body);
        }
        if body["Members"].is_array() && self.speak(Dialect::PagingLoop) {
            body["Members@odata.nextLink"] = json!(path);
        }
        if self.speak(Dialect::NamedMembers)
            && let Some(members) = body["Members"].as_array_mut()
        {
            name(members);
            body["Members@odata.count"] = json!(members.len());
        }
        if self.speak(Dialect::HostLinks) {
            with_host(body);
        }
    }

    fn speak_in_system(self, request: &Request<'_>, system: &mut Value) {
        let reset = &mut system["Actions"]["#ComputerSystem.Reset"];
        let is_unlisted = self.speak(Dialect::ActionInfo) || self.speak(Dialect::UnlistedResets);
        if let (true, Some(reset)) = (is_unlisted, reset.as_object_mut()) {
            reset.retain(|name, _| name != "ResetType@Redfish.AllowableValues");
        }
        if self.speak(Dialect::ButtonOnly)
            && let Some(types) = reset["ResetType@Redfish.AllowableValues"].as_array_mut()
        {
            types.retain(|type_| type_ != "GracefulShutdown" && type_ != "GracefulRestart");
        }
        let enabled = "BootSourceOverrideEnabled@Redfish.AllowableValues";
        if self.speak(Dialect::ClearedByTarget)
            && let Some(values) = system["Boot"][enabled].as_array_mut()
        {
            values.retain(|value| value != "Disabled");
        }
        if self.speak(Dialect::DeadSettings) {
            let settings = link(format!("{}/Nowhere", system_uri(request)));
            system["@Redfish.Settings"] = json!({"SettingsObject": settings});
        }
        let reset = &mut system["Actions"]["#ComputerSystem.Reset"];
        if self.speak(Dialect::ActionInfo) {
            reset["@Redfish.ActionInfo"] = json!(action_info_uri(request));
        }
        if self.speak(Dialect::BootSettings) {
            system["@Redfish.Settings"] = json!({"SettingsObject": link(settings_uri(request))});
            system["Boot"]["BootSourceOverrideEnabled"] = json!("Disabled");
            system["Boot"]["BootSourceOverrideTarget"] = json!("None");
        }
    }

    /// Encodes a body.
    pub(super) fn written(self, text: String) -> Vec<u8> {
        let mut body = text.into_bytes();
        if self.speak(Dialect::Latin1) && body.first() == Some(&b'{') {
            let name = b"\"Oem\":{\"Contoso\":\"caf\xe9\tau lait\"}";
            let comma: &[u8] = if body.len() > 2 { b"," } else { b"" };
            body = [b"{", &name[..], comma, &body[1..]].concat();
        }
        if self.speak(Dialect::LooseJson) && body.first() == Some(&b'{') && body.len() > 2 {
            let loose = b"{\"Oem\":{\"Load\":NaN \"Share\":.5}";
            body = [&loose[..], b",", &body[1..], b"}\n<!-- 12 ms -->"].concat();
        }
        if self.speak(Dialect::ByteOrderMark) && !body.is_empty() {
            body = [b"\xef\xbb\xbf", &body[..], b"\0"].concat();
        }
        if self.speak(Dialect::Gzip) && !body.is_empty() {
            let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
            // Clients do not check the checksum.
            body = [&head[..], &compress_to_vec(&body, 6), &[0; 8]].concat();
        }
        body
    }

    /// Whether the body of this answer is cut off.
    pub(super) fn cuts(self, status: StatusCode) -> bool {
        status == StatusCode::UNAUTHORIZED && self.speak(Dialect::CutUnauthorized)
    }

    pub(super) fn compresses(self) -> bool {
        self.speak(Dialect::Gzip)
    }
}

/// The path of the only member of a collection, if the request is for that.
pub(super) fn only_member(request: &Request<'_>, reply: &Reply) -> Option<String> {
    let Content::Json(body) = &reply.content else { return None };
    let members = body["Members"].as_array().filter(|_| request.wants_only_member())?;
    let [member] = members.as_slice() else { return None };
    let uri = member["@odata.id"].as_str()?;
    Some(uri.strip_prefix(HOST).unwrap_or(uri).to_owned())
}

/// The path of the system that a request is about.
fn system_uri(request: &Request<'_>) -> String {
    request.view(&request.machine.lock()).system_uri()
}

fn settings_uri(request: &Request<'_>) -> String {
    format!("{}/Settings", system_uri(request))
}

fn action_info_uri(request: &Request<'_>) -> String {
    format!("{}/ResetActionInfo", system_uri(request))
}

/// The settings resource of the next boot.
fn settings(request: &Request<'_>) -> Reply {
    let uri = settings_uri(request);
    let boot = || {
        let mut boot = system(request)["Boot"].take();
        if let Some(boot) = boot.as_object_mut() {
            boot.retain(|name, _| !name.contains("@Redfish") && name != "BootOptions");
        }
        json!({"@odata.id": uri, "Id": "Settings", "Name": "Settings", "Boot": boot})
    };
    match *request.method {
        Method::GET => Reply::resource(StatusCode::OK, boot()),
        Method::PATCH => {
            let condition = request.headers.get(IF_MATCH).and_then(|it| it.to_str().ok());
            let now = etag(&boot());
            if condition.is_some_and(|it| it != "*" && it.trim_start_matches("W/") != now) {
                return Problem::precondition_failed().into();
            }
            let (mut headers, path) = (request.headers.clone(), system_uri(request));
            headers.remove(IF_MATCH);
            let change = Request { path: &path, headers: &headers, ..*request };
            change.patch(Resource::System).unwrap_or_else(Reply::from)
        }
        _ => Problem::not_allowed().into(),
    }
}

fn system(request: &Request<'_>) -> Value {
    let state = request.machine.lock();
    request.view(&state).render(Resource::System).unwrap_or_default()
}

/// A new ETag.
fn next_etag() -> String {
    static ANSWERS: AtomicU64 = AtomicU64::new(0);
    format!("\"{}\"", ANSWERS.fetch_add(1, Ordering::Relaxed))
}

/// Gives members a name, and lists the first one twice.
fn name(members: &mut Vec<Value>) {
    for member in members.iter_mut() {
        let uri = member["@odata.id"].as_str().unwrap_or_default();
        let id = uri.rsplit('/').next().unwrap_or_default().to_owned();
        member["Id"] = json!(id);
        member["Name"] = json!(id);
    }
    let again = members.first().and_then(|member| member["@odata.id"].as_str());
    if let Some(again) = again.map(|uri| link(format!("{uri}/"))) {
        members.push(again);
    }
}

/// Makes every link absolute.
fn with_host(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(uri) if name == "@odata.id" || name == "target" => {
                        *uri = format!("{HOST}{uri}");
                    }
                    other => with_host(other),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(with_host),
        _ => {}
    }
}

/// A system that can be reset, but has no action for it.
fn baseboard(request: &Request<'_>) -> Value {
    json!({
        "@odata.id": BASEBOARD,
        "Id": "HGX_Baseboard_0",
        "Name": "HGX Baseboard",
        "SystemType": "Physical",
        "UUID": format!("bbbbbbbb-0000-4000-8000-{:012x}", request.machine.index),
        "PowerState": "On",
        "Boot": {"BootSourceOverrideTarget@Redfish.AllowableValues": ["None", "Pxe"]},
        "Actions": {"#ComputerSystem.Reset": {
            "ResetType@Redfish.AllowableValues": ["ForceRestart"],
        }},
    })
}
