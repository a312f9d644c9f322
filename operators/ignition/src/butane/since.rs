//! Which version of Ignition introduced what.

/// The minor version of Ignition 3 that introduced something, and the corresponding fcos version.
pub(super) type Since = (u8, &'static str);

/// The first fcos version with each minor version of Ignition 3.
const VERSIONS: [&str; 7] = [
    "1.0.0",
    "1.1.0",
    "1.2.0",
    "1.4.0",
    "1.5.0, or flatcar or r4e 1.1.0",
    "1.6.0",
    "1.7.0 of fcos",
];

/// In every version.
pub(super) const ALWAYS: Since = (0, VERSIONS[0]);
/// The set-user-ID, set-group-ID and sticky bits; earlier versions of Ignition silently drop them.
pub(super) const SPECIAL_BITS: Since = (6, VERSIONS[6]);

/// What this minor version of Ignition 3 introduced.
pub(super) fn ignition(minor: u8) -> Since {
    (minor, VERSIONS.get(usize::from(minor)).copied().unwrap_or(VERSIONS[VERSIONS.len() - 1]))
}
