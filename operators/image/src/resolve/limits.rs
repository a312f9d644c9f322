//! How far the index of an image is followed.

/// How deep indexes may be nested.
pub(super) const MAX_DEPTH: usize = 4;
/// How many manifests and indexes may be read for one image.
pub(super) const MAX_DOCUMENTS: usize = 16;
