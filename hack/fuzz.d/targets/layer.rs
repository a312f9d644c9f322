//! Layers of images: bounded, and no path of theirs leads out of the image.
#![no_main]

use libfuzzer_sys::fuzz_target;
use metal_image::{fuzzing::layer, tree::Limits};

const LIMITS: Limits = Limits { layers: 1, entries: 64, index: 16 << 10, bytes: 256 << 10 };

// An archive as it is, or one entry for each line: kind, name, target and content, parted by tabs.
fuzz_target!(|input: &[u8]| {
    let archive = match input.strip_prefix(b"!") {
        Some(raw) => raw.to_vec(),
        None => input.split(|byte| *byte == b'\n').flat_map(entry).collect(),
    };
    let Some((index, bytes)) = layer(&archive, LIMITS) else { return };
    assert!(bytes <= LIMITS.bytes);
    let paths = index.paths();
    assert!(paths.len() <= LIMITS.entries);
    assert!(
        paths.iter().map(|(_, file)| file.size).sum::<u64>()
            <= LIMITS.bytes * LIMITS.entries as u64
    );
    for (path, file) in &paths {
        assert!(path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path:?}");
        assert_eq!(index.find(path), Some(*file));
        assert_eq!(index.find(&format!("../../disk/./{path}")), Some(*file));
    }
    for line in input.split(|byte| *byte == b'\n') {
        let mut asked = line.split(|byte| *byte == b'\t');
        let asked = String::from_utf8_lossy(asked.nth(1).unwrap_or_default());
        if let Some(found) = index.find(&asked) {
            assert!(
                paths.iter().any(|(_, file)| *file == found),
                "{asked:?} is no file of the image"
            );
        }
    }
});

fn entry(line: &[u8]) -> Vec<u8> {
    let mut fields = line.split(|byte| *byte == b'\t');
    let mut next = || fields.next().unwrap_or_default();
    let (kind, name, target, content) = (next(), next(), next(), next());
    let mut block = [0; 512];
    let put = |block: &mut [u8], field: &[u8]| {
        let length = field.len().min(block.len());
        block[..length].copy_from_slice(&field[..length]);
    };
    put(&mut block[..100], name);
    put(&mut block[124..135], format!("{:011o}", content.len()).as_bytes());
    block[156] = kind.first().copied().unwrap_or(b'0');
    put(&mut block[157..257], target);
    put(&mut block[257..263], b"ustar\0");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut block[148..156], format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = [block.as_slice(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}
