use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, MapAccess, Visitor},
};
use std::{collections::BTreeSet, fmt};

/// The names in a status: fields, and types of conditions. They are read from its text, of which
/// nothing else is kept: this is done with every write.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct StatusFields(BTreeSet<String>);

impl StatusFields {
    /// Those in a status.
    ///
    /// # Errors
    ///
    /// If it cannot be written as JSON.
    pub(super) fn by<S: Serialize>(status: &S) -> Result<Self, kube::Error> {
        read(status)
    }

    /// Those in the status of an object; none, if it has no status.
    ///
    /// # Errors
    ///
    /// If it cannot be written as JSON.
    pub(super) fn in_status_of<K: Serialize>(object: &K) -> Result<Self, kube::Error> {
        #[derive(Deserialize)]
        struct Object {
            status: Option<StatusFields>,
        }
        read(object).map(|object: Object| object.status.unwrap_or_default())
    }

    /// Whether the other one has all of them.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Those that the other one has, too.
    pub(super) fn also_in(&self, other: &Self) -> Self {
        Self(&self.0 & &other.0)
    }
}

/// Reads a value from the text of another one.
fn read<T: for<'de> Deserialize<'de>>(of: &impl Serialize) -> Result<T, kube::Error> {
    let text = serde_json::to_vec(of).map_err(kube::Error::SerdeError)?;
    serde_json::from_slice(&text).map_err(kube::Error::SerdeError)
}

impl<'de> Deserialize<'de> for StatusFields {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(Names)
    }
}

struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = StatusFields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a status")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<StatusFields, A::Error> {
        #[derive(Deserialize)]
        struct Condition {
            #[serde(rename = "type")]
            type_: Option<String>,
        }
        let mut names = BTreeSet::new();
        while let Some(field) = from.next_key::<String>()? {
            if field == "conditions" {
                let conditions = from.next_value::<Option<Vec<Condition>>>()?;
                let types = conditions.into_iter().flatten().filter_map(|it| it.type_);
                names.extend(types.map(|type_| format!("conditions/{type_}")));
            } else {
                from.next_value::<IgnoredAny>()?;
            }
            names.insert(field);
        }
        Ok(StatusFields(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_and_conditions_of_a_status_are_told_apart_by_their_names() {
        let conditions = json!([{ "type": "Ready", "message": "x" }, { "status": "True" }]);
        let status = json!({ "phase": "Running", "conditions": conditions, "list": [{}] });
        let names = ["conditions", "conditions/Ready", "list", "phase"].map(str::to_owned);
        let said = StatusFields(names.into());
        assert_eq!(StatusFields::by(&status).unwrap(), said);
        let object = json!({ "metadata": { "name": "a" }, "status": status });
        assert_eq!(StatusFields::in_status_of(&object).unwrap(), said);
        for object in [json!({ "spec": {} }), json!({ "status": null })] {
            assert_eq!(StatusFields::in_status_of(&object).unwrap(), StatusFields::default());
        }
        let less = StatusFields::by(&json!({ "phase": "Failed", "other": 1 })).unwrap();
        assert!(!less.is_within(&said) && less.also_in(&said).is_within(&said));
    }
}
