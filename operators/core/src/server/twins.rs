//! Servers that seem to be the same machine: what is recorded about that, and read again.

use metal_api::{Server, condition};

pub(super) const REASON: &str = "Ambiguous";
/// Most names that are recorded.
const MOST: usize = 64;
const BEFORE: &str = "spec.systemUUID, or spec.systemURI at the same BMC, is also used by ";
const AFTER: &str = ": if these are different machines, ";

/// What a server says whose machine these others claim, too.
pub(super) fn message(twins: &[String]) -> String {
    let names = twins.join(", ");
    format!(
        "{BEFORE}{names}{AFTER}set a unique UUID for each in the BIOS; if it is the same machine, \
         delete all objects but the one that its BMC references; until then none of them is \
         powered or booted",
    )
}

/// The names to record.
pub(super) fn bounded(twins: &[String]) -> Vec<String> {
    twins.iter().take(MOST).cloned().collect()
}

/// Names of the servers that were last recorded to claim the machine of this one. They are also in
/// the message of `Ready`, which counts where a client has dropped the field, or where a version
/// without it has written.
pub fn recorded(server: &Server) -> Vec<String> {
    let Some(status) = &server.status else { return vec![] };
    if !status.twins.is_empty() {
        return status.twins.clone();
    }
    let conditions = status.conditions.iter();
    let mut ready = conditions.filter(|it| it.type_ == condition::READY && it.reason == REASON);
    let names = ready.next().and_then(|it| it.message.strip_prefix(BEFORE)?.split_once(AFTER));
    names.map_or_else(Vec::new, |(names, _)| names.split(", ").map(str::to_owned).collect())
}
