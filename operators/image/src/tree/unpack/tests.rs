use super::*;
use flate2::{Compression, write::GzEncoder};
use std::{io::Seek, iter};
use tempfile::TempDir;

#[test]
fn layers_become_files_of_what_is_below_disk_alone() {
    let low = Tar::default()
        .folder("disk/")
        .file("./disk/grub/grub.cfg.tmpl", b"one")
        .file("disk/vmlinuz", b"kernel")
        .file("etc/passwd", b"root")
        .hard_link("disk/again", "disk/vmlinuz")
        .link("disk/link", "/disk/grub/grub.cfg.tmpl");
    let high = Tar::default().file("disk/grub/grub.cfg.tmpl", b"two").file("disk/.wh.vmlinuz", b"");
    let (dir, index) = unpacked(&[low.gzip(), high.bytes()]);
    let read = |path: &str| {
        let file = index.find(path)?;
        Some(fs::read(dir.path().join(file.name())).unwrap())
    };
    for (path, content) in [
        ("grub/grub.cfg.tmpl", Some(b"two".as_slice())),
        ("link", Some(b"two")),
        ("again", Some(b"kernel")),
        ("vmlinuz", None),
        ("passwd", None),
        ("../etc/passwd", None),
    ] {
        assert_eq!(read(path).as_deref(), content, "{path}");
    }
    // A file that was replaced is not kept: the first grub.cfg.tmpl.
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn what_is_no_file_has_no_content_whatever_size_it_is_said_to_have() {
    for (kind, name, target) in [
        (b'1', "disk/x", "disk/a"),
        (b'2', "disk/x", "a"),
        (b'5', "disk/x", ""),
        (b'3', "dev/x", ""),
    ] {
        let mut sized = Tar::default().raw(kind, name, target, b"");
        sized.set_size(1000);
        let mut tar = Tar::default().file("disk/a", b"a").entries();
        tar.extend(sized.file("disk/b", b"b").bytes());
        let (dir, index) = unpacked(&[tar]);
        let file = index.find("b").unwrap();
        assert_eq!(fs::read(dir.path().join(file.name())).unwrap(), b"b", "{name} {target}");
    }
}

#[test]
fn long_names_are_read_as_gnu_tar_and_pax_write_them() {
    let long = format!("disk/{}/{}", "a".repeat(120), "b".repeat(120));
    let gnu = Tar::default().raw(b'L', "././@LongLink", "", long.as_bytes()).file("cut", b"gnu");
    let record = format!("path={long}\n");
    let record = format!("{} {record}", record.len() + 4);
    let pax = Tar::default().raw(b'x', "PaxHeaders/0", "", record.as_bytes()).file("cut", b"pax");
    for (tar, content) in [(gnu, "gnu"), (pax, "pax")] {
        let (dir, index) = unpacked(&[tar.bytes()]);
        let file = index.find(long.strip_prefix("disk/").unwrap()).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join(file.name())).unwrap(), content);
    }
}

