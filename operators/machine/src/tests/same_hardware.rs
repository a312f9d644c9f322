//! Machines and Servers that are the same hardware, or have one address.

use super::*;
use metal_api::{MacAddr, NetworkInterface, Server, ServerSpec, ServerStatus};
use metal_core::machine_identity::{
    addresses_of_server, describe, hardware_addresses, servers_of, told_by_firmware, twins,
};

#[test]
fn machines_with_one_address_are_all_told_so_and_of_each_other() {
    let mut shares_mac = machine("b", 2);
    shares_mac.spec.pxe.as_mut().unwrap().dhcp_leases[0].mac = "02-00-00-00-00-01".to_owned();
    let all = [machine("a", 1), shares_mac, with_lease("c", " 10.0.0.1", "02:00:00:00:00:0c")];
    let told = |of: &Machine| {
        let status = recorded(of, &twins(of, |address| holders(&all, address)), None);
        let all = status.conditions.into_iter();
        all.filter(|it| it.type_ == "AddressesUnique").map(|it| it.message).next()
    };
    let rest = ": correct all but one; until then none of them is served";
    let of_a = format!("02:00:00:00:00:01 is also used by b, 10.0.0.1 is also used by c{rest}");
    assert_eq!(told(&all[0]), Some(of_a));
    assert_eq!(told(&all[1]), Some(format!("02:00:00:00:00:01 is also used by a{rest}")));
    assert_eq!(told(&all[2]), Some(format!("10.0.0.1 is also used by a{rest}")));
    assert_eq!(told(&machine("d", 9)), None);
    // When it is over, that is told as well.
    let mut alone = all[0].clone();
    alone.status = Some(recorded(&alone, &twins(&alone, |at| holders(&all, at)), None));
    let status = recorded(&alone, &[], None);
    let unique = status.conditions.iter().find(|it| it.type_ == "AddressesUnique").unwrap();
    assert_eq!((unique.status.as_str(), unique.reason.as_str()), ("True", "Unique"));
}

#[test]
fn a_machine_that_is_also_a_server_is_told_so() {
    let server = Arc::new(Server::new("compute-1", ServerSpec::default()));
    let machine = machine("a", 1);
    let mac: MacAddr = "02:00:00:00:00:01".parse().unwrap();
    let twins =
        servers_of(
            &machine,
            |it| if it == Address::Mac(mac) { vec![server.clone()] } else { vec![] },
        );
    let status = recorded(&machine, &twins, None);
    assert_eq!(status.phase.unwrap().as_str(), "Failed");
    let message = status.message.unwrap();
    assert!(message.starts_with("02:00:00:00:00:01 is also used by Server compute-1"), "{message}");
    assert_eq!(servers_of(&machine, |_| vec![]), vec![]);
}

#[test]
fn hardware_of_one_uuid_is_of_one_machine_in_either_byte_order() {
    let (one, swapped) =
        ("33221100-5544-7766-8899-010203040506", "00112233-4455-6677-8899-010203040506");
    let of = |name: &str, uuid: &str| {
        let mut machine = attested(name, name.bytes().next().unwrap());
        let redfish = metal_api::MachineRedfish {
            url: format!("https://{name}"),
            ..metal_api::MachineRedfish::default()
        };
        let system = metal_api::MachineSystemStatus {
            url: redfish.url.clone(),
            device_id: None,
            uuid: uuid.to_owned(),
        };
        machine.spec.pxe.as_mut().unwrap().redfish = Some(redfish);
        machine.status.get_or_insert_default().redfish.get_or_insert_default().system =
            Some(system);
        machine
    };
    let (a, b) = (of("a", one), of("b", swapped));
    let shared = |a: &Machine, b: &Machine| {
        let b = Arc::new(b.clone());
        twins(a, |at| if addresses(&b).contains(&at) { vec![Arc::clone(&b)] } else { vec![] })
    };
    let found = shared(&a, &b);
    assert_eq!(found.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["b"]);
    let message = describe(&found).unwrap();
    assert!(message.contains("the system UUID") && message.contains("also used by b"), "{message}");
    // What was read elsewhere than the Machine says now, says nothing.
    let mut moved = b.clone();
    moved.spec.pxe.as_mut().unwrap().redfish.as_mut().unwrap().url = "https://c".to_owned();
    assert_eq!(shared(&a, &moved), []);
    assert_eq!(shared(&a, &of("b", "ffffffff-ffff-ffff-ffff-ffffffffffff")), []);

    let mut server = Server::new("s", ServerSpec::default());
    server.spec.system_uuid = Some(swapped.to_owned());
    let server = Arc::new(server);
    let holders = |at| {
        let holds = addresses_of_server(&server).contains(&at);
        if holds { vec![Arc::clone(&server)] } else { vec![] }
    };
    assert_eq!(servers_of(&a, holders)[0].name, "Server s");
}

