//! What the kernel has of a lease.

use super::*;
use crate::init::{
    resolvers::Resolvers,
    wire::{Wire, alone, eventually, ip},
};
use metal_wire::v4::{MessageType, code};
use std::{fs, net::Ipv4Addr};
use tempfile::TempDir;
use tokio::{select, sync::watch};

const OURS: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 7);

/// Rented servers have their router outside of their prefix.
#[test]
fn a_machine_has_the_default_route_wherever_its_router_is() {
    alone(async || {
        let machine = Machine::new();
        for (mask, router) in [
            ([255, 255, 255, 0], [203, 0, 113, 1]),
            ([255, 255, 255, 0], [172, 31, 1, 1]),
            ([255, 255, 255, 254], [203, 0, 113, 6]),
            ([255; 4], [172, 31, 1, 1]),
        ] {
            let options: [(u8, &[u8]); 2] = [(code::SUBNET_MASK, &mask), (code::ROUTER, &router)];
            let expected = format!("default via {} dev port0", Ipv4Addr::from(router));
            let serving = async {
                machine.wire.assign(OURS, &options).await;
                eventually(|| routes().contains(&expected)).await;
            };
            machine.during(serving).await;
        }
    });
}

#[test]
fn a_machine_has_the_routes_and_the_mtu_that_its_server_assigns() {
    const ROUTES: &[u8] = &[
        32, 172, 31, 1, 1, 0, 0, 0, 0, // On the link.
        8, 10, 203, 0, 113, 2, // In the prefix of the address.
        0, 172, 31, 1, 1, // Outside of it.
    ];
    alone(async || {
        let machine = Machine::new();
        let options: [(u8, &[u8]); 4] = [
            (code::SUBNET_MASK, &[255, 255, 255, 0]),
            (code::ROUTER, &[203, 0, 113, 1]),
            (code::ROUTES, ROUTES),
            (code::MTU, &1400_u16.to_be_bytes()),
        ];
        let serving = async {
            machine.wire.assign(OURS, &options).await;
            eventually(|| routes().contains("default via 172.31.1.1 dev port0")).await;
            let found = routes();
            assert!(found.contains("10.0.0.0/8 via 203.0.113.2 dev port0"), "{found}");
            assert!(found.contains("172.31.1.1 dev port0 "), "{found}");
            assert!(!found.contains("via 203.0.113.1 "), "{found}");
            assert!(ip("link show dev port0").contains(" mtu 1400 "));
        };
        machine.during(serving).await;
        eventually(|| routes().is_empty()).await;
    });
}

#[test]
fn what_a_renewal_changes_is_taken_over() {
    alone(async || {
        let machine = Machine::new();
        let options = |prefix: &'static [u8; 4], router: &'static [u8; 4]| {
            const TIME: &[u8] = &[0, 0, 0, 60];
            const RENEWAL: &[u8] = &[0, 0, 0, 5];
            let (mask, router, resolver) = (&prefix[..], &router[..], &router[..]);
            [
                (code::SUBNET_MASK, mask),
                (code::ROUTER, router),
                (code::DNS, resolver),
                (code::LEASE_TIME, TIME),
                (code::RENEWAL, RENEWAL),
            ]
        };
        let serving = async {
            let before = options(&[255, 255, 255, 0], &[203, 0, 113, 1]);
            machine.wire.assign(OURS, &before).await;
            eventually(|| machine.resolvers().contains("nameserver 203.0.113.1\n")).await;
            machine.wire.announce_server();
            let renewal = machine.wire.hear_from(OURS).await;
            assert_eq!(renewal.kind, MessageType::Request);
            let after = options(&[255, 255, 254, 0], &[203, 0, 113, 9]);
            machine.wire.answer(&renewal, MessageType::Ack, OURS, &after).await;
            eventually(|| machine.resolvers().contains("nameserver 203.0.113.9\n")).await;
            let found = routes();
            assert!(found.contains("default via 203.0.113.9 dev port0"), "{found}");
            assert!(!found.contains("203.0.113.1 "), "{found}");
            let addresses = ip("-4 address show dev port0");
            assert!(addresses.contains("inet 203.0.113.7/23 "), "{addresses}");
            assert!(!addresses.contains("/24"), "{addresses}");
        };
        machine.during(serving).await;
        assert_eq!(machine.resolvers(), "");
    });
}

/// The answer of a ProxyDHCP server may come after that of the server that assigns the address, and a server may
/// not know yet what the machine boots.
#[test]
fn a_machine_that_is_bound_without_the_boot_url_that_it_needs_asks_on() {
    const URL: &[u8] = b"http://203.0.113.250:8083/a.efi";
    alone(async || {
        let machine = Machine::new();
        let (boot_url, mut told) = watch::channel(None);
        let asked = BootUrlRequest { firmware: Some(Firmware { uuid: None }), boot_url };
        let serving = async {
            machine.wire.assign(OURS, &[(code::SUBNET_MASK, &[255, 255, 255, 0])]).await;
            let heard = machine.wire.hear_from(OURS).await;
            assert_eq!(heard.kind, MessageType::Inform);
            assert_eq!(heard.packet.ciaddr, OURS);
            assert!(heard.packet.options.get(code::ARCHITECTURE).is_some(), "as its firmware");
            let answer = [(code::BOOT_FILE, URL)];
            machine.wire.answer(&heard, MessageType::Ack, Ipv4Addr::UNSPECIFIED, &answer).await;
            told.changed().await.unwrap();
        };
        select! {
            never = keep(&machine.wire.link, &asked, &machine.resolvers) => match never {},
            () = serving => {}
        }
        let shown = told.borrow().as_ref().map(ToString::to_string);
        assert_eq!(shown.as_deref(), Some("http://203.0.113.250:8083"));
    });
}

/// A machine with one port.
struct Machine {
    wire: Wire,
    resolvers: Resolvers,
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let wire = Wire::new("port0");
        let resolvers = Resolvers::at(folder.path().join("resolv.conf"));
        Self { wire, resolvers, folder }
    }

    /// What happens while its port is kept in use.
    async fn during(&self, work: impl Future<Output = ()>) {
        let asked = BootUrlRequest { firmware: None, boot_url: watch::channel(None).0 };
        select! {
            never = keep(&self.wire.link, &asked, &self.resolvers) => match never {},
            () = work => {}
        }
    }

    fn resolvers(&self) -> String {
        fs::read_to_string(self.folder.path().join("resolv.conf")).unwrap_or_default()
    }
}

fn routes() -> String {
    ip("-4 route show")
}
