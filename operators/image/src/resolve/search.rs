//! Searches an index, and the indexes in it, for the layers of one machine.

use super::{
    Error, Resolver,
    limits::{MAX_DEPTH, MAX_DOCUMENTS},
};
use crate::{
    architecture::Machine,
    digest::Digest,
    login::Logins,
    manifest::{self, Boot, Entry, Layer, Manifest, choose, only},
    reference::{Reference, Version},
    registry::{Access, Document},
};

/// One search for the layers of an image.
pub(super) struct Search<'a> {
    resolver: &'a Resolver,
    image: &'a Reference,
    access: Access,
    machine: &'a Machine,
    /// Documents that were read.
    read: usize,
    /// Digest of the last one.
    last: Option<Digest>,
    /// Which machines the indexes have images for, for messages.
    has: Vec<String>,
}

/// An index still to be searched.
struct Open {
    entries: Vec<Entry>,
    depth: usize,
    /// Whether nothing else was found beside it, all the way from the first index.
    is_only: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        resolver: &'a Resolver,
        image: &'a Reference,
        logins: &Logins,
        machine: &'a Machine,
    ) -> Self {
        let access = Access::new(&image.name, logins);
        Self { resolver, image, access, machine, read: 0, last: None, has: vec![] }
    }

    /// The machines that there are images for.
    pub(super) fn has(&self) -> &[String] {
        &self.has
    }

    /// Digest of the last document that was read: the manifest of the image whose layers were
    /// found.
    pub(super) fn last(&self) -> Option<&Digest> {
        self.last.as_ref()
    }

    /// Finds the layers for the machine behind the entries of an index: those of the entry for it,
    /// else those of the first entry that names no platform, if that is an index or the only image.
    /// An entry that cannot be read does not stop the search.
    pub(super) async fn behind(
        &mut self,
        entries: &[Entry],
        boot: Boot,
    ) -> Result<Option<Vec<Layer>>, Error> {
        let mut failure = None;
        // Taken from the end.
        let mut open = vec![Open { entries: entries.to_vec(), depth: 1, is_only: true }];
        while let Some(index) = open.pop() {
            self.note(&index.entries);
            let mut found = vec![];
            for (entry, leads) in self.candidates(&index, boot) {
                match self.entry(entry).await {
                    Ok(Manifest::Image(layers)) if leads.to_image => return Ok(Some(layers)),
                    // An image that does not say what it is for.
                    Ok(Manifest::Image(_)) => {}
                    Ok(Manifest::Index(_)) if index.depth == MAX_DEPTH => {
                        failure.get_or_insert(self.nested());
                    }
                    Ok(Manifest::Index(entries)) => {
                        let depth = index.depth + 1;
                        found.push(Open { entries, depth, is_only: leads.is_only });
                    }
                    // It might be the right one, and asking again later must not return another.
                    Err(error) if error.is_transient() => return Err(error),
                    Err(error) => {
                        failure.get_or_insert(error);
                    }
                }
            }
            open.extend(found.into_iter().rev());
        }
        failure.map_or(Ok(None), Err)
    }

    /// The entries that are worth reading, in order.
    fn candidates<'i>(&self, index: &'i Open, boot: Boot) -> Vec<(&'i Entry, Candidate)> {
        if let Some(entry) = choose(&index.entries, self.machine, boot) {
            return vec![(entry, Candidate { to_image: true, is_only: false })];
        }
        if let Some(entry) = only(&index.entries).filter(|_| index.is_only) {
            return vec![(entry, Candidate { to_image: true, is_only: true })];
        }
        let possible = index.entries.iter().filter(|entry| entry.may_lead_on());
        possible.map(|entry| (entry, Candidate { to_image: false, is_only: false })).collect()
    }

    async fn entry(&mut self, entry: &Entry) -> Result<Manifest, Error> {
        let digest = entry.digest.clone().map_err(|source| self.malformed(source))?;
        self.read(&Version::Digest(digest)).await
    }

    pub(super) async fn read(&mut self, version: &Version) -> Result<Manifest, Error> {
        let document = self.document(version).await?;
        self.parse(&document)
    }

    pub(super) async fn document(&mut self, version: &Version) -> Result<Document, Error> {
        if self.read == MAX_DOCUMENTS {
            return Err(self.nested());
        }
        self.read += 1;
        let document = self.resolver.registries.manifest_as(&self.access, version).await?;
        self.last = Some(document.digest.clone());
        Ok(document)
    }

    pub(super) fn parse(&self, document: &Document) -> Result<Manifest, Error> {
        Manifest::parse(document).map_err(|source| self.malformed(source))
    }

    fn nested(&self) -> Error {
        Error::Nested { image: self.image.clone() }
    }

    fn malformed(&self, source: manifest::MalformedManifest) -> Error {
        Error::Manifest { image: self.image.clone(), source }
    }

    fn note(&mut self, entries: &[Entry]) {
        let machines = entries.iter().filter_map(|entry| entry.platform.machine());
        let room = 64_usize.saturating_sub(self.has.len());
        self.has.extend(machines.take(room).map(ToString::to_string));
    }
}

/// What an entry of an index may lead to.
#[derive(Clone, Copy)]
struct Candidate {
    /// Whether an image behind it is the one to boot.
    to_image: bool,
    /// Whether there is no other candidate.
    is_only: bool,
}
