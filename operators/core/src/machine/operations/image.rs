//! Whether the image is there that a repave installs.

use super::{super::resolution::needs_person, pending::Pending};
use metal_api::{Machine, MachineStatus, condition};

/// The reason of `ImageReady` while an image is fetched for the first time.
const PULLING: &str = "Pulling";

/// Why what is pending does not begin yet: it would take a machine out of its cluster that nothing can be
/// installed to. A condition that is older than the spec is about another image, and is set anew soon. Where
/// nothing was said of the image, or its registry is away, it may still be there.
pub(super) fn awaited(
    pending: Pending,
    machine: &Machine,
    status: &MachineStatus,
) -> Option<String> {
    let repave = pending.repave?;
    let ready = status.conditions.iter().find(|it| it.type_ == condition::IMAGE_READY)?;
    let is_current = ready.observed_generation >= machine.metadata.generation;
    if !is_current {
        return Some(format!("repave {repave} begins once its image was looked at"));
    }
    let is_missing = ready.status != "True" && (ready.reason == PULLING || needs_person(ready));
    is_missing.then(|| {
        let (reason, message) = (&ready.reason, &ready.message);
        format!("repave {repave} begins once its image is there: {reason}: {message}")
    })
}
