//! Which version of Ignition introduced what.

/// The minor version of Ignition 3 that introduced something, and the corresponding fcos version.
pub(super) type Since = (u8, &'static str);

/// In every version.
pub(super) const ALWAYS: Since = (0, "1.0.0");
/// The set-user-ID, set-group-ID and sticky bits; earlier versions of Ignition silently drop them.
pub(super) const SPECIAL_BITS: Since = (6, "1.7.0 of fcos");
