//! Images that are kept, each fetched and unpacked once.

use super::{
    Limits,
    cache::{self, References},
    error::Error,
    unpack::unpack,
    unpacked::Tree,
};
use crate::{
    allow::AllowList,
    digest::Digest,
    machine::Machine,
    manifest::Descriptor,
    reference::{Name, Reference},
    registry::Registries,
    resolve::Resolver,
    store::{Readings, Store},
};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};
use tokio::{sync::Mutex as Turns, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

/// Where images are kept, and how much of them.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder, of this process alone.
    pub dir: PathBuf,
    /// Bytes of layers that are on their way, at most.
    pub limit: u64,
    /// What one image may hold.
    pub limits: Limits,
}

/// What a reference stands for at the moment.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Digest of the image's manifest.
    pub digest: Digest,
    name: Name,
    layers: Vec<Descriptor>,
}

/// All images. Cheap to clone; clones share their state.
#[derive(Clone)]
pub struct Trees(Arc<Shared>);

struct Shared {
    dir: PathBuf,
    limits: Limits,
    registries: Arc<Registries>,
    resolver: Resolver,
    store: Store,
    table: Mutex<Table>,
    /// Whoever fetches an image, and those who wait for the same one.
    turns: Mutex<HashMap<Digest, Weak<Turns<()>>>>,
    /// One writer of the references at a time.
    writing: Turns<()>,
    readings: Readings,
    shutdown: CancellationToken,
}

#[derive(Default)]
struct Table {
    references: References,
    trees: HashMap<Digest, Arc<Tree>>,
    /// Images that no reference led to when it was last asked.
    unused: HashSet<Digest>,
}

impl Trees {
    /// Opens the folder, making it if it is not there. Images of an earlier process are there at once.
    ///
    /// # Errors
    ///
    /// If the folder is not usable, belongs to somebody else, or is in use by another process.
    pub async fn open(
        config: Config,
        registries: Arc<Registries>,
        allowed: AllowList,
        shutdown: CancellationToken,
    ) -> io::Result<Self> {
        let (layers, dir) = (config.dir.join("layers"), config.dir.join("images"));
        // Its lock is that of the images as well.
        let (limit, token) = (config.limit, shutdown.clone());
        let store = Store::open_dir(&layers, limit, Arc::clone(&registries), token).await?;
        let folder = dir.clone();
        let readings = Readings::default();
        let counted = readings.clone();
        let read = blocking(move || Ok(cache::read(&folder, &counted)?));
        let (references, trees) = read.await.map_err(io_error)?;
        let table = Table { references, trees, unused: HashSet::new() };
        Ok(Self(Arc::new(Shared {
            dir,
            limits: config.limits,
            resolver: Resolver::new(Arc::clone(&registries), allowed),
            registries,
            store,
            table: Mutex::new(table),
            turns: Mutex::default(),
            writing: Turns::default(),
            readings,
            shutdown,
        })))
    }

    /// The image that a reference stood for when it was last asked for.
    pub fn known(&self, image: &Reference, architecture: &str) -> Option<Arc<Tree>> {
        let table = self.0.table();
        table.trees.get(table.references.get(&key(image, architecture))?).cloned()
    }

    /// Asks what a reference stands for now.
    ///
    /// # Errors
    ///
    /// If the registry does not say.
    pub async fn resolve(&self, image: &Reference, architecture: &str) -> Result<Resolved, Error> {
        let machine = Machine::named(architecture);
        let (digest, layers) = self.0.resolver.layers(image, &machine).await??;
        let layers = layers.into_iter().enumerate().map(|(at, layer)| {
            layer.content.map_err(|why| Error::Layer {
                layer: at + 1,
                what: super::error::Unusable::Archive(why.to_string()),
            })
        });
        Ok(Resolved { digest, name: image.name.clone(), layers: layers.collect::<Result<_, _>>()? })
    }

    /// Fetches what a reference stands for, unless it is there, and remembers that it does.
    ///
    /// # Errors
    ///
    /// If it cannot be had, or is nothing to boot from.
    pub async fn pull(
        &self,
        image: &Reference,
        architecture: &str,
        resolved: &Resolved,
    ) -> Result<Arc<Tree>, Error> {
        let tree = self.tree(resolved).await?;
        let changed = {
            let mut table = self.0.table();
            table.trees.insert(resolved.digest.clone(), Arc::clone(&tree));
            let key = key(image, architecture);
            table.references.insert(key, resolved.digest.clone()).as_ref() != Some(&resolved.digest)
        };
        if changed {
            self.write_references().await?;
        }
        Ok(tree)
    }