#[test]
fn a_layer_that_is_hostile_is_refused_and_leaves_nothing_elsewhere() {
    let disk = || Tar::default().folder("disk/");
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().join("file").to_str().unwrap().to_owned();
    for (what, tar) in [
        ("a path upwards", disk().file("../../../../tmp/x", b"x")),
        ("a path upwards below disk", disk().file("disk/../../x", b"x")),
        ("a file behind a link", disk().link("disk/out", &target).file("disk/out/x", b"x")),
        (
            "a file behind two",
            disk().link("disk/a", "b").link("disk/b", "/").file("disk/a/x", b"x"),
        ),
        ("a hard link out", disk().hard_link("disk/x", "/etc/passwd")),
        ("a hard link up", disk().hard_link("disk/x", "../etc/passwd")),
        (
            "a hard link to a link",
            disk().link("disk/l", "/etc/passwd").hard_link("disk/x", "disk/l"),
        ),
        ("a device", disk().raw(b'3', "disk/null", "", b"")),
        ("a block device", disk().raw(b'4', "disk/sda", "", b"")),
        ("a pipe", disk().raw(b'6', "disk/pipe", "", b"")),
        ("a sparse file", disk().raw(b'S', "disk/sparse", "", b"")),
        ("a name with a zero byte", disk().raw(b'x', "p", "", b"14 path=disk/\0\n").file("x", b"")),
        ("no end of fields", disk().raw(b'x', "p", "", &vec![b'9'; 70_000]).file("x", b"")),
        ("no end of a name", disk().raw(b'L', "l", "", &vec![b'a'; 70_000]).file("x", b"")),
        ("a link to nowhere", disk().link("disk/x", "")),
    ] {
        let (_, error) = refused(&[tar.bytes()]);
        assert!(matches!(error, Error::Layer { layer: 1, .. }), "{what}: {error}");
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    // Outside of /disk, devices and links do not matter.
    let busybox = Tar::default().raw(b'3', "dev/null", "", b"").link("bin", "/usr/bin");
    assert!(unpacked(&[busybox.file("disk/a", b"a").bytes()]).1.find("a").is_some());
}

#[test]
fn what_is_no_archive_is_refused() {
    let whole = Tar::default().file("disk/a", &[7; 2000]).bytes();
    let gzip = Tar::default().file("disk/a", &[7; 2000]).gzip();
    for layer in [
        b"a kernel".repeat(200),
        whole[..1024].to_vec(),
        gzip[..gzip.len() / 2].to_vec(),
        b"\x1f\x8b\x08junk".to_vec(),
        b"\x28\xb5\x2f\xfdjunk".to_vec(),
    ] {
        assert!(matches!(refused(&[layer]).1, Error::Layer { layer: 1, .. }));
    }
    for layers in [vec![], vec![vec![]], vec![Tar::default().file("etc/a", b"").bytes()]] {
        assert!(matches!(refused(&layers).1, Error::NoDisk));
    }
    assert!(matches!(refused(&[Tar::default().file("disk", b"a").bytes()]).1, Error::NoDisk));
}

#[test]
fn an_image_has_bounds() {
    let limits = Limits { layers: 2, entries: 10, index: 2000, bytes: 64 << 10 };
    let told = |layers: &[Vec<u8>]| {
        let dir = tempfile::tempdir().unwrap();
        unpack(&files(layers), dir.path(), limits, &|_| Ok(()), &CancellationToken::new())
            .map(|(index, _)| index)
            .unwrap_err()
            .to_string()
    };
    let many = |name: &str, count: usize| {
        (0..count).fold(Tar::default(), |tar, at| tar.file(&format!("{name}/{at}"), b"")).bytes()
    };
    assert_eq!(told(&[vec![], vec![], vec![]]), "the image has more than 2 layers");
    assert_eq!(told(&[many("etc", 6), many("etc", 5)]), "layer 2: more than 10 entries");
    assert_eq!(told(&[many("disk", 9)]), "layer 1: too many files in /disk");
    let zeros = Tar::default().file("disk/bomb", &vec![0; 40 << 10]).gzip();
    assert!(zeros.len() < 1000);
    assert_eq!(told(&[zeros.clone(), zeros]), "layer 2: more than 65536 bytes, decompressed");
    // A size without content costs nothing.
    let mut lie = Tar::default().file("disk/a", b"");
    lie.set_size(u64::MAX >> 3);
    assert_eq!(told(&[lie.bytes()]), "layer 1: more than 65536 bytes, decompressed");
}

#[test]
fn a_million_entries_are_not_read_to_their_end() {
    let one = Tar::default().file("etc/a", b"").entries();
    let mut gzip = GzEncoder::new(vec![], Compression::fast());
    for block in iter::repeat_n(&one, 1_000_000) {
        gzip.write_all(block).unwrap();
    }
    let limits = Limits { entries: 50_000, ..Limits::default() };
    let dir = tempfile::tempdir().unwrap();
    let layers = files(&[gzip.finish().unwrap()]);
    let error =
        unpack(&layers, dir.path(), limits, &|_| Ok(()), &CancellationToken::new()).unwrap_err();
    assert_eq!(error.to_string(), "layer 1: more than 50000 entries");
}

#[test]
fn a_shutdown_ends_it() {
    let token = CancellationToken::new();
    token.cancel();
    let dir = tempfile::tempdir().unwrap();
    let layers = files(&[Tar::default().file("disk/a", b"a").bytes()]);
    let error = unpack(&layers, dir.path(), Limits::default(), &|_| Ok(()), &token).unwrap_err();
    assert!(matches!(error, Error::Shutdown));
}

fn unpacked(layers: &[Vec<u8>]) -> (TempDir, Index) {
    let dir = tempfile::tempdir().unwrap();
    let token = CancellationToken::new();
    let (index, _) =
        unpack(&files(layers), dir.path(), Limits::default(), &|_| Ok(()), &token).unwrap();
    (dir, index)
}

fn refused(layers: &[Vec<u8>]) -> (TempDir, Error) {
    let dir = tempfile::tempdir().unwrap();
    let token = CancellationToken::new();
    let error =
        unpack(&files(layers), dir.path(), Limits::default(), &|_| Ok(()), &token).unwrap_err();
    (dir, error)
}

fn files(layers: &[Vec<u8>]) -> Vec<Arc<fs::File>> {
    let file = |bytes: &Vec<u8>| {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        Arc::new(file)
    };
    layers.iter().map(file).collect()
}

/// An archive, entry by entry.
#[derive(Clone, Default)]
struct Tar(Vec<u8>);

impl Tar {
    fn file(self, name: &str, content: &[u8]) -> Self {
        self.raw(b'0', name, "", content)
    }

    fn folder(self, name: &str) -> Self {
        self.raw(b'5', name, "", b"")
    }

    fn link(self, name: &str, target: &str) -> Self {
        self.raw(b'2', name, target, b"")
    }

    fn hard_link(self, name: &str, target: &str) -> Self {
        self.raw(b'1', name, target, b"")
    }

    fn raw(mut self, kind: u8, name: &str, target: &str, content: &[u8]) -> Self {
        let mut block = [0; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
        block[156] = kind;
        block[157..157 + target.len()].copy_from_slice(target.as_bytes());
        block[257..263].copy_from_slice(b"ustar\0");
        seal(&mut block);
        self.0.extend(block);
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// Changes the size in the first header.
    fn set_size(&mut self, size: u64) {
        let block = <&mut [u8; 512]>::try_from(&mut self.0[..512]).unwrap();
        block[124..136].fill(0);
        block[124] = 0x80;
        block[128..136].copy_from_slice(&size.to_be_bytes());
        seal(block);
    }

    fn entries(self) -> Vec<u8> {
        self.0
    }

    fn bytes(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }

    fn gzip(self) -> Vec<u8> {
        let mut to = GzEncoder::new(vec![], Compression::fast());
        to.write_all(&self.bytes()).unwrap();
        to.finish().unwrap()
    }
}

fn seal(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
