//! Where a person's user-data is, and whether it may be used.

use super::cloud_init::{DEFAULT_KEY, DEFAULT_USER_DATA, ExpectedList, LARGEST};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use metal_api::{Machine, MachineConfigMapReference, MachineStatus, condition};
use metal_core::conditions::{self, Fact};

/// Why there is no user-data, although a Machine names one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub enum InvalidUserData {
    /// It is in a namespace from which nothing is served.
    #[error(
        "ConfigMap {name} is in namespace {namespace}, but user-data is only served from {allowed}"
    )]
    NamespaceNotAllowed {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
        /// Where it is to be.
        allowed: String,
    },
    /// It has no such key.
    #[error("ConfigMap {namespace}/{name} has no key {key}")]
    KeyMissing {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
        /// The key.
        key: String,
    },
    /// It has something else where the image has a list, which cloud-init would drop.
    #[error(
        "the user-data says something else than a list under {key}, where cloud-init would drop the list of the \
         image: make it a list"
    )]
    #[strum(serialize = "NotAList")]
    ExpectedList {
        /// The key in the document.
        key: String,
    },
}

impl From<ExpectedList> for InvalidUserData {
    fn from(ExpectedList(key): ExpectedList) -> Self {
        Self::ExpectedList { key }
    }
}

/// Whether this reason of a condition says [`InvalidUserData::ExpectedList`].
pub fn is_not_a_list(reason: &str) -> bool {
    reason == <&str>::from(InvalidUserData::ExpectedList { key: String::new() })
}

/// The ConfigMap that a Machine names.
pub fn reference(machine: &Machine) -> Option<&MachineConfigMapReference> {
    machine.spec.pxe.as_ref()?.cloud_init.as_ref()?.user_data_config_map_ref.as_ref()
}

/// Whether it may be read.
///
/// # Errors
///
/// If it is elsewhere than in the namespace `allowed`.
pub fn admit(reference: &MachineConfigMapReference, allowed: &str) -> Result<(), InvalidUserData> {
    if reference.namespace == allowed {
        return Ok(());
    }
    Err(InvalidUserData::NamespaceNotAllowed {
        name: reference.name.clone(),
        namespace: reference.namespace.clone(),
        allowed: allowed.to_owned(),
    })
}

/// What is in it; the default where it is not there. Text comes before bytes.
///
/// # Errors
///
/// If it has no such key.
pub fn content(
    reference: &MachineConfigMapReference,
    found: Option<&ConfigMap>,
) -> Result<Vec<u8>, InvalidUserData> {
    let Some(found) = found else { return Ok(DEFAULT_USER_DATA.into()) };
    let key = reference.key.as_deref().filter(|key| !key.is_empty()).unwrap_or(DEFAULT_KEY);
    let text = found.data.as_ref().and_then(|data| data.get(key)).map(String::as_bytes);
    let bytes = || Some(found.binary_data.as_ref()?.get(key)?.0.as_slice());
    let content = text.or_else(bytes).filter(|content| content.len() <= LARGEST);
    content.map(<[u8]>::to_vec).ok_or_else(|| InvalidUserData::KeyMissing {
        name: reference.name.clone(),
        namespace: reference.namespace.clone(),
        key: key.to_owned(),
    })
}

/// The status after user-data was asked for; `None` where that says nothing new. What was always usable
/// carries no condition.
pub fn with_condition(
    machine: &Machine,
    wrong: Option<&InvalidUserData>,
    now: Timestamp,
) -> Option<MachineStatus> {
    let type_ = condition::USER_DATA_READY;
    let old = machine.status.clone().unwrap_or_default();
    let message = wrong.map(ToString::to_string).unwrap_or_default();
    let fact = match wrong {
        Some(wrong) => Fact { type_, holds: false, reason: wrong.into(), message: &message },
        None if old.conditions.iter().any(|it| it.type_ == type_) => {
            Fact { type_, holds: true, reason: "Found", message: "" }
        }
        None => return None,
    };
    let mut new = old.clone();
    conditions::set(&mut new.conditions, fact, machine.metadata.generation, now);
    (new != old).then_some(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;
    use metal_api::MachineSpec;

    #[test]
    fn text_comes_before_bytes_and_a_missing_key_is_an_error() {
        let mut map = ConfigMap::default();
        let at = |key: Option<&str>| MachineConfigMapReference {
            name: "a".into(),
            namespace: "n".into(),
            key: key.map(str::to_owned),
        };
        let default = DEFAULT_USER_DATA.as_bytes().to_vec();
        assert_eq!(content(&at(None), None), Ok(default));
        assert!(content(&at(None), Some(&map)).is_err());
        let bytes = ByteString(b"bytes".to_vec());
        map.binary_data = Some([("user-data", bytes.clone()), ("b", bytes)].map(own).into());
        assert_eq!(content(&at(None), Some(&map)).unwrap(), b"bytes");
        map.data = Some([("user-data", "text".to_owned())].map(own).into());
        assert_eq!(content(&at(None), Some(&map)).unwrap(), b"text");
        assert_eq!(content(&at(Some("b")), Some(&map)).unwrap(), b"bytes");
        let error = content(&at(Some("c")), Some(&map)).unwrap_err();
        assert_eq!(error.to_string(), "ConfigMap n/a has no key c");
        assert_eq!(admit(&at(None), "n"), Ok(()));
        assert!(admit(&at(None), "other").is_err());
    }

    #[test]
    fn a_condition_comes_with_the_first_error_and_is_told_once() {
        let mut machine = Machine::new("a", MachineSpec::default());
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!(with_condition(&machine, None, now), None);
        let (name, namespace, key) = ("a".into(), "n".into(), "k".into());
        let wrong = InvalidUserData::KeyMissing { name, namespace, key };
        machine.status = with_condition(&machine, Some(&wrong), now);
        assert_eq!(machine.status.as_ref().unwrap().conditions[0].reason, "KeyMissing");
        assert_eq!(with_condition(&machine, Some(&wrong), now), None);
        machine.status = with_condition(&machine, None, now);
        assert_eq!(machine.status.unwrap().conditions[0].status, "True");
    }

    fn own<T>((key, value): (&str, T)) -> (String, T) {
        (key.to_owned(), value)
    }
}
