//! Real iPXE runs the scripts: Debian's, in QEMU, with the URL from DHCP as its boot file.

use super::site::{PATIENCE, Site, secret};
use anyhow::{Context, Result, ensure};
use axum::{Router, routing::get};
use e2e::cluster::{Cluster, Process, eventually};
use metal_api::{BootInstaller, BootTokenPhase};
use std::{fs, net::SocketAddr, path::Path};
use tokio::{net::TcpListener, process::Command};

/// Where QEMU's user network has the loopback address of this machine.
const OUTSIDE: &str = "10.0.2.2";

#[tokio::test]
async fn real_ipxe_comes_from_one_url_to_the_installer_and_says_why_where_it_does_not() {
    let site = Site::start_for(Cluster::shared().await.unwrap(), Some(OUTSIDE)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mirror = mirror().await.unwrap();
    let installer = BootInstaller {
        kernel_url: Some(format!("http://{OUTSIDE}:{}/vmlinuz", mirror.port())),
        initrd_url: Some(format!("http://{OUTSIDE}:{}/initrd.img", mirror.port())),
        arguments: vec!["console=ttyS0".to_owned()],
        ..BootInstaller::default()
    };
    let url = site.token("web-1", |spec| spec.installer = Some(installer)).await.unwrap();
    let never = url.rsplit_once('/').unwrap().0.to_owned() + "/" + &secret(&site.org).unwrap().0;

    let machine = boot(folder.path(), "good", &url).unwrap();
    let base = format!("http://{OUTSIDE}:{}/c/", site.address.port());
    let console = shows(folder.path(), "good", &format!("inst.ks={base}")).await.unwrap();
    machine.kill().await.unwrap();
    // What the kernel prints comes last.
    let (_, line) = console.rsplit_once("initrd=initrd ip=dhcp inst.text ").unwrap();
    assert!(line.starts_with("inst.ks=") && !line.contains("/api/ipxe/"), "{line}");
    site.phase("web-1", BootTokenPhase::Fetched).await.unwrap();

    let machine = boot(folder.path(), "refused", &never).unwrap();
    shows(folder.path(), "refused", "This boot URL is not valid.").await.unwrap();
    machine.kill().await.unwrap();
    site.end().await.unwrap();
}

/// Switches a machine on that boots from this URL.
fn boot(folder: &Path, name: &str, url: &str) -> Result<Process> {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-machine", "pc,accel=tcg,graphics=off", "-m", "256", "-display", "none"]);
    qemu.args(["-boot", "n", "-device", "e1000,netdev=net", "-no-reboot", "-nodefaults"]);
    qemu.arg("-netdev").arg(format!("user,id=net,bootfile={url}"));
    qemu.arg("-serial").arg(format!("file:{}", folder.join(name).display()));
    let started = Process::start(&mut qemu, folder.join(format!("{name}.log")));
    started.context("where it is missing, run hack/prepare test")
}

/// Waits until the console shows this; returns all of it.
async fn shows(folder: &Path, name: &str, text: &str) -> Result<String> {
    eventually(2 * PATIENCE, async || {
        let console = fs::read(folder.join(name)).unwrap_or_default();
        let console = String::from_utf8_lossy(&console).into_owned();
        let ended = fs::read_to_string(folder.join(format!("{name}.log"))).unwrap_or_default();
        // The firmware breaks lines at the width of its screen.
        let joined = console.replace(['\r', '\n'], "");
        ensure!(joined.contains(text), "{ended}{console}");
        Ok(joined)
    })
    .await
}

/// Serves a kernel and an initial RAM disk.
async fn mirror() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/vmlinuz", get(|| async { kernel() }))
        .route("/initrd.img", get(|| async { vec![0_u8; 4096] }));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// A kernel that prints its command line to the serial port and halts: Linux's header
/// (Documentation/arch/x86/boot.rst), and thirty bytes for real mode.
fn kernel() -> Vec<u8> {
    const CODE: [u8; 30] = [
        0x2e, 0x66, 0xa1, 0x28, 0x00, // mov eax, cs:[cmd_line_ptr]
        0x89, 0xc6, 0x83, 0xe6, 0x0f, // mov si, ax; and si, 15
        0x66, 0xc1, 0xe8, 0x04, 0x8e, 0xd8, // shr eax, 4; mov ds, ax
        0xba, 0xf8, 0x03, // mov dx, 3f8h
        0xac, 0x08, 0xc0, 0x74, 0x03, 0xee, 0xeb, 0xf8, // print until a zero
        0xf4, 0xeb, 0xfd, // halt
    ];
    let mut file = vec![0; 8192];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[1]);
    put(0x1fe, &[0x55, 0xaa]);
    put(0x200, &[0xeb, 0x6e]);
    put(0x202, b"HdrS");
    put(0x206, &0x020a_u16.to_le_bytes());
    put(0x211, &[1]);
    put(0x22c, &0x37ff_ffff_u32.to_le_bytes());
    put(0x238, &2047_u32.to_le_bytes());
    put(0x270, &CODE);
    file
}
