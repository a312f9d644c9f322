//! What a machine boots.

use crate::{
    inside::in_a_network_of_its_own,
    lab::{Lab, lease},
};
use e2e::{cluster::eventually, stack::OciRegistry};
use std::{net::Ipv4Addr, time::Duration};

const MAC: &str = "02:00:00:00:00:01";
const UUID: &str = "33221100-5544-7766-8899-010203040506";
const LIMIT: Duration = Duration::from_mins(3);

#[test]
fn firmware_waits_for_the_image_of_its_machine_and_then_gets_its_files() {
    in_a_network_of_its_own(async |tools| {
        let lab = Lab::start(tools).await.unwrap();
        let registry = OciRegistry::start(&lab.scratch()).await.unwrap();
        let metalman = lab.metalman("metalman", &["--dhcp-interface=near"]).await.unwrap();
        let address = Ipv4Addr::new(10, 77, 1, 11);
        lab.create_with("node-01", &registry.image("host:0"), vec![lease(MAC, address)])
            .await
            .unwrap();
        let mut client = lab.near(MAC).unwrap().boots_by_http(UUID).unwrap();
        client.switch_on().await.unwrap();
        lab.says(&metalman, "the image has not been downloaded yet").await.unwrap();

        // More than one block, and not a multiple of any.
        let loader: Vec<u8> = (0..100_003_u32).map(|at| at.to_le_bytes()[0]).collect();
        let files: [(&str, &[u8]); 3] = [
            ("metadata.yaml", b"dhcpBootImageName: shimx64.efi\n"),
            ("shimx64.efi", &loader),
            ("grub/grub.cfg.tmpl", b"name={{ .Machine.Name }} url={{ .ServeURL }}\n"),
        ];
        Lab::push(&registry, "host:1", &files).await.unwrap();
        lab.name_image("node-01", &registry.image("host:1")).await.unwrap();
        assert_eq!(client.bound().await.unwrap(), address);
        client.notes("\"http://10.77.1.1:8880/shimx64.efi\"").await.unwrap();

        let by_tftp = lab.fetch("tftp://10.77.1.1/shimx64.efi").await.unwrap();
        assert!(by_tftp == loader, "{} bytes", by_tftp.len());
        // Templates may name what has to be read from the cluster first.
        let rendered =
            eventually(LIMIT, async || lab.fetch("tftp://10.77.1.1//grub/grub.cfg").await);
        let rendered = String::from_utf8(rendered.await.unwrap()).unwrap();
        assert_eq!(rendered, "name=node-01 url=http://10.77.1.1:8880\n");
        for missing in ["nothing", "grub/grub.cfg.tmpl", "metadata.yaml", "../etc/passwd"] {
            let refused = lab.fetch(&format!("tftp://10.77.1.1/{missing}")).await;
            assert!(refused.is_err(), "{missing}");
        }
        metalman.terminate(LIMIT).await.unwrap();
    });
}
