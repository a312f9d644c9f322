//! Serves stored boots after a start during an outage of the API server.

use super::{Boot, Keeper, Label, clock_reading, file};
use crate::{
    blob_refs::{self, ReferencedBlobs},
    boot_secret::BootSecret,
    config::BootConfig,
    config_ref::{ConfigRef, Kind},
    served::Serving,
};
use k8s_openapi::ByteString;
use metal_api::Server;
use metal_core::{
    boot::stored_boot::{Expired, remaining},
    capability::Key,
};
use metal_runtime::{Deferred, clock};
use std::{collections::HashSet, io, sync::Arc, time::Duration};
use tokio::{task::spawn_blocking, time::timeout};

/// How long to wait for lists before assuming an outage.
const GRACE: Duration = Duration::from_secs(10);
/// How often to check which files are still valid.
const PERIOD: Duration = Duration::from_secs(1);

/// Serves stored boots until lists arrive, and stores boots from then on.
pub(crate) struct Restore {
    /// Stores boots from then on.
    pub keeper: Arc<Keeper>,
    /// Layers that boot configs refer to.
    pub blob_refs: Arc<ReferencedBlobs<ConfigRef>>,
    /// Set when an outage of the API server is assumed.
    pub is_silent: Deferred<()>,
}

/// The files that were found.
#[derive(Default)]
pub(super) struct Found {
    /// Stored boots, and until when each is valid, by [`clock::since_boot`].
    pub(super) boots: Vec<(Duration, Boot)>,
    /// The same for boots of which only the images can be read.
    pub(super) images: Vec<(Duration, String, Vec<blob_refs::BlobRef>)>,
}

impl Restore {
    /// Serves stored boots until every list has arrived, and stores boots forever after that.
    pub(crate) async fn run(self) {
        let (view, served) = (&self.keeper.view, &self.keeper.view.served);
        let silence = async { timeout(GRACE, self.is_silent.wait()).await };
        tokio::select! {
            biased;
            () = view.listed() => {}
            _ = silence => self.serve().await,
        }
        // From now on, what the API server has counts.
        served.set(None);
        self.keeper.metrics.served.set(0);
        self.keeper.secrets.forget_presumed();
        self.keeper.run().await;
    }

    /// Serves stored boots until every list has arrived.
    async fn serve(&self) {
        let view = &self.keeper.view;
        let mut key = self.keeper.key.get();
        let mut found = self.find(key.clone()).await;
        let mut named = HashSet::new();
        while !view.is_ready() {
            if key.is_none() && self.keeper.key.get().is_some() {
                key = self.keeper.key.get();
                found = self.find(key.clone()).await;
            }
            let now = clock::since_boot();
            found.boots.retain(|(until, _)| now < *until);
            found.images.retain(|(until, ..)| now < *until);
            self.present(&found, &mut named);
            timeout(PERIOD, view.listed()).await.ok();
        }
        // The lists have withdrawn objects that no longer exist, but these files are known only
        // here.
        for (_, name, _) in found.images {
            self.blob_refs.set(holder_of_file(name), vec![]);
        }
    }

    /// Fills the view with what is still valid, and removes everything else.
    fn present(&self, found: &Found, named: &mut HashSet<ConfigRef>) {
        let view = &self.keeper.view;
        let boots = || found.boots.iter().map(|(_, boot)| boot);
        let mut servers: Vec<_> = boots().flat_map(|boot| boot.servers.clone()).collect();
        // The file of another boot has this server without its window, which must not hide the
        // window.
        servers.sort_by_key(has_window);
        view.servers.presume(servers);
        view.leases.presume(boots().flat_map(|boot| boot.places.clone()));
        view.configurations.presume(boots().flat_map(|boot| boot.configurations.clone()));
        let mut holders: Vec<(ConfigRef, Vec<blob_refs::BlobRef>)> = Vec::new();
        if view.ipxe.presume(boots().flat_map(|boot| boot.ipxe.clone())) {
            let configs = boots().flat_map(|boot| &boot.ipxe);
            holders.extend(configs.map(|it| (it.config_ref(), it.blobs())));
        }
        if view.http.presume(boots().flat_map(|boot| boot.http.clone())) {
            let configs = boots().flat_map(|boot| &boot.http);
            holders.extend(configs.map(|it| (it.config_ref(), it.blobs())));
        }
        let files = found.images.iter();
        holders.extend(files.map(|(_, name, blobs)| (holder_of_file(name.clone()), blobs.clone())));
        let now: HashSet<_> = holders.iter().map(|(holder, _)| holder.clone()).collect();
        for gone in named.difference(&now) {
            let is_listed = match gone.kind {
                Kind::Ipxe => view.ipxe.is_ready(),
                Kind::Http => view.http.is_ready() && !gone.namespace.is_empty(),
            };
            if !is_listed {
                self.blob_refs.set(gone.clone(), vec![]);
            }
        }
        for (holder, blobs) in holders {
            self.blob_refs.set(holder, blobs);
        }
        *named = now;
        self.tell_served(found);
    }

