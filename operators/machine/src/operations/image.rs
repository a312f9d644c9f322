//! Whether the image of a pending repave is available.

use super::{
    super::{Observation, resolution::needs_person},
    pending::Pending,
};
use metal_api::{MachineStatus, condition};

/// The reason of `ImageReady` while an image is fetched for the first time.
const PULLING: &str = "Pulling";

/// Why what is pending does not begin yet: it would take a machine out of its cluster that nothing can be
/// installed to. A condition that is older than the spec is about another image, and is set anew soon. An image
/// that was fetched before counts while its registry is away.
pub(super) fn awaited(
    pending: Pending,
    seen: &Observation<'_>,
    status: &MachineStatus,
) -> Option<String> {
    let repave = pending.repave?;
    let once = |what: String| Some(format!("repave {repave} begins once its image {what}"));
    let ready = status.conditions.iter().find(|it| it.type_ == condition::IMAGE_READY);
    let Some(ready) = ready else {
        return if seen.known.lacks_image { once("is there".to_owned()) } else { None };
    };
    let is_current = ready.observed_generation >= seen.machine.metadata.generation;
    if !is_current {
        return once("was looked at".to_owned());
    }
    let holds = ready.status == "True";
    let is_missing = !holds && (ready.reason == PULLING || needs_person(ready));
    match (is_missing || seen.known.lacks_image, holds) {
        (false, _) => None,
        (true, true) => once("is fetched here as well".to_owned()),
        (true, false) => once(format!("is there: {}: {}", ready.reason, ready.message)),
    }
}
