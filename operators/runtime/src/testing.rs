//! An API server for tests: it stores objects, records requests, and fails on demand.
//!
//! It has no schemas and no watches, and knows nothing about field ownership but this: an applied
//! object replaces the status, or those parts of the metadata that it contains, or those fields of
//! the spec that it contains or that were applied before.

use crate::index::Index;
use futures::stream;
use http::{Method, Request, Response, StatusCode};
use kube::{Client, Resource, client::Body, core::DeserializeGuard, runtime::watcher::Event};
use metal_base::Locked;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard},
};

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// Method and path, without the query.
    pub request: String,
    /// The query.
    pub query: String,
    /// The body; null if there is none.
    pub body: Value,
}

impl Sent {
    /// Whether it changes nothing.
    pub fn is_read(&self) -> bool {
        self.request.starts_with("GET ")
    }

    /// Whether it records an event, which is best effort.
    pub fn is_event(&self) -> bool {
        self.request.ends_with("/events") || self.request.contains("/events/")
    }
}

/// The API server. Clones share their state.
#[derive(Clone, Debug, Default)]
pub struct ApiServer(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Value>,
    /// The specs that were applied last.
    applied: BTreeMap<String, Value>,
    sent: Vec<Sent>,
    /// How every request is answered, instead of normally.
    fails: Option<Refused>,
    /// No request is answered at all.
    is_silent: bool,
    /// So many writes are carried out, and then no request is answered.
    writes_left: Option<usize>,
    /// How many objects a list returns at a time; 0 for all.
    page: usize,
    version: u64,
}

/// Has an index show these objects, as a watch does at its start.
pub async fn list<K, Key>(index: &Index<K, Key>, objects: impl IntoIterator<Item = K>)
where
    K: Resource<DynamicType = ()>,
    Key: Eq + Hash,
{
    let objects = objects.into_iter().map(|it| Event::InitApply(DeserializeGuard(Ok(it))));
    let events = [Event::Init].into_iter().chain(objects).chain([Event::InitDone]);
    // It is there although the watch has ended.
    Box::pin(index.follow(stream::iter(events.map(Ok)))).await.err();
}

/// The response to a refused request.
type Refused = (StatusCode, &'static str);

impl ApiServer {
    /// A client for it, with this default namespace.
    pub fn client(&self, namespace: &str) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let server = server.clone();
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        Client::new(service, namespace)
    }

    /// Stores this object as it is, including its version if it has one.
    pub fn put<K>(&self, object: &K)
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        self.put_raw::<K>(serde_json::to_value(object).unwrap_or_default());
    }

    /// Like [`Self::put`], for what may be no valid object of its kind.
    pub fn put_raw<K: Resource<DynamicType = ()>>(&self, mut object: Value) {
        let meta = &object["metadata"];
        let path = path::<K>(meta["namespace"].as_str(), name_of(&object));
        let version = meta["resourceVersion"].as_str().and_then(|it| it.parse().ok());
        let mut state = self.locked();
        state.version = state.version.max(version.unwrap_or_default());
        if version.is_none() {
            state.stamp(&mut object);
        }
        state.objects.insert(path, object);
    }

    /// The stored object of this name.
    pub fn object<K>(&self, namespace: Option<&str>, name: &str) -> Option<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let object = self.locked().objects.get(&path::<K>(namespace, name))?.clone();
        serde_json::from_value(object).ok()
    }

    /// Deletes an object, like another client.
    pub fn remove<K: Resource<DynamicType = ()>>(&self, namespace: Option<&str>, name: &str) {
        self.locked().objects.remove(&path::<K>(namespace, name));
    }

    /// From now on every request is answered with this code; `None` ends that, and silence.
    pub fn fail(&self, code: Option<StatusCode>) {
        let mut state = self.locked();
        let fails = code.map(|code| (code, "InternalError"));
        (state.fails, state.is_silent, state.writes_left) = (fails, false, None);
    }

    /// From now on no request is allowed.
    pub fn forbid(&self) {
        self.locked().fails = Some((StatusCode::FORBIDDEN, "Forbidden"));
    }

    /// From now on no request is answered.
    pub fn fall_silent(&self) {
        self.locked().is_silent = true;
    }

    /// Carries out this many writes, and answers no request after them: whoever asks dies between two of its
    /// writes. Events do not count.
    pub fn fall_silent_after(&self, writes: usize) {
        let mut state = self.locked();
        (state.writes_left, state.is_silent) = (Some(writes), writes == 0);
    }

    /// From now on a list returns this many objects at a time; 0 for all.
    pub fn page(&self, objects: usize) {
        self.locked().page = objects;
    }

    /// All requests so far, in order.
    pub fn sent(&self) -> Vec<Sent> {
        self.locked().sent.clone()
    }

    /// Like [`Self::sent`], without reads.
    pub fn written(&self) -> Vec<Sent> {
        self.sent().into_iter().filter(|sent| !sent.is_read()).collect()
    }

    /// Forgets the requests so far.
    pub fn forget(&self) {
        self.locked().sent.clear();
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.locked()
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let (path, query) = (head.uri.path().to_owned(), head.uri.query().unwrap_or_default());
        let request = format!("{} {path}", head.method);
        let sent = Sent { request, query: query.to_owned(), body: body.clone() };
        let is_write = !sent.is_read() && !sent.is_event();
        self.locked().sent.push(sent);
        if self.locked().is_silent {
            return std::future::pending().await;
        }
        let mut state = self.locked();
        if let Some(left) = state.writes_left.filter(|_| is_write) {
            (state.writes_left, state.is_silent) = (left.checked_sub(1), left <= 1);
        }
        let answer = match state.fails {
            Some(refused) => Err(refused),
            None => state.carry_out(&head.method, (path.as_str(), query), body),
        };
        let (code, answer) = match answer {
            Ok(answer) => (StatusCode::OK, answer),
            Err((code, reason)) => (code, failure(code, reason)),
        };
        let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
        *response.status_mut() = code;
        response
    }
}

