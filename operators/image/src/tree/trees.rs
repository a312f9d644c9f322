//! Images that are kept, each fetched and unpacked once.

use super::{
    Limits,
    cache::{self, Opened, PartialTree},
    error::Error,
    promise::Promise,
    state::State,
    table::Table,
    unpack::unpack,
    unpacked::Tree,
    wanted::Wanted,
};
use crate::{
    allow::AllowList,
    architecture::Machine,
    digest::Digest,
    login::Logins,
    manifest::Descriptor,
    registry::{Access, Registries},
    resolve::Resolver,
    store::{self, Readings, Store},
};
use std::{collections::BTreeSet, io, path::PathBuf, sync::Arc};
use tokio::{sync::Mutex as Turns, task::spawn_blocking};
use tokio_util::sync::CancellationToken;

/// Where images are kept, and how much of them.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder, of this process alone.
    pub dir: PathBuf,
    /// Bytes of layers that are on their way, at most.
    pub limit: u64,
    /// Bytes of all images together, at most.
    pub kept: u64,
    /// What one image may hold.
    pub limits: Limits,
}

/// What a reference stands for at the moment.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Digest of the image's manifest.
    pub digest: Digest,
    access: Access,
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
    state: Arc<State>,
    /// One writer of the references at a time.
    writing: Turns<()>,
    readings: Readings,
    shutdown: CancellationToken,
}

