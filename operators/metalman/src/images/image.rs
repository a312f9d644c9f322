//! A downloaded image, with its small files in memory.

use metal_image::{Tree, tree::File};
use metal_machine::provisioning::{
    access::METADATA,
    image::{LARGEST_METADATA, MalformedMetadata, Metadata, metadata},
    template::{LARGEST, SUFFIX},
};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::{sync::Semaphore, task::spawn_blocking};

/// Maximum size of all templates of an image, in bytes.
const TEMPLATES: u64 = 8 << 20;
/// How many templates of an image are rendered at a time.
const PLACES: usize = 2;
/// Maximum number of templates of an image.
const MOST_TEMPLATES: usize = 64;

/// An image that machines boot from.
#[derive(Debug)]
pub(crate) struct Image {
    tree: Arc<Tree>,
    boot_file: Option<String>,
    templates: BTreeMap<File, Arc<[u8]>>,
    /// For those who render templates.
    places: Arc<Semaphore>,
}

/// Why an image is unusable.
#[derive(Debug, thiserror::Error, strum::IntoStaticStr)]
pub(crate) enum UnusableImage {
    /// Its metadata.yaml is invalid.
    #[error(transparent)]
    MalformedMetadata(#[from] MalformedMetadata),
    /// Its metadata.yaml refers to a boot file that does not exist.
    #[error("metadata.yaml: dhcpBootImageName: file /disk/{0} not found in the image")]
    BootFileMissing(String),
    /// It has too many templates.
    #[error("the image has more than 64 templates")]
    TooManyTemplates,
    /// A file is too large.
    #[error("{path} is larger than {limit} bytes")]
    FileTooLarge {
        /// Which.
        path: String,
        /// The limit.
        limit: u64,
    },
    /// The disk failed.
    #[error("could not read the image")]
    CacheFailed(#[from] io::Error),
}

impl Image {
    /// Reads the small files of an image.
    ///
    /// # Errors
    ///
    /// If the disk fails, or the image is invalid.
    pub(crate) async fn load(tree: Arc<Tree>) -> Result<Self, UnusableImage> {
        let read = spawn_blocking(move || Self::read(tree)).await;
        read.map_err(io::Error::other)?
    }

    fn read(tree: Arc<Tree>) -> Result<Self, UnusableImage> {
        let mut templates = BTreeMap::new();
        let mut left = TEMPLATES;
        for (path, file) in tree.paths() {
            if path.ends_with(SUFFIX) {
                if templates.len() >= MOST_TEMPLATES {
                    return Err(UnusableImage::TooManyTemplates);
                }
                let limit = left.min(LARGEST);
                let content = read(tree.dir(), file, &path, limit)?;
                left -= content.len() as u64;
                templates.insert(file, content.into());
            }
        }
        let Metadata { dhcp_boot_image_name: boot_file } = match tree.find(METADATA) {
            Some(file) => metadata(&read(tree.dir(), file, METADATA, LARGEST_METADATA)?)?,
            None => Metadata::default(),
        };
        if let Some(missing) = boot_file.as_ref().filter(|path| tree.find(path).is_none()) {
            return Err(UnusableImage::BootFileMissing(missing.clone()));
        }
        Ok(Self { tree, boot_file, templates, places: Arc::new(Semaphore::new(PLACES)) })
    }

    /// Its digest.
    pub(crate) fn digest(&self) -> String {
        self.tree.digest().to_string()
    }

    /// The boot file for firmware, relative to the folder of the image, if there is one.
    pub(crate) fn boot_file(&self) -> Option<&str> {
        self.boot_file.as_deref()
    }

    /// Whether there is a file or a template for a path.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.tree.find(path).is_some() || self.tree.find(&format!("{path}{SUFFIX}")).is_some()
    }

    /// The template of a path: its name and content.
    pub(crate) fn template(&self, path: &str) -> Option<(String, Arc<[u8]>)> {
        let name = format!("{path}{SUFFIX}");
        let file = self.tree.find(&name)?;
        Some((name, Arc::clone(self.templates.get(&file)?)))
    }

    /// All templates, by the path that is rendered from them.
    pub(crate) fn templates(&self) -> Vec<String> {
        let paths = self.tree.paths().into_iter();
        paths.filter_map(|(path, _)| Some(path.strip_suffix(SUFFIX)?.to_owned())).collect()
    }

    /// The file at a path.
    pub(crate) fn file(&self, path: &str) -> Option<File> {
        self.tree.find(path)
    }

    /// The folder of its files, which are named by [`File::name`].
    pub(crate) fn dir(&self) -> PathBuf {
        self.tree.dir().to_owned()
    }

    /// Places for those who render its templates.
    pub(crate) fn places(&self) -> &Arc<Semaphore> {
        &self.places
    }

    /// The unpacked image.
    pub(crate) fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }
}

fn read(dir: &Path, file: File, path: &str, limit: u64) -> Result<Vec<u8>, UnusableImage> {
    if file.size > limit {
        return Err(UnusableImage::FileTooLarge { path: path.to_owned(), limit });
    }
    Ok(fs::read(dir.join(file.name()))?)
}
