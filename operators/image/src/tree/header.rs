//! Headers of tar archives (POSIX.1-2024, pax, "ustar Interchange Format"; GNU tar's additions).

/// Size of a block: headers have this size, and contents are padded to a multiple of it.
pub(super) const BLOCK: usize = 512;

/// One block of an archive.
pub(super) type Block = [u8; BLOCK];

/// The type of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file.
    File,
    /// A hard link.
    HardLink,
    /// A symbolic link.
    SymbolicLink,
    /// A folder.
    Folder,
    /// A device or a pipe.
    Device,
    /// The name of the next entry, if it is long: a GNU tar extension.
    LongName,
    /// The target of the next entry, if it is long: a GNU tar extension.
    LongTarget,
    /// Extended fields of the next entry.
    Extended,
    /// Extended fields of all following entries.
    Global,
    /// Anything else, such as a sparse file.
    Other,
}

/// The header of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) name: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) size: u64,
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum MalformedHeader {
    #[error("the checksum of a header is wrong")]
    Checksum,
    #[error("the size of an entry is not a number")]
    Size,
    #[error("the extended headers of an entry are malformed")]
    Fields,
}

/// Parses a header; `None` for a block of zeros, which ends an archive.
pub(super) fn parse(block: &Block) -> Result<Option<Header>, MalformedHeader> {
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    check(block)?;
    let mut name = text(&block[..100]).to_vec();
    let prefix = text(&block[345..500]);
    // Where ustar has the beginning of the path, GNU tar has times.
    if &block[257..263] == b"ustar\0" && !prefix.is_empty() {
        name = [prefix, b"/", &name].concat();
    }
    let kind = match block[156] {
        // Before ustar, folders were marked by a slash after their name.
        0 if name.ends_with(b"/") => Kind::Folder,
        0 | b'0' | b'7' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::SymbolicLink,
        b'3' | b'4' | b'6' => Kind::Device,
        b'5' => Kind::Folder,
        b'L' => Kind::LongName,
        b'K' => Kind::LongTarget,
        b'x' => Kind::Extended,
        b'g' => Kind::Global,
        _ => Kind::Other,
    };
    let size = number(&block[124..136]).ok_or(MalformedHeader::Size)?;
    Ok(Some(Header { kind, name, target: text(&block[157..257]).to_vec(), size }))
}

/// The sum of all bytes, with those of the checksum itself counted as spaces.
fn check(block: &Block) -> Result<(), MalformedHeader> {
    let sum = |byte: &dyn Fn(u8) -> i64| {
        let bytes = block.iter().enumerate();
        bytes.map(|(at, it)| if (148..156).contains(&at) { 32 } else { byte(*it) }).sum::<i64>()
    };
    let told = number(&block[148..156]).and_then(|it| i64::try_from(it).ok());
    // Some programs use signed bytes.
    let sums = [sum(&|byte| i64::from(byte)), sum(&|byte| i64::from(byte.cast_signed()))];
    if told.is_some_and(|told| sums.contains(&told)) {
        Ok(())
    } else {
        Err(MalformedHeader::Checksum)
    }
}

fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits, or a 95-bit number after a first bit that is set, which is how GNU tar writes
/// large numbers.
fn number(field: &[u8]) -> Option<u64> {
    let (first, rest) = field.split_first()?;
    if *first & 0x80 != 0 {
        let high = u64::from(*first & 0x7f);
        return rest
            .iter()
            .try_fold(high, |sum, byte| Some(sum.checked_mul(256)? | u64::from(*byte)));
    }
    let field = String::from_utf8_lossy(field);
    let digits = field.trim_matches(['\0', ' ']);
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

/// Fields that override those of the next entry's header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) name: Option<Vec<u8>>,
    pub(super) target: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    /// Whether it is a sparse file, whose content has a format that is not supported.
    pub(super) is_sparse: bool,
}

/// Parses records of the form `length key=value\n`.
pub(super) fn fields(mut bytes: &[u8]) -> Result<Fields, MalformedHeader> {
    let mut fields = Fields::default();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').ok_or(MalformedHeader::Fields)?;
        let length = std::str::from_utf8(&bytes[..space]).ok().and_then(|it| it.parse().ok());
        let length: usize = length.ok_or(MalformedHeader::Fields)?;
        let record = bytes.get(space + 1..length).and_then(|it| it.strip_suffix(b"\n"));
        let record = record.ok_or(MalformedHeader::Fields)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(MalformedHeader::Fields)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            // That of the header counts.
            _ if value.is_empty() => {}
            b"path" => fields.name = Some(value.to_vec()),
            b"linkpath" => fields.target = Some(value.to_vec()),
            b"size" => {
                let size = std::str::from_utf8(value).ok().and_then(|it| it.parse().ok());
                fields.size = Some(size.ok_or(MalformedHeader::Size)?);
            }
            key if key.starts_with(b"GNU.sparse.") => fields.is_sparse = true,
            _ => {}
        }
        bytes = &bytes[length..];
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        for (field, expected) in [
            (b"0000644\0".as_slice(), Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"\x80\0\0\0\0\0\0\x01\0\0\0\0", Some(1 << 32)),
            (b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", None),
            (b"12a\0", None),
            (b"-1\0", None),
        ] {
            assert_eq!(number(field), expected, "{field:?}");
        }
    }

    #[test]
    fn extended_fields_have_their_length_in_front() {
        let read = fields(b"12 path=a\nb\n14 linkpath=c\n9 size=7\n7 x=y \n").unwrap();
        let expected = Fields {
            name: Some(b"a\nb".to_vec()),
            target: Some(b"c".to_vec()),
            size: Some(7),
            is_sparse: false,
        };
        assert_eq!(read, expected);
        assert!(fields(b"22 GNU.sparse.major=1\n").unwrap().is_sparse);
        assert_eq!(fields(b"8 path=\n8 size=\n").unwrap(), Fields::default());
        for bad in ["path=a\n", "99 path=a\n", "10 path=a", "2 \n", "0 a=b\n", "9 size=x\n"] {
            assert!(fields(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_header_whose_sum_is_wrong_is_none() {
        let mut block = [0; BLOCK];
        block[0] = b'a';
        assert_eq!(parse(&block), Err(MalformedHeader::Checksum));
        block[148..156].copy_from_slice(b"000541\0 ");
        assert_eq!(parse(&block).unwrap().unwrap().name, b"a");
        assert_eq!(parse(&[0; BLOCK]), Ok(None));
    }
}
