//! Which state of a Machine a server of installers may rely on.

use super::{Clocks, installs};
use metal_api::Machine;
use metal_core::machine_identity::addresses;

/// The cached Machine may be outdated, and the API server was not asked, or did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not known whether an installation is pending")]
pub struct StaleCache;

/// The Machine by which a server decides: `live`, if the API server has just said so, else `seen`, the
/// cached one. A cache whose watch is interrupted goes on to say that an installation is pending, which
/// another replica has long ended: so that alone counts for nothing.
///
/// # Errors
///
/// If only the cache says that an installation is pending.
pub fn confirmed<'a>(
    seen: &'a Machine,
    live: Option<&'a Machine>,
    now: Clocks,
) -> Result<&'a Machine, StaleCache> {
    match live {
        Some(live) if is_same(seen, live) => Ok(live),
        _ if installs(seen, now).is_none() => Ok(seen),
        _ => Err(StaleCache),
    }
}

/// Whether both are the same object, at the same addresses: those are how a client was identified.
fn is_same(seen: &Machine, live: &Machine) -> bool {
    seen.metadata.uid == live.metadata.uid && addresses(seen) == addresses(live)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use metal_api::{MachinePxe, MachineSpec};

    #[test]
    fn what_firmware_has_told_since_makes_it_no_other_machine() {
        let spec = MachineSpec { pxe: Some(MachinePxe::default()), ..MachineSpec::default() };
        let seen = Machine::new("a", spec);
        let mut live = seen.clone();
        let uuid = "33221100-5544-7766-8899-010203040506";
        live.status.get_or_insert_default().system_uuid = Some(uuid.to_owned());
        let now = Clocks { wall: Timestamp::UNIX_EPOCH, steady: Timestamp::UNIX_EPOCH };
        assert_eq!(confirmed(&seen, Some(&live), now), Ok(&live));
    }
}
