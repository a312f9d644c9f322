//! Which variables change, and in which order, so that there is a bootable entry at any time.

use super::option::label;
use std::collections::BTreeMap;

/// The boot variables of the firmware.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BootVariables {
    /// Load options by number.
    pub(crate) options: BTreeMap<u16, Vec<u8>>,
    /// `BootOrder`.
    pub(crate) order: Vec<u16>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Writes a load option.
    Option(u16, Vec<u8>),
    /// Writes `BootOrder`.
    Order(Vec<u16>),
    /// Removes a load option.
    Remove(u16),
}

/// The changes that make `option`, with the label `name`, the first one, and the only one with its label. Flash
/// memory wears out, so what is right already is not written.
///
/// `None` if the firmware has no number left.
pub(crate) fn plan(known: &BootVariables, name: &str, option: &[u8]) -> Option<Vec<Change>> {
    let ours = known.options.iter().filter(|(_, old)| label(old).as_deref() == Some(name));
    let ours: Vec<u16> = ours.map(|(number, _)| *number).collect();
    let is_same = |number: &&u16| known.options.get(*number).is_some_and(|old| old == option);
    let reused = ours.iter().find(is_same).or(ours.first()).copied();
    let number = reused.or_else(|| (0..=u16::MAX).find(|it| !known.options.contains_key(it)))?;
    let mut changes = vec![];
    if known.options.get(&number).is_none_or(|old| old != option) {
        changes.push(Change::Option(number, option.to_vec()));
    }
    let others = known.order.iter().copied().filter(|it| *it != number && !ours.contains(it));
    let order: Vec<u16> = [number].into_iter().chain(others).collect();
    if order != known.order {
        changes.push(Change::Order(order));
    }
    changes.extend(ours.into_iter().filter(|it| *it != number).map(Change::Remove));
    Some(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_entry_gets_the_first_free_number_and_comes_first() {
        let known = known(&[(0, "Setup"), (1, "PXE"), (3, "Disk")], &[1, 3, 0]);
        let new = option("node-01", 7);
        let expected = vec![Change::Option(2, new.clone()), Change::Order(vec![2, 1, 3, 0])];
        assert_eq!(plan(&known, "node-01", &new), Some(expected));
        let first = vec![Change::Option(0, new.clone()), Change::Order(vec![0])];
        assert_eq!(plan(&BootVariables::default(), "node-01", &new), Some(first));
    }

    #[test]
    fn the_old_entry_of_the_name_is_replaced_and_its_copies_go() {
        let known =
            known(&[(1, "PXE"), (4, "node-01"), (6, "node-01"), (7, "node-010")], &[1, 4, 6, 7]);
        let new = option("node-01", 7);
        let expected =
            vec![Change::Option(4, new.clone()), Change::Order(vec![4, 1, 7]), Change::Remove(6)];
        assert_eq!(plan(&known, "node-01", &new), Some(expected));
    }

    #[test]
    fn what_is_as_it_should_be_is_not_written() {
        let known = known(&[(1, "PXE"), (4, "node-01")], &[4, 1]);
        assert_eq!(plan(&known, "node-01", &option("node-01", 0)), Some(vec![]));
        let moved = BootVariables { order: vec![1, 4], ..known.clone() };
        let expected = vec![Change::Order(vec![4, 1])];
        assert_eq!(plan(&moved, "node-01", &option("node-01", 0)), Some(expected));
        // The copy that is right stays.
        let twice = self::known(&[(2, "node-01")], &[2, 4]);
        let mut twice = BootVariables { options: twice.options, order: vec![2, 4] };
        twice.options.insert(4, option("node-01", 9));
        let expected = vec![Change::Order(vec![4]), Change::Remove(2)];
        assert_eq!(plan(&twice, "node-01", &option("node-01", 9)), Some(expected));
    }

    #[test]
    fn firmware_without_a_free_number_is_left_alone() {
        let options = (0..=u16::MAX).map(|number| (number, option("x", 0))).collect();
        let full = BootVariables { options, order: vec![] };
        assert_eq!(plan(&full, "node-01", &option("node-01", 0)), None);
    }

    fn known(options: &[(u16, &str)], order: &[u16]) -> BootVariables {
        let options = options.iter().map(|(number, name)| (*number, option(name, 0))).collect();
        BootVariables { options, order: order.to_vec() }
    }

    /// A load option with this name, and something behind it.
    fn option(name: &str, rest: u8) -> Vec<u8> {
        let name: Vec<u8> = name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        [&[1, 0, 0, 0, 1, 0][..], &name, &[rest]].concat()
    }
}
