//! The files of one folder of an image, without fetching the image: an operating system has
//! gigabytes, and the folder is in a small layer of its own.
//!
//! Each layer may have files of the folder; those of a higher one count. Layers of more than 8 MiB are not
//! looked into.

use super::{
    archive::{Archive, Entry, Failed},
    error::Unusable,
    header::Kind,
    layered::{BYTES, FILES, Files, Layer, TooLarge, Union, hides, is_whiteout},
    path,
};
use crate::{
    AllowList,
    architecture::Machine,
    digest::{Digest, Hasher},
    login::Logins,
    manifest::{Descriptor, annotation},
    reference::{Reference, Version, excerpt},
    registry::{self, Access, Registries},
    resolve::{self, Missing, Resolver},
};
use futures::TryStreamExt;
use metal_base::compression::decompressed;
use std::{io::Read, sync::Arc, time::Duration};
use tokio::time::timeout;

/// The largest layer that is looked into, and all of them together, in bytes.
const LAYER: u64 = 8 << 20;
const LAYERS: u64 = 64 << 20;
/// Bytes of a layer, decompressed, and its entries.
const CONTENT: u64 = 64 << 20;
const ENTRIES: usize = 20_000;
/// How long all of it may take.
const DEADLINE: Duration = Duration::from_mins(2);

/// Which folder, and what the image says of itself if it has it.
#[derive(Clone, Copy, Debug)]
pub struct Folder<'a> {
    /// Annotation of the manifest, and its value.
    pub marker: (&'a str, &'a str),
    /// Path in the image, without a slash at its begin and end.
    pub path: &'a str,
}

/// An image for machines of one architecture.
#[derive(Clone, Copy, Debug)]
pub struct PlatformImage<'a> {
    /// The image, which may be an index.
    pub image: &'a Reference,
    /// The architecture.
    pub architecture: &'a str,
    /// What to log in with.
    pub logins: &'a Logins,
}

