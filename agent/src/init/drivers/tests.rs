use super::*;
use std::fs;
use tempfile::TempDir;

const NIC: &str = "pci:v00001AF4d00001041sv00001AF4sd00001100bc02sc00i00";

#[test]
fn what_a_driver_needs_is_loaded_before_it() {
    let tree = Tree::new();
    tree.device("pci0000:00/0000:00:02.0", NIC);
    let mut drivers = Drivers::read(&tree.root());
    let expected = ["virtio_ring", "virtio", "virtio-pci"];
    assert_eq!(names(&drivers.wanted(&tree.root())), expected);
    assert_eq!(names(&drivers.wanted(&tree.root())), [""; 0], "each is tried once");
}

#[test]
fn a_device_that_a_driver_finds_gets_its_own_driver() {
    let tree = Tree::new();
    tree.device("pci0000:00/0000:00:02.0", NIC);
    let mut drivers = Drivers::read(&tree.root());
    drivers.wanted(&tree.root());
    tree.device("pci0000:00/0000:00:02.0/virtio0", "virtio:d00000001v00001AF4");
    assert_eq!(names(&drivers.wanted(&tree.root())), ["failover", "virtio_net"]);
}

#[test]
fn what_no_device_names_is_loaded_where_the_image_says_so() {
    let tree = Tree::new();
    tree.file("lib/modules/6.1/modules.always", "efivarfs\n");
    let mut drivers = Drivers::read(&tree.root());
    assert_eq!(names(&drivers.wanted(&tree.root())), ["efivarfs"]);
}

#[test]
fn a_module_that_is_missing_is_an_error_and_the_others_are_still_loaded() {
    let tree = Tree::new();
    tree.device("pci0000:00/0000:00:02.0", NIC);
    let (loaded, errors) = Drivers::read(&tree.root()).load(&tree.root());
    let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(loaded, [""; 0]);
    assert_eq!(errors.len(), 3);
    assert_eq!(errors[0], "could not load the driver virtio_ring");
}

#[test]
fn an_image_without_modules_loads_none() {
    let tree = Tree(tempfile::tempdir().unwrap());
    let (loaded, errors) = Drivers::read(&tree.root()).load(&tree.root());
    assert!(loaded.is_empty() && errors.is_empty());
}

fn names(paths: &[String]) -> Vec<&str> {
    paths.iter().map(|path| path.rsplit('/').next().unwrap().trim_end_matches(".ko")).collect()
}

struct Tree(TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.file("proc/sys/kernel/osrelease", "6.1\n");
        tree.file(
            "lib/modules/6.1/modules.alias",
            "# Aliases\n\
             alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio-pci\n\
             alias virtio:d00000001v* virtio_net\n\
             alias virtio:d00000002v* virtio_blk\n",
        );
        tree.file(
            "lib/modules/6.1/modules.dep",
            "kernel/virtio-pci.ko: kernel/virtio.ko kernel/virtio_ring.ko\n\
             kernel/virtio_net.ko: kernel/failover.ko kernel/virtio.ko kernel/virtio_ring.ko\n\
             kernel/efivarfs.ko:\n",
        );
        tree
    }

    fn device(&self, path: &str, name: &str) {
        self.file(&format!("sys/devices/{path}/modalias"), &format!("{name}\n"));
    }

    fn file(&self, path: &str, content: &str) {
        let file = self.0.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    fn root(&self) -> Root {
        Root::new(self.0.path())
    }
}
