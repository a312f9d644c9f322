//! The shell of the built-in kickstart, with disks that are made up.

use super::{machine::Machine, site::Site};
use e2e::cluster::Cluster;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

/// Name, and what lsblk says: SIZE, RO, TRAN, RM, SERIAL, WWN, ROTA.
type Disk = (&'static str, [&'static str; 7]);

const SMALL: Disk = ("sda", ["107374182400", "0", "sata", "0", "S-1", "0x5000C500A", "1"]);
const LARGE: Disk = ("nvme0n1", ["1073741824000", "0", "nvme", "0", "S 2", "eui.00A1", "0"]);
const STICK: Disk = ("sdb", ["107374182400", "0", "usb", "1", "S-3", "", "0"]);
const EMPTY: Disk = ("sdc", ["0", "0", "sata", "0", "S-4", "", "0"]);

#[tokio::test]
async fn an_installer_takes_the_one_disk_that_fits_and_refuses_to_choose() {
    let site = Site::start(Cluster::shared().await.unwrap()).await.unwrap();
    let url = site.token("web-1", |_| {}).await.unwrap();
    let machine = Machine::new().unwrap();
    let boot = machine.boot(&url).await.unwrap();
    let (_, kickstart) = machine.get(&format!("{}/kickstart", boot.0)).await.unwrap();
    site.end().await.unwrap();
    let (start, end) = ("%pre --interpreter=/bin/bash --erroronfail\n", "%end");
    let script = kickstart.split(start).nth(1).unwrap().split(end).next().unwrap();

    let none = ("serial=''", "serial=''");
    assert_eq!(chosen(script, none, &[SMALL, STICK, EMPTY]).unwrap(), "sda");
    for disks in [&[SMALL, LARGE][..], &[], &[STICK], &[EMPTY]] {
        let told = chosen(script, none, disks).unwrap_err();
        assert!(told.contains("disk"), "{told}");
    }
    let hints = [
        (("serial=''", "serial='S 2'"), "nvme0n1"),
        (("wwn=''", "wwn='naa.5000c500a'"), "sda"),
        (("min=''", "min='500'"), "nvme0n1"),
        (("max=''", "max='500'"), "sda"),
        (("rotational=''", "rotational='1'"), "sda"),
    ];
    for (hint, disk) in hints {
        assert_eq!(chosen(script, hint, &[SMALL, LARGE, STICK]).unwrap(), disk, "{hint:?}");
    }
    assert!(chosen(script, ("serial=''", "serial='S'"), &[SMALL, LARGE]).is_err());
    // Names of disks and what they say of themselves are not run.
    let odd: Disk = ("sda", ["1073741824000", "0", "sata", "0", "$(touch /tmp/x)`id`", "", "0"]);
    assert_eq!(chosen(script, none, &[odd]).unwrap(), "sda");
}

/// The disk that the script chooses among these, or what it prints.
#[expect(clippy::unwrap_in_result, reason = "the error is what is tested")]
fn chosen(script: &str, hint: (&str, &str), disks: &[Disk]) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert!(script.contains(hint.0));
    fs::write(path.join("pre"), script.replacen(hint.0, hint.1, 1)).unwrap();
    fs::create_dir_all(path.join("sys/block")).unwrap();
    let names = ["SIZE", "RO", "TRAN", "RM", "SERIAL", "WWN", "ROTA"];
    for (disk, said) in disks {
        fs::create_dir(path.join("sys/block").join(disk)).unwrap();
        for (name, said) in names.iter().zip(said) {
            fs::write(path.join(format!("{disk}.{name}")), format!("{said}\n")).unwrap();
        }
    }
    fs::create_dir(path.join("sys/block/loop0")).unwrap();
    tool(path, "curl", "exit 0");
    tool(path, "lsblk", r#"cat "$FACTS/${6##*/}.$5""#);
    let Output { status, stderr, .. } = Command::new("bash")
        .arg(path.join("pre"))
        .env("PATH", format!("{}:/usr/bin:/bin", path.display()))
        .env("FACTS", path)
        .env("BLOOMERY_SYS", path.join("sys"))
        .env("BLOOMERY_OUT", path.join("out"))
        .output()
        .unwrap();
    let out = fs::read_to_string(path.join("out")).unwrap_or_default();
    let told = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.success(), !out.is_empty(), "{told}");
    let disk = out.lines().find_map(|line| line.strip_prefix("ignoredisk --only-use="));
    let disk = disk.map(str::to_owned).ok_or(told)?;
    assert!(out.contains(&format!("clearpart --all --initlabel --drives={disk}\n")), "{out}");
    Ok(disk)
}

fn tool(folder: &Path, name: &str, body: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/bash\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}
