//! How much the identity of a BMC is worth.

/// How the certificates of BMCs are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// An authority vouches for each.
    Authorities,
    /// The certificate that a BMC presents first is pinned.
    Pinned,
    /// Not at all.
    Off,
}
