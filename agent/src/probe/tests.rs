use super::*;
use crate::fixture::{FIRECRACKER, QEMU, Tree};
use metal_api::inventory::{Cpu, Registration};
use std::{env, fs, path::Path};

/// Compares with the file, or writes it if `UPDATE_GOLDEN` is set.
fn assert_golden(name: &str, mut report: Report) {
    // These differ with the test's machine and with the version.
    (report.architecture, report.firmware_mode) = ("x86_64".into(), "bios".into());
    report.agent = "metalprobe".into();
    let registration = Registration { system_uuid: "the-given-uuid".into(), data: report };
    let text = serde_json::to_string_pretty(&registration).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/machines").join(name);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(path).unwrap(), "{name}; UPDATE_GOLDEN=1 accepts it");
}

#[tokio::test]
async fn the_report_of_a_virtual_machine_is_the_golden_one() {
    assert_golden("qemu-7.2-q35.json", report_of(&Tree::unpack(QEMU)).await);
}

#[tokio::test]
async fn a_machine_without_smbios_reports_the_rest_and_names_the_failure() {
    assert_golden("firecracker.json", report_of(&Tree::unpack(FIRECRACKER)).await);
}

#[tokio::test]
async fn each_collector_fails_alone() {
    let table = [
        ("/sys/firmware/dmi/tables/DMI", "smbios"),
        ("/sys/firmware/dmi/tables/smbios_entry_point", "smbios"),
        ("/proc/cpuinfo", "cpu"),
        ("/proc/meminfo", "memory"),
        ("/sys/block", "storage"),
        ("/proc/sys/kernel/osrelease", "boot"),
    ];
    let tree = Tree::unpack(QEMU);
    assert_eq!(failed(&report_of(&tree).await), Vec::<String>::new());
    for (path, collector) in table {
        let tree = Tree::unpack(QEMU);
        tree.remove(path);
        let report = report_of(&tree).await;
        assert_eq!(failed(&report), [collector], "{path}");
        assert!(report.failures[0].message.contains(path), "{:?}", report.failures);
    }
}

#[tokio::test]
async fn without_interfaces_both_network_collectors_say_so() {
    let tree = Tree::unpack(QEMU);
    tree.remove("/sys/class/net");
    let report = report_of(&tree).await;
    assert_eq!(failed(&report), ["network", "nics"]);
    assert_eq!(report.storage.len(), 5);
}

#[tokio::test]
async fn a_broken_table_keeps_what_came_before_the_break() {
    let tree = Tree::unpack(QEMU);
    let path = "/sys/firmware/dmi/tables/DMI";
    let table = tree.root().bytes(path).unwrap();
    tree.write(path, &table[..100]);
    let report = report_of(&tree).await;
    assert_eq!(failed(&report), ["smbios"]);
    assert_eq!(report.system_info.bios_information.vendor, "Bloomery");
    assert!(report.memory.is_empty());
}

#[tokio::test]
async fn garbage_in_a_file_costs_that_fact_only() {
    let tree = Tree::unpack(QEMU);
    let pci = "/sys/devices/pci0000:00/0000:00:05.0";
    tree.write(&format!("{pci}/vendor"), b"\xff\xfe\n");
    tree.write("/sys/devices/system/node/node0/cpulist", b"0-99999999999999\n");
    tree.write("/sys/devices/pci0000:00/0000:00:02.0/virtio0/block/vda/size", b"many\n");
    let report = report_of(&tree).await;
    assert_eq!(failed(&report), ["storage"]);
    assert_eq!(report.storage.len(), 4);
    let broken = report.pci_devices.iter().find(|device| device.address == "0000:00:05.0");
    assert_eq!(broken.unwrap().vendor_id, "");
}

#[tokio::test]
async fn an_arm_board_names_its_vendor_by_implementer_and_its_model_by_smbios() {
    let tree = Tree::unpack(QEMU);
    let thread = |n| format!("processor\t: {n}\nFeatures\t: fp asimd\nCPU implementer\t: 0xc0\n");
    let text = (0..4).map(thread).collect::<Vec<_>>().join("\n");
    tree.write("/proc/cpuinfo", text.as_bytes());
    let cpus = report_of(&tree).await.cpu;
    let expected = |id, node| Cpu {
        id: Some(id),
        total_cores: Some(2),
        total_hardware_threads: Some(2),
        vendor: "Ampere".into(),
        model: "CPU-V".into(),
        capabilities: vec!["fp".into(), "asimd".into()],
        max_mhz: Some(2000),
        numa_nodes: vec![node],
        ..Cpu::default()
    };
    assert_eq!(cpus, [expected(0, 0), expected(1, 1)]);
}

#[tokio::test]
async fn uefi_secure_boot_and_tpm_are_found() {
    let tree = Tree::unpack(QEMU);
    let variable = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
    tree.write(variable, &[6, 0, 0, 0, 1]);
    tree.write("/sys/class/tpm/tpm0/tpm_version_major", b"2\n");
    let report = report_of(&tree).await;
    assert_eq!(report.firmware_mode, "uefi");
    assert_eq!((report.secure_boot, report.tpm_version.as_str()), (Some(true), "2.0"));
}

#[tokio::test]
async fn a_collector_that_breaks_off_is_a_failure_of_its_own() {
    let machine = Arc::new(Tree::unpack(FIRECRACKER).machine());
    let (found, failures) = run::<u8>("broken", &machine, |_, _| panic!("by the test")).await;
    assert_eq!((found, failures[0].message.as_str()), (0, "the collector panicked"));
}

async fn report_of(tree: &Tree) -> Report {
    collect(&Arc::new(tree.machine())).await
}

fn failed(report: &Report) -> Vec<String> {
    report.failures.iter().map(|failure| failure.collector.clone()).collect()
}
