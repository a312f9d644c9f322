//! Other disks that have what was installed as well. The GUIDs of partitions come with an image: of two disks with
//! the same one, firmware, loader and kernel may start either, or one with the root of the other.

use super::Candidate;
use crate::gpt::{Table, WINDOW};
use metalprobe::Root;
use std::{collections::BTreeSet, fs::File, io::Read};

/// The names of the disks of which a partition has the GUID of one of this table. One that cannot be read has none.
pub(crate) fn copies(root: &Root, others: &[Candidate], table: &Table) -> Vec<String> {
    let guids: BTreeSet<_> = table.partitions().map(|it| it.guid).collect();
    let has_one = |disk: &&Candidate| {
        let found = read(root, disk);
        found.is_some_and(|found| found.partitions().any(|it| guids.contains(&it.guid)))
    };
    others.iter().filter(has_one).map(|disk| disk.name.clone()).collect()
}

fn read(root: &Root, disk: &Candidate) -> Option<Table> {
    let mut head = vec![];
    let file = File::open(root.below("/dev").join(&disk.name)).ok()?;
    file.take(WINDOW as u64).read_to_end(&mut head).ok()?;
    Table::read(&head, disk.sector, disk.size.checked_div(disk.sector)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        disk::candidates,
        testing::{Image, LINUX_TYPE, mib},
    };
    use std::fs;

    #[test]
    fn a_disk_with_the_same_image_is_named_and_no_other() {
        let tree = tempfile::tempdir().unwrap();
        let image = Image::new(16, &[(1, LINUX_TYPE, 2048, 4095)]);
        let other = Image::new(16, &[(2, LINUX_TYPE, 2048, 4095)]);
        let none = vec![0xdd; 16 << 20];
        fs::create_dir(tree.path().join("dev")).unwrap();
        for (name, bytes) in [("vda", &image.bytes), ("vdb", &other.bytes), ("vdc", &none)] {
            let folder = tree.path().join("sys/block").join(name);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("size"), (mib(16) / 512).to_string()).unwrap();
            fs::write(tree.path().join("dev").join(name), bytes).unwrap();
        }
        let root = Root::new(tree.path());
        let table = Table::read(image.head(), 512, mib(16) / 512).unwrap();
        let all = candidates(&root);
        assert_eq!(all.len(), 3);
        assert_eq!(copies(&root, &all, &table), ["vda"]);
    }
}
