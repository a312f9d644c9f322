//! Images without a registry, for tests of other crates.

use crate::{
    digest::Digest,
    tree::{Error, Limits, Tree, unpack_into},
};
use std::{fs::File, io::Write, path::Path, sync::Arc};

/// A tar archive of these files and their contents.
pub fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    // Byte by byte, a large one takes unoptimized binaries seconds.
    let entries: Vec<_> = files.iter().map(|(name, content)| entry(name, content)).collect();
    [entries.concat(), vec![0; 1024]].concat()
}

fn entry(name: &str, content: &[u8]) -> Vec<u8> {
    let mut block = [0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    block[156] = b'0';
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = [block.as_slice(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// An image of these files, unpacked into `dir`.
///
/// # Errors
///
/// If it is none, or the disk fails.
pub fn tree(dir: &Path, files: &[(&str, &[u8])]) -> Result<Tree, Error> {
    let archive = archive(files);
    let path = dir.join("layer");
    File::create(&path)?.write_all(&archive)?;
    let layer = Arc::new(File::open(path)?);
    unpack_into(dir, &Digest::of(&archive), &[layer], Limits::default())
}
