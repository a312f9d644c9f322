//! Captured machines for tests: `tests/machines/*.tree`, written by `tests/capture.sh`.

pub(crate) mod server;

use crate::{
    kernel::{Addresses, Kernel, NoAddresses},
    netlink::{LinkFacts, LinkModes, NetlinkError},
    probe::Machine,
    root::Root,
};
use std::{fs, os::unix, path::PathBuf};
use tempfile::TempDir;

/// QEMU 7.2, `q35`, two sockets, two NUMA nodes, one disk of each kind, SMBIOS 3.0.
pub(crate) const QEMU: &str = include_str!("../tests/machines/qemu-7.2-q35.tree");
/// A Firecracker microVM: no SMBIOS at all.
pub(crate) const FIRECRACKER: &str = include_str!("../tests/machines/firecracker.tree");

/// An unpacked tree.
pub(crate) struct Tree(TempDir);

impl Tree {
    pub(crate) fn unpack(text: &str) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        let mut rest = text.lines().peekable();
        while let Some(head) = rest.next() {
            let mut lines = Vec::new();
            while let Some(line) = rest.next_if(|line| line.starts_with('\t')) {
                lines.push(&line[1..]);
            }
            if let Some((path, target)) = head.split_once(" -> ") {
                unix::fs::symlink(target, tree.place(path)).unwrap();
            } else if let Some(path) = head.strip_suffix(" *") {
                tree.write(path, &hex(&lines.concat()));
            } else {
                tree.write(head, format!("{}\n", lines.join("\n")).as_bytes());
            }
        }
        tree
    }

    pub(crate) fn write(&self, path: &str, content: &[u8]) {
        fs::write(self.place(path), content).unwrap();
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = self.0.path().join(path.trim_start_matches('/'));
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    pub(crate) fn root(&self) -> Root {
        Root::new(self.0.path())
    }

    /// This machine, with a kernel that knows `eth0` and `eth1`.
    pub(crate) fn machine(&self) -> Machine {
        Machine::new(self.root(), Box::new(Scripted))
    }

    fn place(&self, path: &str) -> PathBuf {
        let path = self.0.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }
}

/// A kernel that always gives the same answers.
#[derive(Debug)]
struct Scripted;

impl Kernel for Scripted {
    fn addresses(&self) -> Result<Addresses, NoAddresses> {
        let list = ["10.0.0.5", "fe80::1"].map(|address| address.parse().unwrap());
        Ok([("eth0".to_owned(), list.to_vec())].into())
    }

    fn link_facts(&self, name: &str, _: u32, _: Option<&str>) -> Result<LinkFacts, NetlinkError> {
        let modes = LinkModes { modes: vec!["1000baseT/Full".into()], ports: vec!["TP".into()] };
        Ok(match name {
            "eth1" => LinkFacts {
                modes,
                permanent_address: Some("52:54:00:aa:bb:cc".into()),
                firmware: Some("1.8-0".into()),
            },
            _ => LinkFacts::default(),
        })
    }
}

fn hex(digits: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.as_bytes().chunks(2).map(byte).collect()
}
