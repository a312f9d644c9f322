//! A network interface that is to have an address.

/// A link that needs an address.
#[derive(Clone, Debug)]
pub(super) struct Link {
    /// Name of the interface.
    pub(super) name: String,
    /// Its index.
    pub(super) index: u32,
    /// Its hardware address.
    pub(super) mac: [u8; 6],
}
