//! Systems of a BMC, by the IDs that Machines name.

use metal_bmc::{Bmc, Error};
use metal_core::{bmc::Missing, redfish::SystemReading};

/// How many systems of a BMC a message names.
const TOLD: usize = 8;

/// The system with this URI. A BMC numbers its systems as it likes: one that does not have it is asked for those
/// that it has.
///
/// # Errors
///
/// Those of the BMC.
pub(super) async fn named(
    bmc: &impl Bmc,
    uri: &str,
) -> Result<Result<SystemReading, Missing>, Error> {
    let error = match bmc.system(uri).await {
        Ok(system) => return Ok(Ok(system)),
        Err(error) => error,
    };
    let others = if error.is_absent() { bmc.systems().await.unwrap_or_default() } else { vec![] };
    missing(uri, &others).map_or(Err(error), |missing| Ok(Err(missing)))
}

/// What is wrong with the ID of a system that the BMC does not have, if it has `others`. A BMC that is starting may
/// have none.
fn missing(uri: &str, others: &[SystemReading]) -> Option<Missing> {
    if others.is_empty() || others.iter().any(|it| it.uri.eq_ignore_ascii_case(uri)) {
        return None;
    }
    let message = format!(
        "spec.pxe.redfish.deviceID: this BMC has no system {}, which is meant unless it is set to another one, \
         but [{}]: set it to one of them",
        id(uri),
        ids(others)
    );
    Some(Missing { reason: "SystemMissing", message })
}

/// The IDs of the first systems.
pub(super) fn ids(systems: &[SystemReading]) -> String {
    let told: Vec<_> = systems.iter().take(TOLD).map(|it| id(&it.uri)).collect();
    let more = systems.len() - told.len();
    let told = told.join(", ");
    if more == 0 { told } else { format!("{told} and {more} more") }
}

fn id(uri: &str) -> &str {
    uri.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn systems(ids: &[&str]) -> Vec<SystemReading> {
        let uri = |id: &&str| format!("/redfish/v1/Systems/{id}");
        ids.iter().map(|id| SystemReading { uri: uri(id), ..SystemReading::default() }).collect()
    }

    #[test]
    fn an_id_that_no_system_has_is_told_with_those_that_there_are() {
        let uri = "/redfish/v1/Systems/1";
        let of = |ids: &[&str]| missing(uri, &systems(ids)).map(|it| it.message);
        let message = of(&["System.Embedded.1"]).unwrap();
        assert!(message.starts_with("spec.pxe.redfish.deviceID: this BMC has no system 1,"));
        assert!(message.ends_with("but [System.Embedded.1]: set it to one of them"), "{message}");
        let many = of(&["Blade2"; 20]).unwrap();
        assert!(many.contains("Blade2 and 12 more]"), "{many}");
        assert_eq!(of(&[]), None, "it is starting");
        assert_eq!(of(&["1", "2"]), None, "it has come back meanwhile");
    }
}
