//! What was served to machines, until it is recorded in their boot configs.
//!
//! A request is not delayed by recording: it only makes a note, and wakes a queue. Script and
//! ignition of one boot are fetched within moments, and become one write.

use crate::{blob_refs::BlobRef, config_ref::ConfigRef};
use metal_base::Locked;
use metal_core::boot::config::Fetched;
use metal_runtime::queue::Queue;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};
use tokio::time::Instant;

/// How long to wait, after a script, for the ignition that is usually fetched next.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most boot configs with notes at a time.
const MAX_NOTED: usize = 1 << 16;
/// For how long it counts that a layer could not be had: its machine asks again and again.
const MISSED: Duration = Duration::from_mins(10);
/// For how many boot configs that is remembered.
const MAX_MISSED: usize = 4096;

/// What was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// An iPXE script.
    Script,
    /// The ignition.
    Ignition,
}

/// What has yet to be recorded, by boot config. A recreated object is a different one.
#[derive(Debug, Default)]
pub(crate) struct Fetches {
    noted: Mutex<HashMap<ConfigRef, (String, Fetched)>>,
    missed: Mutex<HashMap<ConfigRef, Missed>>,
    /// Boot configs with something to record.
    pub queue: Queue<ConfigRef>,
}

/// A layer that a machine did not get.
#[derive(Debug)]
struct Missed {
    at: Instant,
    blob: BlobRef,
    why: String,
}

impl Fetches {
    /// Notes why nobody gets a layer of a boot config. Of several layers one is enough: whoever asks for one
    /// and the other in turn does not have an event written each time.
    pub(crate) fn miss(&self, config: &ConfigRef, blob: &BlobRef, why: &str) {
        let mut missed = self.missed.locked();
        if missed.get(config).is_some_and(Missed::counts) {
            return;
        }
        if missed.len() >= MAX_MISSED {
            missed.retain(|_, it| it.counts());
        }
        if missed.len() >= MAX_MISSED {
            return;
        }
        let (at, blob, why) = (Instant::now(), blob.clone(), why.to_owned());
        missed.insert(config.clone(), Missed { at, blob, why });
        drop(missed);
        self.queue.add(config.clone());
    }

    /// Why nobody gets one of these layers, which a boot config has now. What it had before is forgotten.
    pub(crate) fn missed(&self, config: &ConfigRef, blobs: &[BlobRef]) -> Option<String> {
        let mut missed = self.missed.locked();
        if missed.get(config).is_some_and(|it| !blobs.contains(&it.blob)) {
            missed.remove(config);
        }
        let found = missed.get(config).filter(|it| it.counts())?;
        Some(found.why.clone())
    }

    /// Notes what a machine got.
    pub(crate) fn note(&self, config: &ConfigRef, uid: &str, served: Served) {
        let mut noted = self.noted();
        if noted.len() >= MAX_NOTED && !noted.contains_key(config) {
            return;
        }
        let (of, fetched) = noted.entry(config.clone()).or_default();
        if of != uid {
            (*of, *fetched) = (uid.to_owned(), Fetched::default());
        }
        let flag = match served {
            Served::Script => &mut fetched.script,
            Served::Ignition => &mut fetched.ignition,
        };
        if std::mem::replace(flag, true) {
            return;
        }
        drop(noted);
        match served {
            Served::Script => self.queue.add_after(config.clone(), PATIENCE),
            Served::Ignition => self.queue.add(config.clone()),
        }
    }

    /// What has yet to be recorded for this object.
    pub(crate) fn of(&self, config: &ConfigRef, uid: Option<&str>) -> Fetched {
        let noted = self.noted();
        let fetched = noted.get(config).filter(|(of, _)| Some(of.as_str()) == uid);
        fetched.map(|(_, fetched)| *fetched).unwrap_or_default()
    }

    /// Everything has been recorded, or the object is gone.
    pub(crate) fn forget(&self, config: &ConfigRef) {
        self.noted().remove(config);
    }

    fn noted(&self) -> MutexGuard<'_, HashMap<ConfigRef, (String, Fetched)>> {
        self.noted.locked()
    }
}

impl Missed {
    fn counts(&self) -> bool {
        self.at.elapsed() < MISSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_ref::Kind;
    use metal_image::Digest;

    #[test]
    fn a_boot_config_without_two_of_its_layers_is_told_of_one_until_it_has_others() {
        let fetches = Fetches::default();
        let config = ConfigRef::new(Kind::Ipxe, ("tenant".to_owned(), "claim".to_owned()));
        let blob = |content: &str| -> BlobRef {
            ("ghcr.io/a/b".parse().unwrap(), Digest::of(content.as_bytes()))
        };
        let both = [blob("kernel"), blob("initrd")];
        let told = || {
            fetches.miss(&config, &both[0], "no kernel");
            fetches.miss(&config, &both[1], "no initrd");
            fetches.missed(&config, &both)
        };
        assert_eq!([told(), told()], [Some("no kernel".to_owned()), Some("no kernel".to_owned())]);
        assert_eq!(fetches.missed(&config, &both[1..]), None, "it has another kernel by now");
        fetches.miss(&config, &both[1], "no initrd");
        assert_eq!(fetches.missed(&config, &both[1..]).as_deref(), Some("no initrd"));
    }
}
