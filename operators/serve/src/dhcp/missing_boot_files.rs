//! Kinds of firmware without a boot file, each reported once.

use super::LogOnce;
use metal_dhcp::Architecture;
use std::fmt::Display;

/// The kinds that were reported.
#[derive(Debug, Default)]
pub struct UnservedArchitectures(LogOnce<Result<Architecture, u16>>);

impl UnservedArchitectures {
    /// Reports one, and returns a label for it.
    pub fn tell(&mut self, kind: Result<Architecture, u16>, client: impl Display) -> &'static str {
        let word = kind.map_or("Unknown", Into::into);
        if self.0.is_due(kind) {
            let number = kind.map_or_else(|number| number, |kind| kind as u16);
            tracing::warn!(
                %client, number, architecture = word,
                "no boot file is configured for machines of this architecture"
            );
        }
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_its_name_and_a_number_that_nobody_has_is_unknown() {
        let mut unserved = UnservedArchitectures::default();
        assert_eq!(unserved.tell(Ok(Architecture::RiscV64Uefi), "a"), "RiscV64Uefi");
        assert_eq!(unserved.tell(Err(4711), "a"), "Unknown");
    }
}
