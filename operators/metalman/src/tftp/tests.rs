use super::*;
use crate::fixture::{OURS, cluster, has_image, machine, served, unlisted};
use metal_api::{Machine, MachineOperations};
use metal_dhcp::tftp::{Mode, Packet};
use metal_machine::{operations::is_heard, provisioning::agent::Cluster};
use std::{fs, net::Ipv4Addr, time::Duration};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_mins(1);
const HERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const FILES: &[(&str, &[u8])] = &[
    ("disk/metadata.yaml", b"dhcpBootImageName: shimx64.efi\n"),
    ("disk/shimx64.efi", b"loader"),
    ("disk/vmlinuz", b"kernel"),
    ("disk/grub/grub.cfg.tmpl", b"{{ .Machine.Name }} {{ .ServeURL }}"),
    ("disk/grub/broken.tmpl", b"{{ .Nothing }}"),
];

fn files(ctx: Arc<Context>) -> ImageFiles {
    let any = Ipv4Addr::UNSPECIFIED.into();
    ImageFiles { ctx, url: ServeUrl::new(None, any, 8880), told: LogLimit::default() }
}

fn find(files: &ImageFiles, name: &str, client: Ipv4Addr) -> Result<Found, Refusal> {
    let bytes = format!("\0\x01{name}\0octet\0").into_bytes();
    let Ok(Packet::Read(request)) = Packet::decode(&bytes) else { panic!("a request") };
    assert_eq!(request.mode, Mode::Octet);
    files.find(&request, client.into(), HERE.into())
}

#[tokio::test]
async fn a_machine_gets_the_files_of_its_image_and_what_its_templates_render_to() {
    let machine = machine("node-01", OURS, 1);
    let ctx = cluster([machine.clone()]).await;
    ctx.cluster.set(Cluster::default());
    let _folder = has_image(&ctx, &machine, FILES).await;
    let files = files(ctx);
    for name in ["shimx64.efi", "/shimx64.efi", "\\shimx64.efi"] {
        let Ok(Found::File { root, path, name: told }) = find(&files, name, OURS) else {
            panic!("{name}");
        };
        assert_eq!(fs::read(root.join(path)).unwrap(), b"loader");
        assert_eq!(told, "shimx64.efi");
    }
    let rendered = find(&files, "/grub/grub.cfg", OURS);
    let Ok(Found::Bytes { bytes, .. }) = rendered else { panic!("{rendered:?}") };
    assert_eq!(&bytes[..], b"node-01 http://10.77.0.2:8880");
    for (name, refusal) in [
        ("nothing", Refusal::Missing),
        ("grub/nothing", Refusal::Missing),
        ("grub/grub.cfg.tmpl", Refusal::Missing),
        ("metadata.yaml", Refusal::Missing),
        ("../shimx64.efi", Refusal::Upwards),
        ("vmlinuz", Refusal::NotToBoot),
        ("grub/broken", Refusal::Unreadable),
    ] {
        assert_eq!(find(&files, name, OURS), Err(refusal), "{name}");
    }
    assert_eq!(files.priority_of(OURS.into()), Priority::Known);
}

#[tokio::test]
async fn whoever_has_the_address_of_no_machine_or_of_two_gets_nothing() {
    let other = Ipv4Addr::new(10, 77, 0, 12);
    let twins = [machine("a", OURS, 1), machine("b", OURS, 2), machine("c", other, 3)];
    let ctx = cluster(twins.clone()).await;
    let _folder = has_image(&ctx, &twins[0], FILES).await;
    let files = files(ctx);
    let stranger = Ipv4Addr::new(10, 77, 0, 99);
    for client in [OURS, stranger] {
        assert_eq!(find(&files, "shimx64.efi", client), Err(Refusal::NoMachine));
        assert_eq!(files.priority_of(client.into()), Priority::Unknown);
    }
    assert!(find(&files, "shimx64.efi", other).is_ok(), "it has the same image");
}

#[tokio::test]
async fn a_machine_is_asked_to_come_again_before_its_image_is_there() {
    let listed = files(cluster([machine("node-01", OURS, 1)]).await);
    assert_eq!(find(&listed, "shimx64.efi", OURS), Err(Refusal::NotYet));
    assert_eq!(find(&files(unlisted()), "shimx64.efi", OURS), Err(Refusal::NotYet));
}

#[tokio::test]
async fn what_installs_is_confirmed_by_the_api_server_or_not_there() {
    let mut machine = machine("node-01", OURS, 1);
    machine.metadata.uid = Some("uid".to_owned());
    let done = |machine: &mut Machine, counter: i64| {
        let status = machine.status.get_or_insert_default();
        status.operations.get_or_insert_default().repave_counter = Some(counter);
    };
    machine.spec.operations =
        Some(MachineOperations { repave_counter: Some(1), ..MachineOperations::default() });
    done(&mut machine, 0);
    let (server, ctx) = served([machine.clone()]).await;
    let _folder = has_image(&ctx, &machine, FILES).await;
    let files = Arc::new(files(ctx));
    let kernel = |files: &Arc<ImageFiles>| {
        let files = Arc::clone(files);
        tokio::task::spawn_blocking(move || find(&files, "vmlinuz", OURS).map(drop))
    };
    server.fail(Some(axum::http::StatusCode::SERVICE_UNAVAILABLE));
    assert_eq!(kernel(&files).await.unwrap(), Err(Refusal::NotYet));
    let (server, ctx) = served([machine.clone()]).await;
    let _folder = has_image(&ctx, &machine, FILES).await;
    assert_eq!(kernel(&Arc::new(self::files(ctx))).await.unwrap(), Ok(()));
    // That its installer has begun is recorded, whatever it says itself.
    let is_heard = || {
        let recorded: Machine = server.object(None, "node-01").unwrap();
        is_heard(&recorded)
    };
    timeout(PATIENCE, async {
        while !is_heard() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    let (lagging, ctx) = served([machine.clone()]).await;
    let _folder = has_image(&ctx, &machine, FILES).await;
    done(&mut machine, 1);
    lagging.put(&machine);
    assert_eq!(kernel(&Arc::new(self::files(ctx))).await.unwrap(), Err(Refusal::NotToBoot));
    drop(server);
}