/// Why a folder cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum FolderError {
    /// The image was not found.
    #[error(transparent)]
    Resolve(#[from] resolve::Error),
    /// There is no image for the architecture.
    #[error(transparent)]
    Missing(#[from] Missing),
    /// A layer was not sent.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// A layer is not what the manifest says.
    #[error("layer {0} of the image: {1}")]
    Layer(Digest, Unusable),
    /// There are too many files, or they are too large.
    #[error("the folder has more than {FILES} files or 4 MiB")]
    TooLarge,
    /// It took too long.
    #[error("the image was not read within 2 min")]
    Deadline,
}

impl FolderError {
    /// Whether it was the registry that could not be asked, so that nothing is known of the image.
    pub fn is_unknown(&self) -> bool {
        let of_registry = |error: &registry::Error| error.is_transient() || error.is_refusal();
        match self {
            Self::Resolve(resolve::Error::Registry(error)) | Self::Registry(error) => {
                of_registry(error)
            }
            Self::Resolve(error) => error.is_transient(),
            Self::Deadline => true,
            Self::Missing(_) | Self::Layer(..) | Self::TooLarge => false,
        }
    }
}

/// The files of a folder of an image; `None` if the image has no marker.
///
/// # Errors
///
/// If the registry cannot be asked, or the image is not one.
pub async fn folder(
    registries: &Arc<Registries>,
    of: PlatformImage<'_>,
    folder: Folder<'_>,
) -> Result<Option<Files>, FolderError> {
    let found = find(registries, of, folder);
    timeout(DEADLINE, found).await.map_err(|_| FolderError::Deadline)?
}

/// The digest of an image, which has something for machines of that architecture; of a tag, the one that it
/// stands for now.
///
/// # Errors
///
/// If the registry cannot be asked, or there is no such image.
pub async fn digest(
    registries: &Arc<Registries>,
    PlatformImage { image, architecture, logins }: PlatformImage<'_>,
) -> Result<Digest, FolderError> {
    let found = async {
        let access = Access::new(&image.name, logins);
        let digest = registries.manifest_as(&access, &image.version).await?.digest;
        let version = Version::Digest(digest.clone());
        let pinned = Reference { name: image.name.clone(), version };
        let resolver = Resolver::new(Arc::clone(registries), AllowList::any());
        resolver.layers(&pinned, logins, &Machine::named(architecture)).await??;
        Ok(digest)
    };
    timeout(DEADLINE, found).await.map_err(|_| FolderError::Deadline)?
}

async fn find(
    registries: &Arc<Registries>,
    PlatformImage { image, architecture, logins }: PlatformImage<'_>,
    folder: Folder<'_>,
) -> Result<Option<Files>, FolderError> {
    let resolver = Resolver::new(Arc::clone(registries), AllowList::any());
    let machine = Machine::named(architecture);
    let (digest, layers) = resolver.layers(image, logins, &machine).await??;
    let access = Access::new(&image.name, logins);
    let manifest = registries.manifest_as(&access, &Version::Digest(digest)).await?;
    let (name, value) = folder.marker;
    if annotation(&manifest, name).as_deref() != Some(value) {
        return Ok(None);
    }
    let (mut fetched, mut union) = (0, Union::default());
    for layer in layers.into_iter().rev().filter_map(|layer| layer.content.ok()) {
        if layer.size > LAYER || fetched + layer.size > LAYERS {
            continue;
        }
        fetched += layer.size;
        let bytes = fetch(registries, &access, &layer).await?;
        let failed = |what| FolderError::Layer(layer.digest.clone(), what);
        match read(&bytes, folder.path) {
            Ok(layer) => union.add(layer).map_err(|TooLarge| FolderError::TooLarge)?,
            Err(Refused::Layer(what)) => return Err(failed(what)),
            Err(Refused::Folder) => return Err(FolderError::TooLarge),
        }
        if union.is_complete() {
            break;
        }
    }
    Ok(Some(union.files()))
}

/// A layer, as its digest says.
async fn fetch(
    registries: &Registries,
    access: &Access,
    layer: &Descriptor,
) -> Result<Vec<u8>, FolderError> {
    let mut incoming = registries.blob_as(access, &layer.digest, 0).await?;
    let mut bytes = vec![];
    let mut hasher = Hasher::new(layer.digest.algorithm());
    while let Some(piece) = incoming.bytes.try_next().await? {
        if (bytes.len() + piece.len()) as u64 > layer.size {
            break;
        }
        hasher.update(&piece);
        bytes.extend_from_slice(&piece);
    }
    if hasher.finish() != layer.digest {
        let (registry, expected) = (access.name().registry().clone(), layer.digest.clone());
        return Err(registry::Error::DigestMismatch { registry, expected }.into());
    }
    Ok(bytes)
}

/// Why a layer is not read.
enum Refused {
    Layer(Unusable),
    Folder,
}

impl From<Failed> for Refused {
    fn from(failed: Failed) -> Self {
        Self::Layer(match failed {
            Failed::Archive(what) => what,
            Failed::Read(error) => Unusable::Archive(excerpt(&error.to_string())),
        })
    }
}

/// What a layer says of the folder.
fn read(layer: &[u8], folder: &str) -> Result<Layer, Refused> {
    let from = decompressed(layer).map_err(Failed::Read)?;
    let mut archive = Archive::new(from, CONTENT);
    let (mut found, mut entries, mut size) = (Layer::default(), 0, 0);
    while let Some(entry) = archive.next()? {
        entries += 1;
        if entries > ENTRIES {
            return Err(Refused::Layer(Unusable::TooManyEntries(ENTRIES)));
        }
        let path = path::parts(&entry.name).map_err(Refused::Layer)?.join("/");
        found.hidden.extend(hides(&path, entry.kind, folder));
        let Some(name) = path.strip_prefix(folder).and_then(|it| it.strip_prefix('/')) else {
            continue;
        };
        if entry.kind != Kind::File || is_whiteout(name) {
            continue;
        }
        size += usize::try_from(entry.size).unwrap_or(usize::MAX).min(BYTES + 1);
        if size > BYTES || found.files.len() == FILES {
            return Err(Refused::Folder);
        }
        found.files.insert(name.to_owned(), content(&entry, &mut archive)?);
    }
    Ok(found)
}

fn content(entry: &Entry, archive: &mut Archive<impl Read>) -> Result<Vec<u8>, Refused> {
    let mut bytes = vec![0; usize::try_from(entry.size).unwrap_or(usize::MAX).min(BYTES)];
    let mut filled = 0;
    while filled < bytes.len() {
        match archive.read(&mut bytes[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::archive;

    const FOLDER: &str = "usr/share/app";

    /// The files of a layer, and what it hides.
    fn found(files: &[(&str, &[u8])]) -> (Vec<String>, Vec<String>) {
        let layer = read(&archive(files), FOLDER).unwrap_or_else(|_| panic!("refused"));
        (layer.files.into_keys().collect(), layer.hidden.into_iter().collect())
    }

    #[test]
    fn a_layer_has_or_hides_something_of_the_folder_or_says_nothing_of_it() {
        let nothing = (vec![], vec![]);
        assert_eq!(found(&[("etc/a", b""), ("usr/share/application", b"")]), nothing);
        let (files, _) = found(&[("./usr/share/app/a", b"1"), ("/usr/share/app/b/c", b"2")]);
        assert_eq!(files, ["a", "b/c"]);
        for (hidden, what) in [
            ("usr/share/.wh.app", ""),
            ("usr/.wh.share", ""),
            (".wh.usr", ""),
            ("usr/share/.wh..wh..opq", ""),
            (".wh..wh..opq", ""),
            ("usr/share/app/.wh..wh..opq", ""),
            ("usr/share/app/.wh.a", "a"),
            ("usr/share/app/b/.wh.c", "b/c"),
            ("usr/share/app/b/.wh..wh..opq", "b"),
            // A file in place of a folder.
            ("usr/share", ""),
        ] {
            assert_eq!(found(&[(hidden, b"")]), (vec![], vec![what.to_owned()]), "{hidden}");
        }
        for other in ["usr/.wh.lib", "usr/share/.wh.ap", "etc/.wh..wh..opq", "usr/.wh.share2"] {
            assert_eq!(found(&[(other, b"")]), nothing, "{other}");
        }
    }

    #[test]
    fn a_folder_that_is_too_large_is_refused() {
        let many: Vec<_> = (0..=FILES).map(|at| format!("{FOLDER}/{at}")).collect();
        let many: Vec<_> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
        assert!(read(&archive(&many[1..]), FOLDER).is_ok());
        assert!(matches!(read(&archive(&many), FOLDER), Err(Refused::Folder)));
        let large = vec![0; BYTES / 2 + 1];
        let large = [("usr/share/app/a", &*large), ("usr/share/app/b", &*large)];
        assert!(matches!(read(&archive(&large), FOLDER), Err(Refused::Folder)));
        assert!(read(b"no archive at all, but long enough", FOLDER).is_err());
    }
}
