//! The compression of a file, detected by its first bytes: names and media types are wrong too often.

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};
use std::io::{self, BufRead, Read};

/// First bytes of gzip (RFC 1952, section 2.3.1).
const GZIP: &[u8] = b"\x1f\x8b";
/// First bytes of a frame of Zstandard (RFC 8878, section 3.1.1).
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
/// An empty frame.
const EMPTY: &[u8] = b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00";
/// Bytes to decompress at a time.
const PIECE: usize = 128 << 10;

/// The content of a file with gzip or Zstandard, or of one that is not compressed. Memory is bounded: a
/// frame of Zstandard that asks for more than 100 MiB is an error.
///
/// # Errors
///
/// If its beginning cannot be read.
pub fn decompressed<'a>(mut file: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let first = file.fill_buf()?;
    if first.starts_with(GZIP) {
        return Ok(Box::new(MultiGzDecoder::new(file)));
    }
    // A file may begin with a skippable frame (RFC 8878, section 3.1.2).
    let is_skippable =
        first.get(..4).is_some_and(|it| it[0] & 0xf0 == 0x50 && it[1..] == *b"\x2a\x4d\x18");
    if first.starts_with(ZSTD) || is_skippable {
        return Ok(Box::new(Frames::new(file)?));
    }
    Ok(Box::new(file))
}

/// Consecutive Zstandard frames, as written by tools that let clients start at any file.
struct Frames<R> {
    decoder: FrameDecoder,
    from: R,
}

impl<R: BufRead> Frames<R> {
    fn new(from: R) -> io::Result<Self> {
        let mut decoder = FrameDecoder::new();
        // A decoder accepts any memory size for its first frame, but at most 100 MiB for the later
        // ones.
        decoder.reset(EMPTY).map_err(io::Error::other)?;
        decoder.decode_blocks(&EMPTY[6..], BlockDecodingStrategy::All).map_err(io::Error::other)?;
        Ok(Self { decoder, from })
    }

    /// Starts the next frame with content, if there is one.
    fn begin(&mut self) -> io::Result<bool> {
        while !self.from.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.from) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = (&mut self.from).take(length.into());
                    io::copy(&mut { skipped }, &mut io::sink())?;
                }
                Err(error) => return Err(invalid(error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        while self.decoder.can_collect() == 0 {
            if self.decoder.is_finished() {
                if !self.begin()? {
                    return Ok(0);
                }
            } else {
                let strategy = BlockDecodingStrategy::UptoBytes(PIECE);
                self.decoder.decode_blocks(&mut self.from, strategy).map_err(invalid)?;
            }
        }
        self.decoder.read(into)
    }
}

fn invalid(error: FrameDecoderError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};
    use std::io::Write;

    #[test]
    fn what_a_file_is_compressed_with_is_told_by_its_first_bytes() {
        let text = b"kernel".repeat(100_000);
        for bytes in [text.clone(), gzip(&text), zstd(&text)] {
            assert!(read(&bytes).unwrap() == text);
        }
    }

    #[test]
    fn several_members_or_frames_are_one_content() {
        assert_eq!(read(&[gzip(b"ker"), gzip(b"nel")].concat()).unwrap(), b"kernel");
        let skipped = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc".to_vec();
        let frames = [skipped.clone(), zstd(b"ker"), skipped, zstd(b"nel")].concat();
        assert_eq!(read(&frames).unwrap(), b"kernel");
        assert!(read(&frames[..frames.len() - 4]).is_err());
    }

    #[test]
    fn no_frame_may_ask_for_more_memory_than_100_mib() {
        // Window descriptor 0x90: 2^(10 + 18) bytes.
        let frame = b"\x28\xb5\x2f\xfd\x00\x90\x01\x00\x00";
        let error = read(frame).unwrap_err().to_string();
        assert!(error.contains("window"), "{error}");
    }

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut text = vec![];
        decompressed(bytes)?.read_to_end(&mut text).map(|_| text)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut to = GzEncoder::new(vec![], Compression::fast());
        to.write_all(text).unwrap();
        to.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        compress_to_vec(text, CompressionLevel::Fastest)
    }
}
