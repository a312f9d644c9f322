//! Names of entries as paths within the image.

use super::error::Unusable;
use crate::reference::excerpt;

/// The longest path and link target, in bytes (`PATH_MAX` of Linux).
pub(super) const LONGEST: usize = 4096;
/// The longest file name, in bytes (`NAME_MAX` of Linux).
const LONGEST_NAME: usize = 255;
/// The most parts of a path.
const DEEPEST: usize = 32;

/// The parts of an archive's path, from the root of the image.
///
/// # Errors
///
/// If it leads out of the image or is too long.
pub(super) fn parts(name: &[u8]) -> Result<Vec<String>, Unusable> {
    let text = String::from_utf8_lossy(name);
    let refuse = |why| Unusable::Path { path: excerpt(&text), why };
    if name.len() > LONGEST {
        return Err(refuse("the path is longer than 4,096 bytes"));
    }
    if name.contains(&0) {
        return Err(refuse("the path has a zero byte"));
    }
    let parts = text.split('/').filter(|part| !matches!(*part, "" | "."));
    let parts: Vec<String> = parts.map(str::to_owned).collect();
    if parts.iter().any(|part| part == "..") {
        return Err(refuse("the path contains .."));
    }
    if parts.len() > DEEPEST {
        return Err(refuse("the file is nested more than 32 folders deep"));
    }
    if parts.iter().any(|part| part.len() > LONGEST_NAME) {
        return Err(refuse("a name is longer than 255 bytes"));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_lies_within_the_image_however_it_is_written() {
        for name in ["disk/grub/grub.cfg", "/disk/grub/grub.cfg", "./disk//grub/./grub.cfg/"] {
            assert_eq!(parts(name.as_bytes()).unwrap(), ["disk", "grub", "grub.cfg"], "{name}");
        }
        for name in ["", ".", "/", "./"] {
            assert_eq!(parts(name.as_bytes()).unwrap(), [""; 0], "{name}");
        }
        let deep = "a/".repeat(33);
        let long = "a".repeat(256);
        for name in ["..", "disk/../etc", "/../etc", "disk/..", "a\0b", &deep, &long] {
            assert!(parts(name.as_bytes()).is_err(), "{name}");
        }
        assert!(parts("a/".repeat(2049).as_bytes()).is_err());
        assert_eq!(parts(b"disk/\xff").unwrap(), ["disk", "\u{fffd}"]);
    }
}
