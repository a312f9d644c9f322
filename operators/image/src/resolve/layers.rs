//! All layers of an image, for unpacking.

use super::{Error, Missing, PATIENCE, Resolver, listed, search::Search};
use crate::{
    architecture::Machine,
    digest::Digest,
    login::Logins,
    manifest::{Boot, Layer, Manifest},
    reference::Reference,
    registry,
};
use tokio::time::timeout;

/// The digest of an image's manifest, and its layers, lowest first.
type Layers = (Digest, Vec<Layer>);

impl Resolver {
    /// The current layers of `image` for `machine`, for whoever has these logins.
    ///
    /// # Errors
    ///
    /// Errors of [`Resolver::resolve`].
    pub(crate) async fn layers(
        &self,
        image: &Reference,
        logins: &Logins,
        machine: &Machine,
    ) -> Result<Result<Layers, Missing>, Error> {
        self.allowed.check(image.name.registry())?;
        let late = |_| registry::Error::Deadline { registry: image.name.registry().clone() };
        timeout(PATIENCE, self.search(image, logins, machine)).await.map_err(late)?
    }

    async fn search(
        &self,
        image: &Reference,
        logins: &Logins,
        machine: &Machine,
    ) -> Result<Result<Layers, Missing>, Error> {
        let mut search = Search::new(self, image, logins, machine);
        let layers = match search.read(&image.version).await? {
            Manifest::Image(layers) => Some(layers),
            Manifest::Index(entries) => search.behind(&entries, Boot::Http).await?,
        };
        let found = layers.and_then(|layers| Some((search.last()?.clone(), layers)));
        Ok(found.ok_or_else(|| Missing::Architecture {
            architecture: machine.to_string(),
            has: listed(search.has().iter().map(String::as_str)),
        }))
    }
}
