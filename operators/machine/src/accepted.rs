//! Annotations by which a person accepts a new BMC certificate, a new TPM endorsement key or an installation. Each
//! applies once: after it was used, the annotation is removed, and an event says who had set it.

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use metal_api::{Machine, MachineStatus, annotation};
use metal_core::conditions::cut;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// How many bytes of an annotation are quoted.
const SHOWN: usize = 80;

/// Whether an annotation accepts the endorsement key with this SHA-256.
pub(super) fn endorsement_key(machine: &Machine, fingerprint: &str) -> bool {
    annotated(&machine.metadata, annotation::ACCEPT_ENDORSEMENT_KEY)
        .is_some_and(|accepted| accepted.trim().eq_ignore_ascii_case(fingerprint))
}

/// The annotation that accepted the endorsement key that is pinned now.
pub(super) fn settled(machine: &Machine, pinned: Option<&str>) -> Option<&'static str> {
    endorsement_key(machine, &fingerprint(pinned?)?).then_some(annotation::ACCEPT_ENDORSEMENT_KEY)
}

/// The repave counter of the accepted installation.
pub(super) fn installation(machine: &Machine) -> Option<i64> {
    annotated(&machine.metadata, annotation::ACCEPT_INSTALLATION)?.trim().parse().ok()
}

/// The annotation that accepts an installation that counts as done by now, whether by that or without it.
pub(super) fn settled_installation(
    machine: &Machine,
    status: &MachineStatus,
) -> Option<&'static str> {
    let done = status.operations.as_ref()?.repave_counter;
    let is_done = installation(machine).is_some_and(|accepted| Some(accepted) <= done);
    is_done.then_some(annotation::ACCEPT_INSTALLATION)
}

/// Reason and note of the event when an annotation is removed, which this field manager had set. One for an
/// installation may have been needed by nobody.
pub fn removed(key: &str, actor: &str) -> (&'static str, String) {
    let author = format!("{key}, set by the field manager {actor},");
    if key == annotation::ACCEPT_INSTALLATION {
        let note = format!("{author} was removed because that installation is done already");
        return ("InstallationAccepted", note);
    }
    ("PinReplaced", format!("{author} was accepted"))
}

/// A note that an annotation accepts something in a form that is not understood, to be appended to what asks for
/// it; empty if there is no annotation, or it `is_read`. Its value may have any length.
pub(super) fn unread(machine: &Machine, key: &str, is_read: impl FnOnce(&str) -> bool) -> String {
    let text = annotated(&machine.metadata, key).filter(|text| !is_read(text));
    text.map_or_else(String::new, |text| {
        let text = text.replace(char::is_control, " ");
        let text = cut(&text, SHOWN);
        format!("; the annotation {key} is there, but {text:?} is not of that form")
    })
}

/// Whether a text is the SHA-256 of a key, as [`endorsement_key`] compares it.
pub(super) fn is_fingerprint(text: &str) -> bool {
    let text = text.trim();
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The field manager that last wrote an annotation (`metadata.managedFields`).
pub fn actor<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    let field = format!("f:{key}");
    let mut entries = meta.managed_fields.iter().flatten();
    let entry = entries.find(|entry| {
        let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
        fields.is_some_and(|it| it["f:metadata"]["f:annotations"].get(&field).is_some())
    });
    entry?.manager.as_deref()
}

fn annotated<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

/// SHA-256 of the DER of a public key in PEM, as lower-case hexadecimal digits.
pub(super) fn fingerprint(pem: &str) -> Option<String> {
    let body: String =
        pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect();
    let digest = Sha256::digest(STANDARD.decode(body).ok()?);
    Some(digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok(); // Writing to a string does not fail.
        text
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
    use serde_json::json;

    const PEM: &str = "-----BEGIN PUBLIC KEY-----\nYWJj\n-----END PUBLIC KEY-----\n";
    /// Of `abc` (FIPS 180-4).
    const OF_IT: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn an_annotation_is_settled_when_the_key_is_pinned_that_it_vouched_for() {
        let mut machine = Machine::new("a", metal_api::MachineSpec::default());
        let accept = |text: &str| {
            Some([(annotation::ACCEPT_ENDORSEMENT_KEY.to_owned(), text.to_owned())].into())
        };
        for (text, is_settled) in
            [(OF_IT, true), (&OF_IT.to_ascii_uppercase(), true), ("", false), (&OF_IT[1..], false)]
        {
            machine.metadata.annotations = accept(text);
            assert_eq!(settled(&machine, Some(PEM)).is_some(), is_settled, "{text}");
            assert_eq!(settled(&machine, None), None);
        }
    }

    #[test]
    fn an_annotation_for_an_installation_that_is_done_is_not_said_to_have_ended_it() {
        let mut machine = Machine::new("a", metal_api::MachineSpec::default());
        let key = annotation::ACCEPT_INSTALLATION;
        let mut status = MachineStatus::default();
        status.operations.get_or_insert_default().repave_counter = Some(2);
        for (accepted, is_settled) in [("1", true), ("2", true), ("3", false), ("", false)] {
            let accept = [(key.to_owned(), accepted.to_owned())];
            machine.metadata.annotations = Some(accept.into());
            let settled = settled_installation(&machine, &status);
            assert_eq!(settled, is_settled.then_some(key), "{accepted}");
        }
        let (_, note) = removed(key, "kubectl");
        assert!(note.ends_with("was removed because that installation is done already"), "{note}");
        let (reason, note) = removed(annotation::ACCEPT_ENDORSEMENT_KEY, "kubectl");
        assert!(reason == "PinReplaced" && note.ends_with("kubectl, was accepted"), "{note}");
    }

    #[test]
    fn whoever_wrote_an_annotation_is_found_by_its_fields() {
        let entry = |manager: &str, key: &str| ManagedFieldsEntry {
            manager: Some(manager.to_owned()),
            fields_v1: Some(FieldsV1(
                json!({"f:metadata": {"f:annotations": {format!("f:{key}"): {}}}}),
            )),
            ..ManagedFieldsEntry::default()
        };
        let managed_fields = Some(vec![entry("other", "b"), entry("kubectl-annotate", "a")]);
        let meta = ObjectMeta { managed_fields, ..ObjectMeta::default() };
        assert_eq!(actor(&meta, "a"), Some("kubectl-annotate"));
        assert_eq!(actor(&meta, "c"), None);
    }
}
