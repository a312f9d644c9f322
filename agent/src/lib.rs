//! Agent of the discovery image: collects the inventory of a machine and posts it to the registry.
