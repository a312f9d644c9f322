//! Objects that contradict each other about one machine: it boots nothing, and all of them get an
//! event.

use super::notices::{Notice, named};
use k8s_openapi::api::core::v1::ObjectReference;
use metal_core::boot::decision::Identity;

/// How many objects are named in a text.
const SHOWN: usize = 8;

/// What is reported about the objects that have the identity of one machine.
pub(super) fn notice(identity: Identity, about: Vec<ObjectReference>) -> Notice {
    let names = about.iter().take(SHOWN).map(named).collect::<Vec<_>>().join(", ");
    let said = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    let uuid = said(identity.uuid.map(|uuid| uuid.to_string()));
    let mac = said(identity.mac.map(|mac| mac.to_string()));
    let has_url = about.iter().any(|about| about.kind.as_deref() == Some("Secret"));
    let remedy = if has_url {
        "a boot URL is for a machine that is neither a Server nor a Machine and has no other URL, so \
         delete the Secret, or the other object"
    } else {
        "set a unique UUID for each machine, and correct or delete the wrong Servers; if a network \
         card was moved, remove it from status.networkInterfaces of the Server that had it (kubectl \
         edit server --subresource=status)"
    };
    let note = format!(
        "the machine with UUID {uuid} and MAC address {mac} is not booted, because several objects \
         are about it ({names}): {remedy}"
    );
    Notice { about, reason: "AmbiguousIdentity", note }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_card_that_was_moved_is_to_be_taken_from_the_server_that_had_it() {
        let server = ObjectReference {
            kind: Some("Server".to_owned()),
            name: Some("a".to_owned()),
            ..ObjectReference::default()
        };
        let Notice { note, .. } = notice(Identity::default(), vec![server]);
        assert!(note.contains("Server a") && note.contains("status.networkInterfaces"), "{note}");
    }
}