impl State {
    fn carry_out(
        &mut self,
        method: &Method,
        (path, query): (&str, &str),
        body: Value,
    ) -> Result<Value, Refused> {
        let applies = query.contains("force=");
        match *method {
            Method::GET => self.read(path, query),
            Method::POST => self.create(path, body),
            Method::DELETE => self.delete(path, &body["preconditions"]),
            _ => self.patch(path, applies, &body),
        }
    }

    fn read(&self, path: &str, query: &str) -> Result<Value, Refused> {
        if let Some(object) = self.objects.get(path) {
            return Ok(object.clone());
        }
        let is_in = |(key, _): &(&String, &Value)| {
            let is_below = |key: &str| key.strip_prefix(path).is_some_and(|it| it.starts_with('/'));
            is_below(key) || is_below(&in_all_namespaces(key))
        };
        let items: Vec<_> = self.objects.iter().filter(is_in).map(|(_, object)| object).collect();
        // A kind without objects is not served.
        if items.is_empty() {
            return Err((StatusCode::NOT_FOUND, "NotFound"));
        }
        let token = query.split('&').find_map(|it| it.strip_prefix("continue="));
        let first: usize = token.and_then(|token| token.parse().ok()).unwrap_or_default();
        let page = if self.page == 0 { items.len() } else { self.page };
        let next = (first + page < items.len()).then(|| (first + page).to_string());
        let items: Vec<_> = items.into_iter().skip(first).take(page).collect();
        let metadata = json!({ "resourceVersion": self.version.to_string(), "continue": next });
        Ok(json!({ "metadata": metadata, "items": items }))
    }

    fn create(&mut self, path: &str, mut object: Value) -> Result<Value, Refused> {
        if let Some(account) = path.strip_suffix("/token") {
            // For a ServiceAccount; it is not an object.
            object["status"] = json!({ "token": format!("token of {account}") });
            return Ok(object);
        }
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let path = format!("{path}/{name}");
        if !name.is_empty() && self.objects.contains_key(&path) {
            return Err((StatusCode::CONFLICT, "AlreadyExists"));
        }
        self.stamp(&mut object);
        if !name_of(&object).is_empty() {
            self.objects.insert(path, object.clone());
        }
        Ok(object)
    }

