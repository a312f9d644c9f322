//! Two servers for one network.

use crate::address::Address;
use std::ops::RangeInclusive;

/// Two instances, and which of them this one is.
///
/// Each gives new clients addresses from its own half of every range, so they never assign the same
/// address, whatever they know of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instances {
    /// How they share the work.
    pub mode: Sharing,
    /// Which half of each range is ours.
    pub part: Part,
}

/// How two instances share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum Sharing {
    /// One answers. The other follows it, and takes over its clients when it fails.
    Standby,
    /// Both answer, each its own clients.
    Split,
}

/// A half of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The lower half; the larger one if they differ.
    First,
    /// The upper half.
    Second,
}

impl Instances {
    /// Our part of a range.
    pub(crate) fn own<A: Address>(self, range: &RangeInclusive<A>) -> Option<RangeInclusive<A>> {
        half(range, self.part)
    }

    /// The other instance's part of a range.
    pub(crate) fn others<A: Address>(self, range: &RangeInclusive<A>) -> Option<RangeInclusive<A>> {
        let part = match self.part {
            Part::First => Part::Second,
            Part::Second => Part::First,
        };
        half(range, part)
    }

    /// Whether an address is in one of `ranges`, in the other instance's part.
    pub(crate) fn is_others<A: Address>(self, ranges: &[RangeInclusive<A>], address: A) -> bool {
        let mut others = ranges.iter().filter_map(|range| self.others(range));
        others.any(|range| range.contains(&address))
    }
}

/// One half of a range. Ranges fit into memory, so their middle can be computed.
fn half<A: Address>(range: &RangeInclusive<A>, part: Part) -> Option<RangeInclusive<A>> {
    let (first, last) = (*range.start(), *range.end());
    let middle = usize::try_from((last.number() - first.number()) / 2).ok()?;
    match part {
        Part::First => Some(first..=first.behind(middle)?),
        Part::Second => first.behind(middle + 1).filter(|next| *next <= last).map(|it| it..=last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    #[test]
    fn every_address_of_a_range_is_of_one_instance() {
        let [first, second] =
            [Part::First, Part::Second].map(|part| Instances { mode: Sharing::Split, part });
        for len in 1..=9 {
            let range = ADDRESS..=ADDRESS.behind(len - 1).unwrap();
            for offset in 0..len {
                let address = ADDRESS.behind(offset).unwrap();
                let ranges = [range.clone()];
                assert_ne!(first.is_others(&ranges, address), second.is_others(&ranges, address));
            }
            assert_eq!(first.own(&range), second.others(&range));
            assert_eq!(first.others(&range), second.own(&range));
        }
        assert_eq!(second.own(&(ADDRESS..=ADDRESS)), None);
        assert!(!first.is_others(&[ADDRESS..=ADDRESS], [10, 0, 0, 2].into()), "it is nobody's");
    }
}
