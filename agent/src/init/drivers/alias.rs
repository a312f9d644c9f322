//! Patterns of `modules.alias`, as in `fnmatch(3)`: `*`, `?` and `[a-z]`.

/// Whether `pattern` matches the kernel's name of a device.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut from) = (0, 0);
    // Position of the last star, and how far it reaches: with several stars, only the last one may
    // have to be extended.
    let mut star: Option<(usize, usize)> = None;
    while from < name.len() {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, from));
            at += 1;
        } else if let Some(length) = one(&pattern[at..], name[from]) {
            at += length;
            from += 1;
        } else if let Some((place, reach)) = star {
            star = Some((place, reach + 1));
            (at, from) = (place + 1, reach + 1);
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// Length of the pattern's first element if it matches `byte`.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', set @ ..] => {
            let end = set.iter().position(|byte| *byte == b']')?;
            holds(&set[..end], byte).then_some(end + 2)
        }
        [first, ..] => (*first == byte).then_some(1),
        [] => None,
    }
}

fn holds(mut set: &[u8], byte: u8) -> bool {
    while let [first, rest @ ..] = set {
        match rest {
            [b'-', last, after @ ..] => {
                if (*first..=*last).contains(&byte) {
                    return true;
                }
                set = after;
            }
            _ if *first == byte => return true,
            _ => set = rest,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_the_kernel_are_understood() {
        let nic = "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00";
        let table = [
            ("pci:v00008086d000010D3sv*sd*bc*sc*i*", nic, true),
            ("pci:v00008086d000010D4sv*sd*bc*sc*i*", nic, false),
            ("pci:v*d*sv*sd*bc02sc00i*", nic, true),
            ("pci:v*d*sv*sd*bc03sc*i*", nic, false),
            ("virtio:d00000001v*", "virtio:d00000001v00001AF4", true),
            ("virtio:d00000001v*", "virtio:d00000002v00001AF4", false),
            ("acpi*:LNXPWRBN:*", "acpi:LNXPWRBN:", true),
            ("scsi:t-0x00*", "scsi:t-0x00", true),
            ("usb:v0B95p772[A-C0]d*", "usb:v0B95p772Bd0001", true),
            ("usb:v0B95p772[A-C0]d*", "usb:v0B95p772Dd0001", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("", "a", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_ends_soon() {
        let (pattern, name) = ("a*".repeat(50), "a".repeat(2000) + "b");
        assert!(matches(&pattern, &name));
        assert!(!matches(&format!("{pattern}c"), &name));
        assert!(!matches("[a", "a"));
    }
}
