//! Images of the Machines of this site: every replica fetches them, and serves them from its disk.
//!
//! DHCP asks for the boot file of a Machine ([`Images::of`], [`Image::boot_file`]), and TFTP and HTTP
//! for what is at a path (`open`). None of that waits for a registry or for the disk, which
//! [`pull`](crate::pull) does.

mod image;

pub(crate) use image::Image;

use metal_api::Machine;
use metal_base::Locked;
use metal_machine::provisioning::{
    image::{ImageState, wanted},
    pull_secret,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

/// Maximum number of Machines whose flaws are remembered.
const FLAWS: usize = 65_536;

/// An image as Machines name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Its reference.
    pub(crate) image: String,
    /// The architecture of what they boot of it.
    pub(crate) architecture: String,
    /// Names of the Secrets that open it. Machines with other ones have to open it themselves.
    pub(crate) secrets: Vec<String>,
}

/// What is known of the images that Machines name.
#[derive(Debug, Default)]
pub(crate) struct Images {
    entries: Mutex<BTreeMap<Key, Entry>>,
    /// By the UID of the Machine.
    flaws: Mutex<HashMap<Option<String>, Found>>,
}

/// What was looked at, and what is wrong with it.
type Found = (ImageProblem, Option<String>);

/// What was looked at for flaws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImageProblem {
    pub(crate) digest: String,
    /// UID of the Machine.
    pub(crate) machine: Option<String>,
    pub(crate) generation: Option<i64>,
    pub(crate) installs: Option<i64>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    state: ImageState,
    image: Option<Arc<Image>>,
    /// The versions of the Secrets that have opened it.
    opened_by: String,
}

impl Images {
    /// The image of a Machine, if it is there. If fetching it again fails, it remains the one that was fetched
    /// last.
    pub(crate) fn of(&self, machine: &Machine) -> Option<Arc<Image>> {
        self.table().get(&key(machine)?)?.image.clone()
    }

    /// The state of the image of a Machine.
    pub(crate) fn state(&self, machine: &Machine) -> ImageState {
        let Some(key) = key(machine) else {
            let message = "spec.pxe.image is empty".to_owned();
            return ImageState::Failed { reason: "NoImage", message };
        };
        self.table().get(&key).map(|entry| entry.state.clone()).unwrap_or_default()
    }

    /// Records the state of an image. Returns whether it has changed.
    pub(crate) fn tell(&self, key: &Key, state: ImageState) -> bool {
        let mut table = self.table();
        let entry = table.entry(key.clone()).or_default();
        // Whether a tag has moved says nothing about the image that is there.
        if state == ImageState::Pulling && entry.image.is_some() {
            return false;
        }
        let is_news = entry.state != state;
        entry.state = state;
        is_news
    }

    /// Records an image that these versions of its Secrets have opened. Returns whether it is new.
    pub(crate) fn put(&self, key: &Key, image: Image, opened_by: &str) -> bool {
        let state = ImageState::Ready { digest: image.digest(), flaw: None };
        let mut table = self.table();
        let entry = table.entry(key.clone()).or_default();
        let is_news = entry.state != state;
        *entry = Entry { state, image: Some(Arc::new(image)), opened_by: opened_by.to_owned() };
        is_news
    }

    /// Stops serving an image unless these versions of its Secrets have opened it.
    pub(crate) fn withdraw(&self, key: &Key, versions: Option<&str>) {
        if let Some(entry) = self.table().get_mut(key)
            && versions != Some(&entry.opened_by)
        {
            entry.image = None;
        }
    }

    /// Forgets images that no Machine names any more.
    pub(crate) fn keep(&self, is_wanted: impl Fn(&Key) -> bool) {
        self.table().retain(|key, _| is_wanted(key));
    }

    /// Whether an image is there.
    pub(crate) fn has(&self, key: &Key) -> bool {
        self.table().get(key).is_some_and(|entry| entry.image.is_some())
    }

    /// Has an image without a registry, for tests.
    #[cfg(test)]
    pub(crate) fn preset(&self, machine: &Machine, image: Image) {
        self.put(&key(machine).expect("it names an image"), image, "");
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.entries.locked()
    }

    /// The flaw that was found, if any was looked for.
    #[expect(clippy::option_option, reason = "not looked for, none, or one")]
    pub(crate) fn flaw(&self, of: &ImageProblem) -> Option<Option<String>> {
        let flaws = self.flaws.locked();
        let (_, flaw) = flaws.get(&of.machine).filter(|(known, _)| known == of)?;
        Some(flaw.clone())
    }

    pub(crate) fn keep_flaw(&self, of: ImageProblem, flaw: Option<String>) {
        let mut flaws = self.flaws.locked();
        if flaws.len() >= FLAWS {
            flaws.clear();
        }
        flaws.insert(of.machine.clone(), (of, flaw));
    }
}

/// What a Machine names.
pub(crate) fn key(machine: &Machine) -> Option<Key> {
    let (image, architecture) = wanted(machine)?;
    let secrets = pull_secret::names(machine).into_iter().map(str::to_owned).collect();
    Some(Key { image: image.to_owned(), architecture: architecture.to_owned(), secrets })
}
