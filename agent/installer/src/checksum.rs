//! Checksums as `sha256sum` writes them.

/// The longest list, in bytes.
pub const LARGEST: usize = 64 << 10;
/// Bytes of SHA-256.
pub const LENGTH: usize = 32;

/// A checksum of SHA-256.
pub type Sha256 = [u8; LENGTH];

/// Why a list has no checksum of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumError {
    /// The list is not in the format of `sha256sum`.
    #[error("line {0} of the checksums is not `SHA-256  NAME`")]
    Line(usize),
    /// No line is about the file.
    #[error("the checksums do not have the disk image; the name has to be that of the file alone")]
    Missing,
    /// Two lines differ.
    #[error("the checksums have two for the disk image")]
    Twice,
}

/// The checksum of the file `name`, without folders. Every line has to be valid, because a list that is only
/// partly understood may mean something else.
///
/// # Errors
///
/// If there is not exactly one.
pub fn find(list: &[u8], name: &str) -> Result<Sha256, ChecksumError> {
    let mut found = None;
    for (at, line) in list.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let (sum, of) = parse(line).ok_or(ChecksumError::Line(at + 1))?;
        if of != name.as_bytes() {
            continue;
        }
        if found.is_some_and(|found| found != sum) {
            return Err(ChecksumError::Twice);
        }
        found = Some(sum);
    }
    found.ok_or(ChecksumError::Missing)
}

/// 64 hexadecimal digits, a space, a space or an asterisk (binary mode), and the name.
fn parse(line: &[u8]) -> Option<(Sha256, &[u8])> {
    let (digits, rest) = line.split_at_checked(2 * LENGTH)?;
    let name = rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"))?;
    let mut sum = [0; LENGTH];
    for (byte, pair) in sum.iter_mut().zip(digits.as_chunks::<2>().0) {
        let digit = |c: u8| char::from(c).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    (!name.is_empty()).then_some((sum, name.strip_prefix(b"./").unwrap_or(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_file_counts_in_both_modes() {
        let (a, b) = ("0a".repeat(32), "Ff".repeat(32));
        for list in [
            format!("{a}  disk.img\n{b}  other\n"),
            format!("{b} *other\r\n{a} *disk.img"),
            format!("{a}  ./disk.img\n\n{a}  disk.img\n"),
        ] {
            assert_eq!(find(list.as_bytes(), "disk.img"), Ok([10; 32]), "{list}");
        }
        assert_eq!(find(format!("{b}  other").as_bytes(), "other"), Ok([255; 32]));
    }

    #[test]
    fn anything_else_is_an_error() {
        let (a, b) = ("0a".repeat(32), "0b".repeat(32));
        for (list, error) in [
            (String::new(), ChecksumError::Missing),
            (format!("{a}  a/disk.img"), ChecksumError::Missing),
            (format!("{a}  disk.img\n{b}  disk.img"), ChecksumError::Twice),
            (format!("{a}  disk.img\nSHA256 (disk.img) = {a}"), ChecksumError::Line(2)),
            (a.clone(), ChecksumError::Line(1)),
            (format!("{a}  "), ChecksumError::Line(1)),
            (format!("{}  disk.img", &a[1..]), ChecksumError::Line(1)),
            (format!("+{}  disk.img", &a[1..]), ChecksumError::Line(1)),
            (format!("\\{a}  disk.img"), ChecksumError::Line(1)),
        ] {
            assert_eq!(find(list.as_bytes(), "disk.img"), Err(error), "{list}");
        }
    }
}