#[test]
fn without_a_bmc_hardware_is_known_by_what_its_firmware_tells() {
    let uuid = |text: &str| text.parse::<metal_api::SystemUuid>().unwrap();
    let (one, swapped) = (
        uuid("33221100-5544-7766-8899-010203040506"),
        uuid("00112233-4455-6677-8899-010203040506"),
    );
    let mut machine = attested("a", 1);
    machine.status = told_by_firmware(&machine, one);
    let is_uuid = |it: &Address| matches!(it, Address::Uuid(_));
    assert!(hardware_addresses(&machine).contains(&Address::Uuid(one.canonical())));
    let mut server = Server::new("s", ServerSpec::default());
    server.spec.system_uuid = Some(swapped.to_string());
    let server = Arc::new(server);
    let holders = |at| {
        let holds = addresses_of_server(&server).contains(&at);
        if holds { vec![Arc::clone(&server)] } else { vec![] }
    };
    assert_eq!(servers_of(&machine, holders).len(), 1);
    // It makes no two Machines one, as a board may be in another machine by now.
    assert!(!addresses(&machine).iter().any(is_uuid));
    assert!(pinned(machine.status.as_ref().unwrap()).is_some(), "the rest stays");
    // It is told once, and in either byte order; another board is another one.
    for same in [one, swapped] {
        assert_eq!(told_by_firmware(&machine, same), None);
    }
    let other = uuid("4c4c4544-0042-3510-8057-b4c04f4e3232");
    assert!(told_by_firmware(&machine, other).is_some());
    // What its BMC tells counts alone, where there is one.
    machine.spec.pxe.as_mut().unwrap().redfish = Some(metal_api::MachineRedfish::default());
    assert!(!hardware_addresses(&machine).iter().any(is_uuid));
    assert_eq!(told_by_firmware(&machine, other), None);
}

#[test]
fn a_uuid_that_anybody_can_tell_stops_no_server_whose_network_interfaces_are_known() {
    let uuid = "33221100-5544-7766-8899-010203040506".parse::<metal_api::SystemUuid>().unwrap();
    let mut machine = attested("a", 1);
    machine.status = told_by_firmware(&machine, uuid);
    let with = |macs: &[&str]| {
        let interface = |mac: &&str| NetworkInterface {
            mac_address: (*mac).to_owned(),
            ..NetworkInterface::default()
        };
        let network_interfaces = macs.iter().map(interface).collect();
        let system_uuid = Some(uuid.to_string());
        let mut server = Server::new("s", ServerSpec { system_uuid, ..ServerSpec::default() });
        server.status = Some(ServerStatus { network_interfaces, ..ServerStatus::default() });
        Arc::new(server)
    };
    let shared = |machine: &Machine, server: &Arc<Server>| {
        let has = |at| addresses_of_server(server).contains(&at);
        servers_of(machine, |at| if has(at) { vec![Arc::clone(server)] } else { vec![] })
    };
    let other = with(&["02:00:00:00:00:0b", "02:00:00:00:00:0c"]);
    assert_eq!(shared(&machine, &other), [], "it has other network interfaces");
    assert_eq!(shared(&machine, &with(&[])).len(), 1, "nothing else is known of it");
    let same = shared(&machine, &with(&["02:00:00:00:00:0b", "02:00:00:00:00:01"]));
    assert!(same.iter().any(|it| matches!(it.address, Address::Mac(_))), "{same:?}");
    // What a BMC has read at the same hardware counts whatever network interfaces there are.
    let redfish = metal_api::MachineRedfish {
        url: "https://192.0.2.9".to_owned(),
        ..metal_api::MachineRedfish::default()
    };
    let system = metal_api::MachineSystemStatus {
        url: redfish.url.clone(),
        device_id: None,
        uuid: uuid.to_string(),
    };
    machine.spec.pxe.as_mut().unwrap().redfish = Some(redfish);
    machine.status.get_or_insert_default().redfish.get_or_insert_default().system = Some(system);
    assert_eq!(shared(&machine, &other).len(), 1);
}

#[test]
fn a_message_about_many_twins_stays_short() {
    let one = |at: u8| Twin { address: Address::Ip([10, 0, 0, at].into()), name: "x".repeat(253) };
    let many: Vec<_> = (0..200).map(one).collect();
    let told = describe(&many).unwrap();
    assert!(told.len() < 4000 && told.contains(" and 192 more: "), "{told}");
}
