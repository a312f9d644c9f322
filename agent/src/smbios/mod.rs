//! SMBIOS tables as the kernel exports them (DSP0134 3.7).
//!
//! The reader takes bytes that a firmware wrote, so it believes no length: every field is looked
//! up in the part of the structure that is really there.

mod decode;

pub(crate) use decode::{Bios, Board, Memory, Processor, System};

/// The end-of-table structure.
const END: u8 = 127;

/// What the entry point says about the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntryPoint {
    /// Major and minor version of the specification that the firmware followed.
    pub version: (u8, u8),
    /// Upper limit of the table's length in bytes.
    pub length: usize,
}

/// The tables are not usable, or only in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SmbiosError {
    /// No entry point form that the specification knows.
    #[error("SMBIOS entry point has an unknown anchor string")]
    Anchor,
    /// The entry point's bytes do not sum up to zero.
    #[error("SMBIOS entry point has a wrong checksum")]
    Checksum,
    /// A structure ends behind the table.
    #[error("SMBIOS structure at offset {0} is truncated")]
    Truncated(usize),
}

impl EntryPoint {
    /// Reads a 64-bit (`_SM3_`), 32-bit (`_SM_`) or legacy (`_DMI_`) entry point (section 5.2).
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, SmbiosError> {
        let (size, version, length) = if bytes.starts_with(b"_SM3_") {
            (at(bytes, 6)?, (at(bytes, 7)?, at(bytes, 8)?), number(bytes, 12, 4)?)
        } else if bytes.starts_with(b"_SM_") {
            (at(bytes, 5)?, (at(bytes, 6)?, at(bytes, 7)?), number(bytes, 22, 2)?)
        } else if bytes.starts_with(b"_DMI_") {
            let bcd = at(bytes, 14)?;
            (15, (bcd >> 4, bcd & 15), number(bytes, 6, 2)?)
        } else {
            return Err(SmbiosError::Anchor);
        };
        let covered = bytes.get(..usize::from(size)).ok_or(SmbiosError::Truncated(0))?;
        if covered.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) != 0 {
            return Err(SmbiosError::Checksum);
        }
        Ok(Self { version, length })
    }
}

fn at(bytes: &[u8], offset: usize) -> Result<u8, SmbiosError> {
    bytes.get(offset).copied().ok_or(SmbiosError::Truncated(0))
}

fn number(bytes: &[u8], offset: usize, width: usize) -> Result<usize, SmbiosError> {
    let field = bytes.get(offset..offset + width).ok_or(SmbiosError::Truncated(0))?;
    Ok(field.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

/// One structure: its formatted area, header included, and its strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Structure<'a> {
    /// Type of the structure.
    pub kind: u8,
    formatted: &'a [u8],
    strings: Vec<&'a [u8]>,
}

impl Structure<'_> {
    fn u8(&self, offset: usize) -> Option<u8> {
        self.formatted.get(offset).copied()
    }

    fn u16(&self, offset: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.formatted.get(offset..offset + 2)?.try_into().ok()?))
    }

    fn u32(&self, offset: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.formatted.get(offset..offset + 4)?.try_into().ok()?))
    }

    /// The string whose number is at `offset`; empty where there is none.
    fn string(&self, offset: usize) -> String {
        let index = self.u8(offset).unwrap_or(0);
        let text = usize::from(index).checked_sub(1).and_then(|index| self.strings.get(index));
        let text = String::from_utf8_lossy(text.copied().unwrap_or_default());
        text.chars().filter(|letter| !letter.is_control()).collect::<String>().trim().to_owned()
    }
}

/// The structures of a table in their order, and what stopped the reader before its end.
pub(crate) fn structures(table: &[u8], limit: usize) -> (Vec<Structure<'_>>, Option<SmbiosError>) {
    let table = &table[..limit.min(table.len())];
    let (mut found, mut offset) = (Vec::new(), 0);
    while offset < table.len() {
        let Some((structure, next)) = structure(table, offset) else {
            return (found, Some(SmbiosError::Truncated(offset)));
        };
        if structure.kind == END {
            break;
        }
        found.push(structure);
        offset = next;
    }
    (found, None)
}

/// The structure at `offset` and where the next one begins.
fn structure(table: &[u8], offset: usize) -> Option<(Structure<'_>, usize)> {
    let kind = *table.get(offset)?;
    let length = usize::from(*table.get(offset + 1)?);
    let end = offset + length.max(4);
    let formatted = table.get(offset..end).filter(|_| length >= 4)?;
    let (mut strings, mut position) = (Vec::new(), end);
    // No strings at all are two zeros; otherwise each ends with a zero, and one more follows.
    while *table.get(position)? != 0 {
        let rest = table.get(position..)?;
        let length = rest.iter().position(|byte| *byte == 0)?;
        strings.push(&rest[..length]);
        position += length + 1;
    }
    if strings.is_empty() {
        position += 1;
        if kind != END && *table.get(position)? != 0 {
            return None;
        }
    }
    Some((Structure { kind, formatted, strings }, position + 1))
}

#[cfg(test)]
mod tests;
