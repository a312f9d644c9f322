//! Hashes a disk image while it is received, decompresses it, and writes it.

use crate::{
    checksum::{LENGTH, Sha256},
    disk_ends::DiskEnds,
    disk_writer::{Sink, SinkError, TargetDisk},
    gpt::{GptError, Needs, Table, WINDOW},
};
use metal_base::{compression::decompressed, hex};
use ring::digest::{Context, SHA256};
use std::{
    env::consts::ARCH,
    io::{self, BufRead, BufReader, Read, Write, copy},
};

/// How many bytes are read at a time.
const PIECE: usize = 128 << 10;

/// First bytes of files that people take for a raw disk image, and how to make one of them.
const OTHERS: [(&[u8], &str); 3] = [
    (b"QFI\xfb", "qcow2; convert it with `qemu-img convert -O raw`"),
    (b"\xfd7zXZ\0", "compressed with xz; compress it with zstd or gzip"),
    (b"BZh", "compressed with bzip2; compress it with zstd or gzip"),
];

/// Why an image is not on the disk. The previous content is still there, or the disk cannot be booted.
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
    /// It is another image.
    #[error("the disk image has the SHA-256 {found}, and the checksums say {expected}")]
    Checksum {
        /// Its checksum.
        found: String,
        /// The expected checksum.
        expected: String,
    },
    /// The disk cannot take it.
    #[error(transparent)]
    Disk(#[from] SinkError),
    /// It cannot be booted.
    #[error(transparent)]
    Gpt(#[from] GptError),
}

/// Writes the image that `transfer` yields to a disk, if it has this checksum as it comes, but for both ends of
/// the disk, which are returned. Nothing is written before the first MiB has come, and has a table that fits to
/// the disk and has what is needed; from then on the disk boots nothing before its ends are on it.
///
/// # Errors
/// If it is incomplete, is another one, or does not fit.
pub(crate) fn write(
    transfer: impl Read,
    expected: &Sha256,
    place: TargetDisk<'_>,
    needs: Needs,
) -> Result<DiskEnds, ImageError> {
    let mut hashed = BufReader::with_capacity(PIECE, Hashed::new(transfer));
    let poured = pour(&mut hashed, place, needs);
    let hashed = hashed.into_inner();
    // A transfer that broke off also looks like content that cannot be decompressed.
    if let Some(error) = hashed.broken {
        return Err(ImageError::Transfer(error));
    }
    let (mut sink, mut table) = poured?;
    let found = hashed.context.finish();
    if found.as_ref() != expected {
        return Err(ImageError::Checksum { found: hex(found.as_ref()), expected: hex(expected) });
    }
    sink.finish()?;
    if table.grow().is_some() {
        sink.wipe_before_tail()?;
    }
    Ok(DiskEnds::new(sink.head, sink.tail, table))
}

/// Decompresses all of it, to its last byte, onto a disk that its beginning fits to.
fn pour<'a, R: Read>(
    from: &mut BufReader<Hashed<R>>,
    place: TargetDisk<'a>,
    needs: Needs,
) -> Result<(Sink<'a>, Table), ImageError> {
    let first = from.fill_buf().map_err(ImageError::Content)?;
    if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| first.starts_with(magic)) {
        return Err(ImageError::Format(what));
    }
    let mut content = decompressed(&mut *from).map_err(ImageError::Content)?;
    let mut head = Vec::with_capacity(WINDOW);
    content.by_ref().take(WINDOW as u64).read_to_end(&mut head).map_err(ImageError::Content)?;
    let table = Table::read(&head, place.sector, place.size / place.sector)?;
    needs.check(&table, ARCH)?;
    let mut sink = Sink::wipe(place.disk, place.size)?;
    sink.write_all(&head).map_err(ImageError::Content)?;
    copy(&mut content, &mut sink).map_err(ImageError::Content)?;
    drop(content);
    // What a decompressor leaves is part of the file, and of its checksum.
    copy(from, &mut io::sink()).map_err(ImageError::Content)?;
    Ok((sink, table))
}

