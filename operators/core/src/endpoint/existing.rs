//! What there is already for a BMC that was seen in the network.

use std::sync::Arc;

/// The objects of one kind that a BMC may have already.
#[derive(Clone, Debug)]
pub struct Existing<K> {
    /// The name that a new one would get ([`super::recording::name`]).
    pub name: String,
    /// The object with this name.
    pub named: Option<Arc<K>>,
    /// The objects with the MAC address of the BMC.
    pub holders: Vec<Arc<K>>,
}
