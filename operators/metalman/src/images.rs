//! Images of the Machines of this site: every replica fetches them, and serves them from its disk.
//!
//! DHCP asks for the boot file of a Machine ([`Images::of`], [`Image::boot_file`]), and TFTP and HTTP
//! for what is at a path ([`open`]). None of that waits for a registry or for the disk.

mod image;
mod open;
mod pull;
mod state;

pub use image::Image;
pub use open::{Asked, Proof, Refused, Served, open};
pub use pull::{Settings, pull};
pub(crate) use state::state;

use metal_api::Machine;
use metal_core::machine::netboot::image::{State, wanted};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// An image as Machines name it, and the architecture of what they boot of it.
type Key = (String, String);

/// What is known of the images that Machines name.
#[derive(Debug, Default)]
pub struct Images(Mutex<BTreeMap<Key, Entry>>);

#[derive(Clone, Debug, Default)]
struct Entry {
    state: State,
    image: Option<Arc<Image>>,
}

impl Images {
    /// The image of a Machine, if it is there. It stays the one that was fetched last where fetching it
    /// anew fails.
    pub fn of(&self, machine: &Machine) -> Option<Arc<Image>> {
        self.table().get(&key(machine)?)?.image.clone()
    }

    /// How far the image of a Machine is.
    fn state(&self, machine: &Machine) -> State {
        let Some(key) = key(machine) else {
            let message = "spec.pxe.image is empty".to_owned();
            return State::Failed { reason: "NoImage", message };
        };
        self.table().get(&key).map(|entry| entry.state.clone()).unwrap_or_default()
    }

    /// Has learned how far an image is. Says whether that is news.
    fn tell(&self, key: &Key, state: State) -> bool {
        let mut table = self.table();
        let entry = table.entry(key.clone()).or_default();
        // Whether a tag has moved says nothing of the image that is there.
        if state == State::Pulling && entry.image.is_some() {
            return false;
        }
        let is_news = entry.state != state;
        entry.state = state;
        is_news
    }

    /// Has an image. Says whether that is news.
    pub(crate) fn put(&self, key: &Key, image: Image) -> bool {
        let state = State::Ready { digest: image.digest(), flaw: None };
        let mut table = self.table();
        let entry = table.entry(key.clone()).or_default();
        let is_news = entry.state != state;
        *entry = Entry { state, image: Some(Arc::new(image)) };
        is_news
    }

    /// Forgets images that nobody names any more.
    fn keep(&self, is_wanted: impl Fn(&Key) -> bool) {
        self.table().retain(|key, _| is_wanted(key));
    }

    fn has(&self, key: &Key) -> bool {
        self.table().get(key).is_some_and(|entry| entry.image.is_some())
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a Machine names.
fn key(machine: &Machine) -> Option<Key> {
    wanted(machine).map(|(image, architecture)| (image.to_owned(), architecture.to_owned()))
}
