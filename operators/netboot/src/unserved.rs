//! Kinds of firmware that there is no boot file for, each told once.

use metal_dhcp::Architecture;
use std::{collections::HashSet, fmt::Display};

/// At most this many are logged: there are 42 kinds, and anybody can make up numbers.
const MOST: usize = 64;

/// Those that were told.
#[derive(Debug, Default)]
pub(crate) struct Unserved(HashSet<Result<Architecture, u16>>);

impl Unserved {
    /// Tells one, and returns a word for it.
    pub(crate) fn tell(
        &mut self,
        kind: Result<Architecture, u16>,
        client: impl Display,
    ) -> &'static str {
        let word = kind.map_or("Unknown", Into::into);
        if self.0.len() < MOST && self.0.insert(kind) {
            let number = kind.map_or_else(|number| number, |kind| kind as u16);
            tracing::warn!(
                %client, number, architecture = word,
                "a machine of this architecture gets no boot file"
            );
        }
        word
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_once_and_made_up_ones_take_bounded_room() {
        let mut unserved = Unserved::default();
        assert_eq!(unserved.tell(Ok(Architecture::RiscV64Uefi), "a"), "RiscV64Uefi");
        assert_eq!(unserved.tell(Ok(Architecture::RiscV64Uefi), "a"), "RiscV64Uefi");
        assert_eq!(unserved.0.len(), 1);
        for number in 42..10_000 {
            assert_eq!(unserved.tell(Err(number), "a"), "Unknown");
        }
        assert_eq!(unserved.0.len(), MOST);
    }
}