    /// Forgets references that are not among `wanted` (image and architecture), and removes images
    /// that none has led to since the last time: until then they are read to their end.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub async fn sweep(&self, wanted: &BTreeSet<(Reference, String)>) -> Result<usize, Error> {
        let wanted: BTreeSet<_> = wanted.iter().map(|(image, it)| key(image, it)).collect();
        let (changed, doomed) = {
            let mut table = self.0.table();
            let before = table.references.len();
            table.references.retain(|key, _| wanted.contains(key));
            (table.references.len() != before, table.sweep())
        };
        if changed {
            self.write_references().await?;
        }
        for tree in &doomed {
            // Whoever fetches it meanwhile begins after that.
            let turn = self.0.turn(tree.digest());
            let _mine = turn.lock().await;
            let dir = tree.dir().to_owned();
            blocking(move || Ok(cache::remove(&dir)?)).await?;
        }
        Ok(doomed.len())
    }

    /// Waits until no layer is on its way; that is soon after the token of [`Trees::open`] is
    /// cancelled.
    pub async fn closed(&self) {
        self.0.store.closed().await;
    }

    async fn tree(&self, resolved: &Resolved) -> Result<Arc<Tree>, Error> {
        let turn = self.0.turn(&resolved.digest);
        let _mine = turn.lock().await;
        let known = {
            let mut table = self.0.table();
            table.unused.remove(&resolved.digest);
            table.trees.get(&resolved.digest).cloned()
        };
        match known {
            Some(tree) => Ok(tree),
            None => self.fetch(resolved).await.map(Arc::new),
        }
    }

    async fn fetch(&self, resolved: &Resolved) -> Result<Tree, Error> {
        let shared = &self.0;
        if resolved.layers.len() > shared.limits.layers {
            return Err(Error::TooManyLayers(shared.limits.layers));
        }
        let mut layers = vec![];
        for layer in &resolved.layers {
            shared.registries.learn_size(&resolved.name, &layer.digest, layer.size);
            let blob = shared.store.open(&resolved.name, &layer.digest).await?;
            layers.push(blob.whole().await?);
        }
        let (dir, digest) = (shared.dir.clone(), resolved.digest.clone());
        let (limits, shutdown) = (shared.limits, shared.shutdown.clone());
        let readings = shared.readings.clone();
        let tree = blocking(move || {
            let part = cache::begin(&dir, &digest)?;
            let unpacked = unpack(&layers, &part, limits, &shutdown);
            let complete = |index| Ok(cache::complete(&dir, &part, &digest, index, &readings)?);
            unpacked.and_then(complete).inspect_err(|_| {
                if let Err(error) = cache::remove(&part) {
                    tracing::warn!(%error, path = %part.display(), "unfinished image not removed");
                }
            })
        });
        let tree = tree.await?;
        for layer in &resolved.layers {
            shared.store.forget(&layer.digest).await;
        }
        Ok(tree)
    }

    async fn write_references(&self) -> Result<(), Error> {
        let _mine = self.0.writing.lock().await;
        let (dir, references) = (self.0.dir.clone(), self.0.table().references.clone());
        blocking(move || Ok(cache::write_references(&dir, &references)?)).await
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self, digest: &Digest) -> Arc<Turns<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| turn.strong_count() > 0);
        if let Some(turn) = turns.get(digest).and_then(Weak::upgrade) {
            return turn;
        }
        let turn = Arc::new(Turns::default());
        turns.insert(digest.clone(), Arc::downgrade(&turn));
        turn
    }
}

impl Table {
    /// Takes images out that no reference leads to, and none has led to the last time.
    fn sweep(&mut self) -> Vec<Arc<Tree>> {
        let used: HashSet<_> = self.references.values().collect();
        let unused = self.trees.keys().filter(|digest| !used.contains(digest));
        let (doomed, spared): (Vec<_>, Vec<_>) =
            unused.cloned().partition(|digest| self.unused.contains(digest));
        self.unused = spared.into_iter().collect();
        doomed.iter().filter_map(|digest| self.trees.remove(digest)).collect()
    }
}

fn key(image: &Reference, architecture: &str) -> String {
    format!("{image} {architecture}")
}

fn io_error(error: Error) -> io::Error {
    io::Error::other(error)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    spawn_blocking(work).await.map_err(|_| Error::Shutdown)?
}

/// Unpacks layers that are at hand.
#[cfg(feature = "testing")]
pub(crate) fn unpack_into(
    dir: &std::path::Path,
    digest: &Digest,
    layers: &[Arc<std::fs::File>],
    limits: Limits,
) -> Result<Tree, Error> {
    let part = cache::begin(dir, digest)?;
    let index = unpack(layers, &part, limits, &CancellationToken::new())?;
    Ok(cache::complete(dir, &part, digest, index, &Readings::default())?)
}
