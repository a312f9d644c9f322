//! Which blobs of which images the boot configs in the cluster refer to: only these are served.

use metal_base::RwLocked;
use metal_core::boot::url;
use metal_image::{Digest, Name};
use std::{collections::HashMap, hash::Hash, sync::RwLock};

/// A blob of an image.
pub(crate) type BlobRef = (Name, Digest);

/// Blobs that are referred to, by holder.
#[derive(Debug)]
pub(crate) struct ReferencedBlobs<Holder>(RwLock<Table<Holder>>);

#[derive(Debug)]
struct Table<Holder> {
    by_holder: HashMap<Holder, Vec<BlobRef>>,
    counts: HashMap<BlobRef, usize>,
}

impl<Holder> Default for ReferencedBlobs<Holder> {
    fn default() -> Self {
        Self(RwLock::new(Table { by_holder: HashMap::new(), counts: HashMap::new() }))
    }
}

impl<Holder: Eq + Hash> ReferencedBlobs<Holder> {
    /// From now on `holder` refers to these blobs only.
    pub(crate) fn set(&self, holder: Holder, blobs: Vec<BlobRef>) {
        let mut table = self.0.write_locked();
        if table.by_holder.get(&holder).is_some_and(|old| *old == blobs) {
            return;
        }
        for blob in &blobs {
            *table.counts.entry(blob.clone()).or_default() += 1;
        }
        let old = if blobs.is_empty() {
            table.by_holder.remove(&holder)
        } else {
            table.by_holder.insert(holder, blobs)
        };
        for blob in old.into_iter().flatten() {
            if let Some(count) = table.counts.get_mut(&blob) {
                *count -= 1;
                if *count == 0 {
                    table.counts.remove(&blob);
                }
            }
        }
    }

    /// Those who refer to this blob; all of them are looked through.
    pub(crate) fn holders(&self, blob: &BlobRef) -> Vec<Holder>
    where
        Holder: Clone,
    {
        let table = self.0.read_locked();
        let of_blob = table.by_holder.iter().filter(|(_, blobs)| blobs.contains(blob));
        of_blob.map(|(holder, _)| holder.clone()).collect()
    }

    /// Whether any holder refers to this blob.
    pub(crate) fn contains(&self, blob: &BlobRef) -> bool {
        self.0.read_locked().counts.contains_key(blob)
    }
}

/// The blobs at these URLs.
pub(crate) fn blobs<'a>(urls: impl IntoIterator<Item = &'a str>) -> Vec<BlobRef> {
    urls.into_iter().filter_map(url::named).filter_map(|named| parse(&named)).collect()
}

/// Image and digest, if both are valid.
pub(crate) fn parse((image, digest): &(String, String)) -> Option<BlobRef> {
    Some((image.parse().ok()?, digest.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_live_as_long_as_somebody_names_it() {
        let blob_refs = ReferencedBlobs::default();
        let (kernel, initrd) = (blob("kernel"), blob("initrd"));
        blob_refs.set("a", vec![kernel.clone(), initrd.clone()]);
        blob_refs.set("b", vec![kernel.clone()]);
        assert!(blob_refs.contains(&kernel) && blob_refs.contains(&initrd));
        blob_refs.set("a", vec![kernel.clone()]);
        assert!(blob_refs.contains(&kernel) && !blob_refs.contains(&initrd));
        blob_refs.set("b", vec![]);
        blob_refs.set("b", vec![]);
        assert!(blob_refs.contains(&kernel));
        blob_refs.set("a", vec![]);
        assert!(!blob_refs.contains(&kernel));
        assert!(blob_refs.0.read().unwrap().by_holder.is_empty());
    }

    #[test]
    fn a_blob_is_one_of_an_image_and_not_of_another() {
        let blob_refs = ReferencedBlobs::default();
        blob_refs.set("a", vec![blob("kernel")]);
        let (_, digest) = blob("kernel");
        assert!(!blob_refs.contains(&("ghcr.io/other/image".parse().unwrap(), digest)));
    }

    #[test]
    fn urls_of_ours_name_blobs_and_others_do_not() {
        let (name, digest) = blob("kernel");
        let ours = url::layer("http://boot", &name.to_string(), &digest.to_string(), "1");
        let uki = url::uki("http://boot/httpboot", &name.to_string(), &digest.to_string());
        let others = ["http://example.com/vmlinuz", "http://boot/image?imageName=a&layerDigest=b"];
        let urls = [ours.as_str(), &uki, others[0], others[1]];
        assert_eq!(blobs(urls), [(name.clone(), digest.clone()), (name, digest)]);
    }

    fn blob(content: &str) -> BlobRef {
        ("ghcr.io/a/b".parse().unwrap(), Digest::of(content.as_bytes()))
    }
}