    fn patch(&mut self, path: &str, applies: bool, body: &Value) -> Result<Value, Refused> {
        let (path, is_status) = match path.strip_suffix("/status") {
            Some(path) => (path, true),
            None => (path, false),
        };
        let there = self.objects.get(path).cloned();
        let mut object = match there.clone() {
            Some(object) => object,
            None if applies && !is_status => json!({ "metadata": {} }),
            None => return Err((StatusCode::NOT_FOUND, "NotFound")),
        };
        let meta = |field: &str| &body["metadata"][field];
        for (field, expected) in
            [("resourceVersion", meta("resourceVersion")), ("uid", meta("uid"))]
        {
            if !expected.is_null() && *expected != object["metadata"][field] {
                return Err((StatusCode::CONFLICT, "Conflict"));
            }
        }
        for (field, value) in body.as_object().into_iter().flatten() {
            match (field.as_str(), is_status, applies) {
                ("status", true, true) => object[field] = value.clone(),
                ("spec", false, true) => self.apply_spec(path, &mut object[field], value),
                ("status", true, false) | ("spec" | "metadata", false, _) => {
                    merge(&mut object[field], value);
                }
                ("status" | "spec" | "metadata", ..) => {}
                _ => object[field] = value.clone(),
            }
        }
        if let (Some(there), Some(metadata)) = (&there, object["metadata"].as_object_mut()) {
            metadata
                .insert("resourceVersion".to_owned(), there["metadata"]["resourceVersion"].clone());
        }
        if there.as_ref() != Some(&object) {
            self.stamp(&mut object);
        }
        self.objects.insert(path.to_owned(), object.clone());
        Ok(object)
    }

    /// Replaces the fields that were applied before by these.
    fn apply_spec(&mut self, path: &str, spec: &mut Value, applied: &Value) {
        let before = self.applied.insert(path.to_owned(), applied.clone());
        if spec.is_null() {
            *spec = json!({});
        }
        for (name, _) in before.iter().filter_map(Value::as_object).flatten() {
            spec.as_object_mut().map(|spec| spec.remove(name));
        }
        for (name, value) in applied.as_object().into_iter().flatten() {
            spec[name] = value.clone();
        }
    }

    fn delete(&mut self, path: &str, preconditions: &Value) -> Result<Value, Refused> {
        let Some(object) = self.objects.get(path) else {
            return Err((StatusCode::NOT_FOUND, "NotFound"));
        };
        for field in ["uid", "resourceVersion"] {
            let expected = &preconditions[field];
            if !expected.is_null() && *expected != object["metadata"][field] {
                return Err((StatusCode::CONFLICT, "Conflict"));
            }
        }
        let mut object = object.clone();
        let is_held = object["metadata"]["finalizers"].as_array().is_some_and(|it| !it.is_empty());
        if is_held {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            self.stamp(&mut object);
            self.objects.insert(path.to_owned(), object.clone());
            return Ok(object);
        }
        self.objects.remove(path);
        Ok(json!({ "kind": "Status", "status": "Success" }))
    }

    /// Gives an object its next version, and a UID if it has none.
    fn stamp(&mut self, object: &mut Value) {
        self.version += 1;
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(self.version.to_string());
        if metadata["uid"].is_null() {
            metadata["uid"] = json!(format!("uid-of-{}", self.version));
        }
    }
}

fn path<K: Resource<DynamicType = ()>>(namespace: Option<&str>, name: &str) -> String {
    format!("{}/{name}", K::url_path(&(), namespace))
}

/// The path of an object without its namespace.
fn in_all_namespaces(path: &str) -> String {
    let Some((api, rest)) = path.split_once("/namespaces/") else { return path.to_owned() };
    rest.split_once('/').map_or_else(|| path.to_owned(), |(_, object)| format!("{api}/{object}"))
}

fn name_of(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// RFC 7386.
pub(crate) fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (field, value) in patch {
        if value.is_null() {
            into.as_object_mut().map(|into| into.remove(field));
        } else {
            merge(&mut into[field], value);
        }
    }
}

fn failure(code: StatusCode, reason: &str) -> Value {
    let code = code.as_u16();
    json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": ""})
}