impl Trees {
    /// Opens the folder, making it if it is not there. Images of an earlier process are there at once, and
    /// read to their end before they are used.
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
        let table = Table::new(config.kept, references, trees);
        Ok(Self(Arc::new(Shared {
            dir,
            limits: config.limits,
            resolver: Resolver::new(Arc::clone(&registries), allowed),
            registries,
            store,
            state: Arc::new(State::new(table)),
            writing: Turns::default(),
            readings,
            shutdown,
        })))
    }

    /// The image that a reference stood for when it was last asked for, if the same opener has opened it,
    /// and the disk still has it as it was. One that has changed is removed, to be fetched anew.
    pub async fn known(&self, wanted: &Wanted) -> Option<Arc<Tree>> {
        let digest = {
            let table = self.0.state.table();
            let opened = table.references.get(&wanted.to_string());
            let opened = opened.filter(|opened| opened.version == wanted.opener.version)?;
            opened.digest.clone()
        };
        let turn = self.0.state.turn(&digest);
        let _mine = turn.lock().await;
        self.verified(&digest).await
    }

    /// An image that is there, and was not changed by anybody. The caller has the turn.
    async fn verified(&self, digest: &Digest) -> Option<Arc<Tree>> {
        let (tree, is_verified) = {
            let table = self.0.state.table();
            (table.trees.get(digest).cloned()?, !table.unverified.contains(digest))
        };
        if is_verified {
            self.touch(&tree).await;
            return Some(tree);
        }
        let (found, shutdown) = (Arc::clone(&tree), self.0.shutdown.clone());
        let verdict = blocking(move || {
            let verdict = cache::verify(&found, &shutdown);
            if verdict.is_err() && !shutdown.is_cancelled() {
                cache::remove(found.dir())?;
            }
            Ok(verdict?)
        });
        let verdict = verdict.await;
        if self.0.shutdown.is_cancelled() {
            return None;
        }
        if let Err(error) = verdict {
            tracing::warn!(%error, %digest, "image in the cache has changed: fetching it again");
            self.0.state.table().take(digest);
            return None;
        }
        self.0.state.table().unverified.remove(digest);
        self.touch(&tree).await;
        Some(tree)
    }

    /// Somebody uses an image, which is known after a restart as well.
    async fn touch(&self, tree: &Tree) {
        let digest = tree.digest();
        self.0.state.table().touch(digest);
        let dir = tree.dir().to_owned();
        if let Err(error) = blocking(move || Ok(cache::used(&dir)?)).await {
            tracing::debug!(%error, %digest, "the use of an image was not noted");
        }
    }

    /// Asks what a reference stands for now, with the logins of its opener.
    ///
    /// # Errors
    ///
    /// If the registry does not say.
    pub async fn resolve(&self, wanted: &Wanted, logins: &Logins) -> Result<Resolved, Error> {
        let machine = Machine::named(&wanted.architecture);
        let image = &wanted.image;
        let (digest, layers) = self.0.resolver.layers(image, logins, &machine).await??;
        let layers = layers.into_iter().enumerate().map(|(at, layer)| {
            layer.content.map_err(|why| Error::Layer {
                layer: at + 1,
                what: super::error::Unusable::Archive(why.to_string()),
            })
        });
        let access = Access::new(&image.name, logins);
        Ok(Resolved { digest, access, layers: layers.collect::<Result<_, _>>()? })
    }

    /// What somebody wants now: other images make room for those that are fetched.
    pub fn want(&self, wanted: &BTreeSet<Wanted>) {
        self.0.state.table().want(wanted.iter().map(ToString::to_string).collect());
    }

    /// Fetches what a reference stands for, unless it is there, and remembers that it does.
    ///
    /// # Errors
    ///
    /// If it cannot be had, or is nothing to boot from, or there is no room for it.
    pub async fn pull(&self, wanted: &Wanted, resolved: &Resolved) -> Result<Arc<Tree>, Error> {
        let (key, version) = (wanted.to_string(), wanted.opener.version.clone());
        let opened = Opened { digest: resolved.digest.clone(), version };
        let is_known = self.0.state.table().references.get(&key) == Some(&opened);
        let turn = self.0.state.turn(&resolved.digest);
        let mine = turn.lock().await;
        let tree = self.tree(resolved, is_known).await?;
        let changed = {
            let mut table = self.0.state.table();
            table.references.insert(key, opened.clone()) != Some(opened)
        };
        // Somebody names it from now on, so it makes room for no other.
        drop(mine);
        if changed {
            self.write_references().await?;
        }
        Ok(tree)
    }

    /// Forgets references that are not among `wanted`, whatever the versions of their openers, and removes
    /// images that none has led to since the last time, and that nobody holds: until then they are read to
    /// their end.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub async fn sweep(&self, wanted: &BTreeSet<Wanted>) -> Result<usize, Error> {
        let wanted: BTreeSet<_> = wanted.iter().map(ToString::to_string).collect();
        let (changed, doomed) = {
            let mut table = self.0.state.table();
            let before = table.references.len();
            table.references.retain(|key, _| wanted.contains(key));
            (table.references.len() != before, table.sweep())
        };
        if changed {
            self.write_references().await?;
        }
        let mut removed = 0;
        for tree in &doomed {
            // Whoever fetches it meanwhile begins after that, or had the turn before, and has put it there
            // again.
            let turn = self.0.state.turn(tree.digest());
            let _mine = turn.lock().await;
            if self.0.state.table().trees.contains_key(tree.digest()) {
                continue;
            }
            let dir = tree.dir().to_owned();
            blocking(move || Ok(cache::remove(&dir)?)).await?;
            removed += 1;
        }
        Ok(removed)
    }

    /// Waits until no layer is on its way; that is soon after the token of [`Trees::open`] is
    /// cancelled.
    pub async fn closed(&self) {
        self.0.store.closed().await;
    }

    /// The image itself. One that others have had fetched is given to whoever does not have it yet if the
    /// registry would give them all of its layers: a manifest alone can be had from anywhere. The caller has the
    /// turn.
    async fn tree(&self, resolved: &Resolved, is_known: bool) -> Result<Arc<Tree>, Error> {
        let known = {
            self.0.state.table().unused.remove(&resolved.digest);
            self.verified(&resolved.digest).await
        };
        let Some(tree) = known else {
            return self.fetch(resolved).await;
        };
        for layer in resolved.layers.iter().filter(|_| !is_known) {
            let admitted = self.0.registries.admits(&resolved.access, &layer.digest).await;
            admitted.map_err(store::Error::from)?;
        }
        Ok(tree)
    }

    async fn fetch(&self, resolved: &Resolved) -> Result<Arc<Tree>, Error> {
        let shared = &self.0;
        if resolved.layers.len() > shared.limits.layers {
            return Err(Error::TooManyLayers(shared.limits.layers));
        }
        let promise = self.promise(resolved).await?;
        let mut layers = vec![];
        for layer in &resolved.layers {
            let name = resolved.access.name();
            shared.registries.learn_size(name, &layer.digest, layer.size);
            let blob = shared.store.open_as(&resolved.access, &layer.digest).await?;
            layers.push(blob.whole().await?);
        }
        let (dir, digest) = (shared.dir.clone(), resolved.digest.clone());
        let (limits, shutdown) = (shared.limits, shared.shutdown.clone());
        let readings = shared.readings.clone();
        let tree = blocking(move || {
            let part = PartialTree::begin(&dir, &digest)?;
            let room = |bytes| promise.write(bytes);
            let unpacked = unpack(&layers, part.folder(), limits, &room, &shutdown);
            let complete = unpacked.and_then(|it| Ok(part.complete(it, &readings)?));
            let tree = complete.inspect_err(|_| {
                let path = part.folder();
                if let Err(error) = cache::remove(path) {
                    tracing::warn!(%error, path = %path.display(), "unfinished image not removed");
                }
            });
            let tree = tree.map_err(|error| promise.refusal().unwrap_or(error))?;
            Ok((Arc::new(tree), promise))
        });
        let (tree, promise) = tree.await?;
        shared.state.table().complete(Arc::clone(&tree));
        drop(promise);
        for layer in &resolved.layers {
            shared.store.forget(&layer.digest).await;
        }
        Ok(tree)
    }

    /// Room for an image, before anything of it is fetched.
    async fn promise(&self, resolved: &Resolved) -> Result<Promise, Error> {
        let (state, digest) = (Arc::clone(&self.0.state), resolved.digest.clone());
        let layers = resolved.layers.iter().map(|layer| layer.size);
        let layers = layers.fold(0, u64::saturating_add);
        blocking(move || Promise::begin(state, digest, layers)).await
    }

    async fn write_references(&self) -> Result<(), Error> {
        let _mine = self.0.writing.lock().await;
        let (dir, references) = (self.0.dir.clone(), self.0.state.table().references.clone());
        blocking(move || Ok(cache::write_references(&dir, &references)?)).await
    }
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
    let part = PartialTree::begin(dir, digest)?;
    let unpacked = unpack(layers, part.folder(), limits, &|_| Ok(()), &CancellationToken::new())?;
    Ok(part.complete(unpacked, &Readings::default())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{registry, tree::index::Index};
    use futures::poll;

    #[tokio::test]
    async fn an_image_that_was_fetched_again_meanwhile_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let limits = Limits::default();
        let config = Config { dir: dir.path().to_owned(), limit: 1 << 20, kept: 1 << 20, limits };
        let registries = Arc::new(Registries::new(&registry::Config::default()).unwrap());
        let shutdown = CancellationToken::new();
        let trees = Trees::open(config, registries, AllowList::any(), shutdown).await.unwrap();
        let (digest, folder) = (Digest::of(b"a"), dir.path().join("images").join("a"));
        std::fs::create_dir(&folder).unwrap();
        let tree = || {
            let (digest, folder) = (digest.clone(), folder.clone());
            Arc::new(Tree::new(digest, folder, Index::default(), &trees.0.readings))
        };
        let wanted = BTreeSet::new();
        trees.0.state.table().trees.insert(digest.clone(), tree());
        assert_eq!(trees.sweep(&wanted).await.unwrap(), 0, "unused for the first time");
        let turn = trees.0.state.turn(&digest);
        let fetching = turn.lock().await;
        let mut sweep = Box::pin(trees.sweep(&wanted));
        assert!(poll!(&mut sweep).is_pending());
        trees.0.state.table().trees.insert(digest.clone(), tree());
        drop(fetching);
        assert_eq!(sweep.await.unwrap(), 0);
        assert!(folder.exists());
    }
}
