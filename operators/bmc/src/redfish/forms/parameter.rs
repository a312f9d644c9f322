//! Optional parameters: properties that only some firmware needs.

use serde_json::{Value, json};
use std::collections::BTreeSet;

/// An optional parameter of a write.
#[derive(Clone, Debug)]
pub(crate) struct Parameter {
    /// Its name in errors and in sets of parameters.
    pub(crate) name: String,
    /// The path of the property.
    pub(super) path: Vec<String>,
    value: Value,
    /// Whether it is one of several values for the same property, and so is never left out.
    pub(super) is_choice: bool,
}

impl Parameter {
    pub(crate) fn new(path: &[&str], value: impl Into<Value>) -> Self {
        let name = path.last().copied().unwrap_or_default().to_owned();
        let path = path.iter().map(|name| (*name).to_owned()).collect();
        Self { name, path, value: value.into(), is_choice: false }
    }

    /// One of several values for the same property.
    pub(crate) fn choice(path: &[&str], value: &str) -> Self {
        Self { name: value.to_owned(), is_choice: true, ..Self::new(path, value) }
    }

    /// Spells the value as these allowable ones do; returns whether it is one of them.
    pub(crate) fn spell(&mut self, allowed: &[String]) -> bool {
        let own = self.value.as_str().unwrap_or_default();
        let found = allowed.iter().find(|allowed| allowed.eq_ignore_ascii_case(own));
        self.value = found.map_or_else(|| self.value.clone(), |found| Value::from(found.as_str()));
        found.is_some()
    }

    /// Gives it another value.
    pub(crate) fn set(&mut self, value: &str) {
        self.value = value.into();
    }

    pub(crate) fn put(&self, body: &mut Value) {
        let mut place = body;
        for name in &self.path {
            // Every value on the way to a property is an object.
            if !place.is_object() {
                *place = json!({});
            }
            place = &mut place[name];
        }
        *place = self.value.clone();
    }
}

/// A set of parameters by their names.
pub(crate) fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// When the values in a settings resource are applied; sent if the BMC asks for it.
pub(crate) fn apply_time() -> Parameter {
    let name = "@Redfish.SettingsApplyTime";
    Parameter::new(&[name], json!({"ApplyTime": "OnReset"}))
}
