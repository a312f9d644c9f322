//! Decompression of bodies that are compressed although nobody asked for it.

use http::{HeaderMap, header};
use miniz_oxide::inflate::{
    DecompressError, TINFLStatus, decompress_to_vec_with_limit, decompress_to_vec_zlib_with_limit,
};

/// Why a body could not be decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// Its decompressed size exceeds the limit.
    TooLong,
    /// It is broken, or its compression is unknown.
    Broken,
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    /// With the zlib header that the standard requires; some firmware omits it.
    Deflate,
}

impl Encoding {
    /// How a body is compressed, by its header or, without one, by its first bytes, with which no
    /// JSON can begin.
    pub(crate) fn of(headers: &HeaderMap, body: &[u8]) -> Option<Self> {
        let named = headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok());
        let named = named.unwrap_or_default().trim().to_ascii_lowercase();
        match named.as_str() {
            // Some firmware declares `deflate` and sends plain JSON.
            "deflate" if !matches!(body.first(), Some(b'{' | b'[')) => Some(Self::Deflate),
            _ => body.starts_with(&[0x1f, 0x8b]).then_some(Self::Gzip),
        }
    }

    /// The decompressed body, if it is no longer than `limit`.
    pub(crate) fn decode(self, body: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
        let told = |error: DecompressError| match error.status {
            TINFLStatus::HasMoreOutput => DecodeError::TooLong,
            _ => DecodeError::Broken,
        };
        match self {
            Self::Gzip => {
                let body = within_gzip(body).ok_or(DecodeError::Broken)?;
                decompress_to_vec_with_limit(body, limit).map_err(told)
            }
            Self::Deflate => match decompress_to_vec_zlib_with_limit(body, limit).map_err(told) {
                Err(DecodeError::Broken) => decompress_to_vec_with_limit(body, limit).map_err(told),
                done => done,
            },
        }
    }
}

/// The data after the gzip header (RFC 1952, section 2.3).
fn within_gzip(body: &[u8]) -> Option<&[u8]> {
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const CHECKSUM: u8 = 2;
    let (fixed, mut rest) = body.split_at_checked(10)?;
    let flags = fixed[3];
    if flags & EXTRA != 0 {
        let (length, after) = rest.split_at_checked(2)?;
        rest = after.get(usize::from(u16::from_le_bytes([length[0], length[1]]))..)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & CHECKSUM != 0 { rest.get(2..) } else { Some(rest) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};

    fn gzip(body: &[u8], flags: u8, fields: &[u8]) -> Vec<u8> {
        let head = [&[0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3], fields].concat();
        [head, compress_to_vec(body, 6), vec![0; 8]].concat()
    }

    fn named(name: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(name))])
    }

    fn decoded(headers: &HeaderMap, body: &[u8]) -> Option<Vec<u8>> {
        Encoding::of(headers, body)?.decode(body, 1000).ok()
    }

    #[test]
    fn a_compressed_body_is_read_whether_its_header_says_so_or_not() {
        let text = b"{\"Name\": \"x\"}";
        let all = b"\x03\x00abcname\0comment\0\x01\x02";
        for body in [gzip(text, 0, b""), gzip(text, 8, b"name\0"), gzip(text, 2 | 4 | 8 | 16, all)]
        {
            assert_eq!(decoded(&HeaderMap::new(), &body).unwrap(), text);
            assert_eq!(decoded(&named("GZIP"), &body).unwrap(), text);
        }
        for body in [compress_to_vec_zlib(text, 6), compress_to_vec(text, 6)] {
            assert_eq!(decoded(&named("deflate"), &body).unwrap(), text);
        }
    }

    #[test]
    fn a_plain_body_is_left_alone_whatever_its_header_says() {
        for name in ["gzip", "deflate", "identity", "br"] {
            assert_eq!(Encoding::of(&named(name), b"{}"), None, "{name}");
        }
    }

    #[test]
    fn a_bomb_ends_at_its_limit_and_a_broken_body_is_told() {
        let bomb = gzip(&vec![b' '; 1 << 20], 0, b"");
        assert_eq!(Encoding::Gzip.decode(&bomb, 1000), Err(DecodeError::TooLong));
        for broken in [&bomb[..12], b"\x1f\x8b", b"\x1f\x8b\x08\x08\0\0\0\0\0\x03name"] {
            assert_eq!(Encoding::Gzip.decode(broken, 1 << 22), Err(DecodeError::Broken));
        }
    }
}