    /// Records how much is served from storage, and logs a change.
    fn tell_served(&self, found: &Found) {
        let served = &self.keeper.view.served;
        let serving = match (found.boots.len(), found.images.len()) {
            (0, 0) => None,
            (0, images) => Some(Serving::Images(images)),
            (boots, _) => Some(Serving::Boots(boots)),
        };
        if served.get() != serving {
            tracing::warn!(?serving, "the API server is unreachable: serving stored boots");
        }
        served.set(serving);
        let count = i64::try_from(found.boots.len()).unwrap_or(i64::MAX);
        self.keeper.metrics.served.set(count);
    }

    fn presume_secrets(&self, boot: &Boot) {
        for secret in &boot.secrets {
            let key = (secret.namespace.clone(), secret.name.clone());
            let bytes = |bytes: &Option<ByteString>| bytes.clone().map(|it| it.0.into());
            let kept = BootSecret::kept(bytes(&secret.ignition), bytes(&secret.script));
            self.keeper.secrets.presume(key, kept);
        }
    }

    /// The valid stored boots.
    async fn find(&self, key: Option<Key>) -> Found {
        let keeper = Arc::clone(&self.keeper);
        let found = spawn_blocking(move || find(&keeper, key.as_ref())).await;
        let found = found.map_err(io::Error::other).flatten().unwrap_or_else(|error| {
            tracing::warn!(%error, "could not read stored boots");
            Found::default()
        });
        found.boots.iter().for_each(|(_, boot)| self.presume_secrets(boot));
        found
    }
}

pub(super) fn find(keeper: &Keeper, key: Option<&Key>) -> io::Result<Found> {
    let (mut found, now) = (Found::default(), clock_reading(&keeper.start));
    for name in keeper.folder.names()? {
        let unusable = |reason: &'static str, error: &dyn std::error::Error| {
            tracing::warn!(file = name, %error, "invalid stored boot");
            keeper.metrics.unusable.get_or_create(&Label { reason }).inc();
        };
        let file = match keeper.folder.read(&name) {
            Ok(file) => file,
            Err(error) => {
                unusable("Disk", &error);
                continue;
            }
        };
        let read = match key {
            Some(key) => file::open(key, &name, &file).map(|(head, boot)| (head, Some(boot))),
            None => file::head(&file).map(|head| (head, None)),
        };
        let (head, boot) = match read {
            Ok(read) => read,
            Err(error) => {
                unusable(error.into(), &error);
                continue;
            }
        };
        match remaining(&head.times, &now) {
            Ok(rest) => {
                let until = clock::since_boot() + Duration::try_from(rest).unwrap_or_default();
                if let Some(boot) = boot {
                    found.boots.push((until, boot));
                } else {
                    let blobs = head.images.iter().filter_map(blob_refs::parse).collect();
                    found.images.push((until, name, blobs));
                }
            }
            Err(error @ Expired::Over) => unusable("Over", &error),
            Err(error @ Expired::Restarted) => unusable("Restarted", &error),
        }
    }
    Ok(found)
}

fn has_window(server: &Server) -> bool {
    server.status.as_ref().is_some_and(|status| status.boot_window.is_some())
}

/// The holder of the layers of a file of which only the images can be read.
fn holder_of_file(file: String) -> ConfigRef {
    ConfigRef::new(Kind::Http, (String::new(), file))
}
