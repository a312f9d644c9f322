//! The section `instances`: two servers for one network.

use super::{
    parse::{ConfigError, fail, scalar},
    raw,
};
use crate::dhcp::pool::Address;
use std::ops::RangeInclusive;

/// Two instances, and which of them this is.
///
/// Each gives new clients addresses of its own half of every range, so that no two of them can get
/// one address, whatever the instances know of each other.
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
    /// One answers, the other one follows it, and takes over its clients when it is gone.
    Standby,
    /// Both answer, each for its own clients.
    Split,
}

/// A half of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The lower one; the larger one, if they are not alike.
    First,
    /// The upper one.
    Second,
}

impl Instances {
    /// What of a range is ours.
    pub(crate) fn own<A: Address>(self, range: &RangeInclusive<A>) -> Option<RangeInclusive<A>> {
        half(range, self.part)
    }

    /// What of a range is the other instance's.
    pub(crate) fn others<A: Address>(self, range: &RangeInclusive<A>) -> Option<RangeInclusive<A>> {
        let part = match self.part {
            Part::First => Part::Second,
            Part::Second => Part::First,
        };
        half(range, part)
    }

    /// Whether an address is in one of `ranges`, and the other instance's.
    pub(crate) fn is_others<A: Address>(self, ranges: &[RangeInclusive<A>], address: A) -> bool {
        let mut others = ranges.iter().filter_map(|range| self.others(range));
        others.any(|range| range.contains(&address))
    }
}

/// Ranges fit into memory, so their middle does.
fn half<A: Address>(range: &RangeInclusive<A>, part: Part) -> Option<RangeInclusive<A>> {
    let (first, last) = (*range.start(), *range.end());
    let middle = usize::try_from((last.number() - first.number()) / 2).ok()?;
    match part {
        Part::First => Some(first..=first.behind(middle)?),
        Part::Second => first.behind(middle + 1).filter(|next| *next <= last).map(|it| it..=last),
    }
}

pub(super) fn parse(raw: &raw::Instances) -> Result<Instances, ConfigError> {
    let mode = scalar(&raw.mode, "instances.mode", "`standby` or `split`", "standby")?;
    let part = match raw.part.value {
        1 => Part::First,
        2 => Part::Second,
        other => {
            let problem = format!(
                "there are two instances, and no part {other}; write 1 for one of them, and 2 for \
                 the other one"
            );
            return Err(fail(&raw.part, "instances.part", problem));
        }
    };
    Ok(Instances { mode, part })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dhcp::Config;
    use std::net::Ipv4Addr;

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

    fn instances(section: &str) -> Result<Option<Instances>, String> {
        let text = format!("interfaces: [eth1]\nsubnets: []\n{section}\n");
        Config::parse(&text).map(|it| it.instances).map_err(|error| error.to_string())
    }

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

    #[test]
    fn without_the_section_there_is_one_instance() {
        assert_eq!(instances(""), Ok(None));
        let split = Instances { mode: Sharing::Split, part: Part::Second };
        assert_eq!(instances("instances: { mode: split, part: 2 }"), Ok(Some(split)));
        let standby = Instances { mode: Sharing::Standby, part: Part::First };
        assert_eq!(instances("instances: { mode: standby, part: 1 }"), Ok(Some(standby)));
    }

    #[test]
    fn mistakes_name_line_field_and_fix() {
        for (section, text) in [
            (
                "instances: { mode: both, part: 1 }",
                "line 3: instances.mode: `both` is not `standby` or `split`; write it like `standby`",
            ),
            (
                "instances:\n  mode: split\n  part: 3",
                "line 5: instances.part: there are two instances, and no part 3; write 1 for one",
            ),
            ("instances: { mode: split, part: 0 }", "no part 0"),
            ("instances: { mode: split }", "missing field `part`"),
            ("instances: { part: 1 }", "missing field `mode`"),
            ("instances: { mode: split, part: one }", "line 3"),
            ("instances: { mode: split, part: 1, of: 3 }", "of"),
        ] {
            let error = instances(section).unwrap_err();
            assert!(error.contains(text), "{section}: {error}");
        }
    }
}
