//! From an index to the layers for one machine, through the indexes within it.

use super::{Error, Resolver};
use crate::{
    machine::Machine,
    manifest::{self, Boot, Entry, Layer, Manifest, choose, only},
    reference::{Reference, Version},
};

/// How deep indexes may lie within each other.
pub(super) const MAX_DEPTH: usize = 4;
/// Manifests and indexes that are read for one image.
pub(super) const MAX_DOCUMENTS: usize = 16;

/// One search for the layers of an image.
pub(super) struct Search<'a> {
    resolver: &'a Resolver,
    image: &'a Reference,
    machine: &'a Machine,
    /// Documents that were read.
    read: usize,
    /// What the indexes have instead, for people.
    has: Vec<String>,
}

/// An index that is to be looked through.
struct Open {
    entries: Vec<Entry>,
    depth: usize,
    /// Whether it is the only thing that its index leads to, and so on to the first.
    is_only: bool,
}

impl<'a> Search<'a> {
    pub(super) fn new(resolver: &'a Resolver, image: &'a Reference, machine: &'a Machine) -> Self {
        Self { resolver, image, machine, read: 0, has: vec![] }
    }

    /// The machines that there are images for.
    pub(super) fn has(&self) -> &[String] {
        &self.has
    }

    /// The layers behind the entries of an index, where there are any for the machine: those of the
    /// entry that is for it, else those of the first entry that does not say, if it is an index
    /// that does, or the only image there is. What cannot be read keeps nobody from the next.
    pub(super) async fn behind(
        &mut self,
        entries: &[Entry],
        boot: Boot,
    ) -> Result<Option<Vec<Layer>>, Error> {
        let mut failure = None;
        // The next one last.
        let mut open = vec![Open { entries: entries.to_vec(), depth: 1, is_only: true }];
        while let Some(index) = open.pop() {
            self.note(&index.entries);
            let mut found = vec![];
            for (entry, leads) in self.candidates(&index, boot) {
                match self.entry(entry).await {
                    Ok(Manifest::Image(layers)) if leads.to_image => return Ok(Some(layers)),
                    // It says nowhere what it runs on.
                    Ok(Manifest::Image(_)) => {}
                    Ok(Manifest::Index(_)) if index.depth == MAX_DEPTH => {
                        failure.get_or_insert(self.nested());
                    }
                    Ok(Manifest::Index(entries)) => {
                        let depth = index.depth + 1;
                        found.push(Open { entries, depth, is_only: leads.is_only });
                    }
                    // It may be the one. Who asks again later must not get another for it.
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

    /// What is worth being read of an index, in order.
    fn candidates<'i>(&self, index: &'i Open, boot: Boot) -> Vec<(&'i Entry, Leads)> {
        if let Some(entry) = choose(&index.entries, self.machine, boot) {
            return vec![(entry, Leads { to_image: true, is_only: false })];
        }
        if let Some(entry) = only(&index.entries).filter(|_| index.is_only) {
            return vec![(entry, Leads { to_image: true, is_only: true })];
        }
        let possible = index.entries.iter().filter(|entry| entry.may_lead_on());
        possible.map(|entry| (entry, Leads { to_image: false, is_only: false })).collect()
    }

    async fn entry(&mut self, entry: &Entry) -> Result<Manifest, Error> {
        let digest = entry.digest.clone().map_err(|source| self.malformed(source))?;
        self.read(&Version::Digest(digest)).await
    }

    pub(super) async fn read(&mut self, version: &Version) -> Result<Manifest, Error> {
        if self.read == MAX_DOCUMENTS {
            return Err(self.nested());
        }
        self.read += 1;
        let document = self.resolver.registries.manifest(&self.image.name, version).await?;
        Manifest::parse(&document).map_err(|source| self.malformed(source))
    }

    fn nested(&self) -> Error {
        Error::Nested { image: self.image.clone() }
    }

    fn malformed(&self, source: manifest::Malformed) -> Error {
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
struct Leads {
    /// Whether an image behind it is the one to boot.
    to_image: bool,
    /// Whether nothing else comes into question.
    is_only: bool,
}
