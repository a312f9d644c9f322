//! A disk image as it comes: hashed, decompressed, written.

use crate::{
    checksum::{LENGTH, Sha256},
    disk_ends::DiskEnds,
    disk_writer::{Place, Sink, SinkError},
    gpt::{GptError, Table},
};
use metal_base::{compression::decompressed, hex};
use ring::digest::{Context, SHA256};
use std::io::{self, BufRead, BufReader, Read, copy};

/// Bytes that are read at a time.
const PIECE: usize = 128 << 10;

/// First bytes of files that look like a disk image, and are none, with what makes one of them.
const OTHERS: [(&[u8], &str); 3] = [
    (b"QFI\xfb", "qcow2; convert it with `qemu-img convert -O raw`"),
    (b"\xfd7zXZ\0", "compressed with xz; compress it with zstd or gzip"),
    (b"BZh", "compressed with bzip2; compress it with zstd or gzip"),
];

/// Why an image is not on the disk. The disk boots nothing then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    /// It is incomplete.
    #[error("the disk image is incomplete")]
    Transfer(#[source] io::Error),
    /// It is of a format that is not supported.
    #[error("the disk image is {0}")]
    Format(&'static str),
    /// It cannot be decompressed, or is larger than the disk.
    #[error("the disk image cannot be written")]
    Content(#[source] io::Error),
    /// It is another one.
    #[error("the disk image has the SHA-256 {found}, and the checksums say {expected}")]
    Checksum {
        /// What came.
        found: String,
        /// What should have.
        expected: String,
    },
    /// The disk cannot take it.
    #[error(transparent)]
    Disk(#[from] SinkError),
    /// It cannot be booted from.
    #[error(transparent)]
    Gpt(#[from] GptError),
}

/// Writes the image that `transfer` yields to a disk, if it has this checksum as it comes, but for both ends of
/// the disk, which are returned. The disk boots nothing before they are on it.
///
/// # Errors
/// If it is incomplete, is another one, or does not fit.
pub(crate) fn write(
    transfer: impl Read,
    expected: &Sha256,
    place: Place<'_>,
) -> Result<DiskEnds, ImageError> {
    let mut sink = Sink::wipe(place.disk, place.size)?;
    let mut hashed = BufReader::with_capacity(PIECE, Hashed::new(transfer));
    let written = pour(&mut hashed, &mut sink);
    let hashed = hashed.into_inner();
    // A transfer that breaks off also looks like content that cannot be decompressed.
    if let Some(error) = hashed.broken {
        return Err(ImageError::Transfer(error));
    }
    written?;
    let found = hashed.context.finish();
    if found.as_ref() != expected {
        return Err(ImageError::Checksum { found: hex(found.as_ref()), expected: hex(expected) });
    }
    sink.finish()?;
    let mut table = Table::read(&sink.head, place.sector, place.size / place.sector)?;
    table.grow();
    Ok(DiskEnds::new(sink.head, sink.tail, table))
}

/// Decompresses all of it, to its last byte.
fn pour<R: Read>(from: &mut BufReader<Hashed<R>>, sink: &mut Sink<'_>) -> Result<(), ImageError> {
    let first = from.fill_buf().map_err(ImageError::Content)?;
    if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| first.starts_with(magic)) {
        return Err(ImageError::Format(what));
    }
    let mut content = decompressed(&mut *from).map_err(ImageError::Content)?;
    copy(&mut content, sink).map_err(ImageError::Content)?;
    drop(content);
    // What a decompressor leaves is part of the file, and of its checksum.
    copy(from, &mut io::sink()).map_err(ImageError::Content)?;
    Ok(())
}

/// Hashes what is read, and remembers how it ended.
struct Hashed<R> {
    from: R,
    context: Context,
    broken: Option<io::Error>,
}

impl<R> Hashed<R> {
    fn new(from: R) -> Self {
        const { assert!(LENGTH == ring::digest::SHA256_OUTPUT_LEN) };
        Self { from, context: Context::new(&SHA256), broken: None }
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.from.read(into) {
            Ok(length) => {
                self.context.update(&into[..length]);
                Ok(length)
            }
            Err(error) => {
                let kind = error.kind();
                self.broken = Some(error);
                Err(kind.into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Image, LINUX_TYPE, is_wiped, mib, pattern};
    use flate2::{Compression, write::GzEncoder};
    use ring::digest::digest;
    use std::{fs, io::Write};
    use tempfile::NamedTempFile;

    #[test]
    fn an_image_in_each_form_ends_up_on_the_disk_and_grown() {
        let image = image();
        for bytes in [image.bytes.clone(), gzip(&image.bytes), zstd(&image.bytes)] {
            let disk = disk();
            let ends = write(&*bytes, &sum(&bytes), place(&disk)).unwrap();
            boots_nothing(&disk, "not sealed yet");
            let table = ends.seal(place(&disk)).unwrap();
            assert_eq!(table.partitions().next().unwrap().last, mib(31) / 512 - 1);
            let found = fs::read(disk.path()).unwrap();
            let mut table = Table::read(image.head(), 512, mib(32) / 512).unwrap();
            table.grow();
            let expected = image.on_a_disk(32, &table);
            assert!(found[..image.bytes.len()] == expected[..image.bytes.len()]);
            assert!(found[found.len() - (1 << 20)..] == expected[expected.len() - (1 << 20)..]);
        }
    }

    #[test]
    fn whatever_is_wrong_leaves_a_disk_that_boots_nothing() {
        let image = image();
        let good = gzip(&image.bytes);
        let mut table = image.clone();
        table.bytes[600] ^= 1;
        let cases: [(&str, Vec<u8>, Vec<u8>); 8] = [
            ("another image", good.clone(), zstd(&image.bytes)),
            ("more behind it", [&*good, b"x"].concat(), good.clone()),
            ("rubbish behind it", [&*good, b"x"].concat(), [&*good, b"x"].concat()),
            ("cut", good[..good.len() - 9].to_vec(), good[..good.len() - 9].to_vec()),
            ("no table", gzip(&vec![0; 4 << 20]), gzip(&vec![0; 4 << 20])),
            ("a broken table", table.bytes.clone(), table.bytes),
            ("nothing", vec![], vec![]),
            ("too large", gzip(&vec![1; 33 << 20]), gzip(&vec![1; 33 << 20])),
        ];
        for (what, sent, meant) in cases {
            let disk = disk();
            assert!(write(&*sent, &sum(&meant), place(&disk)).is_err(), "{what}");
            boots_nothing(&disk, what);
        }
    }

    #[test]
    fn a_transfer_that_breaks_off_is_told_from_a_bad_image() {
        let bytes = image().bytes;
        for length in [0, 3, 700, 2 << 20, bytes.len()] {
            let disk = disk();
            let broken = bytes[..length].chain(Broken);
            let error = write(broken, &sum(&bytes), place(&disk)).unwrap_err();
            assert!(matches!(error, ImageError::Transfer(_)), "{length}: {error}");
            boots_nothing(&disk, "broken");
        }
    }

    #[test]
    fn what_is_no_raw_image_is_told_with_the_fix() {
        for (bytes, fix) in
            [(&b"QFI\xfb\0\0"[..], "qemu-img convert"), (b"\xfd7zXZ\0\0", "zstd or gzip")]
        {
            let disk = disk();
            let error = write(bytes, &sum(bytes), place(&disk)).unwrap_err().to_string();
            assert!(error.contains(fix), "{error}");
            boots_nothing(&disk, fix);
        }
    }

    struct Broken;

    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("cable"))
        }
    }

    fn boots_nothing(disk: &NamedTempFile, what: &str) {
        let found = fs::read(disk.path()).unwrap();
        let (head, tail) = (&found[..1 << 20], &found[found.len() - (1 << 20)..]);
        assert!(is_wiped(head) && is_wiped(tail), "{what}");
    }

    fn place(disk: &NamedTempFile) -> Place<'_> {
        Place { disk: disk.as_file(), size: mib(32), sector: 512 }
    }

    /// With something on it that boots.
    fn disk() -> NamedTempFile {
        let file = NamedTempFile::new().unwrap();
        let old = Image::new(32, &[(1, LINUX_TYPE, 2048, 4095)]);
        fs::write(file.path(), old.bytes).unwrap();
        file
    }

    fn image() -> Image {
        let mut image = Image::new(4, &[(1, LINUX_TYPE, 2048, 6143)]);
        image.bytes[1 << 20..3 << 20].copy_from_slice(&pattern(2 << 20));
        image
    }

    fn sum(bytes: &[u8]) -> Sha256 {
        digest(&SHA256, bytes).as_ref().try_into().unwrap()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut to = GzEncoder::new(vec![], Compression::fast());
        to.write_all(bytes).unwrap();
        to.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        use ruzstd::encoding::{CompressionLevel, compress_to_vec};
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }
}
