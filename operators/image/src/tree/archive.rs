//! Reads the entries of a tar archive, including their long names.

use super::{
    error::Unusable,
    header::{self, BLOCK, Block, Fields, Kind},
    path::LONGEST,
};
use std::io::{self, Read};

/// The most bytes of extended fields per entry.
const MOST_FIELDS: u64 = 64 << 10;

/// An entry without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) name: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) size: u64,
}

/// An archive, which is read sequentially.
pub(super) struct Archive<R> {
    from: R,
    /// Bytes that may still be read.
    budget: u64,
    /// Remaining bytes of the current entry's content.
    content: u64,
    /// Padding after the content.
    padding: u64,
}

/// Why there is no next entry.
#[derive(Debug)]
pub(super) enum Failed {
    /// The archive is invalid.
    Archive(Unusable),
    /// The archive cannot be read.
    Read(io::Error),
}

impl From<Unusable> for Failed {
    fn from(what: Unusable) -> Self {
        Self::Archive(what)
    }
}

impl From<header::MalformedHeader> for Failed {
    fn from(what: header::MalformedHeader) -> Self {
        Self::Archive(Unusable::Archive(what.to_string()))
    }
}

impl<R: Read> Archive<R> {
    /// An archive of at most `budget` bytes.
    pub(super) fn new(from: R, budget: u64) -> Self {
        Self { from, budget, content: 0, padding: 0 }
    }

    /// How many more bytes it may have.
    pub(super) fn budget(&self) -> u64 {
        self.budget
    }

    /// The next entry; skips what is left of the previous entry's content.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Failed> {
        let (mut fields, mut gnu) = (Fields::default(), Fields::default());
        loop {
            self.skip()?;
            let Some(block) = self.block()? else { return Ok(None) };
            let Some(header) = header::parse(&block)? else { return Ok(None) };
            match header.kind {
                Kind::Extended => fields = header::fields(&self.extra(header.size, MOST_FIELDS)?)?,
                Kind::Global => _ = self.extra(header.size, MOST_FIELDS)?,
                Kind::LongName => gnu.name = Some(self.long(header.size)?),
                Kind::LongTarget => gnu.target = Some(self.long(header.size)?),
                Kind::File
                | Kind::HardLink
                | Kind::SymbolicLink
                | Kind::Folder
                | Kind::Device
                | Kind::Other => {
                    let size = match header.kind {
                        // Some programs write the size of what it leads to, and no content.
                        Kind::HardLink | Kind::SymbolicLink | Kind::Folder | Kind::Device => 0,
                        _ => fields.size.unwrap_or(header.size),
                    };
                    self.begin(size);
                    return Ok(Some(Entry {
                        kind: if fields.is_sparse { Kind::Other } else { header.kind },
                        name: fields.name.or(gnu.name).unwrap_or(header.name),
                        target: fields.target.or(gnu.target).unwrap_or(header.target),
                        size,
                    }));
                }
            }
        }
    }

    /// Reads the next bytes of the current entry's content; 0 at its end.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Result<usize, Failed> {
        let most = usize::try_from(self.content).unwrap_or(usize::MAX).min(into.len());
        self.exact(&mut into[..most])?;
        self.content -= most as u64;
        Ok(most)
    }

    fn begin(&mut self, size: u64) {
        self.content = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn skip(&mut self) -> Result<(), Failed> {
        let mut waste = [0; 16 * BLOCK];
        while self.read(&mut waste)? > 0 {}
        let padding = usize::try_from(self.padding).unwrap_or_default();
        self.padding = 0;
        self.exact(&mut waste[..padding])
    }

    fn long(&mut self, size: u64) -> Result<Vec<u8>, Failed> {
        let mut name = self.extra(size, LONGEST as u64 + 1)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    /// Content that describes the next entry.
    fn extra(&mut self, size: u64, most: u64) -> Result<Vec<u8>, Failed> {
        if size > most {
            let what = format!("an entry has {size} bytes of extended headers");
            return Err(Unusable::Archive(what).into());
        }
        self.begin(size);
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    /// The next block; `None` at the end of the file, as some programs omit the terminating zeros.
    fn block(&mut self) -> Result<Option<Block>, Failed> {
        let mut block = [0; BLOCK];
        let first = loop {
            match self.from.read(&mut block) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(Failed::Read)?,
            }
        };
        if first == 0 {
            return Ok(None);
        }
        self.spend(first as u64)?;
        self.exact(&mut block[first..])?;
        Ok(Some(block))
    }

    fn exact(&mut self, into: &mut [u8]) -> Result<(), Failed> {
        self.spend(into.len() as u64)?;
        self.from.read_exact(into).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Unusable::Cut.into(),
            _ => Failed::Read(error),
        })
    }

    fn spend(&mut self, bytes: u64) -> Result<(), Failed> {
        self.budget = self.budget.checked_sub(bytes).ok_or(Unusable::TooLarge(0))?;
        Ok(())
    }
}
