//! Parameters that are not needed everywhere.

use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A parameter that is not needed everywhere.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    /// What it is called in errors, and in a set of parameters.
    pub(crate) name: String,
    /// Where it stands.
    pub(super) path: Vec<String>,
    value: Value,
    /// One of several values for the same place: never left out.
    pub(super) is_choice: bool,
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

    pub(super) fn put(&self, body: &mut Value) {
        let mut place = body;
        for name in &self.path {
            // What is sent is an object of objects.
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[name];
        }
        *place = self.value.clone();
    }
}

/// A set of parameters, by name.
pub(crate) fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// When settings to come are applied: sent where the BMC asks for it.
pub(crate) fn apply_time() -> Parameter {
    let name = "@Redfish.SettingsApplyTime";
    Parameter::new(&[name], json!({"ApplyTime": "OnReset"}))
}