/// Hashes what is read, and remembers how the transfer ended.
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
    use crate::testing::{ESP_TYPE, Image, LINUX_TYPE, is_wiped, mib, pattern};
    use flate2::{Compression, write::GzEncoder};
    use ring::digest::digest;
    use std::fs;
    use tempfile::NamedTempFile;

    #[test]
    fn an_image_in_each_form_ends_up_on_the_disk_and_grown() {
        let image = image();
        for bytes in [image.bytes.clone(), gzip(&image.bytes), zstd(&image.bytes)] {
            let disk = disk();
            let ends = write(&*bytes, &sum(&bytes), place(&disk), Needs::default()).unwrap();
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
    fn what_an_array_has_left_at_the_end_of_the_grown_partition_is_gone() {
        let image = image();
        let disk = disk();
        let old = vec![0xdd; 32 << 20];
        fs::write(disk.path(), &old).unwrap();
        let ends = write(&*image.bytes, &sum(&image.bytes), place(&disk), Needs::default());
        ends.unwrap().seal(place(&disk)).unwrap();
        let found = fs::read(disk.path()).unwrap();
        assert!(is_wiped(&found[30 << 20..31 << 20]), "the partition ends at 31 MiB");
        assert!(found[29 << 20..30 << 20] == old[29 << 20..30 << 20], "nothing else is");
    }

    #[test]
    fn what_the_image_has_there_is_not_wiped() {
        let image = image();
        let whole = [&*image.bytes, &pattern((31 << 20) - image.bytes.len())].concat();
        let disk = disk();
        let ends = write(&*whole, &sum(&whole), place(&disk), Needs::default()).unwrap();
        ends.seal(place(&disk)).unwrap();
        assert!(fs::read(disk.path()).unwrap()[30 << 20..31 << 20] == whole[30 << 20..]);
    }

    #[test]
    fn whatever_turns_out_to_be_wrong_leaves_a_disk_that_boots_nothing() {
        let image = image();
        let good = gzip(&image.bytes);
        let large = gzip(&[&*image.bytes, &vec![1; 29 << 20]].concat());
        let cases: [(&str, Vec<u8>, Vec<u8>); 5] = [
            ("another image", good.clone(), zstd(&image.bytes)),
            ("more behind it", [&*good, b"x"].concat(), good.clone()),
            ("rubbish behind it", [&*good, b"x"].concat(), [&*good, b"x"].concat()),
            ("cut", good[..good.len() - 9].to_vec(), good[..good.len() - 9].to_vec()),
            ("too large", large.clone(), large),
        ];
        for (what, sent, meant) in cases {
            let disk = disk();
            let written = write(&*sent, &sum(&meant), place(&disk), Needs::default());
            assert!(written.is_err(), "{what}");
            boots_nothing(&disk, what);
        }
    }

    #[test]
    fn nothing_is_wiped_for_what_its_first_mib_shows_to_be_no_image_for_this_disk() {
        let mut table = image();
        table.bytes[600] ^= 1;
        let needs = |root, esp| Needs { root, esp };
        let other = Image::new(4, &[(1, ESP_TYPE, 2048, 6143)]);
        for (what, sent, needs) in [
            ("no table", gzip(&vec![0; 4 << 20]), needs(false, false)),
            ("a broken table", table.bytes, needs(false, false)),
            ("nothing", vec![], needs(false, false)),
            ("short", image().bytes[..600].to_vec(), needs(false, false)),
            (
                "too large",
                Image::new(64, &[(1, LINUX_TYPE, 2048, 99_999)]).bytes,
                needs(false, false),
            ),
            ("other sectors", Image::with_sectors(4, 4096, &[]).bytes, needs(false, false)),
            ("no root", other.bytes, needs(true, true)),
            ("no loader", image().bytes, needs(true, true)),
            ("qcow2", b"QFI\xfb\0\0".to_vec(), needs(false, false)),
        ] {
            let disk = disk();
            let before = fs::read(disk.path()).unwrap();
            assert!(write(&*sent, &sum(&sent), place(&disk), needs).is_err(), "{what}");
            assert!(fs::read(disk.path()).unwrap() == before, "{what}");
        }
    }

    #[test]
    fn a_transfer_that_breaks_off_is_told_from_a_bad_image() {
        let bytes = image().bytes;
        for length in [0, 3, 700, 2 << 20, bytes.len()] {
            let disk = disk();
            let before = fs::read(disk.path()).unwrap();
            let broken = bytes[..length].chain(Broken);
            let error = write(broken, &sum(&bytes), place(&disk), Needs::default()).unwrap_err();
            assert!(matches!(error, ImageError::Transfer(_)), "{length}: {error}");
            if length < WINDOW {
                assert!(fs::read(disk.path()).unwrap() == before, "{length}");
            } else {
                boots_nothing(&disk, "broken");
            }
        }
    }

    #[test]
    fn what_is_no_raw_image_is_told_with_the_fix() {
        for (bytes, fix) in
            [(&b"QFI\xfb\0\0"[..], "qemu-img convert"), (b"\xfd7zXZ\0\0", "zstd or gzip")]
        {
            let disk = disk();
            let error = write(bytes, &sum(bytes), place(&disk), Needs::default()).unwrap_err();
            assert!(error.to_string().contains(fix), "{error}");
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

    fn place(disk: &NamedTempFile) -> TargetDisk<'_> {
        TargetDisk { disk: disk.as_file(), size: mib(32), sector: 512 }
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
