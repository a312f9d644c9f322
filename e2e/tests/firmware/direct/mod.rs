//! The discovery image alone, in QEMU without firmware: what it reports, and what it prints; and
//! the netboot image: which disk it writes.

mod install;
mod machine;
mod netboot;
mod service;

use machine::{Machine, UUID};
use metal_api::inventory::Report;
use service::{Answer, REGISTRY_TOKEN, Service};

#[tokio::test]
async fn the_discovery_image_reports_the_machine_and_obeys_its_power_button() {
    let mut service = Service::start([]).await;
    let mut machine = Machine::start(&service.command_line()).await;
    let registration = machine.told(machine.while_on(service.registration()).await);
    let seconds = machine.since_power_on().as_secs_f64();
    println!("firmware: direct kernel: {seconds:.1} s from power-on to the report");
    assert_eq!(registration.system_uuid, UUID);
    machine_is_described(&registration.data);
    // A router may answer before the first report or after it, and the report does not wait for it.
    let mut report = registration.data;
    while !has_address(&report, "fec0:") {
        report = machine.told(machine.while_on(service.registration()).await).data;
    }

    let console = machine.console_with("report posted").await;
    for words in
        ["network port found", "drivers loaded", "address assigned", "fetching the ignition"]
    {
        assert!(console.contains(words), "{words} is missing in {console}");
    }
    machine.qmp("system_powerdown").await;
    machine.is_off().await;
    let console = machine.console();
    assert!(console.contains("power button pressed"), "{console}");
    assert!(!console.contains(REGISTRY_TOKEN), "a secret is on the console: {console}");
}

#[tokio::test]
#[ignore = "takes longer: hack/test firmware"]
async fn a_machine_that_nobody_expects_says_so_and_asks_again() {
    let mut service = Service::start([Answer::Unknown, Answer::Tenant]).await;
    let mut machine = Machine::start(&service.command_line()).await;
    machine.told(machine.while_on(service.registration()).await);
    let console = machine.console_with("report posted").await;
    for words in
        ["has no boot configuration for this machine", "does not start metalprobe", "again_in="]
    {
        assert!(console.contains(words), "{words} is missing in {console}");
    }
    // With -no-reboot, a restart ends QEMU.
    machine.keys(&["ctrl", "alt", "delete"]).await;
    machine.is_off().await;
    assert!(machine.console().contains("received a termination signal"), "{}", machine.console());
}

/// Whether the first port has an address with this prefix.
fn has_address(report: &Report, prefix: &str) -> bool {
    report.network_interfaces[0].ip_addresses.iter().any(|ip| ip.starts_with(prefix))
}

/// The report has the values that QEMU was given.
fn machine_is_described(report: &Report) {
    let system = &report.system_info.system_information;
    assert_eq!(system.manufacturer, "Bloomery");
    assert_eq!(system.product_name, "Virtual");
    assert_eq!(system.serial_number, "SN-1");
    assert_eq!(system.uuid.to_lowercase(), UUID);
    assert_eq!(report.system_info.board_information.serial_number, "BOARD-1");
    assert_eq!(report.architecture, "x86_64");
    assert_eq!(report.firmware_mode, "bios");
    assert_eq!(report.cpu.len(), 2, "{:?}", report.cpu);
    let memory: i64 = report.memory.iter().filter_map(|module| module.size).sum();
    assert_eq!(memory, machine::MEMORY, "{:?}", report.memory);

    let macs: Vec<_> = report.nics.iter().map(|nic| &*nic.mac).collect();
    assert_eq!(macs, machine::MACS);
    let port = &report.network_interfaces[0];
    assert!(has_address(report, "10.0.2.15"), "{port:?}");
    assert_eq!((&*port.carrier_status, &*port.driver), ("up", "virtio_net"));

    let mut disks: Vec<_> =
        report.storage.iter().map(|disk| (&*disk.serial, disk.size_bytes)).collect();
    disks.sort_unstable();
    let expected = machine::DISKS.map(|(serial, _, size)| (serial, Some(size)));
    assert_eq!(disks, expected, "{:?}", report.storage);
}
